/* Reassembly: any order, duplicates, overlaps, limits, time; every fragment has one fate. */
#include "capture/ipfrag.h"

#include <criterion/criterion.h>

#include "tests/capture/frames.h"

#define TOTAL 4000u

static struct slr_ipfrag *table;
static uint8_t datagram[TOTAL];
static struct slr_ip whole;
static uint32_t frames;
static int64_t now_ns;

static void setup(void)
{
    const struct slr_ipfrag_config cfg = {.datagrams_max = 4, .timeout_ns = 30 * SLR_NS_PER_S};
    cr_assert_eq(slr_ipfrag_open(&cfg, &table), SLR_OK);
    make_datagram(datagram, TOTAL, 100, 200);
    now_ns = 1000 * SLR_NS_PER_S;
}

static void teardown(void)
{
    slr_ipfrag_close(table);
}

TestSuite(ipfrag, .init = setup, .fini = teardown);

static struct slr_ip part_of(uint32_t id, size_t from, size_t to, bool more)
{
    struct slr_ip part = {.src = {.ip = {1}, .family = 4},
                          .dst = {.ip = {2}, .family = 4},
                          .payload = slr_slice_of(datagram + from, to - from),
                          .protocol = 17,
                          .fragment = true,
                          .more_fragments = more,
                          .fragment_id = id,
                          .fragment_offset_bytes = (uint32_t)from};
    return part;
}

static enum slr_verdict put(uint32_t id, size_t from, size_t to)
{
    struct slr_ip part = part_of(id, from, to, to != TOTAL);
    return slr_ipfrag_put(table, &part, 0, (slr_mono){now_ns}, &whole, &frames);
}

static void check_whole(uint32_t expected_frames)
{
    cr_assert_eq(frames, expected_frames);
    cr_assert_eq(whole.payload.len_bytes, TOTAL);
    cr_assert_eq(memcmp(whole.payload.at, datagram, TOTAL), 0);
    cr_assert_eq(whole.protocol, 17);
    cr_assert_eq(slr_ipfrag_held(table), 0);
    cr_assert_eq(slr_ipfrag_dropped(table), 0);
}

Test(ipfrag, every_order_of_four)
{
    static const size_t cut[] = {0, 1000, 2000, 3000, TOTAL};
    for (int order = 0; order < 256; order++) {
        int at[4] = {order & 3, order >> 2 & 3, order >> 4 & 3, order >> 6};
        if ((1 << at[0] | 1 << at[1] | 1 << at[2] | 1 << at[3]) != 15) {
            continue;
        }
        for (int i = 0; i < 3; i++) {
            cr_assert_eq(put(1, cut[at[i]], cut[at[i] + 1]), SLR_VERDICT_HELD);
        }
        cr_assert_eq(put(1, cut[at[3]], cut[at[3] + 1]), SLR_VERDICT_TAKEN);
        check_whole(4);
    }
}

Test(ipfrag, duplicate_is_ignored)
{
    cr_assert_eq(put(1, 0, 1000), SLR_VERDICT_HELD);
    cr_assert_eq(put(1, 0, 1000), SLR_VERDICT_FRAGMENT);
    cr_assert_eq(put(1, 2000, TOTAL), SLR_VERDICT_HELD);
    cr_assert_eq(put(1, 2000, TOTAL), SLR_VERDICT_FRAGMENT);
    cr_assert_eq(put(1, 1000, 2000), SLR_VERDICT_TAKEN);
    check_whole(3);
}

Test(ipfrag, overlap_spoils_all)
{
    cr_assert_eq(put(1, 0, 1000), SLR_VERDICT_HELD);
    cr_assert_eq(put(1, 2000, TOTAL), SLR_VERDICT_HELD);
    cr_assert_eq(put(1, 992, 2000), SLR_VERDICT_FRAGMENT);
    cr_assert_eq(slr_ipfrag_dropped(table), 2);
    cr_assert_eq(put(1, 1000, 2000), SLR_VERDICT_FRAGMENT, "parts that come later are lost too");
    cr_assert_eq(slr_ipfrag_held(table), 0);
}

Test(ipfrag, same_range_other_bytes_spoils)
{
    uint8_t other[8] = "overlap";
    cr_assert_eq(put(1, 0, 1000), SLR_VERDICT_HELD);
    struct slr_ip part = part_of(1, 8, 16, true);
    part.payload = slr_slice_of(other, 8);
    cr_assert_eq(slr_ipfrag_put(table, &part, 0, (slr_mono){now_ns}, &whole, &frames),
                 SLR_VERDICT_FRAGMENT);
    cr_assert_eq(slr_ipfrag_dropped(table), 1);
    cr_assert_eq(put(1, 1000, TOTAL), SLR_VERDICT_FRAGMENT);
}

Test(ipfrag, bytes_beyond_the_end_spoil)
{
    struct slr_ip last = part_of(1, 1000, 2000, false);
    cr_assert_eq(put(1, 3000, 3008), SLR_VERDICT_HELD);
    cr_assert_eq(slr_ipfrag_put(table, &last, 0, (slr_mono){now_ns}, &whole, &frames),
                 SLR_VERDICT_FRAGMENT);
    cr_assert_eq(slr_ipfrag_put(table, &last, 1, (slr_mono){now_ns}, &whole, &frames),
                 SLR_VERDICT_HELD);
    struct slr_ip beyond = part_of(1, 2000, 2008, true);
    cr_assert_eq(slr_ipfrag_put(table, &beyond, 1, (slr_mono){now_ns}, &whole, &frames),
                 SLR_VERDICT_FRAGMENT);
    cr_assert_eq(slr_ipfrag_dropped(table), 2);
}

Test(ipfrag, malformed_parts)
{
    struct slr_ip part = part_of(1, 0, 1001, true);
    cr_assert_eq(slr_ipfrag_put(table, &part, 0, (slr_mono){now_ns}, &whole, &frames),
                 SLR_VERDICT_FRAGMENT, "length of all but the last is a multiple of 8");
    part = part_of(1, 0, 0, true);
    cr_assert_eq(slr_ipfrag_put(table, &part, 0, (slr_mono){now_ns}, &whole, &frames),
                 SLR_VERDICT_FRAGMENT);
    part = part_of(1, 0, 1000, false);
    part.fragment_offset_bytes = 65528;
    cr_assert_eq(slr_ipfrag_put(table, &part, 0, (slr_mono){now_ns}, &whole, &frames),
                 SLR_VERDICT_FRAGMENT);
    cr_assert_eq(slr_ipfrag_held(table), 0);
}

Test(ipfrag, keys_keep_datagrams_apart)
{
    struct slr_ip part = part_of(1, 1000, TOTAL, false);
    cr_assert_eq(put(1, 0, 1000), SLR_VERDICT_HELD);
    cr_assert_eq(put(2, 1000, TOTAL), SLR_VERDICT_HELD);
    part.protocol = 6;
    cr_assert_eq(slr_ipfrag_put(table, &part, 0, (slr_mono){now_ns}, &whole, &frames),
                 SLR_VERDICT_HELD);
    part.protocol = 17;
    cr_assert_eq(slr_ipfrag_put(table, &part, 9, (slr_mono){now_ns}, &whole, &frames),
                 SLR_VERDICT_HELD, "another VLAN");
    cr_assert_eq(slr_ipfrag_held(table), 4);
    cr_assert_eq(put(1, 1000, TOTAL), SLR_VERDICT_TAKEN);
}

Test(ipfrag, oldest_gives_way)
{
    for (uint32_t id = 1; id <= 5; id++) {
        now_ns++;
        cr_assert_eq(put(id, 0, 1000), SLR_VERDICT_HELD);
    }
    cr_assert_eq(slr_ipfrag_dropped(table), 1);
    cr_assert_eq(slr_ipfrag_held(table), 4);
    cr_assert_eq(put(2, 1000, TOTAL), SLR_VERDICT_TAKEN);
    cr_assert_eq(put(1, 1000, TOTAL), SLR_VERDICT_HELD, "its first part is gone");
}

Test(ipfrag, times_out)
{
    cr_assert_eq(put(1, 0, 1000), SLR_VERDICT_HELD);
    now_ns += 29 * SLR_NS_PER_S;
    cr_assert_eq(put(2, 0, 1000), SLR_VERDICT_HELD);
    now_ns += 2 * SLR_NS_PER_S;
    slr_ipfrag_expire(table, (slr_mono){now_ns});
    cr_assert_eq(slr_ipfrag_dropped(table), 1);
    cr_assert_eq(put(1, 1000, TOTAL), SLR_VERDICT_HELD);
    cr_assert_eq(put(2, 1000, TOTAL), SLR_VERDICT_TAKEN);
    slr_ipfrag_flush(table);
    cr_assert_eq(slr_ipfrag_dropped(table), 2);
    cr_assert_eq(slr_ipfrag_held(table), 0);
}

Test(ipfrag, too_many_holes_spoil)
{
    size_t at = 0;
    while (put(1, at, at + 8) == SLR_VERDICT_HELD) {
        at += 16;
        cr_assert_lt(at, TOTAL);
    }
    cr_assert_eq(slr_ipfrag_dropped(table), 64);
    cr_assert_eq(slr_ipfrag_held(table), 0);
}

Test(ipfrag, many_small_parts_in_order)
{
    for (size_t at = 0; at + 8 < TOTAL; at += 8) {
        cr_assert_eq(put(1, at, at + 8), SLR_VERDICT_HELD);
    }
    cr_assert_eq(put(1, TOTAL - 8, TOTAL), SLR_VERDICT_TAKEN);
    check_whole(TOTAL / 8);
}

Test(ipfrag, v6_extensions_inside)
{
    uint8_t inside[40] = "\x11\0\1\4\0\0\0\0"; /* destination options, then UDP */
    struct slr_ip part = {.src = {.ip = {1}, .family = 6},
                          .dst = {.ip = {2}, .family = 6},
                          .payload = slr_slice_of(inside, 16),
                          .protocol = 60,
                          .fragment = true,
                          .more_fragments = true,
                          .fragment_id = 77};
    cr_assert_eq(slr_ipfrag_put(table, &part, 0, (slr_mono){now_ns}, &whole, &frames),
                 SLR_VERDICT_HELD);
    part.payload = slr_slice_of(inside + 16, 24);
    part.fragment_offset_bytes = 16;
    part.more_fragments = false;
    part.protocol = 0; /* later parts may say anything */
    cr_assert_eq(slr_ipfrag_put(table, &part, 0, (slr_mono){now_ns}, &whole, &frames),
                 SLR_VERDICT_TAKEN);
    cr_assert_eq(whole.protocol, 17);
    cr_assert_eq(whole.payload.len_bytes, 32);
}

Test(ipfrag, refuses_bad_sizes)
{
    struct slr_ipfrag *none;
    const struct slr_ipfrag_config zero = {.datagrams_max = 0, .timeout_ns = 1};
    const struct slr_ipfrag_config untimed = {.datagrams_max = 1, .timeout_ns = 0};
    cr_assert_eq(slr_ipfrag_open(&zero, &none), SLR_INVAL);
    cr_assert_eq(slr_ipfrag_open(&untimed, &none), SLR_INVAL);
    cr_assert_null(none);
}

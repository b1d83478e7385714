/* Link types down to the IP packet: tags, cooked headers, byte orders, cut and malformed frames. */
#include "capture/link.h"

#include <criterion/criterion.h>

#include "tests/capture/frames.h"

static struct slr_link link_of;

static enum slr_verdict parse(int dlt, const struct slr_put *p)
{
    return slr_link_parse(dlt, slr_slice_of(p->at, p->len_bytes), false, &link_of);
}

static uint8_t bytes[256];

static void check_ip(uint16_t vlan)
{
    cr_assert_eq(link_of.ip.len_bytes, 2);
    cr_assert_eq(link_of.ip.at[0], 0x45);
    cr_assert_eq(link_of.vlan, vlan);
}

Test(link, ethernet_and_tags)
{
    static const uint16_t tags[][3] = {{0, 0, 0}, {0, 1508, 1508}, {7, 1508, 1508}, {9, 0, 9}};
    for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++) {
        struct slr_put p = slr_put_of(bytes, sizeof bytes);
        put_ethernet(&p, tags[i][0], tags[i][1], 0x0800);
        slr_put_str(&p, "\x45z");
        cr_assert_eq(parse(ETH_DLT, &p), SLR_VERDICT_TAKEN);
        check_ip(tags[i][2]);
    }
}

Test(link, ethernet_not_ip)
{
    struct slr_put p = slr_put_of(bytes, sizeof bytes);
    put_ethernet(&p, 0, 0, 0x0806); /* ARP */
    slr_put_u32(&p, 0);
    cr_assert_eq(parse(ETH_DLT, &p), SLR_VERDICT_LINK);
}

Test(link, llc_snap)
{
    struct slr_put p = slr_put_of(bytes, sizeof bytes);
    put_ethernet(&p, 0, 0, 10);
    slr_put_bytes(&p, "\xaa\xaa\x03\0\0\0\x08\0\x45z", 10);
    cr_assert_eq(parse(ETH_DLT, &p), SLR_VERDICT_TAKEN);
    check_ip(0);
    bytes[14] = 0x42; /* spanning tree */
    cr_assert_eq(parse(ETH_DLT, &p), SLR_VERDICT_LINK);
}

Test(link, endless_tags_end)
{
    struct slr_put p = slr_put_of(bytes, sizeof bytes);
    put_ethernet(&p, 0, 0, 0x8100);
    for (int i = 0; i < 20; i++) {
        slr_put_u32(&p, 0x00018100u);
    }
    slr_put_u32(&p, 0x00010800u);
    slr_put_str(&p, "\x45z");
    cr_assert_eq(parse(ETH_DLT, &p), SLR_VERDICT_LINK);
}

Test(link, cooked)
{
    struct slr_put p = slr_put_of(bytes, sizeof bytes);
    slr_put_bytes(&p, "\0\0\0\1\0\6\1\2\3\4\5\6\0\0", 14);
    slr_put_u16(&p, 0x0800);
    slr_put_str(&p, "\x45z");
    cr_assert_eq(parse(SLL_DLT, &p), SLR_VERDICT_TAKEN);
    check_ip(0);

    p = slr_put_of(bytes, sizeof bytes);
    slr_put_u16(&p, 0x8100); /* a tag behind the cooked header */
    slr_put_bytes(&p, "\0\0\0\0\0\3\0\1\0\6\1\2\3\4\5\6\0\0", 18);
    slr_put_u16(&p, 42);
    slr_put_u16(&p, 0x0800);
    slr_put_str(&p, "\x45z");
    cr_assert_eq(parse(SLL2_DLT, &p), SLR_VERDICT_TAKEN);
    check_ip(42);
}

Test(link, null_and_loop_in_both_orders)
{
    static const struct {
        int dlt;
        const char *family;
    } row[] = {{NULL_DLT, "\2\0\0\0"},  {NULL_DLT, "\0\0\0\2"},  {LOOP_DLT, "\0\0\0\2"},
               {NULL_DLT, "\30\0\0\0"}, {NULL_DLT, "\0\0\0\36"}, {NULL_DLT, "\12\0\0\0"}};
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct slr_put p = slr_put_of(bytes, sizeof bytes);
        slr_put_bytes(&p, row[i].family, 4);
        slr_put_str(&p, "\x45z");
        cr_assert_eq(parse(row[i].dlt, &p), SLR_VERDICT_TAKEN, "row %zu", i);
        check_ip(0);
    }
    struct slr_put p = slr_put_of(bytes, sizeof bytes);
    slr_put_u32(&p, 7);
    cr_assert_eq(parse(NULL_DLT, &p), SLR_VERDICT_LINK);
}

Test(link, raw)
{
    static const int dlts[] = {12, 14, 101, 228, 229};
    for (size_t i = 0; i < sizeof dlts / sizeof dlts[0]; i++) {
        struct slr_put p = slr_put_of(bytes, sizeof bytes);
        slr_put_str(&p, "\x45z");
        cr_assert(slr_link_supported(dlts[i]));
        cr_assert_eq(parse(dlts[i], &p), SLR_VERDICT_TAKEN);
        check_ip(0);
    }
}

Test(link, unknown_type)
{
    struct slr_put p = slr_put_of(bytes, sizeof bytes);
    cr_assert_not(slr_link_supported(105));
    cr_assert_eq(parse(105, &p), SLR_VERDICT_LINK);
}

Test(link, every_cut_is_told)
{
    static const int dlts[] = {0, 1, 108, 113, 276};
    struct slr_put p = slr_put_of(bytes, sizeof bytes);
    put_ethernet(&p, 7, 8, 0x0800);
    for (size_t i = 0; i < sizeof dlts / sizeof dlts[0]; i++) {
        for (size_t n = 0; n < 4; n++) {
            struct slr_slice s = slr_slice_of(bytes, n);
            cr_assert_eq(slr_link_parse(dlts[i], s, false, &link_of), SLR_VERDICT_LINK);
            cr_assert_eq(slr_link_parse(dlts[i], s, true, &link_of), SLR_VERDICT_TRUNCATED);
        }
    }
    for (size_t n = 0; n < p.len_bytes; n++) {
        struct slr_slice s = slr_slice_of(bytes, n);
        cr_assert_eq(slr_link_parse(ETH_DLT, s, true, &link_of), SLR_VERDICT_TRUNCATED);
    }
}

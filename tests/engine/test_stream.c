/* Stream: sequence numbers, timestamps and statistics of one SSRC (RFC 3550 A.1, A.3, A.8). */
#include <criterion/criterion.h>
#include <string.h>

#include "engine/stream.h"

static struct slr_stream begun(uint16_t seq, uint32_t ts)
{
    struct slr_stream st;
    memset(&st, 0, sizeof st);
    struct slr_rtp rtp = {.seq = seq, .ts = ts, .ssrc = 7};
    struct slr_addr src = {.family = 4};
    slr_stream_begin(&st, SLR_STREAM_PROBATION, &rtp, &src, 1000);
    st.clock_hz = 8000;
    return st;
}

static enum slr_seq_class take(struct slr_stream *st, uint32_t seq)
{
    int64_t ext = 0;
    return slr_stream_sequence(st, (uint16_t)seq, &ext);
}

Test(stream, the_first_packet_is_next)
{
    struct slr_stream st = begun(0, 0);
    cr_assert_eq(take(&st, 0), SLR_SEQ_NEXT);
    cr_assert_eq(take(&st, 0), SLR_SEQ_DUPLICATE);
    cr_assert_eq(slr_stream_lost(&st), 0u);
}

Test(stream, begin_makes_a_new_generation)
{
    struct slr_stream st = begun(1, 1);
    uint32_t before = st.generation;
    struct slr_rtp rtp = {.seq = 9, .ts = 9, .ssrc = 8};
    st.packets = 5;
    st.anchor[1].clock_hz = 8000;
    slr_stream_begin(&st, SLR_STREAM_TAKEN, &rtp, &st.src, 5);
    cr_assert_eq(st.generation, before + 1);
    cr_assert_eq(st.packets, 0u);
    cr_assert_eq(st.anchor[1].clock_hz, 0u);
    cr_assert_eq(atomic_load(&st.state), (uint32_t)SLR_STREAM_TAKEN);
}

Test(stream, numbers_wrap_and_go_on_growing)
{
    struct slr_stream st = begun(65534, 0);
    int64_t ext = 0;
    int64_t last = 0;
    for (uint32_t i = 0; i < 200000; i++) {
        cr_assert_eq(slr_stream_sequence(&st, (uint16_t)(65534 + i), &ext), SLR_SEQ_NEXT);
        cr_assert(i == 0 || ext == last + 1);
        last = ext;
    }
    cr_assert_eq(slr_stream_lost(&st), 0u);
}

Test(stream, older_than_the_first_is_reordered)
{
    struct slr_stream st = begun(3, 0);
    int64_t ext = 0;
    cr_assert_eq(take(&st, 3), SLR_SEQ_NEXT);
    cr_assert_eq(slr_stream_sequence(&st, 65535, &ext), SLR_SEQ_REORDERED);
    cr_assert_eq(ext, (1LL << 20) - 1);
    cr_assert_eq(slr_stream_lost(&st), 3u);
    cr_assert_eq(take(&st, 0), SLR_SEQ_REORDERED);
    cr_assert_eq(take(&st, 1), SLR_SEQ_REORDERED);
    cr_assert_eq(take(&st, 2), SLR_SEQ_REORDERED);
    cr_assert_eq(slr_stream_lost(&st), 0u);
}

/* Against a plain table of what was received, over the whole memory of duplicates. */
Test(stream, duplicates_are_known_1024_back)
{
    static bool seen[4096];
    struct slr_stream st = begun(0, 0);
    uint32_t x = 1;
    uint32_t newest = 0;
    uint32_t unique = 0;
    for (uint32_t i = 0; i < 20000 && newest < 4000; i++) {
        x = x * 1103515245u + 12345u;
        uint32_t back = (x >> 16) % 1024u;
        uint32_t seq =
            (x >> 28) < 4 || back > newest ? newest + (i > 0) + (x >> 10) % 3 : newest - back;
        enum slr_seq_class c = take(&st, seq);
        if (seq > newest || i == 0) {
            cr_assert_eq(c, SLR_SEQ_NEXT);
            newest = seq;
        } else {
            cr_assert_eq(c, seen[seq] ? SLR_SEQ_DUPLICATE : SLR_SEQ_REORDERED, "seq %u", seq);
        }
        unique += !seen[seq];
        seen[seq] = true;
    }
    uint32_t first = 0;
    while (!seen[first]) {
        first++;
    }
    cr_assert_eq(slr_stream_lost(&st), newest - first + 1 - unique);
}

Test(stream, a_jump_within_the_dropout_is_loss)
{
    struct slr_stream st = begun(10, 0);
    (void)take(&st, 10);
    cr_assert_eq(take(&st, 10 + SLR_SEQ_MAX_DROPOUT - 1), SLR_SEQ_NEXT);
    cr_assert_eq(slr_stream_lost(&st), SLR_SEQ_MAX_DROPOUT - 2u);
}

Test(stream, a_restart_takes_two_in_a_row)
{
    struct slr_stream st = begun(10, 0);
    int64_t before = 0;
    int64_t after = 0;
    (void)slr_stream_sequence(&st, 10, &before);
    cr_assert_eq(take(&st, 30000), SLR_SEQ_BAD);
    cr_assert_eq(take(&st, 11), SLR_SEQ_NEXT); /* a single odd one is forgotten */
    cr_assert_eq(take(&st, 30001), SLR_SEQ_BAD);
    cr_assert_eq(take(&st, 40000), SLR_SEQ_BAD);
    cr_assert_eq(take(&st, 40000), SLR_SEQ_DUPLICATE);
    cr_assert_eq(slr_stream_sequence(&st, 40001, &after), SLR_SEQ_RESTART);
    cr_assert_gt(after, before + 0x10000);
    cr_assert_eq(slr_stream_lost(&st), 0u);
    int64_t hint = 0; /* the one that announced it was kept, and comes now */
    cr_assert_eq(slr_stream_sequence(&st, 40000, &hint), SLR_SEQ_REORDERED);
    cr_assert_eq(hint, after - 1);
    cr_assert_eq(slr_stream_lost(&st), 0u);
    cr_assert_eq(take(&st, 40001), SLR_SEQ_DUPLICATE);
    cr_assert_eq(take(&st, 40002), SLR_SEQ_NEXT);
    cr_assert_eq(take(&st, 11), SLR_SEQ_BAD);
}

static enum slr_seq_class overtaken(struct slr_stream *st, uint16_t seq, uint32_t ts, int64_t *ext)
{
    struct slr_rtp rtp = {.seq = seq, .ts = ts, .ssrc = 7};
    return slr_stream_overtaken(st, &rtp, ext);
}

/* Jitter at a restart: what comes late of the sequence before is of that one, and no restart. */
Test(stream, a_sequence_that_ended_has_stragglers)
{
    struct slr_stream st = begun(10, 0);
    int64_t ext = 0;
    int64_t last = 0;
    (void)slr_stream_sequence(&st, 10, &last);
    cr_assert_eq(overtaken(&st, 11, 0, &ext), SLR_SEQ_BAD, "nothing began anew");
    (void)slr_stream_sequence(&st, 14, &last);
    (void)take(&st, 30000);
    cr_assert_eq(take(&st, 30001), SLR_SEQ_RESTART);
    st.ts_last_ext += 160LL * 10;
    cr_assert_eq(slr_stream_lost(&st), 3u);
    cr_assert_eq(overtaken(&st, 12, 160 * 2, &ext), SLR_SEQ_REORDERED);
    cr_assert_eq(ext, last - 2);
    cr_assert_eq(overtaken(&st, 12, 160 * 2, &ext), SLR_SEQ_DUPLICATE);
    cr_assert_eq(slr_stream_lost(&st), 2u);
    cr_assert_eq(overtaken(&st, 16, 160 * 6, &ext), SLR_SEQ_REORDERED);
    cr_assert_eq(ext, last + 2);
    cr_assert_eq(slr_stream_lost(&st), 3u);
    cr_assert_eq(overtaken(&st, 15, 160 * 5, &ext), SLR_SEQ_REORDERED);
    cr_assert_eq(slr_stream_lost(&st), 2u);
    cr_assert_eq(overtaken(&st, 17, 160 * 11, &ext), SLR_SEQ_BAD, "said after the restart");
    cr_assert_eq(overtaken(&st, 30002, 160 * 9, &ext), SLR_SEQ_BAD, "of the new one");
    cr_assert_eq(overtaken(&st, 500, 160 * 6, &ext), SLR_SEQ_BAD, "of neither");
    for (uint32_t i = 2; i < 300; i++) {
        cr_assert_eq(take(&st, 30000 + i), SLR_SEQ_NEXT);
    }
    cr_assert_eq(overtaken(&st, 13, 160 * 3, &ext), SLR_SEQ_BAD, "too long ago");
}

Test(stream, losses_of_earlier_sequences_are_kept)
{
    struct slr_stream st = begun(0, 0);
    (void)take(&st, 0);
    (void)take(&st, 5);
    (void)take(&st, 20000);
    (void)take(&st, 20001);
    (void)take(&st, 20004);
    cr_assert_eq(slr_stream_lost(&st), 4u + 2);
}

Test(stream, timestamps_unwrap_both_ways)
{
    struct slr_stream st = begun(0, 0xfffffff0u);
    int64_t base = st.ts_last_ext;
    cr_assert_eq(slr_stream_timestamp(&st, 0x10u), base + 0x20);
    cr_assert_eq(slr_stream_timestamp(&st, 0xffffff00u), base - 0xf0);
    st.ts_last_ext = base + 0x20;
    cr_assert_eq(slr_stream_timestamp(&st, 0xfffffff0u), base);
    cr_assert_eq(slr_stream_timestamp(&st, 0x10u + 0x80000000u), base + 0x20 - 0x80000000LL);
}

Test(stream, ticks_are_exact)
{
    cr_assert_eq(slr_ticks_from_rtp(1, 8000), 1764);
    cr_assert_eq(slr_ticks_from_rtp(-1, 8000), -1764);
    cr_assert_eq(slr_ticks_from_rtp(44100, 44100), SLR_TICKS_HZ);
    cr_assert_eq(slr_ticks_from_rtp(1LL << 32, 48000), (1LL << 32) * 294);
    cr_assert_eq(slr_ticks_from_rtp(INT32_MIN, 1000), (int64_t)INT32_MIN * 14112);
    /* a rate that does not divide: never off by more than a tick, whatever the distance */
    cr_assert_eq(slr_ticks_from_rtp(90000LL * 3600, 90000), SLR_TICKS_HZ * 3600);
    cr_assert_eq(slr_ticks_from_rtp(1, 90000), 156);
}

/* RFC 3550 A.8 by hand: transits 0, 80, 0 give 80/16, then (80 - 5)/16 more. */
Test(stream, jitter)
{
    struct slr_stream st = begun(0, 0);
    slr_stream_jitter(&st, 0, 0);
    slr_stream_jitter(&st, 160, 30 * SLR_NS_PER_MS);
    cr_assert_float_eq(st.jitter.now, 5.0, 1e-9);
    slr_stream_jitter(&st, 320, 40 * SLR_NS_PER_MS);
    cr_assert_float_eq(st.jitter.now, 5.0 + 75.0 / 16.0, 1e-9);
    double most = st.jitter.now;
    slr_stream_jitter(&st, 480, 60 * SLR_NS_PER_MS);
    cr_assert_float_eq(st.jitter.now, most * 15 / 16, 1e-9);
    cr_assert_float_eq(st.jitter.max, most, 1e-9);
    cr_assert_float_eq(st.jitter.sum, 5.0 + most + st.jitter.now, 1e-9);
    cr_assert_eq(st.jitter.count, 3u);
    double before = st.jitter.now;
    st.clock_hz = 16000; /* from here on units are half as long, and nothing is compared */
    slr_stream_jitter(&st, 99999, 80 * SLR_NS_PER_MS);
    cr_assert_float_eq(st.jitter.now, before * 2, 1e-9);
    cr_assert_float_eq(st.jitter.max, most * 2, 1e-9);
    cr_assert_eq(st.jitter.count, 3u);
}

Test(stream, payload_types_beyond_the_list_fall_into_the_last)
{
    struct slr_stream st = begun(0, 0);
    for (uint8_t pt = 0; pt < 20; pt++) {
        slr_stream_count_pt(&st, pt);
        slr_stream_count_pt(&st, 0);
    }
    uint64_t sum = 0;
    for (uint32_t i = 0; i < st.pt_kinds; i++) {
        sum += st.pt_count[i];
    }
    cr_assert_eq(st.pt_kinds, SLR_STREAM_PTS);
    cr_assert_eq(st.pt_count[0], 21u);
    cr_assert_eq(sum, 40u);
}

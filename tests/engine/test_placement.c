/*
 * Placement: packets of one stream come to lie where they belong, whatever the network does to
 * them on the way.
 */
#include "tests/engine/one.h"

#define SSRC 0x1234abcdu

static enum slr_verdict feed(struct one *o, int64_t at_ms, uint32_t k)
{
    return fx_rtp(&o->f, o->slot, at_ms, fx_audio(SSRC, k, 100, 5000));
}

Test(placement, every_sample_lies_at_its_arrival)
{
    struct one o;
    begin_one(&o, 1);
    fx_stream(&o.f, o.slot, 40, SSRC, 0, 100);
    end_one(&o, 2100);
    cr_assert_eq(o.r.wav.shape.format, SLR_SAMPLE_ALAW);
    fx_assert_silence(&o.r, 0, 0, 320);
    fx_assert_audio(&o.r, 0, 320, 16000, SSRC, 0);
    fx_assert_silence(&o.r, 0, 16320, 480);
    fx_assert_spans(&o.r, 0, "absent 0+40, received 40+2000, ended 2040+60");
    cr_assert_eq(fx_stream_count(&o.r, 0, 0, "packets"), 100);
    cr_assert_eq(fx_stream_count(&o.r, 0, 0, "placed"), 100);
    cr_assert_eq(fx_stream_count(&o.r, 0, 0, "lost"), 0);
    cr_assert_eq(fx_stream_count(&o.r, 0, 0, "first_ticks"), 40 * FX_MS);
    cr_assert_eq(fx_stream_count(&o.r, 0, 0, "last_ticks"), 2040 * FX_MS);
    done_one(&o);
}

Test(placement, what_is_lost_leaves_a_hole_of_its_size)
{
    struct one o;
    begin_one(&o, 1);
    for (uint32_t k = 0; k < 100; k++) {
        if (k != 10 && k != 50 && k != 51 && k != 52) {
            cr_assert_eq(feed(&o, k * 20, k), SLR_VERDICT_TAKEN);
        }
    }
    end_one(&o, 2000);
    fx_assert_audio(&o.r, 0, 0, 1600, SSRC, 0);
    fx_assert_silence(&o.r, 0, 1600, 160);
    fx_assert_audio(&o.r, 0, 1760, 39 * 160, SSRC, 1760);
    fx_assert_silence(&o.r, 0, 8000, 480);
    fx_assert_audio(&o.r, 0, 8480, 47 * 160, SSRC, 8480);
    fx_assert_spans(&o.r, 0,
                    "received 0+200, lost-network 200+20 (1), received 220+780, "
                    "lost-network 1000+60 (3), received 1060+940");
    cr_assert_eq(fx_stream_count(&o.r, 0, 0, "lost"), 4);
    done_one(&o);
}

/* Bursts come the wrong way round, up to 200 ms apart, and many packets come twice. */
Test(placement, reordering_and_duplicates_change_nothing)
{
    struct one o;
    begin_one(&o, 1);
    cr_assert_eq(feed(&o, 0, 0), SLR_VERDICT_TAKEN);
    for (uint32_t k = 1; k < 101; k += 10) {
        for (uint32_t i = 0; i < 10; i++) {
            cr_assert_eq(feed(&o, (k + 9) * 20, k + 9 - i), SLR_VERDICT_TAKEN);
            if (i % 3 == 0) {
                cr_assert_eq(feed(&o, (k + 9) * 20 + 1, k + 9 - i), SLR_VERDICT_DUPLICATE);
            }
        }
        fx_write(&o.f, (k + 9) * 20 + 2);
    }
    end_one(&o, 2020);
    fx_assert_audio(&o.r, 0, 0, 101 * 160, SSRC, 0);
    fx_assert_spans(&o.r, 0, "received 0+2020");
    cr_assert_eq(fx_stream_count(&o.r, 0, 0, "duplicate"), 40);
    cr_assert_eq(fx_stream_count(&o.r, 0, 0, "reordered"), 90);
    cr_assert_eq(fx_stream_count(&o.r, 0, 0, "packets"), 141);
    cr_assert_eq(fx_stream_count(&o.r, 0, 0, "lost"), 0);
    done_one(&o);
}

/* The very first packet was delayed most: the least delayed one of the beginning counts. */
Test(placement, the_least_delayed_packet_sets_the_anchor)
{
    struct one o;
    static const int64_t jitter_ms[] = {100, 83, 66, 49, 30, 15, 0, 18, 60, 90};
    begin_one(&o, 1);
    int64_t last = 0;
    for (uint32_t k = 0; k < 100; k++) {
        int64_t at = 500 + k * 20 + jitter_ms[k % 10];
        cr_assert_geq(at, last); /* the delay varies, the order stays */
        last = at;
        cr_assert_eq(feed(&o, at, k), SLR_VERDICT_TAKEN);
    }
    end_one(&o, 3000);
    fx_assert_silence(&o.r, 0, 0, 4000);
    fx_assert_audio(&o.r, 0, 4000, 16000, SSRC, 0);
    fx_assert_spans(&o.r, 0, "absent 0+500, received 500+2000, ended 2500+500");
    cr_assert_eq(fx_stream_count(&o.r, 0, 0, "first_ticks"), 500 * FX_MS);
    cr_assert_eq(fx_stream_count(&o.r, 0, 0, "last_ticks"), 2500 * FX_MS);
    done_one(&o);
}

/* The first one to come overtook the first one sent: that one is moved with the others, and never
 * out of the file (the timestamps leap ahead of time, which moves all as far back as may be). */
Test(placement, what_was_overtaken_by_the_first_packet_is_moved_too)
{
    for (uint32_t leaps = 0; leaps < 2; leaps++) {
        struct one o;
        begin_one(&o, 1);
        cr_assert_eq(feed(&o, 590, 1), SLR_VERDICT_TAKEN);
        cr_assert_eq(feed(&o, 600, 0), SLR_VERDICT_TAKEN);
        for (uint32_t k = 2; k < 50; k++) {
            cr_assert_eq(feed(&o, 500 + k * 20, k + 50 * leaps), SLR_VERDICT_TAKEN);
        }
        end_one(&o, 3000);
        int64_t first = leaps ? 0 : 500;
        cr_assert_eq(fx_stream_count(&o.r, 0, 0, "first_ticks"), first * FX_MS);
        cr_assert_eq(fx_stream_count(&o.r, 0, 0, "placed"), 50);
        cr_assert_eq(fx_stream_count(&o.r, 0, 0, "late"), 0);
        fx_assert_audio(&o.r, 0, first * 8, 320, SSRC, 0);
        done_one(&o);
    }
}

/* What was anchored stays where it is once a block may have been written. */
Test(placement, the_anchor_freezes_before_the_first_block)
{
    struct one o;
    begin_one(&o, 1);
    for (uint32_t k = 0; k < 200; k++) {
        int64_t early = k == 100 ? 15 : 0;
        cr_assert_eq(feed(&o, 100 + k * 20 - early, k), SLR_VERDICT_TAKEN);
        fx_write(&o.f, 100 + k * 20);
    }
    end_one(&o, 4100);
    fx_assert_audio(&o.r, 0, 800, 200 * 160, SSRC, 0);
    done_one(&o);
}

/* Positions never lie before the session's start, even when the first packet came before it. */
Test(placement, a_packet_from_before_the_start_begins_at_zero)
{
    struct one o;
    begin_one(&o, 1);
    o.s->start.ns += 50 * SLR_NS_PER_MS;
    cr_assert_eq(feed(&o, 10, 0), SLR_VERDICT_TAKEN);
    cr_assert_eq(feed(&o, 30, 1), SLR_VERDICT_TAKEN);
    cr_assert_eq(feed(&o, 50, 2), SLR_VERDICT_TAKEN);
    end_one(&o, 150);
    fx_assert_audio(&o.r, 0, 0, 480, SSRC, 0);
    done_one(&o);
}

Test(placement, numbers_wrap)
{
    struct one o;
    begin_one(&o, 1);
    for (uint32_t k = 0; k < 100; k++) {
        uint32_t of = k % 10 == 3 ? k + 1 : k % 10 == 4 ? k - 1 : k; /* every tenth late */
        struct fx_packet p = fx_audio(SSRC, of, 65500, 0xffffe000u);
        int64_t at = (k % 10 == 3 ? k + 1 : k) * 20 + 20;
        cr_assert_eq(fx_rtp(&o.f, o.slot, at, p), SLR_VERDICT_TAKEN);
    }
    end_one(&o, 2020);
    fx_assert_audio(&o.r, 0, 160, 16000, SSRC, 0);
    cr_assert_eq(fx_stream_count(&o.r, 0, 0, "lost"), 0);
    cr_assert_eq(fx_stream_count(&o.r, 0, 0, "reordered"), 10);
    done_one(&o);
}

/* A packet that comes after its place was written is counted, and the file is as it was. */
Test(placement, late_packets_are_counted)
{
    struct one o;
    begin_one(&o, 1);
    for (uint32_t k = 0; k < 150; k++) {
        if (k != 5) {
            cr_assert_eq(feed(&o, k * 20, k), SLR_VERDICT_TAKEN);
        }
        fx_write(&o.f, k * 20 + 1);
    }
    cr_assert_eq(feed(&o, 2995, 5), SLR_VERDICT_LATE);
    end_one(&o, 3000);
    fx_assert_silence(&o.r, 0, 800, 160);
    cr_assert_eq(fx_stream_count(&o.r, 0, 0, "late"), 1);
    cr_assert_eq(fx_stream_count(&o.r, 0, 0, "lost"), 0);
    cr_assert_eq(fx_stream_count(&o.r, 0, 0, "placed"), 149);
    done_one(&o);
}

/* The sender's numbers begin anew: two in a row are believed, and the first of them was kept. */
static void restart(uint32_t ts_by, bool disorder, bool twice)
{
    struct one o;
    begin_one(&o, 1);
    fx_stream(&o.f, o.slot, 0, SSRC, 0, 50);
    for (uint32_t k = 50; k < 100; k++) {
        uint32_t at = disorder && k < 52 ? 101 - k : k;
        struct fx_packet p = fx_audio(SSRC, at, 30000, 5000 + ts_by);
        enum slr_verdict v = fx_rtp(&o.f, o.slot, k * 20 + (disorder && k == 50 ? 20 : 0), p);
        cr_assert_eq(v, k < (disorder ? 53u : 51u) ? SLR_VERDICT_PROBATION : SLR_VERDICT_TAKEN);
        if (twice) {
            v = fx_rtp(&o.f, o.slot, k * 20 + 1, p);
            cr_assert_eq(v, SLR_VERDICT_DUPLICATE);
        }
    }
    end_one(&o, 2000);
    fx_assert_audio(&o.r, 0, 0, 16000, SSRC, 0);
    fx_assert_spans(&o.r, 0, "received 0+2000");
    cr_assert_eq(fx_stream_count(&o.r, 0, 0, "lost"), 0);
    cr_assert_eq(fx_stream_count(&o.r, 0, 0, "rejected"), 0);
    cr_assert_eq(fx_stream_count(&o.r, 0, 0, "placed"), 100);
    cr_assert_eq(fx_stream_count(&o.r, 0, 0, "packets"), twice ? 150 : 100);
    cr_assert_eq(fx_stream_count(&o.r, 0, 0, "duplicate"), twice ? 50 : 0);
    cr_assert_eq(slr_state_chunks_free(o.f.e.state), o.f.chunks);
    done_one(&o);
}

Test(placement, sequence_restart)
{
    restart(0, false, false);
}

Test(placement, sequence_and_timestamp_restart)
{
    restart(0x31415926u, false, false);
}

Test(placement, a_restart_out_of_order)
{
    restart(0, true, false);
    restart(0x31415926u, true, false);
}

Test(placement, a_restart_of_a_doubled_stream)
{
    restart(0x31415926u, false, true);
}

/* The clock jumps with the packet by which the new sequence is believed: the one that was kept lies
 * by the clock before, and nothing over it though the path gets faster. */
Test(placement, a_restart_whose_clock_jumps_with_its_second_packet)
{
    static const uint32_t by[] = {0x31415926u, 0x80000005u, 0xfff00000u};
    for (uint32_t turn = 0; turn < sizeof by / sizeof by[0]; turn++) {
        for (int64_t early_ms = 0; early_ms <= 15; early_ms += 15) {
            struct one o;
            begin_one(&o, 1);
            fx_stream(&o.f, o.slot, 0, SSRC, 0, 50);
            for (uint32_t k = 50; k < 100; k++) {
                struct fx_packet p = fx_audio(SSRC, k, 30000, 5000 + (k > 50 ? by[turn] : 0));
                int64_t at = k * 20 - (k > 50 ? early_ms : 0);
                cr_assert_eq(fx_rtp(&o.f, o.slot, at, p),
                             k == 50 ? SLR_VERDICT_PROBATION : SLR_VERDICT_TAKEN);
            }
            end_one(&o, 2000);
            fx_assert_audio(&o.r, 0, 0, 16000, SSRC, 0);
            fx_assert_spans(&o.r, 0, "received 0+2000");
            cr_assert_eq(fx_stream_count(&o.r, 0, 0, "lost"), 0);
            cr_assert_eq(fx_stream_count(&o.r, 0, 0, "rejected"), 0);
            cr_assert_eq(fx_stream_count(&o.r, 0, 0, "placed"), 100);
            done_one(&o);
        }
    }
}

/* A sender begins anew at a number that it had a little while ago: what it says is no copy, as its
 * timestamps say. */
Test(placement, a_restart_at_numbers_that_were_there)
{
    static const struct {
        uint16_t seq;
        uint32_t ts; /* of packet 150, which is 24000 later than the first one */
    } anew[] = {{0, 9024000}, {0, 1}, {120, 9024000}, {120, 0x80000000u}, {0, 20000000}};
    for (uint32_t turn = 0; turn < sizeof anew / sizeof anew[0]; turn++) {
        struct one o;
        begin_one(&o, 1);
        for (uint32_t k = 0; k < 300; k++) {
            struct fx_packet p = fx_audio(SSRC, k, 100, 9000000);
            if (k >= 150) {
                p.seq = (uint16_t)(anew[turn].seq + k - 150);
                p.ts = anew[turn].ts + (k - 150) * 160;
            }
            int64_t at = k * 20 + (k % 9 == 5 ? 30 : 0); /* one overtakes another */
            cr_assert_eq(fx_rtp(&o.f, o.slot, at, p),
                         k == 150 ? SLR_VERDICT_PROBATION : SLR_VERDICT_TAKEN, "%u: %u", turn, k);
            fx_write(&o.f, k * 20);
        }
        end_one(&o, 6000);
        fx_assert_audio(&o.r, 0, 0, 48000, SSRC, 0);
        cr_assert_eq(fx_stream_count(&o.r, 0, 0, "placed"), 300);
        cr_assert_eq(fx_stream_count(&o.r, 0, 0, "duplicate"), 0);
        cr_assert_eq(fx_stream_count(&o.r, 0, 0, "lost"), 0);
        done_one(&o);
    }
}

/* Timestamps fall back, by less than is a jump otherwise, and numbers go on: what was said lies
 * where it was said, and nothing over what was said before. */
Test(placement, timestamps_that_fall_back_a_little)
{
    static const uint32_t by[] = {400, 8000, 15900};
    for (uint32_t turn = 0; turn < 3; turn++) {
        struct one o;
        begin_one(&o, 1);
        for (uint32_t k = 0; k < 300; k++) {
            struct fx_packet p = fx_audio(SSRC, k, 100, 5000);
            p.ts -= k >= 150 ? by[turn] : 0;
            cr_assert_eq(fx_rtp(&o.f, o.slot, k * 20, p), SLR_VERDICT_TAKEN, "%u: %u", turn, k);
            fx_write(&o.f, k * 20);
        }
        end_one(&o, 6000);
        fx_assert_audio(&o.r, 0, 0, 48000, SSRC, 0);
        cr_assert_eq(json_array_size(json_object_get(fx_leg_json(&o.r, 0), "clock")), 1u);
        done_one(&o);
    }
}

/* A number far off that nothing follows is no restart, and leaves no trace. */
Test(placement, a_single_odd_number)
{
    struct one o;
    begin_one(&o, 1);
    for (uint32_t k = 0; k < 100; k++) {
        cr_assert_eq(feed(&o, k * 20, k), SLR_VERDICT_TAKEN);
        if (k % 10 == 5) {
            struct fx_packet p = fx_audio(SSRC, k + 1, 30000, 5000);
            cr_assert_eq(fx_rtp(&o.f, o.slot, k * 20 + 1, p), SLR_VERDICT_PROBATION);
        }
    }
    end_one(&o, 2000);
    fx_assert_audio(&o.r, 0, 0, 16000, SSRC, 0);
    cr_assert_eq(fx_stream_count(&o.r, 0, 0, "rejected"), 10);
    cr_assert_eq(fx_stream_count(&o.r, 0, 0, "placed"), 100);
    cr_assert_eq(slr_state_chunks_free(o.f.e.state), o.f.chunks);
    done_one(&o);
}

static void jump(uint32_t by, int64_t quiet_ms)
{
    struct one o;
    begin_one(&o, 1);
    fx_stream(&o.f, o.slot, 0, SSRC, 0, 50);
    for (uint32_t k = 50; k < 100; k++) {
        struct fx_packet p = fx_audio(SSRC, k, 100, 5000 + by);
        cr_assert_eq(fx_rtp(&o.f, o.slot, k * 20 + quiet_ms, p), SLR_VERDICT_TAKEN);
    }
    end_one(&o, 2000 + quiet_ms);
    fx_assert_audio(&o.r, 0, 0, 8000, SSRC, 0);
    fx_assert_silence(&o.r, 0, 8000, quiet_ms * 8);
    fx_assert_audio(&o.r, 0, 8000 + quiet_ms * 8, 8000, SSRC, 8000);
    cr_assert_eq(fx_counted(&o.f, SLR_CTR_ANCHORS), 1u);
    done_one(&o);
}

Test(placement, timestamp_jumps_follow_arrival)
{
    jump(8000 * 3600u, 0);
    jump(0u - 8000 * 3600u, 0);
    jump(0x70000000u, 0);
    jump(0x80000000u, 500);
}

/* Time went by and the sender's clock did not. */
Test(placement, a_clock_that_stood_still_follows_arrival)
{
    jump(0, 5000);
}

/* Silence that the sender's clock covers is no jump, however long. */
Test(placement, a_long_pause_in_step_is_no_jump)
{
    struct one o;
    begin_one(&o, 1);
    fx_stream(&o.f, o.slot, 0, SSRC, 0, 50);
    for (uint32_t k = 50; k < 60; k++) {
        struct fx_packet p = fx_audio(SSRC, k, 100, 5000 + 8000 * 30);
        cr_assert_eq(fx_rtp(&o.f, o.slot, k * 20 + 30000, p), SLR_VERDICT_TAKEN);
    }
    end_one(&o, 31200);
    fx_assert_audio(&o.r, 0, 248000, 1600, SSRC, 8000);
    fx_assert_spans(&o.r, 0, "received 0+1000, comfort 1000+30000, received 31000+200");
    cr_assert_eq(fx_counted(&o.f, SLR_CTR_ANCHORS), 0u);
    done_one(&o);
}

/* Packets of before a jump that come after it belong to the time before. */
Test(placement, stragglers_of_before_a_jump_keep_their_place)
{
    struct one o;
    begin_one(&o, 1);
    for (uint32_t k = 0; k < 100; k++) {
        uint32_t at = k == 49 ? 50 : k == 50 ? 49 : k;
        uint32_t ts0 = at >= 50 ? 5000 + 8000 * 3 - 400 : 5000;
        struct fx_packet p = fx_audio(SSRC, at, 100, ts0);
        int64_t late = k == 49 ? 20 : k == 50 ? 1 : 0;
        cr_assert_eq(fx_rtp(&o.f, o.slot, k * 20 + late, p), SLR_VERDICT_TAKEN, "packet %u", at);
    }
    end_one(&o, 2000);
    fx_assert_audio(&o.r, 0, 0, 49 * 160, SSRC, 0);
    fx_assert_audio(&o.r, 0, 50 * 160, 50 * 160, SSRC, 50 * 160);
    done_one(&o);
}

/* The same where the clock's rate changed: a packet's payload type says which one it counts by,
 * also where its timestamp is nearer to what overtook it. */
Test(placement, stragglers_of_another_clock_rate_keep_their_place)
{
    struct one o;
    struct slr_pt_map rows[2];
    begin_one(&o, 1);
    fx_row(&rows[0], 96, "L16");
    fx_row(&rows[1], 97, "L16");
    rows[0].clock_hz = 16000;
    struct slr_leg *leg = &o.f.e.state->leg[o.slot];
    cr_assert_eq(slr_leg_codecs_set(leg, rows, 2), SLR_OK);
    slr_leg_codecs_build(&o.f.e.codecs[o.slot], leg);
    for (uint32_t k = 0; k < 200; k++) { /* 10 ms each, 8 kHz from number 100 on */
        uint32_t at = k == 97 ? 100 : k > 97 && k <= 100 ? k - 1 : k;
        bool old = at < 100;
        struct fx_packet p = {.pt = old ? 96 : 97,
                              .seq = (uint16_t)(70 + at),
                              .ts = 5000 + (old ? at * 160 : 16000 + (at - 100) * 80),
                              .ssrc = SSRC,
                              .len_bytes = old ? 320 : 160};
        for (uint32_t i = 0; i < p.len_bytes; i += 2) {
            p.at[i] = (uint8_t)(1 + at);
        }
        int64_t late = k == 97 ? 31 : k == 98 ? 22 : k == 99 ? 13 : k == 100 ? 4 : 0;
        cr_assert_eq(fx_rtp(&o.f, o.slot, k * 10 + late, p), SLR_VERDICT_TAKEN, "packet %u", at);
    }
    end_one(&o, 2000);
    fx_assert_spans(&o.r, 0, "received 0+2000");
    cr_assert_eq(o.r.wav.shape.sample_hz, 16000u);
    for (uint32_t at = 0; at < 100; at++) {
        for (uint32_t i = 0; i < 160; i++) {
            cr_assert_eq(o.r.data[2 * (at * 160 + i) + 1], (uint8_t)(1 + at), "packet %u", at);
        }
    }
    done_one(&o);
}

/* A straggler between them does not shorten the time that passed. */
Test(placement, stragglers_before_a_jump_take_no_time_from_it)
{
    struct one o;
    begin_one(&o, 1);
    for (uint32_t k = 0; k < 50; k++) {
        if (k != 30) {
            cr_assert_eq(feed(&o, k * 20, k), SLR_VERDICT_TAKEN);
        }
    }
    cr_assert_eq(feed(&o, 1150, 30), SLR_VERDICT_TAKEN);
    cr_assert_eq(feed(&o, 1160, 40), SLR_VERDICT_DUPLICATE);
    for (uint32_t k = 50; k < 100; k++) {
        cr_assert_eq(feed(&o, k * 20 + 3000, k), SLR_VERDICT_TAKEN);
    }
    end_one(&o, 5000);
    fx_assert_audio(&o.r, 0, 0, 8000, SSRC, 0);
    fx_assert_audio(&o.r, 0, 32000, 8000, SSRC, 8000);
    done_one(&o);
}

/*
 * Drift: senders whose clocks run slow or fast against ours, through the whole engine in virtual
 * time: what a leg said is never late for it, and what came is in the file.
 */
#include "tests/engine/outcome.h"

#define A 0xaaaa0001u
#define B 0xbbbb0002u
#define PACKET_NS (20 * SLR_NS_PER_MS)

/* When packet k arrives whose sender's clock is that many ppm fast: after k packet times of its. */
static int64_t sent_ns(uint32_t k, int64_t ppm)
{
    return (int64_t)k * PACKET_NS - (int64_t)k * PACKET_NS / 1000000 * ppm;
}

/* A single leg on a slow clock for an hour: over time it is further behind than the window. */
Test(drift, a_slow_clock_never_makes_packets_late)
{
    struct fx f;
    struct fx_result r;
    char id[SLR_ID_SIZE];
    fx_open(&f);
    struct slr_session *s = fx_session(&f, 1);
    uint32_t leg = fx_leg(&f, s, 0, 8);
    memcpy(id, s->id, sizeof id);
    uint32_t packets = 3600 * 50;
    for (uint32_t k = 0; k < packets; k++) {
        struct fx_packet p = fx_audio(A, k, 100, 5000);
        cr_assert_eq(fx_rtp_ns(&f, leg, sent_ns(k, -500), &p), SLR_VERDICT_TAKEN, "packet %u", k);
        if (k % 25 == 0) {
            fx_write(&f, sent_ns(k, -500) / SLR_NS_PER_MS);
        }
    }
    int64_t lag_ms = atomic_load(&f.e.state->leg[leg].lag_ticks) / FX_MS;
    cr_assert(lag_ms > 1770 && lag_ms < 1790, "%lld ms", (long long)lag_ms);
    fx_end(&f, s, 3602000);
    fx_result(&f, id, &r);
    fx_assert_audio(&r, 0, 0, (int64_t)packets * 160, A, 0);
    fx_assert_spans(&r, 0, "received 0+3.6e+06, ended 3.6e+06+2000");
    cr_assert_eq(fx_stream_count(&r, 0, 0, "late"), 0);
    fx_result_free(&r);
    fx_close(&f);
}

/* Seven packets where ten should come: all of it is kept, in order, without a hole. */
Test(drift, a_sender_slower_than_time)
{
    struct fx f;
    struct fx_result r;
    char id[SLR_ID_SIZE];
    fx_open(&f);
    struct slr_session *s = fx_session(&f, 2);
    uint32_t leg = fx_leg(&f, s, 0, 8);
    uint32_t other = fx_leg(&f, s, 1, 8);
    memcpy(id, s->id, sizeof id);
    for (uint32_t ms = 0; ms < 20000; ms += 4) {
        if (ms % 28 == 0) {
            struct fx_packet p = fx_audio(A, ms / 28, 100, 5000);
            cr_assert_eq(fx_rtp(&f, leg, ms, p), SLR_VERDICT_TAKEN, "at %u ms", ms);
        }
        if (ms % 20 == 0) {
            struct fx_packet p = fx_audio(B, ms / 20, 100, 5000);
            cr_assert_eq(fx_rtp(&f, other, ms, p), SLR_VERDICT_TAKEN, "at %u ms", ms);
            fx_write(&f, ms);
        }
    }
    fx_end(&f, s, 20000);
    fx_result(&f, id, &r);
    fx_assert_audio(&r, 0, 0, 715 * 160, A, 0);
    fx_assert_audio(&r, 1, 0, 160000, B, 0);
    cr_assert_eq(fx_stream_count(&r, 0, 0, "late"), 0);
    fx_result_free(&r);
    fx_close(&f);
}

/* The file follows ten seconds behind the wall clock, and no further. */
Test(drift, a_sender_that_stands_nearly_still_is_waited_for_ten_seconds)
{
    struct fx f;
    uint32_t late = 0;
    fx_open(&f);
    struct slr_session *s = fx_session(&f, 1);
    uint32_t leg = fx_leg(&f, s, 0, 8);
    for (uint32_t k = 0; k < 300; k++) {
        struct fx_packet p = fx_audio(A, k, 100, 5000);
        late += fx_rtp(&f, leg, k * 100, p) == SLR_VERDICT_LATE;
        fx_write(&f, k * 100);
        int64_t behind = k * 100 - slr_session_written_ticks(s) / FX_MS;
        cr_assert_leq(behind, 10000 + 1000 + 600, "%lld ms at %u", (long long)behind, k * 100);
    }
    cr_assert_eq(late, 0u, "lost where a new anchor keeps it");
    cr_assert_gt(fx_counted(&f, SLR_CTR_ANCHORS), 0u, "no new anchor");
    fx_close(&f);
}

/* One leg was behind and says nothing more: the file goes on with the wall clock. */
Test(drift, a_leg_that_fell_silent_holds_nothing_back)
{
    struct fx f;
    fx_open(&f);
    struct slr_session *s = fx_session(&f, 2);
    uint32_t slow = fx_leg(&f, s, 0, 8);
    uint32_t other = fx_leg(&f, s, 1, 8);
    for (uint32_t k = 0; k < 1500; k++) {
        if (k < 100) {
            struct fx_packet p = fx_audio(A, k, 100, 5000);
            cr_assert_eq(fx_rtp(&f, slow, k * 25, p), SLR_VERDICT_TAKEN);
        }
        cr_assert_eq(fx_rtp(&f, other, k * 20, fx_audio(B, k, 100, 5000)), SLR_VERDICT_TAKEN);
        fx_write(&f, k * 20);
    }
    cr_assert_gt(slr_session_written_ticks(s), (30000 - 500 - 1000 - 600) * FX_MS);
    fx_close(&f);
}

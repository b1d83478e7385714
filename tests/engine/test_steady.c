/*
 * Steady: the short way gives what the long one gives, whatever comes, to the byte of the recording
 * and its ledger.
 */
#include "engine/steady.h"
#include "tests/engine/outcome.h"

#define A 0xaaaa0001u
#define B 0xbbbb0002u

static uint64_t next(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

/* A minute of a leg: loss, disorder, doubles, silence, an SSRC change, a jump, keys, a pause, other
 * packet times, a death; drawn from `seed`, the same for both ways. */
static void minute(uint64_t seed, bool long_way, struct fx_result *r, uint32_t *deaths)
{
    struct fx f;
    char id[SLR_ID_SIZE];
    uint64_t x = seed;
    fx_open(&f);
    f.worker.place.long_way = long_way;
    struct slr_session *s = fx_session(&f, 1);
    uint32_t leg = fx_leg(&f, s, 0, 8);
    memcpy(id, s->id, sizeof id);
    uint16_t seq0 = (uint16_t)next(&x);
    uint32_t ts0 = (uint32_t)next(&x);
    uint32_t ssrc = A;
    for (uint32_t k = 0; k < 3000; k++) {
        uint64_t what = next(&x) % 400;
        struct fx_packet p = fx_audio(ssrc, k, seq0, ts0);
        int64_t at = k * 20 + (int64_t)(next(&x) % 15);
        p.kernel_drops = what == 5;
        if (what == 0) {
            k += (uint32_t)(next(&x) % 100); /* silence */
            seq0 = (uint16_t)(seq0 - (next(&x) % 2 ? 50 : 0));
            continue;
        }
        ts0 += what == 1 ? 80000 : 0;
        seq0 = (uint16_t)(seq0 + (what == 2 ? 20000 : 0));
        ssrc = what == 3 ? ssrc ^ A ^ B : ssrc;
        if (what == 4) {
            p = fx_event(ssrc, p.seq, p.ts, 5, 160, false);
        }
        p.len_bytes = what == 6 && p.pt == 8 ? 80 : p.len_bytes;
        (void)fx_rtp(&f, leg, at, p);
        if (what < 20) {
            (void)fx_rtp(&f, leg, at + 1, p);
        }
        if (what == 7 || what == 8) {
            fx_pause(&f, s, at + 1, what == 7);
        }
        if (what == 9) {
            fx_die(&f);
            fx_boot(&f);
            f.worker.place.long_way = long_way;
            s = slr_engine_session_find(&f.e, id);
            ++*deaths;
        }
        fx_write(&f, at + 1);
    }
    fx_end(&f, s, 61000);
    fx_result(&f, id, r);
    fx_close(&f);
}

Test(steady, both_ways_lead_to_the_same)
{
    uint32_t deaths = 0;
    for (uint64_t seed = 1; seed <= 24; seed++) {
        struct fx_result a;
        struct fx_result b;
        minute(seed * 0x9e3779b97f4a7c15u, false, &a, &deaths);
        minute(seed * 0x9e3779b97f4a7c15u, true, &b, &deaths);
        json_t *legs_a = json_object_get(a.ledger, "legs");
        json_t *legs_b = json_object_get(b.ledger, "legs");
        cr_assert_eq(a.wav.frames, b.wav.frames, "seed %d", (int)seed);
        cr_assert_eq(memcmp(a.data, b.data, a.wav.frames), 0, "seed %d", (int)seed);
        if (!json_equal(legs_a, legs_b)) {
            cr_log_error("%s\n%s", json_dumps(legs_a, 0), json_dumps(legs_b, 0));
        }
        cr_assert(json_equal(legs_a, legs_b), "seed %d", (int)seed);
        fx_result_free(&a);
        fx_result_free(&b);
    }
    cr_assert_gt(deaths, 0u);
}

/* What is usual does go the short way, or the above says nothing. */
Test(steady, most_packets_go_the_short_way)
{
    struct fx f;
    uint32_t runs = 0;
    fx_open(&f);
    struct slr_session *s = fx_session(&f, 1);
    uint32_t leg = fx_leg(&f, s, 0, 8);
    for (uint32_t k = 0; k < 1000; k++) {
        cr_assert_eq(fx_rtp(&f, leg, k * 20, fx_audio(A, k, 1, 1)), SLR_VERDICT_TAKEN);
        runs += f.e.state->run[leg].packets > 0;
        fx_write(&f, k * 20);
    }
    cr_assert_gt(runs, 930u);
    fx_end(&f, s, 20000);
    fx_close(&f);
}

/* A hold in the middle of it, while the RTP clock goes on: what comes after is at its place. */
Test(steady, a_hold_is_no_jump_of_the_clock)
{
    struct fx f;
    struct fx_result r;
    char id[SLR_ID_SIZE];
    fx_open(&f);
    struct slr_session *s = fx_session(&f, 1);
    uint32_t leg = fx_leg(&f, s, 0, 8);
    memcpy(id, s->id, sizeof id);
    fx_stream(&f, leg, 0, 0xaaaa0001u, 0, 100);
    slr_placement_hold(s, &f.e.state->leg[leg], true, fx_time(2040 * SLR_NS_PER_MS));
    slr_placement_hold(s, &f.e.state->leg[leg], false, fx_time(12000 * SLR_NS_PER_MS));
    for (uint32_t k = 100; k < 200; k++) {
        struct fx_packet p = fx_audio(0xaaaa0001u, k, 100, 5000 + 80320);
        cr_assert_eq(fx_rtp(&f, leg, 10040 + (int64_t)k * 20, p), SLR_VERDICT_TAKEN);
    }
    fx_end(&f, s, 14040);
    fx_result(&f, id, &r);
    fx_assert_spans(&r, 0,
                    "received 0+2000, comfort 2000+40, hold 2040+9960, comfort 12000+40, "
                    "received 12040+2000");
    fx_result_free(&r);
    fx_close(&f);
}

/* A sender whose clock runs away by almost a second with each packet: no faster than the long way
 * lets it. */
static int64_t run_away(bool long_way)
{
    struct fx f;
    fx_open(&f);
    f.worker.place.long_way = long_way;
    struct slr_session *s = fx_session(&f, 1);
    uint32_t leg = fx_leg(&f, s, 0, 8);
    fx_stream(&f, leg, 0, A, 0, 100);
    for (uint32_t k = 0; k < 900; k++) {
        struct fx_packet p = fx_audio(A, 100 + k, 100, 5000);
        p.ts += k * (7900 - 160);
        (void)fx_rtp(&f, leg, 2000 + (int64_t)k, p);
    }
    int64_t highest = atomic_load(&f.e.state->run[leg].highest_ticks);
    fx_end(&f, s, 3000);
    fx_close(&f);
    return highest;
}

Test(steady, a_clock_that_runs_away_is_caught)
{
    int64_t most = run_away(true);
    int64_t is = run_away(false);
    cr_log_info("long %lld s, short %lld s", (long long)(most / SLR_TICKS_HZ),
                (long long)(is / SLR_TICKS_HZ));
    cr_assert_leq(most, SLR_LEAD_TICKS + (1 + SLR_LEAD_GAPS) * 20 * SLR_TICKS_HZ +
                            2 * SLR_TICKS_HZ); /* 20 s were said */
    cr_assert_eq(is, most);
}

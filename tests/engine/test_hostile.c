/*
 * A sender at the right address that means ill: any header, any order, any amount. Nothing of the
 * engine breaks, the other party's channel is untouched, and memory stays bounded.
 */
#include "tests/engine/outcome.h"

#define GOOD 0x600d600du

static uint64_t next(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

/* Numbers as they hurt: near the last ones, at the edges, anything. */
static uint32_t odd(uint64_t *x, uint32_t last)
{
    static const uint32_t edge[] = {0, 1, 0x7fffffffu, 0x80000000u, 0xffffffffu, 0xffff, 0x8000};
    switch (next(x) % 5) {
    case 0:
        return edge[next(x) % 7];
    case 1:
        return last + 15000 + (uint32_t)(next(x) % 900);
    case 2:
        return last - (uint32_t)(next(x) % 40000);
    case 3:
        return (uint32_t)next(x);
    default:
        return last + 160;
    }
}

static void attack(uint64_t seed, uint32_t ssrcs)
{
    static const char *const from[] = {FX_PEER, "192.0.2.1:4001", "198.51.100.1:1"};
    static const uint8_t pts[] = {8, 8, 8, 101, 13, 0, 97, 127};
    struct fx f;
    struct fx_result r;
    char id[SLR_ID_SIZE];
    uint64_t x = seed;
    struct fx_packet last = {.seq = 0};
    int64_t suppressed = 0;
    fx_open_sized(&f, 8, 2048);
    struct slr_session *s = fx_session(&f, 2);
    uint32_t good = fx_leg(&f, s, 0, 8);
    uint32_t bad = fx_leg(&f, s, 1, 8);
    memcpy(id, s->id, sizeof id);
    for (uint32_t k = 0; k < 500; k++) {
        enum slr_verdict v = fx_rtp(&f, good, k * 20, fx_audio(GOOD, k, 1, 1));
        /* a pause ends for both legs where the one that leads says, which is bounded */
        cr_assert(v == SLR_VERDICT_TAKEN || v == SLR_VERDICT_SUPPRESSED);
        suppressed += v == SLR_VERDICT_SUPPRESSED;
        for (uint32_t i = 0; i < 20; i++) {
            struct fx_packet p = {.pt = pts[next(&x) % 8],
                                  .seq = (uint16_t)odd(&x, last.seq),
                                  .ts = odd(&x, last.ts),
                                  .ssrc = (uint32_t)(next(&x) % ssrcs),
                                  .src = from[next(&x) % 20 ? 0 : next(&x) % 3],
                                  .len_bytes = next(&x) % 10 ? 160 : (uint32_t)(next(&x) % 400)};
            for (uint32_t b = 0; b < p.len_bytes; b++) {
                p.at[b] = (uint8_t)next(&x);
            }
            p.kernel_drops = next(&x) % 100 == 0;
            (void)fx_rtp(&f, bad, k * 20 + i, p);
            last = p;
        }
        if (next(&x) % 50 == 0) {
            fx_pause(&f, s, k * 20 + 19, true);
            fx_pause(&f, s, k * 20 + 19, false);
        }
        if (next(&x) % 20 == 0) {
            fx_write(&f, k * 20 + 19);
        }
        cr_assert_leq(f.e.state->leg_chunks[bad], f.e.state->leg_chunk_max);
    }
    fx_end(&f, s, 10000);
    fx_result(&f, id, &r); /* spans of both legs add up, whatever they say */
    cr_assert_eq(fx_stream_count(&r, 0, 0, "lost"), 0);
    cr_assert_eq(fx_stream_count(&r, 0, 0, "placed"), 500 - suppressed);
    cr_assert_eq(slr_state_chunks_free(f.e.state), f.chunks);
    fx_result_free(&r);
    fx_close(&f);
}

Test(hostile, one_stream_with_random_numbers)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        attack(seed * 0x9e3779b97f4a7c15u, 1);
    }
}

Test(hostile, many_streams)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        attack(seed * 0xbf58476d1ce4e5b9u, 3);
        attack(seed * 0x94d049bb133111ebu, 1u << 30);
    }
}

/* Whole datagrams through the worker: classified, parsed, counted once each. */
Test(hostile, random_datagrams)
{
    struct fx f;
    uint64_t x = 99;
    fx_open(&f);
    struct slr_session *s = fx_session(&f, 1);
    uint32_t leg = fx_leg(&f, s, 0, 8);
    uint64_t sent = 0;
    for (uint32_t k = 0; k < 20000; k++) {
        uint8_t at[64];
        size_t n = next(&x) % 64;
        for (size_t i = 0; i < n; i++) {
            at[i] = (uint8_t)next(&x);
        }
        at[0] = next(&x) % 4 ? 0x80 : at[0];
        at[1] = next(&x) % 4 ? (uint8_t)(next(&x) % 2 ? 8 : 200) : at[1];
        struct slr_packet pkt = {
            .at = at, .len_bytes = (uint32_t)n, .arrival = fx_time(k * 100000)};
        pkt.truncated = next(&x) % 50 == 0;
        cr_assert_eq(slr_addr_parse(FX_PEER, &pkt.src), SLR_OK);
        slr_worker_packet(&f.worker, leg, next(&x) % 8 == 0, &pkt);
        sent++;
    }
    uint64_t counted = 0;
    for (uint32_t v = 0; v < SLR_VERDICT_COUNT; v++) {
        counted += slr_count_get(&f.worker.counters.at[v]);
    }
    cr_assert_eq(counted, sent);
    fx_end(&f, s, 2000);
    fx_close(&f);
}

/* The first packet says nothing, the second has an unknown type: there is no clock to go by. */
Test(hostile, a_stream_without_a_clock)
{
    struct fx f;
    fx_open(&f);
    struct slr_session *s = fx_session(&f, 1);
    uint32_t leg = fx_leg(&f, s, 0, 8);
    struct fx_packet p = {.pt = 8, .ssrc = 5, .seq = 1};
    cr_assert_eq(fx_rtp(&f, leg, 0, p), SLR_VERDICT_BAD_PAYLOAD);
    p.pt = 97;
    cr_assert_eq(fx_rtp(&f, leg, 1, p), SLR_VERDICT_UNKNOWN_PT);
    p = fx_audio(5, 1, 1, 1);
    cr_assert_eq(fx_rtp(&f, leg, 20, p), SLR_VERDICT_TAKEN);
    /* numbers begin with the first packet that says something */
    p = (struct fx_packet){.pt = 8, .ssrc = 6, .seq = 1};
    cr_assert_eq(fx_rtp(&f, leg, 200, p), SLR_VERDICT_BAD_PAYLOAD);
    cr_assert_eq(fx_rtp(&f, leg, 220, fx_audio(6, 0, 30000, 1)), SLR_VERDICT_PROBATION);
    cr_assert_eq(fx_rtp(&f, leg, 221, fx_audio(6, 0, 5, 1)), SLR_VERDICT_PROBATION);
    p = (struct fx_packet){.pt = 97, .ssrc = 5, .seq = 2, .src = "192.0.2.1:4001"};
    cr_assert_eq(fx_rtp(&f, leg, 500, p), SLR_VERDICT_UNKNOWN_PT);
    fx_end(&f, s, 1000);
    fx_close(&f);
}

/* Two signalled streams at once: no event for each packet. */
Test(hostile, streams_that_alternate_are_told_once)
{
    struct fx f;
    fx_open(&f);
    struct slr_session *s = fx_session(&f, 1);
    uint32_t slot = fx_leg(&f, s, 0, 8);
    struct slr_leg *leg = &f.e.state->leg[slot];
    leg->ssrc_signalled[0] = 1;
    leg->ssrc_signalled[1] = 2;
    leg->ssrc_signalled_count = 2;
    for (uint32_t k = 0; k < 500; k++) {
        (void)fx_rtp(&f, slot, k * 20, fx_audio(1, k, 1, 1));
        (void)fx_rtp(&f, slot, k * 20 + 1, fx_audio(2, k, 1, 1));
    }
    cr_assert_lt(json_array_size(f.events), 6u);
    fx_end(&f, s, 10000);
    fx_close(&f);
}

/*
 * drive: what happens in a test of the engine's path: sessions, legs, packets, time. Times are
 * milliseconds (or nanoseconds) since the fixture's start; see fixture.h.
 */
#ifndef SLR_TESTS_ENGINE_DRIVE_H
#define SLR_TESTS_ENGINE_DRIVE_H

#include "tests/engine/fixture.h"

struct fx_packet {
    uint8_t pt;
    uint16_t seq;
    uint32_t ts, ssrc;
    const char *src; /* NULL: FX_PEER */
    uint32_t len_bytes;
    uint32_t kernel_drops;
    uint8_t at[400];
};

/* Sample number i of an SSRC, as a byte of A-law that is not silence (nor is it of mu-law). */
static inline uint8_t fx_sample(uint32_t ssrc, int64_t i)
{
    uint32_t x = (uint32_t)i * 2654435761u ^ ssrc * 40503u;
    uint8_t v = (uint8_t)((x ^ x >> 13) * 2246822519u >> 24);
    return v == 0xd5 || v == 0xff || v == 0x7f || v == 0x55 ? 0x2a : v;
}

static inline struct slr_session *fx_session(struct fx *f, uint32_t channels)
{
    char id[SLR_ID_SIZE];
    slr_wall start;
    snprintf(id, sizeof id, "%012llx%020x",
             (unsigned long long)(slr_clock_wall(f->e.clock).ns / SLR_NS_PER_MS),
             ++f->sessions_made);
    struct slr_session_params p = {.session = id, .call = "call", .channels = channels};
    cr_assert_eq(slr_engine_session_open(&f->e, &p, &start), SLR_OK);
    return slr_engine_session_find(&f->e, id);
}

static inline void fx_row(struct slr_pt_map *row, uint8_t pt, const char *name)
{
    memset(row, 0, sizeof *row);
    row->pt = pt;
    row->clock_hz = 8000;
    row->channels = 1;
    snprintf(row->name, sizeof row->name, "%s", name);
}

/* A leg that answered one law (pt 0 or 8), telephone events (101) and comfort noise (13). */
static inline uint32_t fx_leg(struct fx *f, struct slr_session *s, uint32_t channel, uint8_t pt)
{
    struct slr_pt_map rows[3];
    uint32_t slot = slr_engine_leg_slot(&f->e);
    cr_assert_neq(slot, SLR_NONE);
    slr_engine_leg_reset(&f->e, slot);
    struct slr_leg *leg = &f->e.state->leg[slot];
    snprintf(leg->id, sizeof leg->id, "leg-%u", atomic_load(&s->leg_count));
    leg->channel = channel;
    cr_assert_eq(slr_addr_parse("127.0.0.1", &leg->local), SLR_OK);
    cr_assert_eq(slr_addr_parse(FX_PEER, &leg->source), SLR_OK);
    fx_row(&rows[0], pt, pt == 8 ? "PCMA" : "PCMU");
    fx_row(&rows[1], 101, "telephone-event");
    fx_row(&rows[2], 13, "CN");
    cr_assert_eq(slr_leg_codecs_set(leg, rows, 3), SLR_OK);
    slr_leg_codecs_build(&f->e.codecs[slot], leg);
    cr_assert_eq(slr_engine_leg_join(&f->worker, s, slot), SLR_OK);
    return slot;
}

/* Packet number k of a stream of 20 ms packets whose first has ts `ts0` and seq `seq0`. */
static inline struct fx_packet fx_audio(uint32_t ssrc, uint32_t k, uint16_t seq0, uint32_t ts0)
{
    struct fx_packet p = {
        .pt = 8, .seq = (uint16_t)(seq0 + k), .ts = ts0 + k * 160u, .ssrc = ssrc, .len_bytes = 160};
    for (uint32_t i = 0; i < 160; i++) {
        p.at[i] = fx_sample(ssrc, (int64_t)k * 160 + i);
    }
    return p;
}

/* A telephone event (RFC 4733 2.3). */
static inline struct fx_packet fx_event(uint32_t ssrc, uint16_t seq, uint32_t ts, uint8_t event,
                                        uint16_t duration, bool end)
{
    return (struct fx_packet){
        .pt = 101,
        .seq = seq,
        .ts = ts,
        .ssrc = ssrc,
        .len_bytes = 4,
        .at = {event, end ? 0x8a : 0x0a, (uint8_t)(duration >> 8), (uint8_t)duration}};
}

static inline enum slr_verdict fx_rtp_ns(struct fx *f, uint32_t leg, int64_t at_ns,
                                         const struct fx_packet *p)
{
    struct slr_packet pkt = {.at = p->at, .len_bytes = p->len_bytes};
    struct slr_rtp rtp = {.pt = p->pt, .seq = p->seq, .ts = p->ts, .ssrc = p->ssrc};
    rtp.payload = slr_slice_of(p->at, p->len_bytes);
    pkt.arrival = fx_time(at_ns);
    cr_assert_eq(slr_addr_parse(p->src ? p->src : FX_PEER, &pkt.src), SLR_OK);
    slr_clock_advance(f->e.virtual_clock, (slr_wall){FX_START_NS + at_ns});
    atomic_store(&f->e.state->header->alive_ns, FX_START_NS + at_ns);
    slr_placement_drops(&f->worker.place, leg, p->kernel_drops);
    return slr_placement_rtp(&f->worker.place, leg, &pkt, &rtp);
}

static inline enum slr_verdict fx_rtp(struct fx *f, uint32_t leg, int64_t at_ms, struct fx_packet p)
{
    return fx_rtp_ns(f, leg, at_ms * SLR_NS_PER_MS, &p);
}

/* A packet that waits for its stream to be believed is kept like one that is. */
static inline enum slr_verdict fx_kept(enum slr_verdict v)
{
    return v == SLR_VERDICT_PROBATION ? SLR_VERDICT_TAKEN : v;
}

/* Packets [from, to) of a stream that arrive at their own time, the first at `at_ms`. */
static inline void fx_stream(struct fx *f, uint32_t leg, int64_t at_ms, uint32_t ssrc,
                             uint32_t from, uint32_t to)
{
    for (uint32_t k = from; k < to; k++) {
        int64_t at = at_ms + (int64_t)(k - from) * 20;
        enum slr_verdict v = fx_rtp(f, leg, at, fx_audio(ssrc, k, 100, 5000));
        cr_assert_eq(v, SLR_VERDICT_TAKEN, "packet %u: verdict %d", k, (int)v);
    }
}

static inline void fx_clock(struct fx *f, int64_t at_ms)
{
    slr_clock_advance(f->e.virtual_clock, (slr_wall){FX_START_NS + at_ms * SLR_NS_PER_MS});
    atomic_store(&f->e.state->header->alive_ns, FX_START_NS + at_ms * SLR_NS_PER_MS);
}

/* The writer's turn. */
static inline void fx_write(struct fx *f, int64_t at_ms)
{
    fx_clock(f, at_ms);
    cr_assert_eq(slr_writer_step(&f->writer, fx_time(at_ms * SLR_NS_PER_MS)), 0u);
}

/* BYE at that time; written and sealed at once. */
static inline void fx_end(struct fx *f, struct slr_session *s, int64_t at_ms)
{
    fx_clock(f, at_ms);
    cr_assert_eq(slr_engine_session_end(&f->e, s, "bye", INT64_MIN), SLR_OK);
    fx_write(f, at_ms);
    cr_assert_eq(slr_sealer_step(&f->e.sealer), 0u);
    cr_assert_eq(atomic_load(&s->state), (uint32_t)SLR_SESSION_FREE);
}

static inline void fx_pause(struct fx *f, const struct slr_session *s, int64_t at_ms, bool on)
{
    int64_t ticks = 0;
    fx_clock(f, at_ms);
    cr_assert_eq(slr_engine_pause(&f->e, s->id, on, 0, &ticks), SLR_OK);
}

static inline uint64_t fx_counted(const struct fx *f, uint32_t id)
{
    return slr_count_get(&f->worker.counters.at[id]) + slr_count_get(&f->writer.counters.at[id]) +
           slr_count_get(&f->e.sealer.counters.at[id]);
}

#endif

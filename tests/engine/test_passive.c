/*
 * Passive runs: flows of a capture become sessions, with and without anybody asking for them. The
 * fixture's engine is made passive and given packets one by one, as engine_passive.c does.
 */
#include "engine/passive_flow.h"
#include "tests/engine/outcome.h"

#define A 0xaaaa0001u
#define B 0xbbbb0002u
#define PHONE "192.0.2.1:4000"
#define BOX "192.0.2.9:6000"

static void begin_sized(struct fx *f, uint32_t legs)
{
    fx_open_sized(f, legs, 512);
    f->e.passive = true;
    f->worker.place.flow_session.start.ns = FX_START_NS;
    slr_idgen_init_seeded(&f->e.ids, 1);
    f->e.unsignalled_count = slr_leg_codecs_static(f->e.unsignalled, NULL);
    cr_assert_eq(slr_flows_init(&f->e.flows, 64), SLR_OK);
}

static void begin(struct fx *f)
{
    begin_sized(f, 16);
}

static void end(struct fx *f)
{
    slr_flows_fini(&f->e.flows);
    fx_close(f);
}

/* Packet k of a stream, from one address to another. */
static void feed(struct fx *f, int64_t at_ms, uint32_t ssrc, uint32_t k, const char *src,
                 const char *dst)
{
    struct fx_packet p = fx_audio(ssrc, k, 100, 5000);
    struct slr_packet pkt = {.arrival = fx_time(at_ms * SLR_NS_PER_MS)};
    cr_assert_eq(slr_addr_parse(src, &pkt.src), SLR_OK);
    cr_assert_eq(slr_addr_parse(dst, &pkt.dst), SLR_OK);
    struct slr_flow *flow = slr_flow_find(&f->e.flows, &pkt.src, &pkt.dst);
    flow = flow ? flow : slr_passive_new_flow(&f->e, &pkt);
    cr_assert_not_null(flow);
    p.src = src;
    cr_assert_eq(fx_rtp(f, flow->leg, at_ms, p), SLR_VERDICT_TAKEN, "packet %u", k);
}

static void step(struct fx *f, int64_t at_ms)
{
    fx_clock(f, at_ms);
    slr_passive_check_flows(&f->e, fx_time(at_ms * SLR_NS_PER_MS), false);
    fx_write(f, at_ms);
    cr_assert_eq(slr_sealer_step(&f->e.sealer), 0u);
}

static void flush(struct fx *f, int64_t at_ms)
{
    fx_clock(f, at_ms);
    cr_assert_eq(slr_engine_passive_flush(&f->e), SLR_OK);
}

/* Ids of what was sealed, in order. */
static uint32_t sealed(const struct fx *f, const char *id[static 8])
{
    size_t i = 0;
    uint32_t n = 0;
    json_t *ev = NULL;
    json_array_foreach(f->events, i, ev)
    {
        if (strcmp(json_string_value(json_object_get(ev, "ev")), "sealed") == 0 && n < 8) {
            id[n++] = json_string_value(json_object_get(ev, "session"));
        }
    }
    return n;
}

Test(passive, two_directions_make_one_recording)
{
    struct fx f;
    struct fx_result r;
    const char *id[8];
    begin(&f);
    for (uint32_t k = 0; k < 300; k++) {
        feed(&f, 1000 + k * 20, A, k, PHONE, BOX);
        if (k >= 10) {
            feed(&f, 1005 + k * 20, B, k - 10, BOX, PHONE);
        }
        step(&f, 1006 + k * 20);
    }
    flush(&f, 8000);
    cr_assert_eq(sealed(&f, id), 1u);
    fx_result(&f, id[0], &r);
    cr_assert_eq(r.wav.shape.format, SLR_SAMPLE_ALAW);
    fx_assert_audio(&r, 0, 0, 48000, A, 0);
    fx_assert_audio(&r, 1, 1640, 46360, B, 0);
    fx_assert_spans(&r, 0, "received 0+6000, ended 6000+5");
    fx_assert_spans(&r, 1, "absent 0+205, received 205+5800");
    cr_assert_eq(json_integer_value(json_object_get(r.ledger, "start_wall_ns")),
                 FX_START_NS + SLR_NS_PER_S);
    fx_result_free(&r);
    end(&f);
}

/* The recording of the first direction has been written up to a second ago when the other one
 * begins: nothing of that is lost while it is believed. */
Test(passive, the_other_direction_begins_late)
{
    struct fx f;
    struct fx_result r;
    const char *id[8];
    begin(&f);
    for (uint32_t k = 0; k < 600; k++) {
        feed(&f, 1000 + k * 20, A, k, PHONE, BOX);
        if (k >= 400) {
            feed(&f, 1005 + k * 20, B, k - 400, BOX, PHONE);
        }
        step(&f, 1006 + k * 20);
    }
    flush(&f, 14000);
    cr_assert_eq(sealed(&f, id), 1u);
    fx_result(&f, id[0], &r);
    fx_assert_audio(&r, 0, 0, 96000, A, 0);
    fx_assert_audio(&r, 1, 64040, 31960, B, 0);
    fx_assert_spans(&r, 1, "absent 0+8005, received 8005+4000");
    fx_result_free(&r);
    end(&f);
}

/* Media before the session that asks for it: its beginning moves, nothing is lost. */
Test(passive, a_session_claims_what_was_held)
{
    struct fx f;
    struct fx_result r;
    char leg[] = "a";
    begin(&f);
    for (uint32_t k = 0; k < 100; k++) {
        feed(&f, 1000 + k * 20, A, k, PHONE, BOX);
        if (k == 50) {
            struct slr_session *s = fx_session(&f, 2);
            struct slr_leg_answer answer;
            struct slr_leg_params p = {
                .session = s->id, .leg = leg, .pt_count = 1, .passive = true};
            fx_row(&p.pt[0], 8, "PCMA");
            cr_assert_eq(slr_addr_parse(BOX, &p.passive_dst), SLR_OK);
            cr_assert_eq(slr_engine_leg_open(&f.e, &p, &answer), SLR_OK);
        }
        step(&f, 1001 + k * 20);
    }
    const char *id[8];
    flush(&f, 3500);
    cr_assert_eq(sealed(&f, id), 1u);
    fx_result(&f, id[0], &r);
    fx_assert_audio(&r, 0, 0, 16000, A, 0);
    fx_assert_spans(&r, 0, "received 0+2000, ended 2000+500");
    fx_result_free(&r);
    end(&f);
}

/* Two calls at once between the same hosts. */
Test(passive, calls_are_told_apart_by_their_ports)
{
    struct fx f;
    const char *id[8];
    begin(&f);
    for (uint32_t k = 0; k < 200; k++) {
        feed(&f, k * 20, A, k, PHONE, BOX);
        feed(&f, k * 20 + 1, 0x11, k, "192.0.2.1:4002", "192.0.2.9:6002");
        feed(&f, k * 20 + 3, B, k, BOX, PHONE);
        feed(&f, k * 20 + 4, 0x22, k, "192.0.2.9:6002", "192.0.2.1:4002");
        step(&f, k * 20 + 5);
    }
    flush(&f, 5000);
    cr_assert_eq(sealed(&f, id), 2u);
    uint32_t first = 0;
    for (uint32_t i = 0; i < 2; i++) {
        struct fx_result r;
        fx_result(&f, id[i], &r);
        bool is_first =
            fx_byte(&r, 0, 0) == fx_sample(A, 0) && fx_byte(&r, 0, 1) == fx_sample(A, 1);
        first += is_first;
        fx_assert_audio(&r, 0, 0, 32000, is_first ? A : 0x11, 0);
        fx_assert_audio(&r, 1, 24, 32000, is_first ? B : 0x22, 0);
        fx_result_free(&r);
    }
    cr_assert_eq(first, 1u);
    end(&f);
}

/* A few packets are no call; their leg and memory are given back. */
Test(passive, what_is_no_media_is_dropped)
{
    struct fx f;
    const char *id[8];
    begin(&f);
    feed(&f, 0, A, 0, PHONE, BOX);
    feed(&f, 20, A, 1, PHONE, BOX);
    step(&f, 5000);
    cr_assert_eq(fx_counted(&f, SLR_CTR_FLOWS_DROPPED), 1u);
    cr_assert_eq(slr_state_chunks_free(f.e.state), f.chunks);
    flush(&f, 6000);
    cr_assert_eq(sealed(&f, id), 0u);
    end(&f);
}

/* A leg that a session has no place for takes none of the engine's. */
Test(passive, a_leg_that_is_refused_leaves_its_slot)
{
    struct fx f;
    struct slr_leg_answer answer;
    char id[16];
    begin_sized(&f, 32);
    struct slr_session *s = fx_session(&f, 2);
    struct slr_leg_params p = {.session = s->id, .leg = id, .passive = true};
    enum slr_err err = SLR_OK;
    for (uint32_t i = 0; err == SLR_OK; i++) {
        cr_assert_lt(i, f.legs);
        snprintf(id, sizeof id, "leg-%u", i);
        cr_assert_eq(slr_addr_parse(BOX, &p.passive_dst), SLR_OK);
        p.passive_dst.port = (uint16_t)(5000 + 2 * i);
        err = slr_engine_leg_open(&f.e, &p, &answer);
    }
    cr_assert_eq(err, SLR_FULL);
    cr_assert_eq(atomic_load(&s->leg_count), sizeof s->leg / sizeof s->leg[0]);
    for (uint32_t i = 0; i < f.legs; i++) {
        cr_assert_neq(atomic_load(&f.e.state->leg[i].state), (uint32_t)SLR_LEG_SETUP, "%u", i);
    }
    end(&f);
}

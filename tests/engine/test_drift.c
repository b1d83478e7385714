/*
 * Drift: senders whose clocks run slow or fast against ours, through the whole engine in virtual
 * time: what a leg said is never late for it, and what came is in the file.
 */
#include <math.h>

#include "engine/rtcp.h"
#include "tests/engine/undo.h"

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
    int64_t lag_ms = atomic_load(&f.e.state->run[leg].lag_ticks) / FX_MS;
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
    fx_assert_spans(&r, 0, "received 0+14300, clock 14300+5692, ended 19992+8");
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

/* Two parties, each on a clock of its own, through a network with jitter. */
struct party {
    uint32_t ssrc, slot;
    double ppm, base_ms, jitter_ms;
    double step_ms, step_at_s;
    bool reports, talks; /* pauses between words, or noise without end */
    uint8_t pt;          /* 0: PCMA alone; else the leg answered G.722 (9) and PCMA (8) */
    uint32_t next;       /* packet */
    uint64_t seed;
};

struct call {
    struct fx f;
    struct slr_session *s;
    char id[SLR_ID_SIZE];
    struct party *party;
    uint32_t parties;
    double seconds;
    int64_t pause_ns, resume_ns; /* 0: none */
    int64_t resumed_ticks;       /* as it was acknowledged */
    struct fx_result r;
};

static double draw(struct party *p)
{
    p->seed ^= p->seed << 13;
    p->seed ^= p->seed >> 7;
    p->seed ^= p->seed << 17;
    return (double)(p->seed >> 11) / 9007199254740992.0;
}

/* Sample i: words of a second and a half, and half a second of faint noise between. */
static uint8_t voice(const struct party *p, int64_t i)
{
    static const uint8_t faint[] = {0xd5, 0x55, 0xd4, 0x54};
    bool pause = p->talks && i % 16000 >= 12000;
    return pause ? faint[fx_sample(p->ssrc, i) & 3] : fx_sample(p->ssrc, i);
}

/* When sample i was spoken, seconds of true time since the session began. */
static double spoken_s(const struct party *p, int64_t i)
{
    return (double)i / 8000.0 / (1.0 + p->ppm * 1e-6);
}

static void send_report(struct call *c, const struct party *p, uint32_t k, double t_s)
{
    double whole = floor(t_s);
    uint32_t seconds = 3900000000u + (uint32_t)whole;
    uint32_t fraction = (uint32_t)((t_s - whole) * 4294967296.0);
    uint32_t field[7] = {0x80c80006u, p->ssrc, seconds, fraction, 5000 + k * 160, k, k * 160};
    uint8_t at[28];
    for (uint32_t i = 0; i < 28; i++) {
        at[i] = (uint8_t)(field[i / 4] >> (24 - 8 * (i % 4)));
    }
    struct slr_leg *leg = &c->f.e.state->leg[p->slot];
    cr_assert_eq(slr_rtcp_take(leg, slr_slice_of(at, sizeof at), fx_time(0)), SLR_OK);
}

/* Packet k of the party; when it arrives here. */
static int64_t arrival_ns(struct party *p, uint32_t k)
{
    double t = spoken_s(p, (int64_t)k * 160);
    double path = p->base_ms + (p->step_ms != 0.0 && t >= p->step_at_s ? p->step_ms : 0.0);
    return (int64_t)((t + (path + draw(p) * p->jitter_ms) / 1000.0) * 1e9);
}

/* A pause is due, or its end. */
static void turn_pause(struct call *c, int64_t now_ns)
{
    int64_t *due = c->pause_ns ? &c->pause_ns : &c->resume_ns;
    if (*due == 0 || now_ns < *due) {
        return;
    }
    fx_clock(&c->f, *due / SLR_NS_PER_MS);
    cr_assert_eq(slr_engine_pause(&c->f.e, c->id, due == &c->pause_ns, 0, &c->resumed_ticks),
                 SLR_OK);
    *due = 0;
}

/* All packets of both in the order of their coming, and the writer's turn each half second. */
static void run_call(struct call *c, uint32_t die_at_s)
{
    int64_t at[4];
    int64_t write_ns = 0;
    int64_t die_ns = (int64_t)die_at_s * SLR_NS_PER_S;
    for (uint32_t i = 0; i < c->parties; i++) {
        at[i] = arrival_ns(&c->party[i], 0);
    }
    for (;;) {
        uint32_t i = c->parties > 1 && at[1] < at[0] ? 1 : 0;
        struct party *p = &c->party[i];
        if ((double)at[i] >= c->seconds * 1e9) {
            break;
        }
        for (; write_ns < at[i]; write_ns += 250 * SLR_NS_PER_MS) {
            fx_write(&c->f, write_ns / SLR_NS_PER_MS);
        }
        if (die_ns > 0 && at[i] > die_ns) {
            die_ns = 0;
            fx_die(&c->f);
            fx_boot(&c->f);
            c->s = slr_engine_session_find(&c->f.e, c->id);
            cr_assert_not_null(c->s);
        }
        turn_pause(c, at[i]);
        struct fx_packet k = fx_audio(p->ssrc, p->next, 100, 5000);
        k.pt = p->pt ? p->pt : 8;
        for (uint32_t n = 0; n < 160; n++) {
            k.at[n] = voice(p, (int64_t)p->next * 160 + n);
        }
        enum slr_verdict v = fx_rtp_ns(&c->f, p->slot, at[i], &k);
        cr_assert(v == SLR_VERDICT_TAKEN || (v == SLR_VERDICT_SUPPRESSED && c->resumed_ticks),
                  "packet %u of leg %u: verdict %d", p->next, i, (int)v);
        if (p->reports && p->next % 250 == 249) {
            send_report(c, p, p->next, spoken_s(p, (int64_t)p->next * 160));
        }
        p->next++;
        at[i] = arrival_ns(p, p->next);
    }
}

/* A leg that may send PCMA or G.722: the recording is PCM at 16 kHz. */
static uint32_t wide_leg(struct call *c, uint32_t channel)
{
    struct slr_pt_map rows[2];
    uint32_t slot = fx_leg(&c->f, c->s, channel, 8);
    fx_row(&rows[0], 9, "G722");
    fx_row(&rows[1], 8, "PCMA");
    cr_assert_eq(slr_leg_codecs_set(&c->f.e.state->leg[slot], rows, 2), SLR_OK);
    slr_leg_codecs_build(&c->f.e.codecs[slot], &c->f.e.state->leg[slot]);
    return slot;
}

static void begin_call(struct call *c, struct party *party, uint32_t parties, double seconds)
{
    memset(c, 0, sizeof *c);
    c->party = party;
    c->parties = parties;
    c->seconds = seconds;
    fx_open(&c->f);
    c->s = fx_session(&c->f, parties);
    memcpy(c->id, c->s->id, sizeof c->id);
    for (uint32_t i = 0; i < parties; i++) {
        party[i].slot = party[i].pt ? wide_leg(c, i) : fx_leg(&c->f, c->s, i, 8);
        party[i].ssrc = party[i].ssrc ? party[i].ssrc : 0xaaaa0000u + i;
        party[i].seed = 0x9e3779b97f4a7c15u * ((party[i].ssrc & 0xffu) + 3);
        party[i].next = 0;
    }
}

static void end_call(struct call *c)
{
    fx_end(&c->f, c->s, (int64_t)((c->seconds + 0.2) * 1000.0));
    fx_result(&c->f, c->id, &c->r);
}

static void call_done(struct call *c)
{
    fx_result_free(&c->r);
    fx_close(&c->f);
}

/* Every sample that was received is there again once the corrections are taken back. */
static void expect_undone(struct call *c, uint32_t leg)
{
    struct fx_undone u;
    const struct party *p = &c->party[leg];
    fx_undo(&c->r, leg, &u);
    int64_t first = fx_first_received(&c->r, leg);
    for (int64_t i = 0; i < (int64_t)p->next * 160; i++) {
        int16_t want = slr_g711_alaw_to_s16(voice(p, i));
        cr_assert_eq(u.at[first + i], want, "leg %u sample %lld: %d, not %d", leg, (long long)i,
                     u.at[first + i], want);
    }
    fx_undone_free(&u);
}

/* How far the file is from the sender's time, worst of all minutes from the first on. */
static double worst_ms(struct call *c, uint32_t leg)
{
    const struct party *p = &c->party[leg];
    int64_t first = fx_first_received(&c->r, leg);
    double worst = 0.0;
    for (double minute = 1.0; minute * 60.0 < c->seconds; minute += 1.0) {
        int64_t i = (int64_t)(minute * 60.0 * 8000.0 * (1.0 + p->ppm * 1e-6));
        double is = (double)fx_file_frame(&c->r, leg, first + i) / 8000.0;
        double off = fabs(is - spoken_s(p, i) - p->base_ms / 1000.0) * 1000.0;
        worst = off > worst ? off : worst;
    }
    return worst;
}

static void expect_call(struct call *c, double bound_ms)
{
    for (uint32_t i = 0; i < c->parties; i++) {
        double off = worst_ms(c, i);
        expect_undone(c, i);
        cr_expect_lt(off, bound_ms, "leg %u is off by %.2f ms", i, off);
        cr_expect_eq(fx_stream_count(&c->r, i, 0, "late"), 0);
    }
}

#define MINUTES_20 1200.0

/* `make soak` runs four hours of it. */
static double call_seconds(void)
{
    const char *hours = getenv("SLR_DRIFT_HOURS");
    return hours ? strtod(hours, NULL) * 3600.0 : MINUTES_20;
}

Test(drift, two_clocks_and_jitter)
{
    for (int talks = 0; talks < 2; talks++) {
        struct call c;
        struct party party[2] = {{.ppm = 200, .base_ms = 20, .jitter_ms = 50, .talks = talks},
                                 {.ppm = -200, .base_ms = 20, .jitter_ms = 50, .talks = talks}};
        begin_call(&c, party, 2, call_seconds());
        run_call(&c, 0);
        end_call(&c);
        expect_call(&c, 10.0);
        cr_expect_gt(fx_corrections(&c.r, 0), 0);
        cr_expect_gt(fx_corrections(&c.r, 1), 0);
        call_done(&c);
    }
}

/* Decoders with memory and a resampler, cut by the bounds of pieces that corrections move: undone,
 * the audio is what it is for each leg alone, which is never corrected. */
Test(drift, codecs_with_memory)
{
    struct call c;
    struct party party[2] = {
        {.ppm = 400, .base_ms = 20, .jitter_ms = 30, .talks = true, .pt = 9, .ssrc = 0xbb01},
        {.ppm = -400, .base_ms = 20, .jitter_ms = 30, .talks = true, .pt = 8, .ssrc = 0xbb02}};
    begin_call(&c, party, 2, 300.0);
    run_call(&c, 0);
    end_call(&c);
    cr_assert_eq(c.r.wav.shape.sample_hz, 16000u);
    for (uint32_t i = 0; i < 2; i++) {
        struct call alone;
        struct party one = party[i];
        struct fx_undone u;
        uint32_t packets = party[i].next;
        begin_call(&alone, &one, 1, 300.0);
        run_call(&alone, 0);
        end_call(&alone);
        cr_assert_eq(one.next, packets);
        cr_assert_eq(fx_corrections(&alone.r, 0), 0);
        cr_expect_gt(fx_corrections(&c.r, i), 1000);
        fx_undo(&c.r, i, &u);
        int64_t first = fx_first_received(&c.r, i);
        cr_assert_eq(first, fx_first_received(&alone.r, 0));
        for (int64_t k = 0; k < first + (int64_t)packets * 320 - 160; k++) {
            int16_t want = fx_pcm(&alone.r, 0, k);
            cr_assert_eq(u.at[k], want, "leg %u frame %lld: %d, not %d", i, (long long)k, u.at[k],
                         want);
        }
        fx_undone_free(&u);
        call_done(&alone);
    }
    call_done(&c);
}

/* What was acknowledged holds in the file, where the legs have been moved by a tenth of a second.
 */
Test(drift, a_pause_after_corrections)
{
    struct call c;
    struct party party[2] = {{.ppm = 400, .base_ms = 20, .jitter_ms = 20, .talks = true},
                             {.ppm = -400, .base_ms = 20, .jitter_ms = 20, .talks = true}};
    begin_call(&c, party, 2, 330.0);
    c.pause_ns = 300 * SLR_NS_PER_S;
    c.resume_ns = 310 * SLR_NS_PER_S;
    run_call(&c, 0);
    end_call(&c);
    for (uint32_t i = 0; i < 2; i++) {
        size_t k = 0;
        json_t *span = NULL;
        int64_t from = 0;
        int64_t to = 0;
        cr_expect_gt(fx_corrections(&c.r, i), 500);
        json_array_foreach(json_object_get(fx_leg_json(&c.r, i), "spans"), k, span)
        {
            if (fx_span_is(span, "paused")) {
                from = from ? from : fx_span_ticks(span, "start_ticks");
                to = fx_span_ticks(span, "start_ticks") + fx_span_ticks(span, "len_ticks");
            }
        }
        int64_t begins_ms = from / FX_MS - 300000;
        int64_t ends_ms = (to - c.resumed_ticks) / FX_MS;
        cr_expect(begins_ms >= -50 && begins_ms <= 50, "begins at %lld", (long long)begins_ms);
        cr_expect(ends_ms >= -1 && ends_ms <= 21, "ends %lld late", (long long)ends_ms);
        for (int64_t f = from / fx_frame_ticks(&c.r); f < to / fx_frame_ticks(&c.r); f++) {
            cr_assert_eq(fx_byte(&c.r, i, f), 0xd5);
        }
    }
    call_done(&c);
}

Test(drift, over_a_death_of_the_process)
{
    struct call c;
    struct party party[2] = {
        {.ppm = 200, .base_ms = 20, .jitter_ms = 50, .talks = true, .reports = true},
        {.ppm = -200, .base_ms = 20, .jitter_ms = 50, .talks = true, .reports = true}};
    begin_call(&c, party, 2, 600.0);
    run_call(&c, 300);
    end_call(&c);
    expect_call(&c, 10.0);
    cr_expect_gt(fx_corrections(&c.r, 0), 0);
    call_done(&c);
}

/* The media server's clock is off, ours or theirs: both legs alike, and nothing is touched. */
Test(drift, one_clock_for_both_legs)
{
    struct call c;
    struct party party[2] = {{.ppm = -200, .base_ms = 20, .jitter_ms = 20, .talks = true},
                             {.ppm = -200, .base_ms = 20, .jitter_ms = 20, .talks = true}};
    begin_call(&c, party, 2, call_seconds());
    run_call(&c, 0);
    end_call(&c);
    expect_undone(&c, 0);
    expect_undone(&c, 1);
    cr_assert_eq(fx_corrections(&c.r, 0), 0);
    cr_assert_eq(fx_corrections(&c.r, 1), 0);
    call_done(&c);
}

Test(drift, a_single_leg_is_not_touched)
{
    struct call c;
    struct party party[1] = {{.ppm = -300, .base_ms = 20, .jitter_ms = 50, .talks = true}};
    begin_call(&c, party, 1, call_seconds());
    run_call(&c, 0);
    end_call(&c);
    expect_undone(&c, 0);
    cr_assert_eq(fx_corrections(&c.r, 0), 0);
    cr_assert_eq(fx_stream_count(&c.r, 0, 0, "late"), 0);
    call_done(&c);
}

/* The path of one leg grows by 60 ms: that is told in the ledger, and nothing is moved. */
Test(drift, a_step_of_the_path_is_told_and_left_alone)
{
    struct call c;
    struct party party[2] = {
        {.base_ms = 20, .jitter_ms = 10, .talks = true, .step_ms = 60, .step_at_s = 120},
        {.base_ms = 20, .jitter_ms = 10, .talks = true}};
    begin_call(&c, party, 2, 300.0);
    run_call(&c, 0);
    end_call(&c);
    expect_call(&c, 2.0);
    cr_assert_eq(fx_corrections(&c.r, 0), 0);
    json_t *clock = json_object_get(fx_leg_json(&c.r, 0), "clock");
    cr_assert_eq(json_array_size(clock), 1u);
    json_t *note = json_array_get(clock, 0);
    cr_assert_str_eq(json_string_value(json_object_get(note, "kind")), "step");
    cr_assert_str_eq(json_string_value(json_object_get(note, "winner")), "rtp");
    double moved = json_real_value(json_object_get(note, "arrival_ms")) -
                   json_real_value(json_object_get(note, "rtp_ms"));
    cr_assert(moved > 58.0 && moved < 62.0, "%.1f ms", moved);
    call_done(&c);
}

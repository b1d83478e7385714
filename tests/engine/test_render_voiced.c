/*
 * Render, voiced: losses, talk pauses, changes of stream, deaths and late packets where decoders
 * have state.
 */
#include "tests/engine/speech.h"
#include "tests/engine/tones.h"

struct call {
    struct fx f;
    struct slr_session *s;
    char id[SLR_ID_SIZE];
    uint32_t leg;
    struct slr_pt_map rows[2];
    struct sp_party p;
    struct fx_result r;
    int64_t at_ms;
};

/* A call of one leg with this codec at 8 kHz PCM or more. */
static void begin(struct call *c, const char *name, uint32_t clock_hz)
{
    memset(c, 0, sizeof *c);
    fx_open_sized(&c->f, 8, 2048);
    c->s = fx_session(&c->f, 1);
    memcpy(c->id, c->s->id, sizeof c->id);
    sp_row(&c->rows[0], 96, name, clock_hz, 1);
    sp_row(&c->rows[1], 95, "GSM", 8000, 1); /* so that no law is kept */
    c->leg = sp_leg(&c->f, c->s, 0, c->rows, 2);
    sp_begin(&c->p, &c->rows[0], 7, 500);
}

static void restart(struct call *c)
{
    fx_die(&c->f);
    fx_boot(&c->f);
    c->s = slr_engine_session_find(&c->f.e, c->id);
    cr_assert_not_null(c->s);
}

static void talk(struct call *c, int64_t until_ms)
{
    sp_talk(&c->f, c->leg, &c->p, &c->at_ms, until_ms, 20);
}

static void lose(struct call *c, uint32_t packets)
{
    for (; packets > 0; packets--) {
        sp_say(&c->p, 20);
        (void)sp_send(&c->f, c->leg, &c->p, c->at_ms * SLR_NS_PER_MS, false);
        c->at_ms += 20;
        fx_write(&c->f, c->at_ms);
    }
}

static void finish(struct call *c)
{
    fx_end(&c->f, c->s, c->at_ms);
    fx_result(&c->f, c->id, &c->r);
}

static void done(struct call *c)
{
    sp_end(&c->p);
    fx_result_free(&c->r);
    fx_close(&c->f);
}

static int64_t frame_of(const struct call *c, int64_t ms)
{
    return ms * c->r.wav.shape.sample_hz / 1000;
}

/* Frames of [from_ms, to_ms) that are not the reference's. */
static int64_t different(const struct call *c, int64_t from_ms, int64_t to_ms)
{
    int64_t n = 0;
    cr_assert_eq(c->r.wav.shape.sample_hz, c->p.use.sample_hz);
    for (int64_t i = frame_of(c, from_ms); i < frame_of(c, to_ms); i++) {
        n += sp_sample(&c->r, 0, i) != c->p.ref[i];
    }
    return n;
}

static double error_db(const struct call *c, int64_t from_ms, int64_t to_ms)
{
    double e = 1e-9, p = 1e-9;
    for (int64_t i = frame_of(c, from_ms); i < frame_of(c, to_ms); i++) {
        double want = c->p.ref[i];
        double is = sp_sample(&c->r, 0, i);
        e += (is - want) * (is - want);
        p += want * want;
    }
    return 10 * log10(e / p);
}

static double level(const struct call *c, int64_t from_ms, int64_t to_ms)
{
    double all = 0;
    (void)sp_level(&c->r, 0, 500, frame_of(c, from_ms), frame_of(c, to_ms - from_ms), &all);
    return all;
}

/* Losses before, across and after the bound of a piece (500 ms): all are filled, the ledger says
 * how many, and what comes after is at its place. */
static void losses(const char *name, uint32_t clock_hz)
{
    struct call c;
    begin(&c, name, clock_hz);
    talk(&c, 400);
    lose(&c, 1);
    talk(&c, 480);
    lose(&c, 3);
    talk(&c, 1200);
    finish(&c);
    fx_assert_spans(&c.r, 0,
                    "received 0+400, concealed 400+20 (1), received 420+60, "
                    "concealed 480+60 (3), received 540+660");
    cr_assert_eq(different(&c, 0, 400), 0);
    cr_assert_gt(level(&c, 400, 420), 0.05, "%s: %.3f", name, level(&c, 400, 420));
    cr_assert_gt(level(&c, 480, 500), 0.05, "%s: %.3f", name, level(&c, 480, 500));
    cr_assert_gt(level(&c, 700, 1200), 0.2, "%s", name);
    cr_assert_lt(error_db(&c, 900, 1180), -15, "%s: %.1f", name, error_db(&c, 900, 1180));
    json_t *span = json_array_get(json_object_get(fx_leg_json(&c.r, 0), "spans"), 1);
    cr_assert_str_eq(json_string_value(json_object_get(span, "cause")), "lost-network");
    done(&c);
}

Test(render_voiced, losses_are_concealed)
{
    losses("opus", 48000);
    losses("AMR", 8000);
#ifdef SLR_HAVE_G729
    losses("G729", 8000);
#endif
}

/* Where the codec conceals nothing, nothing is made up. */
Test(render_voiced, without_concealment_it_stays_lost)
{
    struct call c;
    begin(&c, "G722", 8000);
    talk(&c, 400);
    lose(&c, 6);
    talk(&c, 1200);
    finish(&c);
    fx_assert_spans(&c.r, 0, "received 0+400, lost-network 400+120 (6), received 520+680");
    cr_assert_eq(different(&c, 0, 400), 0);
    for (int64_t i = frame_of(&c, 400); i < frame_of(&c, 520); i++) {
        cr_assert_eq(sp_sample(&c.r, 0, i), 0);
    }
    done(&c);
}

/* Concealment lasts a second and ends softly; the rest stays lost, and the packets add up. */
Test(render_voiced, a_long_loss)
{
    struct call c;
    begin(&c, "opus", 48000);
    talk(&c, 700);
    c.f.e.window_ticks = c.f.writer.window_ticks = c.f.worker.place.window_ticks = 2 * SLR_TICKS_HZ;
    lose(&c, 80);
    talk(&c, 4200);
    finish(&c);
    fx_assert_spans(&c.r, 0,
                    "received 0+700, concealed 700+1000 (50), lost-network 1700+600 (30), "
                    "received 2300+1900");
    for (int64_t i = frame_of(&c, 1705); i < frame_of(&c, 2280); i++) {
        cr_assert_eq(sp_sample(&c.r, 0, i), 0);
    }
    int16_t last = sp_sample(&c.r, 0, frame_of(&c, 1700) - 1);
    cr_assert(last > -64 && last < 64, "%d", last);
    done(&c);
}

/* The first packets after a talk pause come when what was before it is written, and a later one is
 * there already: nothing was lost, and nothing is made up. */
Test(render_voiced, a_talk_pause_is_no_loss_when_the_packets_after_it_come_late)
{
    struct call c;
    struct sp_party late[3];
    begin(&c, "AMR", 8000);
    talk(&c, 400);
    c.at_ms = 1300;
    c.p.ts += 900 * 8;
    for (uint32_t k = 0; k < 3; k++) {
        sp_say(&c.p, 20);
        late[k] = c.p;
        (void)sp_send(&c.f, c.leg, &c.p, c.at_ms * SLR_NS_PER_MS, false);
        c.at_ms += 20;
    }
    talk(&c, 1600); /* the piece [0, 500) is written */
    for (uint32_t k = 0; k < 3; k++) {
        cr_assert_eq(sp_send(&c.f, c.leg, &late[k], 1600 * SLR_NS_PER_MS, true), SLR_VERDICT_TAKEN);
    }
    talk(&c, 3000);
    finish(&c);
    fx_assert_spans(&c.r, 0, "received 0+400, comfort 400+900, received 1300+1700");
    for (int64_t i = frame_of(&c, 400); i < frame_of(&c, 1300); i++) {
        cr_assert_eq(sp_sample(&c.r, 0, i), 0, "frame %lld", (long long)i);
    }
    done(&c);
}

/* Nor where nobody knows which part of the gap was lost. */
Test(render_voiced, a_loss_with_a_talk_pause_is_not_concealed)
{
    struct call c;
    begin(&c, "AMR", 8000);
    talk(&c, 400);
    lose(&c, 2);
    c.at_ms = 800;
    c.p.ts += 360 * 8;
    talk(&c, 2000);
    finish(&c);
    fx_assert_spans(&c.r, 0, "received 0+400, lost-network 400+400 (2), received 800+1200");
    for (int64_t i = frame_of(&c, 400); i < frame_of(&c, 800); i++) {
        cr_assert_eq(sp_sample(&c.r, 0, i), 0, "frame %lld", (long long)i);
    }
    done(&c);
}

/* A digit takes the voice's place: what is missing after it was said after it, not before. */
Test(render_voiced, losses_after_an_event_are_not_concealed_in_its_place)
{
    struct call c;
    begin(&c, "AMR", 8000);
    struct slr_pt_map rows[2] = {c.rows[0]};
    sp_row(&rows[1], 101, "telephone-event", 8000, 1);
    cr_assert_eq(slr_leg_codecs_set(&c.f.e.state->leg[c.leg], rows, 2), SLR_OK);
    slr_leg_codecs_build(&c.f.e.codecs[c.leg], &c.f.e.state->leg[c.leg]);
    talk(&c, 400);
    uint32_t ts = c.p.ts;
    for (uint16_t k = 1; k <= 5; k++, c.at_ms += 20) {
        struct fx_packet e = fx_event(c.p.ssrc, c.p.seq++, ts, 5, (uint16_t)(k * 160), k == 5);
        cr_assert_eq(fx_rtp(&c.f, c.leg, c.at_ms, e), SLR_VERDICT_EVENT);
        c.p.ts += 160;
    }
    lose(&c, 2);
    talk(&c, 1500);
    finish(&c);
    fx_assert_spans(&c.r, 0,
                    "received 0+400, event 400+100, lost-network 500+40 (2), received 540+960");
    for (int64_t i = frame_of(&c, 400); i < frame_of(&c, 540); i++) {
        cr_assert_eq(sp_sample(&c.r, 0, i), 0, "frame %lld", (long long)i);
    }
    done(&c);
}

/* A call with AMR whose stream may change to PCMA: c->p speaks the one, q the other. */
static void begin_two(struct call *c, struct sp_party *q)
{
    begin(c, "AMR", 8000);
    sp_row(&c->rows[1], 8, "PCMA", 8000, 1);
    cr_assert_eq(slr_leg_codecs_set(&c->f.e.state->leg[c->leg], c->rows, 2), SLR_OK);
    slr_leg_codecs_build(&c->f.e.codecs[c->leg], &c->f.e.state->leg[c->leg]);
    sp_begin(q, &c->rows[1], c->p.ssrc, 500);
}

/* A voice that was changed for a codec without state says nothing more, least of all over it. */
Test(render_voiced, losses_of_another_codec_are_not_concealed_by_the_last_voice)
{
    struct call c;
    struct sp_party q;
    begin_two(&c, &q);
    talk(&c, 300);
    q.seq = c.p.seq;
    q.ts = c.p.ts;
    sp_talk(&c.f, c.leg, &q, &c.at_ms, 400, 20);
    for (uint32_t k = 0; k < 2; k++, c.at_ms += 20) {
        sp_say(&q, 20);
        (void)sp_send(&c.f, c.leg, &q, c.at_ms * SLR_NS_PER_MS, false);
    }
    sp_talk(&c.f, c.leg, &q, &c.at_ms, 1500, 20);
    finish(&c);
    fx_assert_spans(&c.r, 0, "received 0+400, lost-network 400+40 (2), received 440+1060");
    for (int64_t i = 0; i < q.sent_samples; i++) {
        int16_t want = i >= 800 && i < 1120 ? 0 : q.ref[i];
        cr_assert_eq(sp_sample(&c.r, 0, frame_of(&c, 300) + i), want, "frame %lld", (long long)i);
    }
    sp_end(&q);
    done(&c);
}

/* Also where what came between is laid into the file as it is. */
Test(render_voiced, a_codec_that_comes_back_has_a_new_decoder)
{
    struct call c;
    struct sp_party q;
    begin_two(&c, &q);
    talk(&c, 300);
    q.seq = c.p.seq;
    q.ts = c.p.ts;
    sp_talk(&c.f, c.leg, &q, &c.at_ms, 600, 20);
    c.p.seq = q.seq;
    c.p.ts = q.ts;
    sp_restart(&c.p);
    int64_t said = c.p.sent_samples;
    talk(&c, 1500);
    finish(&c);
    fx_assert_spans(&c.r, 0, "received 0+1500");
    for (int64_t i = 0; i < c.p.sent_samples - said; i++) {
        cr_assert_eq(sp_sample(&c.r, 0, frame_of(&c, 600) + i), c.p.ref[said + i], "frame %lld",
                     (long long)i);
    }
    sp_end(&q);
    done(&c);
}

/* A pause of the recording in which packets were lost as well: nothing is filled in it. */
Test(render_voiced, nothing_is_filled_in_a_pause)
{
    struct call c;
    begin(&c, "opus", 48000);
    talk(&c, 700);
    fx_pause(&c.f, c.s, c.at_ms, true);
    lose(&c, 10);
    fx_pause(&c.f, c.s, c.at_ms, false);
    sp_say(&c.p, 20); /* may still be of the pause */
    (void)sp_send(&c.f, c.leg, &c.p, c.at_ms * SLR_NS_PER_MS, true);
    c.at_ms += 20;
    talk(&c, 2000);
    finish(&c);
    for (int64_t i = frame_of(&c, 700); i < frame_of(&c, 880); i++) {
        cr_assert_eq(sp_sample(&c.r, 0, i), 0, "frame %lld", (long long)i);
    }
    done(&c);
}

/* A new stream begins with a decoder of its own. */
Test(render_voiced, a_new_ssrc_has_a_new_decoder)
{
    struct call c;
    begin(&c, "G722", 8000);
    talk(&c, 1000);
    struct sp_party q;
    sp_begin(&q, &c.rows[0], 8, 700);
    c.at_ms += 200;
    int64_t from = c.at_ms;
    sp_talk(&c.f, c.leg, &q, &c.at_ms, 2400, 20);
    finish(&c);
    cr_assert_eq(different(&c, 0, 1000), 0);
    for (int64_t i = 0; i < q.sent_samples; i++) {
        cr_assert_eq(sp_sample(&c.r, 0, from * 16 + i), q.ref[i], "frame %lld", (long long)i);
    }
    sp_end(&q);
    done(&c);
}

/* Two legs with one codec, and one leg with two streams in turn: each has its own state. */
Test(render_voiced, nobody_shares_a_decoder)
{
    struct call c;
    struct sp_party q;
    begin(&c, "G722", 8000);
    uint32_t other = sp_leg(&c.f, c.s, 0, c.rows, 2);
    c.f.e.state->leg[other].channel = 1;
    c.s->channels = 2;
    sp_begin(&q, &c.rows[0], 9, 900);
    for (; c.at_ms < 2000; c.at_ms += 20) {
        sp_say(&c.p, 20);
        sp_say(&q, 20);
        int64_t at_ns = c.at_ms * SLR_NS_PER_MS;
        cr_assert_eq(sp_send(&c.f, c.leg, &c.p, at_ns, true), SLR_VERDICT_TAKEN);
        cr_assert_eq(sp_send(&c.f, other, &q, at_ns, true), SLR_VERDICT_TAKEN);
        fx_write(&c.f, c.at_ms);
    }
    finish(&c);
    cr_assert_eq(c.r.wav.shape.channels, 2u);
    for (int64_t i = 0; i < q.sent_samples; i++) {
        cr_assert_eq(sp_sample(&c.r, 0, i), c.p.ref[i]);
        cr_assert_eq(sp_sample(&c.r, 1, i), q.ref[i]);
    }
    sp_end(&q);
    done(&c);
}

/* Legs of different rates: the same click at the same time lies at the same frame. */
Test(render_voiced, rates_are_aligned_to_the_sample)
{
    struct call c;
    begin(&c, "L16", 16000);
    struct slr_pt_map row;
    struct sp_party q;
    sp_row(&row, 97, "PCMU", 8000, 1);
    uint32_t other = sp_leg(&c.f, c.s, 0, &row, 1);
    c.f.e.state->leg[other].channel = 1;
    c.s->channels = 2;
    sp_begin(&q, &row, 9, 900);
    for (; c.at_ms < 2000; c.at_ms += 20) {
        sp_say(&c.p, 20);
        sp_say(&q, 20);
        bool click = c.at_ms % 500 == 200;
        memset(c.p.payload, 0, c.p.len_bytes);
        memset(q.payload, 0xff, q.len_bytes);
        if (click) {
            c.p.payload[2 * 100] = 0x40;                 /* sample 100 of 16 kHz */
            q.payload[50] = slr_g711_s16_to_ulaw(16384); /* sample 50 of 8 kHz */
        }
        int64_t at_ns = c.at_ms * SLR_NS_PER_MS;
        cr_assert_eq(sp_send(&c.f, c.leg, &c.p, at_ns, true), SLR_VERDICT_TAKEN);
        cr_assert_eq(sp_send(&c.f, other, &q, at_ns, true), SLR_VERDICT_TAKEN);
        fx_write(&c.f, c.at_ms);
    }
    finish(&c);
    for (int64_t ms = 200; ms < 2000; ms += 500) {
        for (uint32_t channel = 0; channel < 2; channel++) {
            int64_t top = 0;
            for (int64_t i = frame_of(&c, ms); i < frame_of(&c, ms + 20); i++) {
                if (abs(sp_sample(&c.r, channel, i)) >
                    abs(sp_sample(&c.r, channel, frame_of(&c, ms) + top))) {
                    top = i - frame_of(&c, ms);
                }
            }
            cr_assert_eq(top, 100, "channel %u: %lld", channel, (long long)top);
        }
    }
    sp_end(&q);
    done(&c);
}

/* The process dies every second: decoders begin anew with what waits in the queue, and are where
 * they were before anything is heard. */
static void deaths(const char *name, uint32_t clock_hz, double most_db)
{
    struct call c;
    begin(&c, name, clock_hz);
    while (c.at_ms < 8000) {
        talk(&c, c.at_ms + 1020);
        restart(&c);
    }
    finish(&c);
    cr_assert_eq(different(&c, 0, 20), 0);
    double db = error_db(&c, 0, c.at_ms);
    cr_assert_lt(db, most_db, "%s: %.1f dB", name, db);
    done(&c);
}

Test(render_voiced, deaths_of_the_process)
{
    deaths("L16", 16000, -80);
    deaths("G722", 8000, -50);
    deaths("opus", 48000, -15);
#ifdef SLR_HAVE_G729
    deaths("G729", 8000, -15);
#endif
}

/* A packet so late that its turn at the decoder is over, but not its place in the file: the next
 * one was looked at already. */
Test(render_voiced, a_packet_after_its_turn)
{
    struct call c;
    struct sp_party late;
    begin(&c, "G722", 8000);
    for (; c.at_ms < 2500; c.at_ms += 20) {
        sp_say(&c.p, 20);
        bool on_time = c.at_ms != 1500;
        late = c.at_ms <= 1500 ? c.p : late;
        (void)sp_send(&c.f, c.leg, &c.p, c.at_ms * SLR_NS_PER_MS, on_time);
    }
    fx_write(&c.f, 2510);
    cr_assert_eq(slr_session_commit(c.s)->frames, 1510u * 16);
    cr_assert_eq(sp_send(&c.f, c.leg, &late, 2511 * SLR_NS_PER_MS, true), SLR_VERDICT_TAKEN);
    talk(&c, 4000);
    finish(&c);
    cr_assert_eq(fx_counted(&c.f, SLR_CTR_DECODED_AGAIN), 1u);
    fx_assert_spans(&c.r, 0, "received 0+1500, lost-network 1500+10 (0), received 1510+2490");
    cr_assert_eq(different(&c, 0, 1500), 0);
    double db = error_db(&c, 1510, 4000);
    cr_assert_lt(db, -60, "%.1f dB", db);
    done(&c);
}

/* Hundreds of streams on one leg: as many voices as there may be, and none left over (ASan). */
Test(render_voiced, many_streams)
{
    struct call c;
    begin(&c, "opus", 48000);
    for (uint32_t k = 0; k < 60; k++) {
        c.p.ssrc = 1000 + k;
        c.p.sent_samples = 0;
        talk(&c, c.at_ms + 200);
        c.at_ms += 2400; /* a slot is used again half a minute after its last packet */
        const struct slr_leg_voices *v = c.f.writer.voices[c.leg];
        for (uint32_t i = 0; v && i < SLR_LEG_VOICES; i++) {
            cr_assert(!v->voice[i] || v->voice[i]->row == 3);
        }
    }
    finish(&c);
    cr_assert_gt(level(&c, 26000, 26200), 0.1);
    done(&c);
}

/* The disk refuses for a while: the piece is made again, with decoders as they were. */
Test(render_voiced, a_piece_is_made_again)
{
    struct call c;
    begin(&c, "G722", 8000);
    talk(&c, 2000);
    int rec_fd = c.f.writer.rec_fd;
    slr_recfile_close(&c.f.e.file[0]);
    c.f.writer.open_count = 0;
    c.f.writer.rec_fd = -1;
    for (uint32_t k = 0; k < 50; k++) {
        sp_say(&c.p, 20);
        cr_assert_eq(sp_send(&c.f, c.leg, &c.p, c.at_ms * SLR_NS_PER_MS, true), SLR_VERDICT_TAKEN);
        c.at_ms += 20;
        (void)slr_writer_step(&c.f.writer, fx_time(c.at_ms * SLR_NS_PER_MS));
    }
    cr_assert_gt(slr_count_get(&c.f.writer.counters.at[SLR_CTR_WRITE_ERRORS]), 0u);
    c.f.writer.rec_fd = rec_fd;
    c.f.writer.error_until_ns = 0;
    talk(&c, 5000);
    finish(&c);
    cr_assert_lt(error_db(&c, 0, 5000), -50);
    done(&c);
}

/* The skew stage leaves some of a piece to the next one, or takes more than was asked for: what was
 * decoded already is not decoded again, and not lost. */
Test(render_voiced, pieces_that_do_not_end_where_they_were_cut)
{
    struct call c;
    struct slr_track track;
    struct slr_render_scratch *scratch = calloc(1, sizeof *scratch);
    struct slr_leg_voices *voices = NULL;
    struct slr_audio_shape shape = {SLR_SAMPLE_S16, 1, 16000};
    uint32_t random = 12345;
    int64_t first = 0;
    begin(&c, "G722", 8000);
    cr_assert_not_null(scratch);
    cr_assert_eq(slr_track_init(&track), SLR_OK);
    for (; c.at_ms < 1000; c.at_ms += 20) {
        sp_say(&c.p, 20);
        cr_assert_eq(sp_send(&c.f, c.leg, &c.p, c.at_ms * SLR_NS_PER_MS, true), SLR_VERDICT_TAKEN);
    }
    while (first < 14000) {
        random = random * 1664525u + 1013904223u;
        uint32_t frames = 400 + (random >> 8) % 1000;
        slr_track_begin(&track, &shape, first, frames);
        struct slr_render r = {.state = c.f.e.state,
                               .session = c.s,
                               .leg_index = c.leg,
                               .codecs = &c.f.e.codecs[c.leg],
                               .voices = &voices,
                               .track = &track,
                               .scratch = scratch,
                               .counters = &c.f.writer.counters};
        slr_render_leg(&r);
        for (uint32_t i = 0; i < frames; i++) {
            int16_t is = 0;
            memcpy(&is, track.at + 2 * i, 2);
            cr_assert_eq(is, c.p.ref[first + i], "frame %lld", (long long)first + i);
        }
        first += frames - random % slr_leg_voices_back_frames(&shape);
        slr_leg_voices_next(voices, first);
    }
    slr_leg_voices_close(voices);
    slr_render_scratch_fini(scratch);
    slr_track_fini(&track);
    free(scratch);
    finish(&c);
    done(&c);
}

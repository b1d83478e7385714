/*
 * Writer: the shape of the file, blocks, catching up, and that deaths between any two of its steps
 * change not a byte.
 */
#include "engine/queue.h"
#include "tests/engine/outcome.h"

#define A 0xaaaa0001u
#define B 0xbbbb0002u

static void feed(struct fx *f, uint32_t leg, int64_t at_ms, uint32_t ssrc, uint32_t k, uint8_t pt)
{
    struct fx_packet p = fx_audio(ssrc, k, 100, 5000);
    p.pt = pt;
    cr_assert_eq(fx_rtp(f, leg, at_ms, p), SLR_VERDICT_TAKEN, "packet %u", k);
}

struct two {
    struct fx f;
    struct slr_session *s;
    uint32_t slot[2];
    char id[SLR_ID_SIZE];
    struct fx_result r;
};

static void begin(struct two *t, uint8_t pt0, uint8_t pt1)
{
    fx_open(&t->f);
    t->s = fx_session(&t->f, 2);
    t->slot[0] = fx_leg(&t->f, t->s, 0, pt0);
    t->slot[1] = fx_leg(&t->f, t->s, 1, pt1);
    memcpy(t->id, t->s->id, sizeof t->id);
}

static void end(struct two *t, int64_t at_ms)
{
    fx_end(&t->f, t->s, at_ms);
    fx_result(&t->f, t->id, &t->r);
}

static void done(struct two *t)
{
    fx_result_free(&t->r);
    fx_close(&t->f);
}

static int16_t pcm(const struct fx_result *r, uint32_t channel, int64_t frame)
{
    int16_t v = 0;
    memcpy(&v, r->data + ((uint64_t)frame * r->wav.shape.channels + channel) * 2, 2);
    return v;
}

Test(writer, two_legs_two_channels)
{
    struct two t;
    begin(&t, 8, 8);
    for (uint32_t k = 0; k < 200; k++) {
        feed(&t.f, t.slot[0], k * 20, A, k, 8);
        feed(&t.f, t.slot[1], k * 20 + 7, B, k, 8);
        fx_write(&t.f, k * 20 + 8);
    }
    end(&t, 4010);
    cr_assert_eq(t.r.wav.shape.channels, 2u);
    fx_assert_audio(&t.r, 0, 0, 32000, A, 0);
    fx_assert_audio(&t.r, 1, 56, 32000, B, 0);
    fx_assert_spans(&t.r, 0, "received 0+4000, ended 4000+10");
    fx_assert_spans(&t.r, 1, "absent 0+7, received 7+4000, ended 4007+3");
    done(&t);
}

Test(writer, one_law_is_kept_two_become_pcm)
{
    struct two t;
    begin(&t, 0, 0);
    feed(&t.f, t.slot[0], 0, A, 0, 0);
    feed(&t.f, t.slot[1], 0, B, 0, 0);
    end(&t, 20);
    cr_assert_eq(t.r.wav.shape.format, SLR_SAMPLE_ULAW);
    fx_assert_audio(&t.r, 0, 0, 160, A, 0);
    done(&t);
    begin(&t, 8, 0);
    feed(&t.f, t.slot[0], 0, A, 0, 8);
    feed(&t.f, t.slot[1], 0, B, 0, 0);
    end(&t, 20);
    cr_assert_eq(t.r.wav.shape.format, SLR_SAMPLE_S16);
    for (uint32_t i = 0; i < 160; i++) {
        cr_assert_eq(pcm(&t.r, 0, i), slr_g711_alaw_to_s16(fx_sample(A, i)));
        cr_assert_eq(pcm(&t.r, 1, i), slr_g711_ulaw_to_s16(fx_sample(B, i)));
    }
    done(&t);
}

/* It joins when the file has its shape: converted into it, at its place. */
Test(writer, a_leg_that_joins_late_with_another_law)
{
    struct fx f;
    struct fx_result r;
    char id[SLR_ID_SIZE];
    fx_open(&f);
    struct slr_session *s = fx_session(&f, 2);
    uint32_t one = fx_leg(&f, s, 0, 8);
    uint32_t two = SLR_NONE;
    memcpy(id, s->id, sizeof id);
    for (uint32_t k = 0; k < 300; k++) {
        feed(&f, one, k * 20, A, k, 8);
        if (k == 150) {
            two = fx_leg(&f, s, 1, 0);
        }
        if (k >= 160) {
            feed(&f, two, k * 20, B, k - 160, 0);
        }
        fx_write(&f, k * 20);
    }
    fx_end(&f, s, 6000);
    fx_result(&f, id, &r);
    cr_assert_eq(r.wav.shape.format, SLR_SAMPLE_ALAW);
    fx_assert_audio(&r, 0, 0, 48000, A, 0);
    fx_assert_silence(&r, 1, 0, 25600);
    for (int64_t i = 0; i < 140 * 160; i++) {
        uint8_t want = slr_g711_s16_to_alaw(slr_g711_ulaw_to_s16(fx_sample(B, i)));
        cr_assert_eq(fx_byte(&r, 1, 25600 + i), want);
    }
    fx_assert_spans(&r, 1, "absent 0+3200, received 3200+2800");
    fx_result_free(&r);
    fx_close(&f);
}

/* Another law is answered in the middle of the call: what waits keeps the meaning it came with. */
Test(writer, a_law_that_changes)
{
    struct two t;
    begin(&t, 8, 8);
    char leg[] = "leg-0";
    struct slr_leg_params p = {
        .session = t.id, .leg = leg, .pt_count = 1, .has = SLR_LEG_HAS_CODECS};
    fx_row(&p.pt[0], 0, "PCMU");
    for (uint32_t k = 0; k < 100; k++) {
        if (k == 50) {
            cr_assert_eq(slr_engine_leg_update(&t.f.e, &p), SLR_OK);
        }
        feed(&t.f, t.slot[0], k * 20, A, k, k < 50 ? 8 : 0);
    }
    end(&t, 2000);
    cr_assert_eq(t.r.wav.shape.format, SLR_SAMPLE_S16); /* known before the first flush */
    cr_assert_eq(pcm(&t.r, 0, 7999), slr_g711_alaw_to_s16(fx_sample(A, 7999)));
    cr_assert_eq(pcm(&t.r, 0, 8000), slr_g711_ulaw_to_s16(fx_sample(A, 8000)));
    done(&t);
}

/* A leg that never says a word, and a session without any. */
Test(writer, silence_is_a_recording_too)
{
    struct two t;
    begin(&t, 8, 8);
    for (uint32_t k = 0; k < 100; k++) {
        feed(&t.f, t.slot[0], k * 20, A, k, 8);
    }
    end(&t, 2000);
    fx_assert_silence(&t.r, 1, 0, 16000);
    fx_assert_spans(&t.r, 1, "absent 0+2000");
    done(&t);
    fx_open(&t.f);
    t.s = fx_session(&t.f, 2);
    memcpy(t.id, t.s->id, sizeof t.id);
    end(&t, 3700);
    cr_assert_eq(t.r.wav.frames, 29600u);
    done(&t);
}

/* BYE overtakes the last packets' ends: none is cut. */
Test(writer, the_last_packet_is_not_cut)
{
    struct two t;
    begin(&t, 8, 8);
    for (uint32_t k = 0; k < 100; k++) {
        feed(&t.f, t.slot[0], k * 20, A, k, 8);
    }
    end(&t, 1981);
    cr_assert_eq(t.r.wav.frames, 16000u);
    fx_assert_audio(&t.r, 0, 0, 16000, A, 0);
    fx_assert_spans(&t.r, 0, "received 0+2000");
    done(&t);
}

/* The disk was away for ten seconds. */
Test(writer, catches_up_after_a_stall)
{
    struct two t;
    begin(&t, 8, 8);
    for (uint32_t k = 0; k < 1000; k++) {
        feed(&t.f, t.slot[0], k * 20, A, k, 8);
        feed(&t.f, t.slot[1], k * 20, B, k, 8);
        if (k < 200 || k > 700) {
            fx_write(&t.f, k * 20);
        }
        if (k == 702) {
            cr_assert_gt(slr_session_written_ticks(t.s), 12500 * FX_MS);
        }
    }
    end(&t, 20000);
    fx_assert_audio(&t.r, 0, 0, 160000, A, 0);
    fx_assert_audio(&t.r, 1, 0, 160000, B, 0);
    fx_assert_spans(&t.r, 0, "received 0+20000");
    cr_assert_eq(slr_state_chunks_free(t.f.e.state), 512u);
    done(&t);
}

/* The disk refuses: nothing is lost, and it goes on where it was. */
Test(writer, a_disk_that_refuses)
{
    struct two t;
    char open_dir[96];
    char away[96];
    begin(&t, 8, 8);
    snprintf(open_dir, sizeof open_dir, "%s/open", t.f.root);
    snprintf(away, sizeof away, "%s/away", t.f.root);
    slr_log_init("test", SLR_LOG_ERROR + 1);
    for (uint32_t k = 0; k < 300; k++) {
        if (k == 0) {
            cr_assert_eq(rename(open_dir, away), 0);
        } else if (k == 200) {
            cr_assert_eq(rename(away, open_dir), 0);
        }
        feed(&t.f, t.slot[0], k * 20, A, k, 8);
        fx_clock(&t.f, k * 20);
        (void)slr_writer_step(&t.f.writer, fx_time(k * 20 * SLR_NS_PER_MS));
    }
    cr_assert_gt(fx_counted(&t.f, SLR_CTR_WRITE_ERRORS), 0u);
    end(&t, 6000);
    fx_assert_audio(&t.r, 0, 0, 48000, A, 0);
    done(&t);
}

/* One sender claims times far ahead, less than a jump each: the file does not grow with it. */
Test(writer, no_hours_of_silence_for_a_sender_that_leaps)
{
    struct two t;
    begin(&t, 8, 8);
    for (uint32_t k = 0; k < 1000; k++) {
        struct fx_packet p = fx_audio(A, k, 100, k * 15000u);
        (void)fx_rtp(&t.f, t.slot[0], k * 20, p);
        fx_write(&t.f, k * 20);
    }
    int64_t highest = atomic_load(&t.f.e.state->run[t.slot[0]].highest_ticks);
    cr_assert_lt(highest, SLR_LEAD_TICKS + ((1 + SLR_LEAD_GAPS) * 20 + 25) * SLR_TICKS_HZ);
    end(&t, 20000);
    cr_assert_leq(t.r.wav.frames, 160000u);
    fx_result_free(&t.r);
    fx_close(&t.f);
    /* alone on its session, where the writer follows the media */
    fx_open(&t.f);
    t.s = fx_session(&t.f, 1);
    uint32_t leg = fx_leg(&t.f, t.s, 0, 8);
    memcpy(t.id, t.s->id, sizeof t.id);
    for (uint32_t k = 0; k < 1000; k++) {
        struct fx_packet p = fx_audio(A, k, 100, k * 15000u);
        (void)fx_rtp(&t.f, leg, k * 20, p);
        fx_write(&t.f, k * 20);
    }
    cr_assert_lt(slr_session_written_ticks(t.s), 160 * SLR_TICKS_HZ);
    end(&t, 20000);
    done(&t);
}

/* One party is sent three times as fast, two minutes ahead of its time in the end: with a talk
 * pause of two seconds in each of 3.5 s, and a packet that is lost now and then. Its places are its
 * own clock's, and nothing of it is cut when the call ends. */
Test(writer, talk_pauses_and_losses_far_ahead_of_time)
{
    struct two t;
    begin(&t, 8, 8);
    uint32_t seq = 0;
    uint32_t lost = 0;
    for (uint32_t k = 0; k < 9000; k++) {
        if (k % 175 < 75) {
            struct fx_packet p = fx_audio(A, k, (uint16_t)(seq++ - k), 5000);
            lost += k % 500 == 20;
            if (k % 500 != 20) {
                cr_assert_eq(fx_rtp(&t.f, t.slot[0], k * 20 / 3, p), SLR_VERDICT_TAKEN, "%u", k);
            }
        }
        if (k % 3 == 0) {
            feed(&t.f, t.slot[1], k * 20 / 3, B, k / 3, 8);
        }
        fx_write(&t.f, k * 20 / 3);
    }
    end(&t, 60000);
    for (uint32_t k = 0; k < 9000; k++) {
        if (k % 175 < 75 && k % 500 != 20) {
            fx_assert_audio(&t.r, 0, k * 160, 160, A, k * 160);
        } else if (k < 8950) {
            fx_assert_silence(&t.r, 0, k * 160, 160);
        }
    }
    cr_assert_gt(lost, 3u);
    cr_assert_eq(fx_stream_count(&t.r, 0, 0, "lost"), lost);
    cr_assert_eq(json_array_size(json_object_get(fx_leg_json(&t.r, 0), "clock")), 1u);
    done(&t);
}

/* Streams sent at four times their rate are written as they come. */
Test(writer, a_sender_faster_than_time)
{
    struct two t;
    begin(&t, 8, 8);
    for (uint32_t k = 0; k < 4000; k++) {
        feed(&t.f, t.slot[0], k * 5, A, k, 8);
        feed(&t.f, t.slot[1], k * 5, B, k, 8);
        fx_write(&t.f, k * 5);
    }
    end(&t, 20000);
    fx_assert_audio(&t.r, 0, 0, 80 * 8000, A, 0);
    fx_assert_audio(&t.r, 1, 0, 80 * 8000, B, 0);
    done(&t);
}

/* One party is sent faster than time, the other one's leg is opened a little later: it is heard
 * from its first packet on, as its time is the wall's. */
Test(writer, a_leg_that_joins_one_faster_than_time_is_not_late)
{
    struct fx f;
    struct fx_result r;
    char id[SLR_ID_SIZE];
    uint32_t second = SLR_NONE;
    fx_open(&f);
    struct slr_session *s = fx_session(&f, 2);
    memcpy(id, s->id, sizeof id);
    uint32_t first = fx_leg(&f, s, 0, 8);
    for (uint32_t k = 0; k < 1000; k++) {
        feed(&f, first, k * 10, A, k, 8); /* twice as fast */
        if (k == 500) {
            second = fx_leg(&f, s, 1, 8);
        }
        if (k >= 500 && k % 2 == 0) {
            feed(&f, second, k * 10 + 1, B, (k - 500) / 2, 8);
        }
        fx_write(&f, k * 10 + 1);
    }
    fx_end(&f, s, 10001);
    fx_result(&f, id, &r);
    fx_assert_audio(&r, 0, 0, 20 * 8000, A, 0);
    fx_assert_audio(&r, 1, 40008, 5 * 8000 - 8, B, 0);
    cr_assert_eq(fx_stream_count(&r, 1, 0, "late"), 0);
    fx_result_free(&r);
    fx_close(&f);
}

/* Files beyond open_max are closed between blocks and opened again where they ended. */
Test(writer, files_beyond_the_limit)
{
    struct fx f;
    struct slr_session *s[8];
    uint32_t leg[8];
    char id[8][SLR_ID_SIZE];
    fx_open(&f);
    f.writer.open_max = 2;
    for (uint32_t i = 0; i < 8; i++) {
        s[i] = fx_session(&f, 1);
        leg[i] = fx_leg(&f, s[i], 0, 8);
        memcpy(id[i], s[i]->id, sizeof id[i]);
    }
    for (uint32_t k = 0; k < 200; k++) {
        for (uint32_t i = 0; i < 8; i++) {
            feed(&f, leg[i], k * 20, A + i, k, 8);
        }
        fx_write(&f, k * 20);
        cr_assert_leq(f.writer.open_count, 3u);
    }
    for (uint32_t i = 0; i < 8; i++) {
        struct fx_result r;
        fx_end(&f, s[i], 4000);
        fx_result(&f, id[i], &r);
        fx_assert_audio(&r, 0, 0, 32000, A + i, 0);
        fx_result_free(&r);
    }
    fx_close(&f);
}

/* Media ahead of time whose last part has another SSRC: the lead is the leg's, and all of it is
 * there. */
Test(writer, a_lead_over_several_streams_is_not_cut)
{
    struct two t;
    begin(&t, 8, 8);
    for (uint32_t k = 0; k < 250; k++) { /* five seconds in half a second */
        (void)fx_rtp(&t.f, t.slot[0], 1000 + k * 2, fx_audio(A, k, 100, 5000));
    }
    for (uint32_t k = 0; k < 20; k++) {
        (void)fx_rtp(&t.f, t.slot[0], 1700 + k * 20, fx_audio(B, k, 7000, 9000));
    }
    end(&t, 2150);
    cr_assert_eq(fx_stream_count(&t.r, 0, 1, "placed"), 20);
    fx_assert_audio(&t.r, 0, (int64_t)t.r.wav.frames - 3200, 3200, B, 0);
    done(&t);
}

/* The same where most of what came ahead of time fell into a pause: the lead is received all the
 * same, and what follows the pause is there. */
Test(writer, a_lead_won_in_a_pause_is_not_cut)
{
    struct two t;
    begin(&t, 8, 8);
    feed(&t.f, t.slot[0], 1000, A, 0, 8);
    fx_pause(&t.f, t.s, 1010, true);
    for (uint32_t k = 1; k < 250; k++) { /* five seconds in one */
        (void)fx_rtp(&t.f, t.slot[0], 1010 + k * 4, fx_audio(A, k, 100, 5000));
    }
    fx_pause(&t.f, t.s, 2020, false);
    for (uint32_t k = 250; k < 260; k++) {
        feed(&t.f, t.slot[0], 2020 + (k - 249) * 20, A, k, 8);
    }
    end(&t, 2230);
    cr_assert_eq(fx_stream_count(&t.r, 0, 0, "placed"), 11);
    fx_assert_audio(&t.r, 0, (int64_t)t.r.wav.frames - 1600, 1600, A, 250LL * 160);
    done(&t);
}

/* Blocks of a second are written once a second, whole, and the journal is only there when a span is
 * over, and open while there are more of them. */
Test(writer, one_write_a_block)
{
    struct two t;
    begin(&t, 8, 8);
    t.f.writer.block_ticks = SLR_TICKS_HZ;
    const struct slr_recfile *file = &t.f.e.file[t.s - t.f.e.state->session];
    const slr_counter *blocks = &t.f.writer.counters.at[SLR_CTR_BLOCKS];
    for (uint32_t k = 0; k < 1000; k++) {
        feed(&t.f, t.slot[0], k * 20, A, k, 8);
        if (k < 400 || (k % 10 != 0 && k < 600) || k >= 600) {
            feed(&t.f, t.slot[1], k * 20, B, k, 8);
        }
        if (k % 12 == 11) { /* in the thread's time of a quarter, about */
            uint64_t before = slr_count_get(blocks);
            fx_write(&t.f, k * 20 + 19);
            cr_assert_leq(slr_count_get(blocks) - before, 1u);
            cr_assert_eq(slr_session_commit(t.s)->frames % 8000, 0u);
            int64_t ms = slr_session_written_ticks(t.s) / FX_MS;
            uint32_t open = ms == 0 ? 0 : (ms > 8000 && ms <= 12000 ? 2 : 1);
            cr_assert_eq(slr_recfile_fds(file), open, "%u at %d", open, (int)ms);
            cr_assert_eq(t.f.writer.open_count, open);
        }
    }
    cr_assert_geq(slr_count_get(blocks), 17u);
    end(&t, 20000);
    fx_assert_audio(&t.r, 0, 0, 160000, A, 0);
    fx_assert_audio(&t.r, 1, 0, 64000, B, 0);
    fx_assert_audio(&t.r, 1, 96000, 64000, B, 96000);
    fx_assert_spans(&t.r, 0, "received 0+20000");
    done(&t);
}

/* Most turns look at the wall alone, and that is enough for a block to be written when it is due.
 */
Test(writer, what_is_due_by_the_wall_does_not_wait)
{
    struct two t;
    begin(&t, 8, 8);
    t.f.writer.block_ticks = SLR_TICKS_HZ;
    cr_assert_leq(slr_writer_nap_ns(&t.f.writer), 63 * SLR_NS_PER_MS);
    for (uint32_t k = 0; k < 500; k++) {
        int64_t now_ms = (int64_t)k * 20 + 19;
        feed(&t.f, t.slot[0], k * 20, A, k, 8);
        feed(&t.f, t.slot[1], k * 20, B, k, 8);
        if (k % 3 == 2) {
            fx_clock(&t.f, now_ms);
            cr_assert_eq(slr_writer_turn(&t.f.writer, fx_time(now_ms * SLR_NS_PER_MS)), 0u);
            int64_t written_ms = slr_session_written_ticks(t.s) / FX_MS;
            cr_assert(now_ms < 2500 || now_ms - written_ms < 2080, "%d at %d", (int)written_ms,
                      (int)now_ms);
        }
    }
    end(&t, 10000);
    fx_assert_audio(&t.r, 0, 0, 80000, A, 0);
    done(&t);
}

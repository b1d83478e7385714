/* Track: samples at their place, notes, corrections, and the way into a block and into spans. */
#include "engine/track.h"
#include "tests/engine/outcome.h"

#define FRAME (SLR_TICKS_HZ / 8000)

struct one {
    struct slr_track t;
    struct slr_audio_shape shape;
    uint8_t block[2 * 2 * 1000];
};

static void begin(struct one *o, enum slr_sample_format format, int64_t first, uint32_t frames)
{
    memset(o, 0, sizeof *o);
    o->shape = (struct slr_audio_shape){format, 2, 8000};
    cr_assert_eq(slr_track_init(&o->t), SLR_OK);
    slr_track_begin(&o->t, &o->shape, first, frames);
}

static void note(struct one *o, int64_t from, int64_t to, enum slr_span_kind kind)
{
    struct slr_note *n = slr_track_note(&o->t);
    cr_assert_not_null(n);
    n->start_ticks = from * FRAME;
    n->end_ticks = to * FRAME;
    n->seq_ext = (int64_t)o->t.note_count;
    n->kind = (uint8_t)kind;
    n->sound = kind == SLR_SPAN_RECEIVED;
}

Test(track, samples_are_clipped_at_both_ends)
{
    static const int16_t pcm[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    struct one o;
    int16_t is[6];
    begin(&o, SLR_SAMPLE_S16, 100, 6);
    slr_track_put_pcm(&o.t, 92, pcm, 8);  /* ends where the track begins */
    slr_track_put_pcm(&o.t, 106, pcm, 8); /* begins where it ends */
    memcpy(is, o.t.at, sizeof is);
    for (int i = 0; i < 6; i++) {
        cr_assert_eq(is[i], 0);
    }
    slr_track_put_pcm(&o.t, 99, pcm, 8); /* longer than the track */
    memcpy(is, o.t.at, sizeof is);
    for (int i = 0; i < 6; i++) {
        cr_assert_eq(is[i], i + 2);
    }
    slr_track_put_pcm(&o.t, 104, pcm, 8);
    slr_track_put_pcm(&o.t, 94, pcm, 8);
    memcpy(is, o.t.at, sizeof is);
    static const int16_t want[6] = {7, 8, 4, 5, 1, 2};
    cr_assert_arr_eq(is, want, 6);
    slr_track_fini(&o.t);
}

Test(track, notes_grow)
{
    struct one o;
    begin(&o, SLR_SAMPLE_ALAW, 0, 10);
    for (uint32_t i = 0; i < 10000; i++) {
        struct slr_note *n = slr_track_note(&o.t);
        cr_assert_not_null(n);
        n->info = i;
    }
    cr_assert_eq(o.t.note_count, 10000u);
    cr_assert_not(o.t.overflow);
    for (uint32_t i = 0; i < 10000; i++) {
        cr_assert_eq(o.t.note[i].info, i);
    }
    slr_track_fini(&o.t);
}

/* Positions before, in and behind what was put in or taken out. */
Test(track, where_frames_come_to_lie)
{
    struct one o;
    static const struct slr_corrections c = {.at = {{110, 5}, {120, -4}, {130, 1}}, .count = 3};
    begin(&o, SLR_SAMPLE_ALAW, 100, 50);
    cr_assert_eq(slr_corrections_frames(&c), 2);
    cr_assert_eq(slr_track_offset(&o.t, &c, 100), 0);
    cr_assert_eq(slr_track_offset(&o.t, &c, 109), 9);
    cr_assert_eq(slr_track_offset(&o.t, &c, 110), 15);
    cr_assert_eq(slr_track_offset(&o.t, &c, 119), 24);
    cr_assert_eq(slr_track_offset(&o.t, &c, 120), 25);
    cr_assert_eq(slr_track_offset(&o.t, &c, 122), 25);
    cr_assert_eq(slr_track_offset(&o.t, &c, 124), 25);
    cr_assert_eq(slr_track_offset(&o.t, &c, 125), 26);
    cr_assert_eq(slr_track_offset(&o.t, &c, 130), 32);
    slr_track_fini(&o.t);
}

/* A leg that follows another one on its channel leaves alone what is not its own. */
Test(track, a_second_leg_on_the_channel)
{
    struct one o;
    static const struct slr_corrections none;
    static const uint8_t a[40] = {1, 2, 3};
    uint8_t b[40];
    begin(&o, SLR_SAMPLE_ALAW, 0, 100);
    memset(o.block, 0xd5, sizeof o.block);
    slr_track_put_law(&o.t, 20, a, 40);
    slr_track_store(&o.t, &none, o.block, 100, false);
    memset(b, 0x77, sizeof b);
    slr_track_begin(&o.t, &o.shape, 0, 100);
    slr_track_put_law(&o.t, 50, b, 40);
    note(&o, 50, 90, SLR_SPAN_RECEIVED);
    note(&o, 90, 95, SLR_SPAN_COMFORT);
    slr_track_store(&o.t, &none, o.block, 100, true);
    for (uint32_t i = 0; i < 100; i++) {
        uint8_t want = i < 20 || i >= 90 ? 0xd5 : (i < 50 ? a[i - 20] : 0x77);
        cr_assert_eq(o.block[i], want, "frame %u", i);
    }
    slr_track_fini(&o.t);
}

struct spans {
    struct one o;
    struct slr_session *s;
    struct slr_leg *leg;
    struct slr_span_buffer buffer;
    struct slr_span_run run;
};

static struct spans *spans_begin(void)
{
    struct spans *x = calloc(1, sizeof *x);
    cr_assert_not_null(x);
    x->s = calloc(1, sizeof *x->s);
    x->leg = calloc(1, sizeof *x->leg);
    cr_assert(x->s && x->leg);
    begin(&x->o, SLR_SAMPLE_ALAW, 0, 1000);
    x->s->shape = x->o.shape;
    x->run = (struct slr_span_run){.buffer = &x->buffer, .session = x->s, .leg = x->leg};
    x->run.cursor.last_stream = SLR_NONE;
    return x;
}

static void expect(struct spans *x, uint32_t i, enum slr_span_kind kind, int64_t start, int64_t len)
{
    cr_assert_lt(i, x->buffer.count);
    const struct slr_span *s = &x->buffer.at[i].span;
    cr_assert_eq(s->kind, kind, "span %u: %s", i, slr_span_name((enum slr_span_kind)s->kind));
    cr_assert_eq(s->start_ticks, start * FRAME, "span %u: %lld", i,
                 (long long)(s->start_ticks / FRAME));
    cr_assert_eq(s->len_ticks, len * FRAME, "span %u: %lld", i, (long long)(s->len_ticks / FRAME));
}

static void spans_end(struct spans *x)
{
    slr_track_fini(&x->o.t);
    free(x->buffer.at);
    free(x->s);
    free(x->leg);
    free(x);
}

/* 160 frames in, then 80 out: file time is 160, then 80 ahead of leg time, over the bounds of
 * pieces; intervals of the session's clock are found where they are in the file. */
Test(track, spans_follow_corrections)
{
    struct spans *x = spans_begin();
    static const struct slr_corrections first = {.at = {{200, 160}}, .count = 1};
    static const struct slr_corrections none;
    static const struct slr_corrections second = {
        .at = {{1200, -80}}, .count = 1, .removed = {7, -7}};
    note(&x->o, 0, 400, SLR_SPAN_RECEIVED);
    note(&x->o, 400, 900, SLR_SPAN_RECEIVED);
    slr_spans_track(&x->run, &x->o.t, &first, 840 * FRAME);
    cr_assert_eq(x->run.cursor.at_ticks, 840 * FRAME);
    cr_assert_eq(x->run.cursor.corr_ticks, 160 * FRAME);
    slr_track_begin(&x->o.t, &x->o.shape, 840, 100);
    note(&x->o, 400, 900, SLR_SPAN_RECEIVED);
    slr_spans_track(&x->run, &x->o.t, &none, 940 * FRAME);
    slr_intervals_open(&x->leg->holds, 1110 * FRAME);
    slr_intervals_close(&x->leg->holds, 1160 * FRAME);
    slr_track_begin(&x->o.t, &x->o.shape, 940, 1000);
    note(&x->o, 1000, 1400, SLR_SPAN_RECEIVED);
    slr_spans_track(&x->run, &x->o.t, &second, 1940 * FRAME);
    cr_assert_eq(x->run.cursor.corr_ticks, 80 * FRAME);
    slr_spans_finish(&x->run, 1600 * FRAME);
    expect(x, 0, SLR_SPAN_RECEIVED, 0, 200);
    expect(x, 1, SLR_SPAN_CORRECTED, 200, 160);
    expect(x, 2, SLR_SPAN_RECEIVED, 360, 700);
    expect(x, 3, SLR_SPAN_COMFORT, 1060, 50);
    expect(x, 4, SLR_SPAN_HOLD, 1110, 50);
    expect(x, 5, SLR_SPAN_RECEIVED, 1160, 200);
    expect(x, 6, SLR_SPAN_CORRECTED, 1360, 0); /* and what was taken out behind it */
    cr_assert_eq(x->buffer.at[6].span.info, 80u);
    cr_assert_eq(x->buffer.at[7].samples, (uint32_t)SLR_SPAN_SAMPLES);
    cr_assert_eq(x->buffer.at[7].sample[0], 7);
    cr_assert_eq(x->buffer.at[7].sample[1], -7);
    cr_assert_eq(x->buffer.at[13].samples, 80u % (uint32_t)SLR_SPAN_SAMPLES);
    expect(x, 14, SLR_SPAN_RECEIVED, 1360, 120);
    expect(x, 15, SLR_SPAN_ENDED, 1480, 120);
    cr_assert_eq(x->buffer.count, 16u);
    spans_end(x);
}

/* Concealed losses of one cause are one span and their packets add up; others stay apart. */
Test(track, concealed_spans_join_by_cause)
{
    struct spans *x = spans_begin();
    static const struct slr_corrections none;
    static const uint8_t cause[] = {SLR_SPAN_LOST_NETWORK, SLR_SPAN_LOST_NETWORK,
                                    SLR_SPAN_LOST_KERNEL, 0};
    for (uint32_t i = 0; i < 4; i++) {
        note(&x->o, i * 160, (i + 1) * 160, SLR_SPAN_CONCEALED);
        x->o.t.note[i].cause = cause[i];
        x->o.t.note[i].info = cause[i] ? i + 1 : 0;
    }
    slr_spans_track(&x->run, &x->o.t, &none, 1000 * FRAME);
    slr_spans_finish(&x->run, 640 * FRAME);
    expect(x, 0, SLR_SPAN_CONCEALED, 0, 320);
    expect(x, 1, SLR_SPAN_CONCEALED, 320, 160);
    expect(x, 2, SLR_SPAN_CONCEALED, 480, 160);
    cr_assert_eq(x->buffer.count, 3u);
    cr_assert_eq(x->buffer.at[0].span.info, 3u);
    cr_assert_eq(x->buffer.at[1].span.info, 3u);
    cr_assert_eq(x->buffer.at[2].span.info, 0u);
    spans_end(x);
}

/* Any number of channels, either size of sample. */
Test(track, planes_make_a_block)
{
    uint8_t planes[3][64];
    uint8_t block[3 * 64];
    const uint8_t *plane[3] = {planes[0], planes[1], planes[2]};
    for (size_t i = 0; i < sizeof planes; i++) {
        ((uint8_t *)planes)[i] = (uint8_t)(i * 7);
    }
    for (uint32_t channels = 1; channels <= 3; channels++) {
        for (int wide = 0; wide < 2; wide++) {
            struct slr_audio_shape shape = {wide ? SLR_SAMPLE_S16 : SLR_SAMPLE_ULAW, channels,
                                            8000};
            uint32_t bytes = wide ? 2 : 1;
            uint32_t frames = 31;
            slr_track_join(&shape, plane, frames, block);
            for (uint32_t i = 0; i < frames * channels; i++) {
                cr_assert_eq(
                    memcmp(block + i * bytes, planes[i % channels] + i / channels * bytes, bytes),
                    0, "%u channels, sample %u", channels, i);
            }
        }
    }
}

/* What is heard follows what is laid in, in each format. */
Test(track, samples_as_pcm)
{
    static const enum slr_sample_format formats[] = {SLR_SAMPLE_ALAW, SLR_SAMPLE_ULAW,
                                                     SLR_SAMPLE_S16};
    static const int16_t pcm[3] = {8, 16000, -16000};
    for (size_t k = 0; k < 3; k++) {
        struct one o;
        begin(&o, formats[k], 0, 100);
        cr_assert_leq(abs(slr_track_pcm(&o.t)[50]), 8);
        slr_track_put_pcm(&o.t, 50, pcm, 3);
        cr_assert_leq(abs(slr_track_pcm(&o.t)[50] - 8), 8);
        cr_assert_leq(abs(slr_track_pcm(&o.t)[51] - 16000), 512);
        cr_assert_leq(abs(slr_track_pcm(&o.t)[52] + 16000), 512);
        slr_track_begin(&o.t, &o.shape, 0, 100);
        cr_assert_leq(abs(slr_track_pcm(&o.t)[51]), 8);
        slr_track_fini(&o.t);
    }
}

Test(track, packets_that_share_a_note)
{
    struct slr_note n = {.start_ticks = -10, .end_ticks = 30, .seq_ext = 65534, .more = 3};
    cr_assert_eq(slr_note_last_seq(&n), 65537);
    cr_assert_eq(slr_note_dur(&n), 10);
    static const uint32_t more[] = {0, 0, 1, 1, 2, 2, 3, 3, 3};
    for (int64_t at = -9; at <= 31; at += 5) {
        cr_assert_eq(slr_note_more_before(&n, at), more[(at + 9) / 5], "%d", (int)at);
    }
    n.more = 0;
    cr_assert_eq(slr_note_dur(&n), 40);
    cr_assert_eq(slr_note_more_before(&n, 31), 0u);
}

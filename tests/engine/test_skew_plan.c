/*
 * Skew plan: where samples are put in and taken out. Over random tracks: what is done can be taken
 * back, is as much as is told, and stays away from what must not be touched.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "codecs/codec.h"
#include "engine/render.h"
#include "engine/skew_plan.h"
#include "storage/ledger.h"

#define HZ 8000u
#define FRAME (SLR_TICKS_HZ / HZ)
#define FRAMES 4000u
#define SPARE 160u
#define CELL 80u

struct one {
    struct slr_track t;
    struct slr_audio_shape shape;
    struct slr_skew_level level;
    struct slr_corrections c;
    int16_t before[FRAMES + SPARE];
    int64_t barred_from, barred_to; /* frames */
};

static bool barred(const void *ctx, int64_t start_ticks, int64_t end_ticks)
{
    const struct one *o = ctx;
    return start_ticks < o->barred_to * FRAME && end_ticks > o->barred_from * FRAME;
}

static struct one *begin(enum slr_sample_format format, int64_t first, uint32_t spare)
{
    struct one *o = calloc(1, sizeof *o);
    cr_assert_not_null(o);
    o->shape = (struct slr_audio_shape){format, 2, HZ};
    cr_assert_eq(slr_track_init(&o->t), SLR_OK);
    slr_track_begin(&o->t, &o->shape, first, FRAMES + spare);
    return o;
}

static void end(struct one *o)
{
    slr_track_fini(&o->t);
    free(o);
}

static struct slr_note *note(struct one *o, int64_t from, int64_t to, enum slr_span_kind kind)
{
    struct slr_note *n = slr_track_note(&o->t);
    cr_assert_not_null(n);
    n->start_ticks = (o->t.first_frame + from) * FRAME;
    n->end_ticks = (o->t.first_frame + to) * FRAME;
    n->seq_ext = (int64_t)o->t.note_count;
    n->kind = (uint8_t)kind;
    n->sound = kind == SLR_SPAN_RECEIVED;
    return n;
}

static int16_t at(const struct one *o, int64_t frame)
{
    int16_t v = 0;
    if (o->shape.format == SLR_SAMPLE_ALAW) {
        return slr_g711_alaw_to_s16(o->t.at[frame]);
    }
    if (o->shape.format == SLR_SAMPLE_ULAW) {
        return slr_g711_ulaw_to_s16(o->t.at[frame]);
    }
    memcpy(&v, o->t.at + frame * 2, 2);
    return v;
}

/* Packets of 20 ms, [from, to) frames; size: of the samples. */
static void speak(struct one *o, int64_t from, int64_t to, int size)
{
    int16_t pcm[160];
    for (int64_t k = from; k < to; k += 160) {
        for (uint32_t i = 0; i < 160; i++) {
            pcm[i] =
                (int16_t)(rand_r(&(unsigned){(unsigned)(k + i) * 7919u + 1u}) % (2 * size + 1) -
                          size);
        }
        slr_track_put_pcm(&o->t, o->t.first_frame + k, pcm, 160);
        note(o, k, k + 160, SLR_SPAN_RECEIVED);
    }
}

static void plan(struct one *o, int64_t want, bool urgent)
{
    struct slr_skew_job job = {
        .want_ticks = want * FRAME, .urgent = urgent, .barred = barred, .ctx = o};
    for (uint32_t i = 0; i < o->t.frames; i++) {
        o->before[i] = at(o, i);
    }
    slr_skew_plan(&o->level, &o->t, FRAMES, &job, &o->c);
}

/* The corrected track, and the list, give back what was there before. */
static void expect_undone(const struct one *o)
{
    int64_t from = 0; /* corrected */
    int64_t back = 0; /* before */
    uint32_t removed = 0;
    for (uint32_t i = 0; i <= o->c.count; i++) {
        int64_t until = i < o->c.count ? o->c.at[i].at_frame - o->t.first_frame
                                       : (int64_t)FRAMES - slr_corrections_frames(&o->c);
        for (; back < until; back++, from++) {
            cr_assert_eq(at(o, from), o->before[back], "frame %lld", (long long)back);
        }
        for (int32_t n = 0; i < o->c.count && n < -o->c.at[i].frames; n++, back++) {
            cr_assert_eq(o->c.removed[removed++], o->before[back]);
        }
        from += i < o->c.count && o->c.at[i].frames > 0 ? o->c.at[i].frames : 0;
    }
    cr_assert_eq(from, (int64_t)FRAMES);
    cr_assert_eq(removed, o->c.removed_count);
}

static bool touches(const struct one *o, int64_t from, int64_t to)
{
    for (uint32_t i = 0; i < o->c.count; i++) {
        int64_t a = o->c.at[i].at_frame - o->t.first_frame;
        int64_t n = o->c.at[i].frames < 0 ? -o->c.at[i].frames : 0;
        if (a + n > from && a < to) {
            return true;
        }
    }
    return false;
}

Test(skew_plan, silence_first)
{
    static const int64_t want[] = {20, -20, 60, -60};
    for (uint32_t i = 0; i < 4; i++) {
        struct one *o = begin(SLR_SAMPLE_S16, 5000, SPARE);
        speak(o, 0, 1600, 8000);
        speak(o, 1600, 2400, 3); /* a tenth of a second of silence */
        speak(o, 2400, FRAMES + SPARE, 8000);
        plan(o, want[i], false);
        cr_assert_eq(slr_corrections_frames(&o->c), want[i]);
        cr_assert_not(touches(o, 0, 1600 + CELL / 2));
        cr_assert_not(touches(o, 2400 - CELL / 2, FRAMES + SPARE));
        expect_undone(o);
        end(o);
    }
}

Test(skew_plan, speech_only_when_it_is_urgent)
{
    struct one *o = begin(SLR_SAMPLE_ALAW, 0, SPARE);
    speak(o, 0, FRAMES + SPARE, 8000);
    plan(o, -64, false);
    cr_assert_eq(o->c.count, 0u);
    expect_undone(o);
    for (int sign = -1; sign <= 1; sign += 2) {
        plan(o, sign * 64, true);                               /* 8 ms */
        cr_assert_eq(slr_corrections_frames(&o->c), sign * 16); /* back to 6 ms */
        for (uint32_t i = 0; i < o->c.count; i++) {
            cr_assert_eq(abs(o->c.at[i].frames), 1);
            cr_assert(i == 0 || o->c.at[i].at_frame - o->c.at[i - 1].at_frame >= CELL);
        }
        expect_undone(o);
        slr_track_begin(&o->t, &o->shape, 0, FRAMES + SPARE);
        speak(o, 0, FRAMES + SPARE, 8000);
    }
    end(o);
}

/* The leg's own noise counts as silence, once speech was heard that is far above it. */
static void hear_a_while(struct one *o)
{
    for (int turn = 0; turn < 4; turn++) {
        slr_track_begin(&o->t, &o->shape, 0, FRAMES);
        speak(o, 0, 2400, 8000);
        speak(o, 2400, FRAMES, 100);
        plan(o, 0, false);
        cr_assert_eq(o->c.count, 0u);
    }
}

Test(skew_plan, faint_noise_is_silence_to_who_knows_the_leg)
{
    struct one *o = begin(SLR_SAMPLE_S16, 0, 0);
    speak(o, 0, 2400, 8000);
    speak(o, 2400, FRAMES, 100);
    plan(o, 20, false);
    uint32_t at_first = o->c.count;
    hear_a_while(o);
    slr_track_begin(&o->t, &o->shape, 0, FRAMES);
    speak(o, 0, 2400, 8000);
    speak(o, 2400, FRAMES, 100);
    plan(o, 20, false);
    cr_assert_eq(at_first, 0u);
    cr_assert_eq(slr_corrections_frames(&o->c), 20);
    cr_assert_not(touches(o, 0, 2400));
    end(o);
}

/* A talk pause that the sender announced is silence; one that is a loss is not known to be. */
Test(skew_plan, gaps)
{
    for (int lost = 0; lost < 2; lost++) {
        struct one *o = begin(SLR_SAMPLE_ALAW, 0, SPARE);
        speak(o, 0, 1600, 8000);
        uint32_t before = o->t.note_count;
        speak(o, 3200, FRAMES + SPARE, 8000);
        for (uint32_t i = before; i < o->t.note_count; i++) {
            o->t.note[i].seq_ext += lost;
        }
        plan(o, -60, false);
        cr_assert_eq(slr_corrections_frames(&o->c), lost ? 0 : -60);
        expect_undone(o);
        end(o);
    }
}

Test(skew_plan, hands_off)
{
    static const enum slr_span_kind kind[] = {SLR_SPAN_PAUSED, SLR_SPAN_EVENT, SLR_SPAN_CONCEALED};
    for (uint32_t k = 0; k < 3; k++) {
        struct one *o = begin(SLR_SAMPLE_ALAW, 0, SPARE);
        speak(o, 0, 160, 8000);
        note(o, 160, FRAMES, kind[k]);
        note(o, FRAMES, FRAMES + 160, SLR_SPAN_RECEIVED);
        plan(o, 40, true);
        cr_assert_not(touches(o, 160, FRAMES));
        end(o);
    }
    struct one *o = begin(SLR_SAMPLE_ALAW, 800, SPARE);
    speak(o, 0, FRAMES + SPARE, 1);
    o->barred_from = 800 + 1000;
    o->barred_to = 800 + 2000;
    plan(o, -150, true);
    cr_assert_eq(slr_corrections_frames(&o->c), -150);
    cr_assert_not(touches(o, 1000, 2000));
    expect_undone(o);
    end(o);
}

/* mu-law has two zeroes: the one that the ledger could not give back is not taken out. */
Test(skew_plan, negative_zero_of_mu_law_stays)
{
    struct one *o = begin(SLR_SAMPLE_ULAW, 0, SPARE);
    memset(o->t.at, 0x7f, FRAMES + SPARE);
    for (int64_t k = 0; k < (int64_t)(FRAMES + SPARE); k += 160) {
        note(o, k, k + 160, SLR_SPAN_RECEIVED);
    }
    plan(o, -64, true);
    cr_assert_eq(o->c.count, 0u);
    plan(o, 64, false);
    cr_assert_eq(slr_corrections_frames(&o->c), 64);
    end(o);
}

/* Whatever lies in the track: it can be undone, in order, one direction, and no more than wanted.
 */
Test(skew_plan, anything_can_be_taken_back)
{
    for (unsigned seed = 1; seed <= 3000; seed++) {
        unsigned x = seed * 2654435761u;
        enum slr_sample_format format = rand_r(&x) % 2 ? SLR_SAMPLE_ALAW : SLR_SAMPLE_S16;
        struct one *o = begin(format, rand_r(&x) % 100000, SPARE);
        int64_t k = rand_r(&x) % 160;
        while (k + 1600 < (int64_t)FRAMES) {
            int64_t len = 160 * (1 + rand_r(&x) % 9);
            switch (rand_r(&x) % 4) {
            case 0:
                note(o, k, k + len, rand_r(&x) % 2 ? SLR_SPAN_COMFORT : SLR_SPAN_EVENT);
                break;
            case 1:
                break; /* a gap */
            default:
                speak(o, k, k + len, rand_r(&x) % 3 ? 9000 : 4);
                break;
            }
            k += len;
        }
        note(o, k, FRAMES + SPARE, SLR_SPAN_RECEIVED);
        int64_t want = rand_r(&x) % 321 - 160;
        plan(o, want, rand_r(&x) % 2);
        int64_t done = slr_corrections_frames(&o->c);
        cr_assert(want < 0 ? done <= 0 && done >= want : done >= 0 && done <= want,
                  "seed %u: %lld of %lld", seed, (long long)done, (long long)want);
        for (uint32_t i = 1; i < o->c.count; i++) {
            cr_assert_gt(o->c.at[i].at_frame, o->c.at[i - 1].at_frame, "seed %u", seed);
        }
        expect_undone(o);
        end(o);
    }
}

/*
 * check_sound: see the header.
 */
#include "load/check_sound.h"

#include <stdlib.h>
#include <string.h>

#define QUIET 64 /* samples up to this count as silence */
#define ANCHOR_TRIES 16u
#define GLANCE 32

struct work {
    const struct slr_check_leg *c;
    const struct slr_check_track *t;
    struct slr_check_result *r;
    const int16_t *at;
    int64_t samples, frame_samples;
};

static bool sent(const struct slr_check_leg *c, uint32_t frame)
{
    struct slr_fate fate;
    slr_impair_fate(c->impair, c->voice->row->comfort, c->call, c->leg, frame, &fate);
    return fate.talk && !fate.dropped;
}

static const int16_t *sound_of(const struct work *w, uint32_t frame)
{
    struct slr_mark m = {w->c->run_id, w->c->call, w->c->leg, frame};
    return slr_voice_sound(w->c->voice, slr_voice_place(w->c->voice, &m));
}

/* Share of the power that differs, percent; above 100 where it is something else. */
static double differs(const struct work *w, int64_t pos, const int16_t *want)
{
    double power = 1;
    double other = 0;
    if (pos < 0 || pos + w->frame_samples > w->samples) {
        return 1000;
    }
    for (int64_t i = 0; i < w->frame_samples; i++) {
        double d = (double)w->at[pos + i] - want[i];
        power += (double)want[i] * want[i];
        other += d * d;
    }
    return 100.0 * other / power;
}

/* Whether that sound lies there. Most of what does not is told by its beginning. */
static bool lies_at(const struct work *w, int64_t pos, const int16_t *want)
{
    double power = 1;
    double other = 0;
    if (pos < 0 || pos + w->frame_samples > w->samples) {
        return false;
    }
    for (int64_t i = 0; i < GLANCE; i++) {
        double d = (double)w->at[pos + i] - want[i];
        power += (double)want[i] * want[i];
        other += d * d;
    }
    return other < power && differs(w, pos, want) <= SLR_SOUND_DIFFERENT_PERCENT;
}

static bool is_quiet(const struct work *w, int64_t from, int64_t to)
{
    from = from < 0 ? 0 : from;
    to = to > w->samples ? w->samples : to;
    for (int64_t i = from; i < to; i++) {
        if (abs(w->at[i]) > QUIET) {
            return false;
        }
    }
    return true;
}

/* Frames since the last hole, or the beginning. */
static uint32_t settled(const struct work *w, uint32_t frame)
{
    uint32_t n = 0;
    while (n <= SLR_SOUND_SETTLE && n < frame && sent(w->c, frame - n - 1)) {
        n++;
    }
    return n;
}

/* The best of the places near the one that the clocks give. */
static bool find_anchor(struct work *w, int64_t search)
{
    uint32_t tried = 0;
    for (uint32_t f = SLR_SOUND_SETTLE; f < w->c->frames && tried < ANCHOR_TRIES; f++) {
        if (!sent(w->c, f) || settled(w, f) < SLR_SOUND_SETTLE) {
            continue;
        }
        const int16_t *want = sound_of(w, f);
        int64_t place = w->c->expect + f * w->frame_samples;
        double best = SLR_SOUND_DIFFERENT_PERCENT;
        int64_t at = INT64_MIN;
        tried++;
        for (int64_t off = -search; off <= search; off++) {
            double d = differs(w, place + off, want);
            if (d < best) {
                best = d;
                at = off;
            }
        }
        if (at != INT64_MIN) {
            w->r->anchor = w->c->expect + at;
            return true;
        }
    }
    w->r->anchor = w->c->expect;
    return false;
}

/* Nothing of the leg is there: sets the anchor so that what is there instead can be told. */
static void find_other(struct work *w)
{
    for (uint32_t f = SLR_SOUND_SETTLE; f < w->c->frames; f++) {
        int64_t place = w->c->expect + f * w->frame_samples;
        if (!sent(w->c, f) || settled(w, f) < SLR_SOUND_SETTLE ||
            is_quiet(w, place, place + w->frame_samples)) {
            continue;
        }
        for (uint32_t i = 0; i < slr_voice_places(w->c->voice); i++) {
            for (int64_t off = -w->frame_samples / 2; off < w->frame_samples / 2; off++) {
                if (lies_at(w, place + off, slr_voice_sound(w->c->voice, i))) {
                    w->r->anchor = w->c->expect + off;
                    return;
                }
            }
        }
        return;
    }
}

static void blame(struct work *w, int64_t place)
{
    w->r->lost++;
    for (size_t i = 0; i < w->t->span_count; i++) {
        const struct slr_check_span *s = &w->t->span[i];
        int64_t middle = place + w->frame_samples / 2;
        if (middle >= s->start && middle < s->start + s->len && s->kind < SLR_KIND_COUNT &&
            s->kind != SLR_KIND_RECEIVED) {
            w->r->lost_by[s->kind]++;
            return;
        }
    }
    w->r->lost_unsaid++;
}

/* What is there instead: another frame of this leg, or of the loop of another one. */
static void judge(struct work *w, uint32_t frame, int64_t place)
{
    const struct slr_voice *v = w->c->voice;
    struct slr_mark m = {w->c->run_id, w->c->call, w->c->leg, frame};
    uint32_t own = slr_voice_place(v, &m);
    for (uint32_t i = 0; i < slr_voice_places(v); i++) {
        if (lies_at(w, place, slr_voice_sound(v, i))) {
            uint32_t apart = (i + slr_voice_places(v) - own) % slr_voice_places(v);
            bool near = apart < 32 || apart > slr_voice_places(v) - 32;
            *(near ? &w->r->misplaced : &w->r->leaked) += 1;
            return;
        }
    }
    w->r->damaged++;
}

static void check_frame(struct work *w, uint32_t frame)
{
    int64_t place = w->r->anchor + frame * w->frame_samples;
    w->r->expected++;
    if (is_quiet(w, place, place + w->frame_samples)) {
        blame(w, place);
    } else if (settled(w, frame) < SLR_SOUND_SETTLE ||
               differs(w, place, sound_of(w, frame)) <= SLR_SOUND_DIFFERENT_PERCENT) {
        w->r->found++;
    } else {
        judge(w, frame, place);
    }
}

enum slr_err slr_check_sound(const struct slr_check_leg *c, const struct slr_check_track *t,
                             struct slr_check_result *r)
{
    struct work w = {.c = c,
                     .t = t,
                     .r = r,
                     .samples = (int64_t)t->samples,
                     .frame_samples = c->voice->frame_samples};
    memset(r, 0, sizeof *r);
    r->first_bad = c->frames;
    if (t->format != SLR_SAMPLE_S16 || c->voice->row->exact) {
        return SLR_UNSUPPORTED;
    }
    int16_t *copy = malloc(t->samples * sizeof *copy + 1);
    if (!copy) {
        return SLR_NOMEM;
    }
    memcpy(copy, t->at, t->samples * sizeof *copy);
    w.at = copy;
    r->anchored = find_anchor(&w, w.frame_samples) || find_anchor(&w, c->search / 4);
    if (!r->anchored) {
        find_other(&w);
    }
    for (uint32_t f = 0; f < c->frames; f++) {
        uint64_t found = r->found;
        if (sent(c, f)) {
            check_frame(&w, f);
            r->first_bad = r->found == found && f < r->first_bad ? f : r->first_bad;
        }
    }
    int64_t end = r->anchor + c->frames * w.frame_samples;
    if (!is_quiet(&w, 0, r->anchor) || !is_quiet(&w, end + w.frame_samples, w.samples)) {
        r->damaged++;
    }
    free(copy);
    return SLR_OK;
}

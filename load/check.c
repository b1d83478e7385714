/*
 * check: see the header. The first pass compares; only where something is amiss a second one looks
 * for watermarks everywhere.
 */
#include "load/check.h"

#include <stdlib.h>
#include <string.h>

#define ANCHOR_FRAMES 256u /* that are tried to find out where the leg begins */

enum state { NOT_SENT, MISSING, FOUND, DAMAGED, MISPLACED };

struct work {
    const struct slr_check_leg *c;
    const struct slr_check_track *t;
    struct slr_check_result *r;
    uint8_t *state; /* by frame */
    size_t bytes;   /* of a sample */
    int64_t frame_samples;
    uint8_t silence; /* each byte of silence */
    uint64_t noise;  /* samples that are not silent where nothing was sent */
    uint8_t want[SLR_VOICE_MAX_SAMPLES * 2];
};

static bool sent(const struct slr_check_leg *c, uint32_t frame)
{
    struct slr_fate fate;
    slr_impair_fate(c->impair, c->voice->row->comfort, c->call, c->leg, frame, &fate);
    return fate.talk && !fate.dropped;
}

uint64_t slr_check_expected(const struct slr_check_leg *c)
{
    uint64_t n = 0;
    for (uint32_t frame = 0; frame < c->frames; frame++) {
        n += sent(c, frame);
    }
    return n;
}

static bool want_frame(struct work *w, const struct slr_mark *m)
{
    return slr_voice_want(w->c->voice, m, w->t->format, w->want);
}

static struct slr_mark own_mark(const struct work *w, uint32_t frame)
{
    return (struct slr_mark){w->c->run_id, w->c->call, w->c->leg, frame};
}

/* Is what want holds at that sample? */
static bool is_at(const struct work *w, int64_t pos)
{
    return pos >= 0 && (uint64_t)pos + (uint64_t)w->frame_samples <= w->t->samples &&
           memcmp(w->t->at + (size_t)pos * w->bytes, w->want,
                  (size_t)w->frame_samples * w->bytes) == 0;
}

/* Samples of [from, to) that are not silent. */
static uint64_t noise_in(const struct work *w, int64_t from, int64_t to)
{
    uint64_t n = 0;
    from = from < 0 ? 0 : from;
    to = to > (int64_t)w->t->samples ? (int64_t)w->t->samples : to;
    for (int64_t i = from; i < to; i++) {
        const uint8_t *at = w->t->at + (size_t)i * w->bytes;
        n += at[0] != w->silence || at[w->bytes - 1] != w->silence;
    }
    return n;
}

/* Where the leg begins, by the first frame that is found near its place. */
static bool find_anchor(struct work *w)
{
    uint32_t tried = 0;
    for (uint32_t frame = 0; frame < w->c->frames && tried < ANCHOR_FRAMES; frame++) {
        struct slr_mark m = own_mark(w, frame);
        if (!sent(w->c, frame)) {
            continue;
        }
        tried++;
        if (!want_frame(w, &m)) {
            return false;
        }
        int64_t place = w->c->expect + frame * w->frame_samples;
        for (int64_t off = 0; off <= w->c->search; off++) {
            if (is_at(w, place + off) || is_at(w, place - off)) {
                w->r->anchor = w->c->expect + (is_at(w, place + off) ? off : -off);
                return true;
            }
        }
    }
    w->r->anchor = w->c->expect;
    return false;
}

static void compare(struct work *w)
{
    int64_t silent_from = 0;
    for (uint32_t frame = 0; frame < w->c->frames; frame++) {
        struct slr_mark m = own_mark(w, frame);
        int64_t place = w->r->anchor + frame * w->frame_samples;
        w->state[frame] = sent(w->c, frame) ? MISSING : NOT_SENT;
        if (w->state[frame] == NOT_SENT) {
            continue;
        }
        w->r->expected++;
        w->noise += noise_in(w, silent_from, place);
        silent_from = place + w->frame_samples;
        if (want_frame(w, &m) && is_at(w, place)) {
            w->state[frame] = FOUND;
            w->r->found++;
        } else if (frame < w->r->first_bad) {
            w->r->first_bad = frame;
        }
    }
    w->noise += noise_in(w, silent_from, (int64_t)w->t->samples);
}

/* A mark was found at `pos`. Gives how far to go on. */
static int64_t judge(struct work *w, const struct slr_mark *m, int64_t pos)
{
    bool own = m->call == w->c->call && m->leg == w->c->leg && m->frame < w->c->frames;
    bool whole = want_frame(w, m) && is_at(w, pos);
    if (!own) {
        w->r->leaked++;
    } else if (pos != w->r->anchor + m->frame * w->frame_samples) {
        w->r->misplaced++;
        if (w->state[m->frame] == MISSING) {
            w->state[m->frame] = MISPLACED;
        }
    } else if (!whole && w->state[m->frame] == MISSING) {
        w->state[m->frame] = DAMAGED;
    }
    return whole ? w->frame_samples : 1;
}

static void find_marks(struct work *w)
{
    uint8_t bytes[SLR_MARK_BYTES];
    struct slr_mark m;
    int64_t pos = 0;
    while ((uint64_t)pos < w->t->samples &&
           slr_voice_mark_at(w->c->voice, w->t->format, w->t->at + (size_t)pos * w->bytes,
                             w->t->samples - (size_t)pos, bytes)) {
        pos += slr_mark_find(bytes, w->c->run_id, &m) ? judge(w, &m, pos) : 1;
    }
}

static void blame(struct work *w, int64_t place)
{
    for (size_t i = 0; i < w->t->span_count; i++) {
        const struct slr_check_span *s = &w->t->span[i];
        int64_t middle = place + w->frame_samples / 2;
        if (middle >= s->start && middle < s->start + s->len) {
            if (s->kind < SLR_KIND_COUNT && s->kind != SLR_KIND_RECEIVED) {
                w->r->lost_by[s->kind]++;
                return;
            }
            break;
        }
    }
    w->r->lost_unsaid++;
}

static void sum_up(struct work *w)
{
    for (uint32_t frame = 0; frame < w->c->frames; frame++) {
        int64_t place = w->r->anchor + frame * w->frame_samples;
        if (w->state[frame] == DAMAGED) {
            w->r->damaged++;
        } else if (w->state[frame] == MISSING) {
            if (noise_in(w, place, place + w->frame_samples) > 0) {
                w->r->damaged++;
            } else {
                w->r->lost++;
                blame(w, place);
            }
        }
    }
    /* sound that nobody sent, and that bears no mark */
    if (w->noise > 0 && w->r->misplaced == 0 && w->r->leaked == 0) {
        w->r->damaged += (w->noise + (uint64_t)w->frame_samples - 1) / (uint64_t)w->frame_samples;
    }
}

static uint8_t silence_of(enum slr_sample_format format)
{
    return format == SLR_SAMPLE_ALAW ? 0xd5 : format == SLR_SAMPLE_ULAW ? 0xff : 0;
}

enum slr_err slr_check_leg(const struct slr_check_leg *c, const struct slr_check_track *t,
                           struct slr_check_result *r)
{
    struct work w = {.c = c,
                     .t = t,
                     .r = r,
                     .bytes = slr_sample_bytes(t->format),
                     .frame_samples = c->voice->frame_samples,
                     .silence = silence_of(t->format)};
    struct slr_mark first = own_mark(&w, 0);
    memset(r, 0, sizeof *r);
    r->first_bad = c->frames;
    if (!want_frame(&w, &first)) {
        return SLR_UNSUPPORTED;
    }
    w.state = calloc((size_t)c->frames + 1, 1);
    if (!w.state) {
        return SLR_NOMEM;
    }
    r->anchored = find_anchor(&w);
    compare(&w);
    if (r->found < r->expected || w.noise > 0) {
        find_marks(&w);
        sum_up(&w);
    }
    free(w.state);
    return SLR_OK;
}

/*
 * skew_plan: see the header. Writer thread, or a test; no allocation.
 */
#include "engine/skew_plan.h"

#include <stdlib.h>
#include <string.h>

#include "codecs/codec.h"
#include "codecs/pcm.h"
#include "engine/render.h"
#include "storage/ledger.h"

#define CELLS_PER_S 100u
#define CELLS_MAX 128u
#define LOOK_HZ 2600u
#define LEARN_CELLS 50u /* so many must be heard before anything but silence itself is quiet */

#define DIGITAL_SILENCE 8.0f /* mean size that nobody hears, whatever else is said */
#define QUIET_OF_NOISE 1.8f
#define QUIET_OF_SPEECH 0.12f

/* In speech, one sample each so many cells. */
#define URGENT_CELLS 2u

/* USED: corrected already. */
enum cell { BARRED, SPEECH, USED, QUIET, EMPTY };

struct plan {
    struct slr_track *track;
    const struct slr_skew_job *job;
    struct slr_corrections *out;
    int64_t tpf;
    bool open; /* nothing is barred anywhere */
    uint32_t frames;
    uint32_t cell_frames, cells;
    uint8_t cell[CELLS_MAX]; /* enum cell */
    int64_t left;            /* frames, as the job's want */
};

static int32_t sample(const struct slr_track *t, uint32_t i)
{
    int16_t v = 0;
    switch (t->shape.format) {
    case SLR_SAMPLE_ALAW:
        return slr_g711_alaw_to_s16(t->at[i]);
    case SLR_SAMPLE_ULAW:
        return slr_g711_ulaw_to_s16(t->at[i]);
    case SLR_SAMPLE_S16:
        break;
    }
    memcpy(&v, t->at + (size_t)i * 2, 2);
    return v;
}

/* Mean size of every stride-th sample of each cell. */
static void sizes_of(const struct plan *p, uint32_t stride, float *size)
{
    uint32_t sum[CELLS_MAX];
    slr_pcm()->sizes(slr_track_pcm(p->track), p->cell_frames, p->cells, stride, sum);
    for (uint32_t c = 0; c < p->cells; c++) {
        size[c] = (float)sum[c] * (float)stride / (float)p->cell_frames;
    }
}

/* The noise is the least of the last seconds, speech the most. */
static void learn(struct slr_skew_level *l, float size)
{
    if (l->cells == 0) {
        l->noise = l->speech = size;
    }
    l->noise = size < l->noise ? size : l->noise * 1.002f + 0.01f;
    l->speech = size > l->speech ? size : l->speech * 0.9995f;
    l->cells += l->cells < UINT32_MAX;
}

static bool is_quiet(const struct slr_skew_level *l, float size)
{
    if (size <= DIGITAL_SILENCE) {
        return true;
    }
    return l->cells > LEARN_CELLS && size <= l->noise * QUIET_OF_NOISE &&
           size <= l->speech * QUIET_OF_SPEECH;
}

static int64_t ticks_of(const struct plan *p, uint32_t cell)
{
    int64_t frame = p->track->first_frame + (int64_t)cell * p->cell_frames;
    return frame * p->tpf;
}

/* Notes that touch the cell say what it is: all of it sound of one kind, no record at all, or hands
 * off. */
static enum cell kind_of(const struct plan *p, uint32_t cell, uint32_t *first_note)
{
    const struct slr_track *t = p->track;
    int64_t from = ticks_of(p, cell);
    int64_t to = ticks_of(p, cell + 1);
    int64_t sound_to = from;
    int kind = -1;
    while (*first_note + 1 < t->note_count && t->note[*first_note].end_ticks <= from) {
        ++*first_note;
    }
    for (uint32_t i = *first_note; i < t->note_count && t->note[i].start_ticks < to; i++) {
        const struct slr_note *n = &t->note[i];
        if (n->end_ticks <= from && n->start_ticks < from) {
            continue;
        }
        bool sound = n->kind == SLR_SPAN_COMFORT || n->kind == SLR_SPAN_RECEIVED;
        if (sound && (kind < 0 || kind == n->kind)) {
            kind = n->kind;
            sound_to =
                n->start_ticks <= sound_to && n->end_ticks > sound_to ? n->end_ticks : sound_to;
        } else {
            return BARRED;
        }
    }
    if (!p->open && p->job->barred(p->job->ctx, from, to)) {
        return BARRED;
    }
    return kind >= 0 ? (sound_to >= to ? SPEECH : BARRED) : EMPTY;
}

/* A gap may only be touched where it is known to be none of a loss: between two records that the
 * sender sent one after the other. */
static bool gap_is_pause(const struct plan *p, int64_t at_ticks)
{
    const struct slr_track *t = p->track;
    const struct slr_note *before = NULL;
    for (uint32_t i = 0; i < t->note_count; i++) {
        const struct slr_note *n = &t->note[i];
        if (n->start_ticks >= at_ticks) {
            return before && before->stream == n->stream &&
                   n->seq_ext == slr_note_last_seq(before) + 1;
        }
        before = n;
    }
    return false;
}

/* Of the last packet that stays in the block, whatever is inserted. */
static int64_t last_start(const struct plan *p)
{
    const struct slr_track *t = p->track;
    int64_t last = INT64_MIN;
    int64_t end = t->first_frame + (int64_t)p->frames - (p->left > 0 ? p->left : 0);
    int64_t end_ticks = end * p->tpf;
    for (uint32_t i = 0; i < t->note_count; i++) {
        const struct slr_note *n = &t->note[i];
        if (n->start_ticks < end_ticks) {
            last = n->start_ticks + slr_note_more_before(n, end_ticks) * slr_note_dur(n);
        }
    }
    return last;
}

/* What each cell is; learns on the way. Cells from the last packet on are left alone. */
static void look(struct plan *p, struct slr_skew_level *level)
{
    const struct slr_track *t = p->track;
    float size[CELLS_MAX];
    uint32_t note = 0;
    int64_t last = last_start(p);
    sizes_of(p, 1, size);
    for (uint32_t c = 0; c < p->cells; c++) {
        enum cell kind = t->note_count > 0 ? kind_of(p, c, &note) : BARRED;
        if (kind == SPEECH) {
            learn(level, size[c]);
            kind = is_quiet(level, size[c]) ? QUIET : SPEECH;
        } else if (kind == EMPTY && !gap_is_pause(p, ticks_of(p, c))) {
            kind = BARRED;
        }
        p->cell[c] = (uint8_t)(ticks_of(p, c + 1) <= last ? kind : BARRED);
    }
}

/* Where sound goes on for long: how many cells from there on it fills, all else being out of the
 * question. 0: ask for each. */
static uint32_t filled_cells(const struct plan *p, uint32_t cell, uint32_t first_note)
{
    const struct slr_track *t = p->track;
    const struct slr_note *n = &t->note[first_note];
    int64_t from = ticks_of(p, cell);
    bool sound = n->kind == SLR_SPAN_RECEIVED && n->start_ticks <= from && n->end_ticks > from;
    bool last = first_note + 1 == t->note_count;
    if (!p->open || !sound || (!last && n[1].start_ticks < n->end_ticks)) {
        return 0;
    }
    int64_t cells = (n->end_ticks - from) / (p->cell_frames * p->tpf);
    return cells < (int64_t)(p->cells - cell) ? (uint32_t)cells : p->cells - cell;
}

/* Where nothing is to be done a look at some of the samples will do. */
static void glance(const struct plan *p, struct slr_skew_level *level)
{
    const struct slr_track *t = p->track;
    uint32_t stride = t->shape.sample_hz / LOOK_HZ;
    float size[CELLS_MAX];
    uint32_t note = 0;
    if (t->note_count == 0) {
        return;
    }
    sizes_of(p, stride ? stride : 1, size);
    for (uint32_t c = 0; c < p->cells;) {
        bool speech = kind_of(p, c, &note) == SPEECH;
        uint32_t count = speech ? filled_cells(p, c, note) : 0;
        for (uint32_t end = c + (count > 0 ? count : 1); c < end; c++) {
            if (speech) {
                learn(level, size[c]);
            }
        }
    }
}

/* mu-law has two zeroes, of which the ledger's samples know one. */
static bool can_remove(const struct slr_track *t, uint32_t from, uint32_t count)
{
    return t->shape.format != SLR_SAMPLE_ULAW || !memchr(t->at + from, 0x7f, count);
}

/* Notes one correction; false: no room for more. */
static bool note(struct plan *p, uint32_t at, int32_t frames)
{
    struct slr_corrections *c = p->out;
    if (c->count == SLR_CORRECTIONS) {
        return false;
    }
    if (frames < 0) {
        uint32_t n = (uint32_t)-frames;
        if (c->removed_count + n > SLR_REMOVED || !can_remove(p->track, at, n)) {
            return false;
        }
        c->removed_count += n;
    }
    c->at[c->count++] = (struct slr_correction){p->track->first_frame + at, frames};
    p->left -= frames;
    return true;
}

/* The middle of every stretch of quiet cells: a little in each, all of it where there is nothing.
 */
static void use_silence(struct plan *p)
{
    for (uint32_t c = 1; c + 1 < p->cells && p->left != 0; c++) {
        bool inside = p->cell[c - 1] >= USED && p->cell[c] >= QUIET && p->cell[c + 1] >= QUIET;
        if (!inside) {
            continue;
        }
        uint32_t most = p->cell[c] == EMPTY ? p->cell_frames : p->cell_frames / 4;
        int64_t n = p->left < 0 ? -p->left : p->left;
        n = n < (int64_t)most ? n : (int64_t)most;
        if (note(p, c * p->cell_frames, p->left < 0 ? (int32_t)-n : (int32_t)n)) {
            p->cell[c] = USED;
        }
    }
}

/* Where in the cell a sample more or less is heard least. */
static uint32_t least_heard(const struct plan *p, uint32_t cell)
{
    const struct slr_track *t = p->track;
    uint32_t best = cell * p->cell_frames + 1;
    int32_t least = INT32_MAX;
    for (uint32_t i = best; i + 1 < (cell + 1) * p->cell_frames; i++) {
        /* inserting repeats i; removing makes i - 1 and i + 1 neighbours */
        int32_t d = abs(sample(t, i) - sample(t, i - 1));
        d += p->left < 0 ? abs(sample(t, i + 1) - sample(t, i)) : 0;
        if (d < least && can_remove(t, i, 1)) {
            least = d;
            best = i;
        }
    }
    return best;
}

/* In speech: single samples, until the error is back within the bound. */
static void use_speech(struct plan *p)
{
    int64_t tpf = slr_ticks_per_frame(&p->track->shape);
    int64_t enough = (SLR_SKEW_URGENT_TICKS - SLR_TICKS_HZ / 1000) / tpf;
    for (uint32_t c = 0; c < p->cells; c += URGENT_CELLS) {
        if (llabs(p->left) <= enough) {
            return;
        }
        if (p->cell[c] == SPEECH || p->cell[c] == QUIET) {
            (void)note(p, least_heard(p, c), p->left < 0 ? -1 : 1);
        }
    }
}

/* In order of place: silence and speech were gone through one after the other. */
static int by_place(const void *a, const void *b)
{
    const struct slr_correction *x = a;
    const struct slr_correction *y = b;
    return (x->at_frame > y->at_frame) - (x->at_frame < y->at_frame);
}

static void keep_removed(struct plan *p)
{
    struct slr_corrections *c = p->out;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < c->count; i++) {
        uint32_t at = (uint32_t)(c->at[i].at_frame - p->track->first_frame);
        for (int32_t k = 0; k < -c->at[i].frames; k++) {
            c->removed[kept++] = (int16_t)sample(p->track, at + (uint32_t)k);
        }
    }
}

/* What is inserted: the same again, or silence where there is none to repeat. */
static void fill(uint8_t *to, const uint8_t *from, uint32_t before, uint32_t n, uint32_t bytes,
                 uint8_t silence)
{
    if (n == 1) {
        memcpy(to, from, bytes);
    } else if (n <= before) {
        memcpy(to, from - (size_t)n * bytes, (size_t)n * bytes);
    } else {
        memset(to, silence, (size_t)n * bytes);
    }
}

/* Makes the track what the list says. Backwards where it grows, so that nothing is overwritten that
 * is still to be moved: a list holds corrections of one direction. */
static void apply(struct plan *p)
{
    struct slr_track *t = p->track;
    const struct slr_corrections *c = p->out;
    uint32_t bytes = slr_sample_bytes(t->shape.format);
    int64_t shift = slr_corrections_frames(c);
    uint32_t end = p->frames;
    t->is_pcm = false;
    if (shift < 0) {
        uint32_t to = (uint32_t)(c->at[0].at_frame - t->first_frame);
        for (uint32_t i = 0; i < c->count; i++) {
            uint32_t n = (uint32_t)-c->at[i].frames;
            uint32_t from = (uint32_t)(c->at[i].at_frame - t->first_frame) + n;
            uint32_t until = i + 1 < c->count ? (uint32_t)(c->at[i + 1].at_frame - t->first_frame)
                                              : (uint32_t)((int64_t)p->frames - shift);
            memmove(t->at + (size_t)to * bytes, t->at + (size_t)from * bytes,
                    (size_t)(until - from) * bytes);
            to += until - from;
        }
        return;
    }
    for (uint32_t i = c->count; i > 0; i--) {
        uint32_t n = (uint32_t)c->at[i - 1].frames;
        uint32_t at = (uint32_t)(c->at[i - 1].at_frame - t->first_frame);
        uint32_t moved = at + (uint32_t)shift; /* where what follows it belongs */
        uint32_t count = end > moved ? end - moved : 0;
        memmove(t->at + (size_t)moved * bytes, t->at + (size_t)at * bytes, (size_t)count * bytes);
        fill(t->at + (size_t)(moved - n) * bytes, t->at + (size_t)at * bytes, at, n, bytes,
             slr_render_silence_byte(t->shape.format));
        end = moved - n;
        shift -= n;
    }
}

void slr_skew_plan(struct slr_skew_level *level, struct slr_track *track, uint32_t frames,
                   const struct slr_skew_job *job, struct slr_corrections *out)
{
    struct plan p = {.track = track,
                     .job = job,
                     .out = out,
                     .tpf = slr_ticks_per_frame(&track->shape),
                     .frames = frames};
    out->count = 0;
    out->removed_count = 0;
    p.cell_frames = track->shape.sample_hz / CELLS_PER_S;
    p.cells = frames / p.cell_frames;
    p.cells = p.cells < CELLS_MAX ? p.cells : CELLS_MAX;
    p.left = job->want_ticks / slr_ticks_per_frame(&track->shape);
    int64_t spare = (int64_t)track->frames - (int64_t)frames;
    p.left = p.left < -spare ? -spare : p.left;
    p.left = p.left > (int64_t)frames / 2 ? (int64_t)frames / 2 : p.left;
    p.open = !job->barred || !job->barred(job->ctx, ticks_of(&p, 0), ticks_of(&p, p.cells));
    if (p.left == 0) {
        glance(&p, level);
        return;
    }
    look(&p, level);
    use_silence(&p);
    if (job->urgent) {
        use_speech(&p);
        qsort(out->at, out->count, sizeof out->at[0], by_place);
    }
    if (out->count > 0) {
        keep_removed(&p);
        apply(&p);
    }
}

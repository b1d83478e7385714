/*
 * cuts: a sweep over the bounds of all spans that can be cut. Sealer thread.
 */
#include "engine/cuts.h"

#include <stdlib.h>

/* A span's start or end. */
struct bound {
    int64_t at_ticks;
    int8_t empty, paused; /* +1 at a start, -1 at an end */
};

struct sweep {
    struct bound *bound;
    size_t count, size;
    int64_t ticks_per_frame;
    struct slr_ledger_cut *cut;
    uint32_t cut_count;
};

static bool is_empty(uint8_t kind)
{
    return kind == SLR_SPAN_PAUSED || kind == SLR_SPAN_ABSENT || kind == SLR_SPAN_ENDED ||
           kind == SLR_SPAN_HOLD;
}

static enum slr_err add_span(struct sweep *s, const struct slr_span *span)
{
    if (!is_empty(span->kind) || span->len_ticks <= 0) {
        return SLR_OK;
    }
    if (s->count + 2 > s->size) {
        size_t size = s->size ? s->size * 2 : 64;
        struct bound *bound = realloc(s->bound, size * sizeof *bound);
        if (!bound) {
            return SLR_NOMEM;
        }
        s->bound = bound;
        s->size = size;
    }
    int8_t paused = span->kind == SLR_SPAN_PAUSED;
    s->bound[s->count++] = (struct bound){span->start_ticks, 1, paused};
    s->bound[s->count++] = (struct bound){span->start_ticks + span->len_ticks, -1, (int8_t)-paused};
    return SLR_OK;
}

static int by_place(const void *a, const void *b)
{
    const struct bound *x = a;
    const struct bound *y = b;
    return (x->at_ticks > y->at_ticks) - (x->at_ticks < y->at_ticks);
}

/* Whole frames of [from, to); one that begins where the last one ended makes that longer. */
static void add_cut(struct sweep *s, int64_t from_ticks, int64_t to_ticks)
{
    int64_t tpf = s->ticks_per_frame;
    int64_t from = (from_ticks + tpf - 1) / tpf * tpf;
    int64_t to = to_ticks / tpf * tpf;
    if (to > from) {
        s->cut[s->cut_count++] = (struct slr_ledger_cut){from, to - from};
    }
}

static enum slr_err find(struct sweep *s, uint32_t legs)
{
    int64_t from = 0, empty = 0, paused = 0;
    bool inside = false;
    s->cut = malloc((s->count / 2 + 1) * sizeof *s->cut);
    if (!s->cut) {
        return SLR_NOMEM;
    }
    qsort(s->bound, s->count, sizeof *s->bound, by_place);
    for (size_t i = 0; i < s->count; i++) {
        empty += s->bound[i].empty;
        paused += s->bound[i].paused;
        bool last_here = i + 1 == s->count || s->bound[i + 1].at_ticks != s->bound[i].at_ticks;
        bool is_inside = empty == (int64_t)legs && paused > 0;
        if (!last_here || is_inside == inside) {
            continue; /* what happens at one place is one change */
        }
        inside = is_inside;
        if (inside) {
            from = s->bound[i].at_ticks;
        } else {
            add_cut(s, from, s->bound[i].at_ticks);
        }
    }
    return SLR_OK;
}

enum slr_err slr_cuts_find(const struct slr_journal *journal, uint32_t legs,
                           const struct slr_audio_shape *shape, struct slr_ledger_cut **cuts,
                           uint32_t *count)
{
    struct sweep s = {.ticks_per_frame = SLR_TICKS_HZ / (int64_t)shape->sample_hz};
    enum slr_err err = SLR_OK;
    *cuts = NULL;
    *count = 0;
    for (uint64_t i = 0; i < journal->count && err == SLR_OK; i++) {
        const struct slr_span_entry *e = &journal->at[i];
        err = e->samples == 0 ? add_span(&s, &e->span) : SLR_OK;
    }
    if (err == SLR_OK && s.count > 0) {
        err = find(&s, legs);
    }
    free(s.bound);
    if (err == SLR_OK && s.cut_count > 0) {
        *cuts = s.cut;
        *count = s.cut_count;
    } else {
        free(s.cut);
    }
    return err;
}

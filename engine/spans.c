/*
 * spans: gaps get their cause here. Pause outranks hold, hold outranks the engine's own absence,
 * that outranks what the sequence numbers say. Writer thread.
 */
#include "engine/spans.h"

#include <stdlib.h>

#define SEQ_CYCLE 0x10000

static void flush_open(struct slr_span_run *run)
{
    struct slr_span_buffer *b = run->buffer;
    if (!run->cursor.open_valid) {
        return;
    }
    if (b->count == b->size) {
        uint32_t size = b->size ? b->size * 2 : 256;
        struct slr_span_entry *at = realloc(b->at, size * sizeof *at);
        if (!at) {
            b->overflow = true;
            return;
        }
        b->at = at;
        b->size = size;
    }
    b->at[b->count++] = (struct slr_span_entry){run->leg_number, 0, run->cursor.open};
    run->cursor.open_valid = false;
}

static bool info_adds_up(enum slr_span_kind kind)
{
    return kind == SLR_SPAN_LOST_NETWORK || kind == SLR_SPAN_LOST_KERNEL ||
           kind == SLR_SPAN_LOST_QUEUE;
}

/* Appends [start, end); joins the open span when it is of the same kind. */
static void put(struct slr_span_run *run, int64_t start, int64_t end, enum slr_span_kind kind,
                uint32_t info)
{
    struct slr_span *open = &run->cursor.open;
    if (end <= start) {
        return;
    }
    bool same = run->cursor.open_valid && open->kind == kind &&
                open->start_ticks + open->len_ticks == start &&
                (info_adds_up(kind) || open->info == info);
    if (same) {
        open->len_ticks += end - start;
        open->info += info_adds_up(kind) ? info : 0;
    } else {
        flush_open(run);
        *open = (struct slr_span){start, end - start, (uint8_t)kind, {0}, info};
        run->cursor.open_valid = true;
    }
    run->cursor.at_ticks = end;
}

/* If `at` is inside an interval (widened by margin): true and where it ends; else *until is cut to
 * where the next one begins. */
static bool inside(const struct slr_intervals *list, int64_t at, int64_t margin, int64_t *until)
{
    uint32_t n = atomic_load_explicit(&list->count, memory_order_acquire);
    for (uint32_t i = 0; i < n; i++) {
        int64_t start = list->at[i].start_ticks - margin;
        int64_t end = atomic_load_explicit(&list->at[i].end_ticks, memory_order_acquire);
        end = end == INT64_MAX ? end : end + margin;
        if (at >= start && at < end) {
            *until = end < *until ? end : *until;
            return true;
        }
        if (start > at && start < *until) {
            *until = start;
        }
    }
    return false;
}

static enum slr_span_kind kind_at(const struct slr_span_run *run, int64_t at,
                                  enum slr_span_kind base, int64_t *until)
{
    int64_t u = *until;
    if (inside(&run->leg->pauses, at, 0, until)) {
        return SLR_SPAN_PAUSED;
    }
    u = *until;
    if (inside(&run->leg->holds, at, 0, &u)) {
        *until = u;
        return SLR_SPAN_HOLD;
    }
    *until = u;
    if (inside(&run->session->downs, at, SLR_DOWN_MARGIN_TICKS, &u)) {
        *until = u;
        return SLR_SPAN_ENGINE_DOWN;
    }
    *until = u;
    return base;
}

/*
 * Covers up to `to`. Where pauses and the like take part of the gap, the missing packets (of
 * `dur` each) are mostly theirs: what is left counts as lost only as far as whole packets fit, and
 * a piece too short for one belongs to the packet that straddled the bound.
 */
static void gap(struct slr_span_run *run, int64_t to, enum slr_span_kind base, uint32_t missing,
                int64_t dur)
{
    int64_t from = run->cursor.at_ticks;
    enum slr_span_kind before = base;
    while (run->cursor.at_ticks < to) {
        int64_t at = run->cursor.at_ticks;
        int64_t until = to;
        uint32_t info = 0;
        enum slr_span_kind kind = kind_at(run, at, base, &until);
        bool whole = at == from && until == to;
        if (kind == base && info_adds_up(base)) {
            int64_t fit = whole || dur == 0 ? missing : (until - at) / dur;
            info = fit < missing ? (uint32_t)fit : missing;
            missing -= info;
            int64_t end = to;
            bool straddler = !whole && dur > until - at;
            kind = !straddler ? base : (at > from ? before : kind_at(run, until, base, &end));
            info = kind == base ? info : 0;
        }
        put(run, at, until, kind, info);
        before = kind;
    }
}

static enum slr_span_kind why(const struct slr_span_run *run, const struct slr_rec *rec,
                              uint32_t *missing)
{
    *missing = 0;
    if (run->cursor.last_stream == SLR_NONE) {
        return SLR_SPAN_ABSENT;
    }
    bool same = run->cursor.last_stream == (rec->generation << 8 | rec->stream);
    if (!same) {
        return SLR_SPAN_ABSENT; /* one stream was over, the next not yet there */
    }
    if (rec->flags & SLR_REC_NEW_SEGMENT) {
        return SLR_SPAN_CLOCK;
    }
    int64_t lost = rec->seq_ext - run->cursor.last_seq_ext - 1;
    if (lost <= 0) {
        return run->cursor.last_undecoded ? SLR_SPAN_CONCEALED : SLR_SPAN_COMFORT;
    }
    /* a new sequence is two cycles on (stream.c): how many are missing is not known then, but for
     * the packet that announced it */
    *missing = lost < SEQ_CYCLE ? (uint32_t)lost : 1;
    if (rec->flags & SLR_REC_QUEUE_LOSS) {
        return SLR_SPAN_LOST_QUEUE;
    }
    return rec->flags & SLR_REC_KERNEL_LOSS ? SLR_SPAN_LOST_KERNEL : SLR_SPAN_LOST_NETWORK;
}

void slr_spans_record(struct slr_span_run *run, const struct slr_rec *rec, int64_t start_ticks,
                      int64_t end_ticks, enum slr_span_kind kind, uint32_t info)
{
    if (start_ticks > run->cursor.at_ticks) {
        uint32_t missing = 0;
        enum slr_span_kind base = why(run, rec, &missing);
        gap(run, start_ticks, base, missing, rec->dur_ticks);
    }
    put(run, start_ticks > run->cursor.at_ticks ? start_ticks : run->cursor.at_ticks, end_ticks,
        kind, info);
    uint32_t stream = rec->generation << 8 | rec->stream;
    if (run->cursor.last_stream != stream || rec->seq_ext > run->cursor.last_seq_ext) {
        run->cursor.last_seq_ext = rec->seq_ext;
        run->cursor.last_stream = stream;
        run->cursor.last_undecoded = (rec->flags & SLR_REC_UNDECODED) != 0;
    }
}

/* The file's last frame may reach past the end; the spans don't. */
static void cut(struct slr_span_run *run, int64_t end_ticks)
{
    struct slr_span *open = &run->cursor.open;
    int64_t over = run->cursor.at_ticks - end_ticks;
    if (run->cursor.open_valid && over > 0) {
        open->len_ticks -= over;
        run->cursor.open_valid = open->len_ticks > 0;
        run->cursor.at_ticks = end_ticks;
    }
}

void slr_spans_finish(struct slr_span_run *run, int64_t end_ticks)
{
    bool never = run->cursor.last_stream == SLR_NONE;
    enum slr_span_kind rest = never ? SLR_SPAN_ABSENT : SLR_SPAN_ENDED;
    if (run->leg->loss_flags & SLR_REC_QUEUE_LOSS) {
        rest = SLR_SPAN_LOST_QUEUE; /* there was more, and no memory for it */
    }
    gap(run, end_ticks, rest, 0, 0);
    cut(run, end_ticks);
    flush_open(run);
}

/*
 * spans: gaps get their cause here. Pause outranks hold, hold outranks the engine's own absence,
 * that outranks what the sequence numbers say. Writer thread.
 *
 * put() and what calls it think in leg time; tell() writes file time.
 */
#include "engine/spans.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SEQ_CYCLE 0x10000
/* As much as one packet holds whose payload can't be decoded. */
#define UNDECODED_TICKS (SLR_TICKS_HZ * 120 / 1000)

static void append(struct slr_span_run *run, const struct slr_span_entry *entry)
{
    struct slr_span_buffer *b = run->buffer;
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
    b->at[b->count++] = *entry;
}

static void flush_open(struct slr_span_run *run)
{
    if (run->cursor.open_valid) {
        struct slr_span_entry e = {.leg = run->leg_number, .span = run->cursor.open};
        append(run, &e);
        run->cursor.open_valid = false;
    }
}

static bool is_loss(enum slr_span_kind kind)
{
    return kind == SLR_SPAN_LOST_NETWORK || kind == SLR_SPAN_LOST_KERNEL ||
           kind == SLR_SPAN_LOST_QUEUE;
}

/* What a stretch is; info is the packets missing in it, where it was lost. */
struct what {
    enum slr_span_kind kind;
    uint8_t cause;
    uint32_t info;
};

static bool info_adds_up(const struct what *w)
{
    return is_loss(w->kind) || (w->kind == SLR_SPAN_CONCEALED && w->cause != 0);
}

/* Appends so much (file time) to what was told; joins the open span when it is of the same kind. */
static void tell(struct slr_span_run *run, int64_t start_file, int64_t len, const struct what *w)
{
    struct slr_span *open = &run->cursor.open;
    bool same = run->cursor.open_valid && open->kind == w->kind && open->cause == w->cause &&
                open->start_ticks + open->len_ticks == start_file &&
                (info_adds_up(w) || open->info == w->info);
    if (same) {
        open->len_ticks += len;
        open->info += info_adds_up(w) ? w->info : 0;
    } else {
        flush_open(run);
        *open = (struct slr_span){start_file, len, (uint8_t)w->kind, w->cause, {0}, w->info};
        run->cursor.open_valid = true;
    }
}

static void tell_until(struct slr_span_run *run, int64_t end, const struct what *w)
{
    if (end > run->cursor.at_ticks) {
        tell(run, run->cursor.at_ticks + run->cursor.corr_ticks, end - run->cursor.at_ticks, w);
        run->cursor.at_ticks = end;
    }
}

/* What was taken out: a span without length, and the samples behind it. */
static void tell_removal(struct slr_span_run *run, uint32_t count, enum slr_span_kind of)
{
    const int16_t *from = run->corrections->removed + run->removed_told;
    struct slr_span_entry e = {
        .leg = run->leg_number,
        .span = {.start_ticks = run->cursor.at_ticks + run->cursor.corr_ticks,
                 .kind = SLR_SPAN_CORRECTED,
                 .cause = (uint8_t)of,
                 .info = count}};
    flush_open(run);
    append(run, &e);
    for (uint32_t i = 0; i < count; i += SLR_SPAN_SAMPLES) {
        uint32_t left = count - i;
        struct slr_span_entry more = {.leg = run->leg_number};
        more.samples = left < SLR_SPAN_SAMPLES ? left : (uint32_t)SLR_SPAN_SAMPLES;
        memcpy(more.sample, from + i, more.samples * sizeof more.sample[0]);
        append(run, &more);
    }
    run->removed_told += count;
}

/* The correction that the cursor has come to, in time that is of that kind. */
static void tell_correction(struct slr_span_run *run, const struct slr_correction *c,
                            enum slr_span_kind of)
{
    int64_t ticks = c->frames * slr_ticks_per_frame(&run->session->shape);
    struct what w = {SLR_SPAN_CORRECTED, (uint8_t)of, 0};
    if (ticks > 0) {
        tell(run, run->cursor.at_ticks + run->cursor.corr_ticks, ticks, &w);
    } else {
        tell_removal(run, (uint32_t)-c->frames, of);
        run->cursor.at_ticks -= ticks; /* leg time goes on, file time does not */
    }
    run->cursor.corr_ticks += ticks;
}

/* Covers [cursor, end), with the corrections inside. */
static void put(struct slr_span_run *run, int64_t end, struct what w)
{
    int64_t tpf = slr_ticks_per_frame(&run->session->shape);
    const struct slr_corrections *all = run->corrections;
    while (all && run->corrections_told < all->count) {
        const struct slr_correction *c = &all->at[run->corrections_told];
        int64_t at = c->at_frame * tpf;
        if (at >= end) {
            break;
        }
        int64_t before = run->cursor.at_ticks;
        tell_until(run, at, &w);
        w.info = run->cursor.at_ticks > before ? 0 : w.info; /* packets are missing once */
        tell_correction(run, c, w.kind);
        run->corrections_told++;
    }
    tell_until(run, end, &w);
}

/* If `at` is inside an interval (widened by margin): true and where it ends; else *until is cut to
 * where the next one begins. */
static bool inside(const struct slr_intervals *list, int64_t at, int64_t margin, int64_t *until)
{
    uint32_t n = atomic_load_explicit(&list->count, memory_order_acquire);
    for (uint32_t i = 0; i < n; i++) {
        const struct slr_interval *in = slr_intervals_at(list, i);
        int64_t start = in->start_ticks - margin;
        int64_t end = atomic_load_explicit(&in->end_ticks, memory_order_acquire);
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

/* The same for intervals in file time. */
static bool inside_file(const struct slr_span_run *run, const struct slr_intervals *list,
                        int64_t at, int64_t margin, int64_t *until)
{
    int64_t corr = run->cursor.corr_ticks;
    int64_t until_file = *until + corr;
    bool hit = inside(list, at + corr, margin, &until_file);
    *until = until_file - corr;
    return hit;
}

/* What holds at `at`, and until when; base: nothing special. */
static enum slr_span_kind kind_at(const struct slr_span_run *run, int64_t at,
                                  enum slr_span_kind base, int64_t *until)
{
    if (inside(&run->leg->pauses, at, 0, until)) {
        return SLR_SPAN_PAUSED;
    }
    if (inside_file(run, &run->leg->holds, at, 0, until)) {
        return SLR_SPAN_HOLD;
    }
    if (inside_file(run, &run->session->downs, at, SLR_DOWN_MARGIN_TICKS, until)) {
        return SLR_SPAN_ENGINE_DOWN;
    }
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
        if (kind == base && is_loss(base)) {
            int64_t fit = whole || dur == 0 ? missing : (until - at) / dur;
            info = fit < missing ? (uint32_t)fit : missing;
            missing -= info;
            int64_t end = to;
            bool straddler = !whole && dur > until - at;
            kind = !straddler ? base : (at > from ? before : kind_at(run, until, base, &end));
            info = kind == base ? info : 0;
        }
        put(run, until, (struct what){kind, 0, info});
        before = kind;
    }
}

enum slr_span_kind slr_spans_loss(uint8_t flags)
{
    if (flags & SLR_REC_QUEUE_LOSS) {
        return SLR_SPAN_LOST_QUEUE;
    }
    return flags & SLR_REC_KERNEL_LOSS ? SLR_SPAN_LOST_KERNEL : SLR_SPAN_LOST_NETWORK;
}

static enum slr_span_kind why(const struct slr_span_run *run, const struct slr_note *note,
                              uint32_t *missing)
{
    *missing = 0;
    if (run->cursor.last_stream == SLR_NONE) {
        return SLR_SPAN_ABSENT;
    }
    bool same = run->cursor.last_stream == note->stream;
    if (!same) {
        return SLR_SPAN_ABSENT; /* one stream was over, the next not yet there */
    }
    if (slr_rec_parts(note->flags, note->segment, run->cursor.last_segment)) {
        return SLR_SPAN_CLOCK;
    }
    int64_t lost = note->seq_ext - run->cursor.last_seq_ext - 1;
    if (lost <= 0 && run->cursor.last_cause != 0) {
        return (enum slr_span_kind)run->cursor.last_cause; /* a loss that was concealed in part */
    }
    if (lost <= 0) {
        return run->cursor.last_undecoded ? SLR_SPAN_CONCEALED : SLR_SPAN_COMFORT;
    }
    /* a new sequence is two cycles on (stream.c): how many are missing is not known then */
    *missing = lost < SEQ_CYCLE ? (uint32_t)lost : 0;
    return slr_spans_loss(note->flags);
}

/* note: its packets that begin before the piece ends. Closes the gap before it, then covers what of
 * it is in the piece [from, to). A packet that came when the place of its beginning was written
 * already is not in the audio there. */
static void put_note(struct slr_span_run *run, const struct slr_note *note, int64_t from,
                     int64_t to)
{
    if (note->start_ticks > run->cursor.at_ticks) {
        uint32_t missing = 0;
        enum slr_span_kind base = why(run, note, &missing);
        if (base == SLR_SPAN_CONCEALED) {
            /* the payload before it was one packet's; after that nothing was said */
            int64_t until = run->cursor.at_ticks + UNDECODED_TICKS;
            gap(run, until < note->start_ticks ? until : note->start_ticks, base, 0, 0);
            base = SLR_SPAN_COMFORT;
        }
        gap(run, note->start_ticks, base, missing, slr_note_dur(note));
    }
    if (note->start_ticks < from && run->cursor.at_ticks < from) {
        gap(run, from < note->end_ticks ? from : note->end_ticks, SLR_SPAN_LOST_NETWORK, 0, 0);
    }
    /* the rest of a filler comes again with the next piece, or what was missing after all */
    bool whole = !note->filler || note->end_ticks <= to;
    put(run, whole && note->end_ticks < to ? note->end_ticks : to,
        (struct what){(enum slr_span_kind)note->kind, note->cause, whole ? note->info : 0});
    if (!whole) {
        return;
    }
    run->cursor.last_cause = note->filler ? note->cause : 0;
    int64_t last_seq = slr_note_last_seq(note);
    if (run->cursor.last_stream != note->stream || last_seq > run->cursor.last_seq_ext) {
        run->cursor.last_seq_ext = last_seq;
        run->cursor.last_stream = note->stream;
        run->cursor.last_segment = note->segment;
        run->cursor.last_undecoded = (note->flags & SLR_REC_UNDECODED) != 0;
    }
}

void slr_spans_track(struct slr_span_run *run, const struct slr_track *track,
                     const struct slr_corrections *corrections, int64_t to_ticks)
{
    int64_t from_ticks = track->first_frame * slr_ticks_per_frame(&track->shape);
    run->corrections = corrections;
    run->corrections_told = run->removed_told = 0;
    for (uint32_t i = 0; i < track->note_count; i++) {
        struct slr_note note = track->note[i];
        if (note.start_ticks < to_ticks) {
            int64_t dur = slr_note_dur(&note);
            note.more = slr_note_more_before(&note, to_ticks);
            note.end_ticks = note.start_ticks + dur * ((int64_t)note.more + 1);
            put_note(run, &note, from_ticks, to_ticks);
        }
    }
    assert(run->corrections_told == corrections->count);
    run->corrections = NULL;
}

/* The file's last frame may reach past the end; the spans don't. */
static void cut(struct slr_span_run *run, int64_t end_leg)
{
    struct slr_span *open = &run->cursor.open;
    int64_t over = run->cursor.at_ticks - end_leg;
    if (run->cursor.open_valid && over > 0) {
        open->len_ticks -= over;
        run->cursor.open_valid = open->len_ticks > 0;
        run->cursor.at_ticks = end_leg;
    }
}

void slr_spans_finish(struct slr_span_run *run, int64_t end_ticks)
{
    bool never = run->cursor.last_stream == SLR_NONE;
    enum slr_span_kind rest = never ? SLR_SPAN_ABSENT : SLR_SPAN_ENDED;
    if (slr_leg_run(run->leg)->loss_flags & SLR_REC_QUEUE_LOSS) {
        rest = SLR_SPAN_LOST_QUEUE; /* there was more, and no memory for it */
    }
    int64_t end_leg = end_ticks - run->cursor.corr_ticks;
    if (run->off_ticks > 0 && rest == SLR_SPAN_ENDED) {
        int64_t off = run->cursor.at_ticks + run->off_ticks;
        gap(run, off < end_leg ? off : end_leg, SLR_SPAN_CLOCK, 0, 0);
    }
    gap(run, end_leg, rest, 0, 0);
    cut(run, end_leg);
    flush_open(run);
}

/*
 * writer: shape, block, commit. The order is what makes a death at any instruction harmless: bytes
 * first, then the commit record, then the packets' memory.
 */
#include "engine/writer.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "common/ring.h"
#include "common/thread_name.h"
#include "engine/missed.h"
#include "engine/placement.h"
#include "engine/skew_stage.h"
#include "engine/spill.h"
#include "engine/stall_budget.h"

#define RETRY_NS (200 * SLR_NS_PER_MS)
#define GLANCES 4u /* turns, the first of which looks at all that may be due */
/* So long a worker that stands still is waited for, if packet memory lasts. */
#define WORKER_WAIT_NS (10 * SLR_NS_PER_S)

/* Twins have a block each. */
static uint32_t redo_of(const struct slr_writer *w)
{
    return w->number % (SLR_REDOS / 2) + (w->first ? SLR_REDOS / 2 : 0);
}

enum slr_err slr_writer_init(struct slr_writer *w)
{
    w->block_bytes = (size_t)SLR_PIECE_FRAMES * SLR_MAX_CHANNELS * 2;
    w->block_at = malloc(w->block_bytes);
    w->plane_at = malloc(w->block_bytes);
    w->voices = w->first ? w->first->voices : calloc(w->state->leg_max, sizeof *w->voices);
    w->look = w->first ? w->first->look : malloc(w->state->session_max * sizeof *w->look);
    w->due = malloc(w->state->session_max * sizeof *w->due);
    enum slr_err err = slr_track_init(&w->track);
    const struct slr_redo *redo = &w->state->redo[redo_of(w)];
    bool all = slr_space_take(&w->state->space, redo, sizeof *redo) && w->block_at && w->plane_at &&
               w->voices && w->look && w->due;
    for (uint32_t i = 0; w->look && i < w->state->session_max; i++) {
        w->look[i] = (struct slr_writer_look){.legs = SLR_NONE, .block_ns = INT64_MAX};
    }
    return all ? err : SLR_NOMEM;
}

void slr_writer_fini(struct slr_writer *w)
{
    free(w->block_at);
    free(w->plane_at);
    free(w->spans.at);
    slr_track_fini(&w->track);
    slr_render_scratch_fini(&w->scratch);
    for (uint32_t i = 0; !w->first && w->voices && i < w->state->leg_max; i++) {
        slr_leg_voices_close(w->voices[i]);
    }
    if (!w->first) {
        free(w->voices);
        free(w->look);
    }
    free(w->due);
    w->voices = NULL;
    w->look = NULL;
    w->due = NULL;
    w->block_at = w->plane_at = NULL;
    w->spans.at = NULL;
}

static int64_t first_heard_ns(const struct slr_writer *w, const struct slr_session *s)
{
    int64_t first = 0;
    uint32_t n = atomic_load_explicit(&s->leg_count, memory_order_acquire);
    for (uint32_t i = 0; i < n; i++) {
        const struct slr_leg *leg = &w->state->leg[atomic_load(&s->leg[i])];
        uint32_t streams = atomic_load_explicit(&leg->stream_count, memory_order_acquire);
        for (uint32_t k = 0; k < streams; k++) {
            int64_t at = slr_leg_stream(leg, k)->first_arrival_ns;
            if (at != 0 && (first == 0 || at < first)) {
                first = at;
            }
        }
    }
    return first;
}

/* Is row i audio that may come: answered, or without signalling heard? */
static bool row_counts(const struct slr_writer *w, uint32_t leg, uint32_t i)
{
    const struct slr_leg *l = &w->state->leg[leg];
    if (w->codecs[leg].kind[i] != SLR_PT_AUDIO || !(l->pt_active & (1u << i))) {
        return false;
    }
    bool used = !l->passive;
    for (uint32_t k = 0; l->passive && k < atomic_load(&l->stream_count); k++) {
        const struct slr_stream *st = slr_leg_stream(l, k);
        for (uint32_t p = 0; p < st->pt_kinds; p++) {
            used |= st->pt_used[p] == slr_leg_pt(l, i)->pt;
        }
    }
    return used;
}

/* Is every audio payload type of the leg of this law? none: the leg has no audio type at all. */
static bool leg_is(const struct slr_writer *w, uint32_t leg, int static_pt, bool *none)
{
    const struct slr_leg_codecs *c = &w->codecs[leg];
    bool all = true;
    uint32_t rows = atomic_load_explicit(&c->rows, memory_order_acquire);
    for (uint32_t i = 0; i < rows; i++) {
        if (row_counts(w, leg, i)) {
            *none = false;
            all &= c->use[i].codec->static_pt == static_pt;
        }
    }
    return all;
}

#define MAX_HZ 48000u

/* The lowest rate of files that holds all of it; L16 may have any rate. */
static uint32_t file_rate(uint32_t hz)
{
    static const uint32_t rate[] = {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100};
    for (size_t i = 0; i < sizeof rate / sizeof rate[0]; i++) {
        if (hz <= rate[i]) {
            return rate[i];
        }
    }
    return MAX_HZ;
}

/* One law everywhere keeps the payload as it is; anything else is PCM at the highest rate. */
static void fix_shape(struct slr_writer *w, struct slr_session *s)
{
    bool alaw = true;
    bool ulaw = true;
    bool none = true;
    uint32_t rate = 8000;
    uint32_t channels = s->channels;
    uint32_t n = atomic_load(&s->leg_count);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t leg = atomic_load(&s->leg[i]);
        const struct slr_leg_codecs *c = &w->codecs[leg];
        if (w->state->leg[leg].channel >= channels) {
            channels = w->state->leg[leg].channel + 1; /* all that are there at the first flush */
        }
        alaw &= leg_is(w, leg, 8, &none);
        ulaw &= leg_is(w, leg, 0, &none);
        uint32_t rows = atomic_load_explicit(&c->rows, memory_order_acquire);
        for (uint32_t k = 0; k < rows; k++) {
            if (row_counts(w, leg, k) && c->use[k].sample_hz > rate) {
                rate = c->use[k].sample_hz;
            }
        }
    }
    s->shape.channels = channels;
    s->shape.format = alaw ? SLR_SAMPLE_ALAW : (ulaw ? SLR_SAMPLE_ULAW : SLR_SAMPLE_S16);
    if (none) {
        s->shape.format = SLR_SAMPLE_ALAW;
    }
    s->shape.sample_hz = file_rate(rate);
}

/* From now on the worker takes for late what lies before it, in the leg's time. */
static void claim(struct slr_leg *leg, int64_t ticks)
{
    atomic_store_explicit(&slr_leg_run(leg)->claimed_ticks, ticks, memory_order_seq_cst);
}

/* The block will be made again, with what comes until then. */
static void claim_back(const struct slr_writer *w, const struct slr_session *s)
{
    uint32_t n = atomic_load_explicit(&s->leg_count, memory_order_acquire);
    for (uint32_t i = 0; i < n; i++) {
        struct slr_leg *leg = &w->state->leg[atomic_load(&s->leg[i])];
        claim(leg, slr_session_written_ticks(s) - atomic_load(&leg->corr_ticks));
    }
}

static uint8_t *plane_of(const struct slr_writer *w, uint32_t channel)
{
    return w->plane_at + (size_t)channel * SLR_PIECE_FRAMES * 2;
}

/* One leg's way through the stages of track.h. over: its channel has another leg's track already.
 */
static void render_leg(struct slr_writer *w, struct slr_span_run *run, uint32_t leg_index,
                       struct slr_block *block, bool over)
{
    struct slr_corrections *corrections = &w->corrections;
    int64_t tpf = slr_ticks_per_frame(&block->shape);
    int64_t first = (int64_t)block->first_frame - run->cursor.corr_ticks / tpf;
    uint32_t frames = block->frames + slr_skew_stage_spare(run, &block->shape);
    claim(&w->state->leg[leg_index], (first + (int64_t)frames) * tpf);
    slr_track_begin(&w->track, &block->shape, first, frames);
    struct slr_render r = {.state = w->state,
                           .session = run->session,
                           .leg_index = leg_index,
                           .codecs = &w->codecs[leg_index],
                           .voices = &w->voices[leg_index],
                           .corr_ticks = run->cursor.corr_ticks,
                           .comfort_noise = w->comfort_noise,
                           .event_tones = w->event_tones,
                           .track = &w->track,
                           .scratch = &w->scratch,
                           .counters = &w->counters};
    slr_render_leg(&r);
    slr_sound_track(&run->cursor.sound, run->session, &w->track);
    slr_skew_stage_leg(run, &w->track, &w->scratch, block->frames, corrections);
    slr_track_store(&w->track, corrections, plane_of(w, run->leg->channel), block->frames, over);
    int64_t end = first + (int64_t)block->frames - slr_corrections_frames(corrections);
    claim(&w->state->leg[leg_index], end * tpf); /* before the disk, which may take its time */
    slr_render_done(&r, end * tpf);
    if (w->voices[leg_index]) {
        slr_leg_voices_next(w->voices[leg_index], end);
    }
    slr_spans_track(run, &w->track, corrections, end * tpf);
    w->spans.overflow |= w->track.overflow;
}

/* Makes the block of its planes; a channel without a leg is silent. */
static void join_planes(const struct slr_writer *w, struct slr_block *block, const bool *filled)
{
    const uint8_t *plane[SLR_MAX_CHANNELS];
    for (uint32_t c = 0; c < block->shape.channels && c < SLR_MAX_CHANNELS; c++) {
        struct slr_block channel = *block;
        channel.at = plane_of(w, c);
        channel.shape.channels = 1;
        if (!filled[c]) {
            slr_render_silence(&channel);
        }
        plane[c] = channel.at;
    }
    slr_track_join(&block->shape, plane, block->frames, block->at);
}

/* Renders one block and its spans; new cursors wait until it counts. */
static void render_block(struct slr_writer *w, struct slr_session *s, struct slr_block *block,
                         bool finish, int64_t end_ticks)
{
    bool over[SLR_MAX_CHANNELS] = {false};
    struct slr_redo *redo =
        slr_redo_begin(w->state, redo_of(w), (uint32_t)(s - w->state->session),
                       atomic_load_explicit(&s->leg_count, memory_order_acquire));
    w->spans.count = 0;
    w->spans.overflow = false;
    slr_skew_stage_begin(w->state, redo,
                         (int64_t)(block->first_frame + block->frames) *
                             slr_ticks_per_frame(&block->shape));
    for (uint32_t i = 0; i < redo->count; i++) {
        uint32_t leg_index = redo->leg[i].slot;
        struct slr_leg *leg = &w->state->leg[leg_index];
        struct slr_span_run run = {.buffer = &w->spans,
                                   .session = s,
                                   .leg = leg,
                                   .leg_number = i,
                                   .cursor = redo->leg[i].cursor,
                                   .skew = &redo->leg[i].skew};
        if (leg->channel < s->shape.channels && leg->channel < SLR_MAX_CHANNELS) {
            render_leg(w, &run, leg_index, block, over[leg->channel]);
            over[leg->channel] = true;
        } else {
            SLR_ERROR("leg_left_out", "session=%s leg=%s", s->id, SLR_Q(leg->id));
        }
        if (finish) {
            run.off_ticks = slr_skew_stage_off_ticks(&run);
            slr_spans_finish(&run, end_ticks);
        }
        redo->leg[i].cursor = run.cursor;
    }
    join_planes(w, block, over);
    /* legs that join while the block is being written are in the next one */
}

static void commit_block(struct slr_writer *w, struct slr_session *s, const struct slr_block *block)
{
    uint32_t in_force = atomic_load(&s->commit_index) & 1;
    const struct slr_commit *now = &s->commit[in_force];
    struct slr_commit *next = &s->commit[!in_force];
    atomic_store_explicit(&next->frames, now->frames + block->frames, memory_order_relaxed);
    next->spans_bytes = now->spans_bytes + w->spans.count * sizeof w->spans.at[0];
    slr_redo_commit(w->state, redo_of(w));
    int64_t written = slr_session_written_ticks(s);
    uint32_t n = atomic_load_explicit(&s->leg_count, memory_order_acquire);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t leg_index = atomic_load(&s->leg[i]);
        struct slr_leg *leg = &w->state->leg[leg_index];
        int64_t corr = leg->cursor.corr_ticks;
        atomic_store_explicit(&leg->corr_ticks, corr, memory_order_release);
        claim(leg, written - corr);
        int64_t again = w->voices[leg_index] ? SLR_PREROLL_TICKS : 0;
        uint32_t missed = slr_queue_free_until(w->state, leg_index, written - corr - again);
        slr_count(&w->counters.at[SLR_CTR_MISSED], missed);
    }
    uint64_t bytes =
        (uint64_t)block->frames * block->shape.channels * slr_sample_bytes(block->shape.format);
    slr_count(&w->counters.at[SLR_CTR_BLOCKS], 1);
    slr_count(&w->counters.at[SLR_CTR_BYTES], bytes);
    slr_count(w->dirty_bytes, bytes);
}

static void close_file(struct slr_writer *w, struct slr_recfile *f)
{
    w->open_count -= slr_recfile_fds(f);
    slr_recfile_close(f);
}

/* Its only writer is this thread. */
static void count_ns(_Atomic int64_t *sum, int64_t ns)
{
    atomic_store_explicit(sum, atomic_load_explicit(sum, memory_order_relaxed) + ns,
                          memory_order_relaxed);
}

/* From when there is something there it grows on the second volume, and no sooner: one that takes
 * nothing must not keep what the first could write again. */
static enum slr_err go_away(struct slr_writer *w, const struct slr_session *s)
{
    enum slr_err err = slr_spill_begin(w->rec_fd, s);
    if (err == SLR_OK) {
        atomic_store_explicit(&w->home[s - w->state->session], 1, memory_order_release);
    }
    return err;
}

/* Writes `frames` more frames (0: only what finish adds). */
static enum slr_err try_piece(struct slr_writer *w, struct slr_session *s, uint32_t frames,
                              bool finish, int64_t end_ticks)
{
    struct slr_recfile *f = &w->file[s - w->state->session];
    struct slr_block block = {w->block_at, s->shape, slr_session_commit(s)->frames, frames};
    uint32_t before = slr_recfile_fds(f);
    enum slr_err err = w->first && !f->is_open ? go_away(w, s) : SLR_OK;
    if (err == SLR_OK) {
        err = slr_recfile_open(f, w->rec_fd, s);
    }
    if (err == SLR_OK) {
        render_block(w, s, &block, finish, end_ticks);
        int64_t began_ns = slr_clock_mono(w->clock).ns;
        err =
            w->spans.overflow ? SLR_NOMEM : slr_recfile_append(f, w->rec_fd, s, &block, &w->spans);
        count_ns(&w->disk_ns, slr_clock_mono(w->clock).ns - began_ns);
    }
    w->open_count += slr_recfile_fds(f) - before;
    if (err != SLR_OK) {
        slr_count(&w->counters.at[SLR_CTR_WRITE_ERRORS], 1);
        SLR_ERROR("write_failed", "session=%s err=%s", s->id, slr_err_name(err));
        close_file(w, f);
        claim_back(w, s);
        return err;
    }
    commit_block(w, s, &block);
    return SLR_OK;
}

/* A write that began then is over. */
static void note_write(struct slr_writer *w, enum slr_err err, int64_t began_ns)
{
    int64_t failing_ns = atomic_load_explicit(&w->failing_since_ns, memory_order_relaxed);
    failing_ns = err == SLR_OK ? 0 : (failing_ns != 0 ? failing_ns : began_ns);
    atomic_store_explicit(&w->failing_since_ns, failing_ns, memory_order_relaxed);
    atomic_store_explicit(&w->busy_since_ns, 0, memory_order_relaxed);
}

/* The same, with word of it for who looks after the disk. */
static enum slr_err write_piece(struct slr_writer *w, struct slr_session *s, uint32_t frames,
                                bool finish, int64_t end_ticks)
{
    int64_t began_ns = slr_clock_mono(w->clock).ns;
    atomic_store_explicit(&w->busy_since_ns, began_ns, memory_order_relaxed);
    enum slr_err err = try_piece(w, s, frames, finish, end_ticks);
    note_write(w, err, began_ns);
    return err;
}

/* A session of our own making ends with its media: no silence is written ahead of it. */
static int64_t last_heard_ticks(const struct slr_writer *w, const struct slr_session *s)
{
    int64_t last = 0;
    for (uint32_t i = 0; i < atomic_load(&s->leg_count); i++) {
        const struct slr_leg *leg = &w->state->leg[atomic_load(&s->leg[i])];
        int64_t highest = atomic_load(&slr_leg_run(leg)->highest_ticks);
        highest += highest == INT64_MIN ? 0 : atomic_load(&leg->corr_ticks);
        last = highest > last ? highest : last;
    }
    return last;
}

/* The end was chosen by what was corrected then; a piece that was being written may have put in a
 * little more. The last packet is not cut for it. */
static int64_t end_for_corrections(const struct slr_writer *w, struct slr_session *s, int64_t end)
{
    int64_t last = end;
    for (uint32_t i = 0; i < atomic_load(&s->leg_count); i++) {
        const struct slr_leg *leg = &w->state->leg[atomic_load(&s->leg[i])];
        int64_t corr = atomic_load(&leg->corr_ticks);
        int64_t highest =
            corr > 0 ? atomic_load(&slr_leg_run(leg)->highest_ticks) + corr : INT64_MIN;
        last = highest > last && highest - end <= SLR_TICKS_HZ / 50 ? highest : last;
    }
    if (last != end) {
        atomic_store_explicit(&s->end_ticks, last, memory_order_release);
    }
    return last;
}

/* Until when all is placed that came. A worker that stood still has packets waiting: they are not
 * late for that, in so far as it goes on at all. */
static slr_mono taken_until(const struct slr_writer *w, const struct slr_session *s, slr_mono now)
{
    if (w->taken_count == 0) {
        return now;
    }
    uint32_t worker = (uint32_t)(s - w->state->session) % w->taken_count;
    int64_t taken = atomic_load_explicit(&w->taken_ns[worker], memory_order_acquire);
    int64_t budget_ns = w->budget_ns ? atomic_load(w->budget_ns) : INT64_MAX;
    int64_t least = now.ns - slr_stall_wait_ns(budget_ns, WORKER_WAIT_NS);
    if (taken == 0 || taken > now.ns) {
        return now;
    }
    return (slr_mono){taken > least ? taken : least};
}

/*
 * The session's clock: wall time; where a leg's own clock is behind that (it is slow, or its sender
 * stood still), the time of the leg that is furthest behind, so that none of its packets is ever
 * late; where all legs are sent faster than time, the media's. As long as a leg may still come that
 * was not heard yet, the file does not run ahead for those that were, but for what memory may hold
 * (its packets will have wall time). A leg that falls silent keeps its distance from the wall, so
 * it holds nothing back.
 */
static int64_t media_now_ticks(const struct slr_writer *w, const struct slr_session *s,
                               slr_mono now)
{
    int64_t wall = slr_session_ticks(s, taken_until(w, s, now));
    int64_t ahead = INT64_MAX;
    int64_t behind = 0;
    uint32_t legs = atomic_load(&s->leg_count);
    bool one_may_come = legs < s->channels;
    for (uint32_t i = 0; i < legs; i++) {
        const struct slr_leg *leg = &w->state->leg[atomic_load(&s->leg[i])];
        if (atomic_load(&leg->state) != SLR_LEG_OPEN) {
            continue;
        }
        int64_t corr = atomic_load(&leg->corr_ticks);
        int64_t highest = atomic_load(&slr_leg_run(leg)->highest_ticks);
        if (highest == INT64_MIN) {
            one_may_come = true;
            continue;
        }
        ahead = highest + corr < ahead ? highest + corr : ahead;
        int64_t lag = atomic_load(&slr_leg_run(leg)->lag_ticks) - corr;
        behind = lag > behind ? lag : behind;
    }
    if (ahead != INT64_MAX && one_may_come) {
        ahead -= SLR_LEAD_TICKS;
    }
    if (ahead != INT64_MAX && ahead > wall) {
        return ahead;
    }
    return wall - (behind < SLR_WRITER_BEHIND_TICKS ? behind : SLR_WRITER_BEHIND_TICKS);
}

/* Where an anchor is new, packets may still be moved back to here (anchor.c). */
static int64_t held_ticks(const struct slr_writer *w, const struct slr_session *s, slr_mono now)
{
    int64_t least = INT64_MAX;
    for (uint32_t i = 0; i < atomic_load(&s->leg_count); i++) {
        const struct slr_leg *leg = &w->state->leg[atomic_load(&s->leg[i])];
        bool holds = atomic_load(&leg->hold_until_ns) > now.ns;
        int64_t at =
            holds ? atomic_load(&leg->hold_ticks) + atomic_load(&leg->corr_ticks) : INT64_MAX;
        least = at < least ? at : least;
    }
    return least;
}

static bool shape_is_due(struct slr_writer *w, struct slr_session *s, slr_mono now, bool closing)
{
    if (s->shape.sample_hz != 0) {
        return true;
    }
    int64_t first = first_heard_ns(w, s);
    int64_t wait_ns = slr_ns_from_ticks(w->window_ticks + w->block_ticks);
    if (!closing && (first == 0 || now.ns - first < wait_ns)) {
        return false;
    }
    fix_shape(w, s);
    return true;
}

/* The session's last block is written. */
static void close_legs(struct slr_writer *w, const struct slr_session *s)
{
    for (uint32_t i = 0; i < atomic_load(&s->leg_count); i++) {
        uint32_t leg_index = atomic_load(&s->leg[i]);
        int64_t corr = atomic_load(&w->state->leg[leg_index].corr_ticks);
        uint32_t missed = slr_missed_rest(w->state, leg_index, slr_session_written_ticks(s) - corr);
        slr_count(&w->counters.at[SLR_CTR_MISSED], missed);
        slr_leg_voices_close(w->voices[leg_index]);
        w->voices[leg_index] = NULL;
    }
}

/* Where blocks are as long as pieces can be, less than one waits for the next time: one write a
 * block, and not another one for the little that came since it was due. */
static int64_t piece_least(const struct slr_writer *w, const struct slr_session *s)
{
    return w->block_ticks >= SLR_TICKS_HZ ? (int64_t)s->shape.sample_hz : 1;
}

/* A session's part of a step. False: the disk refused. */
static bool step_session(struct slr_writer *w, struct slr_session *s, slr_mono now)
{
    /* the state first: the end is fixed before it says closing */
    bool closing = atomic_load_explicit(&s->state, memory_order_acquire) == SLR_SESSION_CLOSING;
    int64_t end = atomic_load_explicit(&s->end_ticks, memory_order_acquire);
    if (!shape_is_due(w, s, now, closing)) {
        return true;
    }
    end = closing ? end_for_corrections(w, s, end) : end;
    int64_t tpf = slr_ticks_per_frame(&s->shape);
    int64_t to = closing ? end + tpf - 1 : media_now_ticks(w, s, now) - w->window_ticks;
    int64_t have = (int64_t)slr_session_commit(s)->frames;
    if (!closing) {
        int64_t held = held_ticks(w, s, now);
        to = to < held ? to : held;
    }
    if (s->is_auto && !closing) {
        int64_t last = last_heard_ticks(w, s);
        to = to < last ? to : last;
    }
    if (!closing && to - have * tpf < w->block_ticks) {
        return true;
    }
    if (closing && have * tpf >= end + tpf) {
        /* media ahead of time was being written while the worker chose the end */
        end = have * tpf;
        atomic_store_explicit(&s->end_ticks, end, memory_order_release);
    }
    int64_t want = to / tpf;
    int64_t least = closing ? 1 : piece_least(w, s);
    while (want - have >= least) {
        uint32_t piece =
            (uint32_t)(want - have < s->shape.sample_hz ? want - have : s->shape.sample_hz);
        if (write_piece(w, s, piece, false, 0) != SLR_OK) {
            return false;
        }
        have += piece;
    }
    if (!closing) {
        return true;
    }
    if (write_piece(w, s, 0, true, end) != SLR_OK) {
        return false;
    }
    close_file(w, &w->file[s - w->state->session]);
    close_legs(w, s);
    atomic_store_explicit(&s->state, SLR_SESSION_SEALING, memory_order_release);
    return true;
}

static bool hand_to_sealer(struct slr_writer *w, uint32_t slot)
{
    if (!slr_ring_put(w->to_sealer, (void *)(uintptr_t)(slot + 1))) {
        return false;
    }
    w->look[slot].legs = SLR_NONE;
    w->look[slot].block_ns = INT64_MAX;
    atomic_store(&w->active[slot], 0);
    return true;
}

/* The file follows the wall, or the leg that is least ahead of it, but a window (step_session). */
static void set_look(struct slr_writer *w, const struct slr_session *s, int64_t watch_ns)
{
    struct slr_writer_look *look = &w->look[s - w->state->session];
    look->watch_ns = watch_ns;
    look->block_ticks = slr_session_written_ticks(s) + w->window_ticks + w->block_ticks;
    look->corr_ticks = 0;
    look->legs = atomic_load_explicit(&s->leg_count, memory_order_acquire);
    for (uint32_t i = 0; i < look->legs; i++) {
        int64_t corr = atomic_load(&w->state->leg[atomic_load(&s->leg[i])].corr_ticks);
        look->corr_ticks = corr > look->corr_ticks ? corr : look->corr_ticks;
    }
    look->legs = s->shape.sample_hz == 0 ? SLR_NONE : look->legs;
    look->block_ns =
        look->legs == SLR_NONE ? INT64_MAX : s->start.ns + slr_ns_from_ticks(look->block_ticks);
}

/* Most sessions of most steps are not: they are asked as little as possible. */
static bool is_due(const struct slr_writer *w, uint32_t slot, slr_mono now)
{
    const struct slr_session *s = &w->state->session[slot];
    const struct slr_writer_look *look = &w->look[slot];
    if (w->glance) {
        return now.ns >= look->block_ns;
    }
    if (atomic_load_explicit(&s->leg_count, memory_order_acquire) != look->legs ||
        atomic_load_explicit(&s->state, memory_order_acquire) != SLR_SESSION_OPEN ||
        now.ns >= look->watch_ns || slr_session_ticks(s, now) >= look->block_ticks) {
        return true;
    }
    for (uint32_t i = 0; i < look->legs; i++) {
        const struct slr_leg_run *run = &w->state->run[atomic_load(&s->leg[i])];
        int64_t highest = atomic_load_explicit(&run->highest_ticks, memory_order_relaxed);
        if (highest != INT64_MIN && highest + look->corr_ticks >= look->block_ticks) {
            return true;
        }
    }
    return false;
}

/* Does the session in this slot grow on this writer's volume, or is it to? */
static bool is_ours(const struct slr_writer *w, uint32_t slot)
{
    uint8_t home = atomic_load_explicit(&w->home[slot], memory_order_acquire);
    bool given_up = atomic_load_explicit(w->give_up, memory_order_acquire);
    return w->first ? home == 1 || given_up : home == 0 && !given_up;
}

/* With twins there is more to ask, and it is asked when the session is held. */
static bool may_be_due(const struct slr_writer *w, uint32_t slot, slr_mono now)
{
    return w->home ? is_ours(w, slot) : is_due(w, slot, now);
}

static uint32_t find_due(struct slr_writer *w, slr_mono now)
{
    uint32_t count = 0;
    for (uint32_t i = w->number; i < slr_state_sessions(w->state); i += w->count) {
        if (atomic_load_explicit(&w->active[i], memory_order_acquire) && may_be_due(w, i, now)) {
            w->due[count++] = i;
        } else if (w->home && !w->first && w->file[i].is_open) {
            close_file(w, &w->file[i]); /* it grows elsewhere, or is over */
        }
    }
    return count;
}

/* False: the twin is at it, or has it by now. */
static bool hold(struct slr_writer *w, uint32_t slot)
{
    uint8_t none = 0;
    if (!w->home) {
        return true;
    }
    if (!atomic_compare_exchange_strong(&w->held[slot], &none, 1)) {
        return false;
    }
    /* since it was found the twin may have handed it to the sealer */
    if (atomic_load_explicit(&w->active[slot], memory_order_acquire) && is_ours(w, slot)) {
        return true;
    }
    atomic_store_explicit(&w->held[slot], 0, memory_order_release);
    return false;
}

static void let_go(struct slr_writer *w, uint32_t slot)
{
    if (w->home) {
        atomic_store_explicit(&w->held[slot], 0, memory_order_release);
    }
}

/* A session that is held and due. Returns whether it waits for the disk. */
static bool step_held(struct slr_writer *w, uint32_t slot, slr_mono now)
{
    struct slr_session *s = &w->state->session[slot];
    bool waits = false;
    uint32_t state = atomic_load_explicit(&s->state, memory_order_acquire);
    if (state == SLR_SESSION_OPEN || state == SLR_SESSION_CLOSING) {
        waits = !step_session(w, s, now);
        set_look(w, s, slr_sound_watch(&w->watch, s, now));
        state = atomic_load_explicit(&s->state, memory_order_acquire);
    }
    if (state == SLR_SESSION_SEALING) {
        waits |= !hand_to_sealer(w, slot);
    }
    if (w->open_count > w->open_max) {
        close_file(w, &w->file[slot]);
    }
    return waits;
}

/* A volume that was given up, or a second one that failed, has no sessions whose writes would say
 * that it is well. */
static void probe(struct slr_writer *w, slr_mono now)
{
    if (!w->home || now.ns < w->probe_ns) {
        return;
    }
    if (w->first ? atomic_load(&w->failing_since_ns) == 0 : !atomic_load(w->give_up)) {
        return;
    }
    atomic_store_explicit(&w->busy_since_ns, now.ns, memory_order_relaxed);
    note_write(w, slr_spill_probe(w->rec_fd), now.ns);
    w->probe_ns = slr_clock_mono(w->clock).ns + SLR_NS_PER_S;
}

uint32_t slr_writer_step(struct slr_writer *w, slr_mono now)
{
    uint32_t waiting = 0;
    probe(w, now);
    if (now.ns < w->error_until_ns) {
        return 0;
    }
    uint32_t count = find_due(w, now);
    for (uint32_t k = 0; k < count; k++) {
        uint32_t slot = w->due[k];
        if (hold(w, slot)) {
            waiting += (!w->home || is_due(w, slot, now)) && step_held(w, slot, now);
            let_go(w, slot);
        }
    }
    w->error_until_ns = waiting ? now.ns + RETRY_NS : 0;
    return waiting;
}

int64_t slr_writer_nap_ns(const struct slr_writer *w)
{
    return slr_ns_from_ticks(w->block_ticks) / 4 / GLANCES;
}

uint32_t slr_writer_turn(struct slr_writer *w, slr_mono now)
{
    w->glance = w->turn++ % GLANCES != 0;
    uint32_t waiting = slr_writer_step(w, now);
    w->glance = false;
    return waiting;
}

static void *run(void *arg)
{
    struct slr_writer *w = arg;
    slr_thread_name("write", w->number);
    int64_t nap_ns = slr_writer_nap_ns(w);
    struct timespec nap = {nap_ns / SLR_NS_PER_S, nap_ns % SLR_NS_PER_S};
    while (!atomic_load(&w->stop)) {
        (void)slr_writer_turn(w, slr_clock_mono(w->clock));
        nanosleep(&nap, NULL);
    }
    return NULL;
}

enum slr_err slr_writer_start(struct slr_writer *w)
{
    if (pthread_create(&w->thread, NULL, run, w) != 0) {
        return SLR_NOMEM;
    }
    w->running = true;
    return SLR_OK;
}

void slr_writer_stop(struct slr_writer *w)
{
    if (w->running) {
        atomic_store(&w->stop, true);
        pthread_join(w->thread, NULL);
        w->running = false;
    }
}

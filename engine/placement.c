/*
 * placement: from an RTP packet to a record at an absolute position in the leg's queue.
 * Worker thread (or the only thread of a passive run); allocates nothing.
 */
#include "engine/placement.h"

#include <string.h>

#include "engine/anchor.h"
#include "engine/belief.h"
#include "engine/dtmf.h"
#include "engine/held.h"
#include "engine/source.h"
#include "engine/steady.h"
#include "engine/straggler.h"

static void set_highest(struct slr_leg *leg, int64_t ticks)
{
    atomic_store_explicit(&slr_leg_run(leg)->highest_ticks, ticks, memory_order_relaxed);
}

/* Sequence, timestamp, anchor: gives rec.pos_ticks, or a verdict why not. */
static enum slr_verdict find_position(struct slr_place *x, uint32_t clock_hz)
{
    struct slr_stream *st = x->st;
    bool first = st->clock_hz == 0;
    int64_t dur = x->rec.dur_ticks;
    int64_t seq_ext = 0;
    enum slr_seq_class seq = slr_stream_overtaken(st, x->rtp, &seq_ext);
    if (seq == SLR_SEQ_BAD) {
        seq = slr_straggler_fits(x) ? slr_stream_sequence(st, x->rtp->seq, &seq_ext)
                                    : slr_stream_odd(st, x->rtp->seq, &seq_ext);
    }
    x->rec.seq_ext = (int32_t)seq_ext;
    if (!x->held) {
        slr_count_own(&st->packets, 1);
        st->bytes += x->rtp->payload.len_bytes;
    }
    x->restart = seq == SLR_SEQ_RESTART;
    x->newest = seq == SLR_SEQ_NEXT || seq == SLR_SEQ_RESTART;
    if (seq == SLR_SEQ_DUPLICATE) {
        st->duplicate++;
        return SLR_VERDICT_DUPLICATE;
    }
    if (seq == SLR_SEQ_BAD) {
        st->rejected++;
        return !x->held && slr_held_put(x) ? SLR_VERDICT_PROBATION : SLR_VERDICT_BAD_SEQUENCE;
    }
    st->reordered += seq == SLR_SEQ_REORDERED && !x->held;
    x->ts_ext = slr_stream_timestamp(st, x->rtp->ts);
    slr_anchor_place(x, clock_hz, first);
    int64_t last = st->pos_last_ticks + slr_place_shift(x->leg, slr_place_anchor(st)->segment);
    if (!x->newest && slr_place_start(x) - last > SLR_JUMP_TICKS) {
        st->rejected++;
        return SLR_VERDICT_BAD_SEQUENCE;
    }
    if (x->newest) {
        if ((x->rec.flags & SLR_REC_EVENT) == 0) { /* its timestamps stand still on purpose */
            slr_stream_jitter(st, x->ts_ext, x->pkt->arrival.ns);
        }
        st->ts_last_ext = x->ts_ext;
        /* an event's packets tell its time up to now from where it began */
        st->pos_last_ticks = x->rec.pos_ticks + (x->rec.flags & SLR_REC_EVENT ? dur : 0);
        st->pos_last_arrival_ns = x->pkt->arrival.ns;
    }
    slr_anchor_comfort(x);
    return SLR_VERDICT_TAKEN;
}

/* Length of the packet on the timeline; events and comfort noise have their own rules. */
static enum slr_verdict find_duration(struct slr_place *x, uint32_t row, enum slr_pt_kind kind,
                                      struct slr_dtmf *event)
{
    const struct slr_leg_codecs *c = &x->p->codecs[x->leg_index];
    uint32_t clock_hz = kind == SLR_PT_UNKNOWN ? 0 : slr_leg_pt(x->leg, row)->clock_hz;
    x->rec.pt = (uint8_t)row;
    if (kind == SLR_PT_EVENT) {
        if (slr_dtmf_parse(x->rtp->payload, event) != SLR_OK) {
            x->rec.flags |= SLR_REC_UNDECODED;
            return SLR_VERDICT_BAD_PAYLOAD;
        }
        x->rec.flags |= SLR_REC_EVENT;
        x->rec.dur_ticks = (uint32_t)slr_ticks_from_rtp(event->duration_units, clock_hz);
        return SLR_VERDICT_EVENT;
    }
    if (kind == SLR_PT_UNKNOWN) {
        x->rec.flags |= SLR_REC_UNDECODED;
        return SLR_VERDICT_UNKNOWN_PT;
    }
    if (kind == SLR_PT_COMFORT) {
        x->rec.flags |= SLR_REC_COMFORT;
        return x->rtp->payload.len_bytes <= SLR_REC_MAX_PAYLOAD ? SLR_VERDICT_COMFORT
                                                                : SLR_VERDICT_BAD_PAYLOAD;
    }
    struct slr_payload_info info = {0};
    const struct slr_codec_use *use = &c->use[row];
    size_t len = x->rtp->payload.len_bytes;
    bool good = len > 0 && use->codec->inspect(use, x->rtp->payload, &info) == SLR_OK;
    if (good && info.samples == 0 && info.comfort && len <= SLR_REC_MAX_PAYLOAD) {
        x->rec.flags |= SLR_REC_COMFORT;
        return SLR_VERDICT_COMFORT;
    }
    bool fits = len <= SLR_REC_MAX_PAYLOAD ||
                (use->codec->decoder_bytes == 0 && info.samples && len % info.samples == 0);
    if (!good || info.samples == 0 || !fits) {
        x->rec.flags |= SLR_REC_UNDECODED;
        return SLR_VERDICT_BAD_PAYLOAD;
    }
    x->rec.dur_ticks = (uint32_t)slr_ticks_from_rtp(info.samples, use->sample_hz);
    return SLR_VERDICT_TAKEN;
}

/* Pause: by arrival while paused, by position whenever it arrives (a straddling one whole). */
static bool is_suppressed(const struct slr_place *x)
{
    int64_t a = 0;
    int64_t b = 0;
    int64_t start = slr_place_start(x);
    int64_t arrival_ns = x->pkt->arrival.ns;
    if (atomic_load_explicit(&x->session->paused, memory_order_relaxed) ||
        slr_intervals_touch(&x->session->pauses_ns, arrival_ns, arrival_ns + 1, &a, &b)) {
        return true; /* also when it lay in the socket until after the resume */
    }
    int64_t end = x->rec.dur_ticks ? x->end_ticks : start + 1;
    return slr_intervals_touch(&x->leg->pauses, start, end, &a, &b);
}

static void note_heard(struct slr_place *x)
{
    struct slr_leg *leg = x->leg;
    if (!slr_place_taken(x)) {
        return; /* one that may never be listened to moves nothing */
    }
    if (x->end_ticks > slr_place_highest(leg)) {
        set_highest(leg, x->end_ticks);
    }
    if (x->newest) {
        atomic_store_explicit(&slr_leg_run(leg)->lag_ticks, x->arrival_ticks - x->end_ticks,
                              memory_order_relaxed);
    }
    atomic_store_explicit(&slr_leg_run(leg)->heard_ns, x->pkt->arrival.ns, memory_order_relaxed);
    leg->silent_told = false;
    x->session->silent_told = false;
}

/* Its place is in the file already. */
static bool is_late(struct slr_place *x)
{
    bool late = slr_place_is_written(x, x->end_ticks, x->rec.dur_ticks);
    if (late) {
        x->st->late++;
        slr_anchor_note_late(x->leg, slr_place_start(x), x->end_ticks, 1);
    }
    return late;
}

static void note_placed(struct slr_place *x)
{
    struct slr_stream *st = x->st;
    int64_t start = slr_place_start(x);
    if (st->placed == 0 || start < st->first_ticks) {
        st->first_ticks = start;
    }
    if (st->placed == 0 || x->end_ticks > st->last_ticks) {
        st->last_ticks = x->end_ticks;
    }
    st->placed++;
    st->placed_ticks += x->rec.dur_ticks;
}

/* A payload that is longer than a record may be: whole samples of a codec that keeps no state. */
static enum slr_err put_pieces(struct slr_place *x)
{
    const struct slr_codec_use *use = &x->p->codecs[x->leg_index].use[x->rec.pt];
    struct slr_slice rest = x->rtp->payload;
    struct slr_rec rec = x->rec;
    uint32_t samples = (uint32_t)((uint64_t)rec.dur_ticks * use->sample_hz / SLR_TICKS_HZ);
    uint32_t sample_bytes = (uint32_t)rest.len_bytes / samples;
    uint32_t most = SLR_REC_MAX_PAYLOAD / sample_bytes;
    enum slr_err err = SLR_OK;
    while (rest.len_bytes > 0 && err == SLR_OK) {
        struct slr_slice piece;
        uint32_t count = samples < most ? samples : most;
        rec.dur_ticks = (uint32_t)slr_ticks_from_rtp(count, use->sample_hz);
        if (!slr_slice_take(&rest, (size_t)count * sample_bytes, &piece)) {
            return SLR_FORMAT;
        }
        rec.len_bytes = (uint16_t)piece.len_bytes;
        err = slr_queue_put(x->p->state, x->leg_index, &rec, piece.at);
        rec.pos_ticks += rec.dur_ticks;
        rec.flags &= (uint8_t)~SLR_REC_NEW_SEGMENT;
        samples -= count;
    }
    x->rec.len_bytes = rec.len_bytes; /* of the last record in the queue */
    return err;
}

static enum slr_verdict put(struct slr_place *x, enum slr_verdict verdict,
                            const struct slr_dtmf *event)
{
    struct slr_leg *leg = x->leg;
    /* a digit is not entered before its stream is believed (belief.c) */
    bool asked_again = x->session->digit_policy == SLR_DIGITS_KEEP || !slr_place_taken(x);
    bool kept = verdict == SLR_VERDICT_TAKEN || verdict == SLR_VERDICT_COMFORT ||
                (verdict == SLR_VERDICT_EVENT && asked_again);
    size_t len = kept ? x->rtp->payload.len_bytes : 0;
    x->rec.flags |= slr_leg_run(leg)->loss_flags;
    x->rec.generation = (uint16_t)x->st->generation;
    x->rec.stream = (uint8_t)slr_leg_stream_number(leg, x->st);
    x->rec.arrival_ns = x->pkt->arrival.ns;
    enum slr_err err = SLR_OK;
    if (len <= SLR_REC_MAX_PAYLOAD) {
        x->rec.len_bytes = (uint16_t)len;
        err = slr_queue_put(x->p->state, x->leg_index, &x->rec, x->rtp->payload.at);
    } else {
        err = put_pieces(x);
    }
    if (err != SLR_OK) {
        slr_leg_run(leg)->loss_flags |= SLR_REC_QUEUE_LOSS;
        return SLR_VERDICT_NO_MEMORY;
    }
    slr_leg_run(leg)->loss_flags = 0;
    slr_anchor_queued(x);
    if (verdict == SLR_VERDICT_SUPPRESSED) {
        return verdict;
    }
    if (verdict == SLR_VERDICT_EVENT && slr_place_taken(x)) {
        slr_dtmf_take(leg, x->rec.segment, event, x->st->ssrc, x->ts_ext, slr_place_start(x),
                      slr_leg_pt(leg, x->rec.pt)->clock_hz);
    }
    if (x->rec.flags & SLR_REC_UNDECODED) {
        x->st->rejected++;
    } else {
        note_placed(x);
    }
    return verdict;
}

/* The stream may be believed with this packet: what waited for that is settled first. Where the
 * writer is giving back packets just then, it is believed with the next one. */
static void judge_source(struct slr_place *x, bool plausible)
{
    uint32_t index = slr_leg_stream_number(x->leg, x->st);
    if (slr_source_judge(x->leg, index, x->pkt, plausible) &&
        slr_queue_keep(x->p->state, x->leg_index)) {
        slr_belief_settle(x);
        slr_source_take(x->p, x->leg, index, x->rtp->pt);
        slr_queue_keep_end(x->p->state, x->leg_index);
    }
}

/* Noise before any sound of its stream counts by the clock of the sound to come: most likely that
 * of the stream before, or else of the first codec. */
static uint32_t clock_to_come(const struct slr_place *x, uint32_t own_hz)
{
    const struct slr_leg *leg = x->leg;
    const struct slr_stream *before = NULL;
    uint32_t n = atomic_load_explicit(&leg->stream_count, memory_order_relaxed);
    for (uint32_t i = 0; i < n; i++) {
        const struct slr_stream *st = slr_leg_stream(leg, i);
        bool known = atomic_load_explicit(&st->state, memory_order_relaxed) == SLR_STREAM_TAKEN &&
                     st->clock_hz != 0;
        before = known && (!before || st->last_arrival_ns > before->last_arrival_ns) ? st : before;
    }
    if (before) {
        return before->clock_hz;
    }
    uint32_t first_hz = slr_leg_codecs_clock(&x->p->codecs[x->leg_index], leg);
    return first_hz ? first_hz : own_hz;
}

/* Everything after the stream is known. */
static enum slr_verdict place_on_stream(struct slr_place *x, uint32_t row, enum slr_pt_kind kind)
{
    struct slr_dtmf event;
    struct slr_stream *st = x->st;
    enum slr_verdict shape = find_duration(x, row, kind, &event);
    uint32_t clock_hz = kind == SLR_PT_UNKNOWN ? 0 : slr_leg_pt(x->leg, row)->clock_hz;
    if (kind != SLR_PT_AUDIO && st->clock_hz != 0) {
        clock_hz = st->clock_hz; /* events and noise follow the audio's clock */
    } else if (kind == SLR_PT_COMFORT && st->clock_hz == 0) {
        clock_hz = clock_to_come(x, clock_hz);
    }
    if (st->clock_hz == 0 && (x->rec.flags & SLR_REC_UNDECODED)) {
        st->rejected++; /* nothing is known of the stream yet, and this says nothing */
        return shape;
    }
    if (st->clock_hz == 0) {
        slr_stream_expect(st, x->rtp); /* whatever said nothing before it */
        x->in_order_after = st->seq_max_ext;
    }
    enum slr_verdict verdict = find_position(x, clock_hz);
    if (!x->held) {
        slr_stream_count_pt(st, x->rtp->pt);
        st->last_arrival_ns = x->pkt->arrival.ns;
        if (verdict != SLR_VERDICT_DUPLICATE) {
            bool jumped = x->rec.seq_ext > x->in_order_after + SLR_PROBATION_GAP_PKTS;
            bool plausible = verdict == SLR_VERDICT_TAKEN && (st->packets == 1 || !jumped);
            judge_source(x, plausible);
        }
    }
    if (verdict != SLR_VERDICT_TAKEN) {
        return verdict;
    }
    x->end_ticks = slr_place_start(x) + x->rec.dur_ticks;
    slr_anchor_heard(x);
    note_heard(x);
    if (is_suppressed(x)) {
        st->suppressed++;
        st->placed_ticks += x->rec.dur_ticks; /* a leg's lead is made of them, too */
        x->rec.flags |= SLR_REC_SUPPRESSED;
        (void)put(x, SLR_VERDICT_SUPPRESSED, &event);
        return SLR_VERDICT_SUPPRESSED;
    }
    if (is_late(x)) {
        return SLR_VERDICT_LATE;
    }
    verdict = put(x, shape, &event);
    return verdict == SLR_VERDICT_TAKEN && !slr_place_taken(x) ? SLR_VERDICT_PROBATION : verdict;
}

static enum slr_pt_kind kind_of(const struct slr_place *x, uint8_t pt, uint8_t *row)
{
    const struct slr_leg_codecs *c = &x->p->codecs[x->leg_index];
    *row = c->row_of_pt[pt];
    return *row == 0xff ? SLR_PT_UNKNOWN : (enum slr_pt_kind)c->kind[*row];
}

/* What was held until x came is placed like any other packet: of a sender that did begin anew, what
 * hinted at it; of one that is heard again, what it said since nobody else did. */
static void place_held(const struct slr_place *x, int64_t since_ns)
{
    struct slr_packet pkt;
    struct slr_rtp rtp;
    uint32_t at = 0;
    while (slr_held_next(x, &at, &pkt, &rtp)) {
        if (!x->restart && pkt.arrival.ns <= since_ns) {
            continue;
        }
        struct slr_place y = {.p = x->p,
                              .session = x->session,
                              .leg = x->leg,
                              .st = x->st,
                              .pkt = &pkt,
                              .rtp = &rtp,
                              .leg_index = x->leg_index,
                              .arrival_ticks = slr_session_ticks(x->session, pkt.arrival),
                              .written_ticks = x->written_ticks,
                              .held = x->restart};
        uint8_t row = 0xff;
        enum slr_pt_kind kind = kind_of(&y, rtp.pt, &row);
        y.rec.flags = x->rec.flags & SLR_REC_NEW_SEGMENT;
        uint64_t reordered = x->st->reordered; /* they came in order */
        x->st->rejected -= x->restart;
        x->leg->foreign -= !x->restart;
        (void)place_on_stream(&y, row, kind);
        x->st->reordered = reordered;
    }
    slr_held_drop(x->p, x->leg);
}

void slr_placement_drops(struct slr_placement *p, uint32_t leg, uint32_t packets)
{
    if (packets > 0) {
        p->state->run[leg].loss_flags |= SLR_REC_KERNEL_LOSS;
        slr_count(&p->counters->at[SLR_CTR_KERNEL_DROPS], packets);
    }
}

static bool is_current(const struct slr_leg *leg, uint32_t ssrc, const struct slr_addr *src)
{
    return leg->current != SLR_NONE && slr_leg_stream(leg, leg->current)->ssrc == ssrc &&
           slr_addr_eq(&slr_leg_stream(leg, leg->current)->src, src);
}

enum slr_verdict slr_placement_rtp(struct slr_placement *p, uint32_t leg_index,
                                   const struct slr_packet *pkt, const struct slr_rtp *rtp)
{
    if (slr_steady_place(p, leg_index, pkt, rtp)) {
        return SLR_VERDICT_TAKEN;
    }
    struct slr_place x = {.p = p, .leg_index = leg_index, .pkt = pkt, .rtp = rtp};
    x.leg = &p->state->leg[leg_index];
    if (atomic_load_explicit(&x.leg->state, memory_order_acquire) != SLR_LEG_OPEN) {
        return SLR_VERDICT_CLOSED;
    }
    slr_steady_stop(x.leg);
    uint32_t session = atomic_load_explicit(&x.leg->session, memory_order_relaxed);
    x.session = session == SLR_NONE ? &p->flow_session : &p->state->session[session];
    if (session != SLR_NONE && (atomic_load(&x.session->state) != SLR_SESSION_OPEN)) {
        return SLR_VERDICT_CLOSED;
    }
    uint8_t row = 0xff;
    enum slr_pt_kind kind = kind_of(&x, rtp->pt, &row);
    if (kind == SLR_PT_UNKNOWN && !is_current(x.leg, rtp->ssrc, &pkt->src)) {
        x.leg->foreign++; /* an unknown type never begins a stream */
        atomic_store_explicit(&x.leg->stray_ns, pkt->arrival.ns, memory_order_relaxed);
        return SLR_VERDICT_UNKNOWN_PT;
    }
    uint32_t index = SLR_NONE;
    uint32_t heard = x.leg->current;
    int64_t heard_ns = slr_leg_run(x.leg)->heard_ns;
    enum slr_verdict verdict = slr_source_select(p, leg_index, pkt, rtp, &index);
    x.st = slr_leg_stream(x.leg, index);
    if (verdict != SLR_VERDICT_TAKEN) {
        x.leg->foreign++;
        (void)(index != SLR_NONE &&
               slr_held_put(&x)); /* one that was left: perhaps it is heard again */
        return verdict;
    }
    bool again = heard != SLR_NONE && heard != index && x.leg->current == index && x.st->placed > 0;
    x.in_order_after = x.st->seq_max_ext;
    x.arrival_ticks = slr_session_ticks(x.session, pkt->arrival);
    x.written_ticks = INT64_MIN; /* of a flow that is held: its beginning is not fixed yet */
    if (session != SLR_NONE) {
        x.written_ticks =
            atomic_load_explicit(&slr_leg_run(x.leg)->claimed_ticks, memory_order_acquire);
    }
    verdict = place_on_stream(&x, row, kind);
    if (x.restart || again) {
        place_held(&x, heard_ns);
    }
    if (verdict == SLR_VERDICT_TAKEN && index == x.leg->current && x.newest) {
        slr_steady_start(&x);
    }
    return verdict;
}

/* Where a pause begins on this leg: one past the highest position received; `now` where none was.
 */
static int64_t pause_bound(const struct slr_leg *leg, int64_t now_ticks, bool on)
{
    int64_t highest = slr_place_highest(leg);
    if (on) {
        return highest == INT64_MIN ? now_ticks : highest;
    }
    /* what was said during the pause but is still under way must not come through either */
    return highest > now_ticks ? highest : now_ticks;
}

bool slr_placement_pause(struct slr_placement *p, struct slr_session *s, bool on, slr_mono now,
                         int64_t *at_ticks)
{
    int64_t now_ticks = slr_session_ticks(s, now);
    bool was = atomic_load(&s->paused) != 0;
    int64_t most = on ? INT64_MAX : now_ticks + p->window_ticks;
    uint32_t n = atomic_load(&s->leg_count);
    *at_ticks = was == on ? s->paused_at_ticks : now_ticks;
    if (was == on) {
        return false;
    }
    if (on) {
        /* the flag first: whatever happens in between, nothing of the pause is let through */
        atomic_store(&s->paused, 1);
        slr_intervals_open(&s->pauses_ns, now.ns);
    }
    for (uint32_t i = 0; i < n; i++) {
        struct slr_leg *leg = &p->state->leg[atomic_load(&s->leg[i])];
        int64_t corr = atomic_load(&leg->corr_ticks); /* what is shared and told is file time */
        int64_t bound = pause_bound(leg, now_ticks - corr, on);
        int64_t shared = bound + corr < most ? bound + corr : most;
        *at_ticks = shared > *at_ticks ? shared : *at_ticks;
        if (on && slr_intervals_full(&leg->pauses)) {
            slr_count(&p->counters->at[SLR_CTR_INTERVALS_FULL], 1);
        }
        slr_leg_run(leg)->on = false;
        if (on) {
            slr_intervals_open(&leg->pauses, bound);
        }
    }
    /* The end that is acknowledged holds for every leg, however far behind its clock is; one that
     * leads by more than a window has an end of its own. */
    for (uint32_t i = 0; i < n && !on; i++) {
        struct slr_leg *leg = &p->state->leg[atomic_load(&s->leg[i])];
        int64_t corr = atomic_load(&leg->corr_ticks);
        int64_t own = pause_bound(leg, now_ticks - corr, on);
        int64_t told = *at_ticks - corr;
        slr_intervals_close(&leg->pauses, own > told ? own : told);
    }
    s->paused_at_ticks = *at_ticks;
    if (!on) {
        slr_intervals_close(&s->pauses_ns, now.ns + SLR_NS_PER_MS);
        atomic_store(&s->paused, 0);
    }
    return true;
}

void slr_placement_hold(const struct slr_session *s, struct slr_leg *leg, bool on, slr_mono now)
{
    if ((atomic_load(&leg->holding) != 0) == on) {
        return;
    }
    slr_steady_stop(leg); /* it counts from heard_ns, which is no packet's after a hold */
    int64_t at = slr_session_ticks(s, now);
    if (on) {
        /* media that was sent ahead of its time was said before the hold, and what comes after it
         * keeps its distance: the silence lies that much later */
        leg->hold_lead_ticks = slr_anchor_lead(leg, at);
        slr_intervals_open(&leg->holds, at + leg->hold_lead_ticks);
    } else {
        slr_intervals_close(&leg->holds, at + leg->hold_lead_ticks);
        slr_leg_run(leg)->heard_ns = slr_leg_run(leg)->heard_ns ? now.ns : 0;
    }
    atomic_store(&leg->holding, on ? 1 : 0);
}

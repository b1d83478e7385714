/*
 * placement: from an RTP packet to a record at an absolute position in the leg's queue.
 * Worker thread (or the only thread of a passive run); allocates nothing.
 */
#include "engine/placement.h"

#include <string.h>

#include "engine/dtmf.h"
#include "engine/queue.h"
#include "engine/source.h"
#include "engine/stream.h"

/* What is known of the packet on its way down. */
struct place {
    struct slr_placement *p;
    struct slr_session *session;
    struct slr_leg *leg;
    struct slr_stream *st;
    const struct slr_packet *pkt;
    const struct slr_rtp *rtp;
    struct slr_rec rec;
    uint32_t leg_index;
    int64_t in_order_after; /* newest sequence number before this packet */
    int64_t ts_ext;
    int64_t end_ticks; /* with the leg's shift */
    bool newest;
};

static int64_t shift_of(const struct slr_leg *leg)
{
    return atomic_load_explicit(&leg->shift_ticks, memory_order_relaxed);
}

static int64_t arrival_ticks(const struct place *x)
{
    return slr_session_ticks(x->session, x->pkt->arrival);
}

/* Position with the shift applied. */
static int64_t effective(const struct place *x, int64_t pos_ticks)
{
    return pos_ticks + (x->st->first_segment ? shift_of(x->leg) : 0);
}

/* Rounded down to a whole unit of the RTP clock: positions of all samples are then exact. */
static int64_t on_grid(int64_t ticks, uint32_t clock_hz)
{
    int64_t unit = SLR_TICKS_HZ / (int64_t)clock_hz;
    int64_t over = ticks % unit;
    return ticks - (over < 0 ? over + unit : over);
}

static void anchor(struct place *x, int64_t at_ticks, uint32_t clock_hz)
{
    x->st->anchor_ts_ext = x->ts_ext;
    x->st->anchor_ticks = at_ticks < 0 ? 0 : on_grid(at_ticks, clock_hz);
    x->st->clock_hz = clock_hz;
}

/*
 * The first packet of a stream is placed by arrival. A stream that follows another one on the leg
 * keeps that one's distance between RTP time and arrival, and never overlaps what it said.
 */
static void anchor_first(struct place *x, uint32_t clock_hz)
{
    struct slr_leg *leg = x->leg;
    x->st->first_segment = leg->highest_ticks == INT64_MIN && !leg->shift_frozen;
    if (x->st->first_segment) {
        anchor(x, arrival_ticks(x), clock_hz);
        return;
    }
    leg->shift_frozen = true;
    int64_t at = arrival_ticks(x) + leg->offset_ticks;
    if (leg->current != SLR_NONE && &leg->stream[leg->current] != x->st &&
        atomic_load(&x->st->state) == SLR_STREAM_TAKEN && at < leg->highest_ticks) {
        at = leg->highest_ticks;
    }
    anchor(x, at, clock_hz);
    x->rec.flags |= SLR_REC_NEW_SEGMENT;
}

/*
 * From packet to packet RTP time and arrival may part by SLR_JUMP_TICKS; beyond that the sender's
 * clock jumped (or stood still while time passed) and arrival wins: a new anchor.
 */
static void anchor_again(struct place *x, uint32_t clock_hz)
{
    struct slr_stream *st = x->st;
    int64_t passed = slr_ticks_from_ns(x->pkt->arrival.ns - st->last_arrival_ns);
    int64_t last = effective(x, st->pos_last_ticks);
    bool other_clock = st->clock_hz != clock_hz;
    int64_t pos = effective(x, st->anchor_ticks +
                                   slr_ticks_from_rtp(x->ts_ext - st->anchor_ts_ext, clock_hz));
    int64_t parted = pos - last - passed;
    if (!other_clock && parted < SLR_JUMP_TICKS && parted > -SLR_JUMP_TICKS) {
        return;
    }
    x->leg->shift_frozen = true;
    st->first_segment = false;
    int64_t at = last + passed;
    anchor(x, at < x->leg->highest_ticks ? x->leg->highest_ticks : at, clock_hz);
    x->rec.flags |= SLR_REC_NEW_SEGMENT;
    slr_count(&x->p->counters->at[SLR_CTR_ANCHORS], 1);
}

/* Until the leg's first block is written the least delayed packet sets the anchor. */
static void refine_shift(struct place *x, int64_t pos_ticks)
{
    struct slr_leg *leg = x->leg;
    if (!x->st->first_segment || leg->shift_frozen) {
        return;
    }
    int64_t since = slr_ticks_from_ns(x->pkt->arrival.ns - x->st->first_arrival_ns);
    if (since > x->p->window_ticks * 3 / 4) {
        leg->shift_frozen = true;
        return;
    }
    int64_t shift = shift_of(leg);
    int64_t want = arrival_ticks(x) - pos_ticks;
    want = on_grid(want, x->st->clock_hz);
    if (want < -x->st->anchor_ticks) {
        want = -x->st->anchor_ticks;
    }
    if (want < shift) {
        atomic_store_explicit(&leg->shift_ticks, want, memory_order_relaxed);
        leg->highest_ticks += want - shift;
    }
}

/* Sequence, timestamp, anchor: gives rec.pos_ticks, or a verdict why not. */
static enum slr_verdict find_position(struct place *x, uint32_t clock_hz)
{
    struct slr_stream *st = x->st;
    bool first = st->packets == 0;
    enum slr_seq_class seq = slr_stream_sequence(st, x->rtp->seq, &x->rec.seq_ext);
    st->packets++;
    st->bytes += x->rtp->payload.len_bytes;
    x->newest = seq == SLR_SEQ_NEXT || seq == SLR_SEQ_RESTART;
    if (seq == SLR_SEQ_DUPLICATE) {
        st->duplicate++;
        return SLR_VERDICT_DUPLICATE;
    }
    if (seq == SLR_SEQ_BAD) {
        st->rejected++;
        return SLR_VERDICT_BAD_SEQUENCE;
    }
    st->reordered += seq == SLR_SEQ_REORDERED;
    x->ts_ext = slr_stream_timestamp(st, x->rtp->ts);
    if (first) {
        anchor_first(x, clock_hz);
    } else if (x->newest) {
        anchor_again(x, clock_hz);
    }
    x->rec.pos_ticks =
        st->anchor_ticks + slr_ticks_from_rtp(x->ts_ext - st->anchor_ts_ext, st->clock_hz);
    refine_shift(x, x->rec.pos_ticks);
    if (!x->newest && effective(x, x->rec.pos_ticks) > x->leg->highest_ticks + SLR_JUMP_TICKS) {
        st->rejected++;
        return SLR_VERDICT_BAD_SEQUENCE;
    }
    if (x->newest) {
        slr_stream_jitter(st, x->ts_ext, x->pkt->arrival.ns);
        st->ts_last_ext = x->ts_ext;
        st->pos_last_ticks = x->rec.pos_ticks;
        x->leg->offset_ticks = effective(x, x->rec.pos_ticks) - arrival_ticks(x);
    }
    return SLR_VERDICT_TAKEN;
}

/* Length of the packet on the timeline; events and comfort noise have their own rules. */
static enum slr_verdict find_duration(struct place *x, uint32_t row, enum slr_pt_kind kind,
                                      struct slr_dtmf *event)
{
    const struct slr_leg_codecs *c = &x->p->codecs[x->leg_index];
    uint32_t clock_hz = kind == SLR_PT_UNKNOWN ? 0 : x->leg->pt[row].clock_hz;
    x->rec.pt = (uint8_t)row;
    if (kind == SLR_PT_EVENT) {
        if (slr_dtmf_parse(x->rtp->payload, event) != SLR_OK) {
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
        return SLR_VERDICT_COMFORT;
    }
    uint32_t samples = 0;
    const struct slr_codec *codec = c->codec[row];
    if (x->rtp->payload.len_bytes == 0 || x->rtp->payload.len_bytes > SLR_REC_MAX_PAYLOAD ||
        codec->samples(x->rtp->payload, &samples) != SLR_OK || samples == 0) {
        return SLR_VERDICT_BAD_PAYLOAD;
    }
    x->rec.dur_ticks = (uint32_t)slr_ticks_from_rtp(samples, codec->sample_hz);
    return SLR_VERDICT_TAKEN;
}

/* Pause: by arrival while paused, by position whenever it arrives (a straddling one whole). */
static bool is_suppressed(const struct place *x)
{
    int64_t a = 0;
    int64_t b = 0;
    int64_t start = effective(x, x->rec.pos_ticks);
    if (atomic_load_explicit(&x->session->paused, memory_order_relaxed)) {
        return true;
    }
    int64_t end = x->rec.dur_ticks ? x->end_ticks : start + 1;
    return slr_intervals_touch(&x->leg->pauses, start, end, &a, &b);
}

static void note_heard(struct place *x)
{
    struct slr_leg *leg = x->leg;
    if (x->end_ticks > leg->highest_ticks) {
        leg->highest_ticks = x->end_ticks;
    }
    if (atomic_load(&x->st->state) == SLR_STREAM_TAKEN) {
        leg->heard_ns = x->pkt->arrival.ns;
        leg->silent_told = false;
        x->session->silent_told = false;
    }
}

static void note_placed(struct place *x)
{
    struct slr_stream *st = x->st;
    int64_t start = effective(x, x->rec.pos_ticks);
    if (st->placed == 0 || start < st->first_ticks) {
        st->first_ticks = start;
    }
    if (st->placed == 0 || x->end_ticks > st->last_ticks) {
        st->last_ticks = x->end_ticks;
    }
    st->placed++;
}

static enum slr_verdict put(struct place *x, enum slr_verdict verdict, const struct slr_dtmf *event)
{
    struct slr_leg *leg = x->leg;
    x->rec.flags |= leg->loss_flags;
    x->rec.flags |= x->st->first_segment ? SLR_REC_FIRST : 0;
    x->rec.len_bytes = verdict == SLR_VERDICT_TAKEN ? (uint16_t)x->rtp->payload.len_bytes : 0;
    x->rec.generation = x->st->generation;
    x->rec.stream = (uint8_t)(x->st - leg->stream);
    x->rec.arrival_ns = x->pkt->arrival.ns;
    if (slr_queue_put(x->p->state, x->leg_index, &x->rec, x->rtp->payload.at) != SLR_OK) {
        leg->loss_flags |= SLR_REC_QUEUE_LOSS;
        return SLR_VERDICT_NO_MEMORY;
    }
    leg->loss_flags = 0;
    x->st->rejected += verdict == SLR_VERDICT_UNKNOWN_PT;
    if (verdict == SLR_VERDICT_EVENT) {
        slr_dtmf_take(leg, (uint8_t)leg->channel, event, x->st->ssrc, x->ts_ext,
                      effective(x, x->rec.pos_ticks), x->st->clock_hz);
    }
    note_placed(x);
    return verdict;
}

/* Everything after the stream is known. */
static enum slr_verdict place_on_stream(struct place *x, uint32_t row, enum slr_pt_kind kind)
{
    struct slr_dtmf event;
    struct slr_stream *st = x->st;
    enum slr_verdict shape = find_duration(x, row, kind, &event);
    if (shape == SLR_VERDICT_BAD_PAYLOAD) {
        st->rejected++;
        return shape;
    }
    uint32_t clock_hz = kind == SLR_PT_UNKNOWN ? 0 : x->leg->pt[row].clock_hz;
    if (kind != SLR_PT_AUDIO && st->clock_hz != 0) {
        clock_hz = st->clock_hz; /* events and noise follow the audio's clock */
    }
    enum slr_verdict verdict = find_position(x, clock_hz);
    slr_stream_count_pt(st, x->rtp->pt);
    bool in_order = x->newest && (st->packets == 1 || x->rec.seq_ext == x->in_order_after + 1);
    st->last_arrival_ns = x->pkt->arrival.ns;
    slr_source_judge(x->p, x->leg_index, (uint32_t)(st - x->leg->stream), x->pkt, in_order,
                     x->rtp->pt);
    if (verdict != SLR_VERDICT_TAKEN) {
        return verdict;
    }
    x->end_ticks = effective(x, x->rec.pos_ticks) + x->rec.dur_ticks;
    note_heard(x);
    if (is_suppressed(x)) {
        st->suppressed++;
        return SLR_VERDICT_SUPPRESSED;
    }
    if (x->end_ticks <= slr_session_written_ticks(x->session) && x->rec.dur_ticks > 0) {
        st->late++;
        return SLR_VERDICT_LATE;
    }
    return put(x, shape, &event);
}

static bool is_current(const struct slr_leg *leg, uint32_t ssrc)
{
    return leg->current != SLR_NONE && leg->stream[leg->current].ssrc == ssrc;
}

enum slr_verdict slr_placement_rtp(struct slr_placement *p, uint32_t leg_index,
                                   const struct slr_packet *pkt, const struct slr_rtp *rtp)
{
    struct place x = {.p = p, .leg_index = leg_index, .pkt = pkt, .rtp = rtp};
    x.leg = &p->state->leg[leg_index];
    uint32_t session = atomic_load_explicit(&x.leg->session, memory_order_relaxed);
    x.session = session == SLR_NONE ? &p->flow_session : &p->state->session[session];
    if (session != SLR_NONE && (atomic_load(&x.session->state) != SLR_SESSION_OPEN)) {
        return SLR_VERDICT_CLOSED;
    }
    uint8_t row = p->codecs[leg_index].row_of_pt[rtp->pt];
    enum slr_pt_kind kind =
        row == 0xff ? SLR_PT_UNKNOWN : (enum slr_pt_kind)p->codecs[leg_index].kind[row];
    if (kind == SLR_PT_UNKNOWN && !is_current(x.leg, rtp->ssrc)) {
        x.leg->foreign++; /* an unknown type never begins a stream */
        return SLR_VERDICT_UNKNOWN_PT;
    }
    uint32_t index = 0;
    enum slr_verdict verdict = slr_source_select(p, leg_index, pkt, rtp, &index);
    if (verdict != SLR_VERDICT_TAKEN) {
        x.leg->foreign++;
        return verdict;
    }
    if (pkt->kernel_drops) {
        x.leg->loss_flags |= SLR_REC_KERNEL_LOSS;
        slr_count(&p->counters->at[SLR_CTR_KERNEL_DROPS], pkt->kernel_drops);
    }
    x.st = &x.leg->stream[index];
    x.in_order_after = x.st->seq_max_ext;
    return place_on_stream(&x, row, kind);
}

/* Where a pause begins on this leg: one past the highest position received; `now` where none was.
 */
static int64_t pause_bound(const struct slr_leg *leg, int64_t now_ticks, bool on)
{
    if (on) {
        return leg->highest_ticks == INT64_MIN ? now_ticks : leg->highest_ticks;
    }
    /* what was said during the pause but is still under way must not come through either */
    return leg->highest_ticks > now_ticks ? leg->highest_ticks : now_ticks;
}

void slr_placement_pause(struct slr_placement *p, struct slr_session *s, bool on, slr_mono now,
                         int64_t *at_ticks)
{
    int64_t now_ticks = slr_session_ticks(s, now);
    bool was = atomic_load(&s->paused) != 0;
    uint32_t n = atomic_load(&s->leg_count);
    *at_ticks = was == on ? s->paused_at_ticks : now_ticks;
    if (was == on) {
        return;
    }
    if (on) {
        /* the flag first: whatever happens in between, nothing of the pause is let through */
        atomic_store(&s->paused, 1);
    }
    for (uint32_t i = 0; i < n; i++) {
        struct slr_leg *leg = &p->state->leg[atomic_load(&s->leg[i])];
        int64_t bound = pause_bound(leg, now_ticks, on);
        if (on) {
            if (atomic_load(&leg->pauses.count) == SLR_INTERVALS) {
                slr_count(&p->counters->at[SLR_CTR_INTERVALS_FULL], 1);
            }
            slr_intervals_open(&leg->pauses, bound);
        } else {
            slr_intervals_close(&leg->pauses, bound);
        }
        *at_ticks = bound > *at_ticks ? bound : *at_ticks;
    }
    s->paused_at_ticks = *at_ticks;
    if (!on) {
        atomic_store(&s->paused, 0);
    }
}

void slr_placement_hold(const struct slr_session *s, struct slr_leg *leg, bool on, slr_mono now)
{
    if ((atomic_load(&leg->holding) != 0) == on) {
        return;
    }
    int64_t at = slr_session_ticks(s, now);
    if (on) {
        slr_intervals_open(&leg->holds, at);
    } else {
        slr_intervals_close(&leg->holds, at);
        leg->heard_ns = leg->heard_ns ? now.ns : 0;
    }
    atomic_store(&leg->holding, on ? 1 : 0);
}

/*
 * source: latching of address and SSRC. A leg that hears its stream ignores all others; a new
 * SSRC, or media from an unsignalled address, is queued on probation and rendered only when it is
 * taken before its place is written. Worker thread; allocates nothing.
 */
#include "engine/source.h"

#include <string.h>

#include "engine/missed.h"
#include "engine/stream.h"

static void emit_heard(struct slr_placement *p, const struct slr_leg *leg,
                       const struct slr_stream *st, const char *what, uint8_t pt)
{
    char src[SLR_ADDR_TEXT_SIZE];
    slr_addr_format(&st->src, src);
    uint32_t session = atomic_load(&leg->session);
    if (session == SLR_NONE) {
        return;
    }
    json_t *ev =
        json_pack("{s:s,s:s,s:s,s:I,s:s,s:i}", "ev", what, "session", p->state->session[session].id,
                  "leg", leg->id, "ssrc", (json_int_t)st->ssrc, "src", src, "pt", (int)pt);
    if (ev) {
        p->sink->emit(p->sink->ctx, ev);
    }
}

/* Is the address what the signalling said? */
static bool source_is_right(const struct slr_leg *leg, const struct slr_addr *src)
{
    if (leg->passive || leg->policy == SLR_SOURCE_ANY || leg->source.family == 0) {
        return true;
    }
    if (leg->policy == SLR_SOURCE_STRICT && leg->source.port != 0) {
        return slr_addr_eq(&leg->source, src);
    }
    return slr_addr_eq_ip(&leg->source, src);
}

static uint32_t find_stream(const struct slr_leg *leg, uint32_t ssrc, const struct slr_addr *src)
{
    uint32_t n = atomic_load_explicit(&leg->stream_count, memory_order_relaxed);
    if (leg->current != SLR_NONE && slr_leg_stream(leg, leg->current)->ssrc == ssrc &&
        slr_addr_eq(&slr_leg_stream(leg, leg->current)->src, src)) {
        return leg->current;
    }
    for (uint32_t i = 0; i < n; i++) {
        const struct slr_stream *st = slr_leg_stream(leg, i);
        if (atomic_load_explicit(&st->state, memory_order_relaxed) != SLR_STREAM_FREE &&
            st->ssrc == ssrc && slr_addr_eq(&st->src, src)) {
            return i;
        }
    }
    return SLR_NONE;
}

/* Is the writer not done with the stream? It may be long behind, where the disk is. */
static bool waits(struct slr_placement *p, uint32_t leg_index, uint32_t slot)
{
    const struct slr_leg *leg = &p->state->leg[leg_index];
    uint32_t session = atomic_load_explicit(&leg->session, memory_order_relaxed);
    int64_t written = INT64_MIN; /* of a flow that is held nothing is */
    if (session < p->state->session_max) {
        written = slr_session_written_ticks(&p->state->session[session]) -
                  atomic_load_explicit(&leg->corr_ticks, memory_order_acquire);
    }
    return atomic_load_explicit(&slr_leg_stream(leg, slot)->state, memory_order_relaxed) ==
               SLR_STREAM_TAKEN &&
           slr_missed_pending(p->state, leg_index, slot, written);
}

/* A slot for a new stream: an unused one, or one whose packets have all left the window. Two may
 * be in probation at once, so that strays can't use up the slots; one from the right address takes
 * the place of one that is not, or that said nothing for a while. */
static uint32_t free_slot(struct slr_placement *p, uint32_t leg_index, int64_t now_ns, bool right)
{
    struct slr_leg *leg = &p->state->leg[leg_index];
    uint32_t n = atomic_load_explicit(&leg->stream_count, memory_order_relaxed);
    int64_t old_ns = now_ns - slr_ns_from_ticks(p->window_ticks) - 30 * SLR_NS_PER_S;
    uint32_t probation = 0;
    uint32_t oldest = SLR_NONE;
    uint32_t stray = SLR_NONE;
    uint32_t silent = SLR_NONE;
    for (uint32_t i = 0; i < n; i++) {
        struct slr_stream *st = slr_leg_stream(leg, i);
        bool on_probation =
            atomic_load_explicit(&st->state, memory_order_relaxed) == SLR_STREAM_PROBATION;
        bool stale = st->last_arrival_ns < now_ns - 2 * SLR_NS_PER_S;
        probation += on_probation && !stale;
        if (on_probation && stale) {
            return i;
        }
        if (on_probation && st->foreign_ip) {
            stray = i;
        } else if (on_probation && now_ns - st->last_arrival_ns >= SLR_FOREIGN_NS) {
            silent = i;
        }
        if (i != leg->current && st->last_arrival_ns < old_ns &&
            (oldest == SLR_NONE ||
             st->last_arrival_ns < slr_leg_stream(leg, oldest)->last_arrival_ns)) {
            oldest = i;
        }
    }
    if (probation >= 2) {
        return !right ? SLR_NONE : (stray != SLR_NONE ? stray : silent);
    }
    if (n < SLR_LEG_STREAMS &&
        (n == 0 || slr_space_touch(slr_leg_stream(leg, n), sizeof leg->first))) {
        if (n > 0) {
            memset(slr_leg_stream(leg, n), 0, sizeof leg->first);
        }
        atomic_store_explicit(&leg->stream_count, n + 1, memory_order_release);
        return n;
    }
    return oldest != SLR_NONE && waits(p, leg_index, oldest) ? SLR_NONE : oldest;
}

static bool is_signalled(const struct slr_leg *leg, uint32_t ssrc)
{
    for (uint32_t i = 0; i < leg->ssrc_signalled_count; i++) {
        if (leg->ssrc_signalled[i] == ssrc) {
            return true;
        }
    }
    return false;
}

/* A recycled port: the stream of the call before may still come. It has to be alone for as long as
 * one from a wrong address, unless it was signalled. */
static bool is_stale(const struct slr_leg *leg, uint32_t ssrc)
{
    return leg->has_stale && ssrc == leg->ssrc_stale && !is_signalled(leg, ssrc);
}

void slr_source_take(struct slr_placement *p, struct slr_leg *leg, uint32_t index, uint8_t pt)
{
    struct slr_stream *st = slr_leg_stream(leg, index);
    bool again = atomic_load_explicit(&st->state, memory_order_relaxed) == SLR_STREAM_TAKEN;
    atomic_store_explicit(&st->state, SLR_STREAM_TAKEN, memory_order_release);
    leg->current = index;
    if (again) {
        return; /* told before; two streams that alternate must not tell it with each packet */
    }
    slr_count(&p->counters->at[SLR_CTR_STREAMS_TAKEN], 1);
    if (st->foreign_ip) {
        slr_count(&p->counters->at[SLR_CTR_SOURCES_TAKEN], 1);
        emit_heard(p, leg, st, "leg_source", pt);
    } else {
        emit_heard(p, leg, st, "leg_heard", pt);
    }
}

/* The slot is used again: what it counted stays in a sum. */
static void forget(struct slr_placement *p, struct slr_leg *leg, const struct slr_stream *st)
{
    struct slr_ledger_others *sum = &leg->others;
    uint32_t state = atomic_load_explicit(&st->state, memory_order_relaxed);
    if (state == SLR_STREAM_PROBATION) {
        slr_count(&p->counters->at[SLR_CTR_STREAMS_REJECTED], 1);
        leg->foreign += st->packets;
    }
    if (state != SLR_STREAM_TAKEN) {
        return;
    }
    sum->streams++;
    sum->packets += st->packets;
    sum->bytes += st->bytes;
    sum->placed += slr_stream_placed(st);
    sum->lost += slr_stream_lost(st);
    sum->duplicate += st->duplicate;
    sum->reordered += st->reordered;
    sum->late += slr_stream_late(st);
    sum->suppressed += st->suppressed;
    sum->rejected += st->rejected;
}

static enum slr_verdict begin_stream(struct slr_placement *p, uint32_t leg_index, bool right,
                                     const struct slr_packet *pkt, const struct slr_rtp *rtp,
                                     uint32_t *index)
{
    struct slr_leg *leg = &p->state->leg[leg_index];
    int64_t heard_ns = p->state->run[leg_index].heard_ns;
    bool quiet = heard_ns == 0 || pkt->arrival.ns - heard_ns >= SLR_QUIET_NS;
    if (!right && !quiet) {
        return SLR_VERDICT_FOREIGN_SOURCE;
    }
    uint32_t i = free_slot(p, leg_index, pkt->arrival.ns, right);
    if (i == SLR_NONE) {
        return right ? SLR_VERDICT_FOREIGN_SSRC : SLR_VERDICT_FOREIGN_SOURCE;
    }
    struct slr_stream *st = slr_leg_stream(leg, i);
    forget(p, leg, st);
    slr_stream_begin(st, SLR_STREAM_PROBATION, rtp, &pkt->src, pkt->arrival.ns);
    st->foreign_ip = !right;
    bool at_once = right && (leg->current == SLR_NONE || is_signalled(leg, rtp->ssrc) ||
                             slr_leg_stream(leg, leg->current)->foreign_ip);
    if (at_once) {
        slr_source_take(p, leg, i, rtp->pt);
    }
    *index = i;
    return SLR_VERDICT_TAKEN;
}

enum slr_verdict slr_source_select(struct slr_placement *p, uint32_t leg_index,
                                   const struct slr_packet *pkt, const struct slr_rtp *rtp,
                                   uint32_t *index)
{
    struct slr_leg *leg = &p->state->leg[leg_index];
    uint32_t i = find_stream(leg, rtp->ssrc, &pkt->src);
    if (i == SLR_NONE) {
        bool right = source_is_right(leg, &pkt->src) && !is_stale(leg, rtp->ssrc);
        return begin_stream(p, leg_index, right, pkt, rtp, index);
    }
    *index = i;
    struct slr_stream *st = slr_leg_stream(leg, i);
    bool taken = atomic_load_explicit(&st->state, memory_order_relaxed) == SLR_STREAM_TAKEN;
    if (!taken || i == leg->current) {
        return SLR_VERDICT_TAKEN;
    }
    /* A stream that was left: stragglers are welcome, going on alone makes it current again. */
    bool straggler = (int16_t)(uint16_t)(rtp->seq - (uint16_t)st->seq_max_ext) <= 0;
    if (straggler) {
        return SLR_VERDICT_TAKEN;
    }
    bool returns = !st->foreign_ip && slr_leg_stream(leg, leg->current)->foreign_ip;
    bool signalled = !st->foreign_ip && is_signalled(leg, rtp->ssrc);
    if (pkt->arrival.ns - p->state->run[leg_index].heard_ns >= SLR_QUIET_NS || signalled ||
        returns) {
        slr_source_take(p, leg, i, rtp->pt);
        return SLR_VERDICT_TAKEN;
    }
    return SLR_VERDICT_FOREIGN_SSRC;
}

bool slr_source_judge(struct slr_leg *leg, uint32_t index, const struct slr_packet *pkt,
                      bool plausible)
{
    struct slr_stream *st = slr_leg_stream(leg, index);
    if (atomic_load_explicit(&st->state, memory_order_relaxed) != SLR_STREAM_PROBATION) {
        return false;
    }
    st->plausible = plausible ? st->plausible + 1 : 0;
    int64_t heard_ns = slr_leg_run(leg)->heard_ns;
    int64_t quiet_ns = pkt->arrival.ns - heard_ns;
    bool enough = st->plausible >= SLR_PROBATION_PACKETS;
    bool alone = heard_ns == 0 || quiet_ns >= SLR_QUIET_NS;
    if (st->foreign_ip) {
        enough = enough && pkt->arrival.ns - st->first_arrival_ns >= SLR_FOREIGN_NS;
        alone = heard_ns == 0 || quiet_ns >= SLR_FOREIGN_NS;
    }
    return enough && alone;
}

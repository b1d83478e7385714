/*
 * passive_flow: claiming, holding and pairing of flows. Passive runs only, one thread.
 */
#include "engine/passive_flow.h"

#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "engine/place.h"

static struct slr_leg *leg_at(struct slr_engine *e, uint32_t slot)
{
    return &e->state->leg[slot];
}

static bool is_unclaimed(const struct slr_engine *e, uint32_t slot)
{
    return slot != SLR_NONE && atomic_load(&e->state->leg[slot].session) == SLR_NONE;
}

static bool wants(const struct slr_leg *leg, const struct slr_addr *src, const struct slr_addr *dst)
{
    return slr_addr_eq(&leg->passive_dst, dst) &&
           (leg->passive_src.family == 0 || slr_addr_eq_ip(&leg->passive_src, src));
}

/* The newest session's leg that asked for RTP to this address. */
static uint32_t find_claim(struct slr_engine *e, const struct slr_addr *src,
                           const struct slr_addr *dst)
{
    uint32_t best = SLR_NONE;
    int64_t best_ns = INT64_MIN;
    for (uint32_t i = 0; i < slr_state_legs(e->state); i++) {
        const struct slr_leg *leg = leg_at(e, i);
        uint32_t session = atomic_load(&leg->session);
        if (atomic_load(&leg->state) == SLR_LEG_OPEN && session != SLR_NONE &&
            leg->passive_dst.family != 0 && wants(leg, src, dst) &&
            e->state->session[session].start.ns >= best_ns) {
            best = i;
            best_ns = e->state->session[session].start.ns;
        }
    }
    return best;
}

struct slr_flow *slr_passive_new_flow(struct slr_engine *e, const struct slr_packet *pkt)
{
    uint32_t slot = find_claim(e, &pkt->src, &pkt->dst);
    if (slot == SLR_NONE) {
        slot = slr_engine_leg_slot(e);
        if (slot == SLR_NONE) {
            return NULL;
        }
        slr_engine_leg_reset(e, slot);
        struct slr_leg *leg = leg_at(e, slot);
        leg->passive = true;
        enum slr_err err = slr_leg_codecs_set(leg, e->unsignalled, e->unsignalled_count);
        slr_leg_codecs_build(&e->codecs[slot], leg);
        if (err != SLR_OK || slr_engine_secure_flow(e, slot, pkt) != SLR_OK) {
            atomic_store(&leg->state, SLR_LEG_FREE);
            return NULL;
        }
        atomic_store(&leg->state, SLR_LEG_OPEN);
        e->flows.unclaimed++;
    }
    struct slr_flow *flow = slr_flow_add(&e->flows, &pkt->src, &pkt->dst, slot, pkt->arrival);
    if (!flow && is_unclaimed(e, slot)) {
        e->flows.unclaimed--;
        slr_engine_secure_end(&e->worker[0], slot);
        atomic_store(&leg_at(e, slot)->state, SLR_LEG_FREE);
    }
    return flow;
}

static void add_to(int64_t *ticks, int64_t by)
{
    *ticks += *ticks == INT64_MIN ? 0 : by;
}

static void rebase_stream(struct slr_stream *st, const struct slr_leg *leg, int64_t by,
                          int64_t offset_by)
{
    struct slr_refine *r = &st->refine;
    uint32_t in_force = atomic_load(&st->anchor_index) & 1;
    int64_t shift = slr_place_shift(leg, st->anchor[in_force].segment);
    for (uint32_t i = 0; i < 2; i++) {
        st->anchor[i].ticks += by + slr_place_shift(leg, st->anchor[i].segment);
    }
    st->pos_last_ticks += by + shift;
    st->first_ticks += by;
    st->last_ticks += by;
    r->offset_ticks += offset_by;
    r->start_ticks += by + shift;
    r->lowest_ticks += by;
    r->least_ticks -= shift;
    r->quarter_ticks -= shift;
    add_to(&r->before_ticks, by);
    add_to(&r->line_ticks, by);
}

static void rebase_notes(struct slr_leg *leg, int64_t by)
{
    struct slr_clock_note *n = NULL;
    for (uint32_t i = 0; (n = slr_clock_note_at(&leg->clock_notes, i)); i++) {
        n->at_ticks += by;
        n->rtp_ticks += by;
        n->arrival_ticks += by;
    }
    for (uint32_t i = 0; i < leg->digit_count; i++) {
        slr_leg_rare(leg)->digit[i].start_ticks += by;
    }
    for (uint32_t i = 0; i < leg->late_count; i++) {
        slr_leg_rare(leg)->late[i].start_ticks += by;
        slr_leg_rare(leg)->late[i].end_ticks += by;
    }
}

/* Moves everything that is known of a leg by `by` ticks and settles its segments' shifts.
 * offset_by: what that adds to the distance between position and arrival. */
static void rebase(struct slr_engine *e, uint32_t slot, int64_t by, int64_t offset_by)
{
    struct slr_leg *leg = leg_at(e, slot);
    struct slr_leg_run *run = &e->state->run[slot];
    run->on = false;
    slr_queue_rebase(e->state, slot, by);
    for (uint32_t i = 0; i < atomic_load(&leg->stream_count); i++) {
        rebase_stream(slr_leg_stream(leg, i), leg, by, offset_by);
    }
    for (uint32_t i = 1; i < leg->segments; i++) {
        struct slr_segment *seg = slr_leg_segment(leg, i);
        seg->end_ticks += seg->end_ticks ? by + atomic_load(&seg->shift_ticks) : 0;
        atomic_store(&seg->shift_ticks, 0);
    }
    if (run->highest_ticks != INT64_MIN) {
        run->highest_ticks += by;
    }
    for (uint32_t i = 0; i < 2; i++) {
        leg->pace[i].offset_ticks += offset_by;
    }
    leg->offset_before_ticks += offset_by;
    run->offset_ticks += offset_by;
    run->offset_noted_ticks += offset_by;
    leg->hold_ticks += by;
    rebase_notes(leg, by);
}

/* Earliest position of a held flow, on the flows' own timeline. */
static int64_t earliest(struct slr_engine *e, uint32_t slot)
{
    struct slr_queue_walk walk = {0};
    int64_t first = INT64_MAX;
    const struct slr_rec *rec = slr_queue_next(e->state, slot, &walk);
    for (; rec; rec = slr_queue_next(e->state, slot, &walk)) {
        int64_t at = slr_rec_ticks(leg_at(e, slot), rec);
        first = at < first ? at : first;
    }
    return first;
}

static int64_t flow_start_ns(const struct slr_engine *e)
{
    return e->worker[0].place.flow_session.start.ns;
}

/* What was said before the session began (early media) moves its beginning, as long as nothing is
 * written. */
static void move_start(struct slr_engine *e, struct slr_session *s, int64_t back_ticks)
{
    int64_t ns = slr_ns_from_ticks(back_ticks);
    s->start.ns -= ns;
    s->start_wall.ns -= ns;
    for (uint32_t i = 0; i < atomic_load(&s->leg_count); i++) {
        rebase(e, atomic_load(&s->leg[i]), slr_ticks_from_ns(ns), 0);
    }
}

/* A held flow's positions become positions of the session. */
static void settle(struct slr_engine *e, struct slr_session *s, uint32_t slot)
{
    int64_t first = earliest(e, slot);
    int64_t delta = slr_ticks_from_ns(s->start.ns - flow_start_ns(e));
    if (first != INT64_MAX && first < delta && slr_session_commit(s)->frames == 0) {
        move_start(e, s, delta - first);
        delta = slr_ticks_from_ns(s->start.ns - flow_start_ns(e));
    }
    /* floor to a sample of the slowest clock, so that the first sample lies on the file's grid */
    int64_t over = first == INT64_MAX ? 0 : (first - delta) % (SLR_TICKS_HZ / 8000);
    over = over > 0 ? over : 0;
    rebase(e, slot, -delta - over, -over);
    e->flows.unclaimed--;
}

/* A held flow's leg becomes a leg of the session. */
static enum slr_err adopt(struct slr_engine *e, struct slr_session *s, uint32_t slot)
{
    settle(e, s, slot);
    return slr_engine_leg_join(&e->worker[0], s, slot);
}

static void drop_flow(struct slr_engine *e, uint32_t slot, slr_mono now)
{
    slr_flows_close_leg(&e->flows, slot, now);
    e->flows.unclaimed--;
    slr_queue_reset(e->state, slot);
    slr_engine_secure_end(&e->worker[0], slot);
    atomic_store(&leg_at(e, slot)->state, SLR_LEG_FREE);
}

void slr_passive_keep_raw(struct slr_engine *e, const struct slr_flow *flow, bool rtcp,
                          const struct slr_packet *pkt)
{
    if (e->flows.unclaimed > 0 && is_unclaimed(e, flow->leg)) {
        (void)slr_raw_hold_put(&e->raw, flow->order, rtcp, pkt);
    }
}

/* What is held of a flow, as it was captured, to a leg that has the keys. */
static void take_again(struct slr_engine *e, uint32_t flow, uint32_t slot)
{
    struct slr_raw_walk walk = {0};
    struct slr_packet pkt;
    bool rtcp = false;
    while (slr_raw_hold_next(&e->raw, &walk, flow, &pkt, &rtcp)) {
        slr_count(&e->worker[0].counters.at[SLR_CTR_FLOW_AGAIN], 1);
        slr_worker_packet(&e->worker[0], slot, rtcp, &pkt);
    }
}

/* A held flow turns out to be secure: it begins anew, with the keys. */
static enum slr_err begin_secure(struct slr_engine *e, const struct slr_flow *f,
                                 const struct slr_leg_params *with)
{
    struct slr_leg *leg = leg_at(e, f->leg);
    slr_queue_reset(e->state, f->leg);
    slr_engine_leg_reset(e, f->leg);
    leg->passive = true;
    enum slr_err err =
        slr_leg_codecs_signalled(&e->codecs[f->leg], leg, with->pt, with->pt_count, e->accept);
    if (err == SLR_OK) {
        err = slr_engine_secure(&e->worker[0], f->leg, with, false);
    }
    atomic_store(&leg->state, SLR_LEG_OPEN);
    if (err == SLR_OK) {
        take_again(e, f->order, f->leg);
    }
    return err;
}

static bool asks_for(const struct slr_leg_params *p, const struct slr_flow *f)
{
    return slr_addr_eq(&f->dst, &p->passive_dst) &&
           (p->passive_src.family == 0 || slr_addr_eq_ip(&p->passive_src, &f->src));
}

/* What was held of a flow that turns out to be secure was never decrypted. Of several the first
 * that the keys fit gives the leg its slot; what none fit is forgotten. */
static void secure_held(struct slr_engine *e, const struct slr_leg_params *with)
{
    bool found = false;
    for (uint32_t i = 0; e->flows.unclaimed > 0 && i < e->flows.count; i++) {
        struct slr_flow *f = &e->flows.at[e->flows.slot[i]];
        if (!asks_for(with, f) || !is_unclaimed(e, f->leg)) {
            continue;
        }
        bool fits = !found && with->srtp_count > 0 && begin_secure(e, f, with) == SLR_OK &&
                    atomic_load(&leg_at(e, f->leg)->stream_count) > 0;
        if (!fits) {
            drop_flow(e, f->leg, slr_clock_mono(e->clock));
        }
        found |= fits;
    }
}

/* Flows that a new leg asks for: the first held one gives the leg its slot, others and those of a
 * closed leg lead there from now on. */
static uint32_t claim_flows(struct slr_engine *e, const struct slr_leg_params *p)
{
    uint32_t slot = SLR_NONE;
    for (uint32_t i = 0; e->flows.unclaimed > 0 && i < e->flows.count; i++) {
        struct slr_flow *f = &e->flows.at[e->flows.slot[i]];
        if (asks_for(p, f) && is_unclaimed(e, f->leg) && slot == SLR_NONE) {
            slot = f->leg;
        }
    }
    return slot;
}

static void redirect_closed(struct slr_engine *e, const struct slr_leg *leg, uint32_t slot)
{
    for (uint32_t i = 0; e->flows.closed > 0 && i < e->flows.count; i++) {
        struct slr_flow *f = &e->flows.at[e->flows.slot[i]];
        if (f->leg == SLR_NONE && wants(leg, &f->src, &f->dst)) {
            f->leg = slot;
            e->flows.closed--;
        }
    }
}

/* Where the signalling has no keys, those from a file are tried. The caller wipes *with. */
static void find_keys(const struct slr_engine *e, const struct slr_leg_params *p,
                      struct slr_leg_params *with)
{
    *with = *p;
    if (p->srtp_unknown && e->keys.count > 0) {
        with->srtp_count = slr_srtp_keys_for(&e->keys, NULL, with->srtp);
        with->srtp_unknown = with->srtp_count == 0;
    }
}

static enum slr_err open_leg(struct slr_engine *e, struct slr_session *s,
                             const struct slr_leg_params *p)
{
    if (p->srtp_count > 0 || p->srtp_unknown) {
        secure_held(e, p);
    }
    uint32_t slot = claim_flows(e, p);
    bool held = slot != SLR_NONE;
    if (!held) {
        slot = slr_engine_leg_slot(e);
        if (slot == SLR_NONE) {
            return SLR_FULL;
        }
        slr_engine_leg_reset(e, slot);
    }
    struct slr_leg *leg = leg_at(e, slot);
    snprintf(leg->id, sizeof leg->id, "%s", p->leg);
    snprintf(leg->dn, sizeof leg->dn, "%s", p->dn ? p->dn : "");
    leg->channel = p->channel;
    leg->passive = true;
    leg->passive_dst = p->passive_dst;
    leg->passive_src = p->passive_src;
    enum slr_err err =
        slr_leg_codecs_signalled(&e->codecs[slot], leg, p->pt, p->pt_count, e->accept);
    if (err == SLR_OK) {
        err = slr_engine_secure(&e->worker[0], slot, p, false);
    }
    if (err == SLR_OK) {
        err = held ? adopt(e, s, slot) : slr_engine_leg_join(&e->worker[0], s, slot);
    }
    if (err == SLR_OK) {
        redirect_closed(e, leg, slot);
        slr_placement_hold(s, leg, p->hold, slr_clock_mono(e->clock));
        slr_engine_emit_leg_open(e, s, leg);
    } else if (!held) {
        slr_engine_secure_reset(e, slot);
        atomic_store(&leg->state, SLR_LEG_FREE);
    }
    return err;
}

enum slr_err slr_passive_leg_open(struct slr_engine *e, struct slr_session *s,
                                  const struct slr_leg_params *p)
{
    struct slr_leg_params with;
    if (!p->passive || p->passive_dst.family == 0) {
        return SLR_INVAL;
    }
    find_keys(e, p, &with);
    enum slr_err err = open_leg(e, s, &with);
    explicit_bzero(with.srtp, sizeof with.srtp);
    return err;
}

void slr_passive_legs_closed(struct slr_engine *e, const struct slr_session *s)
{
    for (uint32_t i = 0; i < atomic_load(&s->leg_count); i++) {
        slr_flows_close_leg(&e->flows, atomic_load(&s->leg[i]), slr_clock_mono(e->clock));
    }
}

int64_t slr_passive_highest(const struct slr_engine *e, const struct slr_session *s)
{
    int64_t highest = 0;
    for (uint32_t i = 0; i < atomic_load(&s->leg_count); i++) {
        const struct slr_leg *leg = &e->state->leg[atomic_load(&s->leg[i])];
        for (uint32_t k = 0; k < atomic_load(&leg->stream_count); k++) {
            const struct slr_stream *st = slr_leg_stream(leg, k);
            if (st->placed > 0 && st->last_ticks > highest) {
                highest = st->last_ticks;
            }
        }
    }
    return highest;
}

static bool is_media(const struct slr_engine *e, uint32_t slot)
{
    const struct slr_leg *leg = &e->state->leg[slot];
    const struct slr_leg_codecs *c = &e->codecs[slot];
    uint64_t audio = 0;
    for (uint32_t i = 0;
         leg->current != SLR_NONE && i < slr_leg_stream(leg, leg->current)->pt_kinds; i++) {
        uint8_t row = c->row_of_pt[slr_leg_stream(leg, leg->current)->pt_used[i]];
        if (row != 0xff && c->kind[row] == SLR_PT_AUDIO) {
            audio += slr_leg_stream(leg, leg->current)->pt_count[i];
        }
    }
    return audio >= SLR_FLOW_MIN_PACKETS;
}

/* The first one heard. */
static const struct slr_flow *find_partner(struct slr_engine *e, const struct slr_flow *flow)
{
    struct slr_flow_walk walk = {0};
    const struct slr_flow *best = NULL;
    const struct slr_flow *f;
    while ((f = slr_flow_reverse(&e->flows, flow, &walk)) != NULL) {
        if (f->leg != flow->leg && is_unclaimed(e, f->leg) && is_media(e, f->leg) &&
            (!best || f->order < best->order)) {
            best = f;
        }
    }
    return best;
}

/* The session that a flow's leg is in, running. */
static struct slr_session *session_of(struct slr_engine *e, const struct slr_flow *f)
{
    if (f->leg == SLR_NONE || is_unclaimed(e, f->leg)) {
        return NULL;
    }
    struct slr_session *s = &e->state->session[atomic_load(&leg_at(e, f->leg)->session)];
    return atomic_load(&s->state) == SLR_SESSION_OPEN ? s : NULL;
}

/* A running session of our own making that lacks this direction. */
static struct slr_session *find_half(struct slr_engine *e, const struct slr_flow *flow, bool exact)
{
    struct slr_flow_walk walk = {0};
    struct slr_session *best = NULL;
    const struct slr_flow *f;
    while ((f = slr_flow_reverse(&e->flows, flow, &walk)) != NULL) {
        struct slr_session *s = session_of(e, f);
        if (s && s->is_auto && e->active[s - e->state->session] &&
            atomic_load(&s->leg_count) == 1 && (!best || s < best) &&
            (!exact || (f->src.port == flow->dst.port && f->dst.port == flow->src.port))) {
            best = s;
        }
    }
    return best;
}

static void name_leg(struct slr_engine *e, uint32_t slot, uint32_t channel)
{
    struct slr_leg *leg = leg_at(e, slot);
    leg->channel = channel;
    snprintf(leg->id, sizeof leg->id, "flow-%u", channel);
}

static bool join_auto(struct slr_engine *e, struct slr_session *s, const struct slr_flow *flow,
                      uint32_t channel)
{
    uint32_t slot = flow->leg;
    name_leg(e, slot, channel);
    enum slr_err err = adopt(e, s, slot);
    if (err != SLR_OK) {
        SLR_ERROR("flow_join_failed", "session=%s err=%s", s->id, slr_err_name(err));
        return false;
    }
    slr_engine_emit_leg_open(e, s, leg_at(e, slot));
    return true;
}

/* The stream heard first is channel 0. */
static void make_session(struct slr_engine *e, const struct slr_flow *flow)
{
    char id[SLR_ID_SIZE];
    slr_wall start;
    const struct slr_flow *partner = find_partner(e, flow);
    int64_t first = earliest(e, flow->leg);
    int64_t other = partner ? earliest(e, partner->leg) : INT64_MAX;
    bool swap = other < first || (partner && other == first && partner->order < flow->order);
    int64_t start_ns = flow_start_ns(e) + slr_ns_from_ticks(swap ? other : first);
    slr_idgen_next(&e->ids, (slr_wall){start_ns}, id);
    struct slr_session_params p = {.session = id,
                                   .call = id,
                                   .channels = 2,
                                   .reserve_streams = 0,
                                   .digit_policy = (uint8_t)e->digits,
                                   .start_wall = {start_ns},
                                   .is_auto = true};
    enum slr_err err = slr_engine_session_open(e, &p, &start);
    struct slr_session *s = err == SLR_OK ? slr_engine_session_find(e, id) : NULL;
    if (!s) {
        SLR_ERROR("flow_session_failed", "err=%s", slr_err_name(err));
        return;
    }

    bool joined = join_auto(e, s, swap ? partner : flow, 0);
    if (partner && joined) {
        (void)join_auto(e, s, swap ? flow : partner, 1);
    }
}

/* Index of a leg of a session that hears nothing. SLR_NONE: there is none. */
static uint32_t deaf_leg(struct slr_engine *e, const struct slr_session *s)
{
    for (uint32_t i = 0; i < atomic_load(&s->leg_count); i++) {
        const struct slr_leg *leg = leg_at(e, atomic_load(&s->leg[i]));
        if (atomic_load(&leg->state) == SLR_LEG_OPEN && slr_leg_run(leg)->heard_ns == 0) {
            return i;
        }
    }
    return SLR_NONE;
}

/* A signalled session that hears the other direction of this flow, and whose own leg for it hears
 * nothing: a relay that no SDP names sends it elsewhere. *index: of that leg. */
static struct slr_session *find_deaf(struct slr_engine *e, const struct slr_flow *flow,
                                     uint32_t *index)
{
    struct slr_flow_walk walk = {0};
    struct slr_session *best = NULL;
    uint32_t order = UINT32_MAX;
    const struct slr_flow *f;
    while ((f = slr_flow_reverse(&e->flows, flow, &walk)) != NULL) {
        struct slr_session *s = session_of(e, f);
        uint32_t deaf = s && !s->is_auto && f->order < order ? deaf_leg(e, s) : SLR_NONE;
        if (deaf != SLR_NONE) {
            best = s;
            *index = deaf;
            order = f->order;
        }
    }
    return best;
}

/* The flow's leg takes the place of the session's leg that heard nothing. */
static void replace_deaf(struct slr_engine *e, struct slr_session *s, uint32_t index,
                         const struct slr_flow *flow)
{
    uint32_t slot = flow->leg;
    uint32_t old_slot = atomic_load(&s->leg[index]);
    struct slr_leg *leg = leg_at(e, slot);
    const struct slr_leg *old = leg_at(e, old_slot);
    struct slr_pt_map pt[SLR_MAX_PTS];
    uint32_t count = 0;
    settle(e, s, slot);
    for (uint32_t i = 0; i < old->pt_count && count < SLR_MAX_PTS; i++) {
        if (old->pt_active & (1u << i)) {
            pt[count++] = *slr_leg_pt(old, i);
        }
    }
    if (slr_leg_codecs_set(leg, pt, count) == SLR_OK) {
        slr_leg_codecs_build(&e->codecs[slot], leg);
    }
    memcpy(leg->id, old->id, sizeof leg->id);
    memcpy(leg->dn, old->dn, sizeof leg->dn);
    leg->channel = old->channel;
    leg->passive_dst = flow->dst;
    slr_intervals_copy(&leg->pauses, &old->pauses);
    slr_intervals_copy(&leg->holds, &old->holds);
    leg->hold_lead_ticks = old->hold_lead_ticks;
    atomic_store(&leg->holding, atomic_load(&old->holding));
    leg->cursor = old->cursor;
    atomic_store(&e->state->run[slot].claimed_ticks,
                 atomic_load(&e->state->run[old_slot].claimed_ticks));
    e->state->run[slot].on = false;
    atomic_store(&leg->session, (uint32_t)(s - e->state->session));
    atomic_store(&s->leg[index], slot);
    slr_engine_secure_end(&e->worker[0], old_slot);
    atomic_store(&leg_at(e, old_slot)->state, SLR_LEG_FREE);
}

/* A flow's packets, those that are held first, go to a leg that has the keys. */
static void give_to(struct slr_engine *e, const struct slr_flow *flow, uint32_t slot)
{
    struct slr_flow *f = &e->flows.at[flow - e->flows.at];
    drop_flow(e, f->leg, slr_clock_mono(e->clock));
    f->leg = slot;
    e->flows.closed--;
    take_again(e, f->order, slot);
}

static bool join_signalled(struct slr_engine *e, const struct slr_flow *flow)
{
    uint32_t index = 0;
    struct slr_session *s = is_media(e, flow->leg) ? find_deaf(e, flow, &index) : NULL;
    uint32_t deaf = s ? atomic_load(&s->leg[index]) : SLR_NONE;
    if (s && atomic_load(&e->state->run[deaf].secure) &&
        !atomic_load(&e->state->run[flow->leg].secure)) {
        give_to(e, flow, deaf); /* the leg has the keys, and what was placed is not decrypted */
    } else if (s) {
        replace_deaf(e, s, index, flow);
    }
    return s != NULL;
}

/* The other direction of a recording that goes on is not held: time is being written. */
static bool join_half(struct slr_engine *e, const struct slr_flow *flow, bool exact)
{
    struct slr_session *half = is_media(e, flow->leg) ? find_half(e, flow, exact) : NULL;
    if (half) {
        (void)join_auto(e, half, flow, 1);
    }
    return half != NULL;
}

void slr_passive_check_flows(struct slr_engine *e, slr_mono now, bool all)
{
    for (uint32_t i = 0; e->flows.unclaimed > 0 && i < e->flows.count; i++) {
        const struct slr_flow *f = &e->flows.at[e->flows.slot[i]];
        bool held = is_unclaimed(e, f->leg);
        if (!held || join_signalled(e, f) || join_half(e, f, true) ||
            (!all && now.ns - f->first_ns < SLR_FLOW_HOLD_NS)) {
            continue;
        }
        bool heard = leg_at(e, f->leg)->current != SLR_NONE;
        int64_t quiet_ns = now.ns - e->state->run[f->leg].heard_ns;
        if (is_media(e, f->leg)) {
            if (!join_half(e, f, false)) {
                make_session(e, f);
            }
        } else if (all || (heard && quiet_ns > SLR_FLOW_HOLD_NS) ||
                   now.ns - f->first_ns > 30 * SLR_NS_PER_S) {
            slr_count(&e->worker[0].counters.at[SLR_CTR_FLOWS_DROPPED], 1);
            drop_flow(e, f->leg, now);
        }
    }
}

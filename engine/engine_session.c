/*
 * engine_session: opening, changing and closing sessions and legs. Control thread; what touches
 * running media is done on the session's worker by slr_worker_call.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/log.h"
#include "engine/engine_priv.h"
#include "engine/queue.h"
#include "engine/spread.h"
#include "engine/steady.h"

void slr_engine_emit(struct slr_engine *e, json_t *event)
{
    if (event) {
        e->sink.emit(e->sink.ctx, event);
    }
}

struct slr_session *slr_engine_session_find(struct slr_engine *e, const char *id)
{
    for (uint32_t i = 0; id && i < slr_state_sessions(e->state); i++) {
        struct slr_session *s = &e->state->session[i];
        uint32_t state = atomic_load(&s->state);
        if (e->active[i] && state != SLR_SESSION_FREE && strcmp(s->id, id) == 0) {
            return s;
        }
        if (state >= SLR_SESSION_CLOSING && strcmp(s->id, id) == 0) {
            return s;
        }
    }
    return NULL;
}

uint32_t slr_engine_leg_find(struct slr_engine *e, const struct slr_session *s, const char *leg)
{
    for (uint32_t i = 0; leg && i < atomic_load(&s->leg_count); i++) {
        uint32_t slot = atomic_load(&s->leg[i]);
        if (strcmp(e->state->leg[slot].id, leg) == 0) {
            return slot;
        }
    }
    return SLR_NONE;
}

struct slr_worker *slr_engine_worker_of(struct slr_engine *e, const struct slr_session *s)
{
    return &e->worker[slr_spread_of((uint32_t)(s - e->state->session), e->worker_count)];
}

uint32_t slr_engine_leg_slot(struct slr_engine *e)
{
    const uint32_t n = slr_state_legs(e->state);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t slot = (e->leg_cursor + i) % n;
        if (atomic_load_explicit(&e->state->leg[slot].state, memory_order_acquire) ==
            SLR_LEG_FREE) {
            e->leg_cursor = slot + 1;
            return slot;
        }
    }
    e->leg_cursor = n + 1;
    return slr_state_more_legs(e->state);
}

void slr_engine_leg_reset(struct slr_engine *e, uint32_t slot)
{
    struct slr_leg *leg = &e->state->leg[slot];
    uint32_t generation = leg->first.generation;
    atomic_store(&leg->state, SLR_LEG_FREE); /* half of it cleared it is nobody's, if we die here */
    slr_engine_secure_reset(e, slot);
    slr_space_give(&e->state->space, slr_leg_rare(leg), sizeof *slr_leg_rare(leg));
    memset(&e->state->run[slot], 0, sizeof e->state->run[slot]);
    memset((char *)leg + offsetof(struct slr_leg, session), 0,
           sizeof *leg - offsetof(struct slr_leg, session));
    leg->first.generation = generation;
    slr_leg_rare_join(leg);
    atomic_store(&e->codecs[slot].rows, 0);
    atomic_store(&leg->session, SLR_NONE);
    atomic_store(&leg->queue_head, SLR_NONE);
    slr_leg_run(leg)->queue_tail = SLR_NONE;
    leg->current = SLR_NONE;
    slr_leg_run(leg)->highest_ticks = INT64_MIN;
    leg->cursor.last_stream = SLR_NONE;
    atomic_store(&leg->state, SLR_LEG_SETUP);
}

bool slr_engine_wants_rtcp(const struct slr_engine *e)
{
    return e->rtcp == SLR_RTCP_ALWAYS ||
           (e->rtcp == SLR_RTCP_AUTO && slr_engine_streams_used(e) <= SLR_RTCP_AUTO_STREAMS);
}

/* Reserved streams of all sessions: the first INVITE of a call reserves for all its legs. */
uint32_t slr_engine_streams_used(const struct slr_engine *e)
{
    uint32_t used = 0;
    for (uint32_t i = 0; i < slr_state_sessions(e->state); i++) {
        const struct slr_session *s = &e->state->session[i];
        if (atomic_load(&s->state) == SLR_SESSION_OPEN) {
            uint32_t legs = atomic_load(&s->leg_count);
            used += legs > s->reserve ? legs : s->reserve;
        }
    }
    return used;
}

enum slr_refusal slr_engine_refusal(const struct slr_engine *e, uint32_t reserve_streams)
{
    uint32_t limit = atomic_load_explicit(&e->watch.refuse_limit, memory_order_acquire);
    if (e->draining) {
        return SLR_REFUSE_DRAIN;
    }
    if (slr_engine_streams_used(e) + reserve_streams > e->cfg->streams) {
        return (enum slr_refusal)(SLR_REFUSE_LIMIT + SLR_LIMIT_STREAMS);
    }
    if (atomic_load_explicit(&e->watch.refuse, memory_order_acquire)) {
        return SLR_REFUSE_STORAGE;
    }
    return e->admission_by_cost && limit < SLR_LIMITS ? (enum slr_refusal)(SLR_REFUSE_LIMIT + limit)
                                                      : SLR_REFUSE_NONE;
}

const char *slr_engine_refusal_text(const struct slr_engine *e)
{
    static const char *const text[SLR_REFUSE_LIMIT + SLR_LIMITS] = {
        [SLR_REFUSE_DRAIN] = "draining",
        [SLR_REFUSE_STORAGE] = "the disk stands still and packet memory runs out",
        [SLR_REFUSE_LIMIT + SLR_LIMIT_STREAMS] = "as many streams run as -S allows",
        [SLR_REFUSE_LIMIT + SLR_LIMIT_CPU] = "the processors have no time for another call",
        [SLR_REFUSE_LIMIT + SLR_LIMIT_MEMORY] = "packet memory has no room for another call",
        [SLR_REFUSE_LIMIT + SLR_LIMIT_DISK] = "the disk has no time for another call",
        [SLR_REFUSE_LIMIT + SLR_LIMIT_PORTS] = "no media ports are left",
        [SLR_REFUSE_LIMIT + SLR_LIMIT_SLOTS] = "ended calls that wait for the disk hold all slots"};
    return text[slr_engine_refusal(e, 2)];
}

uint32_t slr_engine_calls_left_of(const struct slr_engine *e, const char **limit)
{
    enum slr_limit by = SLR_LIMIT_STREAMS;
    uint32_t left = slr_engine_calls_left(e, &by);
    *limit = slr_limit_name(by);
    return left;
}

static void write_meta(struct slr_session *s, json_t *meta)
{
    char *text = meta ? json_dumps(meta, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
    atomic_fetch_add(&s->meta_turn, 1);
    size_t bytes = text ? strlen(text) + 1 : 0;
    s->meta_far = false;
    s->meta_near[0] = '\0';
    if (bytes > SLR_META_SIZE) {
        SLR_WARN("meta_too_long", "session=%s bytes=%zu", s->id, bytes);
    } else if (bytes > sizeof s->meta_near && slr_space_touch(slr_session_rare(s)->meta, bytes)) {
        memcpy(slr_session_rare(s)->meta, text, bytes);
        s->meta_far = true;
    } else if (bytes > sizeof s->meta_near) {
        SLR_ERROR("meta_no_memory", "session=%s bytes=%zu", s->id, bytes);
    } else if (text) {
        memcpy(s->meta_near, text, bytes);
    }
    atomic_fetch_add(&s->meta_turn, 1);
    free(text);
}

static struct slr_session *session_slot(struct slr_engine *e)
{
    uint32_t writers = e->writer_count ? e->writer_count : 1;
    uint32_t slot =
        slr_spread_slot(e->state, e->active, e->session_cursor, e->worker_count, writers);
    e->session_cursor = slot + 1;
    return slot == SLR_NONE ? NULL : &e->state->session[slot];
}

void slr_engine_session_reset(struct slr_engine *e, struct slr_session *s)
{
    size_t kept = offsetof(struct slr_session, id);
    slr_space_give(&e->state->space, slr_session_rare(s), sizeof *slr_session_rare(s));
    memset((char *)s + kept, 0, sizeof *s - kept);
    slr_session_rare_join(s);
}

static void fill_session(struct slr_engine *e, struct slr_session *s,
                         const struct slr_session_params *p)
{
    slr_engine_session_reset(e, s);
    snprintf(s->id, sizeof s->id, "%s", p->session);
    snprintf(s->call, sizeof s->call, "%s", p->call ? p->call : "");
    s->channels = p->channels;
    s->reserve = p->reserve_streams;
    s->digit_policy = p->digit_policy;
    s->output = p->has_output ? p->output : e->output;
    s->passive = e->passive;
    s->is_auto = p->is_auto;
    s->start = slr_clock_mono(e->clock);
    s->start_wall = slr_clock_wall(e->clock);
    atomic_store(&s->end_ticks, INT64_MAX);
    write_meta(s, p->meta);
}

enum slr_err slr_engine_session_open(struct slr_engine *e, const struct slr_session_params *p,
                                     slr_wall *start)
{
    if (!slr_id_valid(p->session) || p->channels < 1 || p->channels > SLR_MAX_CHANNELS) {
        return SLR_INVAL;
    }
    struct slr_session *s = slr_engine_session_find(e, p->session);
    if (s) {
        *start = s->start_wall;
        return SLR_EXISTS;
    }
    s = slr_engine_refusal(e, p->reserve_streams) == SLR_REFUSE_NONE ? session_slot(e) : NULL;
    if (!s) {
        slr_count(&e->counters.at[SLR_CTR_SESSIONS_REFUSED], 1);
        return SLR_FULL;
    }
    atomic_store(&s->state, SLR_SESSION_SETUP);
    fill_session(e, s, p);
    if (e->passive && p->start_wall.ns != 0) {
        s->start_wall = p->start_wall;
        s->start.ns = p->start_wall.ns;
    }
    if (e->home) {
        atomic_store(&e->home[s - e->state->session], 0);
    }
    atomic_store_explicit(&s->state, SLR_SESSION_OPEN, memory_order_release);
    atomic_store_explicit(&e->active[s - e->state->session], 1, memory_order_release);
    slr_count(&e->counters.at[SLR_CTR_SESSIONS_OPENED], 1);
    *start = s->start_wall;
    json_t *meta = slr_session_meta(s)[0] ? json_loads(slr_session_meta(s), 0, NULL) : NULL;
    slr_engine_emit(e, json_pack("{s:s,s:s,s:s,s:I,s:b,s:i,s:o}", "ev", "session_open", "session",
                                 s->id, "call", s->call, "start_wall_ns",
                                 (json_int_t)s->start_wall.ns, "auto", (int)s->is_auto, "channels",
                                 (int)s->channels, "meta", meta ? meta : json_object()));
    return SLR_OK;
}

void slr_engine_emit_leg_open(struct slr_engine *e, const struct slr_session *s,
                              const struct slr_leg *leg)
{
    char ip[SLR_ADDR_TEXT_SIZE] = "";
    if (leg->local.family) {
        slr_addr_format_ip(&leg->local, ip);
    }
    slr_engine_emit(e, json_pack("{s:s,s:s,s:s,s:i,s:s,s:s,s:i}", "ev", "leg_open", "session",
                                 s->id, "leg", leg->id, "channel", (int)leg->channel, "dn", leg->dn,
                                 "ip", ip, "port", (int)leg->local.port));
}

enum slr_err slr_engine_leg_join(struct slr_worker *w, struct slr_session *s, uint32_t slot)
{
    uint32_t n = atomic_load(&s->leg_count);
    struct slr_leg *leg = &w->place.state->leg[slot];
    if (n == sizeof s->leg / sizeof s->leg[0]) {
        return SLR_FULL;
    }
    leg->joined_ns = slr_clock_mono(w->clock).ns;
    if (w->drops_seen) {
        w->drops_seen[slot] = w->drops_told; /* what was dropped before is nothing to this leg */
    }
    if (atomic_load(&s->paused)) {
        slr_intervals_open(&leg->pauses, slr_session_ticks(s, (slr_mono){leg->joined_ns}));
    }
    slr_leg_run(leg)->on = false;
    atomic_store(&slr_leg_run(leg)->claimed_ticks, slr_session_written_ticks(s));
    atomic_store(&leg->session, (uint32_t)(s - w->place.state->session));
    atomic_store(&s->leg[n], slot);
    atomic_store_explicit(&s->leg_count, n + 1, memory_order_release);
    atomic_store_explicit(&leg->state, SLR_LEG_OPEN, memory_order_release);
    return SLR_OK;
}

struct leg_call {
    struct slr_engine *e;
    struct slr_session *s;
    uint32_t slot;
    const struct slr_leg_params *p;
    struct slr_leg_fds fds; /* bound */
    bool on;
    uint32_t max_ms; /* of a pause */
    int64_t at_ticks;
    bool changed;
    enum slr_err err;
};

static void close_fds(struct slr_leg_fds *fds)
{
    if (fds->rtp >= 0) {
        close(fds->rtp);
    }
    if (fds->rtcp >= 0) {
        close(fds->rtcp);
    }
    fds->rtp = fds->rtcp = -1;
}

enum slr_err slr_engine_leg_listen(struct slr_worker *w, uint32_t slot, struct slr_leg_fds *fds)
{
    enum slr_err err = w->capture->ops->add(w->capture, fds->rtp, SLR_TAG_RTP(slot));
    if (err == SLR_OK) {
        fds->rtp = -1; /* the backend's */
        if (fds->rtcp >= 0) {
            err = w->capture->ops->add(w->capture, fds->rtcp, SLR_TAG_RTCP(slot));
            fds->rtcp = err == SLR_OK ? -1 : fds->rtcp;
        }
    }
    if (err != SLR_OK) {
        slr_engine_leg_deafen(w, slot);
    }
    close_fds(fds);
    return err;
}

void slr_engine_leg_deafen(struct slr_worker *w, uint32_t slot)
{
    /* removing what was not added does nothing */
    w->capture->ops->remove(w->capture, SLR_TAG_RTP(slot));
    w->capture->ops->remove(w->capture, SLR_TAG_RTCP(slot));
}

static void leg_start(struct slr_worker *w, void *arg)
{
    struct leg_call *c = arg;
    c->err = slr_engine_leg_listen(w, c->slot, &c->fds);
    if (c->err != SLR_OK) {
        return;
    }
    c->err = slr_engine_leg_join(w, c->s, c->slot);
    if (c->err != SLR_OK) {
        slr_engine_leg_deafen(w, c->slot);
    } else {
        slr_placement_hold(c->s, &w->place.state->leg[c->slot], c->p->hold,
                           slr_clock_mono(w->clock));
    }
}

/* By address and port; NULL: not remembered. */
static struct slr_port_past *past_of(const struct slr_engine *e, const struct slr_addr *local)
{
    for (uint32_t i = 0; e->port_past && local->family != 0 && i < e->media_ip_count; i++) {
        if (slr_addr_eq_ip(&e->media_ip[i], local)) {
            return &e->port_past[i * SLR_PORT_PAIRS + local->port / 2];
        }
    }
    return NULL;
}

/* The next leg on this port knows whose packets may still come. */
static void remember_port(struct slr_engine *e, const struct slr_leg *leg)
{
    struct slr_port_past *past = past_of(e, &leg->local);
    if (past) {
        past->heard = leg->current != SLR_NONE;
        past->ssrc = past->heard ? slr_leg_stream(leg, leg->current)->ssrc : 0;
    }
}

static void recall_port(const struct slr_engine *e, struct slr_leg *leg)
{
    const struct slr_port_past *past = past_of(e, &leg->local);
    if (past) {
        leg->ssrc_stale = past->ssrc;
        leg->has_stale = past->heard;
    }
}

static void leg_stop(struct slr_worker *w, void *arg)
{
    struct leg_call *c = arg;
    if (!c->e->passive) {
        slr_engine_leg_deafen(w, c->slot);
    }
    slr_steady_stop(&w->place.state->leg[c->slot]);
    remember_port(c->e, &w->place.state->leg[c->slot]);
    atomic_store_explicit(&w->place.state->leg[c->slot].state, SLR_LEG_CLOSED,
                          memory_order_release);
    slr_engine_secure_end(w, c->slot);
}

static void fill_leg(struct slr_engine *e, struct slr_leg *leg, const struct slr_leg_params *p)
{
    snprintf(leg->id, sizeof leg->id, "%s", p->leg);
    snprintf(leg->dn, sizeof leg->dn, "%s", p->dn ? p->dn : "");
    leg->channel = p->channel;
    leg->policy = (uint8_t)(p->has & SLR_LEG_HAS_SOURCE ? p->policy : e->policy);
    leg->source = p->source;
    leg->ssrc_signalled_count = p->ssrc_count;
    memcpy(leg->ssrc_signalled, p->ssrc, sizeof p->ssrc);
}

static void answer_leg(const struct slr_leg *leg, struct slr_leg_answer *answer)
{
    answer->rtp = leg->local;
    answer->rtcp_port = leg->rtcp_port;
}

/* On the addresses of the leg's family in turn; where one has no port left, on the next. */
static enum slr_err bind_leg(struct slr_engine *e, struct slr_leg *leg, uint8_t family,
                             struct slr_leg_fds *fds)
{
    enum slr_err err = SLR_UNSUPPORTED; /* no address of this family */
    uint32_t first = e->media_ip_next;
    bool rtcp = slr_engine_wants_rtcp(e);
    for (uint32_t i = 0; i < e->media_ip_count; i++) {
        uint32_t at = (first + i) % e->media_ip_count;
        if (e->media_ip[at].family != (family ? family : 4)) {
            continue;
        }
        uint16_t port = 0;
        err = slr_ports_bind(&e->media_ip[at], e->port_lo, e->port_hi, &e->port_cursor[at], 0,
                             &fds->rtp, rtcp ? &fds->rtcp : NULL, &port);
        if (err == SLR_OK) {
            e->media_ip_next = (at + 1) % e->media_ip_count;
            leg->local = e->media_ip[at];
            leg->local.port = port;
            leg->rtcp_port = rtcp ? (uint16_t)(port + 1) : 0;
        }
        if (err != SLR_FULL) {
            break;
        }
    }
    return err;
}

/* Binds and starts a live leg in a slot that is SETUP; on failure the slot is free again. */
static enum slr_err leg_open_live(struct slr_engine *e, struct slr_session *s, uint32_t slot,
                                  const struct slr_leg_params *p)
{
    struct slr_leg *leg = &e->state->leg[slot];
    struct leg_call c = {.e = e, .s = s, .slot = slot, .p = p, .fds = {-1, -1}};
    enum slr_err err = bind_leg(e, leg, p->family, &c.fds);
    if (err != SLR_OK) {
        return err;
    }
    recall_port(e, leg);
    slr_worker_call(slr_engine_worker_of(e, s), leg_start, &c);
    return c.err;
}

enum slr_err slr_engine_leg_open(struct slr_engine *e, const struct slr_leg_params *p,
                                 struct slr_leg_answer *answer)
{
    struct slr_session *s = slr_engine_session_find(e, p->session);
    memset(answer, 0, sizeof *answer);
    if (!s || atomic_load(&s->state) != SLR_SESSION_OPEN) {
        return s ? SLR_STATE : SLR_NOTFOUND;
    }
    uint32_t slot = slr_engine_leg_find(e, s, p->leg);
    if (slot != SLR_NONE) {
        answer_leg(&e->state->leg[slot], answer);
        return SLR_OK;
    }
    if (!p->leg || p->leg[0] == '\0' || p->channel >= SLR_MAX_CHANNELS) {
        return SLR_INVAL;
    }
    if (s->shape.sample_hz != 0 && p->channel >= s->shape.channels) {
        return SLR_CONFLICT; /* the file has its shape: the core makes another segment */
    }
    if (e->passive) {
        return slr_passive_leg_open(e, s, p);
    }
    slot = slr_engine_leg_slot(e);
    if (slot == SLR_NONE) {
        return SLR_FULL;
    }
    struct slr_leg *leg = &e->state->leg[slot];
    slr_engine_leg_reset(e, slot);
    fill_leg(e, leg, p);
    enum slr_err err =
        slr_leg_codecs_signalled(&e->codecs[slot], leg, p->pt, p->pt_count, e->accept);
    if (err == SLR_OK) {
        err = slr_engine_secure(slr_engine_worker_of(e, s), slot, p, false);
    }
    if (err == SLR_OK) {
        err = leg_open_live(e, s, slot, p);
    }
    if (err != SLR_OK) {
        slr_engine_secure_reset(e, slot);
        atomic_store(&leg->state, SLR_LEG_FREE);
        return err;
    }
    answer_leg(leg, answer);
    slr_engine_emit_leg_open(e, s, leg);
    return SLR_OK;
}

static void leg_update(struct slr_worker *w, void *arg)
{
    struct leg_call *c = arg;
    struct slr_leg *leg = &w->place.state->leg[c->slot];
    const struct slr_leg_params *p = c->p;
    if (p->has & SLR_LEG_HAS_CODECS) {
        c->err = slr_leg_codecs_signalled(&w->place.codecs[c->slot], leg, p->pt, p->pt_count,
                                          c->e->accept);
        if (c->err != SLR_OK) {
            return;
        }
    }
    if (p->has & SLR_LEG_HAS_SRTP) {
        c->err = slr_engine_secure(w, c->slot, p, true);
        if (c->err != SLR_OK) {
            return;
        }
    }
    if (p->has & SLR_LEG_HAS_SOURCE) {
        leg->source = p->source;
        leg->policy = (uint8_t)p->policy;
    }
    if (p->has & SLR_LEG_HAS_SSRC) {
        leg->ssrc_signalled_count = p->ssrc_count;
        memcpy(leg->ssrc_signalled, p->ssrc, sizeof p->ssrc);
    }
    if ((p->has & SLR_LEG_HAS_DN) && p->dn) {
        snprintf(leg->dn, sizeof leg->dn, "%s", p->dn);
    }
    if (p->has & SLR_LEG_HAS_PASSIVE) {
        leg->passive_dst = p->passive_dst;
        leg->passive_src = p->passive_src;
    }
    if (p->has & SLR_LEG_HAS_HOLD) {
        slr_placement_hold(c->s, leg, p->hold, slr_clock_mono(w->clock));
    }
}

enum slr_err slr_engine_leg_update(struct slr_engine *e, const struct slr_leg_params *p)
{
    struct slr_session *s = slr_engine_session_find(e, p->session);
    uint32_t slot = s ? slr_engine_leg_find(e, s, p->leg) : SLR_NONE;
    if (slot == SLR_NONE) {
        return SLR_NOTFOUND;
    }
    if (atomic_load(&s->state) != SLR_SESSION_OPEN) {
        return SLR_STATE; /* it may be read for its ledger */
    }
    struct leg_call c = {.e = e, .s = s, .slot = slot, .p = p};
    bool held = atomic_load(&e->state->leg[slot].holding) != 0;
    slr_worker_call(slr_engine_worker_of(e, s), leg_update, &c);
    if (c.err == SLR_OK && (p->has & SLR_LEG_HAS_HOLD) && held != p->hold) {
        slr_engine_emit(e, json_pack("{s:s,s:s,s:s,s:b}", "ev", "hold", "session", s->id, "leg",
                                     p->leg, "on", (int)p->hold));
    }
    return c.err;
}

enum slr_err slr_engine_leg_close(struct slr_engine *e, const char *session, const char *leg,
                                  const char *reason)
{
    slr_passive_link_catch_up(e);
    struct slr_session *s = slr_engine_session_find(e, session);
    uint32_t slot = s ? slr_engine_leg_find(e, s, leg) : SLR_NONE;
    if (slot == SLR_NONE) {
        return SLR_NOTFOUND;
    }
    if (atomic_load(&e->state->leg[slot].state) != SLR_LEG_OPEN) {
        return SLR_OK;
    }
    struct leg_call c = {.e = e, .s = s, .slot = slot};
    slr_worker_call(slr_engine_worker_of(e, s), leg_stop, &c);
    if (e->passive) {
        slr_flows_close_leg(&e->flows, slot, slr_clock_mono(e->clock));
    }
    slr_engine_emit(e, json_pack("{s:s,s:s,s:s,s:s}", "ev", "leg_close", "session", s->id, "leg",
                                 leg, "reason", reason ? reason : ""));
    return SLR_OK;
}

static void pause_call(struct slr_worker *w, void *arg)
{
    struct leg_call *c = arg;
    slr_mono now = slr_clock_mono(w->clock);
    /* the time first: a pause that was to end must not go on because of a death in between */
    if (c->on) {
        c->s->resume_at_ns = c->max_ms ? now.ns + (int64_t)c->max_ms * SLR_NS_PER_MS : 0;
    }
    c->changed = slr_placement_pause(&w->place, c->s, c->on, now, &c->at_ticks);
}

enum slr_err slr_engine_pause(struct slr_engine *e, const char *session, bool on, uint32_t max_ms,
                              int64_t *at_ticks)
{
    struct slr_session *s = slr_engine_session_find(e, session);
    if (!s || atomic_load(&s->state) != SLR_SESSION_OPEN) {
        return s ? SLR_STATE : SLR_NOTFOUND;
    }
    struct leg_call c = {
        .e = e, .s = s, .on = on, .max_ms = max_ms ? max_ms : e->cfg->pause_max_s * 1000u};
    slr_worker_call(slr_engine_worker_of(e, s), pause_call, &c);
    *at_ticks = c.at_ticks;
    if (c.changed && on) {
        slr_engine_emit(e,
                        json_pack("{s:s,s:s,s:I,s:I}", "ev", "paused", "session", s->id, "at_ticks",
                                  (json_int_t)c.at_ticks, "max_ms", (json_int_t)c.max_ms));
    } else if (c.changed) {
        slr_engine_emit(e, json_pack("{s:s,s:s,s:I,s:s}", "ev", "resumed", "session", s->id,
                                     "at_ticks", (json_int_t)c.at_ticks, "by", "command"));
    }
    return SLR_OK;
}

enum slr_err slr_engine_session_meta(struct slr_engine *e, const char *session, json_t *meta)
{
    struct slr_session *s = slr_engine_session_find(e, session);
    if (!s || atomic_load(&s->state) != SLR_SESSION_OPEN) {
        return s ? SLR_STATE : SLR_NOTFOUND;
    }
    if (!json_is_object(meta)) {
        return SLR_INVAL;
    }
    write_meta(s, meta);
    return SLR_OK;
}

/* The end is where the signalling put it; a packet that was received whole is never cut. */
static int64_t end_of(const struct slr_worker *w, const struct slr_session *s, int64_t end_ticks)
{
    int64_t now = slr_session_ticks(s, slr_clock_mono(w->clock));
    int64_t highest = INT64_MIN;
    int64_t placed = 0; /* audio of the leg that leads */
    for (uint32_t i = 0; i < atomic_load(&s->leg_count); i++) {
        const struct slr_leg *leg = &w->place.state->leg[atomic_load(&s->leg[i])];
        int64_t last = INT64_MIN;
        int64_t of_leg = 0;
        for (uint32_t k = 0; k < atomic_load(&leg->stream_count); k++) {
            const struct slr_stream *st = slr_leg_stream(leg, k);
            if (atomic_load(&st->state) == SLR_STREAM_TAKEN && st->placed > 0) {
                last = st->last_ticks > last ? st->last_ticks : last;
                of_leg += st->placed_ticks;
            }
        }
        last += last == INT64_MIN ? 0 : atomic_load(&leg->corr_ticks);
        placed = last > highest ? of_leg : placed;
        highest = last > highest ? last : highest;
    }
    int64_t end = end_ticks == INT64_MIN ? now : end_ticks;
    int64_t written = slr_session_written_ticks(s); /* ahead of time where the media was */
    end = end > written ? end : written;
    /* what was received is not cut, a burst ahead of time neither, with its talk pauses; a clock
     * that leapt is no audio */
    int64_t most = end + (1 + SLR_LEAD_GAPS) * placed + SLR_TICKS_HZ;
    most += written == end ? w->place.window_ticks : 0;
    return highest > end && highest < most ? highest : end;
}

static void session_stop(struct slr_worker *w, void *arg)
{
    struct leg_call *c = arg;
    for (uint32_t i = 0; i < atomic_load(&c->s->leg_count); i++) {
        c->slot = atomic_load(&c->s->leg[i]);
        if (atomic_load(&w->place.state->leg[c->slot].state) == SLR_LEG_OPEN) {
            leg_stop(w, c);
        }
    }
    atomic_store(&c->s->end_ticks, end_of(w, c->s, c->at_ticks));
    atomic_store_explicit(&c->s->state, SLR_SESSION_CLOSING, memory_order_release);
}

enum slr_err slr_engine_session_end(struct slr_engine *e, struct slr_session *s, const char *reason,
                                    int64_t end_ticks)
{
    if (atomic_load(&s->state) != SLR_SESSION_OPEN) {
        return SLR_OK;
    }
    struct leg_call c = {.e = e, .s = s, .at_ticks = end_ticks};
    snprintf(s->end_reason, sizeof s->end_reason, "%s", reason && reason[0] ? reason : "stop");
    slr_worker_call(slr_engine_worker_of(e, s), session_stop, &c);
    if (e->passive) {
        slr_passive_legs_closed(e, s);
    }
    return SLR_OK;
}

enum slr_err slr_engine_session_close(struct slr_engine *e, const char *session, const char *reason)
{
    slr_passive_link_catch_up(e);
    struct slr_session *s = slr_engine_session_find(e, session);
    if (!s) {
        return SLR_NOTFOUND;
    }
    return slr_engine_session_end(e, s, reason, INT64_MIN);
}

enum slr_err slr_engine_recording_delete(struct slr_engine *e, const char *session,
                                         json_t **removed)
{
    char name[SLR_REC_NAME_SIZE];
    if (!slr_id_valid(session)) {
        return SLR_INVAL;
    }
    const struct slr_session *s = slr_engine_session_find(e, session);
    if (s && !atomic_load(&s->published)) {
        return SLR_BUSY;
    }
    enum slr_err err = slr_sealer_delete(&e->sealer, session);
    if (err != SLR_OK) {
        return err;
    }
    *removed = json_array();
    /* of which format it is stands on the disk, and nothing waits for that here */
    slr_recfile_name_final(session, ".*", name);
    json_array_append_new(*removed, json_string(name));
    return SLR_OK;
}

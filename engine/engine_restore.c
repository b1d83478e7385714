/*
 * engine_restore: sessions of an earlier process go on in this one: same recording, same ports.
 * Control thread at start, before workers and writers run; ports are bound on the workers.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "engine/engine_priv.h"
#include "engine/queue.h"
#include "engine/steady.h"

#define REBIND_TRIES 200

/* The old process's sockets may linger for a moment (io_uring), so binding is tried for 2 s. */
static enum slr_err bind_leg(const struct slr_engine *e, const struct slr_leg *leg,
                             struct slr_leg_fds *fds)
{
    uint16_t port = 0;
    uint16_t cursor = 0;
    enum slr_err err = SLR_BUSY;
    for (int i = 0; i < REBIND_TRIES && err == SLR_BUSY; i++) {
        if (i > 0) {
            nanosleep(&(struct timespec){0, 10 * SLR_NS_PER_MS}, NULL);
        }
        err = slr_ports_bind(&leg->local, e->port_lo, e->port_hi, &cursor, leg->local.port,
                             &fds->rtp, leg->rtcp_port ? &fds->rtcp : NULL, &port);
    }
    return err;
}

/* What a death in the middle of joining or of pausing left undone. */
static void finish_join(const struct slr_session *s, struct slr_leg *leg)
{
    uint32_t n = atomic_load(&leg->pauses.count);
    if (atomic_load(&leg->state) == SLR_LEG_SETUP) {
        atomic_store(&leg->state, SLR_LEG_OPEN);
    }
    if (atomic_load(&s->paused) &&
        (n == 0 || atomic_load(&slr_intervals_at(&leg->pauses, n - 1)->end_ticks) != INT64_MAX)) {
        int64_t highest = atomic_load(&slr_leg_run(leg)->highest_ticks);
        slr_intervals_open(&leg->pauses, highest > 0 ? highest : 0);
    }
}

/* A death between the commit and what follows from it. */
static void follow_commit(struct slr_engine *e, const struct slr_session *s)
{
    for (uint32_t i = 0; i < atomic_load(&s->leg_count); i++) {
        struct slr_leg *leg = &e->state->leg[atomic_load(&s->leg[i])];
        atomic_store(&leg->corr_ticks, leg->cursor.corr_ticks);
    }
}

/* What is kept twice for the packet path. */
static void refresh(const struct slr_session *s, struct slr_leg *leg)
{
    slr_steady_stop(leg);
    atomic_store(&slr_leg_run(leg)->claimed_ticks,
                 slr_session_written_ticks(s) - atomic_load(&leg->corr_ticks));
}

static void restore_open(struct slr_engine *e, struct slr_session *s, slr_mono now)
{
    int64_t alive_ns = atomic_load(&e->state->header->alive_ns);
    slr_intervals_open(&s->downs, slr_session_ticks(s, (slr_mono){alive_ns}));
    for (uint32_t i = 0; i < atomic_load(&s->leg_count); i++) {
        uint32_t slot = atomic_load(&s->leg[i]);
        struct slr_leg *leg = &e->state->leg[slot];
        slr_leg_codecs_build(&e->codecs[slot], leg);
        finish_join(s, leg);
        refresh(s, leg);
        slr_leg_run(leg)->heard_ns = slr_leg_run(leg)->heard_ns ? now.ns : 0;
    }
}

/* A leg whose port is gone is over; what it has is kept. */
static void listen_again(struct slr_worker *w, const struct slr_engine *e,
                         const struct slr_session *s, uint32_t slot)
{
    struct slr_leg *leg = &e->state->leg[slot];
    struct slr_leg_fds fds = {-1, -1};
    enum slr_err err = bind_leg(e, leg, &fds);
    if (err == SLR_OK) {
        err = slr_engine_leg_listen(w, slot, &fds);
    }
    if (err != SLR_OK) {
        SLR_ERROR("rebind_failed", "session=%s port=%u err=%s", s->id, leg->local.port,
                  slr_err_name(err));
        atomic_store(&leg->state, SLR_LEG_CLOSED);
    }
}

/* The capture instance belongs to its worker, so sockets are bound and added there: each counts
 * among the open files for a moment only. */
static void listen_all(struct slr_worker *w, void *arg)
{
    struct slr_engine *e = arg;
    for (uint32_t i = w->number; i < slr_state_sessions(e->state); i += w->count) {
        struct slr_session *s = &e->state->session[i];
        if (!atomic_load(&e->active[i]) || atomic_load(&s->state) != SLR_SESSION_OPEN) {
            continue;
        }
        for (uint32_t k = 0; k < atomic_load(&s->leg_count); k++) {
            uint32_t slot = atomic_load(&s->leg[k]);
            if (atomic_load(&e->state->leg[slot].state) == SLR_LEG_OPEN) {
                listen_again(w, e, s, slot);
            }
        }
        slr_intervals_close(&s->downs, slr_session_ticks(s, slr_clock_mono(e->clock)));
    }
}

void slr_engine_restore_sockets(struct slr_engine *e)
{
    for (uint32_t i = 0; i < e->worker_count; i++) {
        slr_worker_call(&e->worker[i], listen_all, e);
    }
}

/* Another boot: the monotonic clock began anew, so the timeline can't go on. On a live link that is
 * looked at, another process: what its flows were nobody knows any more. */
static void end_earlier(struct slr_engine *e, struct slr_session *s)
{
    int64_t end = slr_session_written_ticks(s);
    for (uint32_t i = 0; i < atomic_load(&s->leg_count); i++) {
        struct slr_leg *leg = &e->state->leg[atomic_load(&s->leg[i])];
        slr_leg_codecs_build(&e->codecs[atomic_load(&s->leg[i])], leg);
        slr_steady_stop(leg);
        if (slr_leg_run(leg)->highest_ticks > end) {
            end = slr_leg_run(leg)->highest_ticks;
        }
        atomic_store(&leg->state, SLR_LEG_CLOSED);
    }
    snprintf(s->end_reason, sizeof s->end_reason, "%s", e->state->rebooted ? "reboot" : "restart");
    atomic_store(&s->end_ticks, end);
    atomic_store(&s->state, SLR_SESSION_CLOSING);
}

/* Legs that no session has: left over from a death in the middle of opening or sealing. */
static void free_strays(struct slr_engine *e)
{
    for (uint32_t i = 0; i < slr_state_legs(e->state); i++) {
        struct slr_leg *leg = &e->state->leg[i];
        uint32_t owner = atomic_load(&leg->session);
        bool owned = false;
        if (atomic_load(&leg->state) == SLR_LEG_FREE) {
            continue;
        }
        if (owner < e->state->session_max) {
            const struct slr_session *s = &e->state->session[owner];
            for (uint32_t k = 0; k < atomic_load(&s->leg_count); k++) {
                owned |= atomic_load(&s->leg[k]) == i && atomic_load(&s->state) != SLR_SESSION_FREE;
            }
        }
        if (!owned) {
            slr_queue_reset(e->state, i);
            atomic_store(&leg->state, SLR_LEG_FREE);
        }
    }
}

enum slr_err slr_engine_restore(struct slr_engine *e)
{
    uint32_t restored = 0;
    slr_mono now = slr_clock_mono(e->clock);
    int64_t alive_ns = atomic_load(&e->state->header->alive_ns);
    slr_redo_settle(e->state);
    for (uint32_t i = 0; i < slr_state_sessions(e->state); i++) {
        struct slr_session *s = &e->state->session[i];
        uint32_t state = atomic_load(&s->state);
        if (state == SLR_SESSION_FREE) {
            continue;
        }
        if (state == SLR_SESSION_SETUP) {
            atomic_store(&s->state, SLR_SESSION_FREE);
            continue;
        }
        follow_commit(e, s);
        if ((e->state->rebooted || e->link) && state == SLR_SESSION_OPEN) {
            end_earlier(e, s);
        } else if (state == SLR_SESSION_OPEN) {
            restore_open(e, s, now);
        } else {
            for (uint32_t k = 0; k < atomic_load(&s->leg_count); k++) {
                uint32_t slot = atomic_load(&s->leg[k]);
                slr_leg_codecs_build(&e->codecs[slot], &e->state->leg[slot]);
            }
        }
        atomic_store(&e->active[i], 1);
        slr_count(&e->counters.at[SLR_CTR_SESSIONS_RESTORED], 1);
        restored++;
    }
    free_strays(e);
    slr_engine_secure_restore(e);
    slr_engine_emit(
        e,
        json_pack("{s:s,s:i,s:I}", "ev", "engine_start", "restored", (int)restored, "down_ms",
                  (json_int_t)(restored && !e->state->rebooted ? (now.ns - alive_ns) / SLR_NS_PER_MS
                                                               : 0)));
    if (restored) {
        SLR_INFO("sessions_restored", "count=%u down_ms=%lld", restored,
                 (long long)((now.ns - alive_ns) / SLR_NS_PER_MS));
    }
    return SLR_OK;
}

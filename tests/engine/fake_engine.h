/*
 * fake_engine: an engine that only notes what it was asked for, behind the seam's table of calls.
 */
#ifndef SLR_TESTS_ENGINE_FAKE_ENGINE_H
#define SLR_TESTS_ENGINE_FAKE_ENGINE_H

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/json.h"
#include "common/seam.h"
#include "engine/seam_server.h"

#define ID_A "0123456789abcdef0123456789abcdef"

/* What the engine was asked for last. */
struct slr_engine {
    int calls;
    char what[32], session[64], leg[64], call[128], dn[64], reason[40];
    struct slr_session_params open;
    struct slr_leg_params params;
    enum slr_err give;
    bool draining;
    uint32_t max_ms; /* of a pause */
    size_t snapshot_rows;
};

static inline void note(struct slr_engine *e, const char *what, const char *session,
                        const char *leg)
{
    e->calls++;
    snprintf(e->what, sizeof e->what, "%s", what);
    snprintf(e->session, sizeof e->session, "%s", session ? session : "");
    snprintf(e->leg, sizeof e->leg, "%s", leg ? leg : "");
}

static inline enum slr_err t_session_open(struct slr_engine *e, const struct slr_session_params *p,
                                          slr_wall *start)
{
    note(e, "session_open", p->session, NULL);
    e->open = *p;
    snprintf(e->call, sizeof e->call, "%s", p->call);
    start->ns = 4711;
    return e->give;
}

static inline enum slr_err t_leg_open(struct slr_engine *e, const struct slr_leg_params *p,
                                      struct slr_leg_answer *answer)
{
    note(e, "leg_open", p->session, p->leg);
    e->params = *p;
    snprintf(e->dn, sizeof e->dn, "%s", p->dn);
    if (!p->passive) {
        cr_assert_eq(slr_addr_parse("192.0.2.1:40000", &answer->rtp), SLR_OK);
        answer->rtcp_port = 40001;
    }
    return e->give;
}

static inline enum slr_err t_leg_update(struct slr_engine *e, const struct slr_leg_params *p)
{
    note(e, "leg_update", p->session, p->leg);
    e->params = *p;
    return e->give;
}

static inline enum slr_err t_leg_close(struct slr_engine *e, const char *session, const char *leg,
                                       const char *reason)
{
    note(e, "leg_close", session, leg);
    snprintf(e->reason, sizeof e->reason, "%s", reason);
    return e->give;
}

static inline enum slr_err t_pause(struct slr_engine *e, const char *session, bool on,
                                   uint32_t max_ms, int64_t *at_ticks)
{
    note(e, on ? "pause" : "resume", session, NULL);
    e->max_ms = max_ms;
    *at_ticks = 99;
    return e->give;
}

static inline enum slr_err t_meta(struct slr_engine *e, const char *session, json_t *meta)
{
    note(e, "meta", session, slr_json_str(meta, "k"));
    return e->give;
}

static inline enum slr_err t_session_close(struct slr_engine *e, const char *session,
                                           const char *reason)
{
    note(e, "session_close", session, NULL);
    snprintf(e->reason, sizeof e->reason, "%s", reason);
    return e->give;
}

static inline enum slr_err t_delete(struct slr_engine *e, const char *session, json_t **removed)
{
    note(e, "delete", session, NULL);
    if (e->give == SLR_OK) {
        *removed = json_pack("[s]", "x.wav");
    }
    return e->give;
}

static inline json_t *t_snapshot(struct slr_engine *e)
{
    json_t *list = json_array();
    char pad[1001];
    memset(pad, 'x', 1000);
    pad[1000] = '\0';
    for (size_t i = 0; i < e->snapshot_rows; i++) {
        json_array_append_new(list, json_pack("{s:i,s:s}", "row", (int)i, "pad", pad));
    }
    return list;
}

static inline json_t *t_stats(struct slr_engine *e)
{
    (void)e;
    return json_pack("{s:i,s:{s:i}}", "streams_used", 3, "counters", "slr_x_total", 5);
}

static inline void t_drain(struct slr_engine *e, bool on)
{
    note(e, "drain", NULL, NULL);
    e->draining = on;
}

static inline bool t_draining(const struct slr_engine *e)
{
    return e->draining;
}

static inline uint32_t t_used(const struct slr_engine *e)
{
    (void)e;
    return 7;
}

static const struct slr_engine_api api = {
    .session_open = t_session_open,
    .leg_open = t_leg_open,
    .leg_update = t_leg_update,
    .leg_close = t_leg_close,
    .pause = t_pause,
    .session_meta = t_meta,
    .session_close = t_session_close,
    .recording_delete = t_delete,
    .snapshot = t_snapshot,
    .stats = t_stats,
    .drain = t_drain,
    .draining = t_draining,
    .streams_used = t_used,
};

struct rig {
    char root[64], data[96], state[96];
    struct slr_engine_config cfg;
    struct slr_engine engine;
    struct slr_evlog *log;
    struct slr_loop *loop;
    struct slr_srv_counters counters;
    struct slr_seam_server *server;
};

#endif

/*
 * seam_rig: a seam server in front of an engine that only notes what it was asked for; both ends of
 * each connection are driven by the test, step by step.
 */
#ifndef SLR_TESTS_ENGINE_SEAM_RIG_H
#define SLR_TESTS_ENGINE_SEAM_RIG_H

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
                                   int64_t *at_ticks)
{
    note(e, on ? "pause" : "resume", session, NULL);
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

static inline void add_counters(void *ctx, json_t *counters)
{
    struct rig *r = ctx;
    slr_srv_to_json(&r->counters, counters);
}

static inline void start(struct rig *r, bool passive)
{
    memset(r, 0, sizeof *r);
    snprintf(r->root, sizeof r->root, "/tmp/slr-seam-XXXXXX");
    cr_assert_not_null(mkdtemp(r->root));
    snprintf(r->data, sizeof r->data, "%s/data", r->root);
    snprintf(r->state, sizeof r->state, "%s/state", r->root);
    r->cfg.streams = 600;
    struct slr_evlog_config lc = {.data_dir = r->data,
                                  .state_dir = r->state,
                                  .clock = slr_clock_real(),
                                  .ring_bytes = 1u << 20,
                                  .sync_ms = 1};
    cr_assert_eq(slr_evlog_open(&lc, &r->log), SLR_OK);
    cr_assert_eq(slr_loop_open(&r->loop), SLR_OK);
    struct slr_seam_server_config sc = {.loop = r->loop,
                                        .log = r->log,
                                        .counters = &r->counters,
                                        .env = {.api = &api,
                                                .cfg = &r->cfg,
                                                .passive = passive,
                                                .add_counters = add_counters,
                                                .ctx = r}};
    cr_assert_eq(slr_seam_server_open(&sc, &r->server), SLR_OK);
    cr_assert_eq(slr_seam_server_engine(r->server, &r->engine), SLR_OK);
}

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline void stop(struct rig *r)
{
    slr_seam_server_close(r->server);
    slr_loop_close(r->loop);
    slr_evlog_close(r->log);
    cr_assert_eq(nftw(r->root, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static inline struct slr_seam_conn *dial(struct rig *r)
{
    int fd[2];
    struct slr_seam_conn *c = NULL;
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
    cr_assert_eq(slr_seam_server_adopt(r->server, fd[0]), SLR_OK);
    cr_assert_eq(slr_seam_open(fd[1], &c), SLR_OK);
    return c;
}

static inline void turn(struct rig *r)
{
    cr_assert(slr_loop_round(r->loop, 0));
    while (slr_seam_server_pump(r->server)) {
    }
}

/* The next message, NULL when none comes; *err tells why. */
static inline json_t *next(struct rig *r, struct slr_seam_conn *c, enum slr_err *err)
{
    json_t *msg = NULL;
    for (int i = 0; i < 200; i++) {
        *err = slr_seam_take(c, &msg, NULL);
        if (*err != SLR_AGAIN) {
            return *err == SLR_OK ? msg : NULL;
        }
        turn(r);
    }
    return NULL;
}

static inline json_t *ask_json(struct rig *r, struct slr_seam_conn *c, json_t *cmd)
{
    enum slr_err err;
    cr_assert_not_null(cmd);
    cr_assert_eq(slr_seam_put(c, cmd, -1), SLR_OK);
    cr_assert_eq(slr_seam_flush(c), SLR_OK);
    json_decref(cmd);
    json_t *answer = next(r, c, &err);
    cr_assert_not_null(answer, "no answer: %s", slr_err_name(err));
    return answer;
}

static inline json_t *ask(struct rig *r, struct slr_seam_conn *c, const char *text)
{
    return ask_json(r, c, json_loads(text, 0, NULL));
}

static inline void hello(struct rig *r, struct slr_seam_conn *c, int epoch, int after)
{
    json_t *a = ask_json(r, c,
                         json_pack("{s:s,s:s,s:i,s:s,s:i,s:i}", "cmd", "hello", "id", "h", "epoch",
                                   epoch, "core", "t", "proto", 1, "resume_after", after));
    cr_assert(slr_json_bool(a, "ok", false), "%s", slr_json_str(a, "text"));
    json_decref(a);
}

static inline void expect_err(struct rig *r, struct slr_seam_conn *c, const char *text,
                              const char *err, const char *names)
{
    int calls = r->engine.calls;
    json_t *a = ask(r, c, text);
    cr_expect_str_eq(slr_json_str(a, "err") ? slr_json_str(a, "err") : "none", err, "%s", text);
    cr_expect(strstr(slr_json_str(a, "text"), names), "%s: \"%s\" does not name %s", text,
              slr_json_str(a, "text"), names);
    cr_expect_eq(r->engine.calls, calls, "the engine was called for %s", text);
    json_decref(a);
}

#endif

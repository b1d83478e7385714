/*
 * seam_rig: a seam server in front of the engine that only notes; both ends of each connection are
 * driven by the test, step by step.
 */
#ifndef SLR_TESTS_ENGINE_SEAM_RIG_H
#define SLR_TESTS_ENGINE_SEAM_RIG_H

#include "tests/engine/fake_engine.h"

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

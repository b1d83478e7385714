/*
 * Control of a passive run: nothing is read from the capture before the core has acknowledged the
 * last message, whatever it commands meanwhile is done first. The engine is a script; the core is a
 * thread with a real connection.
 */
#include <criterion/criterion.h>
#include <ftw.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/json.h"
#include "common/seam.h"
#include "engine/control.h"

#define SID "0123456789abcdef0123456789abcdef"
#define MESSAGES 3

/* What happened, in order; both threads write, one letter each: the core before it acknowledges,
 * the engine when it is called. */
static struct {
    pthread_mutex_t lock;
    char text[128];
} story = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void happened(char c)
{
    pthread_mutex_lock(&story.lock);
    size_t n = strlen(story.text);
    cr_assert_lt(n, sizeof story.text - 1);
    story.text[n] = c;
    pthread_mutex_unlock(&story.lock);
}

struct slr_engine {
    int turn;
};

static struct slr_engine script;
static struct slr_event_sink to;
static uint8_t message[] = "INVITE sip:a SIP/2.0\r\nAuthorization: SECRET\r\n\r\n";

static enum slr_err s_open(const struct slr_engine_config *cfg, const struct slr_event_sink *sink,
                           struct slr_engine **out)
{
    (void)cfg;
    to = *sink;
    script.turn = 0;
    *out = &script;
    to.emit(to.ctx, json_pack("{s:s}", "ev", "engine_start"));
    return SLR_OK;
}

static enum slr_err s_open_fails(const struct slr_engine_config *cfg,
                                 const struct slr_event_sink *sink, struct slr_engine **out)
{
    (void)cfg;
    (void)sink;
    (void)out;
    return SLR_NOTFOUND;
}

static void s_close(struct slr_engine *e, bool seal)
{
    (void)e;
    happened(seal ? 'c' : 'x');
}

static enum slr_err s_session_close(struct slr_engine *e, const char *session, const char *reason)
{
    (void)e;
    (void)session;
    (void)reason;
    happened('s');
    return SLR_OK;
}

static bool s_draining(const struct slr_engine *e)
{
    (void)e;
    return false;
}

static uint32_t s_used(const struct slr_engine *e)
{
    (void)e;
    return 0;
}

static enum slr_err s_run(struct slr_engine *e, struct slr_passive_sip *sip)
{
    happened('r');
    if (e->turn++ == MESSAGES) {
        return SLR_EOF;
    }
    *sip = (struct slr_passive_sip){.at = message,
                                    .len_bytes = sizeof message - 1,
                                    .src = {.ip = {10, 0, 0, 1}, .port = 5060, .family = 4},
                                    .dst = {.ip = {10, 0, 0, 2}, .port = 5060, .family = 4},
                                    .wall = {1000 + e->turn}};
    return SLR_OK;
}

static enum slr_err s_flush(struct slr_engine *e)
{
    (void)e;
    happened('f');
    to.emit(to.ctx, json_pack("{s:s,s:s,s:I}", "ev", "sealed", "session", SID, "end_wall_ns",
                              (json_int_t)5000));
    return SLR_OK;
}

static const struct slr_engine_api api = {.open = s_open,
                                          .close = s_close,
                                          .session_close = s_session_close,
                                          .draining = s_draining,
                                          .streams_used = s_used,
                                          .passive_run = s_run,
                                          .passive_flush = s_flush};

struct place {
    char root[64], data[96], state[96], control[96];
    struct slr_engine_config cfg;
    struct slr_control_config cc;
};

static void make_place(struct place *p)
{
    memset(p, 0, sizeof *p);
    snprintf(p->root, sizeof p->root, "/tmp/slr-control-XXXXXX");
    cr_assert_not_null(mkdtemp(p->root));
    snprintf(p->data, sizeof p->data, "%s/data", p->root);
    snprintf(p->state, sizeof p->state, "%s/state", p->root);
    snprintf(p->control, sizeof p->control, "%s/seam", p->root);
    p->cfg = (struct slr_engine_config){.streams = 10,
                                        .data_dir = p->data,
                                        .state_dir = p->state,
                                        .capture = "pcapfile:x",
                                        .node = "n"};
    p->cc = (struct slr_control_config){.engine = &p->cfg, .api = &api};
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void remove_place(struct place *p)
{
    cr_assert_eq(nftw(p->root, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static void send_cmd(struct slr_seam_conn *c, json_t *cmd)
{
    if (slr_seam_put(c, cmd, -1) != SLR_OK || slr_seam_flush(c) != SLR_OK) {
        abort();
    }
    json_decref(cmd);
}

static json_t *wait_msg(struct slr_seam_conn *c)
{
    json_t *msg = NULL;
    for (;;) {
        enum slr_err err = slr_seam_take(c, &msg, NULL);
        if (err != SLR_AGAIN) {
            return err == SLR_OK ? msg : NULL;
        }
        struct pollfd pfd = {.fd = slr_seam_fd(c), .events = POLLIN};
        if (poll(&pfd, 1, 10000) != 1) {
            return NULL;
        }
    }
}

struct core {
    const char *path;
    bool leave_early;
    size_t sips, others;
    bool secret_seen, eof_seen;
    int64_t last_wall;
};

/* Acts on an event before it acknowledges; closes a session on each message. */
static bool act(struct core *k, struct slr_seam_conn *c, const json_t *msg)
{
    const char *ev = slr_json_str(msg, "ev");
    int64_t n = slr_json_i64(msg, "n", 0);
    if (!ev) {
        return true;
    }
    k->last_wall = slr_json_i64(msg, "wall_ns", 0);
    if (strcmp(ev, "sip") == 0 || strcmp(ev, "eof_input") == 0) {
        happened('a'); /* before anything that the engine could answer to */
    }
    if (strcmp(ev, "sip") == 0) {
        k->sips++;
        const char *data = slr_json_str(msg, "data");
        /* base64 of "INVITE" begins the text; "SECRET" would show as one of these */
        k->secret_seen = !data || strncmp(data, "SU5WSVRF", 8) != 0 || strstr(data, "U0VDUkVU") ||
                         strstr(data, "NFQ1JFV") || strstr(data, "TRUNSRV");
        send_cmd(c, json_pack("{s:s,s:I,s:i,s:s}", "cmd", "session_close", "id", (json_int_t)n,
                              "epoch", 1, "session", SID));
    }
    if (strcmp(ev, "sip") == 0 || strcmp(ev, "eof_input") == 0) {
        send_cmd(c, json_pack("{s:s,s:I}", "cmd", "ack", "n", (json_int_t)n));
    }
    k->eof_seen = strcmp(ev, "eof") == 0;
    return !k->eof_seen && !(k->leave_early && k->sips == 2);
}

static void *core_run(void *arg)
{
    struct core *k = arg;
    struct slr_seam_conn *c = NULL;
    while (slr_seam_connect(k->path, &c) != SLR_OK) {
        sched_yield(); /* the engine is about to listen */
    }
    send_cmd(c, json_pack("{s:s,s:i,s:i,s:s,s:i,s:i}", "cmd", "hello", "id", 1, "epoch", 1, "core",
                          "k", "proto", 1, "resume_after", 0));
    bool on = true;
    while (on) {
        json_t *msg = wait_msg(c);
        on = msg && act(k, c, msg);
        json_decref(msg);
    }
    slr_seam_close(c);
    return NULL;
}

Test(control, passive_run_in_step_with_the_core)
{
    struct place p;
    pthread_t thread;
    make_place(&p);
    struct core k = {.path = p.control};
    p.cfg.control = p.control;
    p.cfg.wait_core = true;
    cr_assert_eq(pthread_create(&thread, NULL, core_run, &k), 0);
    cr_expect_eq(slr_control_run_passive(&p.cc), 0);
    pthread_join(thread, NULL);
    cr_expect_eq(k.sips, MESSAGES);
    cr_expect(k.eof_seen);
    cr_expect_not(k.secret_seen);
    cr_expect_eq(k.last_wall, 5000, "the clock follows the events");
    /* each message: read, acknowledged, what it led to, and only then the next read */
    cr_expect_str_eq(story.text, "rasrasrasrafc");
    cr_expect_neq(access(p.control, F_OK), 0, "the socket is removed");
    remove_place(&p);
}

Test(control, passive_run_without_a_core)
{
    struct place p;
    make_place(&p);
    cr_expect_eq(slr_control_run_passive(&p.cc), 0);
    cr_expect_str_eq(story.text, "rrrrfc");
    remove_place(&p);
}

Test(control, a_core_that_was_waited_for_must_stay)
{
    struct place p;
    pthread_t thread;
    make_place(&p);
    struct core k = {.path = p.control, .leave_early = true};
    p.cfg.control = p.control;
    p.cfg.wait_core = true;
    cr_assert_eq(pthread_create(&thread, NULL, core_run, &k), 0);
    cr_expect_eq(slr_control_run_passive(&p.cc), 1);
    pthread_join(thread, NULL);
    cr_expect_eq(story.text[strlen(story.text) - 1], 'x', "nothing half-known is sealed as whole");
    remove_place(&p);
}

Test(control, capture_that_cannot_be_opened)
{
    struct place p;
    struct slr_engine_api bad = api;
    make_place(&p);
    bad.open = s_open_fails;
    p.cc.api = &bad;
    cr_expect_eq(slr_control_run_passive(&p.cc), 1);
    remove_place(&p);
}

Test(control, waiting_for_a_core_needs_a_socket)
{
    struct place p;
    make_place(&p);
    p.cfg.wait_core = true;
    cr_expect_eq(slr_control_run_passive(&p.cc), 1);
    remove_place(&p);
}

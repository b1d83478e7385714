/*
 * Seam server: commands as engine calls, strict fields, repetition, epochs, hostile input, events
 * by cursor. Behind it stands an engine that only notes what it was asked for; both ends of each
 * connection are driven by the test, step by step.
 */
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

static void note(struct slr_engine *e, const char *what, const char *session, const char *leg)
{
    e->calls++;
    snprintf(e->what, sizeof e->what, "%s", what);
    snprintf(e->session, sizeof e->session, "%s", session ? session : "");
    snprintf(e->leg, sizeof e->leg, "%s", leg ? leg : "");
}

static enum slr_err t_session_open(struct slr_engine *e, const struct slr_session_params *p,
                                   slr_wall *start)
{
    note(e, "session_open", p->session, NULL);
    e->open = *p;
    snprintf(e->call, sizeof e->call, "%s", p->call);
    start->ns = 4711;
    return e->give;
}

static enum slr_err t_leg_open(struct slr_engine *e, const struct slr_leg_params *p,
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

static enum slr_err t_leg_update(struct slr_engine *e, const struct slr_leg_params *p)
{
    note(e, "leg_update", p->session, p->leg);
    e->params = *p;
    return e->give;
}

static enum slr_err t_leg_close(struct slr_engine *e, const char *session, const char *leg,
                                const char *reason)
{
    note(e, "leg_close", session, leg);
    snprintf(e->reason, sizeof e->reason, "%s", reason);
    return e->give;
}

static enum slr_err t_pause(struct slr_engine *e, const char *session, bool on, int64_t *at_ticks)
{
    note(e, on ? "pause" : "resume", session, NULL);
    *at_ticks = 99;
    return e->give;
}

static enum slr_err t_meta(struct slr_engine *e, const char *session, json_t *meta)
{
    note(e, "meta", session, slr_json_str(meta, "k"));
    return e->give;
}

static enum slr_err t_session_close(struct slr_engine *e, const char *session, const char *reason)
{
    note(e, "session_close", session, NULL);
    snprintf(e->reason, sizeof e->reason, "%s", reason);
    return e->give;
}

static enum slr_err t_delete(struct slr_engine *e, const char *session, json_t **removed)
{
    note(e, "delete", session, NULL);
    if (e->give == SLR_OK) {
        *removed = json_pack("[s]", "x.wav");
    }
    return e->give;
}

static json_t *t_snapshot(struct slr_engine *e)
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

static json_t *t_stats(struct slr_engine *e)
{
    (void)e;
    return json_pack("{s:i,s:{s:i}}", "streams_used", 3, "counters", "slr_x_total", 5);
}

static void t_drain(struct slr_engine *e, bool on)
{
    note(e, "drain", NULL, NULL);
    e->draining = on;
}

static bool t_draining(const struct slr_engine *e)
{
    return e->draining;
}

static uint32_t t_used(const struct slr_engine *e)
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

static void add_counters(void *ctx, json_t *counters)
{
    struct rig *r = ctx;
    slr_srv_to_json(&r->counters, counters);
}

static void start(struct rig *r, bool passive)
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

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void stop(struct rig *r)
{
    slr_seam_server_close(r->server);
    slr_loop_close(r->loop);
    slr_evlog_close(r->log);
    cr_assert_eq(nftw(r->root, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static struct slr_seam_conn *dial(struct rig *r)
{
    int fd[2];
    struct slr_seam_conn *c = NULL;
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
    cr_assert_eq(slr_seam_server_adopt(r->server, fd[0]), SLR_OK);
    cr_assert_eq(slr_seam_open(fd[1], &c), SLR_OK);
    return c;
}

static void turn(struct rig *r)
{
    cr_assert(slr_loop_round(r->loop, 0));
    while (slr_seam_server_pump(r->server)) {
    }
}

/* The next message, NULL when none comes; *err tells why. */
static json_t *next(struct rig *r, struct slr_seam_conn *c, enum slr_err *err)
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

static json_t *ask_json(struct rig *r, struct slr_seam_conn *c, json_t *cmd)
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

static json_t *ask(struct rig *r, struct slr_seam_conn *c, const char *text)
{
    return ask_json(r, c, json_loads(text, 0, NULL));
}

static void hello(struct rig *r, struct slr_seam_conn *c, int epoch, int after)
{
    json_t *a = ask_json(r, c,
                         json_pack("{s:s,s:s,s:i,s:s,s:i,s:i}", "cmd", "hello", "id", "h", "epoch",
                                   epoch, "core", "t", "proto", 1, "resume_after", after));
    cr_assert(slr_json_bool(a, "ok", false), "%s", slr_json_str(a, "text"));
    json_decref(a);
}

static void expect_err(struct rig *r, struct slr_seam_conn *c, const char *text, const char *err,
                       const char *names)
{
    int calls = r->engine.calls;
    json_t *a = ask(r, c, text);
    cr_expect_str_eq(slr_json_str(a, "err") ? slr_json_str(a, "err") : "none", err, "%s", text);
    cr_expect(strstr(slr_json_str(a, "text"), names), "%s: \"%s\" does not name %s", text,
              slr_json_str(a, "text"), names);
    cr_expect_eq(r->engine.calls, calls, "the engine was called for %s", text);
    json_decref(a);
}

Test(seam_server, hello_tells_what_the_engine_is)
{
    struct rig r;
    start(&r, false);
    struct slr_seam_conn *c = dial(&r);
    json_t *a = ask(&r, c,
                    "{\"cmd\":\"hello\",\"id\":1,\"epoch\":1,\"core\":\"c\",\"proto\":1,"
                    "\"resume_after\":0}");
    cr_expect_eq(slr_json_u64(a, "re", 0), 1);
    cr_expect(slr_json_bool(a, "ok", false));
    cr_expect_str_eq(slr_json_str(a, "engine"), slr_evlog_engine(r.log));
    cr_expect_eq(slr_json_u64(a, "engine_epoch", 0), 1);
    cr_expect_eq(slr_json_u64(a, "streams_max", 0), 600);
    cr_expect_eq(slr_json_u64(a, "streams_used", 0), 7);
    cr_expect(json_is_false(json_object_get(a, "passive")));
    cr_expect(json_is_array(json_object_get(a, "media_ips")));
    json_decref(a);
    expect_err(&r, c,
               "{\"cmd\":\"hello\",\"id\":2,\"epoch\":1,\"core\":\"c\",\"proto\":2,"
               "\"resume_after\":0}",
               "VERSION", "proto");
    expect_err(&r, c, "{\"cmd\":\"hello\",\"id\":2,\"epoch\":1,\"core\":\"c\",\"proto\":1}",
               "INVAL", "resume_after");
    slr_seam_close(c);
    stop(&r);
}

Test(seam_server, commands_become_calls)
{
    struct rig r;
    start(&r, false);
    struct slr_seam_conn *c = dial(&r);
    hello(&r, c, 1, 0);
    json_t *a = ask(
        &r, c,
        "{\"cmd\":\"session_open\",\"id\":\"a\",\"epoch\":1,\"session\":\"" ID_A "\","
        "\"call\":\"C1\",\"channels\":2,\"digits\":\"mask\",\"meta\":{\"x\":1},\"later\":true}");
    cr_expect_eq(slr_json_i64(a, "start_wall_ns", 0), 4711);
    cr_expect_str_eq(r.engine.session, ID_A);
    cr_expect_str_eq(r.engine.call, "C1");
    cr_expect_eq(r.engine.open.channels, 2);
    cr_expect_eq(r.engine.open.reserve_streams, 2);
    cr_expect_eq(r.engine.open.digit_policy, 1);
    cr_expect_not_null(r.engine.open.meta);
    json_decref(a);

    a = ask(&r, c,
            "{\"cmd\":\"leg_open\",\"id\":\"b\",\"epoch\":1,\"session\":\"" ID_A
            "\",\"leg\":\"l1\","
            "\"channel\":1,\"dn\":\"1001\",\"codecs\":[{\"pt\":8,\"name\":\"pcma\",\"clock\":8000,"
            "\"ch\":1},{\"pt\":101,\"name\":\"telephone-event\",\"clock\":8000,\"fmtp\":\"0-15\"}],"
            "\"source_ip\":\"10.1.1.1\",\"source_port\":4000,\"source_policy\":\"strict\","
            "\"family\":4,\"hold\":true,\"ssrc\":[1,4294967295],\"ptime_ms\":20}");
    cr_expect_str_eq(slr_json_str(a, "ip"), "192.0.2.1");
    cr_expect_eq(slr_json_u64(a, "port", 0), 40000);
    cr_expect_eq(slr_json_u64(a, "rtcp_port", 0), 40001);
    const struct slr_leg_params *p = &r.engine.params;
    cr_expect_eq(p->channel, 1);
    cr_expect_str_eq(r.engine.dn, "1001");
    cr_expect_eq(p->pt_count, 2);
    cr_expect_str_eq(p->pt[0].name, "PCMA");
    cr_expect_eq(p->pt[1].pt, 101);
    cr_expect_str_eq(p->pt[1].fmtp, "0-15");
    cr_expect_eq(p->pt[1].channels, 1);
    cr_expect_eq(p->source.port, 4000);
    cr_expect_eq(p->policy, SLR_SOURCE_STRICT);
    cr_expect(p->hold);
    cr_expect_eq(p->ssrc_count, 2);
    cr_expect_eq(p->ssrc[1], UINT32_MAX);
    json_decref(a);

    a = ask(&r, c,
            "{\"cmd\":\"leg_update\",\"id\":\"c\",\"epoch\":1,\"session\":\"" ID_A
            "\",\"leg\":\"l1\","
            "\"hold\":false}");
    cr_expect(slr_json_bool(a, "ok", false));
    cr_expect_eq(r.engine.params.has, SLR_LEG_HAS_HOLD, "only what was given is changed");
    json_decref(a);

    static const struct {
        const char *cmd, *what;
    } plain[] = {
        {"\"leg_close\",\"leg\":\"l1\",\"reason\":\"bye\"", "leg_close"},
        {"\"session_pause\"", "pause"},
        {"\"session_resume\"", "resume"},
        {"\"session_meta\",\"meta\":{\"k\":\"v\"}", "meta"},
        {"\"session_close\",\"reason\":\"bye\"", "session_close"},
        {"\"recording_delete\"", "delete"},
    };
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        char text[300];
        snprintf(text, sizeof text,
                 "{\"cmd\":%s,\"id\":\"p%zu\",\"epoch\":1,\"session\":\"" ID_A "\"}", plain[i].cmd,
                 i);
        a = ask(&r, c, text);
        cr_expect(slr_json_bool(a, "ok", false), "%s", text);
        cr_expect_str_eq(r.engine.what, plain[i].what);
        cr_expect_str_eq(r.engine.session, ID_A);
        json_decref(a);
    }
    a = ask(&r, c, "{\"cmd\":\"drain\",\"id\":\"d\",\"epoch\":1,\"on\":true}");
    cr_expect(r.engine.draining);
    json_decref(a);
    a = ask(&r, c, "{\"cmd\":\"stats\",\"id\":\"e\",\"epoch\":1}");
    const json_t *counters = json_object_get(a, "counters");
    cr_expect_eq(slr_json_u64(counters, "slr_x_total", 0), 5);
    cr_expect_gt(slr_json_u64(counters, "slr_seam_commands_total", 0), 5);
    json_decref(a);
    slr_seam_close(c);
    stop(&r);
}

Test(seam_server, wrong_fields_are_named_and_nothing_is_called)
{
    static const struct {
        const char *body, *err, *names;
    } rows[] = {
        {"\"cmd\":\"session_open\",\"channels\":2", "INVAL", "session"},
        {"\"cmd\":\"session_open\",\"session\":\"xyz\",\"channels\":2", "INVAL", "session"},
        {"\"cmd\":\"session_open\",\"session\":7,\"channels\":2", "INVAL", "session"},
        {"\"cmd\":\"session_open\",\"session\":\"" ID_A "\"", "INVAL", "channels"},
        {"\"cmd\":\"session_open\",\"session\":\"" ID_A "\",\"channels\":9", "INVAL", "channels"},
        {"\"cmd\":\"session_open\",\"session\":\"" ID_A "\",\"channels\":\"2\"", "INVAL",
         "channels"},
        {"\"cmd\":\"session_open\",\"session\":\"" ID_A "\",\"channels\":2,\"digits\":\"no\"",
         "INVAL", "digits"},
        {"\"cmd\":\"session_open\",\"session\":\"" ID_A "\",\"channels\":2,\"meta\":[]", "INVAL",
         "meta"},
        {"\"cmd\":\"session_open\",\"session\":\"" ID_A "\",\"channels\":2,\"call\":\"a\\u0007\"",
         "INVAL", "call"},
        {"\"cmd\":\"leg_open\",\"session\":\"" ID_A "\",\"leg\":\"\",\"channel\":0", "INVAL",
         "leg"},
        {"\"cmd\":\"leg_open\",\"session\":\"" ID_A "\",\"leg\":\"l\",\"channel\":8", "INVAL",
         "channel"},
        {"\"cmd\":\"leg_open\",\"session\":\"" ID_A "\",\"leg\":\"l\",\"channel\":0,\"source_ip\":"
         "\"host.example\"",
         "INVAL", "source_ip"},
        {"\"cmd\":\"leg_open\",\"session\":\"" ID_A "\",\"leg\":\"l\",\"channel\":0,\"codecs\":[1]",
         "INVAL", "codecs"},
        {"\"cmd\":\"leg_open\",\"session\":\"" ID_A "\",\"leg\":\"l\",\"channel\":0,\"codecs\":[{"
         "\"pt\":128,\"name\":\"X\",\"clock\":8000}]",
         "INVAL", "pt"},
        {"\"cmd\":\"leg_open\",\"session\":\"" ID_A "\",\"leg\":\"l\",\"channel\":0,\"ssrc\":[-1]",
         "INVAL", "ssrc"},
        {"\"cmd\":\"leg_open\",\"session\":\"" ID_A "\",\"leg\":\"l\",\"channel\":0,\"family\":5",
         "INVAL", "family"},
        {"\"cmd\":\"leg_open\",\"session\":\"" ID_A "\",\"leg\":\"l\",\"channel\":0,\"passive\":{"
         "\"dst\":\"10.0.0.1:4000\"}",
         "INVAL", "passive"},
        {"\"cmd\":\"session_meta\",\"session\":\"" ID_A "\"", "INVAL", "meta"},
        {"\"cmd\":\"drain\",\"on\":1", "INVAL", "on"},
        {"\"cmd\":\"explode\"", "UNSUPPORTED", "unknown"},
    };
    struct rig r;
    start(&r, false);
    struct slr_seam_conn *c = dial(&r);
    hello(&r, c, 1, 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[600];
        snprintf(text, sizeof text, "{%s,\"id\":%zu,\"epoch\":1}", rows[i].body, i);
        expect_err(&r, c, text, rows[i].err, rows[i].names);
    }
    json_t *meta = json_object();
    char pad[5000];
    memset(pad, 'x', sizeof pad - 1);
    pad[sizeof pad - 1] = '\0';
    json_object_set_new(meta, "pad", json_string(pad));
    json_t *a = ask_json(&r, c,
                         json_pack("{s:s,s:i,s:i,s:s,s:o}", "cmd", "session_meta", "id", 900,
                                   "epoch", 1, "session", ID_A, "meta", meta));
    cr_expect_str_eq(slr_json_str(a, "err"), "TOOLONG");
    json_decref(a);
    expect_err(&r, c, "{\"cmd\":\"stats\",\"epoch\":1}", "INVAL", "id");
    expect_err(&r, c, "{\"cmd\":\"stats\",\"id\":{},\"epoch\":1}", "INVAL", "id");
    expect_err(&r, c, "{\"cmd\":\"stats\",\"id\":1}", "INVAL", "epoch");
    expect_err(&r, c, "{\"id\":1,\"epoch\":1}", "INVAL", "cmd");
    cr_expect_eq(slr_seam_server_connections(r.server), 1, "errors don't cost the connection");
    slr_seam_close(c);
    stop(&r);
}

Test(seam_server, passive_legs)
{
    struct rig r;
    start(&r, true);
    struct slr_seam_conn *c = dial(&r);
    hello(&r, c, 1, 0);
    json_t *a =
        ask(&r, c,
            "{\"cmd\":\"leg_open\",\"id\":1,\"epoch\":1,\"session\":\"" ID_A "\",\"leg\":\"l\","
            "\"channel\":0,\"passive\":{\"dst\":\"10.0.0.1:4000\",\"src_ip\":\"\"}}");
    cr_expect(slr_json_bool(a, "ok", false));
    cr_expect_null(json_object_get(a, "port"));
    cr_expect(r.engine.params.passive);
    cr_expect_eq(r.engine.params.passive_dst.port, 4000);
    cr_expect_eq(r.engine.params.passive_src.family, 0);
    json_decref(a);
    expect_err(&r, c,
               "{\"cmd\":\"leg_open\",\"id\":2,\"epoch\":1,\"session\":\"" ID_A "\",\"leg\":\"l\","
               "\"channel\":0}",
               "INVAL", "passive");
    slr_seam_close(c);
    stop(&r);
}

Test(seam_server, repeated_command_is_not_done_again)
{
    static const char open[] =
        "{\"cmd\":\"session_open\",\"id\":\"q\",\"epoch\":1,\"session\":\"" ID_A
        "\",\"channels\":1}";
    struct rig r;
    start(&r, false);
    struct slr_seam_conn *c = dial(&r);
    hello(&r, c, 1, 0);
    json_t *first = ask(&r, c, open);
    slr_seam_close(c);
    c = dial(&r); /* the core lost the answer with its connection */
    hello(&r, c, 1, 0);
    r.engine.give = SLR_EXISTS;
    json_t *second = ask(&r, c, open);
    cr_expect(json_equal(first, second));
    cr_expect_eq(r.engine.calls, 1);
    json_decref(first);
    json_decref(second);
    /* another id for the same session: the engine's own answer */
    json_t *a = ask(&r, c,
                    "{\"cmd\":\"session_open\",\"id\":\"r\",\"epoch\":1,\"session\":\"" ID_A "\","
                    "\"channels\":1}");
    cr_expect_str_eq(slr_json_str(a, "err"), "EXISTS");
    cr_expect_eq(slr_json_i64(a, "start_wall_ns", 0), 4711);
    json_decref(a);
    /* errors are remembered alike, and a number is never the text of it */
    r.engine.give = SLR_NOTFOUND;
    a = ask(&r, c, "{\"cmd\":\"session_close\",\"id\":5,\"epoch\":1,\"session\":\"" ID_A "\"}");
    json_decref(a);
    r.engine.give = SLR_OK;
    a = ask(&r, c, "{\"cmd\":\"session_close\",\"id\":5,\"epoch\":1,\"session\":\"" ID_A "\"}");
    cr_expect_str_eq(slr_json_str(a, "err"), "NOTFOUND");
    json_decref(a);
    a = ask(&r, c, "{\"cmd\":\"session_close\",\"id\":\"5\",\"epoch\":1,\"session\":\"" ID_A "\"}");
    cr_expect(slr_json_bool(a, "ok", false));
    json_decref(a);
    slr_seam_close(c);
    stop(&r);
}

Test(seam_server, memory_of_answers_is_bounded)
{
    struct rig r;
    start(&r, false);
    struct slr_seam_conn *c = dial(&r);
    hello(&r, c, 1, 0);
    for (int i = 0; i < 1025; i++) {
        json_decref(ask_json(&r, c,
                             json_pack("{s:s,s:i,s:i,s:s}", "cmd", "session_pause", "id", i,
                                       "epoch", 1, "session", ID_A)));
    }
    cr_expect_eq(r.engine.calls, 1025);
    json_decref(ask_json(&r, c,
                         json_pack("{s:s,s:i,s:i,s:s}", "cmd", "session_pause", "id", 1, "epoch", 1,
                                   "session", ID_A)));
    cr_expect_eq(r.engine.calls, 1025, "the last 1,024 are remembered");
    json_decref(ask_json(&r, c,
                         json_pack("{s:s,s:i,s:i,s:s}", "cmd", "session_pause", "id", 0, "epoch", 1,
                                   "session", ID_A)));
    cr_expect_eq(r.engine.calls, 1026);
    slr_seam_close(c);
    stop(&r);
}

Test(seam_server, older_owner_is_refused)
{
    struct rig r;
    start(&r, false);
    struct slr_seam_conn *old = dial(&r), *new = dial(&r);
    hello(&r, old, 4, 0);
    hello(&r, new, 5, 0);
    int calls = r.engine.calls;
    json_t *a =
        ask(&r, old, "{\"cmd\":\"session_close\",\"id\":1,\"epoch\":4,\"session\":\"" ID_A "\"}");
    cr_expect_str_eq(slr_json_str(a, "err"), "STALE");
    cr_expect_eq(slr_json_u64(a, "owner_epoch", 0), 5);
    cr_expect_eq(r.engine.calls, calls);
    json_decref(a);
    a = ask(&r, old, "{\"cmd\":\"snapshot\",\"id\":2,\"epoch\":4}");
    cr_expect(slr_json_bool(a, "ok", false), "looking is allowed");
    json_decref(a);
    a = ask(&r, new, "{\"cmd\":\"session_close\",\"id\":1,\"epoch\":5,\"session\":\"" ID_A "\"}");
    cr_expect(slr_json_bool(a, "ok", false));
    json_decref(a);
    slr_seam_close(old);
    slr_seam_close(new);
    stop(&r);
}

Test(seam_server, hello_comes_first)
{
    struct rig r;
    start(&r, false);
    struct slr_seam_conn *c = dial(&r);
    expect_err(&r, c, "{\"cmd\":\"stats\",\"id\":1,\"epoch\":1}", "STATE", "hello");
    slr_seam_close(c);
    stop(&r);
}

/* Events from the cursor on, new ones as they come, and again for who comes back. */
Test(seam_server, events_follow_the_cursor)
{
    struct rig r;
    enum slr_err err;
    start(&r, false);
    for (int i = 1; i <= 3; i++) {
        slr_evlog_append(r.log, json_pack("{s:s,s:i}", "ev", "t", "k", i));
    }
    struct slr_seam_conn *c = dial(&r);
    hello(&r, c, 1, 1);
    for (uint64_t n = 2; n <= 4; n++) {
        json_t *ev = next(&r, c, &err);
        cr_assert_not_null(ev);
        cr_expect_eq(slr_json_u64(ev, "n", 0), n);
        cr_expect_eq(slr_json_u64(ev, "k", 0), n);
        json_decref(ev);
        if (n == 3) {
            cr_expect_null(next(&r, c, &err));
            slr_evlog_append(r.log, json_pack("{s:s,s:i}", "ev", "t", "k", 4));
        }
    }
    cr_expect(slr_seam_server_idle(r.server));
    json_t *ack = json_pack("{s:s,s:i}", "cmd", "ack", "n", 3);
    cr_assert_eq(slr_seam_put(c, ack, -1), SLR_OK);
    cr_assert_eq(slr_seam_flush(c), SLR_OK);
    json_decref(ack);
    cr_expect_null(next(&r, c, &err));
    cr_expect_eq(err, SLR_AGAIN, "an ack is not answered");
    cr_expect_eq(slr_seam_server_acked(r.server), 3);
    slr_seam_close(c);
    c = dial(&r);
    hello(&r, c, 1, 3);
    json_t *ev = next(&r, c, &err);
    cr_expect_eq(slr_json_u64(ev, "n", 0), 4);
    json_decref(ev);
    slr_seam_close(c);
    stop(&r);
}

/* What is sent is bounded by what is read; nothing is lost by it. */
Test(seam_server, slow_reader_gets_everything_in_the_end)
{
    struct rig r;
    enum slr_err err;
    char pad[1500];
    start(&r, false);
    memset(pad, 'x', sizeof pad - 1);
    pad[sizeof pad - 1] = '\0';
    struct slr_seam_conn *c = dial(&r);
    hello(&r, c, 1, 0);
    for (int i = 1; i <= 4000; i++) { /* 6 MB; the ring holds one */
        slr_evlog_append(r.log, json_pack("{s:s,s:s}", "ev", "t", "pad", pad));
        if (i % 100 == 0) {
            slr_evlog_flush(r.log);
            turn(&r);
        }
    }
    cr_expect_eq(slr_seam_server_connections(r.server), 1);
    for (uint64_t n = 1; n <= 4000; n++) {
        json_t *ev = NULL;
        for (int i = 0; i < 1000 && !ev; i++) {
            ev = next(&r, c, &err);
            cr_assert(ev || err == SLR_AGAIN);
            if (!ev) {
                cr_assert(slr_loop_round(r.loop, 1)); /* the log thread reads */
            }
        }
        cr_assert_not_null(ev, "event %llu", (unsigned long long)n);
        cr_assert_eq(slr_json_u64(ev, "n", 0), n);
        json_decref(ev);
    }
    slr_seam_close(c);
    stop(&r);
}

Test(seam_server, who_never_reads_is_dropped)
{
    struct rig r;
    char pad[1500];
    start(&r, false);
    memset(pad, 'x', sizeof pad - 1);
    pad[sizeof pad - 1] = '\0';
    struct slr_seam_conn *c = dial(&r);
    hello(&r, c, 1, 0);
    for (int i = 1; i <= 2000; i++) {
        slr_evlog_append(r.log, json_pack("{s:s,s:s}", "ev", "t", "pad", pad));
        turn(&r);
    }
    cr_expect_eq(slr_seam_server_connections(r.server), 1);
    slr_mono now = slr_clock_mono(slr_clock_real());
    slr_seam_server_tick(r.server, now);
    cr_expect_eq(slr_seam_server_connections(r.server), 1);
    slr_seam_server_tick(r.server, (slr_mono){now.ns + 31 * SLR_NS_PER_S});
    cr_expect_eq(slr_seam_server_connections(r.server), 0);
    cr_expect_eq(slr_count_get(&r.counters.at[SLR_SRV_SEAM_SLOW]), 1);
    turn(&r);
    slr_seam_close(c);
    stop(&r);
}

Test(seam_server, long_snapshot_comes_in_parts)
{
    struct rig r;
    enum slr_err err;
    start(&r, false);
    r.engine.snapshot_rows = 3000;
    struct slr_seam_conn *c = dial(&r);
    hello(&r, c, 1, 0);
    json_t *part = ask(&r, c, "{\"cmd\":\"snapshot\",\"id\":1,\"epoch\":1}");
    size_t rows = 0;
    for (bool more = true; more;) {
        const json_t *list = json_object_get(part, "sessions");
        cr_expect_eq(slr_json_u64(part, "re", 0), 1);
        for (size_t i = 0; i < json_array_size(list); i++) {
            cr_expect_eq(slr_json_u64(json_array_get(list, i), "row", 9999), rows++);
        }
        more = slr_json_bool(part, "more", false);
        json_decref(part);
        part = more ? next(&r, c, &err) : NULL;
        cr_assert(!more || part);
    }
    cr_expect_eq(rows, 3000);
    slr_seam_close(c);
    stop(&r);
}

Test(seam_server, hostile_bytes_close_only_their_connection)
{
    static const struct {
        const char *bytes;
        size_t len;
    } rows[] = {
        {"\0\0\0\0", 4},
        {"\xff\xff\xff\xff", 4},
        {"\0\x10\0\1", 4},
        {"\0\0\0\2[]", 6},
        {"\0\0\0\2{]", 6},
        {"\0\0\0\3{}x", 7},
        {"\0\0\0\4null", 8},
        {"\0\0\0\7{\"a\":\"\xff", 11},
        {"GET / HTTP/1.1\r\n\r\n", 18},
    };
    struct rig r;
    start(&r, false);
    struct slr_seam_conn *good = dial(&r);
    hello(&r, good, 1, 0);
    size_t count = sizeof rows / sizeof rows[0];
    for (size_t i = 0; i < count; i++) {
        int fd[2];
        cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
        cr_assert_eq(slr_seam_server_adopt(r.server, fd[0]), SLR_OK);
        cr_assert_eq(write(fd[1], rows[i].bytes, rows[i].len), (ssize_t)rows[i].len);
        turn(&r);
        char c;
        cr_expect_eq(read(fd[1], &c, 1), 0, "row %zu was not closed", i);
        close(fd[1]);
    }
    cr_expect_eq(slr_count_get(&r.counters.at[SLR_SRV_SEAM_MALFORMED]), count);
    cr_expect_eq(slr_seam_server_connections(r.server), 1);
    json_t *a = ask(&r, good, "{\"cmd\":\"stats\",\"id\":1,\"epoch\":1}");
    cr_expect(slr_json_bool(a, "ok", false));
    json_decref(a);
    slr_seam_close(good);
    stop(&r);
}

/* Every cut of a frame, byte by byte: nothing happens before it is whole. */
Test(seam_server, frames_in_pieces)
{
    static const char body[] =
        "{\"cmd\":\"session_pause\",\"id\":1,\"epoch\":1,\"session\":\"" ID_A "\"}";
    struct rig r;
    enum slr_err err;
    int fd[2];
    start(&r, false);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
    cr_assert_eq(slr_seam_server_adopt(r.server, fd[0]), SLR_OK);
    int copy = dup(fd[1]);
    struct slr_seam_conn *c = NULL;
    cr_assert_eq(slr_seam_open(fd[1], &c), SLR_OK);
    hello(&r, c, 1, 0);
    char frame[200] = {0, 0, 0, (char)(sizeof body - 1)};
    memcpy(frame + 4, body, sizeof body - 1);
    for (size_t i = 0; i < sizeof body + 3; i++) {
        cr_expect_eq(r.engine.calls, 0);
        cr_assert_eq(write(copy, frame + i, 1), 1);
        turn(&r);
    }
    cr_expect_eq(r.engine.calls, 1);
    json_t *a = next(&r, c, &err);
    cr_expect(slr_json_bool(a, "paused", false));
    json_decref(a);
    close(copy);
    slr_seam_close(c);
    stop(&r);
}

Test(seam_server, connections_are_bounded)
{
    struct rig r;
    struct slr_seam_conn *c[16];
    int fd[2];
    start(&r, false);
    for (int i = 0; i < 16; i++) {
        c[i] = dial(&r);
    }
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
    cr_expect_neq(slr_seam_server_adopt(r.server, fd[0]), SLR_OK);
    close(fd[1]);
    for (int i = 0; i < 16; i++) {
        slr_seam_close(c[i]);
    }
    turn(&r);
    cr_expect_eq(slr_seam_server_connections(r.server), 0);
    stop(&r);
}

/*
 * core_ask: the API's questions to the signalling thread. A question is an object shared by the
 * asking thread, which waits with a bound, and the signalling thread, which answers at once or when
 * the engine has; whoever lets go last frees it.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/json.h"
#include "common/log.h"
#include "ctl/calls.h"
#include "ctl/sip.h"

#define VERSION "0.1.0"

struct question {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    int users; /* under lock */
    bool done; /* under lock */
    enum slr_err result;
    json_t *answer;

    struct slr_core *core;
    enum slr_core_verb verb;
    int64_t arg;
    uint32_t timeout_ms;
    char id[160];
};

static void release(struct question *q)
{
    pthread_mutex_lock(&q->lock);
    bool last = --q->users == 0;
    pthread_mutex_unlock(&q->lock);
    if (last) {
        json_decref(q->answer);
        pthread_cond_destroy(&q->wake);
        pthread_mutex_destroy(&q->lock);
        free(q);
    }
}

/* The signalling thread is through with the question; answer is taken over. */
static void reply(struct question *q, enum slr_err result, json_t *answer)
{
    pthread_mutex_lock(&q->lock);
    q->result = result;
    q->answer = answer;
    q->done = true;
    pthread_cond_signal(&q->wake);
    pthread_mutex_unlock(&q->lock);
    release(q);
}

static json_t *detail(const char *text)
{
    return json_pack("{s:s}", "detail", text);
}

static json_t *engine_status(const struct slr_core *core)
{
    json_t *engine =
        core->stats && slr_link_is_up(core->link) ? json_deep_copy(core->stats) : json_object();
    if (engine) {
        json_object_del(engine, "re");
        json_object_del(engine, "ok");
        json_object_set_new(engine, "connected", json_boolean(slr_link_is_up(core->link)));
        json_object_set_new(engine, "id", json_string(core->engine_id));
    }
    return engine;
}

static void answer_status(struct question *q)
{
    struct slr_core *core = q->core;
    uint32_t jobs, oldest_ms;
    slr_store_load(core->store, &jobs, &oldest_ms);
    int64_t up_ns = slr_clock_mono(slr_clock_real()).ns - core->started.ns;
    reply(q, SLR_OK,
          json_pack("{s:s, s:s, s:I, s:I, s:o, s:I, s:I, s:b, s:{s:I, s:I}}", "version", VERSION,
                    "name", core->cfg->name, "epoch", (json_int_t)core->epoch, "uptime_s",
                    (json_int_t)(up_ns / SLR_NS_PER_S), "engine", engine_status(core), "calls",
                    (json_int_t)core->sessions.count, "dialogs", (json_int_t)core->dialogs.count,
                    "draining", core->draining, "store", "jobs", (json_int_t)jobs, "oldest_ms",
                    (json_int_t)oldest_ms));
}

static void add_call(void *ctx, void *value)
{
    json_t *one = slr_call_describe(value);
    if (one) {
        (void)json_array_append_new(ctx, one);
    }
}

static void answer_calls(struct question *q)
{
    json_t *calls = json_array();
    if (calls) {
        slr_table_each(&q->core->sessions, add_call, calls);
    }
    reply(q, calls ? SLR_OK : SLR_NOMEM, calls ? json_pack("{s:o}", "calls", calls) : NULL);
}

static void answer_metrics(struct question *q)
{
    enum { TEXT_BYTES = 65536 };
    char *text = malloc(TEXT_BYTES);
    if (!text) {
        reply(q, SLR_NOMEM, NULL);
        return;
    }
    slr_counter *const arrays[] = {q->core->counter};
    struct slr_put put = slr_put_of(text, TEXT_BYTES);
    slr_metrics_print(&put, slr_core_metrics_table(), SLR_CORE_M_COUNT, arrays, 1);
    json_t *counters = json_object_get(q->core->stats, "counters");
    json_t *answer = json_pack("{s:s#}", "text", text, (size_t)put.len_bytes);
    free(text);
    if (answer) {
        json_object_set_new(answer, "engine", counters ? json_deep_copy(counters) : json_object());
    }
    reply(q, answer ? SLR_OK : SLR_NOMEM, answer);
}

struct search {
    const char *id;
    struct slr_call *found;
};

/* Of several recordings of a call the newest that is open. */
static void match_call(void *ctx, void *value)
{
    struct search *s = ctx;
    struct slr_call *call = value;
    if (strcmp(call->id, s->id) == 0 && call->state != SLR_CALL_SEALING &&
        (!s->found || call->segment > s->found->segment)) {
        s->found = call;
    }
}

static struct slr_call *find_call(struct slr_core *core, const char *id)
{
    struct search s = {.id = id, .found = slr_calls_get(core, id)};
    if (!s.found) {
        slr_table_each(&core->sessions, match_call, &s);
    }
    return s.found;
}

/* Answers of the engine pass on what the API promises. */
static void on_engine_answer(void *ctx, enum slr_err result, const json_t *answer)
{
    struct question *q = ctx;
    static const char *const pass[] = {"paused", "at_ticks", "max_ms", "removed"};
    const char *text = slr_json_str(answer, "text");
    if (result != SLR_OK) {
        reply(q, result, text ? detail(text) : NULL);
        return;
    }
    json_t *out = json_pack("{s:s}", "id", q->id);
    for (size_t i = 0; out && i < sizeof pass / sizeof pass[0]; i++) {
        json_t *value = json_object_get(answer, pass[i]);
        if (value) {
            json_object_set_new(out, pass[i], json_deep_copy(value));
        }
    }
    if (out && q->verb == SLR_CORE_STOP) {
        json_object_set_new(out, "state", json_string("sealing"));
    }
    reply(q, out ? SLR_OK : SLR_NOMEM, out);
}

static void ask_engine(struct question *q, json_t *cmd, enum slr_link_kind kind)
{
    enum slr_err err = slr_link_send(q->core->link, cmd, kind, q->timeout_ms, on_engine_answer, q);
    if (err != SLR_OK) {
        reply(q, err, detail("the engine cannot be reached"));
    }
}

static json_t *session_command(const char *cmd, const char *session)
{
    return json_pack("{s:s, s:s}", "cmd", cmd, "session", session);
}

static void answer_pause(struct question *q)
{
    struct slr_call *call = find_call(q->core, q->id);
    const char *session = call ? call->session : q->id;
    const char *cmd = q->verb == SLR_CORE_PAUSE ? "session_pause" : "session_resume";
    if (call && call->state == SLR_CALL_SEALING) {
        reply(q, SLR_STATE, detail("the recording is closed"));
        return;
    }
    if (!call && !slr_id_valid(session)) {
        reply(q, SLR_NOTFOUND, NULL);
        return;
    }
    json_t *msg = session_command(cmd, session);
    if (msg && q->verb == SLR_CORE_PAUSE && q->arg > 0) {
        json_object_set_new(msg, "max_ms", json_integer(q->arg));
    }
    (void)slr_slice_to_str(slr_slice_str(session), q->id, sizeof q->id);
    ask_engine(q, msg, SLR_LINK_KEEP);
}

static void answer_stop(struct question *q)
{
    struct slr_call *call = find_call(q->core, q->id);
    if (!call) {
        if (!slr_id_valid(q->id)) {
            reply(q, SLR_NOTFOUND, NULL);
            return;
        }
        /* made by the engine itself out of RTP without signalling */
        json_t *msg = session_command("session_close", q->id);
        json_object_set_new(msg, "reason", json_string("stop"));
        ask_engine(q, msg, SLR_LINK_KEEP);
        return;
    }
    slr_sip_bye_call(q->core->sip, call, "stop");
    slr_calls_close(q->core, call, "stop");
    reply(q, SLR_OK,
          json_pack("{s:s, s:s}", "id", call->session, "state", slr_call_state_name(call->state)));
}

static void answer_delete(struct question *q)
{
    const struct slr_call *call = slr_calls_get(q->core, q->id);
    if (call) {
        reply(q, SLR_BUSY, detail("the recording is still open"));
        return;
    }
    ask_engine(q, session_command("recording_delete", q->id), SLR_LINK_ONCE);
}

static void answer_drain(struct question *q)
{
    q->core->draining = q->arg != 0;
    enum slr_err err =
        slr_link_send(q->core->link, json_pack("{s:s, s:b}", "cmd", "drain", "on", q->arg != 0),
                      SLR_LINK_KEEP, 0, NULL, NULL);
    if (err != SLR_OK) {
        SLR_WARN("drain_not_sent", "err=%s", slr_err_name(err));
    }
    SLR_INFO("draining", "on=%d", q->arg != 0);
    reply(q, SLR_OK, json_pack("{s:b}", "draining", q->arg != 0));
}

/* On the signalling thread. */
static void answer(void *ctx, enum slr_err result)
{
    struct question *q = ctx;
    (void)result;
    switch (q->verb) {
    case SLR_CORE_STATUS:
        answer_status(q);
        return;
    case SLR_CORE_CALLS:
        answer_calls(q);
        return;
    case SLR_CORE_PAUSE:
    case SLR_CORE_RESUME:
        answer_pause(q);
        return;
    case SLR_CORE_STOP:
        answer_stop(q);
        return;
    case SLR_CORE_DELETE:
        answer_delete(q);
        return;
    case SLR_CORE_DRAIN:
        answer_drain(q);
        return;
    case SLR_CORE_METRICS:
        answer_metrics(q);
        return;
    }
    reply(q, SLR_INVAL, NULL);
}

static struct question *question_new(void)
{
    pthread_condattr_t attr;
    struct question *q = calloc(1, sizeof(*q));
    if (!q) {
        return NULL;
    }
    q->users = 2;
    pthread_mutex_init(&q->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&q->wake, &attr);
    pthread_condattr_destroy(&attr);
    return q;
}

static enum slr_err wait_for(struct question *q, json_t **answer_out)
{
    struct timespec until;
    enum slr_err result = SLR_TIMEOUT;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(q->timeout_ms / 1000);
    until.tv_nsec += (long)(q->timeout_ms % 1000) * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    pthread_mutex_lock(&q->lock);
    while (!q->done && pthread_cond_timedwait(&q->wake, &q->lock, &until) == 0) {
    }
    if (q->done) {
        result = q->result;
        *answer_out = q->answer;
        q->answer = NULL;
    }
    pthread_mutex_unlock(&q->lock);
    return result;
}

enum slr_err slr_core_ask(struct slr_core *core, enum slr_core_verb verb, const char *id,
                          int64_t arg, uint32_t timeout_ms, json_t **answer_out)
{
    *answer_out = NULL;
    struct question *q = question_new();
    struct slr_core_post *post = q ? slr_core_post_new(core, answer, q) : NULL;
    if (!post) {
        if (q) {
            q->users = 1;
            release(q);
        }
        return SLR_NOMEM;
    }
    q->core = core;
    q->verb = verb;
    q->arg = arg;
    q->timeout_ms = timeout_ms;
    if (!slr_slice_to_str(slr_slice_str(id ? id : ""), q->id, sizeof q->id)) {
        free(post);
        q->users = 1;
        release(q);
        return SLR_NOTFOUND; /* longer than any id */
    }
    if (slr_mailbox_put(&core->mailbox, post) != SLR_OK) {
        free(post);
        q->users = 1;
        release(q);
        return SLR_BUSY;
    }
    enum slr_err result = wait_for(q, answer_out);
    release(q);
    return result;
}

static void on_stats(void *ctx, enum slr_err result, const json_t *answer)
{
    struct slr_core *core = ctx;
    core->stats_pending = false;
    if (result != SLR_OK) {
        return;
    }
    json_decref(core->stats);
    core->stats = json_deep_copy(answer);
    core->streams_used = (uint32_t)slr_json_u64(answer, "streams_used", core->streams_used);
    core->streams_max = (uint32_t)slr_json_u64(answer, "streams_max", core->streams_max);
    core->draining = slr_json_bool(answer, "draining", core->draining);
    const char *refusing = slr_json_str(answer, "refusing");
    core->refusing = refusing && strcmp(refusing, "none") != 0;
}

void slr_core_poll_stats(struct slr_core *core)
{
    if (core->stats_pending || !slr_link_is_up(core->link)) {
        return;
    }
    core->stats_pending = slr_link_send(core->link, json_pack("{s:s}", "cmd", "stats"),
                                        SLR_LINK_ONCE, 2000, on_stats, core) == SLR_OK;
}

/*
 * seam_server: connections, hello, acknowledgements, dispatch and the flow of events.
 * Control thread; see seam_server.h.
 */
#include "engine/seam_server.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/json.h"
#include "common/log.h"
#include "common/seam.h"
#include "engine/seam_memory.h"

#define CONNECTIONS_MAX 16u
#define EVENTS_ROOM_BYTES (1u << 20) /* events are queued while less than this waits */
#define QUEUE_MAX_BYTES (16u << 20)  /* answers included; beyond it the core does not read */
#define STUCK_NS (30 * SLR_NS_PER_S)
#define ROUND_FRAMES 256
#define PROTO 1

struct conn {
    struct conn *next;
    struct slr_seam_server *server;
    struct slr_seam_conn *seam;
    struct slr_watch watch;
    struct slr_evlog_cursor *cursor; /* NULL: no hello yet */
    char core[64];
    uint64_t acked;
    bool more;   /* frames are left to be taken */
    bool failed; /* to be dropped */
    size_t queued_bytes;
    slr_mono moved; /* last time the queue got shorter or was empty */
};

struct slr_seam_server {
    struct slr_seam_server_config cfg;
    int listen_fd;
    struct slr_watch watch;
    struct conn *conns;
    uint32_t count;
    struct slr_seam_memory memory;
};

static void count(struct slr_seam_server *s, enum slr_srv_counter id)
{
    slr_srv_add(s->cfg.counters, id, 1);
}

static void release_conn(void *memory)
{
    free(memory);
}

static void drop(struct conn *c, const char *why)
{
    struct slr_seam_server *s = c->server;
    struct conn **at = &s->conns;

    SLR_INFO("core_disconnected", "core=%s why=%s next=%" PRIu64, SLR_Q(c->core), why,
             c->cursor ? slr_evlog_cursor_next(c->cursor) : 0);
    while (*at != c) {
        at = &(*at)->next;
    }
    *at = c->next;
    s->count--;
    slr_srv_set(s->cfg.counters, SLR_SRV_SEAM_OPEN, s->count);
    slr_loop_del(s->cfg.loop, &c->watch);
    slr_seam_close(c->seam);
    slr_evlog_cursor_close(c->cursor);
    slr_loop_defer(s->cfg.loop, c, release_conn);
}

static void fail(struct conn *c, enum slr_err err)
{
    if (err == SLR_FULL && !c->failed) {
        count(c->server, SLR_SRV_SEAM_SLOW);
    }
    c->failed = true;
}

/* Frames of at most 1 MiB: a long list goes in parts, all but the last with "more". */
static enum slr_err put_parts(struct conn *c, const json_t *answer, const char *list_name)
{
    const json_t *list = json_object_get(answer, list_name);
    size_t size = json_array_size(list), at = 0, step = size / 2;
    enum slr_err err = SLR_OK;

    while (at < size && step > 0 && err == SLR_OK) {
        json_t *part = json_copy((json_t *)(uintptr_t)answer), *rows = json_array();
        for (size_t i = at; part && rows && i < at + step && i < size; i++) {
            json_array_append(rows, json_array_get(list, i));
        }
        json_object_set_new(part, list_name, rows);
        json_object_set_new(part, "more", json_boolean(at + step < size));
        err = part ? slr_seam_put(c->seam, part, -1) : SLR_NOMEM;
        json_decref(part);
        if (err == SLR_TOOLONG) {
            step /= 2;
            err = SLR_OK;
        } else {
            at += step;
        }
    }
    return step > 0 ? err : SLR_TOOLONG;
}

static void put(struct conn *c, const json_t *msg)
{
    enum slr_err err = msg ? slr_seam_put(c->seam, msg, -1) : SLR_NOMEM;
    if (err == SLR_TOOLONG) {
        err = put_parts(c, msg, "sessions");
    }
    if (err == SLR_OK && slr_seam_queued_bytes(c->seam) > QUEUE_MAX_BYTES) {
        err = SLR_FULL;
    }
    if (err != SLR_OK) {
        SLR_WARN("seam_answer_failed", "core=%s err=%s", SLR_Q(c->core), slr_err_name(err));
        fail(c, err);
    }
}

static json_t *make_answer(const json_t *id, enum slr_err err, const char *text, json_t *fields)
{
    json_t *answer = json_object();
    json_object_set(answer, "re", id ? (json_t *)(uintptr_t)id : json_null());
    if (err == SLR_OK) {
        json_object_set_new(answer, "ok", json_true());
    } else {
        json_object_set_new(answer, "err", json_string(slr_err_name(err)));
        json_object_set_new(answer, "text", json_string(text[0] ? text : slr_err_text(err)));
    }
    if (fields) {
        json_object_update(answer, fields);
        json_decref(fields);
    }
    return answer;
}

static void answer_error(struct conn *c, const json_t *id, enum slr_err err, const char *text)
{
    json_t *fields = err == SLR_STALE
                         ? json_pack("{s:I}", "owner_epoch", (json_int_t)c->server->memory.epoch)
                         : NULL;
    json_t *answer = make_answer(id, err, text, fields);
    count(c->server, SLR_SRV_SEAM_ERRORS);
    put(c, answer);
    json_decref(answer);
}

static json_t *hello_fields(const struct slr_seam_server *s)
{
    const struct slr_seam_cmd_env *env = &s->cfg.env;
    json_t *ips = json_array();
    for (size_t i = 0; i < env->cfg->media_ip.count; i++) {
        json_array_append_new(ips, json_string(env->cfg->media_ip.item[i]));
    }
    json_t *accept = json_array();
    for (size_t i = 0; i < env->cfg->accept_pt.count; i++) {
        uint64_t pt;
        if (slr_slice_to_u64(slr_slice_str(env->cfg->accept_pt.item[i]), 127, &pt)) {
            json_array_append_new(accept, json_integer((json_int_t)pt));
        }
    }
    return json_pack("{s:s,s:I,s:I,s:i,s:i,s:o,s:o,s:b,s:b,s:b}", "engine",
                     slr_evlog_engine(s->cfg.log), "engine_epoch",
                     (json_int_t)slr_evlog_epoch(s->cfg.log), "last",
                     (json_int_t)slr_evlog_last(s->cfg.log), "streams_max", (int)env->cfg->streams,
                     "streams_used", (int)env->api->streams_used(env->engine), "media_ips", ips,
                     "accept_pts", accept, "draining", (int)env->api->draining(env->engine),
                     "passive", (int)env->passive, "live", (int)(!env->passive || env->live));
}

static void take_hello(struct conn *c, const json_t *msg, const json_t *id, uint64_t epoch)
{
    struct slr_seam_server *s = c->server;
    const char *core = slr_json_str(msg, "core");
    int64_t proto = 0, after = 0;

    if (!core || core[0] == '\0' || strlen(core) >= sizeof c->core ||
        slr_json_range(msg, "resume_after", 0, INT64_MAX - 1, &after) != SLR_OK ||
        slr_json_range(msg, "proto", 0, INT32_MAX, &proto) != SLR_OK) {
        answer_error(c, id, SLR_INVAL, "hello: core, proto or resume_after is wrong");
        return;
    }
    if (proto != PROTO) {
        answer_error(c, id, SLR_VERSION, "this engine speaks proto 1");
        return;
    }
    if ((uint64_t)after > slr_evlog_last(s->cfg.log)) {
        SLR_WARN("core_ahead_of_log", "core=%s resume_after=%" PRId64 " last=%" PRIu64, SLR_Q(core),
                 after, slr_evlog_last(s->cfg.log));
    }
    struct slr_evlog_cursor *cursor = slr_evlog_cursor_open(s->cfg.log, (uint64_t)after);
    json_t *answer = cursor ? make_answer(id, SLR_OK, "", hello_fields(s)) : NULL;
    snprintf(c->core, sizeof c->core, "%s", core);
    SLR_INFO("core_connected", "core=%s epoch=%" PRIu64 " resume_after=%" PRId64, SLR_Q(core),
             epoch, after);
    put(c, answer);
    json_decref(answer);
    slr_evlog_cursor_close(c->cursor);
    c->cursor = cursor;
    c->acked = (uint64_t)after;
}

static void run_command(struct conn *c, const struct slr_seam_cmd *cmd, const json_t *msg,
                        const json_t *id, const char *key)
{
    struct slr_seam_server *s = c->server;
    bool changes = slr_seam_cmd_changes(cmd);
    json_t *answer = changes ? slr_seam_memory_find(&s->memory, key) : NULL;

    if (answer) {
        count(s, SLR_SRV_SEAM_REPEATED);
        put(c, answer);
        return;
    }
    struct slr_seam_result r = {.err = SLR_STATE, .answer = NULL};
    slr_seam_cmd_run(cmd, &s->cfg.env, msg, &r);
    if (r.err != SLR_OK) {
        count(s, SLR_SRV_SEAM_ERRORS);
    }
    answer = make_answer(id, r.err, r.text, r.answer);
    if (changes) {
        slr_seam_memory_keep(&s->memory, key, answer);
    }
    put(c, answer);
    json_decref(answer);
}

static void take_message(struct conn *c, const json_t *msg)
{
    struct slr_seam_server *s = c->server;
    const char *name = slr_json_str(msg, "cmd");
    const json_t *id = json_object_get(msg, "id");
    char key[SLR_SEAM_ID_BYTES + 2];
    int64_t epoch = 0, n = 0;

    if (name && strcmp(name, "ack") == 0) {
        if (slr_json_range(msg, "n", 0, INT64_MAX - 1, &n) == SLR_OK && (uint64_t)n > c->acked) {
            c->acked = (uint64_t)n;
        }
        return;
    }
    count(s, SLR_SRV_SEAM_COMMANDS);
    if (!name || !slr_seam_memory_key(id, key) ||
        slr_json_range(msg, "epoch", 0, INT64_MAX - 1, &epoch) != SLR_OK) {
        answer_error(c, id, SLR_INVAL, "cmd, id or epoch is missing or wrong");
        return;
    }
    bool is_hello = strcmp(name, "hello") == 0;
    const struct slr_seam_cmd *cmd = is_hello ? NULL : slr_seam_cmd_find(name);
    if (!is_hello && !cmd) {
        answer_error(c, id, SLR_UNSUPPORTED, "unknown command");
    } else if (!is_hello && !c->cursor) {
        answer_error(c, id, SLR_STATE, "say hello first");
    } else if (!s->cfg.env.engine) {
        answer_error(c, id, SLR_STATE, "the engine is closing");
    } else if ((is_hello || slr_seam_cmd_changes(cmd)) &&
               !slr_seam_memory_epoch(&s->memory, (uint64_t)epoch)) {
        count(s, SLR_SRV_SEAM_STALE);
        answer_error(c, id, SLR_STALE, "");
    } else if (is_hello) {
        take_hello(c, msg, id, (uint64_t)epoch);
    } else {
        run_command(c, cmd, msg, id, key);
    }
}

static void flush(struct conn *c)
{
    slr_mono now = slr_clock_mono(slr_clock_real());
    enum slr_err err = slr_seam_flush(c->seam);
    size_t queued = slr_seam_queued_bytes(c->seam);

    if (err != SLR_OK && err != SLR_AGAIN) {
        fail(c, err);
    }
    if (queued < c->queued_bytes || queued == 0 || c->queued_bytes == 0) {
        c->moved = now;
    }
    c->queued_bytes = queued;
    slr_loop_ask(c->server->cfg.loop, &c->watch,
                 slr_seam_wants_write(c->seam) ? (uint32_t)(EPOLLIN | EPOLLOUT)
                                               : (uint32_t)EPOLLIN);
}

/* False: the connection is gone. */
static bool serve(struct conn *c)
{
    enum slr_err err = SLR_OK;
    c->more = false;
    for (int i = 0; err == SLR_OK && !c->failed; i++) {
        json_t *msg = NULL;
        if (i == ROUND_FRAMES) {
            c->more = true; /* let others have their turn */
            break;
        }
        err = slr_seam_take(c->seam, &msg, NULL);
        if (err == SLR_OK) {
            take_message(c, msg);
            json_decref(msg);
        }
    }
    flush(c);
    if (err == SLR_FORMAT) {
        count(c->server, SLR_SRV_SEAM_MALFORMED);
        SLR_WARN("seam_malformed", "core=%s", SLR_Q(c->core));
    }
    if (c->failed || (err != SLR_OK && err != SLR_AGAIN)) {
        drop(c, c->failed ? "failed" : slr_err_name(err));
        return false;
    }
    return true;
}

static void on_conn(void *ctx, uint32_t events)
{
    (void)events;
    (void)serve(ctx);
}

static enum slr_err adopt(struct slr_seam_server *s, struct slr_seam_conn *seam)
{
    struct conn *c = s->count < CONNECTIONS_MAX ? calloc(1, sizeof *c) : NULL;
    if (!c) {
        return s->count < CONNECTIONS_MAX ? SLR_NOMEM : SLR_FULL;
    }
    c->server = s;
    c->seam = seam;
    c->moved = slr_clock_mono(slr_clock_real());
    enum slr_err err = slr_loop_add(s->cfg.loop, &c->watch, slr_seam_fd(seam), EPOLLIN, on_conn, c);
    if (err != SLR_OK) {
        free(c);
        return err;
    }
    c->next = s->conns;
    s->conns = c;
    s->count++;
    count(s, SLR_SRV_SEAM_ACCEPTED);
    slr_srv_set(s->cfg.counters, SLR_SRV_SEAM_OPEN, s->count);
    return SLR_OK;
}

enum slr_err slr_seam_server_adopt(struct slr_seam_server *s, int fd)
{
    struct slr_seam_conn *seam = NULL;
    enum slr_err err = slr_seam_open(fd, &seam);
    if (err != SLR_OK) {
        close(fd);
        return err;
    }
    err = adopt(s, seam);
    if (err != SLR_OK) {
        slr_seam_close(seam);
    }
    return err;
}

static void on_listen(void *ctx, uint32_t events)
{
    struct slr_seam_server *s = ctx;
    struct slr_seam_conn *seam = NULL;
    enum slr_err err = slr_seam_accept(s->listen_fd, &seam);
    (void)events;

    if (err == SLR_AGAIN) {
        return;
    }
    if (err == SLR_OK) {
        err = adopt(s, seam);
        if (err != SLR_OK) {
            slr_seam_close(seam);
        }
    }
    if (err != SLR_OK) {
        count(s, SLR_SRV_SEAM_REFUSED);
        SLR_WARN("core_refused", "err=%s", slr_err_name(err));
    }
}

enum slr_err slr_seam_server_open(const struct slr_seam_server_config *cfg,
                                  struct slr_seam_server **out)
{
    struct slr_seam_server *s = calloc(1, sizeof *s);
    if (!s) {
        return SLR_NOMEM;
    }
    s->cfg = *cfg;
    s->listen_fd = s->watch.fd = -1;
    *out = s;
    return SLR_OK;
}

void slr_seam_server_close(struct slr_seam_server *s)
{
    if (!s) {
        return;
    }
    while (s->conns) {
        drop(s->conns, "shutdown");
    }
    slr_loop_del(s->cfg.loop, &s->watch);
    if (s->listen_fd >= 0) {
        close(s->listen_fd);
        unlink(s->cfg.path);
    }
    slr_seam_memory_clear(&s->memory);
    free(s);
}

enum slr_err slr_seam_server_engine(struct slr_seam_server *s, struct slr_engine *e)
{
    s->cfg.env.engine = e;
    if (!e || !s->cfg.path || s->listen_fd >= 0) {
        return SLR_OK;
    }
    enum slr_err err = slr_seam_listen(s->cfg.path, &s->listen_fd);
    if (err != SLR_OK) {
        SLR_ERROR("control_listen_failed", "path=%s err=%s", SLR_Q(s->cfg.path), slr_err_name(err));
        s->listen_fd = -1;
        return err;
    }
    return slr_loop_add(s->cfg.loop, &s->watch, s->listen_fd, EPOLLIN, on_listen, s);
}

/* Puts what fits; a core that is told of a loss takes a snapshot. True: there may be more. */
static bool put_events(struct conn *c)
{
    while (!c->failed && slr_seam_queued_bytes(c->seam) < EVENTS_ROOM_BYTES) {
        struct slr_evlog_item item;
        enum slr_err err = slr_evlog_peek(c->cursor, &item);
        if (err == SLR_NOTFOUND) {
            json_t *lost = json_pack("{s:s,s:I,s:I}", "ev", "lost", "from",
                                     (json_int_t)item.lost_from, "to", (json_int_t)item.lost_to);
            slr_srv_add(c->server->cfg.counters, SLR_SRV_SEAM_LOST,
                        item.lost_to - item.lost_from + 1);
            put(c, lost);
            json_decref(lost);
            continue;
        }
        if (err == SLR_AGAIN) {
            return false;
        }
        if (err == SLR_OK) {
            err = slr_seam_put_text(c->seam, item.text, -1);
            slr_evlog_step(c->cursor);
        }
        if (err != SLR_OK) {
            fail(c, err);
        }
    }
    return true;
}

bool slr_seam_server_pump(struct slr_seam_server *s)
{
    bool more = false;
    for (struct conn *c = s->conns, *next; c; c = next) {
        next = c->next;
        if (c->more && !serve(c)) {
            continue;
        }
        if (c->cursor) {
            bool rest = put_events(c);
            flush(c); /* where the socket takes no more, its readiness goes on with the rest */
            more = more || (rest && c->queued_bytes < EVENTS_ROOM_BYTES);
        }
        if (c->failed) {
            drop(c, "failed");
            continue;
        }
        more = more || c->more;
    }
    return more;
}

void slr_seam_server_tick(struct slr_seam_server *s, slr_mono now)
{
    for (struct conn *c = s->conns, *next; c; c = next) {
        next = c->next;
        if (c->queued_bytes > 0 && now.ns - c->moved.ns > STUCK_NS) {
            count(s, SLR_SRV_SEAM_SLOW);
            drop(c, "not_reading");
        }
    }
}

uint32_t slr_seam_server_connections(const struct slr_seam_server *s)
{
    return s->count;
}

uint32_t slr_seam_server_cores(const struct slr_seam_server *s)
{
    uint32_t n = 0;
    for (const struct conn *c = s->conns; c; c = c->next) {
        n += c->cursor != NULL;
    }
    return n;
}

uint64_t slr_seam_server_acked(const struct slr_seam_server *s)
{
    uint64_t n = 0;
    for (const struct conn *c = s->conns; c; c = c->next) {
        n = c->cursor && c->acked > n ? c->acked : n;
    }
    return n;
}

bool slr_seam_server_idle(const struct slr_seam_server *s)
{
    for (const struct conn *c = s->conns; c; c = c->next) {
        if (c->cursor && (slr_evlog_cursor_next(c->cursor) <= slr_evlog_last(s->cfg.log) ||
                          slr_seam_queued_bytes(c->seam) > 0)) {
            return false;
        }
    }
    return true;
}

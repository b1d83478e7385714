/*
 * link: see link.h. State owned by the signalling thread; never blocks; allocates per command.
 */
#include "ctl/link.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "common/seam.h"
#include "ctl/core_metrics.h"

#define TICK_MS 50

struct command {
    struct command *next;
    uint64_t id;
    enum slr_link_kind kind;
    int64_t deadline_ns; /* 0: none */
    json_t *msg;
    json_t *parts; /* of its answer, that came so far; NULL: none */
    uint32_t stale;
    slr_link_done done;
    void *ctx;
};

enum link_state { LINK_DOWN, LINK_HELLO, LINK_UP };

struct slr_link {
    struct slr_link_config cfg;
    enum link_state state;
    struct slr_seam_conn *conn;
    int wait_index; /* of su_root_register, 0: not registered */
    bool want_write;
    bool broken;
    bool closing;
    su_timer_t *timer;
    int64_t next_try_ns, hello_deadline_ns;
    uint64_t next_id;
    struct command *head, *tail; /* in order of sending */
    uint32_t count;
};

static int64_t now_ns(void)
{
    return slr_clock_mono(slr_clock_real()).ns;
}

static void count(struct slr_link *link, enum slr_core_metric which)
{
    slr_count(&link->cfg.counter[which], 1);
}

static enum slr_err err_by_name(const char *name)
{
    for (int i = 0; name && i < SLR_ERR_COUNT; i++) {
        if (strcmp(slr_err_name((enum slr_err)i), name) == 0) {
            return (enum slr_err)i;
        }
    }
    return SLR_FORMAT;
}

static void append(struct slr_link *link, struct command *c)
{
    c->next = NULL;
    if (link->tail) {
        link->tail->next = c;
    } else {
        link->head = c;
    }
    link->tail = c;
    link->count++;
}

/* Unlinks *at and gives it to the caller. `before` is the element in front, or NULL. */
static struct command *unlink_command(struct slr_link *link, struct command **at,
                                      struct command *before)
{
    struct command *c = *at;
    *at = c->next;
    if (link->tail == c) {
        link->tail = before;
    }
    link->count--;
    return c;
}

static void finish(struct command *c, enum slr_err result, const json_t *answer)
{
    if (c->done) {
        c->done(c->ctx, result, answer);
    }
    json_decref(c->parts);
    json_decref(c->msg);
    free(c);
}

/* Finishes every command that `which` picks; done callbacks may send new ones. */
static void finish_all(struct slr_link *link, bool (*which)(const struct command *, int64_t),
                       int64_t now, enum slr_err result)
{
    struct command *picked = NULL, **end = &picked, **at = &link->head, *before = NULL;
    while (*at) {
        if (which(*at, now)) {
            struct command *c = unlink_command(link, at, before);
            c->next = NULL;
            *end = c;
            end = &c->next;
        } else {
            before = *at;
            at = &(*at)->next;
        }
    }
    while (picked) {
        struct command *c = picked;
        picked = c->next;
        if (result == SLR_TIMEOUT) {
            count(link, SLR_CORE_M_LINK_TIMEOUTS);
            SLR_WARN("engine_silent", "cmd=%s", SLR_Q(slr_json_str(c->msg, "cmd")));
        }
        finish(c, result, NULL);
    }
}

static bool is_once(const struct command *c, int64_t now)
{
    (void)now;
    return c->kind == SLR_LINK_ONCE;
}

static bool is_due(const struct command *c, int64_t now)
{
    return c->deadline_ns != 0 && c->deadline_ns <= now;
}

static bool is_any(const struct command *c, int64_t now)
{
    (void)c;
    (void)now;
    return true;
}

static void disconnect(struct slr_link *link, const char *why)
{
    bool was_up = link->state == LINK_UP;
    if (link->state != LINK_DOWN) {
        SLR_WARN("engine_gone", "path=%s why=%s", SLR_Q(link->cfg.path), why);
    }
    if (link->wait_index > 0) {
        su_root_deregister(link->cfg.root, link->wait_index);
        link->wait_index = 0;
    }
    slr_seam_close(link->conn);
    link->conn = NULL;
    link->state = LINK_DOWN;
    link->broken = false;
    link->next_try_ns = now_ns() + SLR_LINK_RETRY_MS * SLR_NS_PER_MS;
    if (was_up) {
        link->cfg.hooks.down(link->cfg.hooks.ctx);
    }
    finish_all(link, is_once, 0, SLR_CLOSED);
}

/* Adapts the poll mask to what the connection wants. */
static void set_mask(struct slr_link *link)
{
    bool want = slr_seam_wants_write(link->conn);
    if (want != link->want_write && link->wait_index > 0) {
        su_root_eventmask(link->cfg.root, link->wait_index, slr_seam_fd(link->conn),
                          want ? SU_WAIT_IN | SU_WAIT_OUT : SU_WAIT_IN);
        link->want_write = want;
    }
}

/* A connection that fails here is only marked: callers may be deep inside other work. */
static void put(struct slr_link *link, const json_t *msg)
{
    if (link->broken) {
        return;
    }
    enum slr_err err = slr_seam_put(link->conn, msg, -1);
    if (err == SLR_OK) {
        err = slr_seam_flush(link->conn);
    }
    if (err != SLR_OK && err != SLR_AGAIN) {
        link->broken = true;
        return;
    }
    set_mask(link);
}

static void send_hello(struct slr_link *link, int64_t deadline_ns)
{
    link->state = LINK_HELLO;
    link->hello_deadline_ns = deadline_ns;
    json_t *msg = json_pack("{s:s, s:I, s:I, s:s, s:i, s:I}", "cmd", "hello", "id",
                            (json_int_t)++link->next_id, "epoch", (json_int_t)link->cfg.epoch,
                            "core", link->cfg.name, "proto", 1, "resume_after",
                            (json_int_t)link->cfg.hooks.resume_after(link->cfg.hooks.ctx));
    put(link, msg);
    json_decref(msg);
}

/* True when the answer said that our epoch is too old, and ours now is newer than the engine's. */
static bool raise_epoch(struct slr_link *link, const json_t *answer)
{
    const char *err = slr_json_str(answer, "err");
    int64_t owner = slr_json_i64(answer, "owner_epoch", -1);
    if (!err || strcmp(err, slr_err_name(SLR_STALE)) != 0 || owner < 0 || owner >= INT64_MAX - 1) {
        return false;
    }
    if (owner >= link->cfg.epoch) {
        SLR_WARN("epoch_raised", "from=%lld to=%lld", (long long)link->cfg.epoch,
                 (long long)owner + 1);
        link->cfg.epoch = owner + 1;
        link->cfg.hooks.epoch(link->cfg.hooks.ctx, link->cfg.epoch);
    }
    return true;
}

static void put_command(struct slr_link *link, struct command *c)
{
    json_decref(c->parts);
    c->parts = NULL;
    json_object_set_new(c->msg, "epoch", json_integer((json_int_t)link->cfg.epoch));
    put(link, c->msg);
}

static void take_hello(struct slr_link *link, const json_t *msg)
{
    if (raise_epoch(link, msg)) {
        send_hello(link, link->hello_deadline_ns);
        return;
    }
    if (!slr_json_bool(msg, "ok", false)) {
        SLR_ERROR("engine_refused_hello", "err=%s", SLR_Q(slr_json_str(msg, "err")));
        link->broken = true;
        return;
    }
    link->state = LINK_UP;
    count(link, SLR_CORE_M_LINK_UPS);
    SLR_INFO("engine_connected", "path=%s engine=%s", SLR_Q(link->cfg.path),
             SLR_Q(slr_json_str(msg, "engine")));
    for (struct command *c = link->head; c && !link->broken; c = c->next) {
        put_command(link, c);
    }
    if (!link->cfg.hooks.up(link->cfg.hooks.ctx, msg)) {
        link->broken = true;
    }
}

/* Adds the lists of one part to those before it. False: no memory, or beyond the limit. */
static bool add_part(struct command *c, const json_t *msg)
{
    const char *name;
    json_t *value;
    if (!c->parts) {
        c->parts = json_deep_copy(msg);
        return c->parts != NULL;
    }
    json_object_foreach((json_t *)(uintptr_t)msg, name, value)
    {
        json_t *list = json_object_get(c->parts, name);
        if (json_is_array(value) && json_is_array(list) &&
            (json_array_size(list) + json_array_size(value) > SLR_LINK_ROWS_MAX ||
             json_array_extend(list, value) != 0)) {
            return false;
        }
    }
    return true;
}

static void take_answer(struct slr_link *link, const json_t *msg)
{
    uint64_t id = slr_json_u64(msg, "re", 0);
    struct command **at = &link->head, *before = NULL;
    if (link->state == LINK_HELLO) {
        take_hello(link, msg);
        return;
    }
    while (*at && (*at)->id != id) {
        before = *at;
        at = &(*at)->next;
    }
    if (!*at) {
        return; /* its time was over */
    }
    bool more = slr_json_bool(msg, "more", false);
    if ((more || (*at)->parts) && !add_part(*at, msg)) {
        SLR_ERROR("engine_answer_too_long", "cmd=%s", SLR_Q(slr_json_str((*at)->msg, "cmd")));
        link->broken = true;
        return;
    }
    if (more) {
        return;
    }
    if ((*at)->stale < SLR_LINK_STALE_MAX && raise_epoch(link, msg)) {
        /* whatever was sent behind it is refused as well, and so stays behind it */
        (*at)->stale++;
        put_command(link, *at);
        return;
    }
    struct command *c = unlink_command(link, at, before);
    enum slr_err result = SLR_OK;
    if (!slr_json_bool(msg, "ok", false)) {
        result = err_by_name(slr_json_str(msg, "err"));
        count(link, SLR_CORE_M_LINK_REFUSED);
        SLR_WARN("engine_refused", "cmd=%s err=%s text=%s session=%s",
                 SLR_Q(slr_json_str(c->msg, "cmd")), slr_err_name(result),
                 SLR_Q(slr_json_str(msg, "text")), SLR_Q(slr_json_str(c->msg, "session")));
    }
    finish(c, result, c->parts ? c->parts : msg);
}

static void read_all(struct slr_link *link)
{
    while (!link->broken) {
        json_t *msg = NULL;
        enum slr_err err = slr_seam_take(link->conn, &msg, NULL);
        if (err == SLR_AGAIN) {
            break;
        }
        if (err != SLR_OK) {
            link->broken = true;
            break;
        }
        if (json_object_get(msg, "re")) {
            take_answer(link, msg);
        } else if (json_object_get(msg, "ev") && link->state == LINK_UP) {
            count(link, SLR_CORE_M_EVENTS);
            link->cfg.hooks.event(link->cfg.hooks.ctx, msg);
        }
        json_decref(msg);
    }
    if (link->state == LINK_UP) {
        link->cfg.hooks.idle(link->cfg.hooks.ctx);
    }
}

static int on_ready(void *magic, su_wait_t *wait, void *arg)
{
    struct slr_link *link = arg;
    (void)magic;
    (void)wait;
    if (!link->conn) {
        return 0;
    }
    if (slr_seam_wants_write(link->conn)) {
        enum slr_err err = slr_seam_flush(link->conn);
        link->broken = link->broken || (err != SLR_OK && err != SLR_AGAIN);
    }
    read_all(link);
    if (link->broken) {
        disconnect(link, "connection");
    } else {
        set_mask(link);
    }
    return 0;
}

static void try_connect(struct slr_link *link)
{
    su_wait_t wait;
    if (slr_seam_connect(link->cfg.path, &link->conn) != SLR_OK) {
        link->conn = NULL;
        link->next_try_ns = now_ns() + SLR_LINK_RETRY_MS * SLR_NS_PER_MS;
        return;
    }
    su_wait_init(&wait);
    if (su_wait_create(&wait, slr_seam_fd(link->conn), SU_WAIT_IN) != 0) {
        disconnect(link, "poll");
        return;
    }
    link->wait_index = su_root_register(link->cfg.root, &wait, on_ready, link, 0);
    link->want_write = false;
    if (link->wait_index <= 0) {
        disconnect(link, "poll");
        return;
    }
    send_hello(link, now_ns() + SLR_LINK_HELLO_MS * SLR_NS_PER_MS);
}

static void on_tick(void *magic, su_timer_t *timer, void *arg)
{
    struct slr_link *link = arg;
    int64_t now = now_ns();
    (void)magic;
    (void)timer;
    if (link->broken) {
        disconnect(link, "connection");
    } else if (link->state == LINK_HELLO && now >= link->hello_deadline_ns) {
        disconnect(link, "no_hello");
    }
    if (link->state == LINK_DOWN && now >= link->next_try_ns) {
        try_connect(link);
    }
    finish_all(link, is_due, now, SLR_TIMEOUT);
}

/*
 * Where the ids of this process begin. The engine knows commands again by epoch and id, and an
 * epoch comes back when the database is lost or an old copy of it is put in its place: a number
 * that was used before would get the answer of that time, with the port of another call's leg.
 */
static enum slr_err first_id(uint64_t *id)
{
    if (getrandom(id, sizeof(*id), 0) != (ssize_t)sizeof(*id)) {
        return SLR_IO;
    }
    *id >>= 16; /* 48 bits: what is counted on stays exact in any JSON reader */
    return SLR_OK;
}

enum slr_err slr_link_open(const struct slr_link_config *cfg, struct slr_link **out)
{
    struct slr_link *link = calloc(1, sizeof(*link));
    if (!link) {
        return SLR_NOMEM;
    }
    if (first_id(&link->next_id) != SLR_OK) {
        free(link);
        return SLR_IO;
    }
    link->cfg = *cfg;
    link->timer = su_timer_create(su_root_task(cfg->root), TICK_MS);
    if (!link->timer || su_timer_set_for_ever(link->timer, on_tick, link) != 0) {
        su_timer_destroy(link->timer);
        free(link);
        return SLR_NOMEM;
    }
    try_connect(link);
    *out = link;
    return SLR_OK;
}

void slr_link_close(struct slr_link *link)
{
    if (!link) {
        return;
    }
    link->closing = true;
    link->state = LINK_DOWN; /* nobody is to be told any more */
    disconnect(link, "close");
    finish_all(link, is_any, 0, SLR_CLOSED);
    su_timer_destroy(link->timer);
    free(link);
}

bool slr_link_is_up(const struct slr_link *link)
{
    return link && link->state == LINK_UP && !link->broken;
}

enum slr_err slr_link_send(struct slr_link *link, json_t *cmd, enum slr_link_kind kind,
                           uint32_t timeout_ms, slr_link_done done, void *ctx)
{
    enum slr_err err = SLR_OK;
    if (!cmd || !link) {
        json_decref(cmd);
        return cmd ? SLR_CLOSED : SLR_NOMEM;
    }
    if (link->closing || (kind == SLR_LINK_ONCE && !slr_link_is_up(link))) {
        err = SLR_CLOSED;
    } else if (link->count >= SLR_LINK_QUEUE_MAX) {
        err = SLR_FULL;
    }
    struct command *c = err == SLR_OK ? calloc(1, sizeof(*c)) : NULL;
    if (!c) {
        json_decref(cmd);
        return err == SLR_OK ? SLR_NOMEM : err;
    }
    c->id = ++link->next_id;
    c->kind = kind;
    c->deadline_ns =
        kind == SLR_LINK_ONCE && timeout_ms ? now_ns() + timeout_ms * SLR_NS_PER_MS : 0;
    c->msg = cmd;
    c->done = done;
    c->ctx = ctx;
    json_object_set_new(cmd, "id", json_integer((json_int_t)c->id));
    json_object_set_new(cmd, "epoch", json_integer((json_int_t)link->cfg.epoch));
    append(link, c);
    if (slr_link_is_up(link)) {
        put(link, cmd);
    }
    return SLR_OK;
}

void slr_link_ack(struct slr_link *link, int64_t n)
{
    if (!slr_link_is_up(link)) {
        return;
    }
    json_t *msg = json_pack("{s:s, s:I, s:I, s:I}", "cmd", "ack", "id", (json_int_t)++link->next_id,
                            "epoch", (json_int_t)link->cfg.epoch, "n", (json_int_t)n);
    put(link, msg);
    json_decref(msg);
}

/*
 * others: recordings of an engine on another host, as its sniffer port tells them: into the
 * catalogue, marked with the engine and the address it was heard at. Nothing is ever asked of that
 * engine. Signalling thread; allocates an entry a running recording.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/log.h"
#include "ctl/core_int.h"
#include "ctl/recording.h"
#include "ctl/sniffer_reader.h"

#define SILENT_NS (10 * SLR_NS_PER_S) /* it pings every 5 s while it records */
#define RUNNING_MAX 100000
#define VALUE_NAME_SIZE 300

struct running {
    struct slr_others *others;
    char id[SLR_ID_SIZE];
    bool seen; /* in the snapshot that is being read */
};

struct slr_others {
    struct slr_core *core;
    struct slr_sniffer_reader *reader;
    char engine[64];
    char cursor_name[VALUE_NAME_SIZE], engine_name[VALUE_NAME_SIZE];
    int64_t engine_hash; /* of the engine whose cursor is held, 0: none yet */
    int64_t cursor, cursor_posted, last;
    int64_t heard_ns; /* monotonic, when anything came */
    struct slr_table running;
    bool lost;   /* what the snapshot does not have, its end was lost */
    bool silent; /* said so */
};

static int64_t mono_ns(void)
{
    return slr_clock_mono(slr_clock_real()).ns;
}

static int64_t resume_after(void *ctx)
{
    const struct slr_others *o = ctx;
    return o->cursor;
}

/* Our own engine's events come over the seam. */
static bool is_own(const struct slr_others *o)
{
    return o->engine_hash == o->core->engine_hash;
}

static void put_value(struct slr_others *o, const char *name, int64_t value)
{
    slr_core_stored(o->core, slr_store_put_value(o->core->store, name, value, NULL, NULL), "value");
}

static void put_recording(struct slr_others *o, json_t *record)
{
    const char *id = slr_json_str(record, "id");
    if (!record || slr_table_get(&o->core->sessions, id)) {
        json_decref(record); /* our own calls are told by our own engine */
        return;
    }
    json_object_set_new(record, "engine", json_string(o->engine));
    json_object_set_new(record, "remote", json_string(o->core->cfg->sniffer));
    slr_core_stored(o->core, slr_store_put_recording(o->core->store, record, NULL, NULL),
                    "recording");
}

static struct running *note_running(struct slr_others *o, const char *id)
{
    struct running *r = slr_table_get(&o->running, id);
    if (!r && o->running.count < RUNNING_MAX && (r = calloc(1, sizeof(*r))) != NULL) {
        r->others = o;
        (void)snprintf(r->id, sizeof r->id, "%s", id);
        if (slr_table_put(&o->running, r->id, r) != SLR_OK) {
            free(r);
            r = NULL;
        }
    }
    return r;
}

static bool up(void *ctx, const json_t *hello)
{
    struct slr_others *o = ctx;
    const char *id = slr_json_str(hello, "engine");
    int64_t hash = slr_events_hash(id ? id : "");
    bool first = o->engine_hash == 0 || o->cursor == 0;
    slr_core_count(o->core, SLR_CORE_M_SNIFFER_UPS);
    (void)snprintf(o->engine, sizeof o->engine, "%s", id ? id : "");
    o->last = slr_json_i64(hello, "last", 0);
    o->heard_ns = mono_ns();
    if (hash == o->core->engine_hash) {
        SLR_WARN("sniffer_is_own_engine", "address=%s", SLR_Q(o->core->cfg->sniffer));
    }
    if (o->engine_hash == hash) {
        slr_sniffer_reader_ask_snapshot(o->reader); /* which ones run, also after our restart */
        return true;
    }
    o->engine_hash = hash;
    o->cursor = o->cursor_posted = 0;
    put_value(o, o->engine_name, hash);
    put_value(o, o->cursor_name, 0);
    if (first) {
        slr_sniffer_reader_ask_snapshot(o->reader);
    } else {
        SLR_WARN("sniffer_engine_changed", "address=%s engine=%s", SLR_Q(o->core->cfg->sniffer),
                 SLR_Q(id));
    }
    return first; /* another engine's numbers mean nothing here: from its oldest event */
}

static void take_event(struct slr_others *o, const json_t *msg, const char *name)
{
    const char *session = slr_json_str(msg, "session");
    int64_t n = slr_json_i64(msg, "n", 0);
    if (n <= o->cursor) {
        return; /* a ping, or handled before the connection broke */
    }
    o->cursor = n;
    slr_core_count(o->core, SLR_CORE_M_SNIFFER_EVENTS);
    json_t *record = is_own(o) ? NULL : slr_recording_of_event(msg, o->engine);
    if (!is_own(o) && session && !slr_table_get(&o->core->sessions, session)) {
        slr_events_put_alarm(o->core, msg);
    }
    if (!record) {
        return;
    }
    if (strcmp(name, "session_open") == 0) {
        (void)note_running(o, session);
    } else {
        free(slr_table_take(&o->running, session));
    }
    put_recording(o, record);
}

static void take_lost(struct slr_others *o, const json_t *range)
{
    int64_t from = json_integer_value(json_array_get(range, 0));
    int64_t to = json_integer_value(json_array_get(range, 1));
    SLR_WARN("sniffer_events_lost", "from=%lld to=%lld", (long long)from, (long long)to);
    if (from < 1 || to < from) {
        return;
    }
    slr_count(&o->core->counter[SLR_CORE_M_SNIFFER_LOST], (uint64_t)(to - from) + 1);
    /* beyond its last one: it lost power, and uses those numbers again */
    o->cursor = from > o->last ? o->last : to > o->cursor ? to : o->cursor;
    o->lost = true;
}

static void take_session(struct slr_others *o, const json_t *session)
{
    json_t *record = is_own(o) ? NULL : slr_recording_of_session(session, o->engine);
    struct running *r = record ? note_running(o, slr_json_str(record, "id")) : NULL;
    if (r) {
        r->seen = true;
    }
    put_recording(o, record);
}

static void settle(void *ctx, void *value)
{
    struct slr_others *o = ctx;
    struct running *r = value;
    if (!r->seen && o->lost) {
        put_recording(o, json_pack("{s:s, s:s, s:s}", "id", r->id, "state", "failed", "end_reason",
                                   "events_lost"));
        (void)slr_table_take(&o->running, r->id);
        free(r);
        return;
    }
    r->seen = false;
}

static void message(void *ctx, const json_t *msg)
{
    struct slr_others *o = ctx;
    const char *name = slr_json_str(msg, "ev");
    o->heard_ns = mono_ns();
    if (name) {
        take_event(o, msg, name);
    } else if (json_is_array(json_object_get(msg, "lost"))) {
        take_lost(o, json_object_get(msg, "lost"));
    } else if (json_is_object(json_object_get(msg, "snapshot"))) {
        take_session(o, json_object_get(msg, "snapshot"));
    } else if (json_object_get(msg, "snapshot_end")) {
        slr_table_each(&o->running, settle, o);
        o->lost = false;
    }
}

struct cursor_post {
    struct slr_core *core;
    int64_t n;
};

static void on_cursor_stored(void *ctx, enum slr_err result)
{
    struct cursor_post *c = ctx;
    if (result == SLR_OK && c->core->others) {
        slr_sniffer_reader_ack(c->core->others->reader, c->n);
    }
    free(c);
}

/* Acknowledged once the store has committed what came of it. */
static void idle(void *ctx)
{
    struct slr_others *o = ctx;
    if (o->cursor == o->cursor_posted) {
        return;
    }
    struct cursor_post *c = malloc(sizeof(*c));
    struct slr_core_post *post = c ? slr_core_post_new(o->core, on_cursor_stored, c) : NULL;
    enum slr_err err = SLR_NOMEM;
    if (post) {
        *c = (struct cursor_post){.core = o->core, .n = o->cursor};
        err = slr_store_put_value(o->core->store, o->cursor_name, o->cursor, slr_core_store_done,
                                  post);
    }
    if (err != SLR_OK) {
        slr_core_stored(o->core, err, "cursor"); /* the next event tries again */
        free(c);
        free(post);
        return;
    }
    o->cursor_posted = o->cursor;
}

static void tick(void *ctx)
{
    struct slr_others *o = ctx;
    bool silent = o->running.count > 0 && mono_ns() - o->heard_ns > SILENT_NS;
    if (silent && !o->silent) {
        slr_core_count(o->core, SLR_CORE_M_RECORDER_SILENT);
        SLR_ERROR("recorder_silent", "engine=%s address=%s recordings=%zu", SLR_Q(o->engine),
                  SLR_Q(o->core->cfg->sniffer), o->running.count);
    } else if (!silent && o->silent) {
        SLR_INFO("recorder_back", "engine=%s address=%s", SLR_Q(o->engine),
                 SLR_Q(o->core->cfg->sniffer));
    }
    o->silent = silent;
}

static void malformed(void *ctx)
{
    struct slr_others *o = ctx;
    slr_core_count(o->core, SLR_CORE_M_SNIFFER_BAD);
}

enum slr_err slr_others_open(struct slr_core *core)
{
    const struct slr_core_config *cfg = core->cfg;
    struct slr_others *o = calloc(1, sizeof(*o));
    if (!o) {
        return SLR_NOMEM;
    }
    o->core = core;
    o->heard_ns = mono_ns();
    (void)snprintf(o->cursor_name, sizeof o->cursor_name, "cursor:sniffer:%s", cfg->sniffer);
    (void)snprintf(o->engine_name, sizeof o->engine_name, "engine:sniffer:%s", cfg->sniffer);
    o->cursor = o->cursor_posted = slr_store_value(core->store, o->cursor_name, 0);
    o->engine_hash = slr_store_value(core->store, o->engine_name, 0);
    struct slr_sniffer_reader_config reader = {.root = core->root,
                                               .address = cfg->sniffer,
                                               .name = cfg->name,
                                               .key_file = cfg->sniffer_key,
                                               .hooks = {.ctx = o,
                                                         .resume_after = resume_after,
                                                         .up = up,
                                                         .message = message,
                                                         .idle = idle,
                                                         .tick = tick,
                                                         .malformed = malformed}};
    enum slr_err err = slr_sniffer_reader_open(&reader, &o->reader);
    if (err != SLR_OK) {
        free(o);
        return err;
    }
    core->others = o;
    return SLR_OK;
}

void slr_others_close(struct slr_others *o)
{
    if (o) {
        slr_sniffer_reader_close(o->reader);
        slr_table_fini(&o->running, free);
        free(o);
    }
}

/*
 * events: what the core does about each event of the engine, and when it says so. Events are
 * numbered; a number is acknowledged once the store has committed all that came of it. Signalling
 * thread; nothing here waits.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/log.h"
#include "ctl/alarms.h"
#include "ctl/calls.h"
#include "ctl/recording.h"
#include "ctl/sip.h"
#include "ctl/tracker.h"

int64_t slr_events_hash(const char *text)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (; *text; text++) {
        h = (h ^ (uint8_t)*text) * 0x100000001b3u;
    }
    return (int64_t)(h >> 1) | 1; /* never 0 */
}

/* Names of the stored values; both belong to the control socket's path. */
static void cursor_name(const struct slr_core *core, char *out, size_t size_bytes)
{
    (void)snprintf(out, size_bytes, "cursor:%s", core->cfg->engine);
}

int64_t slr_events_resume_after(void *ctx)
{
    const struct slr_core *core = ctx;
    return core->cursor;
}

/* Another engine's numbers mean nothing here: its log is read from its oldest event. */
static bool check_engine(struct slr_core *core, const json_t *hello)
{
    char name[160];
    const char *id = slr_json_str(hello, "engine");
    int64_t hash = slr_events_hash(id ? id : "");
    int64_t last = slr_json_i64(hello, "last", 0);
    bool same = core->engine_hash == hash && last >= core->cursor;
    (void)snprintf(core->engine_id, sizeof core->engine_id, "%s", id ? id : "");
    if (same) {
        return true;
    }
    bool first = core->cursor == 0;
    if (!first) {
        SLR_WARN("engine_log_changed", "engine=%s cursor=%lld last=%lld", SLR_Q(id),
                 (long long)core->cursor, (long long)last);
    }
    core->engine_hash = hash;
    core->cursor = core->cursor_posted = 0;
    (void)snprintf(name, sizeof name, "engine:%s", core->cfg->engine);
    slr_core_stored(core, slr_store_put_value(core->store, name, hash, NULL, NULL), "value");
    return first; /* else: connect again, now from the start */
}

/* -A of the engine: none given is any. */
static void take_limit(struct slr_core *core, const json_t *accept)
{
    size_t i = 0;
    json_t *pt = NULL;
    core->limit = (struct slr_sdp_limit){.on = json_array_size(accept) > 0};
    json_array_foreach((json_t *)(uintptr_t)accept, i, pt)
    {
        json_int_t n = json_integer_value(pt);
        if (n >= 0 && n < (json_int_t)sizeof core->limit.pt) {
            core->limit.pt[n] = true;
        }
    }
}

bool slr_events_up(void *ctx, const json_t *hello)
{
    struct slr_core *core = ctx;
    if (!check_engine(core, hello)) {
        return false;
    }
    core->passive = slr_json_bool(hello, "passive", false);
    core->live = slr_json_bool(hello, "live", !core->passive);
    core->streams_max = (uint32_t)slr_json_u64(hello, "streams_max", 0);
    core->streams_used = (uint32_t)slr_json_u64(hello, "streams_used", 0);
    take_limit(core, json_object_get(hello, "accept_pts"));
    if (!core->passive) {
        slr_restore_ask_snapshot(core, slr_json_i64(hello, "last", 0));
    }
    return true;
}

void slr_events_down(void *ctx)
{
    struct slr_core *core = ctx;
    json_decref(core->snapshot);
    core->snapshot = NULL;
    core->stats_pending = false;
}

static void put_recording(struct slr_core *core, json_t *record)
{
    slr_core_stored(core,
                    record ? slr_store_put_recording(core->store, record, NULL, NULL) : SLR_NOMEM,
                    "recording");
}

static void on_session_open(struct slr_core *core, const json_t *ev)
{
    const char *session = slr_json_str(ev, "session");
    if (!session || slr_calls_get(core, session) || slr_tracker_has(core->tracker, session)) {
        return; /* ours: stored when it was opened */
    }
    put_recording(core, slr_recording_of_event(ev, core->engine_id));
}

/*
 * The call is over in the engine. Dialogs that are still up (it sealed by itself) get their BYE.
 * Ending them stores what the call is by then, "sealing": the event's word has to be stored after
 * it, and stands.
 */
static void end_call(struct slr_core *core, const char *session)
{
    struct slr_call *call = slr_calls_get(core, session);
    if (!call) {
        return;
    }
    call->state = SLR_CALL_SEALING;
    slr_sip_bye_call(core->sip, call, "sealed");
    slr_calls_forget(core, call);
}

static void on_sealed(struct slr_core *core, const json_t *ev)
{
    const char *session = slr_json_str(ev, "session");
    if (!session) {
        return;
    }
    end_call(core, session);
    put_recording(core, slr_recording_of_event(ev, core->engine_id));
    SLR_INFO("recording_sealed", "recording=%s state=%s reason=%s", session,
             SLR_Q(slr_json_str(ev, "state")), SLR_Q(slr_json_str(ev, "end_reason")));
}

static void on_failed(struct slr_core *core, const json_t *ev)
{
    const char *session = slr_json_str(ev, "session");
    const char *err = slr_json_str(ev, "err");
    if (!session) {
        return;
    }
    end_call(core, session);
    put_recording(core, slr_recording_of_event(ev, core->engine_id));
    SLR_ERROR("recording_failed", "recording=%s err=%s text=%s", session, SLR_Q(err),
              SLR_Q(slr_json_str(ev, "text")));
}

static void on_deleted(struct slr_core *core, const json_t *ev)
{
    const char *session = slr_json_str(ev, "session");
    if (session) {
        put_recording(core, slr_recording_of_event(ev, core->engine_id));
    }
}

/* Of a recording that was sealed as WAV: its final format was made, or could not be (the WAV is
 * kept and it is tried again). */
static void on_encoded(struct slr_core *core, const json_t *ev, bool done)
{
    const char *session = slr_json_str(ev, "session");
    if (!session) {
        return;
    }
    put_recording(core, slr_recording_of_event(ev, core->engine_id));
    if (done) {
        SLR_INFO("recording_encoded", "recording=%s format=%s", session,
                 SLR_Q(slr_json_str(ev, "format")));
    } else {
        SLR_WARN("recording_not_encoded", "recording=%s err=%s", session,
                 SLR_Q(slr_json_str(ev, "err")));
    }
}

static void on_paused(struct slr_core *core, const json_t *ev, bool paused)
{
    struct slr_call *call = slr_calls_get(core, slr_json_str(ev, "session"));
    if (call && call->paused != paused) {
        call->paused = paused;
        slr_calls_store(core, call);
    }
}

static void on_leg_heard(struct slr_core *core, const json_t *ev)
{
    struct slr_call *call = slr_calls_get(core, slr_json_str(ev, "session"));
    if (call && call->heard.ns == 0) {
        call->heard.ns = slr_json_i64(ev, "wall_ns", slr_core_now(core).ns);
    }
}

static void on_silent(struct slr_core *core, const json_t *ev)
{
    struct slr_call *call = slr_calls_get(core, slr_json_str(ev, "session"));
    if (call && call->state == SLR_CALL_OPEN) {
        SLR_INFO("call_silent", "recording=%s", call->session);
        slr_sip_bye_call(core->sip, call, "silent");
        slr_calls_close(core, call, "silent");
    }
}

void slr_events_put_alarm(struct slr_core *core, const json_t *ev)
{
    const char *session = slr_json_str(ev, "session");
    json_t *alarm = session ? slr_alarm_of_event(ev) : NULL;
    if (alarm) {
        slr_core_stored(core, slr_store_put_alarm(core->store, session, alarm), "alarm");
    }
}

/* An alarm of the engine about a leg; it ends with leg_audible. */
static void on_leg_silent(struct slr_core *core, const json_t *ev, bool silent)
{
    const char *session = slr_json_str(ev, "session"), *leg = slr_json_str(ev, "leg");
    const char *cause = silent ? slr_json_str(ev, "cause") : NULL;
    int64_t since_ms = slr_json_i64(ev, "since_ms", 0);
    struct slr_call *call = slr_calls_get(core, session);
    if (silent) {
        cause = slr_alarm_cause(slr_alarm_cause_index(cause));
        slr_count(&core->counter[SLR_CORE_M_SILENT_NO_PACKETS + slr_alarm_cause_index(cause)], 1);
        SLR_WARN("leg_silent", "recording=%s leg=%s cause=%s since_ms=%lld", SLR_Q(session),
                 SLR_Q(leg), cause, (long long)since_ms);
    } else {
        SLR_INFO("leg_audible", "recording=%s leg=%s silent_ms=%lld", SLR_Q(session), SLR_Q(leg),
                 (long long)slr_json_i64(ev, "silent_ms", 0));
    }
    if (call && slr_call_note_silence(call, leg, cause, since_ms)) {
        slr_calls_store(core, call);
    }
    slr_events_put_alarm(core, ev);
}

static void on_lost(struct slr_core *core, const json_t *ev)
{
    int64_t from = slr_json_i64(ev, "from", 0), to = slr_json_i64(ev, "to", 0);
    slr_count(&core->counter[SLR_CORE_M_EVENTS_LOST], to >= from ? (uint64_t)(to - from) + 1 : 0);
    SLR_WARN("events_lost", "from=%lld to=%lld", (long long)from, (long long)to);
    if (to > core->cursor) {
        core->cursor = to;
    }
    slr_restore_ask_snapshot(core, core->cursor);
}

static void on_eof(struct slr_core *core)
{
    core->eof = true;
    if (core->cfg->import) {
        su_root_break(core->root);
    }
}

static void dispatch(struct slr_core *core, const char *name, const json_t *ev)
{
    if (strcmp(name, "sip") == 0) {
        slr_tracker_take(core->tracker, ev);
    } else if (strcmp(name, "session_open") == 0) {
        on_session_open(core, ev);
    } else if (strcmp(name, "sealed") == 0) {
        on_sealed(core, ev);
    } else if (strcmp(name, "failed") == 0) {
        on_failed(core, ev);
    } else if (strcmp(name, "deleted") == 0) {
        on_deleted(core, ev);
    } else if (strcmp(name, "encoded") == 0 || strcmp(name, "encode_failed") == 0) {
        on_encoded(core, ev, strcmp(name, "encoded") == 0);
    } else if (strcmp(name, "paused") == 0 || strcmp(name, "resumed") == 0) {
        on_paused(core, ev, name[0] == 'p');
    } else if (strcmp(name, "leg_heard") == 0) {
        on_leg_heard(core, ev);
    } else if (strcmp(name, "session_silent") == 0) {
        on_silent(core, ev);
    } else if (strcmp(name, "leg_silent") == 0 || strcmp(name, "leg_audible") == 0) {
        on_leg_silent(core, ev, name[4] == 's');
    } else if (strcmp(name, "lost") == 0) {
        on_lost(core, ev);
    } else if (strcmp(name, "eof_input") == 0) {
        slr_tracker_finish(core->tracker);
    } else if (strcmp(name, "eof") == 0) {
        on_eof(core);
    } else if (strcmp(name, "alarm") == 0) {
        SLR_WARN("engine_alarm", "name=%s text=%s", SLR_Q(slr_json_str(ev, "name")),
                 SLR_Q(slr_json_str(ev, "text")));
    } else {
        SLR_DEBUG("engine_event", "ev=%s session=%s", SLR_Q(name),
                  SLR_Q(slr_json_str(ev, "session")));
    }
}

void slr_events_take(void *ctx, const json_t *event)
{
    struct slr_core *core = ctx;
    const char *name = slr_json_str(event, "ev");
    int64_t n = slr_json_i64(event, "n", 0);
    if (!name || (n != 0 && n <= core->cursor)) {
        return; /* handled before the connection broke */
    }
    int64_t wall_ns = slr_json_i64(event, "wall_ns", 0);
    if (core->capture_clock && wall_ns > 0) {
        if (!core->idgen_seeded) {
            slr_idgen_init_seeded(&core->idgen, (uint64_t)wall_ns);
            core->idgen_seeded = true;
        }
        slr_clock_advance(core->capture_clock, (slr_wall){wall_ns});
    }
    dispatch(core, name, event);
    if (n > core->cursor) {
        core->cursor = n;
    }
}

struct cursor_post {
    struct slr_core *core;
    int64_t n;
};

static void on_cursor_stored(void *ctx, enum slr_err result)
{
    struct cursor_post *c = ctx;
    if (result == SLR_OK) {
        slr_link_ack(c->core->link, c->n);
    }
    free(c);
}

static void store_cursor(struct slr_core *core)
{
    char name[160];
    struct cursor_post *c = malloc(sizeof(*c));
    struct slr_core_post *post = c ? slr_core_post_new(core, on_cursor_stored, c) : NULL;
    if (!post) {
        free(c);
        return; /* the next event tries again */
    }
    *c = (struct cursor_post){.core = core, .n = core->cursor};
    cursor_name(core, name, sizeof name);
    enum slr_err err =
        slr_store_put_value(core->store, name, core->cursor, slr_core_store_done, post);
    if (err != SLR_OK) {
        slr_core_stored(core, err, "cursor");
        free(c);
        free(post);
        return;
    }
    core->cursor_posted = core->cursor;
}

/*
 * On a capture the engine stands still until a `sip` event is acknowledged, so that goes out as
 * soon as the commands that came of it were answered, without waiting for the disk: there is no
 * call to lose, the file can be read again.
 */
void slr_events_ack(struct slr_core *core)
{
    if (core->cursor <= core->cursor_posted) {
        return;
    }
    if (!core->passive || (core->live && core->tracker_pending == 0)) {
        store_cursor(core);
    } else if (core->tracker_pending == 0) {
        core->cursor_posted = core->cursor;
        slr_link_ack(core->link, core->cursor);
    }
}

/* Used before it is on disk: what a crash here leaves behind is an older one, which is refused and
 * raised once more. */
void slr_events_epoch(void *ctx, int64_t epoch)
{
    struct slr_core *core = ctx;
    core->epoch = epoch;
    slr_core_stored(core, slr_store_put_value(core->store, "core_epoch", epoch, NULL, NULL),
                    "value");
}

void slr_events_idle(void *ctx)
{
    struct slr_core *core = ctx;
    slr_events_ack(core);
    slr_restore_reconcile(core);
}

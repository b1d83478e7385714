/*
 * restore: calls and dialogs out of the store at start, and the comparison of what the core knows
 * with what the engine has, after every connect. Signalling thread.
 */
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/log.h"
#include "ctl/calls.h"
#include "ctl/sip.h"
#include "ctl/tracker.h"

struct restored {
    struct slr_core *core;
    struct slr_call **call;
    size_t count, room;
    uint32_t dialogs, bad;
};

static void take_call(void *ctx, const char *key, json_t *record)
{
    struct restored *r = ctx;
    struct slr_call *call = slr_call_from_json(record);
    if (call && r->count == r->room) {
        size_t room = r->room ? r->room * 2 : 256;
        struct slr_call **more = realloc(r->call, room * sizeof(struct slr_call *));
        if (more) {
            r->call = more;
            r->room = room;
        }
    }
    if (!call || r->count == r->room) {
        SLR_WARN("stored_call_unreadable", "key=%s", SLR_Q(key));
        slr_call_free(call);
        r->bad++;
        return;
    }
    r->call[r->count++] = call;
}

static int by_segment(const void *a, const void *b)
{
    const struct slr_call *x = *(struct slr_call *const *)a, *y = *(struct slr_call *const *)b;
    return x->segment < y->segment ? -1 : x->segment > y->segment;
}

static void take_dialog(void *ctx, const char *key, json_t *record)
{
    struct restored *r = ctx;
    struct slr_dialog *d = slr_dialog_from_json(record);
    if (!d || slr_sip_restore(r->core->sip, d) != SLR_OK ||
        slr_table_put(&r->core->dialogs, d->key, d) != SLR_OK) {
        SLR_WARN("stored_dialog_unreadable", "key=%s", SLR_Q(key));
        if (d) {
            slr_sip_forget_origin(r->core->sip, d);
        }
        if (d && d->leg) {
            nta_leg_destroy(d->leg);
        }
        slr_dialog_free(d);
        r->bad++;
        return;
    }
    d->call = slr_calls_get(r->core, d->session);
    if (d->call) {
        d->call->dialogs++;
    }
    r->dialogs++;
}

enum slr_err slr_restore_all(struct slr_core *core)
{
    struct restored r = {.core = core};
    if (!core->sip) {
        return SLR_OK;
    }
    enum slr_err err = slr_store_each_call(core->store, take_call, &r);
    if (r.count > 0) {
        qsort(r.call, r.count, sizeof(struct slr_call *), by_segment);
    }
    for (size_t i = 0; i < r.count; i++) {
        if (slr_calls_adopt(core, r.call[i]) != SLR_OK) {
            slr_call_free(r.call[i]);
            r.bad++;
        }
    }
    free(r.call);
    if (err == SLR_OK) {
        err = slr_store_each_dialog(core->store, take_dialog, &r);
    }
    SLR_INFO("restored", "calls=%zu dialogs=%u unreadable=%u", r.count, r.dialogs, r.bad);
    return err;
}

static void mark(void *ctx, void *value)
{
    struct slr_call *call = value;
    (void)ctx;
    call->check = call->state != SLR_CALL_OPENING;
}

static void on_snapshot(void *ctx, enum slr_err result, const json_t *answer)
{
    struct slr_core *core = ctx;
    if (result != SLR_OK) {
        SLR_WARN("snapshot_failed", "err=%s", slr_err_name(result));
        return;
    }
    json_decref(core->snapshot);
    core->snapshot = json_deep_copy(answer);
    slr_restore_reconcile(core);
}

void slr_restore_ask_snapshot(struct slr_core *core, int64_t last)
{
    slr_table_each(&core->sessions, mark, NULL);
    core->reconcile_at = last;
    enum slr_err err = slr_link_send(core->link, json_pack("{s:s}", "cmd", "snapshot"),
                                     SLR_LINK_ONCE, 10000, on_snapshot, core);
    if (err != SLR_OK) {
        SLR_WARN("snapshot_failed", "err=%s", slr_err_name(err));
    }
}

/* After a restart it is not known when a call was first heard: long ago, then. */
static void note_heard(struct slr_call *call, const json_t *legs)
{
    size_t i;
    json_t *leg;
    json_array_foreach(legs, i, leg)
    {
        if (call->heard.ns == 0 && slr_json_bool(leg, "heard", false)) {
            call->heard = call->start;
        }
    }
}

/* Alarms that began or ended in events that were lost; where they began is not known then. */
static bool note_silence(struct slr_call *call, const json_t *legs)
{
    bool changed = false;
    size_t i;
    json_t *leg;
    json_array_foreach(legs, i, leg)
    {
        const char *cause = slr_json_str(leg, "silent_cause");
        bool on = cause && strcmp(cause, "none") != 0;
        changed |=
            cause && slr_call_note_silence(call, slr_json_str(leg, "leg"), on ? cause : NULL, 0);
    }
    return changed;
}

/* A session of the engine: known, or nobody's. */
static void compare_session(struct slr_core *core, const json_t *one)
{
    const char *session = slr_json_str(one, "session");
    const char *state = slr_json_str(one, "state");
    struct slr_call *call = slr_calls_get(core, session);
    bool open = state && strcmp(state, "open") == 0;
    if (!session || slr_json_bool(one, "auto", false) || slr_tracker_has(core->tracker, session)) {
        return;
    }
    if (!call) {
        if (!open) {
            return;
        }
        slr_core_count(core, SLR_CORE_M_ORPHANS);
        SLR_WARN("orphan_closed", "recording=%s", session);
        enum slr_err err = slr_link_send(core->link,
                                         json_pack("{s:s, s:s, s:s}", "cmd", "session_close",
                                                   "session", session, "reason", "orphan"),
                                         SLR_LINK_KEEP, 0, NULL, NULL);
        if (err != SLR_OK) {
            SLR_ERROR("command_lost", "cmd=session_close err=%s", slr_err_name(err));
        }
        return;
    }
    call->check = false;
    note_heard(call, json_object_get(one, "legs"));
    if (call->state == SLR_CALL_SEALING && open) {
        slr_calls_close_again(core, call);
    }
    bool paused = slr_json_bool(one, "paused", call->paused);
    bool changed = paused != call->paused;
    call->paused = paused;
    changed |= note_silence(call, json_object_get(one, "legs"));
    if (changed) {
        slr_calls_store(core, call);
    }
}

/* The engine no longer has this call's session, and no event told of its end. */
static void lose(void *ctx, void *value)
{
    struct slr_core *core = ctx;
    struct slr_call *call = value;
    if (!call->check) {
        return;
    }
    slr_core_count(core, SLR_CORE_M_LOST_CALLS);
    SLR_ERROR("call_lost", "recording=%s call=%s", call->session, SLR_Q(call->id));
    call->state = SLR_CALL_SEALING; /* nothing is to be closed in the engine */
    slr_sip_bye_call(core->sip, call, "lost");
    slr_calls_lost(core, call, "engine_lost");
}

/* A call whose dialogs were all gone before a restart could say so. */
static void close_deserted(void *ctx, void *value)
{
    struct slr_core *core = ctx;
    struct slr_call *call = value;
    if (call->state == SLR_CALL_OPEN && call->dialogs == 0) {
        slr_calls_close(core, call, "orphan");
    }
}

/* A dialog that belongs to no call any more. */
static void end_stray(void *ctx, void *value)
{
    struct slr_core *core = ctx;
    struct slr_dialog *d = value;
    if (!d->call && !d->invite) {
        slr_sip_bye(core->sip, d, "no_call");
    }
}

void slr_restore_reconcile(struct slr_core *core)
{
    json_t *snapshot = core->snapshot, *one;
    size_t i;
    if (!snapshot || core->cursor < core->reconcile_at) {
        return;
    }
    core->snapshot = NULL;
    json_array_foreach(json_object_get(snapshot, "sessions"), i, one)
    {
        compare_session(core, one);
    }
    SLR_INFO("reconciled", "engine_sessions=%zu calls=%zu dialogs=%zu", i, core->sessions.count,
             core->dialogs.count);
    json_decref(snapshot);
    slr_table_each(&core->sessions, lose, core);
    slr_table_each(&core->sessions, close_deserted, core);
    slr_table_each(&core->dialogs, end_stray, core);
}

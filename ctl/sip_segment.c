/*
 * sip_segment: a new dialog whose party came too late for the recording it was to join (the file
 * has its shape): it moves to a recording of its own in the same conversation. Signalling thread;
 * allocates the call.
 */
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "ctl/sip_int.h"

static uint8_t count_lines(const struct slr_invite *inv)
{
    uint8_t n = 0;
    for (uint8_t i = 0; i < inv->offer->media_count; i++) {
        n = (uint8_t)(n + (slr_sdp_media_usable(&inv->offer->media[i]) ? 1 : 0));
    }
    return n;
}

static struct slr_call *new_segment(struct slr_core *core, const struct slr_call *old,
                                    uint8_t lines)
{
    struct slr_call *call = slr_calls_new(core, old->key);
    json_t *meta = call ? json_deep_copy(old->meta) : NULL;
    if (!meta) {
        if (call) {
            slr_calls_forget(core, call);
        }
        return NULL;
    }
    json_decref(call->meta);
    call->meta = meta;
    call->channels = lines > 2 ? lines : 2;
    memcpy(call->id, old->id, sizeof call->id);
    memcpy(call->record_dn, old->record_dn, sizeof call->record_dn);
    return call;
}

/* One line's leg out of the old recording and into the new one. */
static enum slr_err move_line(struct slr_invite *inv, struct slr_call *old, uint8_t i)
{
    char dn[SLR_RECURI_DN_SIZE] = "";
    struct slr_dialog *d = inv->dialog;
    struct slr_core *core = inv->sip->core;
    struct slr_dialog_line *line = &d->line[i];
    struct slr_call_leg *leg = slr_call_leg_by_id(old, line->leg);
    bool recorded = leg && leg->channel == 0;
    if (leg) { /* of several lines one may have found a place there */
        memcpy(dn, leg->dn, sizeof dn);
        slr_calls_close_leg(core, old, leg, "moved");
        slr_call_remove_leg(old, line->leg);
    }
    enum slr_call_wish wish =
        recorded ? SLR_CALL_RECORDED : slr_call_wish_of(NULL, d->call->record_dn, dn);
    line->taken = line->local.taken = false;
    uint8_t channel = slr_call_place(d->call, wish, slr_core_now(core));
    leg = slr_call_add_leg(d->call, dn, channel);
    if (!leg) {
        return SLR_FULL;
    }
    (void)snprintf(line->leg, sizeof line->leg, "%s", leg->id);
    return slr_calls_open_leg(core, d->call, leg, &inv->offer->media[i], slr_invite_leg_opened,
                              &inv->wait[i]);
}

/* The dialog leaves the old recording, which goes on without it. */
static void leave_old(struct slr_core *core, struct slr_call *old)
{
    if (old->dialogs > 0) {
        old->dialogs--;
    }
    if (old->dialogs == 0) {
        slr_calls_close(core, old, "bye");
    } else if (old->stored) {
        slr_calls_store(core, old);
    }
}

bool slr_invite_move(struct slr_invite *inv)
{
    struct slr_dialog *d = inv->dialog;
    struct slr_core *core = inv->sip->core;
    struct slr_call *old = d->call;
    uint8_t lines = count_lines(inv);
    struct slr_call *call = old ? new_segment(core, old, lines) : NULL;
    if (!call) {
        return false;
    }
    SLR_INFO("late_party", "call=%s from=%s to=%s", SLR_Q(call->id), old->session, call->session);
    d->call = call;
    call->dialogs++;
    memcpy(d->session, call->session, sizeof d->session);
    inv->fresh = true;
    inv->failed = SLR_OK;
    inv->pending++; /* ours, until all is sent */
    enum slr_err err = slr_calls_open_session(core, call, lines, slr_invite_session_opened, inv);
    inv->pending += err == SLR_OK ? 1U : 0U;
    for (uint8_t i = 0; i < inv->offer->media_count && err == SLR_OK; i++) {
        if (slr_sdp_media_usable(&inv->offer->media[i])) {
            err = move_line(inv, old, i);
            inv->pending += err == SLR_OK ? 1U : 0U;
        }
    }
    if (err != SLR_OK) {
        inv->failed = err;
    }
    leave_old(core, old);
    slr_invite_step(inv);
    return true;
}

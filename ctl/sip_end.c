/*
 * sip_end: how dialogs end, by the peer or by us, deadlines of INVITEs and session timers, and
 * dialogs in the store. Signalling thread; ended dialogs are freed on the tick, never inside a
 * callback of theirs.
 */
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "ctl/sip_int.h"

void slr_sip_store_dialog(struct slr_sip *sip, struct slr_dialog *d)
{
    if (!d->stored || d->ended) {
        return;
    }
    d->local_seq = nta_leg_get_seq(d->leg);
    d->remote_seq = nta_leg_get_rseq(d->leg);
    json_t *record = slr_dialog_to_json(d);
    slr_core_stored(
        sip->core,
        record ? slr_store_put_dialog(sip->core->store, d->key, d->session, record, NULL, NULL)
               : SLR_NOMEM,
        "dialog");
}

void slr_sip_leave(struct slr_sip *sip, struct slr_dialog *d, const char *reason)
{
    struct slr_call *call = d->call;
    if (!call) {
        return;
    }
    d->call = NULL;
    for (uint8_t i = 0; i < d->line_count; i++) {
        struct slr_call_leg *leg = slr_call_leg_by_id(call, d->line[i].leg);
        if (leg) {
            slr_calls_close_leg(sip->core, call, leg, reason);
        }
    }
    if (call->dialogs > 0) {
        call->dialogs--;
    }
    if (call->dialogs == 0) {
        slr_calls_close(sip->core, call, reason);
    } else if (call->stored) {
        slr_calls_store(sip->core, call);
    }
}

void slr_sip_drop_dialog(struct slr_sip *sip, struct slr_dialog *d)
{
    if (d->ended) {
        return;
    }
    d->ended = true;
    (void)slr_table_take(&sip->core->dialogs, d->key);
    slr_sip_forget_origin(sip, d);
    if (d->stored) {
        slr_core_stored(sip->core, slr_store_delete_dialog(sip->core->store, d->key, NULL, NULL),
                        "delete_dialog");
    }
    d->next_reap = sip->reap;
    sip->reap = d;
}

static int on_bye_answer(void *dialog, nta_outgoing_t *orq, const sip_t *msg)
{
    struct slr_dialog *d = dialog;
    if (msg && msg->sip_status && msg->sip_status->st_status < 200) {
        return 0;
    }
    if (d->bye == orq) {
        d->bye = NULL;
    }
    nta_outgoing_destroy(orq);
    return 0;
}

void slr_sip_bye(struct slr_sip *sip, struct slr_dialog *d, const char *reason)
{
    if (d->ended) {
        return;
    }
    struct slr_invite *inv = d->invite;
    if (inv && inv->initial) {
        slr_invite_abandon(inv, 503);
        return;
    }
    if (inv) {
        slr_invite_abandon(inv, 487);
    }
    slr_core_count(sip->core, SLR_CORE_M_BYES_OUT);
    d->bye = nta_outgoing_tcreate(d->leg, on_bye_answer, d, NULL, SIP_METHOD_BYE, NULL,
                                  SIPTAG_USER_AGENT_STR(SLR_SIP_SERVER), TAG_END());
    SLR_INFO("bye_sent", "recording=%s dialog=%s reason=%s sent=%d", d->session, SLR_Q(d->call_id),
             reason, d->bye != NULL);
    slr_sip_leave(sip, d, reason);
    slr_sip_drop_dialog(sip, d);
}

struct bye_all {
    struct slr_sip *sip;
    const struct slr_call *call;
    const char *reason;
};

static void bye_one(void *ctx, void *value)
{
    const struct bye_all *all = ctx;
    struct slr_dialog *d = value;
    if (d->call == all->call) {
        slr_sip_bye(all->sip, d, all->reason);
    }
}

void slr_sip_bye_call(struct slr_sip *sip, struct slr_call *call, const char *reason)
{
    struct bye_all all = {.sip = sip, .call = call, .reason = reason};
    if (sip && call->dialogs > 0) {
        slr_table_each(&sip->core->dialogs, bye_one, &all);
    }
}

static void free_dialog(struct slr_dialog *d)
{
    if (d->unacked) {
        nta_incoming_bind(d->unacked, NULL, NULL);
        nta_incoming_destroy(d->unacked);
    }
    if (d->bye) {
        nta_outgoing_destroy(d->bye);
    }
    if (d->leg) {
        nta_leg_destroy(d->leg);
    }
    slr_dialog_free(d);
}

static void reap(struct slr_sip *sip)
{
    struct slr_dialog **at = &sip->reap;
    while (*at) {
        struct slr_dialog *d = *at;
        if (d->bye || d->invite) {
            at = &d->next_reap;
            continue;
        }
        *at = d->next_reap;
        free_dialog(d);
    }
}

static void check_deadlines(struct slr_sip *sip, int64_t now_ns)
{
    struct slr_invite *next;
    for (struct slr_invite *inv = sip->invites; inv; inv = next) {
        next = inv->next;
        if (inv->over || now_ns < inv->deadline_ns) {
            continue;
        }
        if (!inv->initial) {
            slr_invite_answer(inv); /* with the lines that are there */
        } else if (inv->storing) {
            slr_invite_fail(inv, SLR_CORE_M_REFUSED_STORE, 503, "store_timeout");
        } else {
            slr_invite_fail(inv, SLR_CORE_M_REFUSED_ENGINE, 503, "engine_timeout");
        }
    }
}

static void expire_one(void *ctx, void *value)
{
    struct slr_sip *sip = ctx;
    struct slr_dialog *d = value;
    if (d->expires_s == 0 || d->ended || slr_core_now(sip->core).ns < d->expires_wall_ns) {
        return;
    }
    slr_core_count(sip->core, SLR_CORE_M_TIMER_ENDED);
    SLR_WARN("session_timer_expired", "recording=%s dialog=%s", d->session, SLR_Q(d->call_id));
    slr_sip_bye(sip, d, "timer");
}

void slr_sip_on_tick(struct slr_sip *sip)
{
    int64_t now_ns = slr_clock_mono(slr_clock_real()).ns;
    check_deadlines(sip, now_ns);
    if (now_ns >= sip->next_expiry_scan_ns) {
        sip->next_expiry_scan_ns = now_ns + SLR_NS_PER_S;
        slr_table_each(&sip->core->dialogs, expire_one, sip);
    }
    reap(sip);
}

void slr_sip_quiesce(struct slr_sip *sip)
{
    struct slr_invite *next;
    for (struct slr_invite *inv = sip ? sip->invites : NULL; inv; inv = next) {
        next = inv->next;
        if (!inv->over) {
            struct slr_dialog *d = inv->dialog;
            bool stored = inv->initial && d->stored;
            nta_incoming_bind(inv->irq, NULL, NULL);
            nta_incoming_destroy(inv->irq);
            slr_invite_finish(inv);
            if (stored) {
                slr_core_stored(sip->core,
                                slr_store_delete_dialog(sip->core->store, d->key, NULL, NULL),
                                "delete_dialog");
            }
        }
    }
}

static void free_value(void *value)
{
    free_dialog(value);
}

void slr_sip_free_all(struct slr_sip *sip)
{
    while (sip->reap) {
        struct slr_dialog *d = sip->reap;
        sip->reap = d->next_reap;
        free_dialog(d);
    }
    slr_table_fini(&sip->core->dialogs, free_value);
}

/*
 * sip_dialog: requests inside a dialog: re-INVITE and UPDATE (hold, resume, new address, added and
 * removed lines, new metadata), INFO, OPTIONS, BYE, ACK and CANCEL. None of them waits for the
 * store. Signalling thread.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "ctl/sip_int.h"

int slr_sip_read_timer(struct slr_invite *inv, const sip_t *msg)
{
    const sip_session_expires_t *x = msg->sip_session_expires;
    char min_se[16];
    if (!x || (x->x_refresher && strcasecmp(x->x_refresher, "uac") != 0)) {
        return 0; /* none asked for, or we would have to refresh: no timer then */
    }
    if (x->x_delta < SLR_SIP_MIN_SE_S) {
        (void)snprintf(min_se, sizeof min_se, "%d", SLR_SIP_MIN_SE_S);
        slr_core_count(inv->sip->core, SLR_CORE_M_REFUSED_EXTENSION);
        nta_incoming_treply(inv->irq, 422, "Session Interval Too Small", SLR_SIP_COMMON,
                            SIPTAG_MIN_SE_STR(min_se), TAG_END());
        slr_invite_abandon(inv, 0);
        return 422;
    }
    inv->expires_s = x->x_delta > 86400 ? 86400U : (uint32_t)x->x_delta;
    inv->timer_required =
        sip_has_feature(msg->sip_supported, "timer") || sip_has_feature(msg->sip_require, "timer");
    inv->dialog->expires_s = inv->expires_s;
    inv->dialog->expires_wall_ns =
        slr_core_now(inv->sip->core).ns + (int64_t)inv->expires_s * SLR_NS_PER_S;
    return 0;
}

/* New metadata of a SIPREC session: kept verbatim, and parsed into the call's. */
static void take_metadata(struct slr_sip *sip, struct slr_dialog *d, struct slr_slice xml)
{
    struct slr_core *core = sip->core;
    struct slr_siprec *meta = calloc(1, sizeof(*meta));
    slr_core_stored(core,
                    slr_store_put_document(core->store, d->session, "rs-metadata",
                                           slr_core_now(core), xml.at, xml.len_bytes),
                    "document");
    if (!meta || slr_siprec_read(xml, meta) != SLR_OK) {
        slr_core_count(core, SLR_CORE_M_METADATA_BAD);
        SLR_WARN("metadata_unreadable", "recording=%s", d->session);
    } else if (d->call) {
        /* a partial update speaks of what changed: kept beside the last complete one */
        const char *name = meta->partial ? "siprec_partial" : "siprec";
        json_object_set_new(d->call->meta, name, slr_siprec_to_json(meta));
        slr_calls_send_meta(core, d->call);
        slr_calls_store(core, d->call);
    }
    free(meta);
}

static void close_line(struct slr_sip *sip, struct slr_dialog *d, struct slr_dialog_line *line)
{
    struct slr_call_leg *leg = d->call ? slr_call_leg_by_id(d->call, line->leg) : NULL;
    if (leg) {
        slr_calls_close_leg(sip->core, d->call, leg, "removed");
    }
    line->taken = line->local.taken = false;
}

static void open_line(struct slr_invite *inv, uint8_t i, const struct slr_sdp_media *m)
{
    struct slr_dialog *d = inv->dialog;
    struct slr_call_leg *old = slr_call_leg_by_id(d->call, d->line[i].leg);
    /* a line that comes back keeps its party and channel */
    const char *dn = old ? old->dn : "";
    uint8_t channel =
        old ? old->channel : slr_call_place(d->call, SLR_CALL_ANY, slr_core_now(inv->sip->core));
    struct slr_call_leg *leg = slr_call_add_leg(d->call, dn, channel);
    if (!leg) {
        SLR_WARN("line_refused", "recording=%s line=%u why=legs", d->session, i);
        return;
    }
    (void)snprintf(d->line[i].leg, sizeof d->line[i].leg, "%s", leg->id);
    if (slr_calls_open_leg(inv->sip->core, d->call, leg, m, slr_invite_leg_opened, &inv->wait[i]) ==
        SLR_OK) {
        inv->pending++;
    }
}

/* Brings the legs in line with the new offer. */
static void apply_offer(struct slr_invite *inv)
{
    struct slr_dialog *d = inv->dialog;
    for (uint8_t i = 0; i < inv->offer->media_count; i++) {
        const struct slr_sdp_media *m = &inv->offer->media[i];
        struct slr_dialog_line *line = &d->line[i];
        if (i >= d->line_count) {
            *line = (struct slr_dialog_line){.taken = false};
            d->line_count = (uint8_t)(i + 1);
        }
        if (!slr_sdp_media_usable(m)) {
            close_line(inv->sip, d, line);
        } else if (line->taken) {
            struct slr_call_leg *leg = slr_call_leg_by_id(d->call, line->leg);
            if (leg) {
                slr_calls_update_leg(inv->sip->core, d->call, leg, m);
            }
        } else {
            open_line(inv, i, m);
        }
    }
}

/* 0, or the status of an offer that cannot be taken (the session stays as it was). */
static int check_offer(const struct slr_dialog *d, const struct slr_sdp *offer, enum slr_err err)
{
    uint32_t usable = 0, active = 0;
    if (!offer) {
        return err == SLR_FULL || err == SLR_TOOLONG ? 488 : 400;
    }
    if (offer->media_count < d->line_count) {
        return 488; /* lines are never taken away (RFC 3264 section 8) */
    }
    for (uint8_t i = 0; i < offer->media_count; i++) {
        usable += slr_sdp_media_usable(&offer->media[i]) ? 1 : 0;
        active += offer->media[i].port != 0 ? 1 : 0;
    }
    return usable == 0 && active > 0 ? 488 : 0;
}

static int renegotiate(struct slr_sip *sip, struct slr_dialog *d, nta_incoming_t *irq,
                       const sip_t *msg, struct slr_sdp *offer, bool update)
{
    struct slr_invite *inv = slr_invite_new(sip, d, irq);
    if (!inv) {
        slr_sdp_free(offer);
        return slr_sip_refuse(sip, irq, SLR_CORE_M_REFUSED_INTERNAL, 500, "memory");
    }
    inv->offer = offer;
    inv->update = update;
    if (!update) {
        nta_incoming_bind(irq, slr_sip_on_ack, d);
    }
    if (slr_sip_read_timer(inv, msg) != 0) {
        return 0;
    }
    slr_sip_refresh_target(d, msg);
    inv->pending++;
    if (offer) {
        apply_offer(inv);
    }
    slr_invite_step(inv);
    return 0;
}

/* re-INVITE without a description: our last one is the offer, its answer comes in the ACK. */
static int reoffer(struct slr_sip *sip, struct slr_dialog *d, nta_incoming_t *irq, const sip_t *msg)
{
    nta_incoming_bind(irq, slr_sip_on_ack, d);
    slr_sip_refresh_target(d, msg);
    slr_sip_reply_ok(sip, irq, d, 0, false, true);
    d->unacked = irq;
    d->offered = true;
    slr_sip_store_dialog(sip, d);
    return 0;
}

static int on_renew(struct slr_sip *sip, struct slr_dialog *d, nta_incoming_t *irq,
                    const sip_t *msg, bool update)
{
    struct slr_sip_body body;
    struct slr_sdp *offer = NULL;
    enum slr_err err = SLR_OK;
    slr_core_count(sip->core, SLR_CORE_M_REINVITES);
    int status = slr_sip_admit_session(sip, irq, msg);
    if (status != 0) {
        return status;
    }
    if (d->invite || (d->unacked && !update)) {
        slr_core_count(sip->core, SLR_CORE_M_REFUSED_LIMIT);
        nta_incoming_treply(irq, SIP_500_INTERNAL_SERVER_ERROR, SLR_SIP_COMMON,
                            SIPTAG_RETRY_AFTER_STR("1"), TAG_END());
        return 500;
    }
    slr_sip_read_body(sip, msg, &body);
    if (body.refuse) {
        return slr_sip_refuse(sip, irq, SLR_CORE_M_REFUSED_CONTENT, body.refuse, body.why);
    }
    if (body.sdp.len_bytes > 0) {
        offer = slr_sip_read_sdp(sip, body.sdp, &err);
        status = check_offer(d, offer, err);
        if (status != 0) {
            slr_sdp_free(offer);
            return slr_sip_refuse(sip, irq, SLR_CORE_M_REFUSED_MEDIA, status, "offer");
        }
    }
    if (body.metadata.len_bytes > 0) {
        take_metadata(sip, d, body.metadata);
    }
    if (!offer && !update && d->answer[0] && body.metadata.len_bytes == 0) {
        return reoffer(sip, d, irq, msg);
    }
    return renegotiate(sip, d, irq, msg, offer, update);
}

static int on_info(struct slr_sip *sip, struct slr_dialog *d, nta_incoming_t *irq, const sip_t *msg)
{
    struct slr_sip_body body;
    for (const sip_unknown_t *h = msg->sip_unknown; h; h = h->un_next) {
        if (h->un_name && strcasecmp(h->un_name, "Info-Package") == 0) {
            return slr_sip_refuse(sip, irq, SLR_CORE_M_REFUSED_EXTENSION, 469, "info_package");
        }
    }
    slr_sip_read_body(sip, msg, &body);
    if (!body.refuse && body.metadata.len_bytes > 0) {
        take_metadata(sip, d, body.metadata);
    }
    nta_incoming_treply(irq, SIP_200_OK, SLR_SIP_COMMON, TAG_END());
    slr_sip_store_dialog(sip, d);
    return 200;
}

static int on_bye(struct slr_sip *sip, struct slr_dialog *d, nta_incoming_t *irq)
{
    slr_core_count(sip->core, SLR_CORE_M_BYES_IN);
    nta_incoming_treply(irq, SIP_200_OK, SLR_SIP_COMMON, TAG_END());
    struct slr_invite *inv = d->invite;
    bool initial = inv && inv->initial;
    if (inv) {
        slr_invite_abandon(inv, 487); /* leaves and drops the dialog when it was the first */
    }
    if (!initial) {
        slr_sip_leave(sip, d, "bye");
        slr_sip_drop_dialog(sip, d);
    }
    return 200;
}

int slr_sip_on_dialog(void *dialog, nta_leg_t *leg, nta_incoming_t *irq, const sip_t *msg)
{
    struct slr_dialog *d = dialog;
    struct slr_sip *sip = d->sip;
    sip_method_t method = msg->sip_request->rq_method;
    (void)leg;
    if (method == sip_method_ack) {
        nta_incoming_destroy(irq);
        return 0;
    }
    int status = slr_sip_admit(sip, irq, msg);
    if (status != 0) {
        return status;
    }
    if (d->ended) {
        return slr_sip_refuse(sip, irq, SLR_CORE_M_REFUSED_UNKNOWN, 481, "ended");
    }
    if (method == sip_method_bye) {
        return on_bye(sip, d, irq);
    }
    if (method == sip_method_invite || method == sip_method_update) {
        return on_renew(sip, d, irq, msg, method == sip_method_update);
    }
    if (method == sip_method_info) {
        return on_info(sip, d, irq, msg);
    }
    if (method == sip_method_options) {
        nta_incoming_treply(irq, SIP_200_OK, SLR_SIP_COMMON, SIPTAG_ACCEPT_STR(SLR_SIP_ACCEPT),
                            SIPTAG_SUPPORTED_STR(SLR_SIP_SUPPORTED), TAG_END());
        return 200;
    }
    return slr_sip_refuse(sip, irq, SLR_CORE_M_REFUSED_METHOD,
                          method == sip_method_cancel ? 481 : 405, "method");
}

/* The answer to our offer comes in the ACK; without a usable one there is nothing to record. */
static void take_late_answer(struct slr_sip *sip, struct slr_dialog *d, const sip_t *ack)
{
    struct slr_sip_body body;
    enum slr_err err = SLR_OK;
    slr_sip_read_body(sip, ack, &body);
    struct slr_sdp *answer = body.sdp.len_bytes > 0 ? slr_sip_read_sdp(sip, body.sdp, &err) : NULL;
    struct slr_call_leg *leg = d->call ? slr_call_leg_by_id(d->call, d->line[0].leg) : NULL;
    if (!answer || !leg || !slr_sdp_media_usable(&answer->media[0])) {
        slr_core_count(sip->core, SLR_CORE_M_REFUSED_MEDIA);
        SLR_WARN("late_answer_unusable", "recording=%s", d->session);
        slr_sip_bye(sip, d, "no_answer");
    } else {
        for (uint8_t i = 0; i < answer->media_count && i < d->line_count; i++) {
            struct slr_call_leg *one = slr_call_leg_by_id(d->call, d->line[i].leg);
            if (one && d->line[i].taken) {
                slr_calls_update_leg(sip->core, d->call, one, &answer->media[i]);
            }
        }
    }
    slr_sdp_free(answer);
}

int slr_sip_on_ack(void *dialog, nta_incoming_t *irq, const sip_t *msg)
{
    struct slr_dialog *d = dialog;
    struct slr_sip *sip = d->sip;
    if (msg && msg->sip_request && msg->sip_request->rq_method == sip_method_cancel) {
        if (d->invite && d->invite->irq == irq) {
            slr_core_count(sip->core, SLR_CORE_M_CANCELLED);
            slr_invite_abandon(d->invite, 487);
        }
        return 0;
    }
    if (d->unacked != irq) {
        return 0; /* of a failure answer: the stack's business */
    }
    d->unacked = NULL;
    nta_incoming_bind(irq, NULL, NULL);
    if (!msg) {
        slr_core_count(sip->core, SLR_CORE_M_NO_ACK);
        SLR_WARN("no_ack", "recording=%s dialog=%s", d->session, SLR_Q(d->call_id));
        if (!d->ended) {
            slr_sip_bye(sip, d, "no_ack");
        }
    } else if (d->offered && !d->ended) {
        take_late_answer(sip, d, msg);
    }
    d->offered = false;
    nta_incoming_destroy(irq);
    return 0;
}

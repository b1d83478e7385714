/*
 * sip_answer: from "the engine has opened the legs" to the final answer of an INVITE: session
 * description, store, 2xx; and how a failed or cancelled INVITE is undone. Signalling thread.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "ctl/sip_int.h"

void slr_invite_finish(struct slr_invite *inv)
{
    if (inv->dialog && inv->dialog->invite == inv) {
        inv->dialog->invite = NULL;
    }
    inv->dialog = NULL;
    inv->irq = NULL;
    inv->over = true;
    inv->pending++; /* release takes it off again, and frees when nothing else points here */
    (void)slr_invite_release(inv);
}

/* Address for o= and session-level c=: the first line's, else the wildcard. */
static void session_of(const struct slr_dialog *d, uint64_t version, struct slr_sdp_session *out)
{
    *out = (struct slr_sdp_session){.id = d->sdp_id, .version = version, .family = 4};
    (void)snprintf(out->ip, sizeof out->ip, "0.0.0.0");
    for (uint8_t i = 0; i < d->line_count; i++) {
        if (d->line[i].taken) {
            out->family = d->line[i].local.family;
            memcpy(out->ip, d->line[i].local.ip, sizeof out->ip);
            return;
        }
    }
}

static enum slr_err write_sdp(struct slr_invite *inv, uint64_t version, char *text,
                              size_t size_bytes)
{
    const struct slr_dialog *d = inv->dialog;
    struct slr_sdp_session session;
    struct slr_sdp_local local[SLR_SDP_MEDIA_MAX] = {{.taken = false}};
    struct slr_put put = slr_put_of(text, size_bytes);
    session_of(d, version, &session);
    for (uint8_t i = 0; i < d->line_count; i++) {
        local[i] = d->line[i].local;
        local[i].taken = d->line[i].taken;
    }
    enum slr_err err = inv->delayed
                           ? slr_sdp_write_offer(&local[0], &session, &inv->sip->core->limit, &put)
                           : slr_sdp_write_answer(inv->offer, local, &session, &put);
    slr_put_u8(&put, 0);
    return put.overflow ? SLR_TOOLONG : err;
}

/* Our keys: one for each secure line, kept while its suite stays. */
static enum slr_err make_keys(struct slr_invite *inv)
{
    struct slr_dialog *d = inv->dialog;
    for (uint8_t i = 0; i < d->line_count; i++) {
        const struct slr_sdp_crypto *c = !inv->delayed && i < inv->offer->media_count
                                             ? slr_sdp_media_crypto(&inv->offer->media[i])
                                             : NULL;
        struct slr_srtp_key *own = &d->line[i].local.own;
        enum slr_srtp_suite want = c ? (enum slr_srtp_suite)c->key[0].suite : SLR_SRTP_NONE;
        if (own->suite == want) {
            continue;
        }
        explicit_bzero(own, sizeof *own);
        if (want != SLR_SRTP_NONE && !slr_sdp_crypto_make(want, own)) {
            return SLR_IO;
        }
    }
    return SLR_OK;
}

enum slr_err slr_invite_make_sdp(struct slr_invite *inv)
{
    struct slr_dialog *d = inv->dialog;
    char *text = malloc(SLR_SDP_MAX_BYTES);
    if (!text) {
        return SLR_NOMEM;
    }
    enum slr_err err = make_keys(inv);
    if (err == SLR_OK) {
        err = write_sdp(inv, d->sdp_version, text, SLR_SDP_MAX_BYTES);
    }
    if (err == SLR_OK && strcmp(text, d->answer) != 0) {
        d->sdp_version++;
        err = write_sdp(inv, d->sdp_version, text, SLR_SDP_MAX_BYTES);
        if (err == SLR_OK) {
            err = slr_dialog_set(&d->answer, text);
        }
    }
    explicit_bzero(text, SLR_SDP_MAX_BYTES); /* our keys */
    free(text);
    return err;
}

void slr_sip_reply_ok(struct slr_sip *sip, nta_incoming_t *irq, const struct slr_dialog *d,
                      uint32_t expires_s, bool timer_required, bool body)
{
    char expires[48] = "";
    if (expires_s) {
        (void)snprintf(expires, sizeof expires, "%u;refresher=uac", expires_s);
    }
    msg_t *msg = nta_msg_create(sip->agent, 0);
    if (!msg || (body && slr_sip_put_body(msg, d->answer) != SLR_OK) ||
        nta_incoming_complete_response(
            irq, msg, SIP_200_OK, SIPTAG_CONTACT_STR(d->contact), SLR_SIP_COMMON,
            SIPTAG_SUPPORTED_STR(SLR_SIP_SUPPORTED), SIPTAG_ACCEPT_STR(SLR_SIP_ACCEPT),
            TAG_IF(expires[0], SIPTAG_SESSION_EXPIRES_STR(expires)),
            TAG_IF(timer_required, SIPTAG_REQUIRE_STR("timer")),
            TAG_IF(body, SIPTAG_CONTENT_TYPE_STR("application/sdp")), TAG_END()) < 0) {
        msg_destroy(msg);
        nta_incoming_treply(irq, SIP_500_INTERNAL_SERVER_ERROR, SLR_SIP_COMMON, TAG_END());
        return;
    }
    (void)nta_incoming_mreply(irq, msg);
}

static void send_ok(struct slr_invite *inv)
{
    struct slr_dialog *d = inv->dialog;
    slr_sip_reply_ok(inv->sip, inv->irq, d, inv->expires_s, inv->timer_required,
                     inv->offer != NULL);
    if (inv->update) {
        nta_incoming_destroy(inv->irq);
    } else {
        d->unacked = inv->irq;
        d->offered = inv->delayed;
    }
}

bool slr_sip_repeat(struct slr_sip *sip, nta_incoming_t *irq, const sip_t *msg, int *status)
{
    char origin[SLR_DIALOG_KEY_SIZE];
    const char *from_tag = msg->sip_from->a_tag;
    if (msg->sip_request->rq_method != sip_method_invite || msg->sip_to->a_tag || !from_tag ||
        slr_dialog_origin(msg->sip_call_id->i_id, from_tag, origin) != SLR_OK) {
        return false;
    }
    struct slr_dialog *d = slr_table_get(&sip->core->origins, origin);
    uint32_t seq = d ? nta_leg_get_rseq(d->leg) : 0;
    if (!d || d->ended || msg->sip_cseq->cs_seq > seq) {
        return false;
    }
    if (msg->sip_cseq->cs_seq < seq || d->unacked || d->invite || !d->answer[0]) {
        *status = slr_sip_refuse(sip, irq, SLR_CORE_M_REFUSED_UNKNOWN, 482, "merged");
        return true;
    }
    SLR_INFO("answer_repeated", "recording=%s dialog=%s", d->session, SLR_Q(d->call_id));
    nta_incoming_bind(irq, slr_sip_on_ack, d);
    nta_incoming_tag(irq, d->local_tag);
    bool timer = d->expires_s && (sip_has_feature(msg->sip_supported, "timer") ||
                                  sip_has_feature(msg->sip_require, "timer"));
    slr_sip_reply_ok(sip, irq, d, d->expires_s, timer, true);
    d->unacked = irq;
    struct slr_sip_body body;
    slr_sip_read_body(sip, msg, &body);
    d->offered = body.sdp.len_bytes == 0;
    *status = 0; /* the transaction is kept for its ACK */
    return true;
}

static void answered(struct slr_invite *inv)
{
    struct slr_dialog *d = inv->dialog;
    if (inv->initial) {
        slr_core_count(inv->sip->core, SLR_CORE_M_ANSWERED);
        SLR_INFO("call_answered", "recording=%s call=%s segment=%u dialog=%s", d->session,
                 d->call ? SLR_Q(d->call->id) : "?", d->call ? d->call->segment : 0,
                 SLR_Q(d->call_id));
    }
    send_ok(inv);
    slr_invite_finish(inv);
}

/* On the signalling thread, after the batch with the dialog was committed. */
static void on_stored(void *ctx, enum slr_err result)
{
    struct slr_invite *inv = ctx;
    if (!inv->over) {
        if (result == SLR_OK) {
            answered(inv);
        } else {
            slr_invite_fail(inv, SLR_CORE_M_REFUSED_STORE, 503, "store");
        }
    }
    (void)slr_invite_release(inv);
}

static void store_then_answer(struct slr_invite *inv)
{
    struct slr_core *core = inv->sip->core;
    struct slr_dialog *d = inv->dialog;
    struct slr_core_post *post = slr_core_post_new(core, on_stored, inv);
    json_t *record = slr_dialog_to_json(d);
    enum slr_err err = SLR_NOMEM;
    slr_calls_store(core, d->call);
    if (post && record) {
        inv->storing = true;
        inv->pending++;
        err = slr_store_put_dialog(core->store, d->key, d->session, record, slr_core_store_done,
                                   post);
        if (err != SLR_OK) {
            inv->pending--;
        }
    } else {
        json_decref(record);
    }
    if (err != SLR_OK) {
        free(post);
        slr_core_stored(core, err, "dialog");
        slr_invite_fail(inv, SLR_CORE_M_REFUSED_STORE, 503, "store");
        return;
    }
    d->stored = true;
}

void slr_invite_answer(struct slr_invite *inv)
{
    struct slr_dialog *d = inv->dialog;
    if (!d->call) {
        slr_invite_fail(inv, SLR_CORE_M_REFUSED_ENGINE, 503, "call_gone");
        return;
    }
    if (inv->offer && slr_invite_make_sdp(inv) != SLR_OK) {
        slr_invite_fail(inv, SLR_CORE_M_REFUSED_INTERNAL, 500, "sdp_write");
        return;
    }
    if (inv->initial) {
        store_then_answer(inv);
        return;
    }
    slr_sip_store_dialog(inv->sip, d);
    slr_calls_store(inv->sip->core, d->call);
    answered(inv);
}

/* What the engine's refusal means to the peer. */
static void fail_by_engine(struct slr_invite *inv)
{
    if (inv->failed == SLR_FULL) {
        slr_invite_fail(inv, SLR_CORE_M_REFUSED_CAPACITY, 503, "full");
    } else if (inv->failed == SLR_UNSUPPORTED) {
        slr_invite_fail(inv, SLR_CORE_M_REFUSED_MEDIA, 488, "engine_unsupported");
    } else {
        slr_invite_fail(inv, SLR_CORE_M_REFUSED_ENGINE, 503, slr_err_name(inv->failed));
    }
}

void slr_invite_step(struct slr_invite *inv)
{
    if (!slr_invite_release(inv) || inv->over || inv->pending > 0 || inv->storing) {
        return;
    }
    if (inv->failed == SLR_CONFLICT && inv->initial && !inv->fresh && slr_invite_move(inv)) {
        return; /* it steps on by itself */
    }
    if (inv->failed == SLR_OK) {
        slr_invite_answer(inv);
    } else if (inv->initial) {
        fail_by_engine(inv);
    } else {
        /* a line that could not be added is refused, the others go on */
        slr_invite_answer(inv);
    }
}

void slr_invite_fail(struct slr_invite *inv, enum slr_core_metric which, int status,
                     const char *why)
{
    (void)slr_sip_refuse(inv->sip, inv->irq, which, status, why);
    slr_invite_abandon(inv, 0);
}

void slr_invite_abandon(struct slr_invite *inv, int status)
{
    struct slr_dialog *d = inv->dialog;
    struct slr_sip *sip = inv->sip;
    bool initial = inv->initial;
    if (status) {
        nta_incoming_treply(inv->irq, status, sip_status_phrase(status), SLR_SIP_COMMON, TAG_END());
    }
    nta_incoming_bind(inv->irq, NULL, NULL);
    nta_incoming_destroy(inv->irq);
    slr_invite_finish(inv);
    if (initial) {
        slr_sip_leave(sip, d, status == 487 ? "cancel" : "failed");
        slr_sip_drop_dialog(sip, d);
    }
}

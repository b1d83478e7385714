/*
 * track_msg: see track_msg.h. No state of its own; allocates the message while it is looked at,
 * and the description that is handed out.
 */
#include "ctl/track_msg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ctl/mime.h"
#include "ctl/sofia.h"
#include "ctl/text.h"

static enum slr_track_method method_of(sip_method_t method)
{
    if (method == sip_method_invite) {
        return SLR_TRACK_INVITE;
    }
    if (method == sip_method_ack) {
        return SLR_TRACK_ACK;
    }
    if (method == sip_method_bye) {
        return SLR_TRACK_BYE;
    }
    if (method == sip_method_cancel) {
        return SLR_TRACK_CANCEL;
    }
    return method == sip_method_update ? SLR_TRACK_UPDATE : SLR_TRACK_OTHER;
}

/* False when it does not fit: such a message is not tracked, since cut texts could match. */
static bool take_text(char *out, size_t size_bytes, const char *text)
{
    int n = snprintf(out, size_bytes, "%s", text ? text : "");
    slr_text_clean(out);
    return n >= 0 && (size_t)n < size_bytes;
}

static struct slr_sdp *read_sdp(struct slr_slice text)
{
    struct slr_sdp *sdp = calloc(1, sizeof(*sdp));
    if (sdp && slr_sdp_read(text, sdp) != SLR_OK) {
        slr_sdp_free(sdp);
        sdp = NULL;
    }
    return sdp;
}

static struct slr_sdp *read_multipart(const sip_t *sip, struct slr_slice body)
{
    char type[512];
    struct slr_slice boundary;
    struct slr_mime mime;
    issize_t n =
        sip_header_field_e(type, sizeof type, (const sip_header_t *)sip->sip_content_type, 0);
    if (n < 0 || (size_t)n + 2 >= sizeof type ||
        slr_mime_boundary(slr_slice_of(type, (size_t)n), &boundary) != SLR_OK ||
        slr_mime_split(body, boundary, &mime) != SLR_OK) {
        return NULL;
    }
    const struct slr_mime_part *part = slr_mime_find(&mime, "application/sdp");
    return part ? read_sdp(part->body) : NULL;
}

static struct slr_sdp *read_body(const sip_t *sip)
{
    const char *type = sip->sip_content_type ? sip->sip_content_type->c_type : NULL;
    if (!sip->sip_payload || !type) {
        return NULL;
    }
    struct slr_slice body = slr_slice_of(sip->sip_payload->pl_data, sip->sip_payload->pl_len);
    if (strcasecmp(type, "application/sdp") == 0) {
        return read_sdp(body);
    }
    return strncasecmp(type, "multipart/", 10) == 0 ? read_multipart(sip, body) : NULL;
}

static enum slr_err take(const sip_t *sip, struct slr_track_msg *out)
{
    if (!sip || (sip->sip_flags & MSG_FLG_ERROR) || (!sip->sip_request && !sip->sip_status) ||
        !sip->sip_call_id || !sip->sip_call_id->i_id || !sip->sip_from || !sip->sip_to ||
        !sip->sip_cseq) {
        return SLR_FORMAT;
    }
    out->status = sip->sip_status ? (uint16_t)sip->sip_status->st_status : 0;
    if (sip->sip_status && (out->status < 100 || out->status > 699)) {
        return SLR_FORMAT;
    }
    out->method =
        method_of(sip->sip_request ? sip->sip_request->rq_method : sip->sip_cseq->cs_method);
    out->cseq = sip->sip_cseq->cs_seq;
    if (!take_text(out->call_id, sizeof out->call_id, sip->sip_call_id->i_id) ||
        !take_text(out->from_tag, sizeof out->from_tag, sip->sip_from->a_tag) ||
        !take_text(out->to_tag, sizeof out->to_tag, sip->sip_to->a_tag)) {
        return SLR_TOOLONG;
    }
    (void)take_text(out->from_user, sizeof out->from_user, sip->sip_from->a_url->url_user);
    (void)take_text(out->to_user, sizeof out->to_user, sip->sip_to->a_url->url_user);
    out->sdp = read_body(sip);
    return SLR_OK;
}

enum slr_err slr_track_msg_read(struct slr_slice raw, struct slr_track_msg *out)
{
    memset(out, 0, sizeof *out);
    if (raw.len_bytes > SLR_TRACK_MESSAGE_MAX_BYTES) {
        return SLR_TOOLONG;
    }
    if (raw.len_bytes == 0) {
        return SLR_FORMAT;
    }
    msg_t *msg = msg_make(sip_default_mclass(), 0, raw.at, (ssize_t)raw.len_bytes);
    if (!msg) {
        return SLR_FORMAT;
    }
    enum slr_err err = take(sip_object(msg), out);
    msg_destroy(msg);
    return err;
}

void slr_track_msg_fini(struct slr_track_msg *m)
{
    slr_sdp_free(m->sdp);
    m->sdp = NULL;
}

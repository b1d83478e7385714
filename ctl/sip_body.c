/*
 * sip_body: what a request carries, told apart without the stack's own SDP and MIME parsers, and
 * the agent's message class. Signalling thread; allocates nothing of its own.
 */
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "ctl/sip_int.h"

static bool is_metadata(struct slr_slice type)
{
    return slr_slice_eq_nocase(type, "application/rs-metadata+xml") ||
           slr_slice_eq_nocase(type, "application/rs-metadata");
}

static void refuse(struct slr_sip_body *out, int status, const char *why)
{
    out->refuse = status;
    out->why = why;
}

static void take_parts(struct slr_sip *sip, const struct slr_mime *mime, struct slr_sip_body *out)
{
    for (size_t i = 0; i < mime->count; i++) {
        const struct slr_mime_part *p = &mime->part[i];
        bool encoded = p->encoding.len_bytes > 0 && !slr_slice_eq_nocase(p->encoding, "identity");
        if (slr_slice_eq_nocase(p->type, "application/sdp") && !encoded) {
            if (out->sdp.len_bytes == 0) {
                out->sdp = p->body;
            }
        } else if (is_metadata(p->type) && !encoded) {
            if (out->metadata.len_bytes == 0) {
                out->metadata = p->body;
            }
        } else if (slr_mime_required(p)) {
            refuse(out, 415, "part_required");
            return;
        }
    }
    if (!mime->closed) {
        slr_core_count(sip->core, SLR_CORE_M_MIME_REPAIRS);
    }
}

/*
 * sip_header_as_string of the Debian build loses the end of a value that is longer than 127 bytes
 * (its second try gets a buffer in which the last parameter just fits, and then is not copied).
 */
char *slr_sip_header_text(su_home_t *home, const void *header)
{
    char text[SLR_DIALOG_TEXT_MAX];
    ssize_t n = sip_header_field_e(text, sizeof text, header, 0);
    if (n < 0 || (size_t)n + 2 >= sizeof text) {
        return NULL;
    }
    return su_strndup(home, text, (isize_t)n);
}

/* The header's whole value; the stack splits it at semicolons, which a quoted boundary may hold. */
static void read_multipart(struct slr_sip *sip, const sip_t *msg, struct slr_slice body,
                           struct slr_sip_body *out)
{
    struct slr_slice boundary;
    struct slr_mime mime;
    su_home_t home[1] = {SU_HOME_INIT(home)};
    char *value = slr_sip_header_text(home, msg->sip_content_type);
    if (!value || slr_mime_boundary(slr_slice_str(value), &boundary) != SLR_OK) {
        refuse(out, 400, "boundary");
    } else {
        enum slr_err err = slr_mime_split(body, boundary, &mime);
        if (err == SLR_OK) {
            take_parts(sip, &mime, out);
        } else {
            refuse(out, err == SLR_FULL ? 413 : 400, "multipart");
        }
    }
    su_home_deinit(home);
}

void slr_sip_read_body(struct slr_sip *sip, const sip_t *msg, struct slr_sip_body *out)
{
    memset(out, 0, sizeof *out);
    if (!msg->sip_payload || msg->sip_payload->pl_len == 0) {
        return;
    }
    struct slr_slice body = slr_slice_of(msg->sip_payload->pl_data, msg->sip_payload->pl_len);
    if (body.len_bytes > SLR_SIP_BODY_MAX_BYTES) {
        refuse(out, 413, "body_size");
        return;
    }
    if (!msg->sip_content_type || !msg->sip_content_type->c_type) {
        refuse(out, 400, "no_content_type");
        return;
    }
    struct slr_slice type = slr_slice_str(msg->sip_content_type->c_type);
    if (slr_slice_eq_nocase(type, "application/sdp")) {
        out->sdp = body;
    } else if (is_metadata(type)) {
        out->metadata = body;
    } else if (slr_slice_eq_nocase(type, "multipart/mixed")) {
        read_multipart(sip, msg, body, out);
    } else {
        refuse(out, 415, "content_type");
    }
}

/* Fills in the first Via's rport (RFC 3581): the stack does so only when that Via stands alone. */
static void set_rport(msg_t *msg, sip_via_t *v)
{
    struct slr_addr source;
    const char *value = msg_params_find(v->v_params, "rport");
    if (value && !value[0] && slr_addr_from_sockaddr(&msg_addr(msg)->su_sa, &source)) {
        char *rport = su_sprintf(msg_home(msg), "rport=%u", source.port);
        if (rport) {
            (void)msg_header_replace_param(msg_home(msg), v->v_common, rport);
        }
    }
}

/* Memory of a message that is overwritten before it is freed. */
struct secret {
    su_home_t home[1];
    char *at;
    size_t len_bytes;
};

static void wipe_secret(void *arg)
{
    struct secret *s = arg;
    explicit_bzero(s->at, s->len_bytes);
}

/* Room for len_bytes and a NUL that lives and dies with the message. NULL: no memory. */
static struct secret *secret_of(msg_t *msg, size_t len_bytes)
{
    struct secret *s = su_home_clone(msg_home(msg), sizeof *s);
    char *at = s ? su_alloc(s->home, (isize_t)len_bytes + 1) : NULL;
    if (!at) {
        return NULL;
    }
    memset(at, 0, len_bytes + 1);
    s->at = at;
    s->len_bytes = len_bytes;
    (void)su_home_destructor(s->home, wipe_secret);
    return s;
}

static void point_at(sip_payload_t *p, const struct secret *s)
{
    p->pl_data = s->at;
    p->pl_common->h_data = s->at;
}

/*
 * A body may hold media keys. The stack frees its buffers as they are, those of retransmissions
 * without asking us: so what came of a body moves to where it is wiped, and is gone from the
 * buffer before the stack may copy it to a larger one. What of it comes later is received where
 * the payload then points to. (What lies behind it in the buffer, a second request that came with
 * this one over TCP, the stack takes from there itself, and leaves it there.)
 */
static struct secret *hide_body(msg_t *msg, const sip_t *sip, char b[], size_t size_bytes, int eos)
{
    if (!(sip->sip_flags & MSG_FLG_BODY) || sip->sip_payload) {
        return NULL; /* the empty line before it, or nothing of it */
    }
    size_t body_bytes = sip->sip_content_length ? sip->sip_content_length->l_length : size_bytes;
    bool cut = eos && body_bytes > size_bytes; /* an error, and the stack's to see */
    if (body_bytes == 0 || body_bytes > SLR_SIP_BODY_MAX_BYTES || cut) {
        return NULL;
    }
    struct secret *s = secret_of(msg, body_bytes);
    if (s) {
        size_t here_bytes = body_bytes < size_bytes ? body_bytes : size_bytes;
        memcpy(s->at, b, here_bytes);
        explicit_bzero(b, here_bytes);
    }
    return s;
}

enum slr_err slr_sip_put_body(msg_t *msg, const char *text)
{
    size_t len_bytes = strlen(text);
    sip_payload_t *p = sip_payload_create(msg_home(msg), NULL, 0);
    struct secret *s = p ? secret_of(msg, len_bytes) : NULL;
    if (!s || sip_header_insert(msg, sip_object(msg), (sip_header_t *)p) < 0) {
        return SLR_NOMEM;
    }
    memcpy(s->at, text, len_bytes);
    point_at(p, s);
    p->pl_len = (usize_t)len_bytes;
    p->pl_common->h_len = (usize_t)len_bytes; /* as it is sent: no other copy is made */
    return SLR_OK;
}

/*
 * The stack keeps the text of a header line with its first value. Where several Vias share a line
 * and nta then writes received and rport into the first, that text is dropped and with it the
 * other Vias' share of the answer. Dropping the text of each before nta works makes every Via be
 * written from its parsed form, in order.
 */
static issize_t extract_body(msg_t *msg, msg_pub_t *pub, char b[], isize_t bsiz, int eos)
{
    sip_t *sip = (sip_t *)pub;
    if (sip->sip_request && sip->sip_via) {
        set_rport(msg, sip->sip_via);
    }
    for (sip_via_t *v = sip->sip_via; v; v = v->v_next) {
        msg_fragment_clear(v->v_common);
    }
    struct secret *s = bsiz > 0 ? hide_body(msg, sip, b, (size_t)bsiz, eos) : NULL;
    issize_t n = sip_extract_body(msg, sip, b, bsiz, eos);
    if (s && sip->sip_payload && !sip->sip_payload->pl_next) {
        point_at(sip->sip_payload, s);
    }
    return n;
}

msg_mclass_t *slr_sip_make_mclass(void)
{
    msg_mclass_t *mclass = msg_mclass_clone(sip_default_mclass(), 0, 0);
    if (mclass) {
        mclass->mc_extract_body = extract_body;
    }
    return mclass;
}

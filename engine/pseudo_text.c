/*
 * pseudo_text: see pseudo_text.h. RFC 3261 and 8866, without keys.
 */
#include "engine/pseudo_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CALLER_PORT 5060
#define RECORDER_PORT 5060
#define RECORDER_PORT_BESIDE 5070

static const struct slr_addr loopback = {.ip = {127, 0, 0, 1}, .family = 4};

void slr_pseudo_addresses(struct slr_talk *t)
{
    if (t->told) {
        return;
    }
    t->caller = t->recorder = loopback;
    for (uint32_t i = t->leg_count; i > 0; i--) { /* the first known one wins */
        const struct slr_talk_leg *leg = &t->leg[i - 1];
        if (leg->local.family) {
            t->recorder = leg->local;
        }
        if (leg->heard.family) {
            t->caller = leg->heard;
        }
    }
    if (t->caller.family != t->recorder.family) {
        t->caller = t->recorder;
    }
    t->caller.port = CALLER_PORT;
    t->recorder.port =
        slr_addr_eq_ip(&t->caller, &t->recorder) ? RECORDER_PORT_BESIDE : RECORDER_PORT;
}

/* Text as the user part of a URI (RFC 3261 section 25.1). */
static void put_user(struct slr_put *out, const char *text)
{
    static const char plain[] = "-_.!~*'()&=+$,;?/";
    if (text[0] == '\0') {
        slr_put_str(out, "unknown");
    }
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (alnum || strchr(plain, c)) {
            slr_put_u8(out, c);
        } else {
            slr_put_fmt(out, "%%%02X", c);
        }
    }
}

/* Text as a header's value: one line, nothing that could end it. */
static void put_value(struct slr_put *out, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        slr_put_u8(out, c < 0x20 || c == 0x7f || c == '"' || c == '\\' ? '_' : c);
    }
}

/* An address as a host, with or without port. */
static void put_host(struct slr_put *out, const struct slr_addr *a, bool with_port)
{
    char ip[SLR_ADDR_TEXT_SIZE];
    slr_addr_format_ip(a, ip);
    slr_put_fmt(out, a->family == 6 ? "[%s]" : "%s", ip);
    if (with_port) {
        slr_put_fmt(out, ":%u", a->port);
    }
}

/* The DN on channel 0, or on the lowest channel above it. */
static const char *dn_of(const struct slr_talk *t, bool first)
{
    const struct slr_talk_leg *best = NULL;
    for (uint32_t i = 0; i < t->leg_count; i++) {
        const struct slr_talk_leg *leg = &t->leg[i];
        if ((leg->channel == 0) == first && (!best || leg->channel < best->channel)) {
            best = leg;
        }
    }
    return best ? best->dn : "";
}

static void put_party(struct slr_put *out, const struct slr_talk *t, bool from)
{
    slr_put_str(out, "<sip:");
    put_user(out, dn_of(t, from));
    slr_put_str(out, "@");
    put_host(out, from ? &t->caller : &t->recorder, false);
    slr_put_str(out, ">");
}

/* offer: what the platform sends; else what the recorder receives. */
static void put_sdp(struct slr_put *out, const struct slr_talk *t, bool offer)
{
    const struct slr_addr *own = offer ? &t->caller : &t->recorder;
    char ip[SLR_ADDR_TEXT_SIZE];

    slr_addr_format_ip(own, ip);
    slr_put_fmt(out, "v=0\r\no=- %" PRId64 " %u IN IP%u %s\r\ns=recording\r\nc=IN IP%u %s\r\n",
                (int64_t)(t->opened.ns / SLR_NS_PER_S), t->cseq, own->family, ip, own->family, ip);
    slr_put_str(out, "t=0 0\r\n");
    for (uint32_t i = 0; i < t->leg_count; i++) {
        const struct slr_talk_leg *leg = &t->leg[i];
        const struct slr_addr *a = offer ? &leg->heard : &leg->local;
        /* 9, discard: the address is not known (RFC 4145 uses it alike) */
        slr_put_fmt(out, "m=audio %u RTP/AVP %d\r\n", a->family && a->port ? a->port : 9,
                    leg->pt >= 0 ? leg->pt : 0);
        if (a->family) {
            slr_addr_format_ip(a, ip);
            slr_put_fmt(out, "c=IN IP%u %s\r\n", a->family, ip);
        }
        slr_put_fmt(out, "a=label:%u\r\na=%s\r\n", leg->channel, offer ? "sendonly" : "recvonly");
    }
}

static void put_common(struct slr_put *out, const struct slr_talk *t, const char *method,
                       const char *node, bool to_tag)
{
    slr_put_str(out, "Via: SIP/2.0/UDP ");
    put_host(out, &t->caller, true);
    slr_put_fmt(out, ";branch=z9hG4bK%s%s%u\r\nFrom: ", t->session, method, t->cseq);
    put_party(out, t, true);
    slr_put_fmt(out, ";tag=%.16s\r\nTo: ", t->session);
    put_party(out, t, false);
    if (to_tag) {
        slr_put_fmt(out, ";tag=%s", t->session + strnlen(t->session, SLR_ID_SIZE - 1) / 2);
    }
    slr_put_fmt(out, "\r\nCall-ID: %s@", t->session);
    put_user(out, node);
    slr_put_fmt(out, "\r\nCSeq: %u %s\r\n", t->cseq, method);
}

void slr_pseudo_text(const struct slr_talk *t, enum slr_pseudo_kind kind, const char *node,
                     const char *reason, struct slr_put *out)
{
    static const char *const methods[] = {"INVITE", "INVITE", "ACK", "BYE", "BYE"};
    const char *method = methods[kind];
    bool answer = kind == SLR_PSEUDO_INVITE_OK || kind == SLR_PSEUDO_BYE_OK;
    bool media = kind == SLR_PSEUDO_INVITE || kind == SLR_PSEUDO_INVITE_OK;
    uint8_t body[2048];
    struct slr_put sdp = slr_put_of(body, sizeof body);

    if (answer) {
        slr_put_str(out, "SIP/2.0 200 OK\r\n");
    } else {
        slr_put_fmt(out, "%s sip:record=%s@", method, t->session);
        put_host(out, &t->recorder, true);
        slr_put_str(out, " SIP/2.0\r\n");
    }
    put_common(out, t, method, node, kind != SLR_PSEUDO_INVITE || t->cseq > 1);
    if (!answer) {
        slr_put_str(out, "Max-Forwards: 70\r\n");
    }
    if (media) {
        slr_put_str(out, "Contact: <sip:");
        put_host(out, answer ? &t->recorder : &t->caller, true);
        slr_put_str(out, ">\r\nX-Conversation: ");
        put_value(out, t->call);
        slr_put_str(out, "\r\nContent-Type: application/sdp\r\n");
        put_sdp(&sdp, t, !answer);
        out->overflow = out->overflow || sdp.overflow;
    }
    if (kind == SLR_PSEUDO_BYE && reason) {
        slr_put_str(out, "Reason: SIP;text=\"");
        put_value(out, reason);
        slr_put_str(out, "\"\r\n");
    }
    slr_put_fmt(out, "Content-Length: %zu\r\n\r\n", sdp.len_bytes);
    slr_put_bytes(out, body, sdp.len_bytes);
}

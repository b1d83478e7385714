/*
 * sip_text: see the header.
 */
#include "load/sip_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void request(struct slr_put *p, const struct slr_sip_dialog *d, const char *method,
                    uint32_t cseq)
{
    slr_put_fmt(p, "%s sip:record=load-%x-%u@recorder", method, d->run_id, d->call);
    if (cseq == 1 && strcmp(method, "INVITE") == 0) {
        slr_put_fmt(p, ";calluuid=%s;dn=%u;recordDN=%u", d->call_name, d->dn, d->recorded_dn);
    }
    slr_put_fmt(p,
                " SIP/2.0\r\n"
                "Via: SIP/2.0/UDP %s:%u;branch=z9hG4bK%x-%u-%u-%s;rport\r\n"
                "From: <sip:load@%s:%u>;tag=f%u-%u\r\n"
                "To: <sip:record=load-%x-%u@recorder>%s%s\r\n"
                "Call-ID: load-%x-%u-%u@slr\r\n"
                "CSeq: %u %s\r\n"
                "Max-Forwards: 70\r\n",
                d->local_ip, d->local_port, d->run_id, d->call, d->leg, method, d->local_ip,
                d->local_port, d->call, d->leg, d->run_id, d->call, d->to_tag[0] ? ";tag=" : "",
                d->to_tag, d->run_id, d->call, d->leg, cseq, method);
}

static void sdp(struct slr_put *p, const struct slr_sip_dialog *d)
{
    const struct slr_voice_row *v = d->voice;
    slr_put_fmt(p,
                "v=0\r\no=load 1 1 IN IP4 %s\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\n"
                "m=audio %u RTP/%s %u%s\r\na=rtpmap:%u %s/%u",
                d->local_ip, d->local_ip, 20000u + d->leg * 2u, d->crypto ? "SAVP" : "AVP", v->pt,
                v->comfort ? " 13" : "", v->pt, v->name, v->clock_hz);
    if (v->sdp_channels > 1) {
        slr_put_fmt(p, "/%u", v->sdp_channels);
    }
    slr_put_str(p, "\r\n");
    if (v->fmtp[0]) {
        slr_put_fmt(p, "a=fmtp:%u %s\r\n", v->pt, v->fmtp);
    }
    if (v->comfort) {
        slr_put_str(p, "a=rtpmap:13 CN/8000\r\n");
    }
    if (d->crypto) {
        slr_put_fmt(p, "a=crypto:%s\r\n", d->crypto);
    }
    slr_put_str(p, "a=ptime:20\r\na=sendonly\r\n");
}

static size_t done(const struct slr_put *p)
{
    return p->overflow ? 0 : p->len_bytes;
}

size_t slr_sip_text_invite(const struct slr_sip_dialog *d, char out[static SLR_SIP_TEXT_BYTES])
{
    char body[1024];
    struct slr_put b = slr_put_of(body, sizeof body);
    struct slr_put p = slr_put_of(out, SLR_SIP_TEXT_BYTES);
    sdp(&b, d);
    request(&p, d, "INVITE", 1);
    slr_put_fmt(&p,
                "Contact: <sip:load@%s:%u>\r\nContent-Type: application/sdp\r\n"
                "Content-Length: %zu\r\n\r\n",
                d->local_ip, d->local_port, b.len_bytes);
    slr_put_bytes(&p, body, b.len_bytes);
    return b.overflow ? 0 : done(&p);
}

size_t slr_sip_text_ack(const struct slr_sip_dialog *d, char out[static SLR_SIP_TEXT_BYTES])
{
    struct slr_put p = slr_put_of(out, SLR_SIP_TEXT_BYTES);
    request(&p, d, "ACK", 1);
    slr_put_str(&p, "Content-Length: 0\r\n\r\n");
    return done(&p);
}

size_t slr_sip_text_bye(const struct slr_sip_dialog *d, char out[static SLR_SIP_TEXT_BYTES])
{
    struct slr_put p = slr_put_of(out, SLR_SIP_TEXT_BYTES);
    request(&p, d, "BYE", 2);
    slr_put_str(&p, "Content-Length: 0\r\n\r\n");
    return done(&p);
}

/* The number at the front of s, which moves past it. */
static bool take_number(struct slr_slice *s, uint64_t max, uint64_t *out)
{
    size_t n = 0;
    while (n < s->len_bytes && s->at[n] >= '0' && s->at[n] <= '9') {
        n++;
    }
    struct slr_slice digits = slr_slice_of(s->at, n);
    return slr_slice_to_u64(digits, max, out) && slr_slice_skip(s, n);
}

static bool take_word(struct slr_slice *s, const char *word)
{
    size_t n = strlen(word);
    return s->len_bytes >= n && strncasecmp((const char *)s->at, word, n) == 0 &&
           slr_slice_skip(s, n);
}

/* "load-RUN-CALL-LEG@slr" */
static bool read_call_id(struct slr_slice v, uint32_t run_id, struct slr_sip_reply *out)
{
    char prefix[24];
    uint64_t call = 0;
    uint64_t leg = 0;
    snprintf(prefix, sizeof prefix, "load-%x-", run_id);
    if (!take_word(&v, prefix) || !take_number(&v, UINT32_MAX, &call) || !take_word(&v, "-") ||
        !take_number(&v, 7, &leg) || !take_word(&v, "@")) {
        return false;
    }
    out->call = (uint32_t)call;
    out->leg = (uint32_t)leg;
    return true;
}

static void read_tag(struct slr_slice v, struct slr_sip_reply *out)
{
    while (v.len_bytes > 0) {
        if (take_word(&v, ";tag=")) {
            size_t n = 0;
            while (n < v.len_bytes && !strchr(";> \t", v.at[n])) {
                n++;
            }
            (void)slr_slice_to_str(slr_slice_of(v.at, n), out->to_tag, sizeof out->to_tag);
            return;
        }
        (void)slr_slice_skip(&v, 1);
    }
}

static bool read_cseq(struct slr_slice v, struct slr_sip_reply *out)
{
    uint64_t n = 0;
    if (!take_number(&v, UINT32_MAX, &n)) {
        return false;
    }
    out->cseq = (uint32_t)n;
    return slr_slice_to_str(slr_slice_trim(v), out->method, sizeof out->method);
}

static void read_sdp_line(struct slr_slice line, struct slr_sip_reply *out)
{
    uint64_t port = 0;
    if (take_word(&line, "c=IN IP4 ")) {
        (void)slr_slice_to_str(slr_slice_trim(line), out->ip, sizeof out->ip);
    } else if (take_word(&line, "m=audio ") && take_number(&line, UINT16_MAX, &port)) {
        out->port = (uint16_t)port;
        out->rtcp_port = (uint16_t)(port + 1);
    } else if (take_word(&line, "a=rtcp:") && take_number(&line, UINT16_MAX, &port)) {
        out->rtcp_port = (uint16_t)port;
    }
}

enum slr_err slr_sip_text_read(struct slr_slice text, uint32_t run_id, struct slr_sip_reply *out)
{
    struct slr_slice line;
    uint64_t status = 0;
    bool named = false;
    bool counted = false;
    memset(out, 0, sizeof *out);
    if (!slr_slice_take_line(&text, &line) || !take_word(&line, "SIP/2.0 ") ||
        !take_number(&line, 699, &status) || status < 100) {
        return SLR_FORMAT;
    }
    out->status = (uint32_t)status;
    while (slr_slice_take_line(&text, &line) && line.len_bytes > 0) {
        struct slr_slice v = line;
        struct slr_slice name;
        if (!slr_slice_take_token(&v, ':', &name)) {
            continue;
        }
        name = slr_slice_trim(name);
        v = slr_slice_trim(v);
        if (slr_slice_eq_nocase(name, "Call-ID") || slr_slice_eq_nocase(name, "i")) {
            named = read_call_id(v, run_id, out);
        } else if (slr_slice_eq_nocase(name, "CSeq")) {
            counted = read_cseq(v, out);
        } else if (slr_slice_eq_nocase(name, "To") || slr_slice_eq_nocase(name, "t")) {
            read_tag(v, out);
        }
    }
    while (slr_slice_take_line(&text, &line)) {
        read_sdp_line(line, out);
    }
    return named && counted ? SLR_OK : SLR_FORMAT;
}

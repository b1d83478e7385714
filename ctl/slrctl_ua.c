/*
 * slrctl_ua: the demo's SIP: text out, a few headers in, retransmission by timer.
 * One thread; allocates nothing.
 */
#include "ctl/slrctl_ua.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "common/clock.h"

#define MESSAGE_SIZE 4096
#define RETRANSMIT_MS 500
#define PATIENCE_NS (8 * SLR_NS_PER_S)

/* Text between < and >, or the value up to its first parameter. */
static void copy_uri(struct slr_slice value, char out[static SLRCTL_UA_TEXT_SIZE])
{
    struct slr_slice uri;
    const uint8_t *open = memchr(value.at, '<', value.len_bytes);
    char end = open != NULL ? '>' : ';';
    if (open != NULL && !slr_slice_skip(&value, (size_t)(open - value.at) + 1)) {
        return;
    }
    if (slr_slice_take_token(&value, end, &uri) &&
        !slr_slice_to_str(uri, out, SLRCTL_UA_TEXT_SIZE)) {
        out[0] = '\0';
    }
}

static bool name_is(struct slr_slice name, const char *text, const char *compact)
{
    name = slr_slice_trim(name);
    return slr_slice_eq_nocase(name, text) || slr_slice_eq_nocase(name, compact);
}

static void take_header(struct slr_slice line, struct slrctl_ua_answer *out)
{
    struct slr_slice name;
    struct slr_slice word;
    if (!slr_slice_take_token(&line, ':', &name)) {
        return;
    }
    line = slr_slice_trim(line);
    if (name_is(name, "call-id", "i")) {
        (void)slr_slice_to_str(line, out->call_id, sizeof(out->call_id));
    } else if (name_is(name, "to", "t")) {
        (void)slr_slice_to_str(line, out->to, sizeof(out->to));
    } else if (name_is(name, "contact", "m") && line.len_bytes > 0) {
        copy_uri(line, out->target);
    } else if (name_is(name, "cseq", "cseq") && slr_slice_take_token(&line, ' ', &word)) {
        uint64_t number = 0;
        out->cseq = slr_slice_to_u64(word, UINT32_MAX, &number) ? (uint32_t)number : 0;
    }
}

static void take_sdp(struct slr_slice line, struct slrctl_ua_answer *out)
{
    struct slr_slice word;
    char ip[64];
    struct slr_addr addr;
    uint64_t port = 0;
    bool is_c = line.len_bytes > 9 && memcmp(line.at, "c=IN IP", 7) == 0;
    bool is_m = line.len_bytes > 8 && memcmp(line.at, "m=audio ", 8) == 0;
    if (is_c && slr_slice_skip(&line, 9) && slr_slice_to_str(line, ip, sizeof(ip)) &&
        slr_addr_parse(ip, &addr) == SLR_OK) {
        port = out->media.port;
        out->media = addr;
        out->media.port = (uint16_t)port;
    } else if (is_m && out->media.port == 0 && slr_slice_skip(&line, 8) &&
               slr_slice_take_token(&line, ' ', &word) && slr_slice_to_u64(word, 65535, &port)) {
        out->media.port = (uint16_t)port;
    }
}

bool slrctl_ua_read(struct slr_slice message, struct slrctl_ua_answer *out)
{
    struct slr_slice line;
    struct slr_slice word;
    uint64_t status = 0;
    memset(out, 0, sizeof(*out));
    if (!slr_slice_take_line(&message, &line) || !slr_slice_take_token(&line, ' ', &word) ||
        !slr_slice_eq(word, "SIP/2.0") || !slr_slice_take_token(&line, ' ', &word) ||
        !slr_slice_to_u64(word, 699, &status) || status < 100) {
        return false;
    }
    out->status = (uint32_t)status;
    while (slr_slice_take_line(&message, &line) && line.len_bytes > 0) {
        take_header(line, out);
    }
    while (slr_slice_take_line(&message, &line)) {
        take_sdp(line, out);
    }
    return out->call_id[0] != '\0' && out->cseq != 0;
}

static void put_head(struct slr_put *p, const struct slrctl_ua *ua, const char *method,
                     const char *uri, uint32_t cseq)
{
    char local[SLR_ADDR_TEXT_SIZE];
    slr_addr_format(&ua->local, local);
    bool in_dialog = ua->answer.to[0] != '\0';
    slr_put_fmt(p, "%s %s SIP/2.0\r\n", method, uri);
    /* ACK of a 200 is a transaction of its own. */
    slr_put_fmt(p, "Via: SIP/2.0/UDP %s;branch=z9hG4bK%s%s;rport\r\n", local, ua->tag, method);
    slr_put_fmt(p, "From: <sip:demo@%s>;tag=%s\r\n", local, ua->tag);
    if (in_dialog) {
        slr_put_fmt(p, "To: %s\r\n", ua->answer.to);
    } else {
        slr_put_fmt(p, "To: <%s>\r\n", ua->uri);
    }
    slr_put_fmt(p, "Call-ID: %s\r\nCSeq: %u %s\r\n", ua->call_id, cseq, method);
    slr_put_fmt(p, "Contact: <sip:demo@%s>\r\nMax-Forwards: 70\r\n", local);
}

size_t slrctl_ua_print_invite(const struct slrctl_ua *ua, char *out, size_t size_bytes)
{
    char ip[SLR_ADDR_TEXT_SIZE];
    char sdp[512];
    struct slr_put p = slr_put_of(out, size_bytes - 1);
    slr_addr_format_ip(&ua->local, ip);
    int v = ua->local.family == 6 ? 6 : 4;
    int n = snprintf(sdp, sizeof(sdp),
                     "v=0\r\no=- 1 1 IN IP%d %s\r\ns=demo\r\nc=IN IP%d %s\r\nt=0 0\r\n"
                     "m=audio %u RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\na=ptime:20\r\na=sendonly\r\n",
                     v, ip, v, ip, ua->rtp_port);
    put_head(&p, ua, "INVITE", ua->uri, 1);
    slr_put_fmt(&p, "Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s", n, sdp);
    out[p.len_bytes] = '\0';
    return p.overflow ? 0 : p.len_bytes;
}

/* Reads until a final answer to this request of this dialog comes or the time is up. */
static enum slr_err wait_answer(struct slrctl_ua *ua, uint32_t cseq, int timeout_ms)
{
    char message[MESSAGE_SIZE];
    struct pollfd p = {.fd = ua->fd, .events = POLLIN};
    while (poll(&p, 1, timeout_ms) > 0) {
        struct slrctl_ua_answer a;
        ssize_t n = recv(ua->fd, message, sizeof(message), MSG_DONTWAIT);
        if (n < 0 && errno == ECONNREFUSED) {
            return SLR_TIMEOUT; /* not listening yet: the next try may find it */
        }
        if (n <= 0 || !slrctl_ua_read(slr_slice_of(message, (size_t)n), &a) || a.status < 200 ||
            a.cseq != cseq || strcmp(a.call_id, ua->call_id) != 0) {
            continue;
        }
        ua->answer = a;
        return SLR_OK;
    }
    return SLR_TIMEOUT;
}

static enum slr_err transact(struct slrctl_ua *ua, const char *text, size_t len_bytes,
                             uint32_t cseq)
{
    int64_t until = slr_clock_mono(slr_clock_real()).ns + PATIENCE_NS;
    enum slr_err err = SLR_TIMEOUT;
    while (err == SLR_TIMEOUT && slr_clock_mono(slr_clock_real()).ns < until) {
        if (send(ua->fd, text, len_bytes, 0) < 0 && errno != ECONNREFUSED) {
            return SLR_IO;
        }
        err = wait_answer(ua, cseq, RETRANSMIT_MS);
    }
    return err;
}

static enum slr_err send_short(struct slrctl_ua *ua, const char *method, uint32_t cseq, bool wait)
{
    char text[MESSAGE_SIZE];
    struct slr_put p = slr_put_of(text, sizeof(text));
    put_head(&p, ua, method, ua->answer.target[0] != '\0' ? ua->answer.target : ua->uri, cseq);
    slr_put_str(&p, "Content-Length: 0\r\n\r\n");
    if (p.overflow) {
        return SLR_TOOLONG;
    }
    if (wait) {
        return transact(ua, text, p.len_bytes, cseq);
    }
    return send(ua->fd, text, p.len_bytes, 0) == (ssize_t)p.len_bytes ? SLR_OK : SLR_IO;
}

enum slr_err slrctl_ua_invite(struct slrctl_ua *ua)
{
    char text[MESSAGE_SIZE];
    size_t len = slrctl_ua_print_invite(ua, text, sizeof(text));
    if (len == 0) {
        return SLR_TOOLONG;
    }
    enum slr_err err = transact(ua, text, len, 1);
    if (err != SLR_OK) {
        return err;
    }
    if (ua->answer.status >= 300) {
        return SLR_DENIED;
    }
    err = send_short(ua, "ACK", 1, false);
    if (err == SLR_OK && (ua->answer.media.family == 0 || ua->answer.media.port == 0)) {
        err = SLR_FORMAT;
    }
    return err;
}

enum slr_err slrctl_ua_bye(struct slrctl_ua *ua)
{
    struct slrctl_ua_answer dialog = ua->answer;
    enum slr_err err = send_short(ua, "BYE", 2, true);
    uint32_t status = ua->answer.status;
    ua->answer = dialog;
    return err == SLR_OK && status >= 300 ? SLR_DENIED : err;
}

/*
 * slr_load_sip: just enough of a SIP client for recording INVITEs over UDP on loopback.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "bench/slr_load.h"
#include "common/slice.h"

struct reply {
    char text[4096];
    int status;
};

static const char *header_value(const char *text, const char *name, char *out, size_t size)
{
    const char *at = strstr(text, name);
    if (!at) {
        return NULL;
    }
    at += strlen(name);
    size_t n = strcspn(at, "\r\n");
    snprintf(out, size, "%.*s", (int)(n < size ? n : size - 1), at);
    return out;
}

/* Sends and waits for a final answer with that CSeq; three tries of 500 ms. */
static enum slr_err exchange(struct slr_load *l, const char *request, const char *call_id,
                             const char *cseq, struct reply *r)
{
    for (int turn = 0; turn < 8; turn++) {
        struct pollfd p = {.fd = l->sip_fd, .events = POLLIN};
        if (sendto(l->sip_fd, request, strlen(request), 0, (struct sockaddr *)&l->sip_to,
                   sizeof l->sip_to) < 0) {
            return SLR_IO;
        }
        while (poll(&p, 1, 500) > 0) {
            ssize_t n = recv(l->sip_fd, r->text, sizeof r->text - 1, 0);
            if (n <= 0) {
                continue;
            }
            r->text[n] = '\0';
            r->status = n > 12 && strncmp(r->text, "SIP/2.0 ", 8) == 0
                            ? (int)strtol(r->text + 8, NULL, 10)
                            : 0;
            if (r->status >= 200 && strstr(r->text, call_id) && strstr(r->text, cseq)) {
                return SLR_OK;
            }
        }
    }
    return SLR_TIMEOUT;
}

static int common_headers(const struct slr_load *l, uint32_t call, uint32_t leg, const char *method,
                          uint32_t cseq, const char *to_tag, char *out, size_t size)
{
    return snprintf(out, size,
                    "Via: SIP/2.0/UDP %s:%u;branch=z9hG4bK%x-%u-%u-%s-%u;rport\r\n"
                    "From: <sip:load@%s:%u>;tag=f%u-%u\r\n"
                    "To: <sip:record=load-%x-%u@recorder>%s%s\r\n"
                    "Call-ID: load-%x-%u-%u@slr\r\n"
                    "CSeq: %u %s\r\n"
                    "Max-Forwards: 70\r\n",
                    l->local_ip, l->sip_port, l->cfg->run_id, call, leg, method, cseq, l->local_ip,
                    l->sip_port, call, leg, l->cfg->run_id, call, to_tag[0] ? ";tag=" : "", to_tag,
                    l->cfg->run_id, call, leg, cseq, method);
}

static void request_ids(const struct slr_load *l, uint32_t call, uint32_t leg, uint32_t cseq,
                        const char *method, char call_id[64], char cseq_text[32])
{
    snprintf(call_id, 64, "load-%x-%u-%u@slr", l->cfg->run_id, call, leg);
    snprintf(cseq_text, 32, "CSeq: %u %s", cseq, method);
}

static bool read_answer(struct slr_load_leg *leg, const char *text)
{
    char ip[64] = "";
    char line[256];
    const char *media = strstr(text, "\r\nm=audio ");
    if (!header_value(text, "\r\nc=IN IP4 ", ip, sizeof ip) || !media ||
        !header_value(text, "\r\nTo: ", line, sizeof line)) {
        return false;
    }
    const char *tag = strstr(line, "tag=");
    if (!tag) {
        return false;
    }
    snprintf(leg->to_tag, sizeof leg->to_tag, "%.*s", (int)strcspn(tag + 4, ";> "), tag + 4);
    leg->to.sin_family = AF_INET;
    leg->to.sin_port = htons((uint16_t)strtoul(media + 10, NULL, 10));
    return inet_pton(AF_INET, ip, &leg->to.sin_addr) == 1 && leg->to.sin_port != 0;
}

static enum slr_err invite_leg(struct slr_load *l, uint32_t call, uint32_t leg)
{
    struct slr_load_leg *to = &l->call[call].leg[leg];
    char head[1024];
    char sdp[512];
    char request[4096];
    char call_id[64];
    char cseq[32];
    static struct reply r;
    snprintf(sdp, sizeof sdp,
             "v=0\r\no=load 1 1 IN IP4 %s\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\n"
             "m=audio %u RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\na=ptime:20\r\na=sendonly\r\n",
             l->local_ip, l->local_ip, 20000u + leg * 2u);
    common_headers(l, call, leg, "INVITE", 1, "", head, sizeof head);
    snprintf(request, sizeof request,
             "INVITE sip:record=load-%x-%u@recorder;calluuid=load%u;dn=%u;recordDN=%u SIP/2.0\r\n"
             "%sContact: <sip:load@%s:%u>\r\nContent-Type: application/sdp\r\n"
             "Content-Length: %zu\r\n\r\n%s",
             l->cfg->run_id, call, call, 1000 + leg, 1000u, head, l->local_ip, l->sip_port,
             strlen(sdp), sdp);
    request_ids(l, call, leg, 1, "INVITE", call_id, cseq);
    enum slr_err err = exchange(l, request, call_id, cseq, &r);
    if (err != SLR_OK) {
        return err;
    }
    if (r.status != 200 || !read_answer(to, r.text)) {
        fprintf(stderr, "slr-load: INVITE of call %u leg %u answered %d\n", call, leg, r.status);
        return SLR_FORMAT;
    }
    common_headers(l, call, leg, "ACK", 1, to->to_tag, head, sizeof head);
    snprintf(request, sizeof request,
             "ACK sip:record=load-%x-%u@recorder SIP/2.0\r\n%sContent-Length: 0\r\n\r\n",
             l->cfg->run_id, call, head);
    to->answered = true;
    ssize_t n = sendto(l->sip_fd, request, strlen(request), 0, (struct sockaddr *)&l->sip_to,
                       sizeof l->sip_to);
    return n < 0 ? SLR_IO : SLR_OK;
}

enum slr_err slr_load_invite(struct slr_load *l, uint32_t call)
{
    enum slr_err err = SLR_OK;
    for (uint32_t leg = 0; leg < SLR_LOAD_LEGS && err == SLR_OK; leg++) {
        err = invite_leg(l, call, leg);
    }
    return err;
}

enum slr_err slr_load_bye(struct slr_load *l, uint32_t call)
{
    enum slr_err err = SLR_OK;
    static struct reply r;
    for (uint32_t leg = 0; leg < SLR_LOAD_LEGS; leg++) {
        const struct slr_load_leg *to = &l->call[call].leg[leg];
        char head[1024];
        char request[2048];
        char call_id[64];
        char cseq[32];
        if (!to->answered) {
            continue;
        }
        common_headers(l, call, leg, "BYE", 2, to->to_tag, head, sizeof head);
        snprintf(request, sizeof request,
                 "BYE sip:record=load-%x-%u@recorder SIP/2.0\r\n%sContent-Length: 0\r\n\r\n",
                 l->cfg->run_id, call, head);
        request_ids(l, call, leg, 2, "BYE", call_id, cseq);
        enum slr_err one = exchange(l, request, call_id, cseq, &r);
        err = err == SLR_OK ? one : err;
    }
    return err;
}

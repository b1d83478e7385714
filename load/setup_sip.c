/*
 * setup_sip: calls through SIP over UDP, two recording INVITEs each, many at once, with the
 * retransmissions of RFC 3261 (timers A, B, E, F).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/net.h"
#include "load/local.h"
#include "load/setup.h"
#include "load/sip_text.h"

#define T1_NS (500 * SLR_NS_PER_MS)
#define T2_NS (4 * SLR_NS_PER_S)
#define GIVE_UP_NS (64 * T1_NS)
#define TAG_SIZE 64u

enum dialog_state { NONE, INVITING, PROCEEDING, UP, BYEING, OVER, FAILED };

struct dialog {
    uint8_t state;
    bool listed;
    char to_tag[TAG_SIZE];
    int64_t again_ns, interval_ns, give_up_ns;
};

struct slr_setup {
    struct slr_setup_config sc;
    int fd;
    uint16_t port;
    char local_ip[64], media_ip[64];
    struct dialog *dialog; /* by call and leg */
    bool *failed;          /* by call: was told */
    uint32_t *active;      /* dialogs with a request under way */
    uint32_t active_count, active_max;
    char text[SLR_SIP_TEXT_BYTES];
};

static struct dialog *dialog_at(const struct slr_setup *s, uint32_t call, uint32_t leg)
{
    return &s->dialog[(size_t)call * SLR_LOAD_LEGS + leg];
}

static void describe(const struct slr_setup *s, uint32_t call, uint32_t leg, const char *name,
                     struct slr_sip_dialog *out)
{
    *out = (struct slr_sip_dialog){.run_id = s->sc.cfg->run_id,
                                   .call = call,
                                   .leg = leg,
                                   .local_ip = s->local_ip,
                                   .local_port = s->port,
                                   .call_name = name,
                                   .dn = slr_book_dn(call, leg),
                                   .recorded_dn = slr_book_dn(call, 0),
                                   .to_tag = dialog_at(s, call, leg)->to_tag,
                                   .voice = slr_cast_voice(s->sc.cast, call)->row};
}

enum request { INVITE, ACK, BYE };

/* What the socket does not take is sent again like what was lost on the way. */
static void send_request(struct slr_setup *s, uint32_t call, uint32_t leg, enum request what)
{
    char name[40];
    char key[SLR_SRTP_KEY_TEXT_SIZE];
    char crypto[128];
    struct slr_sip_dialog d;
    slr_book_name(s->sc.book, call, name);
    describe(s, call, leg, name, &d);
    if (s->sc.cfg->suite != SLR_SRTP_NONE) {
        slr_book_key(s->sc.book, call, leg, key);
        snprintf(crypto, sizeof crypto, "1 %s inline:%s",
                 slr_srtp_suite_row(s->sc.cfg->suite)->name, key);
        d.crypto = crypto;
    }
    size_t n = what == INVITE ? slr_sip_text_invite(&d, s->text)
               : what == ACK  ? slr_sip_text_ack(&d, s->text)
                              : slr_sip_text_bye(&d, s->text);
    ssize_t sent = send(s->fd, s->text, n, MSG_DONTWAIT);
    (void)sent;
}

/* Sends a request and sees to its retransmission. */
static void start(struct slr_setup *s, uint32_t call, uint32_t leg, enum request what,
                  int64_t now_ns)
{
    struct dialog *d = dialog_at(s, call, leg);
    d->state = what == INVITE ? INVITING : BYEING;
    d->interval_ns = T1_NS;
    d->again_ns = now_ns + T1_NS;
    d->give_up_ns = now_ns + GIVE_UP_NS;
    if (!d->listed && s->active_count < s->active_max) {
        d->listed = true;
        s->active[s->active_count++] = call * SLR_LOAD_LEGS + leg;
    }
    send_request(s, call, leg, what);
}

static void fail(struct slr_setup *s, uint32_t call, uint32_t leg, const char *why, int64_t now_ns)
{
    dialog_at(s, call, leg)->state = FAILED;
    for (uint32_t i = 0; i < SLR_LOAD_LEGS; i++) {
        if (dialog_at(s, call, i)->state == UP) {
            start(s, call, i, BYE, now_ns);
        }
    }
    if (!s->failed[call]) {
        s->failed[call] = true;
        s->sc.hooks.failed(s->sc.hooks.ctx, &s->sc.book->call[call], why);
    }
}

static bool both(const struct slr_setup *s, uint32_t call, uint8_t state)
{
    return dialog_at(s, call, 0)->state == state && dialog_at(s, call, 1)->state == state;
}

static void answered(struct slr_setup *s, const struct slr_sip_reply *r, int64_t now_ns)
{
    struct dialog *d = dialog_at(s, r->call, r->leg);
    struct slr_call *call = &s->sc.book->call[r->call];
    struct slr_call_leg *leg = &call->leg[r->leg];
    char why[32];
    if (r->status >= 300) {
        send_request(s, r->call, r->leg, ACK); /* to the transaction: the To tag does not matter */
        snprintf(why, sizeof why, "INVITE answered %u", r->status);
        if (d->state == INVITING || d->state == PROCEEDING) {
            fail(s, r->call, r->leg, why, now_ns);
        }
        return;
    }
    bool first = d->state == INVITING || d->state == PROCEEDING;
    if (first) {
        snprintf(d->to_tag, sizeof d->to_tag, "%s", r->to_tag);
    }
    send_request(s, r->call, r->leg, ACK);
    if (!first) {
        return;
    }
    leg->rtp.sin_family = leg->rtcp.sin_family = AF_INET;
    leg->rtp.sin_port = htons(r->port);
    leg->rtcp.sin_port = htons(r->rtcp_port);
    d->state = UP;
    if (r->port == 0 || inet_pton(AF_INET, r->ip, &leg->rtp.sin_addr) != 1) {
        start(s, r->call, r->leg, BYE, now_ns);
        fail(s, r->call, r->leg, "no address in the answer", now_ns);
        return;
    }
    leg->rtcp.sin_addr = leg->rtp.sin_addr;
    if (s->failed[r->call]) {
        start(s, r->call, r->leg, BYE, now_ns);
    } else if (both(s, r->call, UP)) {
        s->sc.hooks.ready(s->sc.hooks.ctx, call);
    }
}

static void on_reply(struct slr_setup *s, const struct slr_sip_reply *r, int64_t now_ns)
{
    if (r->call >= atomic_load(&s->sc.book->count) || r->leg >= SLR_LOAD_LEGS) {
        return;
    }
    struct dialog *d = dialog_at(s, r->call, r->leg);
    bool invite = strcmp(r->method, "INVITE") == 0;
    if (r->status < 200) {
        d->state = d->state == INVITING && invite ? PROCEEDING : d->state;
    } else if (invite) {
        answered(s, r, now_ns);
    } else if (d->state == BYEING) {
        d->state = OVER;
        if (!s->failed[r->call] && both(s, r->call, OVER)) {
            s->sc.hooks.ended(s->sc.hooks.ctx, &s->sc.book->call[r->call]);
        }
    }
}

static void retransmit(struct slr_setup *s, int64_t now_ns)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < s->active_count; i++) {
        uint32_t call = s->active[i] / SLR_LOAD_LEGS;
        uint32_t leg = s->active[i] % SLR_LOAD_LEGS;
        struct dialog *d = dialog_at(s, call, leg);
        bool waits = d->state == INVITING || d->state == PROCEEDING || d->state == BYEING;
        if (waits && now_ns >= d->give_up_ns) {
            fail(s, call, leg, d->state == BYEING ? "BYE not answered" : "INVITE not answered",
                 now_ns);
            waits = false;
        } else if (waits && d->state != PROCEEDING && now_ns >= d->again_ns) {
            send_request(s, call, leg, d->state == BYEING ? BYE : INVITE);
            d->interval_ns *= 2;
            if (d->state == BYEING && d->interval_ns > T2_NS) {
                d->interval_ns = T2_NS;
            }
            d->again_ns = now_ns + d->interval_ns;
        }
        d->listed = waits;
        if (waits) {
            s->active[kept++] = s->active[i];
        }
    }
    s->active_count = kept;
}

static enum slr_err step(struct slr_setup *s, int64_t now_ns)
{
    for (;;) {
        struct slr_sip_reply r;
        ssize_t n = recv(s->fd, s->text, sizeof s->text, MSG_DONTWAIT);
        if (n < 0) {
            break; /* nothing more, or an ICMP error: what is lost is sent again */
        }
        if (slr_sip_text_read(slr_slice_of(s->text, (size_t)n), s->sc.cfg->run_id, &r) == SLR_OK) {
            on_reply(s, &r, now_ns);
        }
    }
    retransmit(s, now_ns);
    return SLR_OK;
}

static void begin(struct slr_setup *s, struct slr_call *call, int64_t now_ns)
{
    for (uint32_t leg = 0; leg < SLR_LOAD_LEGS; leg++) {
        start(s, call->index, leg, INVITE, now_ns);
    }
}

static void end(struct slr_setup *s, struct slr_call *call, int64_t now_ns)
{
    for (uint32_t leg = 0; leg < SLR_LOAD_LEGS; leg++) {
        start(s, call->index, leg, BYE, now_ns);
    }
}

static void close_it(struct slr_setup *s)
{
    if (s) {
        if (s->fd >= 0) {
            close(s->fd);
        }
        free(s->dialog);
        free(s->failed);
        free(s->active);
        free(s);
    }
}

static enum slr_err connect_it(struct slr_setup *s)
{
    struct slr_addr to;
    struct sockaddr_storage sa;
    struct sockaddr_in at = {.sin_family = AF_INET};
    char ip[SLR_ADDR_TEXT_SIZE];
    socklen_t len = sizeof at;
    int big = 8 << 20;
    if (slr_addr_parse(s->sc.cfg->sip, &to) != SLR_OK || to.family != 4 || to.port == 0) {
        return SLR_INVAL;
    }
    slr_addr_format_ip(&to, ip);
    memcpy(s->media_ip, ip, sizeof s->media_ip);
    if (s->sc.cfg->local_ip) {
        snprintf(s->local_ip, sizeof s->local_ip, "%s", s->sc.cfg->local_ip);
    } else {
        enum slr_err err = slr_local_ip_towards(ip, to.port, s->local_ip);
        if (err != SLR_OK) {
            return err;
        }
    }
    socklen_t to_len = slr_addr_to_sockaddr(&to, &sa);
    if (inet_pton(AF_INET, s->local_ip, &at.sin_addr) != 1) {
        return SLR_INVAL;
    }
    s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (s->fd < 0 ||
        (setsockopt(s->fd, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof big) != 0 &&
         setsockopt(s->fd, SOL_SOCKET, SO_RCVBUF, &big, sizeof big) != 0) ||
        bind(s->fd, (struct sockaddr *)&at, sizeof at) != 0 ||
        connect(s->fd, (struct sockaddr *)&sa, to_len) != 0 ||
        getsockname(s->fd, (struct sockaddr *)&at, &len) != 0) {
        return slr_err_from_errno(errno);
    }
    s->port = ntohs(at.sin_port);
    return SLR_OK;
}

static enum slr_err open_it(const struct slr_setup_config *sc, char local_ip[static 64],
                            char media_ip[static 64], struct slr_setup **out)
{
    struct slr_setup *s = calloc(1, sizeof *s);
    if (!s) {
        return SLR_NOMEM;
    }
    s->sc = *sc;
    s->fd = -1;
    s->active_max = sc->book->size * SLR_LOAD_LEGS;
    s->dialog = calloc((size_t)sc->book->size * SLR_LOAD_LEGS, sizeof *s->dialog);
    s->failed = calloc(sc->book->size, sizeof *s->failed);
    s->active = calloc(s->active_max, sizeof *s->active);
    enum slr_err err = s->dialog && s->failed && s->active ? connect_it(s) : SLR_NOMEM;
    if (err != SLR_OK) {
        close_it(s);
        return err;
    }
    memcpy(local_ip, s->local_ip, 64);
    memcpy(media_ip, s->media_ip, 64);
    *out = s;
    return SLR_OK;
}

static void poll_it(const struct slr_setup *s, struct pollfd *out)
{
    *out = (struct pollfd){.fd = s->fd, .events = POLLIN};
}

const struct slr_setup_ops slr_setup_sip = {.name = "sip",
                                            .open = open_it,
                                            .close = close_it,
                                            .poll = poll_it,
                                            .step = step,
                                            .begin = begin,
                                            .end = end};

/*
 * hep_push: destinations, their queues and sockets. See hep_push.h.
 *
 * A queue holds whole HEP packets one after the other; their own length field tells them apart, so
 * UDP sends one at a time, and TCP begins with a whole packet on each connection.
 */
#include "engine/hep_push.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/hep.h"
#include "common/log.h"
#include "engine/pseudo_sip.h"

#define QUEUE_BYTES (512u << 10)
#define RETRY_TICKS 5u
#define DESTINATIONS_MAX 16u
#define HOST_BYTES 256

struct dest {
    struct slr_hep_push *push;
    const char *text; /* as given */
    bool tcp, usable, connecting;
    struct sockaddr_storage addr;
    socklen_t addr_len;
    int fd; /* -1: none */
    struct slr_watch watch;
    uint32_t retry_in; /* ticks until TCP is tried again */
    bool down_told;
    uint8_t *queue;
    size_t len_bytes;
    size_t part_bytes; /* TCP: of the first packet, sent already */
};

struct slr_hep_push {
    struct slr_loop *loop;
    struct slr_srv_counters *counters;
    struct slr_pseudo_sip *book;
    struct dest dest[DESTINATIONS_MAX];
    size_t count;
    uint8_t packet[SLR_HEP_MAX_BYTES];
};

static size_t first_len(const struct dest *d)
{
    size_t total = 0;
    return slr_hep_frame_len(slr_slice_of(d->queue, d->len_bytes), &total) == SLR_OK ? total : 0;
}

static void eat(struct dest *d, size_t bytes)
{
    d->len_bytes -= bytes;
    memmove(d->queue, d->queue + bytes, d->len_bytes);
}

static void disconnect(struct dest *d, const char *why)
{
    if (!d->down_told) {
        SLR_WARN("hep_destination_down", "to=%s why=%s", SLR_Q(d->text), SLR_Q(why));
        d->down_told = true;
    }
    slr_loop_del(d->push->loop, &d->watch);
    if (d->fd >= 0) {
        close(d->fd);
        d->fd = -1;
    }
    if (d->part_bytes > 0) { /* the rest of it would be noise on the next connection */
        eat(d, first_len(d));
        d->part_bytes = 0;
        slr_srv_add(d->push->counters, SLR_SRV_HEP_DROPPED, 1);
    }
    d->connecting = false;
    d->retry_in = RETRY_TICKS;
}

/* One packet, or a part of it. False: the socket takes no more now. */
static bool send_some(struct dest *d)
{
    size_t len = first_len(d);
    ssize_t n =
        send(d->fd, d->queue + d->part_bytes, len - d->part_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) {
        return true;
    }
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        return false;
    }
    if (n < 0 && d->tcp) {
        disconnect(d, strerror(errno));
        return false;
    }
    d->part_bytes += n < 0 ? 0 : (size_t)n;
    if (n < 0 || !d->tcp || d->part_bytes == len) { /* UDP: refused ones are gone */
        slr_srv_add(d->push->counters, n < 0 ? SLR_SRV_HEP_DROPPED : SLR_SRV_HEP_SENT, 1);
        d->part_bytes = 0;
        eat(d, len);
    }
    return true;
}

static void flush(struct dest *d)
{
    bool ok = true;
    while (ok && d->fd >= 0 && !d->connecting && d->len_bytes > 0) {
        ok = send_some(d);
    }
    if (d->fd >= 0) {
        bool wait = d->connecting || d->len_bytes > 0;
        slr_loop_ask(d->push->loop, &d->watch,
                     wait ? (uint32_t)(EPOLLIN | EPOLLOUT) : (uint32_t)EPOLLIN);
    }
}

/* Readable: UDP has the refusal of an earlier packet to take away, TCP was closed or sends what
 * nobody asked for. */
static void read_away(struct dest *d)
{
    char buf[512];
    ssize_t n = recv(d->fd, buf, sizeof buf, MSG_DONTWAIT);
    bool error = n < 0 && errno != EAGAIN && errno != EINTR;
    if (d->tcp && (n == 0 || error)) {
        disconnect(d, n == 0 ? "closed" : strerror(errno));
    } else if (error) {
        slr_srv_add(d->push->counters, SLR_SRV_HEP_DROPPED, 1);
    }
}

static void on_ready(void *ctx, uint32_t events)
{
    struct dest *d = ctx;
    if (d->connecting && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0) {
        int error = 0;
        socklen_t len = sizeof error;
        if (getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0) {
            disconnect(d, strerror(error));
            return;
        }
        d->connecting = false;
        d->down_told = false;
        SLR_INFO("hep_destination_up", "to=%s", SLR_Q(d->text));
    } else if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0) {
        read_away(d);
    }
    if (d->fd >= 0) {
        flush(d);
    }
}

static void dial(struct dest *d)
{
    int type = d->tcp ? SOCK_STREAM : SOCK_DGRAM;
    d->fd = socket(d->addr.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (d->fd < 0) {
        disconnect(d, strerror(errno));
        return;
    }
    d->connecting = false;
    if (connect(d->fd, (const struct sockaddr *)&d->addr, d->addr_len) != 0) {
        if (errno != EINPROGRESS) {
            disconnect(d, strerror(errno));
            return;
        }
        d->connecting = true;
    }
    if (slr_loop_add(d->push->loop, &d->watch, d->fd, EPOLLIN | EPOLLOUT, on_ready, d) != SLR_OK) {
        disconnect(d, "no room in epoll");
    }
}

/* "udp:HOST:PORT" taken apart. */
static bool parse(struct dest *d, char host[static HOST_BYTES], char port[static 8])
{
    struct slr_slice rest = slr_slice_str(d->text), kind, name;
    uint64_t number;

    if (!slr_slice_take_token(&rest, ':', &kind)) {
        return false;
    }
    d->tcp = slr_slice_eq(kind, "tcp");
    if (!d->tcp && !slr_slice_eq(kind, "udp")) {
        return false;
    }
    const uint8_t *colon = rest.len_bytes ? memrchr(rest.at, ':', rest.len_bytes) : NULL;
    if (!colon || !slr_slice_take(&rest, (size_t)(colon - rest.at), &name) ||
        !slr_slice_skip(&rest, 1)) {
        return false;
    }
    if (name.len_bytes > 2 && name.at[0] == '[' && name.at[name.len_bytes - 1] == ']') {
        name = slr_slice_of(name.at + 1, name.len_bytes - 2);
    } else if (name.len_bytes == 0 || memchr(name.at, ':', name.len_bytes)) {
        return false;
    }
    return slr_slice_to_str(name, host, HOST_BYTES) && slr_slice_to_str(rest, port, 8) &&
           slr_slice_to_u64(rest, 65535, &number) && number > 0;
}

static enum slr_err open_dest(struct slr_hep_push *p, const char *text)
{
    struct dest *d = &p->dest[p->count];
    char host[HOST_BYTES], port[8];
    struct addrinfo *found = NULL;

    d->push = p;
    d->text = text;
    d->fd = d->watch.fd = -1;
    if (!parse(d, host, port)) {
        SLR_ERROR("bad_option", "option=hep-send value=%s expected=udp|tcp:HOST:PORT", SLR_Q(text));
        return SLR_INVAL;
    }
    d->queue = malloc(QUEUE_BYTES);
    if (!d->queue) {
        return SLR_NOMEM;
    }
    p->count++;
    struct addrinfo hints = {.ai_socktype = d->tcp ? SOCK_STREAM : SOCK_DGRAM};
    int code = getaddrinfo(host, port, &hints, &found);
    if (code != 0 || !found || found->ai_addrlen > sizeof d->addr) {
        SLR_ERROR("hep_destination_unknown", "to=%s why=%s", SLR_Q(text),
                  SLR_Q(code ? gai_strerror(code) : "no address"));
    } else {
        memcpy(&d->addr, found->ai_addr, found->ai_addrlen);
        d->addr_len = found->ai_addrlen;
        d->usable = true;
        dial(d);
    }
    if (found) {
        freeaddrinfo(found);
    }
    return SLR_OK;
}

static void take_packet(void *ctx, const struct slr_hep *packet)
{
    struct slr_hep_push *p = ctx;
    struct slr_put put = slr_put_of(p->packet, sizeof p->packet);
    enum slr_err err = slr_hep_encode(packet, &put);

    if (err != SLR_OK) {
        SLR_WARN("hep_encode_failed", "err=%s", slr_err_name(err));
    }
    for (size_t i = 0; i < p->count; i++) {
        struct dest *d = &p->dest[i];
        if (err != SLR_OK || !d->usable || d->len_bytes + put.len_bytes > QUEUE_BYTES) {
            slr_srv_add(p->counters, SLR_SRV_HEP_DROPPED, 1);
            continue;
        }
        memcpy(d->queue + d->len_bytes, put.at, put.len_bytes);
        d->len_bytes += put.len_bytes;
        flush(d);
    }
}

enum slr_err slr_hep_push_open(const struct slr_option_list *destinations, const char *node,
                               uint32_t sessions_max, struct slr_loop *loop,
                               struct slr_srv_counters *counters, struct slr_hep_push **out)
{
    struct slr_hep_push *p = calloc(1, sizeof *p);
    enum slr_err err = SLR_OK;
    if (!p) {
        return SLR_NOMEM;
    }
    p->loop = loop;
    p->counters = counters;
    p->book = slr_pseudo_sip_open(sessions_max, node, take_packet, p);
    if (!p->book) {
        err = SLR_NOMEM;
    }
    for (size_t i = 0; i < destinations->count && err == SLR_OK; i++) {
        if (i == DESTINATIONS_MAX) {
            SLR_ERROR("bad_option", "option=hep-send max=%u", DESTINATIONS_MAX);
            err = SLR_INVAL;
        } else {
            err = open_dest(p, destinations->item[i]);
        }
    }
    if (err != SLR_OK) {
        slr_hep_push_close(p);
        return err;
    }
    *out = p;
    return SLR_OK;
}

void slr_hep_push_close(struct slr_hep_push *p)
{
    for (size_t i = 0; p && i < p->count; i++) {
        struct dest *d = &p->dest[i];
        slr_loop_del(p->loop, &d->watch);
        if (d->fd >= 0) {
            close(d->fd);
        }
        free(d->queue);
    }
    if (p) {
        slr_pseudo_sip_close(p->book);
    }
    free(p);
}

void slr_hep_push_event(struct slr_hep_push *p, const json_t *event)
{
    slr_pseudo_sip_event(p->book, event);
}

void slr_hep_push_tick(struct slr_hep_push *p, slr_wall now)
{
    slr_pseudo_sip_tick(p->book, now);
    for (size_t i = 0; i < p->count; i++) {
        struct dest *d = &p->dest[i];
        if (d->usable && d->fd < 0 && (d->retry_in == 0 || --d->retry_in == 0)) {
            dial(d);
        }
    }
}

/*
 * socket: live backend with epoll and recvmmsg; it runs everywhere.
 *
 * Packets are gathered by time: after a batch the thread sleeps for the rest of batch_us before it
 * looks again, which costs less than half of waking for each packet. A batch is one list of ready
 * sockets (or several while lists come full), handed out over as many calls as it takes.
 * State: struct socket_capture, owned by one worker thread (wake: any thread). Allocates at open
 * and add.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "capture/backend.h"
#include "capture/live.h"
#include "common/log.h"

#define READY_MAX 512
/* Taken of one socket at a time, so that a flood on one does not starve the others. */
#define SOCKET_TAKE_MAX 8

struct message {
    struct sockaddr_storage from;
    struct iovec iov;
    _Alignas(16) uint8_t control[SLR_LIVE_CONTROL_BYTES];
    uint8_t bytes[SLR_LIVE_PAYLOAD_BYTES];
};

struct socket_capture {
    struct slr_capture base;
    struct slr_live live;
    int epoll_fd;
    bool more; /* the batch may not be at its end */
    int64_t batch_at_ns;
    uint32_t ready_count, ready_at;
    struct epoll_event ready[READY_MAX];
    struct mmsghdr head[SLR_CAPTURE_BURST];
    struct message message[SLR_CAPTURE_BURST];
};

static struct socket_capture *socket_of(struct slr_capture *c)
{
    return (struct socket_capture *)(void *)((char *)c - offsetof(struct socket_capture, base));
}

static void socket_close(struct slr_capture *c)
{
    struct socket_capture *s = socket_of(c);
    if (s->epoll_fd >= 0) {
        close(s->epoll_fd);
    }
    for (uint32_t tag = 0; tag < s->live.size; tag++) {
        if (slr_live_has(&s->live, tag)) {
            slr_live_remove(&s->live, tag);
        }
    }
    slr_live_fini(&s->live);
    free(s);
}

static enum slr_err socket_open(const struct slr_capture_config *cfg, struct slr_capture **out)
{
    *out = NULL;
    struct socket_capture *s = calloc(1, sizeof *s);
    if (!s) {
        return SLR_NOMEM;
    }
    s->base.ops = &slr_socket_ops;
    enum slr_err err = slr_live_init(&s->live, cfg);
    if (err != SLR_OK) {
        free(s);
        return err;
    }
    s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (s->epoll_fd < 0) {
        SLR_ERROR("capture_open_failed", "backend=socket text=%s", SLR_Q(strerror(errno)));
        socket_close(&s->base);
        return SLR_IO;
    }
    for (size_t i = 0; i < SLR_CAPTURE_BURST; i++) {
        struct message *m = &s->message[i];
        m->iov = (struct iovec){.iov_base = m->bytes, .iov_len = sizeof m->bytes};
        s->head[i].msg_hdr.msg_iov = &m->iov;
        s->head[i].msg_hdr.msg_iovlen = 1;
        s->head[i].msg_hdr.msg_name = &m->from;
        s->head[i].msg_hdr.msg_control = m->control;
    }
    *out = &s->base;
    return SLR_OK;
}

static enum slr_err socket_add(struct slr_capture *c, int fd, uint32_t tag)
{
    struct socket_capture *s = socket_of(c);
    enum slr_err err = slr_live_add(&s->live, fd, tag);
    if (err != SLR_OK) {
        return err;
    }
    struct epoll_event event = {.events = EPOLLIN,
                                .data.u64 = (uint64_t)s->live.slot[tag].generation << 32 | tag};
    if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        SLR_ERROR("capture_add_failed", "backend=socket text=%s", SLR_Q(strerror(errno)));
        s->live.slot[tag].fd = -1; /* stays the caller's */
        slr_live_remove(&s->live, tag);
        return SLR_IO;
    }
    return SLR_OK;
}

static void socket_remove(struct slr_capture *c, uint32_t tag)
{
    struct socket_capture *s = socket_of(c);
    if (!slr_live_has(&s->live, tag)) {
        return;
    }
    if (epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, s->live.slot[tag].fd, NULL) != 0) {
        SLR_WARN("capture_remove_failed", "backend=socket text=%s", SLR_Q(strerror(errno)));
    }
    slr_live_remove(&s->live, tag);
}

/* Asks for ready sockets without waiting. False: none. */
static bool look(struct socket_capture *s)
{
    int n = epoll_wait(s->epoll_fd, s->ready, READY_MAX, 0);
    s->ready_at = 0;
    s->ready_count = n > 0 ? (uint32_t)n : 0;
    s->more = n == READY_MAX;
    return n > 0;
}

/* Fills the list of ready sockets, waiting as told. */
static void gather(struct socket_capture *s, uint32_t timeout_us)
{
    if ((s->more || timeout_us == 0) && look(s)) {
        return;
    }
    if (timeout_us == 0) {
        return;
    }
    int64_t now_ns = slr_clock_mono(s->live.clock).ns;
    int64_t end_ns = now_ns + (int64_t)timeout_us * 1000;
    int64_t batch_end_ns = s->batch_at_ns + s->live.batch_ns;
    bool woken = false;
    if (batch_end_ns > now_ns) {
        int64_t until_ns = batch_end_ns < end_ns ? batch_end_ns : end_ns;
        woken = slr_live_sleep(&s->live, until_ns - now_ns, NULL, 0);
        now_ns = slr_clock_mono(s->live.clock).ns;
    }
    if (!look(s) && !woken && now_ns < end_ns) {
        slr_live_sleep(&s->live, end_ns - now_ns, &s->epoll_fd, 1);
        look(s);
        now_ns = slr_clock_mono(s->live.clock).ns;
    }
    s->batch_at_ns = now_ns;
}

/* Takes packets of one socket into the burst from place *count on. */
static void take(struct socket_capture *s, uint32_t tag, struct slr_packet *burst, uint32_t *count)
{
    uint32_t room = SLR_CAPTURE_BURST - *count;
    uint32_t want = room < SOCKET_TAKE_MAX ? room : SOCKET_TAKE_MAX;
    struct mmsghdr *head = &s->head[*count];
    for (uint32_t i = 0; i < want; i++) {
        head[i].msg_hdr.msg_namelen = sizeof(struct sockaddr_storage);
        head[i].msg_hdr.msg_controllen = SLR_LIVE_CONTROL_BYTES;
        head[i].msg_hdr.msg_flags = 0;
    }
    int n = recvmmsg(s->live.slot[tag].fd, head, want, MSG_DONTWAIT, NULL);
    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            slr_count_own(&s->live.recv_errors, 1);
        }
        return;
    }
    for (uint32_t i = 0; i < (uint32_t)n; i++) {
        struct slr_live_news news = slr_live_read(&head[i].msg_hdr);
        struct slr_packet *p = &burst[*count];
        slr_live_fill(&s->live, tag, &head[i].msg_hdr, &news, s->message[*count].bytes,
                      head[i].msg_len, p);
        p->kernel_drops = slr_live_news_drops(&s->live, &news, &s->live.slot[tag].drops_seen);
        (*count)++;
    }
    s->more = s->more || (uint32_t)n == want;
}

static enum slr_err socket_next(struct slr_capture *c, uint32_t timeout_us,
                                struct slr_packet *burst, uint32_t *count)
{
    struct socket_capture *s = socket_of(c);
    *count = 0;
    if (s->ready_at == s->ready_count) {
        gather(s, timeout_us);
    }
    if (s->ready_count > 0) {
        slr_live_stamp(&s->live);
    }
    while (*count < SLR_CAPTURE_BURST && s->ready_at < s->ready_count) {
        uint64_t key = s->ready[s->ready_at++].data.u64;
        uint32_t tag = (uint32_t)key;
        if (s->live.slot[tag].generation == (uint32_t)(key >> 32)) {
            take(s, tag, burst, count);
        }
    }
    return SLR_OK;
}

static bool socket_behind(const struct slr_capture *c)
{
    const struct socket_capture *s =
        (const struct socket_capture *)(const void *)((const char *)c -
                                                      offsetof(struct socket_capture, base));
    return s->more || s->ready_at < s->ready_count;
}

static void socket_wake(struct slr_capture *c)
{
    slr_live_wake(&socket_of(c)->live);
}

static void socket_stats(const struct slr_capture *c, struct slr_capture_stats *out)
{
    const struct socket_capture *s =
        (const struct socket_capture *)(const void *)((const char *)c -
                                                      offsetof(struct socket_capture, base));
    slr_live_stats(&s->live, out);
}

const struct slr_capture_ops slr_socket_ops = {
    .name = "socket",
    .passive = false,
    .open = socket_open,
    .add = socket_add,
    .remove = socket_remove,
    .next = socket_next,
    .behind = socket_behind,
    .wake = socket_wake,
    .stats = socket_stats,
    .close = socket_close,
};

/*
 * live: socket table, socket options and control messages of the live backends.
 * State: struct slr_live, owned by one worker thread (wake: any thread). Allocates at init.
 */
#include "capture/live.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"

/* A kernel stamp further off than this is a clock that was set, not a packet that waited. */
#define STAMP_MAX_AGE_NS SLR_NS_PER_S

enum slr_err slr_live_init(struct slr_live *l, const struct slr_capture_config *cfg)
{
    *l = (struct slr_live){.wake_fd = -1};
    if (cfg->max_sockets < 1 || cfg->max_sockets > SLR_LIVE_MAX_SOCKETS) {
        return SLR_INVAL;
    }
    l->clock = cfg->clock ? cfg->clock : slr_clock_real();
    l->size = cfg->max_sockets;
    l->recv_buffer_bytes = cfg->recv_buffer_bytes;
    l->batch_ns = (int64_t)cfg->batch_us * 1000;
    l->slot = calloc(l->size, sizeof *l->slot);
    if (!l->slot) {
        return SLR_NOMEM;
    }
    for (uint32_t i = 0; i < l->size; i++) {
        l->slot[i].fd = -1;
    }
    l->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (l->wake_fd < 0) {
        SLR_ERROR("capture_eventfd_failed", "text=%s", SLR_Q(strerror(errno)));
        free(l->slot);
        l->slot = NULL;
        return SLR_IO;
    }
    return SLR_OK;
}

void slr_live_fini(struct slr_live *l)
{
    if (l->wake_fd >= 0) {
        close(l->wake_fd);
    }
    free(l->slot);
}

uint32_t slr_live_drops(int fd)
{
    uint32_t info[SK_MEMINFO_VARS] = {0};
    socklen_t len_bytes = sizeof info;
    if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &len_bytes) != 0) {
        return 0;
    }
    return info[SK_MEMINFO_DROPS];
}

static enum slr_err set_options(const struct slr_live *l, int fd)
{
    int on = 1;
    int size_bytes = (int)l->recv_buffer_bytes;
    if (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on) != 0) {
        SLR_ERROR("capture_socket_option_failed", "fd=%d text=%s", fd, SLR_Q(strerror(errno)));
        return SLR_IO;
    }
    /* FORCE passes the system's limit but needs a capability; a smaller buffer is no failure. */
    if (size_bytes > 0 &&
        setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size_bytes, sizeof size_bytes) != 0 &&
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size_bytes, sizeof size_bytes) != 0) {
        SLR_WARN("capture_buffer_size_failed", "bytes=%d text=%s", size_bytes,
                 SLR_Q(strerror(errno)));
    }
    return SLR_OK;
}

enum slr_err slr_live_add(struct slr_live *l, int fd, uint32_t tag)
{
    if (fd < 0 || tag >= l->size) {
        return SLR_INVAL;
    }
    struct slr_live_slot *s = &l->slot[tag];
    if (s->used) {
        return SLR_EXISTS;
    }
    enum slr_err err = set_options(l, fd);
    if (err != SLR_OK) {
        return err;
    }
    s->used = true;
    s->fd = fd;
    s->generation++;
    s->drops_seen = slr_live_drops(fd);
    s->last_arrival_ns = 0;
    return SLR_OK;
}

bool slr_live_has(const struct slr_live *l, uint32_t tag)
{
    return tag < l->size && l->slot[tag].used;
}

void slr_live_count_drops(struct slr_live *l, uint32_t tag, uint32_t drops)
{
    uint32_t untold = drops - l->slot[tag].drops_seen;
    /* The counter may also be unreadable (0): then there is nothing to add. */
    if (untold <= INT32_MAX) {
        slr_count_own(&l->drop_kernel, untold);
        l->slot[tag].drops_seen = drops;
    }
}

void slr_live_remove(struct slr_live *l, uint32_t tag)
{
    struct slr_live_slot *s = &l->slot[tag];
    if (s->fd >= 0) {
        slr_live_count_drops(l, tag, slr_live_drops(s->fd));
        close(s->fd);
    }
    s->fd = -1;
    s->used = false;
    s->generation++;
}

void slr_live_stamp(struct slr_live *l)
{
    l->now_ns = slr_clock_mono(l->clock).ns;
    l->offset_ns = l->now_ns - slr_clock_wall(l->clock).ns;
}

struct control {
    int64_t wall_ns; /* 0: none */
    uint32_t drops;
    bool has_drops;
};

/* Control messages are the kernel's words, yet copied out: their alignment is not promised. */
static struct control parse_control(const struct msghdr *msg)
{
    struct control c = {.wall_ns = 0};
    struct msghdr m = *msg;
    for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
        if (h->cmsg_level != SOL_SOCKET) {
            continue;
        }
        if (h->cmsg_type == SCM_TIMESTAMPNS && h->cmsg_len >= CMSG_LEN(sizeof(struct timespec))) {
            struct timespec ts;
            memcpy(&ts, CMSG_DATA(h), sizeof ts);
            c.wall_ns = (int64_t)ts.tv_sec * SLR_NS_PER_S + ts.tv_nsec;
        } else if (h->cmsg_type == SO_RXQ_OVFL && h->cmsg_len >= CMSG_LEN(sizeof c.drops)) {
            memcpy(&c.drops, CMSG_DATA(h), sizeof c.drops);
            c.has_drops = true;
        }
    }
    return c;
}

static int64_t arrival_of(const struct slr_live *l, int64_t wall_ns)
{
    int64_t mono_ns = wall_ns + l->offset_ns;
    if (wall_ns == 0 || mono_ns > l->now_ns || mono_ns < l->now_ns - STAMP_MAX_AGE_NS) {
        return l->now_ns;
    }
    return mono_ns;
}

/* As slr_addr_from_sockaddr, from where the kernel wrote it: nothing is copied but the address. */
static void source_of(const struct msghdr *msg, struct slr_addr *src)
{
    const struct sockaddr_in *in = msg->msg_name;
    if (in && msg->msg_namelen == sizeof *in && in->sin_family == AF_INET) {
        memcpy(src->ip, &in->sin_addr, 4);
        src->port = ntohs(in->sin_port);
        src->family = 4;
    } else if (in && msg->msg_namelen >= sizeof(struct sockaddr_in6) &&
               !slr_addr_from_sockaddr(msg->msg_name, src)) {
        *src = (struct slr_addr){.family = 0};
    }
}

void slr_live_fill(struct slr_live *l, uint32_t tag, const struct msghdr *msg, const uint8_t *at,
                   uint32_t len_bytes, struct slr_packet *p)
{
    struct slr_live_slot *s = &l->slot[tag];
    struct control c = parse_control(msg);
    *p = (struct slr_packet){.at = at, .len_bytes = len_bytes, .tag = tag};
    source_of(msg, &p->src);
    int64_t arrival_ns = arrival_of(l, c.wall_ns);
    if (arrival_ns < s->last_arrival_ns) {
        arrival_ns = s->last_arrival_ns;
    }
    s->last_arrival_ns = arrival_ns;
    p->arrival = (slr_mono){arrival_ns};
    if (c.has_drops) {
        p->kernel_drops = c.drops - s->drops_seen;
        s->drops_seen = c.drops;
        slr_count_own(&l->drop_kernel, p->kernel_drops);
    }
    p->truncated = (msg->msg_flags & MSG_TRUNC) != 0;
    slr_count_own(p->truncated ? &l->drop_truncated : &l->packets, 1);
}

void slr_live_stats(const struct slr_live *l, struct slr_capture_stats *out)
{
    *out = (struct slr_capture_stats){.packets = slr_count_get(&l->packets),
                                      .drop_truncated = slr_count_get(&l->drop_truncated),
                                      .drop_kernel = slr_count_get(&l->drop_kernel),
                                      .recv_errors = slr_count_get(&l->recv_errors),
                                      .no_buffers = slr_count_get(&l->no_buffers)};
}

void slr_live_wake(const struct slr_live *l)
{
    const uint64_t one = 1;
    ssize_t n;
    do {
        n = write(l->wake_fd, &one, sizeof one);
    } while (n < 0 && errno == EINTR);
    /* EAGAIN: the counter is at its limit, so it is readable all the more. */
}

bool slr_live_take_wake(const struct slr_live *l)
{
    uint64_t times;
    return read(l->wake_fd, &times, sizeof times) == (ssize_t)sizeof times;
}

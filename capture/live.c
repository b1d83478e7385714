/*
 * live: socket table, socket options and control messages of the live backends.
 * State: struct slr_live, owned by one worker thread (wake: any thread). Allocates at init.
 */
#include "capture/live.h"

#include <assert.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"

/* A kernel stamp further off than this is a clock that was set, not a packet that waited. */
#define STAMP_MAX_AGE_NS SLR_NS_PER_S
/* Nobody looked for so long at most: packets that waited as long are believed their stamps. */
#define STALL_MAX_NS (60 * SLR_NS_PER_S)
#define STAMP_TRIES 3
#define STAMP_GOOD_NS 2000

enum slr_err slr_live_init(struct slr_live *l, const struct slr_capture_config *cfg)
{
    *l = (struct slr_live){.wake_fd = -1};
    if (cfg->max_sockets < 1 || cfg->max_sockets > SLR_LIVE_MAX_SOCKETS) {
        return SLR_INVAL;
    }
    l->clock = cfg->clock ? cfg->clock : slr_clock_real();
    l->now_ns = slr_clock_mono(l->clock).ns;
    l->oldest_ns = STAMP_MAX_AGE_NS;
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

enum slr_err slr_live_options(int fd, uint32_t buffer_bytes)
{
    int on = 1;
    int size_bytes = (int)buffer_bytes;
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
    enum slr_err err = slr_live_options(fd, l->recv_buffer_bytes);
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

/* The two clocks are read one after the other: another thread may run in between, and then their
 * distance is wrong. */
void slr_live_stamp(struct slr_live *l)
{
    int64_t best_ns = INT64_MAX;
    int64_t before_ns = l->now_ns;
    for (int i = 0; i < STAMP_TRIES && best_ns > STAMP_GOOD_NS; i++) {
        int64_t wall_ns = slr_clock_wall(l->clock).ns;
        l->now_ns = slr_clock_mono(l->clock).ns;
        int64_t again_ns = slr_clock_wall(l->clock).ns;
        if (again_ns - wall_ns < best_ns) {
            best_ns = again_ns - wall_ns;
            l->offset_ns = l->now_ns - wall_ns;
        }
    }
    int64_t away_ns = l->now_ns - before_ns < STALL_MAX_NS ? l->now_ns - before_ns : STALL_MAX_NS;
    l->oldest_ns -= away_ns; /* what waited so long is taken by and by */
    if (l->oldest_ns < away_ns + STAMP_MAX_AGE_NS) {
        l->oldest_ns = away_ns + STAMP_MAX_AGE_NS;
    }
}

/* A struct sockaddr_in or sockaddr_in6, of which the kernel wrote len_bytes. */
static bool read_address(const void *at, size_t len_bytes, struct slr_addr *out)
{
    struct sockaddr_in in;
    if (len_bytes >= sizeof in) {
        memcpy(&in, at, sizeof in);
        if (in.sin_family == AF_INET) {
            memcpy(out->ip, &in.sin_addr, 4);
            out->port = ntohs(in.sin_port);
            out->family = 4;
            return true;
        }
    }
    struct sockaddr_in6 in6;
    if (len_bytes < sizeof in6) {
        return false;
    }
    memcpy(&in6, at, sizeof in6);
    return slr_addr_from_sockaddr((const struct sockaddr *)&in6, out);
}

/* Control messages are the kernel's words, yet copied out: their alignment is not promised. */
static void read_message(const struct cmsghdr *h, struct slr_live_news *n)
{
    const uint8_t *at = CMSG_DATA(h);
    if (h->cmsg_len < CMSG_LEN(0)) {
        return;
    }
    size_t len_bytes = h->cmsg_len - CMSG_LEN(0);
    if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_TIMESTAMPNS) {
        struct timespec ts;
        if (len_bytes >= sizeof ts) {
            memcpy(&ts, at, sizeof ts);
            n->wall_ns = (int64_t)ts.tv_sec * SLR_NS_PER_S + ts.tv_nsec;
        }
    } else if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SO_RXQ_OVFL) {
        if (len_bytes >= sizeof n->drops) {
            memcpy(&n->drops, at, sizeof n->drops);
            n->has_drops = true;
        }
    } else if ((h->cmsg_level == IPPROTO_IP && h->cmsg_type == IP_ORIGDSTADDR) ||
               (h->cmsg_level == IPPROTO_IPV6 && h->cmsg_type == IPV6_ORIGDSTADDR)) {
        n->dst = (struct slr_addr){.family = 0};
        if (!read_address(at, len_bytes, &n->dst)) {
            n->dst.family = 0;
        }
    }
}

struct slr_live_news slr_live_read(const struct msghdr *msg)
{
    struct slr_live_news n;
    n.wall_ns = 0;
    n.has_drops = false;
    n.drops = 0;
    n.dst.family = 0;
    struct msghdr m = *msg;
    for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
        read_message(h, &n);
    }
    return n;
}

uint32_t slr_live_news_drops(struct slr_live *l, const struct slr_live_news *news, uint32_t *seen)
{
    if (!news->has_drops) {
        return 0;
    }
    uint32_t fresh = news->drops - *seen;
    if (fresh > INT32_MAX) {
        return 0; /* older than what was asked of the socket itself */
    }
    *seen = news->drops;
    slr_count_own(&l->drop_kernel, fresh);
    return fresh;
}

/* A stamp is believed that is neither of the future nor older than a packet may be. */
static int64_t arrival_of(struct slr_live *l, int64_t wall_ns)
{
    if (wall_ns != 0 && wall_ns + l->offset_ns > l->now_ns) {
        slr_live_stamp(l); /* it came after the clock was read: that thread may have been away */
    }
    int64_t mono_ns = wall_ns + l->offset_ns;
    if (wall_ns == 0 || mono_ns > l->now_ns || mono_ns < l->now_ns - l->oldest_ns) {
        return l->now_ns;
    }
    return mono_ns;
}

void slr_live_fill(struct slr_live *l, uint32_t tag, const struct msghdr *msg,
                   const struct slr_live_news *news, const uint8_t *at, uint32_t len_bytes,
                   struct slr_packet *p)
{
    struct slr_live_slot *s = &l->slot[tag];
    *p = (struct slr_packet){.at = at, .len_bytes = len_bytes, .tag = tag};
    if (msg->msg_name && !read_address(msg->msg_name, msg->msg_namelen, &p->src)) {
        p->src = (struct slr_addr){.family = 0};
    }
    int64_t arrival_ns = arrival_of(l, news->wall_ns);
    if (arrival_ns < s->last_arrival_ns) {
        arrival_ns = s->last_arrival_ns;
    }
    s->last_arrival_ns = arrival_ns;
    p->arrival = (slr_mono){arrival_ns};
    p->truncated = (msg->msg_flags & MSG_TRUNC) != 0;
    slr_count_own(p->truncated ? &l->drop_truncated : &l->packets, 1);
}

void slr_live_stats(const struct slr_live *l, struct slr_capture_stats *out)
{
    *out = (struct slr_capture_stats){.packets = slr_count_get(&l->packets),
                                      .drop_truncated = slr_count_get(&l->drop_truncated),
                                      .drop_kernel = slr_count_get(&l->drop_kernel),
                                      .drop_stray = slr_count_get(&l->drop_stray),
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

/* ppoll, since milliseconds are too coarse. An interruption counts as time that is up: the caller
 * comes again. */
bool slr_live_sleep(const struct slr_live *l, int64_t ns, const int *fd, uint32_t count)
{
    struct pollfd fds[1 + SLR_LIVE_SLEEP_FDS] = {{.fd = l->wake_fd, .events = POLLIN}};
    const struct timespec ts = {.tv_sec = ns / SLR_NS_PER_S, .tv_nsec = ns % SLR_NS_PER_S};
    assert(count <= SLR_LIVE_SLEEP_FDS);
    for (uint32_t i = 0; i < count; i++) {
        fds[1 + i] = (struct pollfd){.fd = fd[i], .events = POLLIN};
    }
    int n = ppoll(fds, 1 + count, &ts, NULL);
    return n > 0 && (fds[0].revents & POLLIN) != 0 && slr_live_take_wake(l);
}

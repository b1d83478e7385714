/*
 * shared: live backend in which a few sockets receive for all ports of a worker.
 *
 * Every stream keeps its own port. The bound socket that is added is parked (park.h): it holds the
 * port, so that no other program is given it, and receives nothing, since from then on a BPF
 * program (steer.h) hands the port's datagrams to one of the worker's sockets. Each datagram brings
 * its original destination, and by that alone it finds its tag. What belongs to no tag, because the
 * socket held it when its port was given up, is a stray: counted, delivered to nobody, also where
 * the port has another tag by then, which the kernel's time stamp tells. A drop is known to have
 * hit the socket, not which stream. Nothing waits in the kernel for a packet, so gathering by time
 * costs no wakeup: the thread sleeps for batch_us and empties the sockets. State: struct shared,
 * owned by one worker thread (wake: any thread). Allocates at open only.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "capture/backend.h"
#include "capture/live.h"
#include "capture/park.h"
#include "capture/steer.h"
#include "common/log.h"

#define PORTS 65536u
#define NO_TAG UINT32_MAX
#define CONTROL_BYTES 128u  /* a time stamp, an overflow counter and an IPv6 address */
#define SOCKETS_A_FAMILY 4u /* several of the kernel's cores may deliver at once */
#define BUFFER_FACTOR 128u  /* of what one stream's socket would have */
#define BUFFER_MAX_BYTES (256u << 20)
#define STAMP_TRIES 100
#define STAMP_WAIT_MS 100
#define STAMP_LATE_NS (SLR_NS_PER_MS / 2)

struct message {
    struct sockaddr_storage from;
    struct iovec iov;
    _Alignas(16) uint8_t control[CONTROL_BYTES];
    uint8_t bytes[SLR_LIVE_PAYLOAD_BYTES];
};

/* What a tag stands for. */
struct place {
    uint32_t ip, socket, parked;
    uint16_t port;
};

/* Whose a port is. Between being given up and being added again nothing is steered from it, so what
 * is stamped before the middle of that time is of its past. */
struct owner {
    uint32_t tag; /* NO_TAG: nobody's */
    int64_t freed_ns, since_ns;
};

_Static_assert(SLR_STEER_SOCKETS <= SLR_LIVE_SLEEP_FDS, "it sleeps until one has packets");

struct shared {
    struct slr_capture base;
    struct slr_live live;
    struct slr_steer *steer;
    struct slr_park *park;
    struct place *place; /* by tag */
    struct owner *owner; /* by address and port */
    int fd[SLR_STEER_SOCKETS];
    uint32_t drops_seen[SLR_STEER_SOCKETS];
    uint32_t fd_count, fd_at; /* fd_at == fd_count: the batch is at its end */
    uint32_t drops_due;       /* no packet has told them yet */
    uint32_t first_of[7];     /* number of the family's first socket, by 4 and 6 */
    int64_t batch_at_ns;
    struct mmsghdr head[SLR_CAPTURE_BURST];
    struct message message[SLR_CAPTURE_BURST];
};

static struct shared *shared_of(struct slr_capture *c)
{
    return (struct shared *)(void *)((char *)c - offsetof(struct shared, base));
}

static void shared_close(struct slr_capture *c)
{
    struct shared *s = shared_of(c);
    slr_steer_close(s->steer);
    for (uint32_t i = 0; i < s->fd_count; i++) {
        close(s->fd[i]);
    }
    slr_park_close(s->park);
    slr_live_fini(&s->live);
    free(s->place);
    free(s->owner);
    free(s);
}

/* ---- open ---- */

/* Bound, since only then can it be steered to; on loopback, so as to take no media port. */
static enum slr_err open_socket(struct shared *s, uint8_t family)
{
    struct sockaddr_storage sa;
    struct slr_addr at;
    int on = 1;
    int domain = family == 6 ? AF_INET6 : AF_INET;
    enum slr_err err = slr_addr_parse(family == 6 ? "::1" : "127.0.0.1", &at);
    int fd = socket(domain, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (err != SLR_OK || fd < 0) {
        return SLR_IO;
    }
    s->fd[s->fd_count++] = fd;
    socklen_t len_bytes = slr_addr_to_sockaddr(&at, &sa);
    int set = domain == AF_INET
                  ? setsockopt(fd, IPPROTO_IP, IP_RECVORIGDSTADDR, &on, sizeof on)
                  : setsockopt(fd, IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, &on, sizeof on);
    if (set != 0 || bind(fd, (const struct sockaddr *)&sa, len_bytes) != 0) {
        SLR_WARN("capture_open_failed", "backend=shared what=bind text=%s", SLR_Q(strerror(errno)));
        return SLR_UNSUPPORTED;
    }
    uint64_t bytes = (uint64_t)s->live.recv_buffer_bytes * BUFFER_FACTOR;
    return slr_live_options(fd, bytes < BUFFER_MAX_BYTES ? (uint32_t)bytes : BUFFER_MAX_BYTES);
}

static enum slr_err open_sockets(struct shared *s, const struct slr_capture_config *cfg)
{
    static const uint8_t families[] = {4, 6};
    for (size_t f = 0; f < sizeof families; f++) {
        bool wanted = false;
        for (uint32_t i = 0; i < cfg->media_ip_count; i++) {
            wanted = wanted || cfg->media_ip[i].family == families[f];
        }
        s->first_of[families[f]] = s->fd_count;
        for (uint32_t i = 0; wanted && i < SOCKETS_A_FAMILY; i++) {
            enum slr_err err = open_socket(s, families[f]);
            if (err != SLR_OK) {
                return err;
            }
        }
    }
    s->fd_at = s->fd_count;
    return SLR_OK;
}

static enum slr_err allocate(struct shared *s, const struct slr_capture_config *cfg)
{
    size_t ports = (size_t)cfg->media_ip_count * PORTS;
    s->place = calloc(s->live.size, sizeof *s->place);
    s->owner = malloc(ports * sizeof *s->owner);
    if (!s->place || !s->owner) {
        return SLR_NOMEM;
    }
    for (size_t i = 0; i < ports; i++) {
        s->owner[i] = (struct owner){NO_TAG, INT64_MIN, INT64_MIN};
    }
    for (size_t i = 0; i < SLR_CAPTURE_BURST; i++) {
        struct message *m = &s->message[i];
        m->iov = (struct iovec){.iov_base = m->bytes, .iov_len = sizeof m->bytes};
        s->head[i].msg_hdr.msg_iov = &m->iov;
        s->head[i].msg_hdr.msg_iovlen = 1;
        s->head[i].msg_hdr.msg_name = &m->from;
        s->head[i].msg_hdr.msg_control = m->control;
    }
    return SLR_OK;
}

/* True: a datagram to our own socket, taken later than it came, says when it came. */
static bool is_stamped(struct shared *s)
{
    struct sockaddr_storage sa;
    socklen_t len_bytes = sizeof sa;
    struct msghdr *msg = &s->head[0].msg_hdr;
    if (getsockname(s->fd[0], (struct sockaddr *)&sa, &len_bytes) != 0 ||
        sendto(s->fd[0], "", 1, MSG_DONTWAIT, (const struct sockaddr *)&sa, len_bytes) != 1) {
        return false;
    }
    struct pollfd came = {.fd = s->fd[0], .events = POLLIN};
    if (poll(&came, 1, STAMP_WAIT_MS) != 1) {
        return false;
    }
    nanosleep(&(struct timespec){0, STAMP_LATE_NS}, NULL);
    int64_t late_ns = slr_clock_wall(slr_clock_real()).ns;
    msg->msg_namelen = sizeof(struct sockaddr_storage);
    msg->msg_controllen = CONTROL_BYTES;
    if (recvmsg(s->fd[0], msg, MSG_DONTWAIT) < 0) {
        return false;
    }
    int64_t wall_ns = slr_live_read(msg).wall_ns;
    return wall_ns != 0 && wall_ns < late_ns;
}

/* The kernel begins to stamp packets some time after the first socket asked for it; until then it
 * says when a packet was taken, by which strays can't be told. */
static enum slr_err wait_for_stamps(struct shared *s)
{
    for (int i = 0; i < STAMP_TRIES; i++) {
        if (is_stamped(s)) {
            return SLR_OK;
        }
    }
    SLR_WARN("capture_open_failed", "backend=shared what=%s", SLR_Q("time stamps"));
    return SLR_UNSUPPORTED;
}

static enum slr_err shared_open(const struct slr_capture_config *cfg, struct slr_capture **out)
{
    *out = NULL;
    if (cfg->media_ip_count < 1) {
        return SLR_INVAL;
    }
    struct shared *s = calloc(1, sizeof *s);
    if (!s) {
        return SLR_NOMEM;
    }
    s->base.ops = &slr_shared_ops;
    enum slr_err err = slr_live_init(&s->live, cfg);
    if (err != SLR_OK) {
        free(s);
        return err;
    }
    err = allocate(s, cfg);
    if (err == SLR_OK) {
        err = slr_park_open(s->live.size, &s->park);
    }
    if (err == SLR_OK) {
        err = open_sockets(s, cfg);
    }
    if (err == SLR_OK) {
        err = wait_for_stamps(s);
    }
    if (err == SLR_OK) {
        err = slr_steer_open(cfg->media_ip, cfg->media_ip_count, s->fd, s->fd_count, &s->steer);
        err = err == SLR_INVAL ? SLR_UNSUPPORTED : err; /* a wildcard among the addresses */
    }
    if (err != SLR_OK) {
        shared_close(&s->base);
        return err;
    }
    *out = &s->base;
    return SLR_OK;
}

/* ---- ports ---- */

static enum slr_err place_of(const struct shared *s, int fd, struct place *p)
{
    struct sockaddr_storage sa;
    struct slr_addr at;
    socklen_t len_bytes = sizeof sa;
    if (getsockname(fd, (struct sockaddr *)&sa, &len_bytes) != 0 ||
        !slr_addr_from_sockaddr((const struct sockaddr *)&sa, &at)) {
        return SLR_IO;
    }
    p->ip = slr_steer_ip(s->steer, &at);
    if (p->ip == SLR_STEER_NONE) {
        SLR_ERROR("capture_add_failed", "backend=shared why=%s", SLR_Q("not a media address"));
        return SLR_INVAL;
    }
    p->port = at.port;
    /* the RTP and the RTCP port of a leg, and neighbours, on different ones */
    p->socket = s->first_of[at.family] + (at.port / 2u + at.port) % SOCKETS_A_FAMILY;
    return SLR_OK;
}

static enum slr_err shared_add(struct slr_capture *c, int fd, uint32_t tag)
{
    struct shared *s = shared_of(c);
    struct place p;
    if (fd < 0 || tag >= s->live.size) {
        return SLR_INVAL;
    }
    if (slr_live_has(&s->live, tag)) {
        return SLR_EXISTS;
    }
    enum slr_err err = place_of(s, fd, &p);
    if (err != SLR_OK) {
        return err;
    }
    struct owner *o = &s->owner[p.ip * PORTS + p.port];
    slr_live_stamp(&s->live);
    o->since_ns = o->freed_ns == INT64_MIN ? INT64_MIN : (o->freed_ns + s->live.now_ns) / 2;
    o->tag = tag;
    p.parked = slr_park_put(s->park, fd);
    s->place[tag] = p;
    s->live.slot[tag].used = true;
    s->live.slot[tag].last_arrival_ns = 0;
    slr_steer_port(s->steer, p.ip, p.port, p.socket);
    return SLR_OK;
}

/* Drops that no packet told. */
static void count_drops(struct shared *s, uint32_t socket)
{
    uint32_t untold = slr_live_drops(s->fd[socket]) - s->drops_seen[socket];
    if (untold <= INT32_MAX) {
        slr_count_own(&s->live.drop_kernel, untold);
        s->drops_seen[socket] += untold;
    }
}

static void shared_remove(struct slr_capture *c, uint32_t tag)
{
    struct shared *s = shared_of(c);
    if (!slr_live_has(&s->live, tag)) {
        return;
    }
    const struct place *p = &s->place[tag];
    slr_steer_port(s->steer, p->ip, p->port, SLR_STEER_NONE);
    struct owner *o = &s->owner[p->ip * PORTS + p->port];
    slr_live_stamp(&s->live);
    o->freed_ns = s->live.now_ns;
    o->tag = NO_TAG;
    slr_live_remove(&s->live, tag);
    slr_park_drop(s->park, p->parked);
    count_drops(s, p->socket);
}

/* ---- packets ---- */

/* The tag whose datagram this is, or NO_TAG. */
static uint32_t tag_of(const struct shared *s, const struct slr_live_news *news)
{
    uint32_t ip = news->dst.family ? slr_steer_ip(s->steer, &news->dst) : SLR_STEER_NONE;
    if (ip == SLR_STEER_NONE) {
        return NO_TAG;
    }
    const struct owner *o = &s->owner[ip * PORTS + news->dst.port];
    bool past = news->wall_ns != 0 && news->wall_ns + s->live.offset_ns < o->since_ns;
    return past ? NO_TAG : o->tag;
}

/* Takes packets of one socket, with the messages from number `used` on; how many came, strays
 * included. */
static uint32_t take(struct shared *s, uint32_t socket, uint32_t used, struct slr_packet *burst,
                     uint32_t *count)
{
    uint32_t room = SLR_CAPTURE_BURST - used;
    struct mmsghdr *head = &s->head[used];
    for (uint32_t i = 0; i < room; i++) {
        head[i].msg_hdr.msg_namelen = sizeof(struct sockaddr_storage);
        head[i].msg_hdr.msg_controllen = CONTROL_BYTES;
        head[i].msg_hdr.msg_flags = 0;
    }
    int n = recvmmsg(s->fd[socket], head, room, MSG_DONTWAIT, NULL);
    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            slr_count_own(&s->live.recv_errors, 1);
        }
        return 0;
    }
    slr_live_stamp(&s->live);
    for (uint32_t i = 0; i < (uint32_t)n; i++) {
        struct slr_live_news news = slr_live_read(&head[i].msg_hdr);
        s->drops_due += slr_live_news_drops(&s->live, &news, &s->drops_seen[socket]);
        uint32_t tag = tag_of(s, &news);
        if (tag == NO_TAG) {
            slr_count_own(&s->live.drop_stray, 1);
            continue;
        }
        struct slr_packet *p = &burst[(*count)++];
        slr_live_fill(&s->live, tag, &head[i].msg_hdr, &news, s->message[used + i].bytes,
                      head[i].msg_len, p);
        p->kernel_drops = s->drops_due;
        p->drops_anywhere = true;
        s->drops_due = 0;
    }
    return (uint32_t)n;
}

/* One round over the sockets from where the last call ended, as far as there are messages. */
static void take_round(struct shared *s, struct slr_packet *burst, uint32_t *count)
{
    uint32_t used = 0;
    while (s->fd_at < s->fd_count && used < SLR_CAPTURE_BURST) {
        uint32_t room = SLR_CAPTURE_BURST - used;
        uint32_t got = take(s, s->fd_at, used, burst, count);
        s->fd_at += got < room; /* it is empty */
        used += got;
    }
}

static enum slr_err shared_next(struct slr_capture *c, uint32_t timeout_us,
                                struct slr_packet *burst, uint32_t *count)
{
    struct shared *s = shared_of(c);
    *count = 0;
    take_round(s, burst, count); /* what is left of the batch */
    if (*count > 0) {
        return SLR_OK;
    }
    if (timeout_us == 0) {
        s->fd_at = 0;
        take_round(s, burst, count);
        return SLR_OK;
    }
    int64_t now_ns = slr_clock_mono(s->live.clock).ns;
    int64_t end_ns = now_ns + (int64_t)timeout_us * 1000;
    int64_t batch_end_ns = s->batch_at_ns + s->live.batch_ns;
    bool woken = false;
    if (batch_end_ns > now_ns) {
        woken = slr_live_sleep(&s->live, (batch_end_ns < end_ns ? batch_end_ns : end_ns) - now_ns,
                               NULL, 0);
        now_ns = slr_clock_mono(s->live.clock).ns;
    }
    s->fd_at = 0;
    take_round(s, burst, count);
    if (*count == 0 && !woken && now_ns < end_ns) {
        slr_live_sleep(&s->live, end_ns - now_ns, s->fd, s->fd_count);
        s->fd_at = 0;
        take_round(s, burst, count);
        now_ns = slr_clock_mono(s->live.clock).ns;
    }
    s->batch_at_ns = now_ns;
    return SLR_OK;
}

static bool shared_behind(const struct slr_capture *c)
{
    const struct shared *s =
        (const struct shared *)(const void *)((const char *)c - offsetof(struct shared, base));
    return s->fd_at < s->fd_count;
}

static void shared_wake(struct slr_capture *c)
{
    slr_live_wake(&shared_of(c)->live);
}

static void shared_stats(const struct slr_capture *c, struct slr_capture_stats *out)
{
    const struct shared *s =
        (const struct shared *)(const void *)((const char *)c - offsetof(struct shared, base));
    slr_live_stats(&s->live, out);
}

const struct slr_capture_ops slr_shared_ops = {
    .name = "shared",
    .passive = false,
    .open = shared_open,
    .add = shared_add,
    .remove = shared_remove,
    .next = shared_next,
    .behind = shared_behind,
    .wake = shared_wake,
    .stats = shared_stats,
    .close = shared_close,
};

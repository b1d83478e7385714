/*
 * measure: see the header.
 */
#include "load/measure.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "load/cast.h"
#include "load/out.h"
#include "load/packet.h"

#define SINKS 1000u
#define ENOUGH 500000.0 /* packets a second */
#define DRAIN 16u
#define FAR_NET 0xc6120000u /* 198.18.0.0 */

struct sinks {
    int fd[SINKS]; /* none where frames are sent */
    struct sockaddr_in at[SINKS];
    uint32_t count;
    _Atomic bool quit;
};

static int64_t time_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * SLR_NS_PER_S + t.tv_nsec;
}

static void *drain(void *ctx)
{
    struct sinks *s = ctx;
    static char byte[DRAIN];
    struct iovec iov[DRAIN];
    struct mmsghdr msg[DRAIN];
    memset(msg, 0, sizeof msg);
    for (uint32_t i = 0; i < DRAIN; i++) {
        iov[i] = (struct iovec){&byte[i], 1};
        msg[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
    }
    while (!atomic_load(&s->quit)) {
        struct timespec nap = {0, 5 * SLR_NS_PER_MS};
        nanosleep(&nap, NULL);
        for (uint32_t i = 0; i < s->count; i++) {
            (void)recvmmsg(s->fd[i], msg, DRAIN, MSG_DONTWAIT | MSG_TRUNC, NULL);
        }
    }
    return NULL;
}

/* Frames go to nobody: addresses of a range that is there for measuring (RFC 2544). */
static void invent_sinks(struct sinks *s)
{
    for (uint32_t i = 0; i < SINKS; i++) {
        s->at[i] = (struct sockaddr_in){.sin_family = AF_INET,
                                        .sin_port = htons((uint16_t)(10000 + 2 * i)),
                                        .sin_addr = {.s_addr = htonl(FAR_NET + 2)}};
    }
    s->count = SINKS;
}

static bool open_sinks(struct sinks *s)
{
    for (s->count = 0; s->count < SINKS; s->count++) {
        struct sockaddr_in *at = &s->at[s->count];
        socklen_t len = sizeof *at;
        *at = (struct sockaddr_in){.sin_family = AF_INET,
                                   .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        s->fd[s->count] = fd;
        if (fd < 0 || bind(fd, (struct sockaddr *)at, len) != 0 ||
            getsockname(fd, (struct sockaddr *)at, &len) != 0) {
            if (fd >= 0) {
                close(fd);
            }
            return false;
        }
    }
    return true;
}

static void close_sinks(struct sinks *s)
{
    for (uint32_t i = 0; i < s->count; i++) {
        if (s->fd[i] > 0) {
            close(s->fd[i]);
        }
    }
}

/* Sends frame after frame to all of them until the time is over. Gives the seconds. */
static double send_all(const struct slr_load_config *cfg, const struct slr_cast *cast,
                       const struct sinks *s, struct slr_batch *b)
{
    static struct slr_packet_leg leg[SINKS];
    static const struct slr_fate fate = {.talk = true};
    const struct sockaddr_in from = {.sin_family = AF_INET,
                                     .sin_port = htons(10000),
                                     .sin_addr = {.s_addr = htonl(FAR_NET + 1)}};
    for (uint32_t i = 0; i < s->count; i++) {
        slr_packet_begin(&leg[i], slr_cast_voice(cast, i), cfg->seed, cfg->run_id, i, 0);
    }
    int64_t start = time_of(CLOCK_MONOTONIC);
    int64_t end = start + (int64_t)cfg->seconds * SLR_NS_PER_S;
    for (uint32_t frame = 0;; frame++) {
        for (uint32_t i = 0; i < s->count; i++) {
            struct slr_fate f = fate;
            f.seq = frame;
            size_t n = slr_packet_write(&leg[i], frame, &f, slr_batch_at(b));
            slr_batch_add(b, &from, &s->at[i], n);
            if (b->count == b->most) {
                (void)slr_batch_flush(b);
            }
        }
        int64_t now = time_of(CLOCK_MONOTONIC);
        if (now >= end) {
            (void)slr_batch_flush(b);
            return (double)(now - start) / (double)SLR_NS_PER_S;
        }
    }
}

static int report(const struct slr_load_config *cfg, const struct slr_batch *b, uint64_t dropped,
                  double wall_s, int64_t cpu_ns, FILE *out)
{
    double rate = (double)b->packets / ((double)cpu_ns / (double)SLR_NS_PER_S);
    fprintf(out,
            "{\"bench\":\"load/sender\",\"value\":%.0f,\"unit\":\"packets per second of one core, "
            "what the kernel does with them there included\",\"send\":\"%s\","
            "\"per_wall_second\":%.0f,\"ns_per_packet\":%.0f,"
            "\"waits\":%llu,\"errors\":%llu,\"dropped\":%llu,\"ok\":%s}\n",
            rate, cfg->send, (double)b->packets / wall_s, (double)cpu_ns / (double)b->packets,
            (unsigned long long)b->waits, (unsigned long long)b->errors,
            (unsigned long long)dropped, rate >= ENOUGH ? "true" : "false");
    return rate >= ENOUGH && b->errors == 0 ? 0 : 1;
}

static int run(const struct slr_load_config *cfg, const struct slr_cast *cast,
               const struct sinks *s, const struct slr_out *way, FILE *out)
{
    static struct slr_batch b;
    if (slr_batch_open(&b, &way->way, SLR_PACKET_MAX_BYTES) != SLR_OK) {
        return 2;
    }
    int64_t before = time_of(CLOCK_THREAD_CPUTIME_ID);
    double wall_s = send_all(cfg, cast, s, &b);
    int64_t cpu_ns = time_of(CLOCK_THREAD_CPUTIME_ID) - before;
    int status = report(cfg, &b, slr_out_dropped(way), wall_s, cpu_ns, out);
    slr_batch_close(&b);
    return status;
}

static int run_drained(const struct slr_load_config *cfg, const struct slr_cast *cast,
                       struct sinks *s, const struct slr_out *way, FILE *out)
{
    pthread_t thread;
    if (!open_sinks(s) || pthread_create(&thread, NULL, drain, s) != 0) {
        fprintf(stderr, "slr-load: no sockets to send to\n");
        return 2;
    }
    int status = run(cfg, cast, s, way, out);
    atomic_store(&s->quit, true);
    pthread_join(thread, NULL);
    return status;
}

int slr_measure_sender(const struct slr_load_config *cfg, FILE *out)
{
    static struct sinks s;
    static struct slr_out way;
    struct slr_cast cast;
    int status = 2;
    bool udp = cfg->send_by == SLR_SEND_UDP;
    if (slr_cast_open(&cast, &cfg->codec, cfg->codecs, cfg->seed) != SLR_OK) {
        return 2;
    }
    enum slr_err err = slr_out_open(&way, cfg, udp ? "127.0.0.1" : "0.0.0.0", "0.0.0.0",
                                    SLR_LINK_FOREIGN, SLR_PACKET_MAX_BYTES);
    if (err != SLR_OK) {
        fprintf(stderr, "slr-load: sender: %s\n", slr_err_text(err));
    } else if (udp) {
        status = run_drained(cfg, &cast, &s, &way, out);
    } else {
        invent_sinks(&s);
        status = run(cfg, &cast, &s, &way, out);
    }
    close_sinks(&s);
    slr_out_close(&way);
    slr_cast_close(&cast);
    return status;
}

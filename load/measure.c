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
#include "load/batch.h"
#include "load/cast.h"
#include "load/packet.h"

#define SINKS 1000u
#define ENOUGH 500000.0 /* packets a second */
#define DRAIN 16u

struct sinks {
    int fd[SINKS];
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
        close(s->fd[i]);
    }
}

/* Sends frame after frame to all of them until the time is over. Gives the seconds. */
static double send_all(const struct slr_load_config *cfg, const struct slr_cast *cast,
                       const struct sinks *s, struct slr_batch *b)
{
    static struct slr_packet_leg leg[SINKS];
    static const struct slr_fate fate = {.talk = true};
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
            slr_batch_add(b, &s->at[i], n);
            if (b->count == SLR_BATCH_PACKETS) {
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

static int report(const struct slr_batch *b, double wall_s, int64_t cpu_ns, FILE *out)
{
    double rate = (double)b->packets / ((double)cpu_ns / (double)SLR_NS_PER_S);
    fprintf(out,
            "{\"bench\":\"load/sender\",\"value\":%.0f,\"unit\":\"packets per second of one core, "
            "loopback receive work included\",\"per_wall_second\":%.0f,\"ns_per_packet\":%.0f,"
            "\"waits\":%llu,\"errors\":%llu,\"ok\":%s}\n",
            rate, (double)b->packets / wall_s, (double)cpu_ns / (double)b->packets,
            (unsigned long long)b->waits, (unsigned long long)b->errors,
            rate >= ENOUGH ? "true" : "false");
    return rate >= ENOUGH && b->errors == 0 ? 0 : 1;
}

int slr_measure_sender(const struct slr_load_config *cfg, FILE *out)
{
    static struct sinks s;
    static struct slr_batch b;
    struct slr_cast cast;
    pthread_t thread;
    int status = 2;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || slr_cast_open(&cast, &cfg->codec, cfg->codecs, cfg->seed) != SLR_OK) {
        fprintf(stderr, "slr-load: no socket, or no such codec\n");
        if (fd >= 0) {
            close(fd);
        }
        return 2;
    }
    if (open_sinks(&s) && slr_batch_open(&b, fd, NULL, SLR_PACKET_MAX_BYTES) == SLR_OK &&
        pthread_create(&thread, NULL, drain, &s) == 0) {
        int64_t before = time_of(CLOCK_THREAD_CPUTIME_ID);
        double wall_s = send_all(cfg, &cast, &s, &b);
        status = report(&b, wall_s, time_of(CLOCK_THREAD_CPUTIME_ID) - before, out);
        atomic_store(&s.quit, true);
        pthread_join(thread, NULL);
    } else {
        fprintf(stderr, "slr-load: no sockets to send to\n");
    }
    slr_batch_close(&b);
    close_sinks(&s);
    slr_cast_close(&cast);
    close(fd);
    return status;
}

/*
 * bench_ingest: what receiving a packet costs the thread that receives, by backend.
 *
 * N streams on loopback ports of their own, sent by a second thread at a steady pace (1 ms ticks,
 * sendmmsg); the receiving thread does nothing but take bursts and look whose packet it is. Its CPU
 * time is the figure; the kernel's receive work falls on the sender's core, whose CPU time (sending
 * and that) is the row /send. /age: how old packets are when the receiver gets them.
 * Prints one JSON line a figure: {"bench":"ingest/BACKEND/streams=N","value":..,"unit":..}; loss
 * and packets with the wrong tag end the program with status 1. Usage: bench-ingest [BACKEND
 * [STREAMS [RATE [SECONDS]]]] (default: all live ones; 2,000 streams at 100,000 packets/s and
 * 19,000 at 200,000, 3 s each).
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/rig.h"
#include "capture/capture.h"
#include "common/log.h"

#define BATCH 64u
#define PAYLOAD_BYTES 172u
#define WARM_NS (500 * SLR_NS_PER_MS)

struct traffic {
    struct slr_addr ip;
    uint16_t *port; /* by stream */
    uint32_t streams, rate;
    int64_t end_ns;
    uint64_t sent;
    int64_t cpu_ns;
    _Atomic bool over;
};

struct tally {
    uint64_t got, wrong;
    int64_t age_sum_ns; /* between the kernel's stamp and the burst */
};

static int64_t now_ns(void)
{
    return slr_clock_mono(slr_clock_real()).ns;
}

static void pin(uint32_t cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    (void)sched_setaffinity(0, sizeof set, &set); /* one core only: then it is so */
}

/* Sends `count` packets to the streams from *next on. */
static void send_batch(struct traffic *t, int fd, uint32_t *next, uint32_t count)
{
    static uint32_t bytes[BATCH][PAYLOAD_BYTES / 4];
    static struct sockaddr_storage to[BATCH];
    static struct iovec iov[BATCH];
    static struct mmsghdr head[BATCH];
    for (uint32_t i = 0; i < count; i++) {
        struct slr_addr at = t->ip;
        at.port = t->port[*next];
        bytes[i][0] = *next;
        iov[i] = (struct iovec){bytes[i], PAYLOAD_BYTES};
        head[i].msg_hdr = (struct msghdr){.msg_name = &to[i],
                                          .msg_namelen = slr_addr_to_sockaddr(&at, &to[i]),
                                          .msg_iov = &iov[i],
                                          .msg_iovlen = 1};
        *next = *next + 1 == t->streams ? 0 : *next + 1;
    }
    for (uint32_t done = 0; done < count;) {
        int n = sendmmsg(fd, head + done, count - done, 0);
        rig_must(n > 0, "sendmmsg");
        done += (uint32_t)n;
    }
    t->sent += count;
}

static void *send_all(void *arg)
{
    struct traffic *t = arg;
    pin(1);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    rig_must(fd >= 0, "socket");
    uint32_t next = 0;
    int64_t start_ns = now_ns();
    for (int64_t now = start_ns; now < t->end_ns; now = now_ns()) {
        uint64_t due = (uint64_t)((now - start_ns) / 1000) * t->rate / 1000000u;
        while (t->sent < due) {
            uint64_t left = due - t->sent;
            send_batch(t, fd, &next, left < BATCH ? (uint32_t)left : BATCH);
        }
        nanosleep(&(struct timespec){0, SLR_NS_PER_MS}, NULL);
    }
    close(fd);
    t->cpu_ns = rig_cpu_ns();
    atomic_store(&t->over, true);
    return NULL;
}

static void take(struct slr_capture *c, struct tally *t)
{
    struct slr_packet burst[SLR_CAPTURE_BURST];
    uint32_t count = 0;
    rig_must(c->ops->next(c, 50000, burst, &count) == SLR_OK, "next");
    int64_t now = count > 0 ? now_ns() : 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t stream;
        memcpy(&stream, burst[i].at, sizeof stream);
        t->wrong += burst[i].tag != stream * 2 || burst[i].len_bytes != PAYLOAD_BYTES;
        t->age_sum_ns += now - burst[i].arrival.ns;
        t->got++;
    }
}

static void report(const char *name, uint32_t streams, const char *what, double value,
                   const char *unit)
{
    printf("{\"bench\":\"ingest/%s/streams=%u%s\",\"value\":%.1f,\"unit\":\"%s\"}\n", name, streams,
           what, value, unit);
    fflush(stdout);
}

static void add_all(struct slr_capture *c, struct traffic *t)
{
    int fd;
    uint16_t cursor = 0;
    for (uint32_t i = 0; i < t->streams; i++) {
        rig_must(slr_ports_bind(&t->ip, 10000, 65535, &cursor, 0, &fd, NULL, &t->port[i]) == SLR_OK,
                 "bind");
        rig_must(c->ops->add(c, fd, i * 2) == SLR_OK, "add");
    }
}

/* False: this machine refuses the backend. */
static bool run(const struct slr_capture_ops *ops, uint32_t streams, uint32_t rate, int seconds)
{
    struct traffic t = {.streams = streams, .rate = rate};
    struct slr_capture_config cfg = {.clock = slr_clock_real(),
                                     .media_ip = &t.ip,
                                     .media_ip_count = 1,
                                     .max_sockets = streams * 2,
                                     .batch_us = 5000,
                                     .recv_buffer_bytes = 512 * 1024};
    struct slr_capture *c = NULL;
    struct tally warm = {0}, tally = {0};
    struct slr_capture_stats stats;
    pthread_t sender;
    rig_must(slr_addr_parse("127.0.0.1", &t.ip) == SLR_OK, "address");
    if (ops->open(&cfg, &c) != SLR_OK) {
        fprintf(stderr, "bench: %s is refused here\n", ops->name);
        return true;
    }
    t.port = calloc(streams, sizeof *t.port);
    rig_must(t.port, "memory");
    add_all(c, &t);
    int64_t start_ns = now_ns();
    t.end_ns = start_ns + WARM_NS + seconds * SLR_NS_PER_S;
    rig_must(pthread_create(&sender, NULL, send_all, &t) == 0, "thread");
    while (now_ns() < start_ns + WARM_NS) {
        take(c, &warm);
    }
    int64_t cpu_ns = rig_cpu_ns();
    while (!atomic_load(&t.over)) {
        take(c, &tally);
    }
    cpu_ns = rig_cpu_ns() - cpu_ns;
    uint64_t measured = tally.got;
    report(ops->name, streams, "", (double)cpu_ns / (double)measured, "ns/packet");
    report(ops->name, streams, "/age", (double)tally.age_sum_ns / (double)measured / 1000, "us");
    pthread_join(sender, NULL);
    for (uint64_t before = 0; before != tally.got;) {
        before = tally.got;
        take(c, &tally);
        take(c, &tally);
    }
    c->ops->stats(c, &stats);
    uint64_t lost = t.sent - warm.got - tally.got;
    report(ops->name, streams, "/send", (double)t.cpu_ns / (double)t.sent, "ns/packet");
    report(ops->name, streams, "/rate", (double)t.sent / ((double)seconds + 0.5), "packets/s");
    report(ops->name, streams, "/lost", (double)lost, "packets");
    c->ops->close(c);
    free(t.port);
    return lost == 0 && tally.wrong + warm.wrong == 0;
}

int main(int argc, char **argv)
{
    static const uint32_t sizes[][2] = {{2000, 100000}, {19000, 200000}};
    const char *name = argc > 1 ? argv[1] : "";
    uint32_t only = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
    uint32_t rate = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 0;
    int seconds = argc > 4 ? (int)strtol(argv[4], NULL, 10) : 3;
    struct rlimit files;
    bool ok = true;
    slr_log_init("bench-ingest", SLR_LOG_ERROR);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    pin(0);
    for (const struct slr_capture_ops *const *row = slr_capture_all(); *row; row++) {
        bool wanted = !(*row)->passive && (name[0] == '\0' || strcmp(name, (*row)->name) == 0);
        for (size_t i = 0; wanted && only == 0 && i < 2; i++) {
            ok = run(*row, sizes[i][0], sizes[i][1], seconds) && ok;
        }
        if (wanted && only != 0) {
            ok = run(*row, only, rate ? rate : only * 50, seconds) && ok;
        }
    }
    return ok ? 0 : 1;
}

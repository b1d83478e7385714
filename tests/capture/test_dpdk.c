/* The dpdk backend over DPDK's virtual devices: no card, no privilege, no huge pages. On a link:
 * tests/e2e/test_span.py. */
#include <criterion/criterion.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "capture/capture.h"
#include "common/clock.h"
#include "tests/capture/frames.h"

#define TIMEOUT_NS (20 * SLR_NS_PER_S)

/* Packets of one backend, copied. */
struct seen {
    struct slr_packet *packet;
    size_t count;
    struct slr_capture_stats stats;
};

static struct slr_packet burst[SLR_CAPTURE_BURST];
static struct frame frame;
static int file_fd = -1;
static char file_path[64];

/* Builds without DPDK have no module, and refuse it: that is all there is to test then. */
static struct slr_capture *open_device(const char *device)
{
    const struct slr_capture_config cfg = {.arg = device};
    struct slr_capture *c = NULL;
    enum slr_err err = slr_capture_find("dpdk")->open(&cfg, &c);
    if (err == SLR_UNSUPPORTED) {
        cr_assert_null(c);
        cr_skip("this build is without DPDK");
    }
    cr_assert_eq(err, SLR_OK, "%s: %s", device, slr_err_name(err));
    return c;
}

static void keep(struct seen *all, uint32_t count)
{
    all->packet = realloc(all->packet, (all->count + count) * sizeof *all->packet);
    for (uint32_t i = 0; i < count; i++) {
        struct slr_packet *p = &all->packet[all->count++];
        *p = burst[i];
        uint8_t *copy = malloc(p->len_bytes + 1);
        memcpy(copy, burst[i].at, p->len_bytes);
        p->at = copy;
    }
}

static int64_t now_ns(void)
{
    return slr_clock_mono(slr_clock_real()).ns;
}

static struct seen read_file(const char *path)
{
    const struct slr_capture_config cfg = {.arg = path};
    struct slr_capture *c = NULL;
    struct seen all = {0};
    uint32_t count = 0;
    cr_assert_eq(slr_capture_find("pcapfile")->open(&cfg, &c), SLR_OK);
    while (c->ops->next(c, 0, burst, &count) == SLR_OK) {
        keep(&all, count);
    }
    c->ops->stats(c, &all.stats);
    c->ops->close(c);
    return all;
}

/* Until it gave as many frames. */
static struct seen read_device(const char *path, uint64_t frames)
{
    char device[256];
    struct seen all = {0};
    uint32_t count = 0;
    snprintf(device, sizeof device, "net_pcap0,rx_pcap=%s", path);
    struct slr_capture *c = open_device(device);
    for (int64_t end = now_ns() + TIMEOUT_NS; all.stats.frames < frames && now_ns() < end;) {
        cr_assert_eq(c->ops->next(c, 1000, burst, &count), SLR_OK);
        keep(&all, count);
        c->ops->stats(c, &all.stats);
    }
    c->ops->close(c);
    return all;
}

static void check_same(const struct seen *a, const struct seen *b, const char *name)
{
    cr_assert_eq(a->stats.frames, b->stats.frames, "%s", name);
    for (size_t i = 0; i < a->count && i < b->count; i++) {
        const struct slr_packet *p = &a->packet[i], *q = &b->packet[i];
        cr_assert_eq(p->len_bytes, q->len_bytes, "%s: packet %zu", name, i);
        cr_assert_eq(memcmp(p->at, q->at, p->len_bytes), 0, "%s: packet %zu", name, i);
        cr_assert(slr_addr_eq(&p->src, &q->src) && slr_addr_eq(&p->dst, &q->dst), "%s: packet %zu",
                  name, i);
        cr_assert_eq(p->vlan, q->vlan, "%s: packet %zu", name, i);
        cr_assert(p->tcp == q->tcp && p->gap == q->gap && p->truncated == q->truncated,
                  "%s: packet %zu", name, i);
        cr_assert_eq(q->tag, SLR_CAPTURE_NO_TAG);
    }
    cr_assert_eq(a->count, b->count, "%s", name);
    cr_assert_eq(a->stats.packets, b->stats.packets, "%s", name);
    cr_assert_eq(a->stats.fragments_joined, b->stats.fragments_joined, "%s", name);
    cr_assert_eq(a->stats.drop_link, b->stats.drop_link, "%s", name);
    cr_assert_eq(a->stats.drop_ip, b->stats.drop_ip, "%s", name);
    cr_assert_eq(a->stats.drop_transport, b->stats.drop_transport, "%s", name);
    cr_assert_eq(b->stats.drop_kernel, 0, "%s", name);
}

static void begin_file(void)
{
    const uint32_t head[6] = {0xa1b23c4du, 2 | 4 << 16, 0, 0, 65535, 1};
    file_fd = memfd_create("capture", 0);
    cr_assert_geq(file_fd, 0);
    snprintf(file_path, sizeof file_path, "/proc/self/fd/%d", file_fd);
    cr_assert_eq(write(file_fd, head, sizeof head), (ssize_t)sizeof head);
}

static void put_frame(void)
{
    const uint32_t head[4] = {1700000000, 0, (uint32_t)frame.len_bytes, (uint32_t)frame.len_bytes};
    cr_assert_eq(write(file_fd, head, sizeof head), (ssize_t)sizeof head);
    cr_assert_eq(write(file_fd, frame.bytes, frame.len_bytes), (ssize_t)frame.len_bytes);
}

Test(dpdk, is_passive_and_live)
{
    const char *arg = NULL;
    const struct slr_capture_ops *ops = slr_capture_named("dpdk:spin,net_ring0,a=b", &arg);
    cr_assert_not_null(ops);
    cr_assert_str_eq(ops->name, "dpdk");
    cr_assert_str_eq(arg, "spin,net_ring0,a=b");
    cr_assert(ops->passive && ops->fd && ops->wake && !ops->add);
}

Test(dpdk, what_cannot_be_opened)
{
    static const char *const bad[] = {NULL, "", "eth1", "spin,net_"};
    struct slr_capture *c = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct slr_capture_config cfg = {.arg = bad[i]};
        cr_assert_eq(slr_capture_find("dpdk")->open(&cfg, &c), SLR_INVAL, "%zu", i);
        cr_assert_null(c);
    }
}

Test(dpdk, a_device_that_is_not_there)
{
    struct slr_capture_config cfg = {.arg = "net_pcap0,rx_pcap=/nowhere"};
    struct slr_capture *c = NULL;
    enum slr_err err = slr_capture_find("dpdk")->open(&cfg, &c);
    if (err == SLR_UNSUPPORTED) {
        cr_skip("this build is without DPDK");
    }
    cr_assert(err == SLR_NOTFOUND || err == SLR_IO, "%s", slr_err_name(err));
    cr_assert_null(c);
    cr_assert_eq(slr_capture_find("dpdk")->open(&cfg, &c), SLR_STATE, "once a process");
}

/* Every kind of frame, among them some that take several mbufs, give several packets or none. */
Test(dpdk, a_file_is_read_as_by_the_file_backend)
{
    static uint8_t datagram[60000];
    begin_file();
    for (uint16_t i = 0; i < 700; i++) {
        make_udp(&frame, (uint16_t)(1000 + i), 5000, (uint8_t)i, i % 9 == 0 ? 5000 : 160);
        put_frame();
        if (i % 7 == 0) { /* neither IP nor anything */
            memset(frame.bytes + 12, 0x11, 2);
            put_frame();
        }
        if (i % 50 == 0) {
            make_datagram(datagram, 9000, 7, (uint16_t)(6000 + i));
            for (size_t at = 0; at < 9000; at += 1480) {
                make_fragment(&frame, i, datagram, at, at + 1480 < 9000 ? at + 1480 : 9000,
                              at + 1480 < 9000);
                put_frame();
            }
        }
        if (i % 100 == 0) { /* the later segment first */
            make_tcp(&frame, (uint16_t)(100 + i), 5060, 1, TCP_SYN, "");
            put_frame();
            make_tcp(&frame, (uint16_t)(100 + i), 5060, 2 + 5, TCP_ACK, "later");
            put_frame();
            make_tcp(&frame, (uint16_t)(100 + i), 5060, 2, TCP_ACK, "early");
            put_frame();
        }
    }
    struct seen file = read_file(file_path);
    struct seen device = read_device(file_path, file.stats.frames);
    cr_assert_gt(file.count, 700);
    check_same(&file, &device, "generated");
}

Test(dpdk, a_frame_that_is_too_long_is_cut)
{
    begin_file();
    make_udp(&frame, 1000, 5000, 0, 20000);
    put_frame();
    make_udp(&frame, 1001, 5000, 1, 160);
    put_frame();
    struct seen device = read_device(file_path, 2);
    cr_assert_eq(device.count, 2);
    cr_assert(device.packet[0].truncated);
    cr_assert_eq(device.stats.drop_truncated, 1);
    cr_assert_not(device.packet[1].truncated);
    cr_assert_eq(device.packet[1].src.port, 1001);
}

/* Frames of nobody come without end: each call ends all the same, and says that there is more. */
Test(dpdk, a_flood_of_other_frames)
{
    struct slr_capture *c = open_device("net_null0,size=64,copy=1");
    struct slr_capture_stats stats;
    struct pollfd fd = {.fd = c->ops->fd(c), .events = POLLIN};
    uint32_t count = 99;
    cr_assert_eq(poll(&fd, 1, 5000), 1);
    for (int i = 0; i < 100; i++) {
        cr_assert_eq(c->ops->next(c, 0, burst, &count), SLR_OK);
        cr_assert_eq(count, 0);
        cr_assert_eq(poll(&fd, 1, 0), 1);
    }
    c->ops->stats(c, &stats);
    cr_assert_geq(stats.frames, 100 * 32);
    cr_assert_eq(stats.frames, stats.drop_link + stats.drop_ip + stats.drop_transport);
    c->ops->close(c);
}

static void *wake(void *arg)
{
    struct slr_capture *c = arg;
    c->ops->wake(c);
    return NULL;
}

/* Nothing comes: fd is quiet between looks, wake ends a wait, and the thread's CPUs and signals are
 * what they were. */
Test(dpdk, an_idle_port)
{
    cpu_set_t before, after;
    sigset_t mask_before = {{0}}, mask_after = {{0}};
    static const int signals[] = {SIGINT, SIGTERM, SIGBUS, SIGHUP, SIGPIPE, SIGSEGV};
    enum { SIGNALS = sizeof signals / sizeof signals[0] };
    void (*handler[SIGNALS])(int, siginfo_t *, void *);
    struct sigaction action;
    pthread_t thread;
    uint32_t count = 99;
    for (size_t i = 0; i < SIGNALS; i++) {
        cr_assert_eq(sigaction(signals[i], NULL, &action), 0);
        handler[i] = action.sa_sigaction;
    }
    cr_assert_eq(sched_getaffinity(0, sizeof before, &before), 0);
    cr_assert_eq(pthread_sigmask(SIG_SETMASK, NULL, &mask_before), 0);
    struct slr_capture *c = open_device("queues=1,net_ring0");
    cr_assert_eq(sched_getaffinity(0, sizeof after, &after), 0);
    cr_assert(CPU_EQUAL(&before, &after));
    cr_assert_eq(pthread_sigmask(SIG_SETMASK, NULL, &mask_after), 0);
    cr_assert_eq(memcmp(&mask_before, &mask_after, sizeof mask_after), 0);
    for (size_t i = 0; i < SIGNALS; i++) {
        cr_assert_eq(sigaction(signals[i], NULL, &action), 0);
        cr_assert_eq((uintptr_t)action.sa_sigaction, (uintptr_t)handler[i], "%d", signals[i]);
    }
    struct pollfd fd = {.fd = c->ops->fd(c), .events = POLLIN};
    for (int i = 0; i < 10; i++) { /* the timer may run out between the two calls */
        cr_assert_eq(c->ops->next(c, 0, burst, &count), SLR_OK);
        cr_assert_eq(count, 0);
        if (poll(&fd, 1, 0) == 0) {
            break;
        }
        cr_assert_lt(i, 9, "readable though nothing came");
    }
    cr_assert_eq(poll(&fd, 1, 5000), 1, "it looks again");
    cr_assert_eq(pthread_create(&thread, NULL, wake, c), 0);
    int64_t begin = now_ns();
    cr_assert_eq(c->ops->next(c, 15 * 1000 * 1000, burst, &count), SLR_OK);
    cr_assert_eq(count, 0);
    cr_assert_lt(now_ns() - begin, 10 * SLR_NS_PER_S);
    pthread_join(thread, NULL);
    c->ops->close(c);
}

Test(dpdk, spins_when_told)
{
    struct slr_capture *c = open_device("spin,net_ring0");
    struct pollfd fd = {.fd = c->ops->fd(c), .events = POLLIN};
    uint32_t count = 99;
    for (int i = 0; i < 1000; i++) {
        cr_assert_eq(c->ops->next(c, 0, burst, &count), SLR_OK);
        cr_assert_eq(poll(&fd, 1, 0), 1);
    }
    c->ops->close(c);
}

/*
 * The contract of the live backends, over every row of capture.def that is not passive: real
 * sockets on loopback. Waiting is bounded by a count of calls, never by sleeping.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "capture/capture.h"
#include "tests/capture/forbid.h"

static const struct slr_capture_ops *ops;
static struct slr_capture *capture;
static struct slr_packet burst[SLR_CAPTURE_BURST];
static uint32_t burst_count;
static struct slr_addr loopback;
static int sender;

static uint32_t recv_buffer_bytes = 1 << 18;

/* What hooks into an interface does so in a network namespace of our own, where others who use
 * the machine don't meet it. */
static bool enter_namespace(void)
{
    static bool entered;
    struct ifreq lo = {.ifr_name = "lo"};
    if (entered) {
        return true;
    }
    if (unshare(CLONE_NEWNET) != 0) {
        return false;
    }
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    cr_assert_eq(ioctl(fd, SIOCGIFFLAGS, &lo), 0);
    lo.ifr_flags |= IFF_UP;
    cr_assert_eq(ioctl(fd, SIOCSIFFLAGS, &lo), 0);
    close(fd);
    entered = true;
    return true;
}

/* Opens row `name`; false: this machine refuses it (said plainly). */
static bool open_row(const char *name, uint32_t max_sockets, uint32_t batch_us)
{
    const struct slr_capture_config cfg = {.clock = slr_clock_real(),
                                           .max_sockets = max_sockets,
                                           .batch_us = batch_us,
                                           .media_ip = &loopback,
                                           .media_ip_count = 1,
                                           .recv_buffer_bytes = recv_buffer_bytes};
    ops = slr_capture_find(name);
    cr_assert_not_null(ops);
    cr_assert_eq(slr_addr_parse("127.0.0.1", &loopback), SLR_OK);
    enum slr_err err = SLR_UNSUPPORTED;
    if (strcmp(name, "xdp") != 0 || enter_namespace()) {
        err = ops->open(&cfg, &capture);
    }
    if (err == SLR_UNSUPPORTED) {
        printf("SKIPPED: backend %s is refused by this machine\n", name);
        return false;
    }
    cr_assert_eq(err, SLR_OK, "%s: %s", name, slr_err_name(err));
    sender = socket(AF_INET, SOCK_DGRAM, 0);
    cr_assert_geq(sender, 0);
    struct sockaddr_storage sa;
    socklen_t len = slr_addr_to_sockaddr(&loopback, &sa);
    cr_assert_eq(bind(sender, (struct sockaddr *)&sa, len), 0);
    return true;
}

/* Runs `body` for each live backend. Criterion's parameterised tests break under PIE. */
static void each_row(void (*body)(void), uint32_t max_sockets, uint32_t batch_us)
{
    for (const struct slr_capture_ops *const *row = slr_capture_all(); *row; row++) {
        if ((*row)->passive || !open_row((*row)->name, max_sockets, batch_us)) {
            continue;
        }
        body();
        ops->close(capture);
        close(sender);
    }
}

static uint16_t local_port(int fd)
{
    struct sockaddr_storage sa;
    struct slr_addr a;
    socklen_t len = sizeof sa;
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    cr_assert(slr_addr_from_sockaddr((struct sockaddr *)&sa, &a));
    return a.port;
}

static void add(int fd, uint32_t tag)
{
    cr_assert_eq(ops->add(capture, fd, tag), SLR_OK, "%s: tag %u", ops->name, tag);
}

/* Of a port that was free a moment ago. */
static int bind_exact(uint16_t port)
{
    uint16_t cursor = 0, got;
    int fd;
    cr_assert_eq(slr_ports_bind(&loopback, 0, 0, &cursor, port, &fd, NULL, &got), SLR_OK,
                 "%s: nothing holds the port", ops->name);
    return fd;
}

static int bind_one(uint16_t *port)
{
    uint16_t cursor = (uint16_t)(20000 + getpid() * 64 % 40000);
    int fd;
    cr_assert_eq(slr_ports_bind(&loopback, 20000, 60000, &cursor, 0, &fd, NULL, port), SLR_OK);
    return fd;
}

static void send_to(uint16_t port, const void *at, size_t len_bytes)
{
    struct slr_addr to = loopback;
    struct sockaddr_storage sa;
    to.port = port;
    socklen_t len = slr_addr_to_sockaddr(&to, &sa);
    cr_assert_eq(sendto(sender, at, len_bytes, 0, (struct sockaddr *)&sa, len), (ssize_t)len_bytes);
}

static void next(uint32_t timeout_us)
{
    cr_assert_eq(ops->next(capture, timeout_us, burst, &burst_count), SLR_OK);
    cr_assert_leq(burst_count, SLR_CAPTURE_BURST);
}

/* Calls next until a packet came, at most for some seconds. */
static void next_packet(void)
{
    for (int i = 0; i < 50; i++) {
        next(100000);
        if (burst_count > 0) {
            return;
        }
    }
    cr_assert(false, "%s: nothing was received", ops->name);
}

static void check_quiet(void)
{
    for (int i = 0; i < 5; i++) {
        next(0);
        cr_assert_eq(burst_count, 0, "%s", ops->name);
        next(1000);
        cr_assert_eq(burst_count, 0, "%s", ops->name);
    }
}

static void check_pair(void)
{
    uint16_t cursor = (uint16_t)(20000 + getpid() * 64 % 40000), port;
    int rtp, rtcp;
    cr_assert_eq(slr_ports_bind(&loopback, 20000, 60000, &cursor, 0, &rtp, &rtcp, &port), SLR_OK);
    add(rtp, 2);
    add(rtcp, 3);
    check_quiet();
    int64_t last_ns = 0;
    for (uint8_t i = 0; i < 100; i++) {
        const uint8_t bytes[3] = {i, 2, 3};
        int64_t sent_ns = slr_clock_mono(slr_clock_real()).ns;
        send_to(i % 2 ? (uint16_t)(port + 1) : port, bytes, sizeof bytes);
        next_packet();
        int64_t now_ns = slr_clock_mono(slr_clock_real()).ns;
        cr_assert_eq(burst_count, 1);
        cr_assert_eq(burst[0].tag, i % 2 ? 3 : 2);
        cr_assert_eq(burst[0].len_bytes, 3);
        cr_assert_eq(burst[0].at[0], i);
        cr_assert_eq(burst[0].src.port, local_port(sender));
        cr_assert(slr_addr_eq_ip(&burst[0].src, &loopback));
        cr_assert_not(burst[0].truncated || burst[0].tcp);
        cr_assert_eq(burst[0].kernel_drops, 0);
        cr_assert_eq(burst[0].wall.ns, 0);
        /* The two clocks are read one after the other: allow for a microsecond and a bit. */
        cr_assert_geq(burst[0].arrival.ns, sent_ns - 1000000, "%s", ops->name);
        cr_assert_leq(burst[0].arrival.ns, now_ns);
        cr_assert_geq(burst[0].arrival.ns, last_ns - 1000000);
        last_ns = burst[0].arrival.ns;
    }
    struct slr_capture_stats stats;
    ops->stats(capture, &stats);
    cr_assert_eq(stats.packets, 100);
    cr_assert_eq(stats.recv_errors + stats.drop_kernel + stats.drop_truncated, 0);
    ops->remove(capture, 2);
    ops->remove(capture, 3);
}

Test(live, pair_tags_addresses_times)
{
    each_row(check_pair, 4, 1000);
}

static void check_order(void)
{
    uint16_t port;
    add(bind_one(&port), 0);
    for (uint16_t i = 0; i < 300; i++) {
        send_to(port, &i, sizeof i);
    }
    uint16_t expected = 0;
    int64_t last_ns = 0;
    while (expected < 300) {
        next_packet();
        for (uint32_t i = 0; i < burst_count; i++) {
            cr_assert_eq(memcmp(burst[i].at, &expected, 2), 0, "%s: order", ops->name);
            cr_assert_geq(burst[i].arrival.ns, last_ns, "per socket never backwards");
            last_ns = burst[i].arrival.ns;
            expected++;
        }
    }
    check_quiet();
    ops->remove(capture, 0);
}

Test(live, one_socket_keeps_its_order)
{
    each_row(check_order, 1, 0);
}

static void check_remove(void)
{
    uint16_t port[2];
    int fd[2] = {bind_one(&port[0]), bind_one(&port[1])};
    for (uint32_t round = 0; round < 50; round++) {
        uint32_t a = round % 2;
        add(fd[a], 0);
        add(fd[1 - a], 1);
        for (int i = 0; i < 100; i++) {
            send_to(port[a], "old", 3);
            send_to(port[1 - a], "old", 3);
        }
        if (round % 3 != 0) { /* also with some received and not yet handed out */
            next(10000);
        }
        ops->remove(capture, 0);
        ops->remove(capture, 1);
        ops->remove(capture, 1); /* does nothing */
        /* Same port and tag at once, with a socket of its own. */
        add(bind_exact(port[1 - a]), 0);
        send_to(port[1 - a], "end", 3);
        next_packet();
        cr_assert_eq(burst_count, 1);
        cr_assert_eq(burst[0].tag, 0);
        cr_assert_eq(memcmp(burst[0].at, "end", 3), 0, "%s", ops->name);
        ops->remove(capture, 0);
        fd[0] = bind_exact(port[0]);
        fd[1] = bind_exact(port[1]);
    }
    check_quiet();
    close(fd[0]);
    close(fd[1]);
}

Test(live, remove_stops_and_tag_is_free)
{
    each_row(check_remove, 2, 500);
}

static void check_ports_are_free_after_remove(void)
{
    for (int i = 0; i < 50; i++) {
        uint16_t port;
        add(bind_one(&port), 1);
        send_to(port, "x", 1);
        next_packet();
        ops->remove(capture, 1);
        close(bind_exact(port));
    }
}

Test(live, closed_means_closed)
{
    each_row(check_ports_are_free_after_remove, 2, 0);
}

static void check_tags(void)
{
    uint16_t port;
    int fd = bind_one(&port);
    cr_assert_eq(ops->add(capture, fd, 3), SLR_INVAL, "beyond max_sockets");
    cr_assert_eq(ops->add(capture, fd, UINT32_MAX), SLR_INVAL);
    cr_assert_neq(ops->add(capture, -1, 2), SLR_OK);
    add(fd, 2);
    fd = bind_one(&port);
    cr_assert_eq(ops->add(capture, fd, 2), SLR_EXISTS);
    add(fd, 0); /* what was refused is the caller's still */
    send_to(port, "x", 1);
    next_packet();
    cr_assert_eq(burst[0].tag, 0);
    ops->remove(capture, 3);
    ops->remove(capture, UINT32_MAX);
    ops->remove(capture, 2);
    add(bind_one(&port), 2);
    send_to(port, "x", 1);
    next_packet();
    cr_assert_eq(burst[0].tag, 2);
}

Test(live, max_sockets)
{
    each_row(check_tags, 3, 0);
}

static void check_sizes(void)
{
    static const size_t sizes[] = {0, 1, 172, 8192, 8193, 9000, 0, 0, 65507, 172};
    static uint8_t bytes[65507];
    struct slr_capture_stats stats;
    uint16_t port;
    add(bind_one(&port), 0);
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 31);
    }
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        send_to(port, bytes, sizes[i]);
    }
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0];) {
        next_packet();
        for (uint32_t k = 0; k < burst_count; k++, i++) {
            size_t expected = sizes[i] < 8192 ? sizes[i] : 8192;
            cr_assert_eq(burst[k].len_bytes, expected, "%s: %zu", ops->name, sizes[i]);
            cr_assert_eq(burst[k].truncated, sizes[i] > 8192);
            cr_assert_eq(memcmp(burst[k].at, bytes, expected), 0);
            cr_assert_eq(burst[k].src.port, local_port(sender));
        }
    }
    ops->stats(capture, &stats);
    cr_assert_eq(stats.packets, 7);
    cr_assert_eq(stats.drop_truncated, 3);
    ops->remove(capture, 0);
}

Test(live, sizes_from_nothing_to_too_much)
{
    each_row(check_sizes, 1, 0);
}

static void check_wake_before(void)
{
    int64_t start_ns = slr_clock_mono(slr_clock_real()).ns;
    ops->wake(capture);
    ops->wake(capture);
    next(30000000);
    cr_assert_eq(burst_count, 0);
    cr_assert_lt(slr_clock_mono(slr_clock_real()).ns - start_ns, 10 * SLR_NS_PER_S, "%s",
                 ops->name);
    /* Two wakes before one next are one. */
    start_ns = slr_clock_mono(slr_clock_real()).ns;
    next(20000);
    cr_assert_geq(slr_clock_mono(slr_clock_real()).ns - start_ns, 19 * SLR_NS_PER_MS, "%s",
                  ops->name);
}

Test(live, wake_is_remembered)
{
    each_row(check_wake_before, 1, 1000);
}

static void *wake_thread(void *arg)
{
    ops->wake(arg);
    return NULL;
}

static void check_wake_while_waiting(void)
{
    for (int i = 0; i < 20; i++) {
        pthread_t thread;
        int64_t start_ns = slr_clock_mono(slr_clock_real()).ns;
        cr_assert_eq(pthread_create(&thread, NULL, wake_thread, capture), 0);
        next(30000000);
        cr_assert_eq(burst_count, 0);
        cr_assert_lt(slr_clock_mono(slr_clock_real()).ns - start_ns, 10 * SLR_NS_PER_S);
        pthread_join(thread, NULL);
    }
}

Test(live, wake_from_another_thread)
{
    each_row(check_wake_while_waiting, 1, 1000);
}

/* Calls that change legs are carried out by the receiving thread: a batch must not hold them up. */
static void check_wake_in_a_batch(void)
{
    uint16_t port;
    add(bind_one(&port), 0);
    send_to(port, "x", 1);
    next_packet(); /* the next batch is gathered for 20 s */
    int64_t start_ns = slr_clock_mono(slr_clock_real()).ns;
    for (int i = 0; i < 20; i++) {
        pthread_t thread;
        cr_assert_eq(pthread_create(&thread, NULL, wake_thread, capture), 0);
        next(30000000);
        pthread_join(thread, NULL);
    }
    cr_assert_lt(slr_clock_mono(slr_clock_real()).ns - start_ns, 10 * SLR_NS_PER_S, "%s",
                 ops->name);
    ops->remove(capture, 0);
}

Test(live, wake_ends_a_batch)
{
    each_row(check_wake_in_a_batch, 1, 20000000);
}

static void check_timeout(void)
{
    int64_t start_ns = slr_clock_mono(slr_clock_real()).ns;
    next(20000);
    int64_t took_ns = slr_clock_mono(slr_clock_real()).ns - start_ns;
    cr_assert_eq(burst_count, 0);
    cr_assert_geq(took_ns, 19 * SLR_NS_PER_MS, "%s returned after %ld ns", ops->name, took_ns);
}

Test(live, timeout_is_kept)
{
    each_row(check_timeout, 1, 5000);
}

/* Wakes are bounded by time: in one batch interval the packets of many sends come together. */
static void check_batching(void)
{
    uint16_t port;
    add(bind_one(&port), 0);
    send_to(port, "x", 1);
    next_packet(); /* a batch begins here; the next one is gathered for 200 ms */
    int64_t start_ns = slr_clock_mono(slr_clock_real()).ns;
    send_to(port, "x", 1);
    next(5000000);
    cr_assert_eq(burst_count, 1);
    cr_assert_geq(slr_clock_mono(slr_clock_real()).ns - start_ns, 100 * SLR_NS_PER_MS, "%s",
                  ops->name);
    send_to(port, "x", 1);
    next(0);
    cr_assert_eq(burst_count, 1, "%s: no gathering when told not to wait", ops->name);
    ops->remove(capture, 0);
}

Test(live, gathers_by_time)
{
    each_row(check_batching, 1, 200000);
}

static void check_kernel_drops(void)
{
    static const uint8_t bytes[1400];
    struct slr_capture_stats stats;
    uint16_t port;
    uint32_t sent = 0, got = 0, told = 0;
    add(bind_one(&port), 0);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 1000; i++, sent++) {
            send_to(port, bytes, sizeof bytes);
        }
        for (next(100000); burst_count > 0; next(10000)) {
            for (uint32_t i = 0; i < burst_count; i++) {
                got++;
                told += burst[i].kernel_drops;
            }
        }
    }
    cr_assert_gt(told, 0, "%s: the second round tells what the first lost", ops->name);
    ops->remove(capture, 0);
    ops->stats(capture, &stats);
    cr_assert_eq(stats.packets, got);
    cr_assert_eq(stats.drop_kernel, sent - got, "%s: also what no packet told", ops->name);
}

Test(live, kernel_drops_are_counted)
{
    recv_buffer_bytes = 4096;
    each_row(check_kernel_drops, 1, 0);
}

#define MANY 500u
#define EACH 20u

static void check_many(void)
{
    static uint16_t port[MANY];
    static uint32_t got[MANY];
    uint32_t total = 0;
    uint16_t cursor = 20000;
    memset(got, 0, sizeof got);
    for (uint32_t i = 0; i < MANY; i++) {
        int fd;
        cr_assert_eq(slr_ports_bind(&loopback, 20000, 60000, &cursor, 0, &fd, NULL, &port[i]),
                     SLR_OK);
        add(fd, 2 * i + 1);
    }
    for (uint32_t k = 0; k < EACH; k++) {
        for (uint32_t i = 0; i < MANY; i++) {
            const uint32_t words[43] = {i, k};
            send_to(port[i], words, sizeof words);
        }
    }
    while (total < MANY * EACH) {
        next_packet();
        for (uint32_t b = 0; b < burst_count; b++, total++) {
            uint32_t words[2];
            cr_assert_eq(burst[b].len_bytes, 172);
            memcpy(words, burst[b].at, sizeof words);
            cr_assert_eq(burst[b].tag, 2 * words[0] + 1);
            cr_assert_eq(words[1], got[words[0]], "%s: each once and in order", ops->name);
            got[words[0]]++;
        }
    }
    check_quiet();
    for (uint32_t i = 0; i < MANY; i++) {
        ops->remove(capture, 2 * i + 1);
    }
    struct slr_capture_stats stats;
    ops->stats(capture, &stats);
    cr_assert_eq(stats.packets, MANY * EACH);
    cr_assert_eq(stats.drop_kernel + stats.recv_errors + stats.drop_truncated, 0);
    /* uring has far fewer buffers than packets waited: it ran dry, and nothing was lost. */
    cr_assert(strcmp(ops->name, "uring") != 0 || stats.no_buffers > 0);
}

Test(live, many_sockets)
{
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    each_row(check_many, 2 * MANY, 2000);
}

static void check_close_with_sockets(void)
{
    uint16_t port;
    add(bind_one(&port), 0);
    for (int i = 0; i < 10; i++) {
        send_to(port, "x", 1);
    }
    next_packet();
    ops->close(capture);
    close(bind_exact(port));
    const struct slr_capture_config cfg = {
        .max_sockets = 1, .media_ip = &loopback, .media_ip_count = 1};
    cr_assert_eq(ops->open(&cfg, &capture), SLR_OK); /* for each_row to close */
}

Test(live, close_lets_go)
{
    each_row(check_close_with_sockets, 1, 0);
}

/* More packets wait in one socket than uring has buffers. */
static void check_more_than_buffers(void)
{
    struct slr_capture_stats stats;
    uint16_t port;
    uint32_t got = 0;
    add(bind_one(&port), 0);
    for (uint32_t i = 0; i < 1000; i++) {
        send_to(port, &i, sizeof i);
    }
    while (got < 1000) {
        next_packet();
        for (uint32_t i = 0; i < burst_count; i++) {
            cr_assert_eq(memcmp(burst[i].at, &got, sizeof got), 0, "%s: %u", ops->name, got);
            got++;
        }
    }
    ops->stats(capture, &stats);
    cr_assert_eq(stats.packets, 1000);
    cr_assert_eq(stats.recv_errors + stats.drop_kernel, 0);
    ops->remove(capture, 0);
}

Test(live, more_packets_than_buffers)
{
    recv_buffer_bytes = 4 << 20;
    each_row(check_more_than_buffers, 1, 1000);
}

/* Sockets of uring are not among the process's files: so many that those would not do. */
static void check_beyond_files(void)
{
    static uint16_t port[MANY];
    struct rlimit limit;
    uint16_t cursor = 20000;
    uint32_t got = 0;
    for (uint32_t i = 0; i < MANY; i++) {
        int fd;
        enum slr_err err = slr_ports_bind(&loopback, 20000, 60000, &cursor, 0, &fd, NULL, &port[i]);
        cr_assert_eq(err, SLR_OK, "%u: %s", i, slr_err_name(err));
        add(fd, i);
    }
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    cr_assert_lt(limit.rlim_cur, MANY);
    for (uint32_t i = 0; i < MANY; i++) {
        send_to(port[i], &i, sizeof i);
    }
    while (got < MANY) {
        next_packet();
        for (uint32_t b = 0; b < burst_count; b++, got++) {
            cr_assert_eq(memcmp(burst[b].at, &burst[b].tag, sizeof burst[b].tag), 0);
        }
    }
    for (uint32_t i = 0; i < MANY; i += 2) { /* the other half stays for close */
        ops->remove(capture, i);
        close(bind_exact(port[i]));
    }
}

Test(live, more_sockets_than_files)
{
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 300; /* the table has so many places, and there are some more descriptors */
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    if (!open_row("uring", MANY, 1000)) {
        return;
    }
    check_beyond_files();
    ops->close(capture);
    close(sender);
}

/* Opened by one thread, used and closed by another, as a worker does. */
static void *worker_thread(void *arg)
{
    (void)arg;
    check_order();
    return NULL;
}

static void check_worker_thread(void)
{
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, worker_thread, NULL), 0);
    pthread_join(thread, NULL);
}

Test(live, used_by_another_thread_than_opened_it)
{
    each_row(check_worker_thread, 1, 0);
}

static void check_refused(int errnum)
{
    const struct slr_capture_config cfg = {.max_sockets = 4};
    forbid(__NR_io_uring_setup, errnum);
    ops = slr_capture_find("uring");
    cr_assert_not_null(ops);
    cr_assert_eq(ops->open(&cfg, &capture), SLR_UNSUPPORTED);
    cr_assert_null(capture);
    cr_assert(open_row("socket", 4, 0));
    check_order();
    ops->close(capture);
    close(sender);
}

Test(live, uring_refused_with_eperm)
{
    check_refused(EPERM);
}

Test(live, uring_refused_with_enosys)
{
    check_refused(ENOSYS);
}

Test(live, refuses_bad_configuration)
{
    const struct slr_capture_config cfg = {.max_sockets = 0};
    for (const struct slr_capture_ops *const *row = slr_capture_all(); *row; row++) {
        enum slr_err err = (*row)->open(&cfg, &capture);
        cr_assert(err == SLR_INVAL || err == SLR_UNSUPPORTED);
        cr_assert_null(capture);
    }
}

Test(live, registry)
{
    cr_assert_null(slr_capture_find("none"));
    cr_assert_null(slr_capture_find(""));
    cr_assert_str_eq(slr_capture_find("socket")->name, "socket");
    for (const struct slr_capture_ops *const *row = slr_capture_all(); *row; row++) {
        cr_assert_eq(slr_capture_find((*row)->name), *row);
        cr_assert((*row)->open && (*row)->next && (*row)->stats && (*row)->close);
        cr_assert_eq((*row)->passive, !(*row)->add);
        cr_assert_eq((*row)->passive && !(*row)->fd, !(*row)->wake);
        cr_assert((*row)->passive || !(*row)->fd);
    }
}

/*
 * What only the shared backend has to prove: thousands of ports on a few sockets, each datagram to
 * its own; what is not steered, strays, and that nothing is left after a kill. In a network
 * namespace of its own, so that all ports are free; without the right to one: skipped, said
 * plainly.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capture/capture.h"
#include "tests/capture/forbid.h"

#define PORTS 20000u
#define LO_PORT 20000u

static const struct slr_capture_ops *ops;
static struct slr_addr ip[3]; /* 127.0.0.1, 127.0.0.2, ::1 */
static struct slr_packet burst[SLR_CAPTURE_BURST];
static uint32_t burst_count;
static int sender, sender6;

static int open_sender(const struct slr_addr *at)
{
    struct sockaddr_storage sa;
    int fd = socket(at->family == 6 ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
    cr_assert_geq(fd, 0);
    socklen_t len = slr_addr_to_sockaddr(at, &sa);
    cr_assert_eq(bind(fd, (struct sockaddr *)&sa, len), 0);
    return fd;
}

/* False: no namespace, or the kernel refuses the program. */
static bool enter(uint32_t max_sockets, uint32_t buffer_bytes, struct slr_capture **out)
{
    struct ifreq lo = {.ifr_name = "lo"};
    ops = slr_capture_find("shared");
    cr_assert_not_null(ops);
    if (unshare(CLONE_NEWNET) != 0) {
        printf("SKIPPED: no network namespace of one's own here\n");
        return false;
    }
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    cr_assert_eq(ioctl(fd, SIOCGIFFLAGS, &lo), 0);
    lo.ifr_flags |= IFF_UP;
    cr_assert_eq(ioctl(fd, SIOCSIFFLAGS, &lo), 0);
    close(fd);
    cr_assert_eq(slr_addr_parse("127.0.0.1", &ip[0]), SLR_OK);
    cr_assert_eq(slr_addr_parse("127.0.0.2", &ip[1]), SLR_OK);
    cr_assert_eq(slr_addr_parse("::1", &ip[2]), SLR_OK);
    const struct slr_capture_config cfg = {.max_sockets = max_sockets,
                                           .batch_us = 500,
                                           .recv_buffer_bytes = buffer_bytes,
                                           .media_ip = ip,
                                           .media_ip_count = 3};
    enum slr_err err = ops->open(&cfg, out);
    if (err == SLR_UNSUPPORTED) {
        printf("SKIPPED: backend shared is refused by this machine\n");
        return false;
    }
    cr_assert_eq(err, SLR_OK);
    sender = open_sender(&ip[0]);
    sender6 = open_sender(&ip[2]);
    return true;
}

static int bind_port(const struct slr_addr *at, uint16_t port)
{
    uint16_t cursor = 0, got;
    int fd = -1;
    cr_assert_eq(slr_ports_bind(at, 0, 0, &cursor, port, &fd, NULL, &got), SLR_OK, "port %u", port);
    return fd;
}

static void add(struct slr_capture *c, const struct slr_addr *at, uint16_t port, uint32_t tag)
{
    cr_assert_eq(ops->add(c, bind_port(at, port), tag), SLR_OK);
}

static void send_to(const struct slr_addr *at, uint16_t port, const void *bytes, size_t len_bytes)
{
    struct slr_addr to = *at;
    struct sockaddr_storage sa;
    to.port = port;
    socklen_t len = slr_addr_to_sockaddr(&to, &sa);
    cr_assert_eq(sendto(at->family == 6 ? sender6 : sender, bytes, len_bytes, 0,
                        (struct sockaddr *)&sa, len),
                 (ssize_t)len_bytes);
}

/* True: something came within some time. */
static bool next(struct slr_capture *c, int turns)
{
    for (int i = 0; i < turns; i++) {
        cr_assert_eq(ops->next(c, 10000, burst, &burst_count), SLR_OK);
        if (burst_count > 0) {
            return true;
        }
    }
    return false;
}

static struct slr_capture_stats stats_of(const struct slr_capture *c)
{
    struct slr_capture_stats st;
    ops->stats(c, &st);
    return st;
}

/* Every datagram says which port it went to, and its tag must be that port's. */
static void drain(struct slr_capture *c, uint64_t *got, uint32_t *seen)
{
    while (next(c, 1)) {
        for (uint32_t i = 0; i < burst_count; i++, (*got)++) {
            uint32_t words[2];
            cr_assert_eq(burst[i].len_bytes, sizeof words);
            memcpy(words, burst[i].at, sizeof words);
            cr_assert_eq(burst[i].tag, words[0]);
            cr_assert_eq(words[1], seen[words[0]], "each once, in order");
            seen[words[0]]++;
        }
    }
}

Test(shared, twenty_thousand_ports_each_to_its_own, .timeout = 60)
{
    struct slr_capture *c = NULL;
    uint64_t got = 0;
    if (!enter(PORTS, 1 << 19, &c)) {
        return;
    }
    uint32_t *seen = calloc(PORTS, sizeof *seen);
    for (uint32_t i = 0; i < PORTS; i++) { /* two addresses with the same ports, and IPv6 */
        add(c, &ip[i % 3], (uint16_t)(LO_PORT + i / 3), i);
    }
    for (uint32_t k = 0; k < 5; k++) {
        for (uint32_t i = 0; i < PORTS; i++) {
            const uint32_t words[2] = {i, k};
            send_to(&ip[i % 3], (uint16_t)(LO_PORT + i / 3), words, sizeof words);
            if (i % 1000 == 0) {
                drain(c, &got, seen);
            }
        }
    }
    drain(c, &got, seen);
    struct slr_capture_stats st = stats_of(c);
    cr_assert_eq(got, 5 * PORTS);
    cr_assert_eq(st.packets, 5 * PORTS);
    cr_assert_eq(st.drop_stray + st.drop_kernel + st.recv_errors, 0u);
    ops->close(c);
    close(bind_port(&ip[0], LO_PORT)); /* free again */
    free(seen);
}

Test(shared, a_port_is_held_and_others_are_left_alone)
{
    struct slr_capture *c = NULL;
    struct slr_addr other;
    uint16_t cursor = 0, port;
    char bytes[4];
    int fd = -1;
    if (!enter(4, 1 << 18, &c)) {
        return;
    }
    add(c, &ip[0], 30000, 0);
    cr_assert_eq(slr_ports_bind(&ip[0], 0, 0, &cursor, 30000, &fd, NULL, &port), SLR_BUSY);
    int neighbour = bind_port(&ip[0], 30002); /* same address */
    int twin = bind_port(&ip[1], 30000);      /* same port */
    cr_assert_eq(slr_addr_parse("127.0.0.3", &other), SLR_OK);
    int stranger = bind_port(&other, 30000); /* an address that is not ours */
    send_to(&ip[0], 30002, "abc", 3);
    send_to(&ip[1], 30000, "abc", 3);
    send_to(&other, 30000, "abc", 3);
    cr_assert_eq(recv(neighbour, bytes, sizeof bytes, 0), 3);
    cr_assert_eq(recv(twin, bytes, sizeof bytes, 0), 3);
    cr_assert_eq(recv(stranger, bytes, sizeof bytes, 0), 3);
    cr_assert_not(next(c, 3));
    cr_assert_eq(ops->add(c, stranger, 1), SLR_INVAL, "not one of the media addresses");
    ops->close(c);
}

/* A datagram waits in the socket while its port is given up and given to another leg. */
Test(shared, strays_are_nobodys)
{
    struct slr_capture *c = NULL;
    if (!enter(4, 1 << 18, &c)) {
        return;
    }
    for (int round = 0; round < 200; round++) {
        add(c, &ip[round % 3], 30000, 0);
        send_to(&ip[round % 3], 30000, "old", 3);
        ops->remove(c, 0);
        if (round % 2) {
            add(c, &ip[round % 3], 30000, 1);
            send_to(&ip[round % 3], 30000, "new", 3);
            cr_assert(next(c, 500), "round %d", round);
            cr_assert_eq(burst_count, 1);
            cr_assert_eq(memcmp(burst[0].at, "new", 3), 0);
            ops->remove(c, 1);
        }
    }
    cr_assert_not(next(c, 3));
    cr_assert_eq(stats_of(c).drop_stray, 200u);
    cr_assert_eq(stats_of(c).packets, 100u);
    ops->close(c);
}

Test(shared, two_workers_share_addresses)
{
    struct slr_capture *c[2] = {NULL};
    if (!enter(100, 1 << 18, &c[0])) {
        return;
    }
    const struct slr_capture_config cfg = {
        .max_sockets = 100, .recv_buffer_bytes = 1 << 18, .media_ip = ip, .media_ip_count = 3};
    cr_assert_eq(ops->open(&cfg, &c[1]), SLR_OK);
    for (uint32_t i = 0; i < 100; i++) {
        add(c[i % 2], &ip[0], (uint16_t)(30000 + i), i / 2);
    }
    for (uint32_t i = 0; i < 100; i++) {
        send_to(&ip[0], (uint16_t)(30000 + i), &i, sizeof i);
    }
    for (uint32_t w = 0; w < 2; w++) {
        uint32_t got = 0;
        for (; got < 50; got += burst_count) {
            cr_assert(next(c[w], 100));
            for (uint32_t i = 0; i < burst_count; i++) {
                uint32_t sent;
                memcpy(&sent, burst[i].at, sizeof sent);
                cr_assert_eq(sent, burst[i].tag * 2 + w);
            }
        }
    }
    ops->close(c[0]); /* the other one goes on */
    send_to(&ip[0], 30001, "x", 1);
    cr_assert(next(c[1], 100));
    ops->close(c[1]);
}

Test(shared, drops_are_told_and_are_anybodys)
{
    static const uint8_t bytes[1400];
    struct slr_capture *c = NULL;
    uint64_t told = 0, got = 0;
    if (!enter(8, 4096, &c)) {
        return;
    }
    add(c, &ip[0], 30000, 0);
    for (int i = 0; i < 2000; i++) {
        send_to(&ip[0], 30000, bytes, sizeof bytes);
    }
    while (next(c, 2)) {
        got += burst_count;
    }
    send_to(&ip[0], 30000, bytes, 10);
    cr_assert(next(c, 100));
    got++;
    told += burst[0].kernel_drops;
    cr_assert(burst[0].drops_anywhere);
    cr_assert_gt(told, 0u);
    cr_assert_eq(told + got, 2001u);
    cr_assert_eq(stats_of(c).drop_kernel, told);
    ops->close(c);
}

/* The process that steered is killed: its ports can be bound and hear at once. */
Test(shared, nothing_is_left_of_a_dead_process)
{
    struct slr_capture *c = NULL;
    int ready[2], status;
    char byte;
    if (!enter(4, 1 << 18, &c)) {
        return;
    }
    ops->close(c);
    cr_assert_eq(pipe(ready), 0);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        const struct slr_capture_config cfg = {
            .max_sockets = 4, .recv_buffer_bytes = 1 << 18, .media_ip = ip, .media_ip_count = 1};
        uint16_t cursor = 0, port;
        int fd = -1;
        bool ok = ops->open(&cfg, &c) == SLR_OK &&
                  slr_ports_bind(&ip[0], 0, 0, &cursor, 30000, &fd, NULL, &port) == SLR_OK &&
                  ops->add(c, fd, 0) == SLR_OK && write(ready[1], "x", 1) == 1;
        while (ok) {
            pause();
        }
        _exit(1);
    }
    cr_assert_eq(read(ready[0], &byte, 1), 1);
    cr_assert_eq(kill(child, SIGKILL), 0);
    cr_assert_eq(waitpid(child, &status, 0), child);
    /* the parked socket goes with its ring, which the kernel ends on its own time */
    int fd = -1;
    uint16_t cursor = 0, port;
    enum slr_err err = SLR_BUSY;
    for (int i = 0; i < 200 && err == SLR_BUSY; i++) {
        err = slr_ports_bind(&ip[0], 0, 0, &cursor, 30000, &fd, NULL, &port);
        poll(NULL, 0, err == SLR_BUSY ? 10 : 0);
    }
    cr_assert_eq(err, SLR_OK);
    send_to(&ip[0], 30000, "x", 1);
    cr_assert_eq(recv(fd, &byte, 1, 0), 1);
}

/* Without the right to load a program, or on a kernel without it. */
Test(shared, refused)
{
    struct slr_capture *c = NULL;
    struct slr_addr one;
    cr_assert_eq(slr_addr_parse("127.0.0.1", &one), SLR_OK);
    struct slr_capture_config cfg = {.max_sockets = 4, .media_ip = &one, .media_ip_count = 1};
    forbid(__NR_bpf, EPERM);
    cr_assert_eq(slr_capture_find("shared")->open(&cfg, &c), SLR_UNSUPPORTED);
    cr_assert_null(c);
}

Test(shared, wildcards_cannot_be_steered)
{
    struct slr_capture *c = NULL;
    struct slr_addr any;
    cr_assert_eq(slr_addr_parse("0.0.0.0", &any), SLR_OK);
    struct slr_capture_config cfg = {.max_sockets = 4, .media_ip = &any, .media_ip_count = 1};
    cr_assert_eq(slr_capture_find("shared")->open(&cfg, &c), SLR_UNSUPPORTED);
    cr_assert_null(c);
}

/* Where io_uring is refused, held ports are open files. */
Test(shared, without_a_table)
{
    struct slr_capture *c = NULL;
    forbid(__NR_io_uring_setup, EPERM);
    if (!enter(4, 1 << 18, &c)) {
        return;
    }
    for (int i = 0; i < 10; i++) {
        add(c, &ip[0], 30000, 1);
        send_to(&ip[0], 30000, "x", 1);
        cr_assert(next(c, 100));
        cr_assert_eq(burst[0].tag, 1u);
        ops->remove(c, 1);
    }
    add(c, &ip[0], 30000, 1);
    ops->close(c);
    close(bind_port(&ip[0], 30000));
}

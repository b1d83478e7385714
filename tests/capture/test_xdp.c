/*
 * What only the xdp backend has to prove: a stream's packets through its ring and through its
 * socket are one stream in order, no packet of a port's last owner is the next one's, what is there
 * after a kill, and what it refuses. Frames are put on the far end of a veth pair in a network
 * namespace of its own; without the right to one, or where the kernel refuses the program: skipped,
 * said plainly.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capture/capture.h"
#include "capture/xdp_program.h"
#include "tests/capture/forbid.h"
#include "tests/capture/xdp_frames.h"

#define PORT 30000u

static const struct slr_capture_ops *ops;
static struct slr_addr ip[2];
static struct slr_packet burst[SLR_CAPTURE_BURST];
static uint32_t burst_count;
static uint8_t mac[6];
static int far; /* raw, on the other end */

/* A veth pair: media0 with our addresses, far0. False: it can't be had. */
static bool make_link(void)
{
    struct ifreq ask = {.ifr_name = "media0"};
    struct sockaddr_ll at = {.sll_family = AF_PACKET};
    if (unshare(CLONE_NEWNET) != 0 ||
        system("ip link add media0 type veth peer name far0 2>/dev/null") != 0) {
        printf("SKIPPED: no network namespace or veth here\n");
        return false;
    }
    cr_assert_eq(system("ip link set lo up; ip addr add 203.0.113.1/24 dev media0;"
                        "ip addr add 2001:db8:7::1/64 dev media0 nodad; ip link set far0 up;"
                        "ip link set media0 up;"
                        "ip neigh add 203.0.113.7 lladdr 02:00:00:00:00:02 dev media0"),
                 0);
    cr_assert_eq(slr_addr_parse("203.0.113.1", &ip[0]), SLR_OK);
    cr_assert_eq(slr_addr_parse("2001:db8:7::1", &ip[1]), SLR_OK);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    cr_assert_eq(ioctl(fd, SIOCGIFHWADDR, &ask), 0);
    memcpy(mac, ask.ifr_hwaddr.sa_data, sizeof mac);
    close(fd);
    far = socket(AF_PACKET, SOCK_RAW, 0);
    at.sll_ifindex = (int)if_nametoindex("far0");
    cr_assert_eq(bind(far, (struct sockaddr *)&at, sizeof at), 0);
    return true;
}

static enum slr_err open_as(const char *arg, uint32_t workers, const struct slr_capture *first,
                            struct slr_capture **out)
{
    const struct slr_capture_config cfg = {.max_sockets = 16,
                                           .batch_us = 500,
                                           .recv_buffer_bytes = 1 << 20,
                                           .arg = arg,
                                           .media_ip = ip,
                                           .media_ip_count = 2,
                                           .workers = workers,
                                           .first = first};
    ops = slr_capture_find("xdp");
    return ops->open(&cfg, out);
}

static bool enter(const char *arg, struct slr_capture **out)
{
    if (!make_link()) {
        return false;
    }
    enum slr_err err = open_as(arg, 1, NULL, out);
    if (err == SLR_UNSUPPORTED) {
        printf("SKIPPED: backend xdp is refused by this machine\n");
        return false;
    }
    cr_assert_eq(err, SLR_OK);
    return true;
}

static int bind_port(const struct slr_addr *at, uint16_t port)
{
    uint16_t cursor = 0, got;
    int fd = -1;
    cr_assert_eq(slr_ports_bind(at, 0, 0, &cursor, port, &fd, NULL, &got), SLR_OK, "port %u", port);
    return fd;
}

static void add(struct slr_capture *c, uint32_t to, uint16_t port, uint32_t tag)
{
    cr_assert_eq(ops->add(c, bind_port(&ip[to], port), tag), SLR_OK);
}

static struct slr_capture_stats stats_of(const struct slr_capture *c)
{
    struct slr_capture_stats st;
    ops->stats(c, &st);
    return st;
}

/* The payload begins with `number`. */
static void send_frame(uint32_t to, uint16_t port, uint32_t payload_bytes, uint32_t number)
{
    struct packet p = xf_make(mac, &ip[to], 0, port, payload_bytes, 0);
    if (payload_bytes >= sizeof number) {
        memcpy(p.at + p.payload_at, &number, sizeof number);
        put_udp_sum(&p);
    }
    cr_assert_eq(send(far, p.at, p.len_bytes, 0), (ssize_t)p.len_bytes);
}

static bool next(struct slr_capture *c, uint32_t turns)
{
    for (uint32_t i = 0; i < turns; i++) {
        cr_assert_eq(ops->next(c, 10000, burst, &burst_count), SLR_OK);
        if (burst_count > 0) {
            return true;
        }
    }
    return false;
}

/* Until what comes to the port goes through its ring. */
static void until_open(struct slr_capture *c, uint32_t to, uint16_t port)
{
    for (int i = 0; i < 500; i++) {
        uint64_t before = stats_of(c).by_ring;
        send_frame(to, port, 20, 0);
        cr_assert(next(c, 500));
        if (stats_of(c).by_ring > before) {
            return;
        }
        cr_assert_not(next(c, 1)); /* the socket is empty */
    }
    cr_assert(false, "the ring is never used");
}

/* Frames of `to` numbered on from *sent, each pattern byte one: payload of that times 8 bytes. */
static void send_pattern(uint32_t to, uint16_t port, const uint8_t *pattern, size_t count,
                         uint32_t *sent)
{
    for (size_t i = 0; i < count; i++) {
        send_frame(to, port, pattern[i] * 8u, (*sent)++);
    }
}

static void check_order(struct slr_capture *c, uint32_t tag, uint32_t *got, uint32_t sent)
{
    static int64_t last_ns;
    while (*got < sent) {
        cr_assert(next(c, 500), "%u of %u", *got, sent);
        for (uint32_t i = 0; i < burst_count; i++, (*got)++) {
            uint32_t number;
            memcpy(&number, burst[i].at, sizeof number);
            cr_assert_eq(number, *got, "in order, each once");
            cr_assert_eq(burst[i].tag, tag);
            cr_assert_eq(burst[i].src.port, 40000);
            cr_assert_geq(burst[i].arrival.ns, last_ns);
            cr_assert_leq(burst[i].arrival.ns, slr_clock_mono(slr_clock_real()).ns);
            last_ns = burst[i].arrival.ns;
        }
    }
}

/* Short ones take the ring, long ones the socket, and a full ring all of them. */
static void check_one_stream(const char *arg, uint32_t to)
{
    struct slr_capture *c = NULL;
    static const uint8_t shorts[] = {1, 2, 20, 21, 22, 26, 27};
    static const uint8_t mixed[] = {20, 20, 30, 20, 100, 1, 2, 3, 28, 27};
    uint8_t many[200]; /* more than a ring has, fewer than a veth does */
    uint32_t sent = 0, got = 0;
    if (!enter(arg, &c)) {
        return;
    }
    memset(many, 21, sizeof many);
    add(c, to, PORT, 3);
    until_open(c, to, PORT);
    for (int round = 0; round < 50; round++) {
        send_pattern(to, PORT, shorts, sizeof shorts, &sent);
        check_order(c, 3, &got, sent);
    }
    uint64_t by_ring = stats_of(c).by_ring;
    cr_assert_geq(by_ring, sent, "all of them so far");
    send_pattern(to, PORT, many, sizeof many, &sent);
    check_order(c, 3, &got, sent);
    cr_assert_lt(stats_of(c).by_ring - by_ring, sizeof many, "it was full");
    until_open(c, to, PORT); /* with packets numbered 0 */
    for (uint32_t round = 0; round < 20; round++) {
        send_pattern(to, PORT, mixed, sizeof mixed, &sent);
        send_pattern(to, PORT, mixed, round % 10, &sent);
        if (round % 2) {
            check_order(c, 3, &got, sent);
        }
    }
    struct slr_capture_stats st = stats_of(c);
    cr_assert_eq(st.drop_stray + st.drop_kernel + st.drop_truncated + st.recv_errors, 0u);
    ops->close(c);
}

Test(xdp, ring_and_socket_are_one_stream)
{
    check_one_stream(NULL, 0);
}

Test(xdp, by_ipv6)
{
    check_one_stream("media0,native", 1);
}

Test(xdp, by_skb)
{
    check_one_stream("media0,skb,slots=16", 0);
}

/* What the program does not take is received all the same, or the kernel's to drop. */
Test(xdp, what_is_left_to_the_stack)
{
    struct slr_capture *c = NULL;
    struct packet p;
    if (!enter(NULL, &c)) {
        return;
    }
    add(c, 0, PORT, 0);
    add(c, 0, PORT + 1, 1);
    until_open(c, 0, PORT);
    uint64_t by_ring = stats_of(c).by_ring;
    send_frame(0, PORT + 1, 50, 7); /* RTCP */
    cr_assert(next(c, 500));
    cr_assert_eq(burst[0].tag, 1u);
    p = xf_make(mac, &ip[0], 0, PORT, 172, 0);
    p.at[14] = 0x46; /* one option: nothing */
    memmove(p.at + 38, p.at + 34, 180);
    memcpy(p.at + 34, "\x01\x01\x01\x00", 4);
    p.len_bytes += 4;
    put16(p.at + 16, 204);
    put16(p.at + 24, 0);
    uint32_t sum = 0;
    for (size_t i = 14; i < 38; i += 2) {
        sum += get16(p.at + i);
    }
    put16(p.at + 24, ~((sum & 0xffff) + (sum >> 16)) & 0xffff);
    cr_assert_eq(send(far, p.at, p.len_bytes, 0), (ssize_t)p.len_bytes);
    cr_assert(next(c, 500), "with IP options");
    cr_assert_eq(burst[0].len_bytes, 172u);
    p = xf_make(mac, &ip[0], 0, PORT, 172, 0);
    p.at[24] ^= 1; /* a wrong sum */
    cr_assert_eq(send(far, p.at, p.len_bytes, 0), (ssize_t)p.len_bytes);
    send_frame(0, PORT + 2, 50, 7); /* nobody's */
    cr_assert_not(next(c, 5));
    cr_assert_eq(stats_of(c).by_ring, by_ring);
    ops->close(c);
}

static _Atomic bool stop;

static void *send_thread(void *arg)
{
    struct packet p = xf_make(mac, &ip[0], 0, PORT, 172, 0);
    (void)arg;
    while (!stop) {
        (void)!send(far, p.at, p.len_bytes, 0);
    }
    return NULL;
}

/* A port is given from leg to leg while its packets keep coming. */
Test(xdp, a_port_under_load_changes_hands, .timeout = 60)
{
    struct slr_capture *c = NULL;
    pthread_t thread;
    uint64_t got = 0;
    if (!enter("slots=16", &c)) {
        return;
    }
    cr_assert_eq(pthread_create(&thread, NULL, send_thread, NULL), 0);
    for (uint32_t round = 0; round < 400; round++) {
        uint32_t tag = round % 16;
        int64_t since_ns = slr_clock_mono(slr_clock_real()).ns;
        add(c, 0, PORT, tag);
        for (int i = 0; i < 5; i++) {
            cr_assert_eq(ops->next(c, 1000, burst, &burst_count), SLR_OK);
            for (uint32_t k = 0; k < burst_count; k++, got++) {
                cr_assert_eq(burst[k].tag, tag);
                cr_assert_geq(burst[k].arrival.ns, since_ns, "round %u: it is of the last owner",
                              round);
            }
        }
        ops->remove(c, tag);
        if (round % 4 == 0) {
            cr_assert_eq(ops->next(c, 0, burst, &burst_count), SLR_OK);
            cr_assert_eq(burst_count, 0u, "nobody's");
        }
    }
    stop = true;
    pthread_join(thread, NULL);
    struct slr_capture_stats st = stats_of(c);
    printf("%llu packets, %llu by a ring, %llu strays\n", (unsigned long long)got,
           (unsigned long long)st.by_ring, (unsigned long long)st.drop_stray);
    cr_assert_eq(st.packets, got);
    cr_assert_gt(st.by_ring, 0u);
    cr_assert_gt(st.drop_stray, 0u, "the case arose");
    ops->close(c);
}

Test(xdp, more_streams_than_rings_and_both_workers)
{
    struct slr_capture *c[3] = {NULL};
    if (!make_link() || open_as(NULL, 2, NULL, &c[0]) != SLR_OK) {
        return;
    }
    cr_assert_eq(open_as(NULL, 2, c[0], &c[1]), SLR_OK);
    cr_assert_eq(open_as(NULL, 2, c[0], &c[2]), SLR_FULL);
    for (uint32_t i = 0; i < 16; i++) { /* 16 tags have rings for 7 */
        add(c[0], 0, (uint16_t)(PORT + 4 * i), i);
        add(c[1], 0, (uint16_t)(PORT + 4 * i + 2), i);
    }
    for (uint32_t round = 0; round < 10; round++) {
        for (uint32_t i = 0; i < 32; i++) {
            send_frame(0, (uint16_t)(PORT + 2 * i), 100, i);
        }
        for (uint32_t w = 0; w < 2; w++) {
            for (uint32_t got = 0; got < 16; got += burst_count) {
                cr_assert(next(c[w], 500), "round %u", round);
                for (uint32_t i = 0; i < burst_count; i++) {
                    uint32_t number;
                    memcpy(&number, burst[i].at, sizeof number);
                    cr_assert_eq(number, burst[i].tag * 2 + w);
                }
            }
        }
    }
    uint64_t by_ring = stats_of(c[0]).by_ring;
    cr_assert(by_ring > 0 && by_ring < 160);
    ops->close(c[0]); /* the other one goes on, and has the program */
    until_open(c[1], 0, PORT + 2);
    ops->close(c[1]);
}

/* The process that had the interface is killed: the next one has it at once. */
Test(xdp, nothing_is_left_of_a_dead_process)
{
    struct slr_capture *c = NULL;
    int ready[2], status;
    char byte;
    if (!enter(NULL, &c)) {
        return;
    }
    struct slr_capture *second = NULL;
    cr_assert_eq(open_as(NULL, 1, NULL, &second), SLR_UNSUPPORTED, "the interface is taken");
    cr_assert_null(second);
    ops->close(c);
    cr_assert_eq(pipe(ready), 0);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        uint16_t cursor = 0, port;
        int fd = -1;
        bool ok = open_as(NULL, 1, NULL, &c) == SLR_OK &&
                  slr_ports_bind(&ip[0], 0, 0, &cursor, PORT, &fd, NULL, &port) == SLR_OK &&
                  ops->add(c, fd, 0) == SLR_OK && write(ready[1], "x", 1) == 1;
        while (ok) {
            pause();
        }
        _exit(1);
    }
    cr_assert_eq(read(ready[0], &byte, 1), 1);
    cr_assert_eq(kill(child, SIGKILL), 0);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(open_as(NULL, 1, NULL, &c), SLR_OK);
    int fd = -1;
    uint16_t cursor = 0, port;
    enum slr_err err = SLR_BUSY;
    for (int i = 0; i < 200 && err == SLR_BUSY;
         i++) { /* the ring of sockets ends on its own time */
        err = slr_ports_bind(&ip[0], 0, 0, &cursor, PORT, &fd, NULL, &port);
        poll(NULL, 0, err == SLR_BUSY ? 10 : 0);
    }
    cr_assert_eq(err, SLR_OK);
    cr_assert_eq(ops->add(c, fd, 0), SLR_OK);
    until_open(c, 0, PORT);
    ops->close(c);
}

Test(xdp, refused)
{
    struct slr_capture *c = NULL;
    if (!make_link()) {
        return;
    }
    cr_assert_eq(open_as("there-is-none", 1, NULL, &c), SLR_UNSUPPORTED);
    cr_assert_eq(open_as("lo,native", 1, NULL, &c), SLR_UNSUPPORTED);
    cr_assert_eq(open_as("lo,slots=3", 1, NULL, &c), SLR_INVAL);
    cr_assert_eq(slr_addr_parse("198.51.100.1", &ip[0]), SLR_OK);
    cr_assert_eq(open_as(NULL, 1, NULL, &c), SLR_UNSUPPORTED, "an address of no interface");
    cr_assert_eq(slr_addr_parse("0.0.0.0", &ip[0]), SLR_OK);
    cr_assert_eq(open_as("media0", 1, NULL, &c), SLR_UNSUPPORTED, "a wildcard");
    cr_assert_eq(slr_addr_parse("203.0.113.1", &ip[0]), SLR_OK);
    forbid(__NR_bpf, EPERM);
    cr_assert_eq(open_as("media0", 1, NULL, &c), SLR_UNSUPPORTED);
    cr_assert_null(c);
}

/* Where io_uring is refused, the rest is received by plain sockets. */
Test(xdp, without_uring)
{
    struct slr_capture *c = NULL;
    forbid(__NR_io_uring_setup, EPERM);
    if (!enter(NULL, &c)) {
        return;
    }
    add(c, 0, PORT, 0);
    until_open(c, 0, PORT);
    send_frame(0, PORT, 1000, 5);
    cr_assert(next(c, 500));
    cr_assert_eq(burst[0].len_bytes, 1000u);
    ops->remove(c, 0);
    ops->close(c);
}

/*
 * Frames that the kernel is made to believe: each arrives as it was written, in order.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load/batch.h"
#include "load/draw.h"
#include "load/live.h"

#define FRAME_MAX 400u

/* A network of our own whose loopback is up. */
static void own_network(void)
{
    struct ifreq r = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    if (unshare(CLONE_NEWNET) != 0) {
        cr_skip("needs root");
    }
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    cr_assert_eq(ioctl(fd, SIOCSIFFLAGS, &r), 0);
    close(fd);
}

/* All that loopback receives. */
static int open_listener(void)
{
    int big = 8 << 20;
    struct timeval limit = {.tv_sec = 10};
    struct sockaddr_ll at = {.sll_family = AF_PACKET,
                             .sll_protocol = htons(ETH_P_IP),
                             .sll_ifindex = (int)if_nametoindex("lo")};
    int fd = socket(AF_PACKET, SOCK_RAW, 0);
    cr_assert_geq(fd, 0);
    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof big), 0);
    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

static void open_live(struct slr_live *l)
{
    enum slr_err err = slr_live_open(l, "lo", SLR_LIVE_IN, FRAME_MAX, (int)if_nametoindex("lo"));
    if (err == SLR_UNSUPPORTED) {
        slr_live_close(l);
        cr_skip("no live frames here");
    }
    cr_assert_eq(err, SLR_OK);
}

static size_t make_frame(uint32_t number, uint8_t *at)
{
    size_t len = 60 + slr_draw_below(slr_draw_mix(number + 1), FRAME_MAX - 60 + 1);
    memset(at, 0, 14);
    at[12] = 8; /* IPv4, or so it says */
    for (size_t i = 14; i < len; i++) {
        at[i] = (uint8_t)slr_draw_mix(number * FRAME_MAX + i);
    }
    return len;
}

static void send_frames(struct slr_live *l, uint32_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        slr_live_put(l, i, make_frame(first + i, slr_live_at(l, i)));
    }
    cr_assert_eq(slr_live_send(l, count), 0);
}

static void expect_frames(int fd, uint32_t first, uint32_t count)
{
    uint8_t got[2000], want[FRAME_MAX];
    for (uint32_t i = 0; i < count; i++) {
        ssize_t n = recv(fd, got, sizeof got, 0);
        size_t len = make_frame(first + i, want);
        cr_assert_eq(n, (ssize_t)len, "frame %u: %zd", first + i, n);
        cr_assert_eq(memcmp(got, want, len), 0, "frame %u", first + i);
    }
}

Test(live, frames_of_any_length_arrive_as_written)
{
    static const uint32_t counts[] = {1, 300, 63, 64, 65, 2, SLR_LIVE_FRAMES, 700};
    struct slr_live l;
    uint32_t first = 0;
    own_network();
    int fd = open_listener();
    open_live(&l);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        send_frames(&l, first, counts[i]);
        expect_frames(fd, first, counts[i]);
        first += counts[i];
    }
    cr_assert_eq(recv(fd, &first, sizeof first, MSG_DONTWAIT), -1);
    slr_live_close(&l);
    close(fd);
}

Test(live, a_frame_that_is_none_is_not_sent)
{
    struct slr_live l;
    own_network();
    int fd = open_listener();
    open_live(&l);
    slr_live_put(&l, 0, 0);
    cr_assert_eq(slr_live_send(&l, 1), 1); /* told */
    send_frames(&l, 0, 3);                 /* and forgotten */
    expect_frames(fd, 0, 3);
    slr_live_close(&l);
    close(fd);
}

Test(live, packets_of_a_batch)
{
    struct slr_live l;
    struct slr_link link;
    struct slr_batch b;
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(4000)};
    struct sockaddr_in to = {.sin_family = AF_INET};
    uint8_t got[2000];
    own_network();
    int fd = open_listener();
    open_live(&l);
    cr_assert_eq(slr_link_open(&link, "lo", SLR_LINK_FOREIGN, &from, to.sin_addr), SLR_OK);
    struct slr_batch_way way = {.fd = -1, .link = &link, .live = &l};
    cr_assert_eq(slr_batch_open(&b, &way, 300), SLR_OK);
    for (uint16_t i = 0; i < 500; i++) {
        to.sin_port = htons((uint16_t)(5000 + i));
        memset(slr_batch_at(&b), i & 0xff, 300);
        slr_batch_add(&b, NULL, &to, 12 + i % 289u);
    }
    cr_assert_lt(b.count, b.most);
    cr_assert_eq(slr_batch_flush(&b), 500);
    cr_assert(b.packets == 500 && b.errors == 0);
    for (uint32_t i = 0; i < 500; i++) {
        cr_assert_eq(recv(fd, got, sizeof got, 0), (ssize_t)(SLR_LINK_HEAD_BYTES + 12 + i % 289u));
        cr_assert_eq((uint32_t)(got[36] << 8 | got[37]), 5000 + i);
        cr_assert_eq(got[SLR_LINK_HEAD_BYTES], i & 0xff);
    }
    slr_batch_close(&b);
    slr_live_close(&l);
    close(fd);
}

Test(live, no_such_device)
{
    struct slr_live l;
    own_network();
    enum slr_err err = slr_live_open(&l, "a-name-that-no-device-has", SLR_LIVE_OUT, 200, 1);
    cr_assert_eq(err, SLR_NOTFOUND);
    slr_live_close(&l);
}

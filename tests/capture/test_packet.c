/* The packet backend as far as no real link is needed: that is tests/e2e/test_span.py. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "capture/capture.h"
#include "common/clock.h"

Test(packet, is_passive_and_live)
{
    const char *arg = NULL;
    const struct slr_capture_ops *ops = slr_capture_named("packet:eth1,own", &arg);
    cr_assert_not_null(ops);
    cr_assert_str_eq(ops->name, "packet");
    cr_assert_str_eq(arg, "eth1,own");
    cr_assert(ops->passive && ops->fd && ops->wake);
    ops = slr_capture_named("pcapfile:x", NULL);
    cr_assert(ops->passive && !ops->fd);
    cr_assert_not(slr_capture_named("uring", &arg)->passive);
    cr_assert_null(arg);
    cr_assert_null(slr_capture_named("packe", NULL));
    cr_assert_null(slr_capture_named("a-name-that-is-far-too-long-for-any-backend:x", NULL));
}

Test(packet, what_cannot_be_opened)
{
    static const char *const bad[] = {NULL, "", "eth1,what", "there-is-none"};
    struct slr_capture *c = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct slr_capture_config cfg = {.arg = bad[i]};
        enum slr_err err = slr_capture_find("packet")->open(&cfg, &c);
        cr_assert(err == (i < 3 ? SLR_INVAL : SLR_NOTFOUND) || (i == 3 && err == SLR_IO), "%zu", i);
        cr_assert_null(c);
    }
}

#define FRAME_BYTES 60000 /* two of them fill a block */

/* A socket in a network of our own whose loopback is up. */
static int own_network(void)
{
    struct ifreq lo = {.ifr_name = "lo"};
    lo.ifr_flags = IFF_UP;
    if (unshare(CLONE_NEWNET) != 0) {
        cr_skip("needs root");
    }
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    cr_assert_eq(ioctl(fd, SIOCSIFFLAGS, &lo), 0);
    return fd;
}

static void send_frames(int fd, uint32_t count)
{
    static uint8_t bytes[FRAME_BYTES];
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(5000),
                             .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    for (uint32_t i = 0; i < count; i++) {
        cr_assert_eq(sendto(fd, bytes, sizeof bytes, 0, (struct sockaddr *)&to, sizeof to),
                     FRAME_BYTES);
    }
}

struct seen {
    uint32_t packets, drops, holes;
};

static void take(struct slr_capture *c, struct seen *s)
{
    static struct slr_packet burst[SLR_CAPTURE_BURST];
    uint32_t count = 0;
    cr_assert_eq(c->ops->next(c, 0, burst, &count), SLR_OK);
    for (uint32_t i = 0; i < count; i++) {
        s->packets++;
        s->drops += burst[i].kernel_drops;
        s->holes += burst[i].drops_before;
        cr_assert(burst[i].kernel_drops == 0 || burst[i].drops_before);
    }
}

/* The ring runs over three times before the first hole is read. All that was dropped is told there;
 * that there are holes further on is told where they are. */
Test(packet, each_hole_is_told)
{
    struct seen s = {0};
    struct slr_capture *c = NULL;
    int fd = own_network();
    struct slr_capture_config cfg = {.arg = "lo,ring=1"};
    cr_assert_eq(slr_capture_find("packet")->open(&cfg, &c), SLR_OK);
    send_frames(fd, 40);
    take(c, &s);
    for (uint32_t i = 0; i < 2; i++) {
        take(c, &s); /* a block goes back, and is filled again */
        send_frames(fd, 10);
        cr_assert_eq(s.holes, 0);
        int64_t then = slr_clock_mono(slr_clock_real()).ns + 15 * SLR_NS_PER_MS;
        while (slr_clock_mono(slr_clock_real()).ns < then) {
        }
    }
    for (uint32_t i = 0; i < 200 && s.packets + s.drops < 60; i++) {
        take(c, &s);
    }
    for (uint32_t i = 0; i < 20; i++) { /* what is left of the last block */
        take(c, &s);
    }
    cr_assert_eq(s.packets + s.drops, 60, "%u + %u", s.packets, s.drops);
    cr_assert_gt(s.drops, 30);
    cr_assert_eq(s.holes, 2, "%u", s.holes);
    c->ops->close(c);
    close(fd);
}

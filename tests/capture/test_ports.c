/* Port pairs: even, in turn, around the end, exact, and full. Ranges are found free at run time. */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "capture/capture.h"

static struct slr_addr loopback;

/* An even port p so that p .. p+count-1 were free a moment ago. */
static uint16_t free_range(uint16_t count)
{
    for (uint32_t p = 20000 + ((uint32_t)getpid() * 64) % 30000; p < 65000; p += 64) {
        uint16_t cursor = 0, port;
        int fd[64];
        uint16_t got = 0;
        bool all = true;
        while (all && got < count) {
            all = slr_ports_bind(&loopback, 0, 0, &cursor, (uint16_t)(p + got), &fd[got], NULL,
                                 &port) == SLR_OK;
            got += all;
        }
        for (uint16_t i = 0; i < got; i++) {
            close(fd[i]);
        }
        if (all) {
            return (uint16_t)p;
        }
    }
    cr_assert(false, "no free ports on this machine");
    return 0;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage sa;
    struct slr_addr a;
    socklen_t len = sizeof sa;
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    cr_assert(slr_addr_from_sockaddr((struct sockaddr *)&sa, &a));
    cr_assert(slr_addr_eq_ip(&a, &loopback));
    return a.port;
}

static void setup(void)
{
    cr_assert_eq(slr_addr_parse("127.0.0.1", &loopback), SLR_OK);
}

TestSuite(ports, .init = setup);

Test(ports, pairs_in_turn_and_full)
{
    uint16_t lo = free_range(8), cursor = 0, port;
    int rtp[4], rtcp[4], extra = 7, extra_rtcp = 7;
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(slr_ports_bind(&loopback, lo, lo + 7, &cursor, 0, &rtp[i], &rtcp[i], &port),
                     SLR_OK);
        cr_assert_eq(port, lo + 2 * i);
        cr_assert_eq(port_of(rtp[i]), port);
        cr_assert_eq(port_of(rtcp[i]), port + 1);
    }
    cr_assert_eq(slr_ports_bind(&loopback, lo, lo + 7, &cursor, 0, &extra, &extra_rtcp, &port),
                 SLR_FULL);
    cr_assert_eq(extra, -1);
    cr_assert_eq(extra_rtcp, -1);
}

Test(ports, a_port_rests_before_it_is_used_again)
{
    uint16_t lo = free_range(8), cursor = 0, port;
    for (int i = 0; i < 9; i++) {
        int rtp, rtcp;
        cr_assert_eq(slr_ports_bind(&loopback, lo, lo + 7, &cursor, 0, &rtp, &rtcp, &port), SLR_OK);
        cr_assert_eq(port, lo + 2 * (i % 4), "closed at once, yet not taken at once");
        close(rtp);
        close(rtcp);
    }
}

Test(ports, taken_rtcp_port_skips_the_pair)
{
    uint16_t lo = free_range(4), cursor = 0, port;
    int blocker, rtp, rtcp;
    cr_assert_eq(slr_ports_bind(&loopback, 0, 0, &cursor, lo + 1, &blocker, NULL, &port), SLR_OK);
    cr_assert_eq(slr_ports_bind(&loopback, lo, lo + 3, &cursor, 0, &rtp, &rtcp, &port), SLR_OK);
    cr_assert_eq(port, lo + 2);
    close(rtp);
    close(rtcp);
    /* The RTP half of the failed pair was given back. */
    cr_assert_eq(slr_ports_bind(&loopback, 0, 0, &cursor, lo, &rtp, NULL, &port), SLR_OK);
}

Test(ports, odd_bounds_and_rtp_only)
{
    uint16_t lo = free_range(8), cursor = 0, port;
    int rtp, rtcp;
    cr_assert_eq(slr_ports_bind(&loopback, lo + 1, lo + 4, &cursor, 0, &rtp, &rtcp, &port), SLR_OK);
    cr_assert_eq(port, lo + 2, "even, and its RTCP port still within");
    cr_assert_eq(slr_ports_bind(&loopback, lo + 1, lo + 4, &cursor, 0, &rtp, &rtcp, &port),
                 SLR_FULL);
    cr_assert_eq(slr_ports_bind(&loopback, lo + 4, lo + 4, &cursor, 0, &rtp, NULL, &port), SLR_OK);
    cr_assert_eq(port, lo + 4);
}

Test(ports, exact)
{
    uint16_t lo = free_range(4), cursor = 1234, port;
    int rtp, rtcp, again;
    cr_assert_eq(slr_ports_bind(&loopback, 1, 2, &cursor, lo, &rtp, &rtcp, &port), SLR_OK);
    cr_assert_eq(port, lo);
    cr_assert_eq(cursor, 1234);
    cr_assert_eq(slr_ports_bind(&loopback, 1, 2, &cursor, lo, &again, NULL, &port), SLR_BUSY);
    cr_assert_eq(again, -1);
}

Test(ports, refuses_bad_ranges)
{
    uint16_t cursor = 0, port;
    int rtp, rtcp;
    cr_assert_eq(slr_ports_bind(&loopback, 0, 0, &cursor, 0, &rtp, &rtcp, &port), SLR_INVAL);
    cr_assert_eq(slr_ports_bind(&loopback, 30000, 20000, &cursor, 0, &rtp, &rtcp, &port),
                 SLR_INVAL);
    cr_assert_eq(slr_ports_bind(&loopback, 20001, 20002, &cursor, 0, &rtp, &rtcp, &port),
                 SLR_INVAL);
    cr_assert_eq(slr_ports_bind(&loopback, 0, 0, &cursor, 65535, &rtp, &rtcp, &port), SLR_INVAL);
}

Test(ports, foreign_address_is_an_error)
{
    struct slr_addr far;
    uint16_t cursor = 0, port;
    int rtp, rtcp;
    cr_assert_eq(slr_addr_parse("192.0.2.77", &far), SLR_OK);
    cr_assert_eq(slr_ports_bind(&far, 30000, 30010, &cursor, 0, &rtp, &rtcp, &port), SLR_IO);
    cr_assert_eq(rtp, -1);
}

Test(ports, ipv6)
{
    struct slr_addr six;
    uint16_t cursor = 0, port;
    int rtp, rtcp;
    cr_assert_eq(slr_addr_parse("::1", &six), SLR_OK);
    enum slr_err err = slr_ports_bind(&six, 20000, 60000, &cursor, 0, &rtp, &rtcp, &port);
    if (err == SLR_IO) {
        cr_skip_test("SKIPPED: no IPv6 loopback here");
    }
    cr_assert_eq(err, SLR_OK);
    cr_assert_eq(port % 2, 0);
}

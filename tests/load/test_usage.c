/*
 * What a machine is asked for while a load runs, as far as it can be brought about here.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load/usage.h"

static int open_socket(struct sockaddr_in *at)
{
    socklen_t len = sizeof *at;
    int least = 1;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    *at =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    cr_assert_eq(bind(fd, (struct sockaddr *)at, sizeof *at), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)at, &len), 0);
    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &least, sizeof least), 0);
    return fd;
}

/* How many of `count` datagrams a socket dropped that nobody reads. */
static uint64_t fill(int from, int to, const struct sockaddr_in *at, uint32_t count)
{
    char bytes[172] = "";
    uint64_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        cr_assert_eq(sendto(from, bytes, sizeof bytes, 0, (const struct sockaddr *)at, sizeof *at),
                     (ssize_t)sizeof bytes);
    }
    while (recv(to, bytes, sizeof bytes, MSG_DONTWAIT) > 0) {
        kept++;
    }
    cr_assert_lt(kept, count);
    return count - kept;
}

Test(usage, what_single_sockets_dropped)
{
    static struct slr_usage u;
    static const struct slr_load_config cfg;
    struct ifreq lo = {.ifr_name = "lo"};
    struct sockaddr_in at[3];
    int fd[3];
    lo.ifr_flags = IFF_UP;
    if (unshare(CLONE_NEWNET) != 0) {
        cr_skip("needs root");
    }
    fd[0] = socket(AF_INET, SOCK_DGRAM, 0);
    cr_assert_eq(ioctl(fd[0], SIOCSIFFLAGS, &lo), 0);
    fd[1] = open_socket(&at[1]);
    fd[2] = open_socket(&at[2]);
    uint64_t one = fill(fd[0], fd[1], &at[1], 300);
    uint64_t two = fill(fd[0], fd[2], &at[2], 100);
    slr_usage_take(&cfg, &u);
    cr_assert_eq(u.udp.socket_drops, one + two);
    cr_assert_eq(u.udp.socket_drops_most, one > two ? one : two);
    cr_assert_eq(u.udp.sockets_dropping, 2);
    cr_assert_eq(u.udp.receive_buffer_errors, one + two);
    cr_assert_gt(u.cpu_count, 0);
    for (uint32_t i = 0; i < 3; i++) {
        close(fd[i]);
    }
}

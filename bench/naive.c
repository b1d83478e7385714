/*
 * naive: the recorder that one would write first: a UDP socket and a file for each leg, epoll, one
 * recvfrom and one write a packet. What bench/naive.py compares slr with. It knows no calls, no
 * loss, no order and no second chance: payloads go to the files as they come.
 *
 * naive-recorder IP PORT LEGS DIR: leg n listens on PORT + 2 n and writes DIR/n.raw. Says "ready"
 * on standard output; ends at SIGTERM or SIGINT with one JSON line of what it did. One thread.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 1024
#define PACKET_BYTES 2048
#define RTP_HEAD_BYTES 12

struct leg {
    int socket, file;
};

struct count {
    uint64_t packets, bytes, errors;
};

static volatile sig_atomic_t ended;

static void on_signal(int number)
{
    (void)number;
    ended = 1;
}

static void must(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "naive-recorder: %s: %s\n", what, strerror(errno));
        exit(2);
    }
}

static void open_leg(struct leg *leg, const char *ip, uint16_t port, const char *dir, uint32_t n)
{
    char path[4096];
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    leg->socket = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    must(leg->socket >= 0, "socket");
    must(inet_pton(AF_INET, ip, &at.sin_addr) == 1, "address");
    must(bind(leg->socket, (struct sockaddr *)&at, sizeof at) == 0, "bind");
    snprintf(path, sizeof path, "%s/%u.raw", dir, n);
    leg->file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    must(leg->file >= 0, path);
}

static void take_packet(const struct leg *leg, struct count *c)
{
    uint8_t packet[PACKET_BYTES];
    struct sockaddr_in from;
    socklen_t from_bytes = sizeof from;
    ssize_t n =
        recvfrom(leg->socket, packet, sizeof packet, 0, (struct sockaddr *)&from, &from_bytes);
    if (n <= RTP_HEAD_BYTES) {
        c->errors++;
        return;
    }
    size_t bytes = (size_t)n - RTP_HEAD_BYTES;
    if (write(leg->file, packet + RTP_HEAD_BYTES, bytes) != (ssize_t)bytes) {
        c->errors++;
    }
    c->packets++;
    c->bytes += bytes;
}

static void record(int poll_fd, const struct leg *leg, struct count *c)
{
    static struct epoll_event event[EVENTS];
    while (!ended) {
        int n = epoll_wait(poll_fd, event, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            take_packet(&leg[event[i].data.u32], c);
        }
    }
}

int main(int argc, char **argv)
{
    struct count c = {0};
    struct sigaction action = {.sa_handler = on_signal};
    struct rlimit files;
    if (argc != 5) {
        fprintf(stderr, "usage: naive-recorder IP PORT LEGS DIR\n");
        return 2;
    }
    uint32_t legs = (uint32_t)strtoul(argv[3], NULL, 10);
    must(getrlimit(RLIMIT_NOFILE, &files) == 0, "limits");
    files.rlim_cur = files.rlim_max;
    must(setrlimit(RLIMIT_NOFILE, &files) == 0, "limits");
    int poll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct leg *leg = calloc(legs, sizeof *leg);
    must(poll_fd >= 0 && leg, "memory");
    for (uint32_t i = 0; i < legs; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        open_leg(&leg[i], argv[1], (uint16_t)(strtoul(argv[2], NULL, 10) + 2 * i), argv[4], i);
        must(epoll_ctl(poll_fd, EPOLL_CTL_ADD, leg[i].socket, &event) == 0, "epoll");
    }
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    puts("ready");
    fflush(stdout);
    record(poll_fd, leg, &c);
    printf("{\"recorder\":\"naive\",\"packets\":%" PRIu64 ",\"bytes\":%" PRIu64
           ",\"errors\":%" PRIu64 "}\n",
           c.packets, c.bytes, c.errors);
    free(leg);
    return 0; /* the kernel closes what is open */
}

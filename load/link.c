/*
 * link: see the header.
 */
#include "load/link.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define IP_AT 14u
#define UDP_AT 34u
#define TRIES 20
#define TRY_MS 50

/* Administered locally: no card has it. */
static const uint8_t nobody[6] = {0x02, 's', 'l', 'r', 0, 1};

static void put16(uint8_t *at, size_t v)
{
    at[0] = (uint8_t)(v >> 8);
    at[1] = (uint8_t)v;
}

/* The neighbour's hardware address; a datagram to its discard port makes the kernel ask for it. */
static enum slr_err ask_neighbour(const char *device, struct in_addr to, uint8_t mac[static 6])
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr = to};
    enum slr_err err = SLR_TIMEOUT;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return slr_err_from_errno(errno);
    }
    for (int i = 0; i < TRIES && err == SLR_TIMEOUT; i++) {
        struct arpreq arp = {0};
        memcpy(&arp.arp_pa, &at, sizeof at);
        snprintf(arp.arp_dev, sizeof arp.arp_dev, "%s", device);
        (void)sendto(fd, "", 0, MSG_DONTWAIT, (struct sockaddr *)&at, sizeof at);
        if (ioctl(fd, SIOCGARP, &arp) == 0 && (arp.arp_flags & ATF_COM)) {
            memcpy(mac, arp.arp_ha.sa_data, 6);
            err = SLR_OK;
        } else {
            (void)poll(NULL, 0, TRY_MS);
        }
    }
    close(fd);
    return err;
}

/* Number and hardware address. */
static enum slr_err find_device(struct slr_link *l, const char *device, uint8_t mac[static 6])
{
    struct ifreq ifr = {0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return slr_err_from_errno(errno);
    }
    snprintf(ifr.ifr_name, sizeof ifr.ifr_name, "%s", device);
    bool found = ioctl(fd, SIOCGIFHWADDR, &ifr) == 0;
    memcpy(mac, ifr.ifr_hwaddr.sa_data, 6);
    found = found && ioctl(fd, SIOCGIFINDEX, &ifr) == 0;
    l->ifindex = ifr.ifr_ifindex;
    close(fd);
    return found ? SLR_OK : SLR_NOTFOUND;
}

enum slr_err slr_link_open(struct slr_link *l, const char *device, enum slr_link_to whose,
                           const struct sockaddr_in *from, struct in_addr to)
{
    uint8_t mac[6];
    memset(l, 0, sizeof *l);
    enum slr_err err = find_device(l, device, mac);
    if (err != SLR_OK) {
        return err;
    }
    memcpy(l->head + 6, whose == SLR_LINK_SELF ? nobody : mac, 6);
    if (whose == SLR_LINK_NEIGHBOUR) {
        err = ask_neighbour(device, to, l->head);
    } else {
        memcpy(l->head, whose == SLR_LINK_SELF ? mac : nobody, 6);
    }
    put16(l->head + 12, ETHERTYPE_IP);
    memcpy(l->head + IP_AT, "\x45\0\0\0\0\0\x40\0\x40\x11", 10); /* DF, 64 hops, UDP */
    memcpy(l->head + IP_AT + 12, &from->sin_addr, 4);
    memcpy(l->head + UDP_AT, &from->sin_port, 2);
    return err;
}

int slr_link_socket(const struct slr_link *l)
{
    int on = 1;
    int big = 16 << 20;
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    /* protocol 0: nothing is received */
    struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_ifindex = l->ifindex};
    if (fd >= 0 && (bind(fd, (struct sockaddr *)&at, sizeof at) != 0 ||
                    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on) != 0 ||
                    (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &big, sizeof big) != 0 &&
                     setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &big, sizeof big) != 0))) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

void slr_link_head(const struct slr_link *l, const struct sockaddr_in *from,
                   const struct sockaddr_in *to, size_t len_bytes, uint8_t *at)
{
    uint32_t sum = 0;
    memcpy(at, l->head, SLR_LINK_HEAD_BYTES);
    if (from && from->sin_family != 0) {
        memcpy(at + IP_AT + 12, &from->sin_addr, 4);
        memcpy(at + UDP_AT, &from->sin_port, 2);
    }
    put16(at + IP_AT + 2, 28 + len_bytes);
    memcpy(at + IP_AT + 16, &to->sin_addr, 4);
    for (uint32_t i = 0; i < 20; i += 2) {
        sum += (uint32_t)at[IP_AT + i] << 8 | at[IP_AT + i + 1];
    }
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    put16(at + IP_AT + 10, ~sum & 0xffff);
    memcpy(at + UDP_AT + 2, &to->sin_port, 2);
    put16(at + UDP_AT + 4, 8 + len_bytes);
}

/*
 * link: RTP as Ethernet frames of our own making: the head of each, and what it takes to have one.
 * Pure but for open.
 */
#ifndef SLR_LOAD_LINK_H
#define SLR_LOAD_LINK_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define SLR_LINK_HEAD_BYTES 42u /* Ethernet, IPv4, UDP */

/* Whose hardware address frames bear. */
enum slr_link_to {
    SLR_LINK_NEIGHBOUR, /* that of an address on the link, which is asked for it */
    SLR_LINK_SELF,      /* the device's: they are to be received by it */
    SLR_LINK_FOREIGN    /* nobody's: only who listens to all frames takes them */
};

struct slr_link {
    int ifindex;
    uint8_t head[SLR_LINK_HEAD_BYTES];
};

/* Frames of that device, from `from` unless a packet says otherwise, to the hardware address of
 * `to` (1 s at most) or as `whose` says. SLR_NOTFOUND: no such device; SLR_TIMEOUT: no such
 * neighbour; SLR_DENIED; else from errno. */
enum slr_err slr_link_open(struct slr_link *l, const char *device, enum slr_link_to whose,
                           const struct sockaddr_in *from, struct in_addr to) SLR_CHECKED;

/* A socket that gives frames to the device (AF_PACKET); costs less than half of what a UDP socket
 * does. The caller closes it; -1 and errno where there is none. */
int slr_link_socket(const struct slr_link *l);

/* Writes the head of a packet of len_bytes of UDP payload, which stands SLR_LINK_HEAD_BYTES behind
 * `at`. No UDP checksum (RFC 768 allows it). from: of family 0, or NULL: the link's. */
void slr_link_head(const struct slr_link *l, const struct sockaddr_in *from,
                   const struct sockaddr_in *to, size_t len_bytes, uint8_t *at);

#endif

/*
 * link: RTP as Ethernet frames of our own making, given to the device directly (AF_PACKET): costs
 * less than half of what a UDP socket does. The recorder must be a neighbour on that link. Pure but
 * for open.
 */
#ifndef SLR_LOAD_LINK_H
#define SLR_LOAD_LINK_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define SLR_LINK_HEAD_BYTES 42u /* Ethernet, IPv4, UDP */

struct slr_link {
    int fd; /* the caller's to close */
    uint8_t head[SLR_LINK_HEAD_BYTES];
};

/* A socket on that device for packets from `from` to the neighbour at `to` (which is asked for its
 * hardware address: 1 s at most). SLR_NOTFOUND: no such device; SLR_TIMEOUT: no such neighbour;
 * SLR_DENIED; else from errno. */
enum slr_err slr_link_open(struct slr_link *l, const char *device, const struct sockaddr_in *from,
                           struct in_addr to) SLR_CHECKED;

/* Writes the head of a packet of len_bytes of UDP payload, which stands SLR_LINK_HEAD_BYTES behind
 * `at`. No UDP checksum (RFC 768 allows it). */
void slr_link_head(const struct slr_link *l, const struct sockaddr_in *to, size_t len_bytes,
                   uint8_t *at);

#endif

/*
 * batch: packets that leave with one sendmmsg. One thread; allocates at open only.
 */
#ifndef SLR_LOAD_BATCH_H
#define SLR_LOAD_BATCH_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/err.h"
#include "load/link.h"

#define SLR_BATCH_PACKETS 64u

struct slr_batch {
    int fd;
    const struct slr_link *link; /* NULL: fd is a UDP socket */
    uint32_t count;
    size_t stride_bytes;
    uint8_t *buffer;
    struct mmsghdr msg[SLR_BATCH_PACKETS];
    struct iovec iov[SLR_BATCH_PACKETS];
    struct sockaddr_in to[SLR_BATCH_PACKETS];
    uint64_t packets, bytes, waits, errors;
};

/* A batch on a UDP socket of the caller's, or on a link, packets of at most packet_bytes. */
enum slr_err slr_batch_open(struct slr_batch *b, int fd, const struct slr_link *link,
                            size_t packet_bytes) SLR_CHECKED;
void slr_batch_close(struct slr_batch *b);

/* Where the next packet is to be written. There is room unless count is SLR_BATCH_PACKETS. */
uint8_t *slr_batch_at(struct slr_batch *b);
/* That packet is whole. */
void slr_batch_add(struct slr_batch *b, const struct sockaddr_in *to, size_t len_bytes);
/* Sends all of them; waits while the socket is full. Gives how many there were. */
uint32_t slr_batch_flush(struct slr_batch *b);

#endif

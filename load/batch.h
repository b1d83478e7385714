/*
 * batch: packets that leave together: with one sendmmsg, or as live frames. One thread; allocates
 * at open only.
 */
#ifndef SLR_LOAD_BATCH_H
#define SLR_LOAD_BATCH_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/err.h"
#include "load/link.h"
#include "load/live.h"

#define SLR_BATCH_PACKETS 64u

/* Where they go. */
struct slr_batch_way {
    int fd;                      /* a UDP socket, or one of slr_link_socket */
    const struct slr_link *link; /* NULL: fd is a UDP socket */
    struct slr_live *live;       /* NULL: through fd */
};

struct slr_batch {
    struct slr_batch_way way;
    uint32_t count, most;
    size_t stride_bytes;
    uint8_t *buffer;
    struct mmsghdr msg[SLR_BATCH_PACKETS];
    struct iovec iov[SLR_BATCH_PACKETS];
    struct sockaddr_in to[SLR_BATCH_PACKETS];
    uint64_t packets, bytes, waits, errors;
};

/* Packets of at most packet_bytes; what `way` names is the caller's. */
enum slr_err slr_batch_open(struct slr_batch *b, const struct slr_batch_way *way,
                            size_t packet_bytes) SLR_CHECKED;
void slr_batch_close(struct slr_batch *b);

/* Where the next packet is to be written. There is room unless count is `most`. */
uint8_t *slr_batch_at(struct slr_batch *b);
/* That packet is whole. from: as slr_link_head has it; a UDP socket's is its own. */
void slr_batch_add(struct slr_batch *b, const struct sockaddr_in *from,
                   const struct sockaddr_in *to, size_t len_bytes);
/* Sends all of them; waits while the socket is full. Gives how many there were. */
uint32_t slr_batch_flush(struct slr_batch *b);

#endif

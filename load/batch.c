/*
 * batch: see the header.
 */
#include "load/batch.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MS 100

enum slr_err slr_batch_open(struct slr_batch *b, int fd, const struct slr_link *link,
                            size_t packet_bytes)
{
    memset(b, 0, sizeof *b);
    b->fd = link ? link->fd : fd;
    b->link = link;
    b->stride_bytes = (SLR_LINK_HEAD_BYTES + packet_bytes + 63u) & ~(size_t)63u;
    b->buffer = aligned_alloc(64, b->stride_bytes * SLR_BATCH_PACKETS);
    if (!b->buffer) {
        return SLR_NOMEM;
    }
    for (uint32_t i = 0; i < SLR_BATCH_PACKETS; i++) {
        b->iov[i].iov_base = b->buffer + i * b->stride_bytes + (link ? 0 : SLR_LINK_HEAD_BYTES);
        b->msg[i].msg_hdr = (struct msghdr){.msg_name = link ? NULL : &b->to[i],
                                            .msg_namelen = link ? 0 : sizeof b->to[i],
                                            .msg_iov = &b->iov[i],
                                            .msg_iovlen = 1};
    }
    return SLR_OK;
}

void slr_batch_close(struct slr_batch *b)
{
    free(b->buffer);
    b->buffer = NULL;
}

uint8_t *slr_batch_at(struct slr_batch *b)
{
    return b->buffer + b->count * b->stride_bytes + SLR_LINK_HEAD_BYTES;
}

void slr_batch_add(struct slr_batch *b, const struct sockaddr_in *to, size_t len_bytes)
{
    if (b->link) {
        slr_link_head(b->link, to, len_bytes, b->iov[b->count].iov_base);
    } else {
        b->to[b->count] = *to;
    }
    b->iov[b->count].iov_len = len_bytes + (b->link ? SLR_LINK_HEAD_BYTES : 0);
    b->bytes += len_bytes;
    b->count++;
}

uint32_t slr_batch_flush(struct slr_batch *b)
{
    uint32_t done = 0;
    uint32_t all = b->count;
    while (done < all) {
        int n = sendmmsg(b->fd, b->msg + done, all - done, MSG_DONTWAIT);
        if (n > 0) {
            done += (uint32_t)n;
            b->packets += (uint32_t)n;
        } else if (errno == EAGAIN || errno == ENOBUFS) {
            struct pollfd p = {.fd = b->fd, .events = POLLOUT};
            b->waits++;
            (void)poll(&p, 1, errno == EAGAIN ? WAIT_MS : 1);
        } else if (errno != EINTR) {
            b->errors++;
            done++;
        }
    }
    b->count = 0;
    return all;
}

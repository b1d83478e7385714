/*
 * batch: see the header.
 */
#include "load/batch.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MS 100

enum slr_err slr_batch_open(struct slr_batch *b, const struct slr_batch_way *way,
                            size_t packet_bytes)
{
    memset(b, 0, sizeof *b);
    b->way = *way;
    b->most = way->live ? SLR_LIVE_FRAMES : SLR_BATCH_PACKETS;
    if (way->live) {
        return SLR_OK;
    }
    b->stride_bytes = (SLR_LINK_HEAD_BYTES + packet_bytes + 63u) & ~(size_t)63u;
    b->buffer = aligned_alloc(64, b->stride_bytes * SLR_BATCH_PACKETS);
    if (!b->buffer) {
        return SLR_NOMEM;
    }
    for (uint32_t i = 0; i < SLR_BATCH_PACKETS; i++) {
        bool framed = way->link != NULL;
        b->iov[i].iov_base = b->buffer + i * b->stride_bytes + (framed ? 0 : SLR_LINK_HEAD_BYTES);
        b->msg[i].msg_hdr = (struct msghdr){.msg_name = framed ? NULL : &b->to[i],
                                            .msg_namelen = framed ? 0 : sizeof b->to[i],
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

/* The whole frame's place. */
static uint8_t *frame_at(struct slr_batch *b)
{
    return b->way.live ? slr_live_at(b->way.live, b->count)
                       : b->buffer + b->count * b->stride_bytes;
}

uint8_t *slr_batch_at(struct slr_batch *b)
{
    return frame_at(b) + SLR_LINK_HEAD_BYTES;
}

void slr_batch_add(struct slr_batch *b, const struct sockaddr_in *from,
                   const struct sockaddr_in *to, size_t len_bytes)
{
    if (b->way.link) {
        slr_link_head(b->way.link, from, to, len_bytes, frame_at(b));
    } else {
        b->to[b->count] = *to;
    }
    if (b->way.live) {
        slr_live_put(b->way.live, b->count, SLR_LINK_HEAD_BYTES + len_bytes);
    } else {
        b->iov[b->count].iov_len = len_bytes + (b->way.link ? SLR_LINK_HEAD_BYTES : 0);
    }
    b->bytes += len_bytes;
    b->count++;
}

static void send_messages(struct slr_batch *b)
{
    uint32_t done = 0;
    while (done < b->count) {
        int n = sendmmsg(b->way.fd, b->msg + done, b->count - done, MSG_DONTWAIT);
        if (n > 0) {
            done += (uint32_t)n;
            b->packets += (uint32_t)n;
        } else if (errno == EAGAIN || errno == ENOBUFS) {
            struct pollfd p = {.fd = b->way.fd, .events = POLLOUT};
            b->waits++;
            (void)poll(&p, 1, errno == EAGAIN ? WAIT_MS : 1);
        } else if (errno != EINTR) {
            b->errors++;
            done++;
        }
    }
}

uint32_t slr_batch_flush(struct slr_batch *b)
{
    uint32_t all = b->count;
    if (b->way.live && all > 0) {
        uint32_t left = slr_live_send(b->way.live, all);
        b->packets += all - left;
        b->errors += left;
    } else {
        send_messages(b);
    }
    b->count = 0;
    return all;
}

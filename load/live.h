/*
 * live: frames that a program of ours in the kernel writes, one run of it each (BPF_PROG_TEST_RUN
 * with live frames, Linux 5.18): no socket, no sk_buff on the way out, a tenth of what sendmmsg
 * costs.
 *
 * Frames are written into rows of a map that this process and the program share; each run takes the
 * next row, makes the frame as long as it says and copies it in. They leave by a device
 * (SLR_LIVE_OUT: its driver must take XDP frames; the other end of a veth pair must have GRO or an
 * XDP program), or come up the stack as if the device had received them (SLR_LIVE_IN: in the
 * receiver's network namespace). What the kernel does with them then, it does on the caller's core.
 * One thread; needs CAP_NET_ADMIN and CAP_BPF; allocates at open only.
 */
#ifndef SLR_LOAD_LIVE_H
#define SLR_LOAD_LIVE_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define SLR_LIVE_FRAMES 2048u

enum slr_live_way { SLR_LIVE_OUT, SLR_LIVE_IN };

struct slr_live {
    int map_fd, program_fd, tap_fd, link_fd;
    int ifindex;
    uint8_t *map;
    size_t map_bytes;
    uint32_t stride_bytes;
    uint32_t first; /* row of the batch's first frame, counted on and on */
    enum slr_live_way way;
    uint64_t dropped_before;
    char device[16];
};

/* Frames of at most frame_bytes (14 to 3000). SLR_NOTFOUND: no such device; SLR_DENIED;
 * SLR_UNSUPPORTED with a message on standard error: this machine can't. */
enum slr_err slr_live_open(struct slr_live *l, const char *device, enum slr_live_way way,
                           size_t frame_bytes, int ifindex) SLR_CHECKED;
/* Also where open failed. */
void slr_live_close(struct slr_live *l);

/* Where frame n of the batch (below SLR_LIVE_FRAMES) is to be written. */
uint8_t *slr_live_at(const struct slr_live *l, uint32_t n);
/* It is whole, and so long. */
void slr_live_put(struct slr_live *l, uint32_t n, size_t len_bytes);
/* Sends frames 0 to count - 1. Gives how many of them the kernel did not take. */
uint32_t slr_live_send(struct slr_live *l, uint32_t count);

/* Frames that the device dropped since open. */
uint64_t slr_live_dropped(const struct slr_live *l);

#endif

/*
 * live: what the live backends share: the table of sockets, the socket options, kernel time stamps
 * and overflow counters.
 *
 * A slot has a generation that grows each time it is given away, so that late news of a removed
 * socket is told from that of the next one. Owned by one worker thread; allocates at init and add.
 */
#ifndef SLR_CAPTURE_LIVE_H
#define SLR_CAPTURE_LIVE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "capture/capture.h"
#include "common/metrics.h"

/* Room for one datagram, as 40 ms of L16 in stereo at 48 kHz, which comes in IP fragments; what is
 * longer is cut and flagged. */
#define SLR_LIVE_PAYLOAD_BYTES 8192u
#define SLR_LIVE_CONTROL_BYTES 64u /* a time stamp and an overflow counter, aligned */
#define SLR_LIVE_MAX_SOCKETS (1u << 20)
#define SLR_LIVE_NONE UINT32_MAX

struct slr_live_slot {
    int fd; /* -1: unused */
    uint32_t tag;
    uint32_t generation;
    uint32_t drops_seen; /* the kernel's counter of this socket, as last told */
    uint32_t next_free;
    int64_t last_arrival_ns;
};

struct slr_live {
    const struct slr_clock *clock;
    struct slr_live_slot *slot;
    uint32_t size; /* slots: max_sockets */
    uint32_t free_first;
    uint32_t *slot_of_fd;
    uint32_t fd_size;
    uint32_t recv_buffer_bytes;
    int64_t batch_ns;
    int wake_fd;       /* eventfd, non-blocking */
    int64_t now_ns;    /* monotonic, read once a burst */
    int64_t offset_ns; /* monotonic minus wall time, measured with it */
    /* written by the worker, read by any thread */
    slr_counter packets, drop_truncated, drop_kernel, recv_errors, no_buffers;
};

/* SLR_INVAL (max_sockets 0 or above SLR_LIVE_MAX_SOCKETS), SLR_NOMEM, SLR_IO. After an error
 * nothing is left to free; otherwise slr_live_fini. */
enum slr_err slr_live_init(struct slr_live *l, const struct slr_capture_config *cfg) SLR_CHECKED;
void slr_live_fini(struct slr_live *l);

/* Sets the options and takes a slot. SLR_FULL; SLR_EXISTS: fd is added already; SLR_NOMEM; SLR_IO:
 * fd is no socket. */
enum slr_err slr_live_add(struct slr_live *l, int fd, uint32_t tag, uint32_t *slot) SLR_CHECKED;

/* Slot of an added fd, or SLR_LIVE_NONE. */
uint32_t slr_live_find(const struct slr_live *l, int fd);

/* Gives the slot back; counts what the kernel dropped and no packet told. */
void slr_live_remove(struct slr_live *l, uint32_t slot);

/* Reads the clocks for the burst to come. */
void slr_live_stamp(struct slr_live *l);

/*
 * Fills *p for a datagram of `slot`. msg: name and control part as recvmsg(2) left them, msg_flags
 * included; at, len_bytes: payload. Counts it. arrival is the kernel's time stamp; the time of the
 * burst where there is none or it is not within the last second; never before the socket's packet
 * before it.
 */
void slr_live_fill(struct slr_live *l, uint32_t slot, const struct msghdr *msg, const uint8_t *at,
                   uint32_t len_bytes, struct slr_packet *p);

/* Any thread: what was counted so far. */
void slr_live_stats(const struct slr_live *l, struct slr_capture_stats *out);

/* Any thread: makes wake_fd readable. */
void slr_live_wake(const struct slr_live *l);
/* True when it was readable; resets it. */
bool slr_live_take_wake(const struct slr_live *l);

#endif

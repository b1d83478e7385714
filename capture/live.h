/*
 * live: what the live backends share: the table of sockets, the socket options, kernel time stamps
 * and overflow counters.
 *
 * A socket's slot is its tag. A slot has a generation that grows each time it is given away, so
 * that late news of a removed socket is told from that of the next one. Owned by one worker thread;
 * allocates at init only.
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

struct slr_live_slot {
    bool used;
    int fd; /* -1: none, the backend holds the socket otherwise */
    uint32_t generation;
    uint32_t drops_seen; /* the kernel's counter of this socket, as last told */
    int64_t last_arrival_ns;
};

struct slr_live {
    const struct slr_clock *clock;
    struct slr_live_slot *slot; /* by tag */
    uint32_t size;              /* slots: max_sockets */
    uint32_t recv_buffer_bytes;
    int64_t batch_ns;
    int wake_fd;       /* eventfd, non-blocking */
    int64_t now_ns;    /* monotonic, read once a burst */
    int64_t offset_ns; /* monotonic minus wall time, measured with it */
    int64_t oldest_ns; /* so long a packet may have waited: longer after a stall */
    /* written by the worker, read by any thread */
    slr_counter packets, drop_truncated, drop_kernel, drop_stray, recv_errors, no_buffers;
};

/* SLR_INVAL (max_sockets 0 or above SLR_LIVE_MAX_SOCKETS), SLR_NOMEM, SLR_IO. After an error
 * nothing is left to free; otherwise slr_live_fini. */
enum slr_err slr_live_init(struct slr_live *l, const struct slr_capture_config *cfg) SLR_CHECKED;
void slr_live_fini(struct slr_live *l);

/* What the control messages of a datagram say. */
struct slr_live_news {
    int64_t wall_ns; /* the kernel's time stamp, 0: none */
    uint32_t drops;
    bool has_drops;
    struct slr_addr dst; /* family 0: not asked for */
};

/* Options of a socket that packets come from: time stamps, overflow counter, buffer (0: as it is).
 * SLR_IO: fd is no socket. */
enum slr_err slr_live_options(int fd, uint32_t buffer_bytes) SLR_CHECKED;

/* Sets the options and takes the slot; fd is the slot's then. SLR_INVAL: no such tag; SLR_EXISTS:
 * it is taken; SLR_IO: fd is no socket. */
enum slr_err slr_live_add(struct slr_live *l, int fd, uint32_t tag) SLR_CHECKED;

/* True: a socket has this tag. */
bool slr_live_has(const struct slr_live *l, uint32_t tag);

/* Gives the slot back and closes its fd, if it has one; counts what the kernel dropped and no
 * packet told. */
void slr_live_remove(struct slr_live *l, uint32_t tag);

/* The kernel's count of datagrams dropped at this socket, 0 where it does not tell. */
uint32_t slr_live_drops(int fd);
/* The same, counted as far as it is news. For sockets that have no fd any more. */
void slr_live_count_drops(struct slr_live *l, uint32_t tag, uint32_t drops);

/* Reads the clocks for the burst to come. */
void slr_live_stamp(struct slr_live *l);

/* Reads the control part as recvmsg(2) left it. */
struct slr_live_news slr_live_read(const struct msghdr *msg);

/* How many drops these are news of, to a reader who has seen *seen; counts them. */
uint32_t slr_live_news_drops(struct slr_live *l, const struct slr_live_news *news, uint32_t *seen);

/*
 * Fills *p, all but drops, for a datagram of `tag`. msg: name as recvmsg(2) left it, msg_flags
 * included; at, len_bytes: payload. Counts it. arrival is the kernel's time stamp; the time of the
 * burst where there is none or it is not within the last second; never before the tag's packet
 * before it.
 */
void slr_live_fill(struct slr_live *l, uint32_t tag, const struct msghdr *msg,
                   const struct slr_live_news *news, const uint8_t *at, uint32_t len_bytes,
                   struct slr_packet *p);

/* Any thread: what was counted so far. */
void slr_live_stats(const struct slr_live *l, struct slr_capture_stats *out);

/* Any thread: makes wake_fd readable. */
void slr_live_wake(const struct slr_live *l);
/* True when it was readable; resets it. */
bool slr_live_take_wake(const struct slr_live *l);
/* Sleeps until wake was called (true), one of the descriptors is readable or the time is up.
 * count: SLR_LIVE_SLEEP_FDS at most. */
#define SLR_LIVE_SLEEP_FDS 8u
bool slr_live_sleep(const struct slr_live *l, int64_t ns, const int *fd, uint32_t count);

#endif

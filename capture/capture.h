/*
 * capture: the one contract by which packets enter, whatever delivers them.
 *
 * Backends are rows of capture.def (uring, shared, xdp, socket, pcapfile, packet, dpdk). One
 * instance belongs to one worker thread, which makes all calls. Live backends receive on UDP
 * sockets that the worker adds one by one and that are the backend's from then on: a backend may
 * keep them where no limit of open files counts them. Passive backends deliver everything they see
 * on a link or in a file. A backend allocates at open and add only. Bytes and addresses in a burst
 * are borrowed and valid until the next slr_capture_next call.
 */
#ifndef SLR_CAPTURE_CAPTURE_H
#define SLR_CAPTURE_CAPTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/err.h"
#include "common/net.h"

#define SLR_CAPTURE_BURST 64

/* Tag of packets that came through no added socket (passive backends). */
#define SLR_CAPTURE_NO_TAG UINT32_MAX

struct slr_packet {
    const uint8_t *at; /* UDP payload (or TCP segment payload when tcp is set) */
    uint32_t len_bytes;
    uint32_t tag;   /* as given to add, or SLR_CAPTURE_NO_TAG */
    bool tcp;       /* passive only: payload of one TCP segment, in order per direction */
    bool truncated; /* snap length or buffer size cut it: counted, not used */
    bool gap;       /* tcp: bytes before it are missing, or it is the first of its direction */
    uint16_t vlan;  /* innermost 802.1Q id, 0: none */
    uint32_t kernel_drops;    /* packets the kernel dropped before this one, since the last told */
    bool drops_before;        /* passive: dropped ones lay before it, told with an earlier one */
    bool drops_anywhere;      /* they may have been of any tag, not just of this one */
    struct slr_addr src, dst; /* dst is set by passive backends only */
    slr_mono arrival;         /* kernel receive time mapped to the engine's clock */
    slr_wall wall;            /* passive: capture time; live: 0 */
};

/* What a backend counts, each a cumulative number. Every frame or datagram that is not delivered
 * is in exactly one of the drop counters. */
struct slr_capture_stats {
    uint64_t packets;          /* delivered whole */
    uint64_t by_ring;          /* xdp: those of them that came by way of a ring */
    uint64_t frames;           /* read from the link or file (passive) */
    uint64_t drop_link;        /* unknown or malformed link layer */
    uint64_t drop_ip;          /* malformed IP, bad header checksum is not checked */
    uint64_t drop_fragment;    /* fragments never completed, overlapping or over the limit */
    uint64_t drop_transport;   /* neither UDP nor TCP, malformed, TCP of a port not asked for */
    uint64_t fragments_joined; /* fragments beyond the first of a joined packet (not a drop) */
    uint64_t drop_truncated;   /* cut; delivered with `truncated` set where the ports are known */
    uint64_t drop_kernel;      /* SO_RXQ_OVFL sum; packet: frames that found the ring full */
    uint64_t drop_stray;       /* shared: came when its port was no longer (or not yet) the tag's */
    uint64_t recv_errors;
    uint64_t no_buffers;   /* uring: out of provided buffers; packet: the ring was full (times) */
    uint64_t time_clamped; /* passive: frames older than the one before (no loss) */
};

struct slr_capture_config {
    const struct slr_clock *clock; /* live: real clock. pcapfile: may be NULL */
    const char *arg;               /* pcapfile: path ("-" standard input); others: their _spec.h */
    int64_t wall_base_ns;          /* packet, dpdk: wall time is monotonic time and this */
    uint32_t max_sockets;          /* live: tags are below that */
    uint32_t batch_us;             /* live: how long to gather packets before next returns */
    uint32_t recv_buffer_bytes;    /* SO_RCVBUF of a port's socket (FORCE tried first) */
    const struct slr_addr *media_ip; /* shared, xdp: addresses of sockets to be added */
    uint32_t media_ip_count;
    uint32_t workers;                /* xdp: how many of them there will be, 0: one */
    const struct slr_capture *first; /* xdp: the first worker's, NULL: this is it */
};

struct slr_capture; /* backend instance; each backend embeds this struct first */

struct slr_capture_ops {
    const char *name;
    bool passive;
    /* SLR_UNSUPPORTED when this machine refuses the backend (io_uring forbidden ...): the caller
     * may fall back. SLR_IO with a log event otherwise. */
    enum slr_err (*open)(const struct slr_capture_config *cfg, struct slr_capture **out);
    /* Starts receiving on a bound UDP socket. The backend sets the options it needs on fd
     * (non-blocking, timestamps, overflow counter). SLR_OK: fd is the backend's, which may have
     * closed this number already; else it is the caller's as before. tag comes with each packet:
     * a number below max_sockets (else SLR_INVAL) that no socket has (else SLR_EXISTS). NULL in
     * passive backends. */
    enum slr_err (*add)(struct slr_capture *c, int fd, uint32_t tag);
    /* Stops receiving and closes the socket: after return no packet with this tag is delivered any
     * more, tag and port are free. Does nothing for a tag that was not added. */
    void (*remove)(struct slr_capture *c, uint32_t tag);
    /*
     * Delivers up to SLR_CAPTURE_BURST packets. Waits at most timeout_us for the first one (0:
     * don't wait) and returns early when wake was called. SLR_OK with *count == 0: nothing came.
     * Passive files: SLR_EOF after the last packet; each burst has packets in capture order.
     */
    enum slr_err (*next)(struct slr_capture *c, uint32_t timeout_us, struct slr_packet *burst,
                         uint32_t *count);
    /* May packets be waiting that came before the last batch was gathered? NULL: what next delivers
     * is all there is. */
    bool (*behind)(const struct slr_capture *c);
    /* Any thread: makes a waiting next return. NULL: files. */
    void (*wake)(struct slr_capture *c);
    /* Passive live backends, else NULL: a descriptor that polls readable when next has something
     * and then until next found nothing. */
    int (*fd)(const struct slr_capture *c);
    /* Live backends: any thread. */
    void (*stats)(const struct slr_capture *c, struct slr_capture_stats *out);
    void (*close)(struct slr_capture *c);
};

struct slr_capture {
    const struct slr_capture_ops *ops;
};

/* Looks a backend up by name; NULL: none of that name. */
const struct slr_capture_ops *slr_capture_find(const char *name);
/* The backend of an option's value NAME[:ARG]; *arg: behind the colon, or NULL. arg may be NULL.
 * NULL: none of that name. */
const struct slr_capture_ops *slr_capture_named(const char *value, const char **arg);
/* All rows, ended by NULL. */
const struct slr_capture_ops *const *slr_capture_all(void);

/*
 * Binds an RTP/RTCP pair of UDP sockets on `ip` (port ignored) at an even port in [lo, hi], trying
 * from *cursor on and wrapping; *cursor moves past what was taken, so that a port is re-used as
 * late as possible. exact_port != 0: that port or SLR_BUSY. Sockets are non-blocking and
 * close-on-exec. rtcp_fd may be NULL (RTP only). Errors: SLR_FULL no free pair, SLR_BUSY, SLR_IO.
 * (capture/ports.c)
 */
enum slr_err slr_ports_bind(const struct slr_addr *ip, uint16_t lo, uint16_t hi, uint16_t *cursor,
                            uint16_t exact_port, int *rtp_fd, int *rtcp_fd,
                            uint16_t *port) SLR_CHECKED;

#endif

/*
 * tcpseg: puts the TCP segments of SIP flows in order, for captured traffic.
 *
 * One flow is one direction of a connection. Only flows with port 5060 or 5061 at either end, or
 * whose first segment reads like SIP, are followed. Repeated bytes are trimmed; segments ahead of a
 * hole are held (bounded, per flow and in all) until the hole is filled, until the limit or the
 * waiting time is reached, or until the input ends: then the hole is skipped and said so (gap).
 * One thread owns an instance; it allocates at open only.
 */
#ifndef SLR_CAPTURE_TCPSEG_H
#define SLR_CAPTURE_TCPSEG_H

#include <stdbool.h>
#include <stdint.h>

#include "capture/ip.h"
#include "capture/verdict.h"
#include "common/clock.h"
#include "common/err.h"

struct slr_tcpseg_config {
    uint32_t flows_max;         /* directions followed at once, 1..65536 */
    uint32_t held_max;          /* segments held in all, 2..4096; 64 KiB each, touched when used */
    uint32_t held_per_flow_max; /* 1..held_max */
    int64_t hole_timeout_ns;    /* how long a hole is waited for */
};

/* One segment, as captured or as delivered. */
struct slr_tcpseg_segment {
    struct slr_addr src, dst; /* with ports */
    uint16_t vlan;
    struct slr_ip_transport tcp; /* ports are taken from src and dst */
    slr_wall wall;               /* capture time */
    bool gap; /* delivered: bytes before it are missing or unknown: first of its flow, or a hole */
};

struct slr_tcpseg; /* opaque */

/* SLR_INVAL, SLR_NOMEM. *out is freed with slr_tcpseg_close (NULL allowed there). */
enum slr_err slr_tcpseg_open(const struct slr_tcpseg_config *cfg,
                             struct slr_tcpseg **out) SLR_CHECKED;
void slr_tcpseg_close(struct slr_tcpseg *t);

/*
 * Takes one captured segment. The caller has drained slr_tcpseg_take before. now: capture time, not
 * decreasing.
 * TAKEN: *seg is the next in order, trimmed, to be delivered now. HELD: kept. TRANSPORT: not SIP,
 * no payload, or bytes that were seen already. TRUNCATED: the snap length cut it; what is there of
 * it is not delivered, the flow goes on behind it with a gap.
 */
enum slr_verdict slr_tcpseg_put(struct slr_tcpseg *t, struct slr_tcpseg_segment *seg, slr_mono now);

/* Next held segment that may go now; false: none. Its payload is valid until the next put. */
bool slr_tcpseg_take(struct slr_tcpseg *t, struct slr_tcpseg_segment *seg);

/* Gives up holes that are older than the timeout; slr_tcpseg_take delivers what was held. */
void slr_tcpseg_expire(struct slr_tcpseg *t, slr_mono now);

/* Gives up all holes (end of input). */
void slr_tcpseg_flush(struct slr_tcpseg *t);

/* Segments kept now. */
uint64_t slr_tcpseg_held(const struct slr_tcpseg *t);

/* Segments that were HELD and dropped later (their bytes had come otherwise, flow replaced). */
uint64_t slr_tcpseg_dropped(const struct slr_tcpseg *t);

#endif

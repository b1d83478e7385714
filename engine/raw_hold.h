/*
 * raw_hold: the datagrams of flows that nobody has asked for yet, as they were captured: where the
 * signalling says later that they are encrypted, and tells the keys, they are taken again.
 *
 * A ring of fixed size in process memory; the oldest go when it is full. Passive runs only, one
 * thread; allocates at init.
 */
#ifndef SLR_ENGINE_RAW_HOLD_H
#define SLR_ENGINE_RAW_HOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capture/capture.h"
#include "common/err.h"

struct slr_raw_hold {
    uint8_t *at;
    size_t size_bytes;
    size_t first, end; /* of the oldest entry; where the next one goes */
    size_t wrap;       /* entries behind this place were too long for the rest; 0: not wrapped */
    size_t count;      /* entries */
};

/* size_bytes: 1 KiB at least. SLR_NOMEM. */
enum slr_err slr_raw_hold_init(struct slr_raw_hold *h, size_t size_bytes) SLR_CHECKED;
void slr_raw_hold_fini(struct slr_raw_hold *h);

/* Keeps a copy under the number of its flow. False: longer than the ring. */
bool slr_raw_hold_put(struct slr_raw_hold *h, uint32_t flow, bool rtcp,
                      const struct slr_packet *pkt);

/* Begin with {0}. */
struct slr_raw_walk {
    size_t at, done;
    bool begun;
};
/* Next datagram of a flow, oldest first; bytes are borrowed until the next put. False: no more. */
bool slr_raw_hold_next(const struct slr_raw_hold *h, struct slr_raw_walk *walk, uint32_t flow,
                       struct slr_packet *pkt, bool *rtcp);

#endif

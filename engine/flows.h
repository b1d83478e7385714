/*
 * flows: which leg a packet of a passive run belongs to, by its addresses.
 *
 * A flow is one (source, destination) pair of UDP addresses. It leads to a leg, or, for a while
 * after that leg's end, to nothing (stragglers are counted, not recorded anew). Used by the one
 * thread of a passive run; the table is allocated at init and bounded.
 */
#ifndef SLR_ENGINE_FLOWS_H
#define SLR_ENGINE_FLOWS_H

#include <stdint.h>

#include "common/clock.h"
#include "common/err.h"
#include "common/net.h"

struct slr_flow {
    struct slr_addr src, dst;
    uint32_t leg;   /* SLR_NONE: the leg is closed */
    uint32_t order; /* of its first packet in the capture */
    int64_t closed_ns;
    int64_t first_ns;
}; /* a line of the cache; without a family of src: a free place */

struct slr_flows {
    void *memory; /* at lies in it */
    struct slr_flow *at;
    uint32_t mask;
    uint32_t *head[2], *next[2]; /* chains of flows with the same source, and destination */
    uint64_t seed;               /* nobody outside knows where a flow comes to lie */
    uint32_t *slot;              /* of at, of the flows there are, in the order they were added */
    uint32_t count, max;
    uint32_t next_order;
    uint32_t closed;    /* entries that lead nowhere */
    uint32_t unclaimed; /* entries whose leg no session has; kept by passive_flow.c */
};

struct slr_flow_walk {
    uint32_t next, chain;
};

/* max: flows at once, 1..2^20. */
enum slr_err slr_flows_init(struct slr_flows *f, uint32_t max) SLR_CHECKED;
void slr_flows_fini(struct slr_flows *f);

/* Asks for the memory that find will need. */
void slr_flow_fetch(const struct slr_flows *f, const struct slr_addr *src,
                    const struct slr_addr *dst);
/* NULL: none. Valid until the next add or purge. */
struct slr_flow *slr_flow_find(struct slr_flows *f, const struct slr_addr *src,
                               const struct slr_addr *dst);
/* Flows between the same two hosts the other way, with at least one port in common, one by one, in
 * no order; *w is zero at first. NULL: no more. Nothing may be added or purged meanwhile. */
struct slr_flow *slr_flow_reverse(struct slr_flows *f, const struct slr_flow *of,
                                  struct slr_flow_walk *w);
/* NULL: the table is full. The pair must not be there. */
struct slr_flow *slr_flow_add(struct slr_flows *f, const struct slr_addr *src,
                              const struct slr_addr *dst, uint32_t leg, slr_mono now);
/* All flows of a leg lead nowhere from now on. */
void slr_flows_close_leg(struct slr_flows *f, uint32_t leg, slr_mono now);
/* Forgets flows closed before `before`. */
void slr_flows_purge(struct slr_flows *f, slr_mono before);

#endif

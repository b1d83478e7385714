/*
 * stall_budget: how long packet memory lasts while the disk takes nothing, and what follows from
 * that: the second volume, or no new sessions.
 *
 * Plain arithmetic on what its caller measured; one thread has each struct. Allocates nothing.
 */
#ifndef SLR_ENGINE_STALL_BUDGET_H
#define SLR_ENGINE_STALL_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"

/* No less is taken for the present input: one stream of G.711, 50 packets a second. */
#define SLR_STALL_LEAST_BYTES_S 9600.0
/* A volume that finished no write for so long stands still. */
#define SLR_STALL_NS SLR_NS_PER_S
/* Below this budget the second volume is used; without one, new sessions are refused. */
#define SLR_STALL_RESERVE_NS (5 * SLR_NS_PER_S)
/* It is back when it was well for so long. */
#define SLR_STALL_WELL_NS (5 * SLR_NS_PER_S)

/* The rate at which packets take memory; zeroed before use. */
struct slr_stall_budget {
    int64_t at_ns; /* of the last measurement, 0: none */
    uint64_t taken_bytes;
    double bytes_s;
};

/* taken_bytes: that packets took since the start. Looks at it once a second: growth counts at once,
 * since it is what may hurt, decline slowly. */
void slr_stall_budget_note(struct slr_stall_budget *b, slr_mono now, uint64_t taken_bytes);

/* So long free_bytes last at the present rate. At most a day. */
int64_t slr_stall_budget_ns(const struct slr_stall_budget *b, uint64_t free_bytes);

/* How much sound the memory in use is, at the present rate. */
int64_t slr_stall_held_ns(const struct slr_stall_budget *b, uint64_t used_bytes);

/* A writer that stands still is waited for so long, and what came meanwhile is not late; less where
 * memory would not hold what comes in such a time. */
int64_t slr_stall_wait_ns(int64_t budget_ns, int64_t most_ns);

struct slr_storage_seen {
    slr_mono now;
    int64_t budget_ns;
    int64_t held_ns, usual_ns; /* what is held, and what is held of a well volume */
    int64_t stalled_ns[2]; /* by volume: no write for so long although there were some; 0: well */
    bool has_second;
};

/* What follows; zeroed before use, and given again each time. */
struct slr_storage_plan {
    bool trouble;    /* the first volume does not keep up */
    bool second;     /* its sessions go on on the second one */
    bool refuse;     /* no new sessions */
    int64_t well_ns; /* since when the first one is well again, while the second is in use */
};

void slr_storage_decide(const struct slr_storage_seen *seen, struct slr_storage_plan *plan);

#endif

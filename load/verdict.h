/*
 * verdict: what the recordings of a run say, summed up. Plain data.
 */
#ifndef SLR_LOAD_VERDICT_H
#define SLR_LOAD_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

#include "load/check.h"

struct slr_verdict {
    uint32_t recordings;  /* of this run, looked at */
    uint32_t legs;        /* of them, with a channel that could be read */
    uint32_t legs_bad;    /* of them, not as they should be */
    uint32_t missing;     /* calls that ended and have no (whole) recording */
    uint32_t unpaired;    /* recordings that do not have all legs of their call */
    uint64_t corrections; /* of the clock, undone before the comparison */
    uint32_t unreadable;  /* recordings that could not be read */
    uint64_t expected, found, lost, misplaced, leaked, damaged;
    uint64_t lost_by[SLR_KIND_COUNT];
    uint64_t lost_unsaid; /* the ledger does not say why: ours to explain */
    uint64_t lost_whole;  /* of calls without a recording */
    /* as the engine counted, by the ledgers */
    uint64_t packets, late, duplicate, reordered, rejected, foreign;
    int64_t offset_max_ns; /* the furthest that a leg lies from its sender's time */
    int64_t apart_max_ns;  /* the furthest that the legs of a call lie from each other */
};

#endif

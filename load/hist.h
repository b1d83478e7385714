/*
 * hist: times counted in buckets of 1/8 octave, for percentiles. Plain data, one writer; allocates
 * nothing.
 */
#ifndef SLR_LOAD_HIST_H
#define SLR_LOAD_HIST_H

#include <stdint.h>

#define SLR_HIST_BUCKETS 488u

struct slr_hist {
    uint64_t count;
    int64_t max_ns;
    uint64_t bucket[SLR_HIST_BUCKETS];
};

/* Counts `times` events of ns (below 0: 0). */
void slr_hist_add(struct slr_hist *h, int64_t ns, uint64_t times);

/* The time that `percent` (0 to 100) of the events do not exceed, at most 13 % too high; 0 without
 * events. Never above max_ns. */
int64_t slr_hist_at(const struct slr_hist *h, double percent);

#endif

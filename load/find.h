/*
 * find: the search for the highest number of calls that loses nothing: doubling until it fails,
 * then halving the interval. Pure.
 */
#ifndef SLR_LOAD_FIND_H
#define SLR_LOAD_FIND_H

#include <stdbool.h>
#include <stdint.h>

struct slr_find {
    uint32_t good; /* most that went well, 0: none yet */
    uint32_t bad;  /* fewest that did not, 0: none yet */
    uint32_t most, steps, steps_max;
};

/* Gives the number to try first: `first`, at most `most`. */
uint32_t slr_find_begin(struct slr_find *f, uint32_t first, uint32_t most, uint32_t steps_max);

/* `tried` went well or not. Gives the next to try; 0: good is known to one part in 32, or the
 * bounds are reached. */
uint32_t slr_find_next(struct slr_find *f, uint32_t tried, bool ok);

#endif

/*
 * straggler: packets that were said under the anchor before the one in force, and come late or were
 * overtaken. Their own timestamps tell, or their numbers. Worker thread; allocates nothing.
 */
#ifndef SLR_ENGINE_STRAGGLER_H
#define SLR_ENGINE_STRAGGLER_H

#include "engine/place.h"

/* Does a packet that is not the newest lie under the anchor before? */
bool slr_straggler_is(const struct slr_place *x, const struct slr_anchor *in_force,
                      const struct slr_anchor *before, uint32_t clock_hz);

/* Where it lies then, in the segment of that anchor. */
int64_t slr_straggler_position(const struct slr_place *x, const struct slr_anchor *in_force,
                               const struct slr_anchor *before);

/* Can the packet be of the sequence that goes on? One with an older number was said before. */
bool slr_straggler_fits(const struct slr_place *x);

/* The first packet that was heard may have overtaken this one: makes the anchor before. */
void slr_straggler_know_before(struct slr_place *x, uint32_t clock_hz);

#endif

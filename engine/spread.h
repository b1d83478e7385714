/*
 * spread: which session slot a new call gets. A slot's number says who works for it, both threads
 * that receive and threads that write; a call goes to those that have the fewest streams. Control
 * thread; no state of its own, allocates nothing.
 */
#ifndef SLR_ENGINE_SPREAD_H
#define SLR_ENGINE_SPREAD_H

#include "engine/state.h"

/* As many of each kind as the options allow. */
#define SLR_SPREAD_THREADS 64u

/* Who works for a slot of a table. */
static inline uint32_t slr_spread_of(uint32_t slot, uint32_t threads)
{
    return slot % threads;
}

/*
 * The free slot to take, looked for from `cursor` on, so that slots are used again as late as can
 * be; more of them come into use (slr_state_more_sessions) where that helps. active: not zero where
 * somebody is still busy with a slot that is free. workers, writers: 1 to SLR_SPREAD_THREADS.
 * SLR_NONE: all are taken.
 */
uint32_t slr_spread_slot(struct slr_state *s, const _Atomic uint8_t *active, uint32_t cursor,
                         uint32_t workers, uint32_t writers);

#endif

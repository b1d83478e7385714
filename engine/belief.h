/*
 * belief: what was queued of an SSRC on probation, at the moment when it is believed.
 *
 * Its packets waited like any others and were counted as placed, but the writer leaves out what is
 * not believed. Those whose place was written meanwhile came too late, as it turns out: what left
 * the queue is counted here, what is in it still the writer tells (missed.h). The digits among the
 * others were dialled. Worker thread; allocates nothing.
 */
#ifndef SLR_ENGINE_BELIEF_H
#define SLR_ENGINE_BELIEF_H

#include "engine/place.h"

/* x: the packet with which its stream is believed; not queued yet, and the stream not yet taken.
 * Until it is, no record may leave the queue (slr_queue_keep).
 * Twice counts like once: a process may die before it is taken. */
void slr_belief_settle(struct slr_place *x);

#endif

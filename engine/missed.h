/*
 * missed: audio that lay in the queue and came into no block, which is late as what came too late
 * for the queue is: counted for its stream and listed for its leg.
 *
 * The worker asks what is late by what the writer claims (slr_leg_run.claimed_ticks). A packet that
 * was judged just before the claim and queued just after the writer looked is no block's; nor is
 * one whose stream was believed, or that was moved, when its place was written. Each record's chunk
 * says whether it was rendered, so the writer finds those: when it looks for the next block, when
 * they leave the queue, and at the session's end. A process may die at any store in between: none
 * is told twice, none forgotten. Allocates nothing.
 */
#ifndef SLR_ENGINE_MISSED_H
#define SLR_ENGINE_MISSED_H

#include "engine/queue.h"

/* Writer. The record's time is in the file. Counts it late if it should be there, and was neither
 * rendered nor told; returns how many packets more are late: 0 or 1. */
uint32_t slr_missed_judge(struct slr_state *s, uint32_t leg, const struct slr_rec *rec);

/* Writer. The leg's last block is in the file, which ends at written_ticks of its time: judges what
 * is still in the queue. Returns the packets that were missed. */
uint32_t slr_missed_rest(struct slr_state *s, uint32_t leg, int64_t written_ticks);

/* Worker. Will something be in the file, or be told, that is of the stream in that slot? Then the
 * slot must not be used again yet. written_ticks: the file's end, in the leg's time. */
bool slr_missed_pending(struct slr_state *s, uint32_t leg, uint32_t slot, int64_t written_ticks);

#endif

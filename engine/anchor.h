/*
 * anchor: where a packet's timestamp puts it on the session's timeline.
 *
 * Between two anchors RTP time is believed, whatever the network does. Arrival sets an anchor
 * where RTP time says nothing (a stream's first packet, another clock rate) or cannot be right
 * (jumps of SLR_JUMP_TICKS, a place that was written long ago). The first packet after that may
 * have been delayed like any other, so for a while the least delayed one moves all of them: they
 * name a segment, and the segment has a shift. Worker thread; allocates nothing.
 */
#ifndef SLR_ENGINE_ANCHOR_H
#define SLR_ENGINE_ANCHOR_H

#include "engine/place.h"

/* Gives x->rec.pos_ticks and segment. x: sequence and timestamp are known; `first`: of its stream.
 */
void slr_anchor_place(struct slr_place *x, uint32_t clock_hz, bool first);

/* The packet's length is known. Of one that is heard: keeps the distance between position and
 * arrival for streams to come, and notes a clock of another speed. */
void slr_anchor_heard(struct slr_place *x);

/* Comfort noise of another clock (x->other_clock) is never ahead of the leg's time: it lies where
 * it comes then. */
void slr_anchor_comfort(struct slr_place *x);

/* A record of the packet is in the queue. */
void slr_anchor_queued(struct slr_place *x);

/* The timestamp, unwrapped, of a record of the stream. */
int64_t slr_anchor_timestamp(const struct slr_stream *st, const struct slr_rec *rec);

/* How far the leg's media runs ahead of now, in the file; 0: not beyond what a path may gain. */
int64_t slr_anchor_lead(const struct slr_leg *leg, int64_t now_ticks);

/* The place of a packet, or of some, was written when it came. Worker. */
void slr_anchor_note_late(struct slr_leg *leg, int64_t start_ticks, int64_t end_ticks,
                          uint32_t packets);

#endif

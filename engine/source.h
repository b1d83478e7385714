/*
 * source: which address and which SSRC a leg listens to (latching and probation).
 * Worker thread; allocates nothing.
 */
#ifndef SLR_ENGINE_SOURCE_H
#define SLR_ENGINE_SOURCE_H

#include "engine/placement.h"

/*
 * Finds or begins the stream of a packet. On SLR_VERDICT_TAKEN *index is its slot, which may be in
 * probation (its records are queued and rendered only if it is taken in time). Otherwise the
 * verdict says why not (FOREIGN_SOURCE, FOREIGN_SSRC).
 */
enum slr_verdict slr_source_select(struct slr_placement *p, uint32_t leg,
                                   const struct slr_packet *pkt, const struct slr_rtp *rtp,
                                   uint32_t *index);

/* After the sequence number was recorded: is a stream on probation to be taken now? plausible: near
 * to what came before; a packet that was lost, overtaken or doubled on the way must not keep a
 * stream out. Copies are not judged. */
bool slr_source_judge(struct slr_leg *leg, uint32_t index, const struct slr_packet *pkt,
                      bool plausible);

/* The stream is heard from now on, and what is queued of it is rendered. */
void slr_source_take(struct slr_placement *p, struct slr_leg *leg, uint32_t index, uint8_t pt);

#endif

/*
 * passive_flow: RTP flows of a capture and the sessions they end up in.
 *
 * A flow that no session has asked for is a leg without a session, held for SLR_FLOW_HOLD_NS of
 * capture time; then the engine makes a session of it, paired with the flow in the other direction
 * by address. Only used in passive runs, one thread.
 */
#ifndef SLR_ENGINE_PASSIVE_FLOW_H
#define SLR_ENGINE_PASSIVE_FLOW_H

#include "engine/engine_priv.h"

#define SLR_FLOW_HOLD_NS (2 * SLR_NS_PER_S)
/* Fewer packets than this are no stream of media. */
#define SLR_FLOW_MIN_PACKETS 3u

/* A flow of an unknown pair of addresses: claimed by a leg that waits for it, or held. NULL: no
 * slot left. */
struct slr_flow *slr_passive_new_flow(struct slr_engine *e, const struct slr_packet *pkt);

/* Keeps a copy of a packet as long as nobody has asked for its flow: it may be encrypted, and the
 * keys come later. */
void slr_passive_keep_raw(struct slr_engine *e, const struct slr_flow *flow, bool rtcp,
                          const struct slr_packet *pkt);

/* Makes sessions of flows held long enough (all: of every one), frees what is no media. */
void slr_passive_check_flows(struct slr_engine *e, slr_mono now, bool all);

/* One past the last position placed on any leg; 0: none. */
int64_t slr_passive_highest(const struct slr_engine *e, const struct slr_session *s);

#endif

/*
 * placement: decides for one RTP packet of one leg whether it counts and where it belongs.
 *
 * source check -> payload type -> SSRC (latching, probation) -> sequence -> position -> pause ->
 * queue. Runs on the leg's worker (or the only thread of a passive run); allocates nothing. Times
 * and positions: see state.h; rules: docs/architecture.md "Ports and packets", "Time", "Pause".
 */
#ifndef SLR_ENGINE_PLACEMENT_H
#define SLR_ENGINE_PLACEMENT_H

#include "capture/capture.h"
#include "engine/counters.h"
#include "engine/leg_codecs.h"
#include "engine/rtp.h"
#include "engine/state.h"

/* Packets of a new SSRC that must follow each other before it is believed, and how many may be
 * missing between two of them. */
#define SLR_PROBATION_PACKETS 3u
#define SLR_PROBATION_GAP_PKTS 32
/* The stream that was heard must have been silent that long before another one takes its place. */
#define SLR_QUIET_NS (100 * SLR_NS_PER_MS)
/* Another address must send alone for that long. */
#define SLR_FOREIGN_NS (500 * SLR_NS_PER_MS)
/* RTP time and arrival may part by that much from packet to packet before a new anchor is set. */
#define SLR_JUMP_TICKS (2 * SLR_TICKS_HZ)
/* That far ahead of arrival a stream may leave gaps of so much in all, and of so many times what it
 * said: talk pauses of a sender that is faster than time are no leaps of its clock. */
#define SLR_LEAD_TICKS (60 * SLR_TICKS_HZ)
#define SLR_LEAD_GAPS 3

struct slr_placement {
    struct slr_state *state;
    struct slr_leg_codecs *codecs; /* one for each leg slot */
    struct slr_counters *counters;
    const struct slr_event_sink *sink;
    int64_t window_ticks;
    bool long_way;                   /* never the short one of steady.c: for tests */
    struct slr_session flow_session; /* stands in for legs that no session has claimed yet */
};

/* Everything that is known of the packet's leg must be OPEN. Counts the verdict in the stream or
 * leg, not in the counters (the caller does). */
enum slr_verdict slr_placement_rtp(struct slr_placement *p, uint32_t leg,
                                   const struct slr_packet *pkt, const struct slr_rtp *rtp);

/* The kernel dropped so many packets of an open leg's RTP port before the one that comes next,
 * whatever that one is: a stranger's packet may bring the word. Worker. */
void slr_placement_drops(struct slr_placement *p, uint32_t leg, uint32_t packets);

/* Pause and resume of all legs of a session at `now`; *at_ticks: highest bound. True: it changed
 * something. Worker. Idempotent. */
bool slr_placement_pause(struct slr_placement *p, struct slr_session *s, bool on, slr_mono now,
                         int64_t *at_ticks);

/* Direction inactive (hold) on one leg. Worker. Idempotent. */
void slr_placement_hold(const struct slr_session *s, struct slr_leg *leg, bool on, slr_mono now);

#endif

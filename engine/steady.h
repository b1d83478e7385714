/*
 * steady: the usual packet, on a short way. It is the next number of the stream that the leg
 * hears, in the payload type that is known, of a leg that nothing is going on with. Everything
 * else, and everything doubtful, takes the way through placement.c, which gives the same result.
 *
 * Worker thread; allocates nothing.
 */
#ifndef SLR_ENGINE_STEADY_H
#define SLR_ENGINE_STEADY_H

#include "engine/place.h"

/* True: the packet is placed (SLR_VERDICT_TAKEN). False: nothing was done. The leg is OPEN. */
bool slr_steady_place(struct slr_placement *p, uint32_t leg, const struct slr_packet *pkt,
                      const struct slr_rtp *rtp);

/* After the newest packet of the stream that is heard was taken the long way: the next ones may go
 * the short one. */
void slr_steady_start(const struct slr_place *x);

/* What came the short way is told to the stream; the next packet goes the long one. Worker, or who
 * has the leg for itself. */
void slr_steady_stop(struct slr_leg *leg);

/*
 * Asks for the memory that a packet of this leg will need, in three turns: each one needs what the
 * one before has brought. `now`: when the packet came.
 */
void slr_steady_fetch_run(const struct slr_placement *p, uint32_t leg);
void slr_steady_fetch_queue(const struct slr_placement *p, uint32_t leg, slr_mono now);
void slr_steady_fetch_session(const struct slr_placement *p, uint32_t leg, slr_mono now);

#endif

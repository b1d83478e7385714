/*
 * held: packets with a sequence number far off, kept until the next one tells whether the sender
 * began anew (RFC 3550 A.1). They wait in a chunk of packet memory that belongs to the leg.
 *
 * Worker thread; allocates nothing.
 */
#ifndef SLR_ENGINE_HELD_H
#define SLR_ENGINE_HELD_H

#include "engine/place.h"

/* Keeps the packet. False: there is no room for it. */
bool slr_held_put(const struct slr_place *x);

/* The held packets that lead to x, with which a new sequence is believed, one after the other from
 * *at = 0 on. Bytes are borrowed until slr_held_drop. False: no more. */
bool slr_held_next(const struct slr_place *x, uint32_t *at, struct slr_packet *pkt,
                   struct slr_rtp *rtp);

/* Forgets them all. */
void slr_held_drop(struct slr_placement *p, struct slr_leg *leg);

#endif

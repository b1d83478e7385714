/*
 * pseudo_sip: what HEP readers get for each event: the event as JSON, and SIP messages that were
 * never on a wire: INVITE, 200, ACK when a session runs, BYE and 200 when it is sealed, so that SIP
 * tools show recordings as calls (docs/sniffer.md).
 *
 * A book holds the sessions that one consumer was told of. One thread; allocates at session open.
 * Nothing here has digits or keys: meta members named like digits are left out, SIP of captures
 * too.
 */
#ifndef SLR_ENGINE_PSEUDO_SIP_H
#define SLR_ENGINE_PSEUDO_SIP_H

#include <jansson.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/hep.h"

struct slr_pseudo_sip;

/* Gets each packet; everything in it is borrowed for the call. */
typedef void (*slr_pseudo_emit)(void *ctx, const struct slr_hep *packet);

/* node: agent name in packets and host in URIs, borrowed. Sessions beyond sessions_max get JSON
 * only. NULL: no memory. */
struct slr_pseudo_sip *slr_pseudo_sip_open(uint32_t sessions_max, const char *node,
                                           slr_pseudo_emit emit, void *ctx);
void slr_pseudo_sip_close(struct slr_pseudo_sip *book);

/* An event as in the log. The INVITE waits for the second leg, 2 s at most. */
void slr_pseudo_sip_event(struct slr_pseudo_sip *book, const json_t *event);
/* Sends INVITEs whose time has come. */
void slr_pseudo_sip_tick(struct slr_pseudo_sip *book, slr_wall now);
/* A session of the engine's snapshot (docs/seam.md): told as far as it was not. */
void slr_pseudo_sip_session(struct slr_pseudo_sip *book, const json_t *session, slr_wall now);
/* Any object as a JSON packet about no session: pings, losses. */
void slr_pseudo_sip_json(struct slr_pseudo_sip *book, const json_t *object, slr_wall now);

#endif

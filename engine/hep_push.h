/*
 * hep_push: HEP v3 to HOMER, sngrep and the like (--hep-send): pseudo-SIP and events of all
 * sessions, each destination with a bounded queue of its own.
 *
 * Sockets never block; a destination that does not take its packets loses them, counted. TCP is
 * connected anew every 5 s while it is down. Control thread; allocates at open only.
 */
#ifndef SLR_ENGINE_HEP_PUSH_H
#define SLR_ENGINE_HEP_PUSH_H

#include <jansson.h>

#include "common/clock.h"
#include "common/err.h"
#include "common/options.h"
#include "engine/loop.h"
#include "engine/srv.h"

struct slr_hep_push;

/*
 * destinations: "udp:HOST:PORT" or "tcp:HOST:PORT", HOST a name or an address (IPv6 in brackets).
 * Names are looked up here, once; one that is not found is logged and its destination is off. node:
 * the packets' agent name, borrowed. sessions_max bounds the memory for pseudo-SIP. SLR_INVAL: a
 * destination is malformed, with a log event; SLR_NOMEM.
 */
enum slr_err slr_hep_push_open(const struct slr_option_list *destinations, const char *node,
                               uint32_t sessions_max, struct slr_loop *loop,
                               struct slr_srv_counters *counters,
                               struct slr_hep_push **out) SLR_CHECKED;
void slr_hep_push_close(struct slr_hep_push *p);

/* An event as in the log (with n, wall_ns). */
void slr_hep_push_event(struct slr_hep_push *p, const json_t *event);
/* Once a second: connects, and sends INVITEs that waited for their second leg. */
void slr_hep_push_tick(struct slr_hep_push *p, slr_wall now);

#endif

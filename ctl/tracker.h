/*
 * tracker: calls out of captured SIP (the engine's `sip` events). It watches others' dialogs with
 * the stack's header parser, without transactions, and opens passive sessions for the media that
 * they negotiate. Owned by the signalling thread; capture time is its clock.
 */
#ifndef SLR_CTL_TRACKER_H
#define SLR_CTL_TRACKER_H

#include <jansson.h>
#include <stdbool.h>

#include "common/err.h"

#define SLR_TRACKER_DIALOGS_MAX 100000

struct slr_core;
struct slr_tracker;

/* SLR_NOMEM. */
enum slr_err slr_tracker_open(struct slr_core *core, struct slr_tracker **out) SLR_CHECKED;
/* NULL is allowed. */
void slr_tracker_close(struct slr_tracker *t);

/* One `sip` event (borrowed). */
void slr_tracker_take(struct slr_tracker *t, const json_t *event);

/* No packet follows (`eof_input`): closes every session that is still open. */
void slr_tracker_finish(struct slr_tracker *t);

/* True when the recording is one of the tracker's. */
bool slr_tracker_has(const struct slr_tracker *t, const char *session);

#endif

/*
 * spill: a recording goes on on the second volume while the first one takes nothing, and is brought
 * home when it is over.
 *
 * There its working files have the names and the offsets that they have at home; what is in the
 * file at home is a hole here. open/ID.from says how long that is; it is made last and removed
 * last, so its presence says that the recording grows here, whatever died when. Blocks on the disk:
 * writer and sealer threads, and the control thread at start. No state of its own.
 */
#ifndef SLR_ENGINE_SPILL_H
#define SLR_ENGINE_SPILL_H

#include <stdbool.h>

#include "common/err.h"
#include "engine/slots.h"

/* The writer. Makes the files on the second volume for what comes after the session's commit; once
 * it did, it does nothing. Errors of the disk. */
enum slr_err slr_spill_begin(int spill_fd, const struct slr_session *s) SLR_CHECKED;

/* Does the recording grow on the second volume? */
bool slr_spill_has(int spill_fd, const char *id);

/* The sealer. Appends what is on the second volume to the files at home, makes that durable, and
 * removes it there. May be repeated after a death at any point. Where something of it is gone there
 * is silence and the session is damaged. Errors of either disk. */
enum slr_err slr_spill_bring_home(int rec_fd, int spill_fd, struct slr_session *s) SLR_CHECKED;

/* A volume that was given up: does it take data again? Writes, syncs and removes a file there. */
enum slr_err slr_spill_probe(int rec_fd) SLR_CHECKED;

#endif

/*
 * evid: who the engine is: DIR/engine.id holds its lasting id and the number of its starts.
 * Used at start by one thread; may wait for the disk.
 */
#ifndef SLR_ENGINE_EVID_H
#define SLR_ENGINE_EVID_H

#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/err.h"
#include "common/id.h"

struct slr_evid {
    char engine[SLR_ID_SIZE];
    uint64_t epoch; /* of the last start; 0: there was none */
    int dir_fd, lock_fd;
};

/*
 * Makes data_dir (0750) where it is missing, locks it against other engines, reads engine.id or
 * makes an id: random, or where `seeded` always the same. SLR_BUSY: another engine has the lock;
 * SLR_FORMAT: engine.id cannot be read as one; SLR_IO and its like. After an error nothing is held.
 */
enum slr_err slr_evid_open(const char *data_dir, const struct slr_clock *clock, bool seeded,
                           struct slr_evid *id) SLR_CHECKED;
/* Counts the epoch up and stores it so that it survives power loss. */
enum slr_err slr_evid_next_epoch(struct slr_evid *id) SLR_CHECKED;
/* Gives the lock back. Allowed on an id that was never opened (both descriptors -1). */
void slr_evid_close(struct slr_evid *id);

#endif

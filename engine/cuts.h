/*
 * cuts: the stretches of a recording in which all of it was paused, for files that leave them out.
 * Sealer thread; allocates.
 */
#ifndef SLR_ENGINE_CUTS_H
#define SLR_ENGINE_CUTS_H

#include "engine/journal.h"
#include "storage/container.h"
#include "storage/ledger.h"

/*
 * From a finished session's span journal: where every leg is
 * paused, or has nothing (absent, ended, hold) while another is paused; nothing that was received
 * is ever cut. Bounds are rounded inwards to whole frames of the shape; in order, without overlap.
 * *cuts is malloc'ed (NULL where there is none), the caller frees.
 */
enum slr_err slr_cuts_find(const struct slr_journal *journal, uint32_t legs,
                           const struct slr_audio_shape *shape, struct slr_ledger_cut **cuts,
                           uint32_t *count) SLR_CHECKED;

#endif

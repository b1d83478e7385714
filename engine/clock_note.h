/*
 * clock_note: what was decided where a leg's RTP time and arrival did not agree: one entry a
 * correction, in the leg's slot, for the ledger.
 *
 * Written by the leg's worker; the sealer reads when the leg is closed. Allocates nothing. The list
 * is bounded: what comes after it is only counted.
 */
#ifndef SLR_ENGINE_CLOCK_NOTE_H
#define SLR_ENGINE_CLOCK_NOTE_H

#include "storage/ledger.h"

#define SLR_CLOCK_NOTES 32u
#define SLR_CLOCK_NOTES_NEAR 2u

/* The first entries lie in it, room for all others apart from it. */
struct slr_clock_notes {
    struct slr_clock_note near[SLR_CLOCK_NOTES_NEAR];
    uint32_t listed;   /* so many are listed: the first ones; stored after the entry */
    uint32_t count;    /* of all, the ones that found no room too; stored after that */
    int64_t far_bytes; /* how far from the list the others lie; 0: there is no room for others */
};

/* Enters a correction and returns its number, which is SLR_CLOCK_NOTES where there is no room. */
uint32_t slr_clock_note_put(struct slr_clock_notes *list, const struct slr_clock_note *note);

/* The entry of a number, to be corrected; NULL: it found no room. */
struct slr_clock_note *slr_clock_note_at(const struct slr_clock_notes *list, uint32_t number);

#endif

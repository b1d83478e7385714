/*
 * id: unique ids for recordings, sessions and events: 32 lower-case hex digits (128 bits), the
 * first 48 bits being milliseconds of wall time so that ids sort by age. Seeded ids (import) are
 * the same for the same seed and order. One owner thread; allocates nothing.
 */
#ifndef SLR_COMMON_ID_H
#define SLR_COMMON_ID_H

#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"

#define SLR_ID_SIZE 33 /* with NUL */

struct slr_idgen {
    uint64_t state[2];
    bool seeded;
};

/* Random (getrandom). */
void slr_idgen_init(struct slr_idgen *g);
/* Deterministic. */
void slr_idgen_init_seeded(struct slr_idgen *g, uint64_t seed);
void slr_idgen_next(struct slr_idgen *g, slr_wall now, char out[static SLR_ID_SIZE]);

/* True when text is exactly 32 lower-case hex digits. */
bool slr_id_valid(const char *text);

#endif

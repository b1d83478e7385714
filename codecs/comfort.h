/*
 * comfort: the noise that a comfort noise payload (RFC 3389) describes: its level and, where it is
 * sent, the shape of its spectrum. The same seed gives the same noise. Any one thread at a time,
 * allocates nothing.
 */
#ifndef SLR_CODECS_COMFORT_H
#define SLR_CODECS_COMFORT_H

#include <stdint.h>

#include "common/err.h"
#include "common/slice.h"

/* More coefficients are ignored, as RFC 3389 section 3.2 allows. */
#define SLR_COMFORT_MAX_ORDER 16

struct slr_comfort {
    uint32_t random;
    uint32_t order;
    float gain; /* of the white noise that goes in */
    float reflection[SLR_COMFORT_MAX_ORDER];
    float delay[SLR_COMFORT_MAX_ORDER + 1];
};

/* Silence until a payload comes. */
void slr_comfort_reset(struct slr_comfort *c, uint32_t seed);

/* Takes a payload: a byte of level in -dBov, then reflection coefficients. The noise goes on
 * without a click. SLR_FORMAT: empty (nothing changed). */
enum slr_err slr_comfort_take(struct slr_comfort *c, struct slr_slice payload) SLR_CHECKED;

/* Level of a payload, 0..127 -dBov; SLR_FORMAT: empty. */
enum slr_err slr_comfort_level(struct slr_slice payload, uint32_t *level_dbov) SLR_CHECKED;

/* Writes the next samples. */
void slr_comfort_make(struct slr_comfort *c, int16_t *out, uint32_t samples);

#endif

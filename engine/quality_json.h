/*
 * quality_json: what is known of a leg's quality as the ledger says it (docs/ledger.md). Reads the
 * slots of a leg that nobody writes any more; sealer thread; allocates the JSON.
 */
#ifndef SLR_ENGINE_QUALITY_JSON_H
#define SLR_ENGINE_QUALITY_JSON_H

#include <jansson.h>

#include "engine/state.h"

/* The leg's `quality`; new object, NULL: out of memory. */
json_t *slr_quality_json(const struct slr_leg *leg, const struct slr_sound *sound);

/* A stream's `rtcp`: what its sender says of what it hears; NULL: it said nothing. */
json_t *slr_rtcp_json(const struct slr_stream *st);

#endif

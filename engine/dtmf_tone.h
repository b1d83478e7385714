/*
 * dtmf_tone: the sound of a telephone event (ITU-T Q.23, RFC 4733 3.2), computed from its start so
 * that any part of it is the same however it is cut. No state; any thread; allocates nothing.
 */
#ifndef SLR_ENGINE_DTMF_TONE_H
#define SLR_ENGINE_DTMF_TONE_H

#include <stdint.h>

#include "engine/dtmf.h"

struct slr_dtmf_tone {
    uint8_t event;       /* 0..15; anything else is silence */
    uint8_t volume_dbm0; /* 0..63: that much below 0 dBm0 */
    uint32_t hz;         /* sample rate */
    int64_t samples;     /* of the whole event; the ends are ramps of 2 ms */
};

/* From a payload (RFC 4733 2.3) that slr_dtmf_parse takes. */
void slr_dtmf_tone_of(struct slr_slice payload, uint32_t hz, int64_t samples,
                      struct slr_dtmf_tone *out);

/* Samples [from, from + count) of the event. */
void slr_dtmf_tone_make(const struct slr_dtmf_tone *tone, int64_t from, int16_t *out,
                        uint32_t count);

#endif

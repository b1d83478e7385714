/*
 * held: concealment in a codec's own frames, given out in any number of samples.
 *
 * What a frame made beyond the samples asked for is held for the next request; the next decoded
 * payload drops it. Part of a decoder's state; allocates nothing.
 */
#ifndef SLR_CODECS_HELD_H
#define SLR_CODECS_HELD_H

#include <stdint.h>

/* 20 ms at 48 kHz. */
#define SLR_HELD_MAX_SAMPLES 960

struct slr_held {
    uint32_t count, at;
    int16_t pcm[SLR_HELD_MAX_SAMPLES];
};

/* Makes the next frame of concealment, of the size that slr_held_take was told. */
typedef void (*slr_held_frame)(void *state, int16_t *out);

static inline void slr_held_reset(struct slr_held *h)
{
    h->count = h->at = 0;
}

/* Writes `samples` from what is held and then from frames of frame_samples (at most
 * SLR_HELD_MAX_SAMPLES), made as they are needed. */
void slr_held_take(struct slr_held *h, slr_held_frame frame, void *state, uint32_t frame_samples,
                   int16_t *out, uint32_t samples);

#endif

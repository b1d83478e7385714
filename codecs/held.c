/*
 * held: see held.h. State is the decoder's; any one thread at a time, allocates nothing.
 */
#include "codecs/held.h"

#include <string.h>

void slr_held_take(struct slr_held *h, slr_held_frame frame, void *state, uint32_t frame_samples,
                   int16_t *out, uint32_t samples)
{
    while (samples > 0) {
        if (h->at == h->count) {
            frame(state, h->pcm);
            h->count = frame_samples;
            h->at = 0;
        }
        uint32_t n = h->count - h->at < samples ? h->count - h->at : samples;
        memcpy(out, h->pcm + h->at, n * sizeof *out);
        h->at += n;
        out += n;
        samples -= n;
    }
}

/*
 * slrctl_speech: two people talking in turn, for the demo: by espeak-ng where it is installed,
 * else by a small formant synthesiser. One thread; allocates the result.
 */
#ifndef SLR_CTL_SLRCTL_SPEECH_H
#define SLR_CTL_SLRCTL_SPEECH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/slice.h"

#define SLRCTL_SPEECH_HZ 8000

struct slrctl_speech {
    uint8_t *party[2]; /* A-law, both the same length; malloc'ed */
    size_t len_samples;
    bool real; /* espeak-ng spoke */
};

/* SLR_NOMEM. */
enum slr_err slrctl_speech_make(struct slrctl_speech *out) SLR_CHECKED;
void slrctl_speech_free(struct slrctl_speech *s);

/* Mono 16-bit PCM out of a WAV, at 8000 Hz; malloc'ed. A data chunk longer than the file (as
 * streamed ones say) is what is there. SLR_FORMAT, SLR_TRUNCATED, SLR_NOMEM. */
enum slr_err slrctl_speech_read_wav(struct slr_slice wav, int16_t **samples,
                                    size_t *len_samples) SLR_CHECKED;
/* ITU-T G.711 A-law. */
uint8_t slrctl_speech_alaw(int16_t sample);

#endif

/* Fuzz: the demo's WAV reader. */
#include <stdint.h>
#include <stdlib.h>

#include "ctl/slrctl_speech.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int16_t *samples = NULL;
    size_t len = 0;
    if (size > 65536) {
        return 0;
    }
    if (slrctl_speech_read_wav(slr_slice_of(data, size), &samples, &len) == SLR_OK) {
        free(samples);
    }
    return 0;
}

/*
 * G.729 payloads, steps of codec_steps.h; nothing where the build has no G.729.
 */
#include "tests/fuzz/codec_steps.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
#ifdef SLR_HAVE_G729
    struct slr_codec_params p = {.clock_hz = 8000, .channels = 1};
    steps_run(&slr_codec_g729, &p, slr_slice_of(data, size));
#else
    (void)data;
    (void)size;
    (void)steps_run;
#endif
    return 0;
}

/*
 * G.722 payloads, steps of codec_steps.h.
 */
#include "tests/fuzz/codec_steps.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slr_codec_params p = {.clock_hz = 8000, .channels = 1};
    steps_run(&slr_codec_g722, &p, slr_slice_of(data, size));
    return 0;
}

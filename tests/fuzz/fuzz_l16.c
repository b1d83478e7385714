/*
 * L16 payloads in stereo and mono (the first byte), steps of codec_steps.h.
 */
#include "tests/fuzz/codec_steps.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slr_slice all = slr_slice_of(data, size);
    uint8_t first;
    if (slr_slice_take_u8(&all, &first)) {
        struct slr_codec_params p = {.clock_hz = 11025, .channels = first % 4};
        steps_run(&slr_codec_l16, &p, all);
    }
    return 0;
}

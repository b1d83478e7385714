/*
 * Fuzz target of the WAV reader: any bytes; what it accepts must lie inside the file.
 */
#include <stdint.h>
#include <stdlib.h>

#include "storage/wav_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slr_wav_info info;
    volatile uint8_t sum = 0;

    if (slr_wav_parse(slr_slice_of(data, size), &info) != SLR_OK) {
        return 0;
    }
    uint64_t frame_bytes = info.shape.channels * slr_sample_bytes(info.shape.format);
    if (info.data_offset_bytes > size || info.data_len_bytes > size - info.data_offset_bytes ||
        info.data_len_bytes != info.frames * frame_bytes || info.shape.sample_hz == 0 ||
        info.shape.channels < 1 || info.shape.channels > 255) {
        abort();
    }
    for (uint64_t i = 0; i < info.data_len_bytes; i++) {
        sum = (uint8_t)(sum + data[info.data_offset_bytes + i]);
    }
    return 0;
}

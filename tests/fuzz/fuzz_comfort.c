/*
 * Comfort noise payloads (RFC 3389), one after the other: a byte of length, then that many. The
 * noise stays finite and within its level.
 */
#include <stdlib.h>

#include "codecs/comfort.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slr_slice all = slr_slice_of(data, size), payload;
    struct slr_comfort c;
    int16_t out[160];
    uint8_t n;
    uint32_t level;

    slr_comfort_reset(&c, 1);
    while (slr_slice_take_u8(&all, &n) && slr_slice_take(&all, n, &payload)) {
        enum slr_err err = slr_comfort_take(&c, payload);
        if (err != slr_comfort_level(payload, &level) || (n == 0) != (err != SLR_OK) ||
            (err == SLR_OK && level > 127)) {
            abort();
        }
        slr_comfort_make(&c, out, 160);
        if (!(c.delay[0] <= 1e6f && c.delay[0] >= -1e6f)) {
            abort();
        }
    }
    return 0;
}

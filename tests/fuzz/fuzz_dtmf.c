/*
 * Telephone events: payloads one after the other (a byte of length, one of time, then that many)
 * into a leg's list of digits, which stays bounded and in order.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/slice.h"
#include "engine/dtmf.h"
#include "tests/engine/lone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct lone_leg lone;
    struct slr_slice all = slr_slice_of(data, size), payload;
    int64_t ts_ext = 1LL << 40;
    uint8_t n, step;

    struct slr_leg *leg = lone_leg(&lone);
    while (slr_slice_take_u8(&all, &n) && slr_slice_take_u8(&all, &step) &&
           slr_slice_take(&all, n, &payload)) {
        struct slr_dtmf ev;
        ts_ext += (int64_t)step * 80 - 400;
        if (slr_dtmf_parse(payload, &ev) != SLR_OK) {
            continue;
        }
        require(n >= 4 && n % 4 == 0);
        slr_dtmf_take(leg, 0, &ev, step & 1u, ts_ext, ts_ext * 1764, 8000);
        require(leg->digit_count <= SLR_LEG_DIGITS);
        for (uint32_t i = 0; i < leg->digit_count; i++) {
            require(strchr("0123456789*#ABCDF", slr_leg_rare(leg)->digit[i].digit) != NULL);
            require(slr_leg_rare(leg)->digit[i].digit != '\0' &&
                    slr_leg_rare(leg)->digit[i].duration_ms <= 8192);
        }
    }
    return 0;
}

/* RTCP compounds: whatever comes, the reader stays in bounds, and only a whole compound counts. */
#include <stdint.h>
#include <stdlib.h>

#include "engine/rtcp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct slr_leg leg;
    struct slr_rtcp_sr sr = {0};
    bool found = false;
    enum slr_err err = slr_rtcp_parse(slr_slice_of(data, size), &sr, &found);

    if (err == SLR_OK) {
        require(size >= 4 && size % 4 == 0 && data[0] >> 6 == 2);
        require(!found || size >= 28);
    }
    /* A stream that is heard keeps what is said about it, and nothing else. */
    leg.stream[0].ssrc = sr.ssrc;
    leg.stream[0].sr_count = 0;
    atomic_store(&leg.stream[0].state, SLR_STREAM_TAKEN);
    atomic_store(&leg.stream_count, 1);
    require(slr_rtcp_take(&leg, slr_slice_of(data, size), (slr_mono){1}) == err);
    require(leg.stream[0].sr_count == (err == SLR_OK && found));
    return 0;
}

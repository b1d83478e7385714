/* RTP header: whatever comes, the payload lies inside it, and classifying agrees with parsing. */
#include <stdint.h>
#include <stdlib.h>

#include "engine/rtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slr_slice all = slr_slice_of(data, size);
    struct slr_rtp r;
    enum slr_payload_kind kind = slr_rtp_classify(all);
    uint32_t sum = 0;

    if (slr_rtp_parse(all, &r) == SLR_OK) {
        require(size >= 12 && data[0] >> 6 == 2);
        require(r.payload.at >= data + 12 && r.payload.at + r.payload.len_bytes <= data + size);
        require(kind == SLR_IS_RTP || kind == SLR_IS_RTCP);
        require(r.pt < 128 && r.pt == (data[1] & 0x7f));
        for (size_t i = 0; i < r.payload.len_bytes; i++) {
            sum += r.payload.at[i];
        }
    } else {
        require(kind != SLR_IS_RTP || size >= 12);
    }
    return sum == UINT32_MAX;
}

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
    struct slr_rtcp r = {.sr = {0}};
    enum slr_err err = slr_rtcp_parse(slr_slice_of(data, size), &r);

    if (err == SLR_OK) {
        require(size >= 4 && size % 4 == 0 && data[0] >> 6 == 2);
        require(!r.has_sr || size >= 28);
    }
    require(r.report_count <= SLR_RTCP_REPORTS && r.report_count * 24u <= size);
    require(r.voip_count <= SLR_RTCP_VOIPS && r.voip_count * 36u <= size);
    /* A stream that is heard keeps what is said about it, and nothing else. */
    leg.first.ssrc = r.sr.ssrc;
    leg.first.sr_count = 0;
    leg.first.rtcp.reports = leg.first.rtcp.voips = 0;
    atomic_store(&leg.first.state, SLR_STREAM_TAKEN);
    atomic_store(&leg.stream_count, 1);
    require(slr_rtcp_take(&leg, slr_slice_of(data, size), (slr_mono){1}) == err);
    require(leg.first.sr_count == (err == SLR_OK && r.has_sr));
    require(leg.first.rtcp.reports <= r.report_count);
    require(leg.first.rtcp.voips <= r.voip_count);
    return 0;
}

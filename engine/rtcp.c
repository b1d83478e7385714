/*
 * rtcp: compound reader, through the bounds-checked slice only.
 */
#include "engine/rtcp.h"

#define RTCP_SR 200u

static bool read_sr(struct slr_slice body, struct slr_rtcp_sr *sr)
{
    return slr_slice_take_u32(&body, &sr->ssrc) && slr_slice_take_u32(&body, &sr->ntp_seconds) &&
           slr_slice_take_u32(&body, &sr->ntp_fraction) && slr_slice_take_u32(&body, &sr->rtp_ts) &&
           slr_slice_take_u32(&body, &sr->packets) && slr_slice_take_u32(&body, &sr->bytes);
}

enum slr_err slr_rtcp_parse(struct slr_slice bytes, struct slr_rtcp_sr *sr, bool *found)
{
    *found = false;
    if (bytes.len_bytes < 4) {
        return SLR_TRUNCATED;
    }
    while (bytes.len_bytes > 0) {
        uint8_t first = 0;
        uint8_t type = 0;
        uint16_t words = 0;
        struct slr_slice body;
        if (!slr_slice_take_u8(&bytes, &first) || !slr_slice_take_u8(&bytes, &type) ||
            !slr_slice_take_u16(&bytes, &words) ||
            !slr_slice_take(&bytes, 4u * (size_t)words, &body)) {
            return SLR_TRUNCATED;
        }
        if (first >> 6 != 2 || type < 192 || type > 223) {
            return SLR_FORMAT;
        }
        if (type == RTCP_SR) {
            if (!read_sr(body, sr)) {
                return SLR_TRUNCATED;
            }
            *found = true;
        }
    }
    return SLR_OK;
}

enum slr_err slr_rtcp_take(struct slr_leg *leg, struct slr_slice bytes, slr_mono arrival)
{
    struct slr_rtcp_sr sr;
    bool found = false;
    enum slr_err err = slr_rtcp_parse(bytes, &sr, &found);
    if (err != SLR_OK || !found) {
        return err;
    }
    for (uint32_t i = 0; i < atomic_load(&leg->stream_count); i++) {
        struct slr_stream *st = &leg->stream[i];
        if (st->ssrc == sr.ssrc && atomic_load(&st->state) == SLR_STREAM_TAKEN) {
            st->sr_ntp = (uint64_t)sr.ntp_seconds << 32 | sr.ntp_fraction;
            st->sr_rtp_ts = sr.rtp_ts;
            st->sr_arrival_ns = arrival.ns;
            st->sr_count++;
        }
    }
    return SLR_OK;
}

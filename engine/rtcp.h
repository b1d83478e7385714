/*
 * rtcp: reads compound RTCP (RFC 3550 6.1): sender reports are kept for clock comparison.
 * Worker thread; allocates nothing.
 */
#ifndef SLR_ENGINE_RTCP_H
#define SLR_ENGINE_RTCP_H

#include "common/slice.h"
#include "engine/state.h"

struct slr_rtcp_sr {
    uint32_t ssrc;
    uint32_t ntp_seconds, ntp_fraction;
    uint32_t rtp_ts;
    uint32_t packets, bytes;
};

/* Walks all packets of a compound; *sr is the last sender report (found says so). SLR_TRUNCATED,
 * SLR_FORMAT: not a valid compound. */
enum slr_err slr_rtcp_parse(struct slr_slice bytes, struct slr_rtcp_sr *sr,
                            bool *found) SLR_CHECKED;

/* Parses and keeps what concerns the leg's streams. */
enum slr_err slr_rtcp_take(struct slr_leg *leg, struct slr_slice bytes,
                           slr_mono arrival) SLR_CHECKED;

#endif

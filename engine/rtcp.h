/*
 * rtcp: reads compound RTCP (RFC 3550 6.1): sender reports are kept for clock comparison,
 * reception reports and the VoIP metrics of extended reports (RFC 3611) for the ledger.
 * Worker thread; allocates nothing.
 */
#ifndef SLR_ENGINE_RTCP_H
#define SLR_ENGINE_RTCP_H

#include "common/slice.h"
#include "engine/rtcp_kept.h"
#include "engine/state.h"

/* So many of each are read from one compound; more are skipped. */
#define SLR_RTCP_REPORTS 31u
#define SLR_RTCP_VOIPS 8u

struct slr_rtcp_sr {
    uint32_t ssrc;
    uint32_t ntp_seconds, ntp_fraction;
    uint32_t rtp_ts;
    uint32_t packets, bytes;
};

struct slr_rtcp {
    bool has_sr;
    struct slr_rtcp_sr sr; /* the last one */
    uint32_t report_count, voip_count;
    struct slr_rtcp_report report[SLR_RTCP_REPORTS];
    struct slr_rtcp_voip voip[SLR_RTCP_VOIPS];
};

/* Walks all packets of a compound. SLR_TRUNCATED, SLR_FORMAT: not a valid compound (what was read
 * before stands in *out). Report blocks beyond what the packet holds are not there. */
enum slr_err slr_rtcp_parse(struct slr_slice bytes, struct slr_rtcp *out) SLR_CHECKED;

/* Parses and keeps what concerns the leg's streams. */
enum slr_err slr_rtcp_take(struct slr_leg *leg, struct slr_slice bytes,
                           slr_mono arrival) SLR_CHECKED;

#endif

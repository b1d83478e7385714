/*
 * rtcp_kept: what a party says in RTCP of the media that it hears, as kept beside its stream in the
 * state file: reception reports (RFC 3550 6.4.1) and VoIP metrics (RFC 3611 4.7). Plain data in
 * the wire's units; worker writes, sealer reads.
 */
#ifndef SLR_ENGINE_RTCP_KEPT_H
#define SLR_ENGINE_RTCP_KEPT_H

#include <stdint.h>

/* One report block. */
struct slr_rtcp_report {
    uint32_t sender; /* SSRC of who reports */
    uint32_t about;  /* and of what is reported on */
    int32_t lost;    /* 24 bits on the wire, signed */
    uint32_t highest_seq, jitter, lsr, dlsr;
    uint8_t fraction_lost; /* of 256, since the last report */
};

/* Report block 7 of an extended report. 127 stands for unknown in levels and ratings. */
struct slr_rtcp_voip {
    uint32_t sender, about;
    uint8_t loss_rate, discard_rate, burst_density, gap_density; /* of 256 */
    uint16_t burst_ms, gap_ms, round_trip_ms, end_system_ms;
    int8_t signal_dbm, noise_dbm;
    uint8_t rerl_db, gmin, r_factor, ext_r_factor;
    uint8_t mos_lq, mos_cq; /* tenths */
    uint8_t rx_config;
    uint16_t jb_nominal_ms, jb_max_ms, jb_abs_max_ms;
};

/* The newest of each, and how many there were. */
struct slr_rtcp_kept {
    uint32_t reports, voips;
    uint8_t fraction_lost_max;
    uint32_t jitter_max;
    struct slr_rtcp_report report;
    struct slr_rtcp_voip voip;
};

#endif

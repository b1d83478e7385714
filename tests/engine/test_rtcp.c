/* RTCP compounds (RFC 3550 6.1): sender reports are kept, whatever stands around them. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "engine/rtcp.h"
#include "tests/engine/lone.h"

/* A sender report of 28 bytes for SSRC 7, then a BYE of 8. */
static const uint8_t compound[] = {0x80, 200, 0,    6,    0,    0,   0, 7, 0, 0, 1, 2,
                                   0,    0,   3,    4,    0,    0,   5, 6, 0, 0, 0, 0x10,
                                   0,    0,   0x20, 0x30, 0x81, 203, 0, 1, 0, 0, 0, 7};

Test(rtcp, a_sender_report_in_a_compound)
{
    struct slr_rtcp r;
    cr_assert_eq(slr_rtcp_parse(slr_slice_of(compound, sizeof compound), &r), SLR_OK);
    cr_assert(r.has_sr);
    cr_assert_eq(r.sr.ssrc, 7u);
    cr_assert_eq(r.sr.ntp_seconds, 0x0102u);
    cr_assert_eq(r.sr.ntp_fraction, 0x0304u);
    cr_assert_eq(r.sr.rtp_ts, 0x0506u);
    cr_assert_eq(r.sr.packets, 0x10u);
    cr_assert_eq(r.sr.bytes, 0x2030u);
}

Test(rtcp, every_cut_is_noticed)
{
    struct slr_rtcp r;
    for (size_t n = 0; n < sizeof compound; n++) {
        enum slr_err err = slr_rtcp_parse(slr_slice_of(compound, n), &r);
        cr_assert_eq(err, n == 28 ? SLR_OK : SLR_TRUNCATED, "%zu bytes", n);
    }
}

Test(rtcp, what_is_none)
{
    struct slr_rtcp r;
    static const uint8_t version[] = {0x40, 200, 0, 0};
    static const uint8_t type[] = {0x80, 8, 0, 0};
    static const uint8_t short_sr[] = {0x80, 200, 0, 1, 0, 0, 0, 7};
    static const uint8_t receiver[] = {0x80, 201, 0, 1, 0, 0, 0, 7};
    cr_assert_eq(slr_rtcp_parse(slr_slice_of(version, 4), &r), SLR_FORMAT);
    cr_assert_not(r.has_sr);
    cr_assert_eq(slr_rtcp_parse(slr_slice_of(type, 4), &r), SLR_FORMAT);
    cr_assert_eq(slr_rtcp_parse(slr_slice_of(short_sr, 8), &r), SLR_TRUNCATED);
    cr_assert_eq(slr_rtcp_parse(slr_slice_of(receiver, 8), &r), SLR_OK);
    cr_assert_not(r.has_sr);
}

Test(rtcp, only_a_stream_that_is_heard_keeps_it)
{
    static struct lone_leg lone;
    struct slr_leg *leg = lone_leg(&lone);
    atomic_store(&leg->stream_count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        slr_leg_stream(leg, i)->ssrc = i == 2 ? 8 : 7;
        atomic_store(&slr_leg_stream(leg, i)->state,
                     i == 1 ? SLR_STREAM_PROBATION : SLR_STREAM_TAKEN);
    }
    cr_assert_eq(slr_rtcp_take(leg, slr_slice_of(compound, sizeof compound), (slr_mono){99}),
                 SLR_OK);
    cr_assert_eq(slr_leg_stream(leg, 0)->sr_count, 1u);
    cr_assert_eq(slr_leg_stream(leg, 0)->sr_ntp, 0x0000010200000304u);
    cr_assert_eq(slr_leg_stream(leg, 0)->sr_rtp_ts, 0x0506u);
    cr_assert_eq(slr_leg_stream(leg, 0)->sr_arrival_ns, 99);
    cr_assert_eq(slr_leg_stream(leg, 1)->sr_count + slr_leg_stream(leg, 2)->sr_count, 0u);
}

/* An empty sender report's sender 7 hears 0x10 and 0x20; then its view in an extended report. */
static const uint8_t heard[] = {0x82, 201,  0,   13,   0,    0,    0,  7, /* RR of 7 */
                                0,    0,    0,   0x10, 64,   0,    0,  5,    0,    1,    0,
                                9,    0,    0,   0,    40,   1,    2,  3,    4,    0,    1,
                                0,    0,    0,   0,    0,    0x20, 0,  0xff, 0xff, 0xff, 0,
                                0,    0,    1,   0,    0,    0,    3,  0,    0,    0,    0,
                                0,    0,    0,   0,    0x80, 207,  0,  13,   0,    0,    0,
                                7, /* XR of 7 */
                                4,    0,    0,   2,    1,    2,    3,  4,    5,    6,    7,
                                8, /* reference time */
                                7,    0,    0,   8,    0,    0,    0,  0x10, 26,   3,    128,
                                1,    0,    120, 3,    232,  0,    60, 0,    80, /* VoIP metrics */
                                0xec, 0xbf, 40,  16,   77,   127,  39, 38,   0xe0, 0,    0,
                                40,   0,    60,  0,    100};

Test(rtcp, reception_reports_and_voip_metrics)
{
    struct slr_rtcp r;
    cr_assert_eq(slr_rtcp_parse(slr_slice_of(heard, sizeof heard), &r), SLR_OK);
    cr_assert_not(r.has_sr);
    cr_assert_eq(r.report_count, 2u);
    cr_assert_eq(r.report[0].sender, 7u);
    cr_assert_eq(r.report[0].about, 0x10u);
    cr_assert_eq(r.report[0].fraction_lost, 64);
    cr_assert_eq(r.report[0].lost, 5);
    cr_assert_eq(r.report[0].highest_seq, 0x10009u);
    cr_assert_eq(r.report[0].jitter, 40u);
    cr_assert_eq(r.report[0].lsr, 0x01020304u);
    cr_assert_eq(r.report[0].dlsr, 0x10000u);
    cr_assert_eq(r.report[1].lost, -1, "duplicates make it negative");
    cr_assert_eq(r.voip_count, 1u);
    const struct slr_rtcp_voip *v = &r.voip[0];
    cr_assert(v->sender == 7 && v->about == 0x10);
    cr_assert(v->loss_rate == 26 && v->discard_rate == 3);
    cr_assert(v->burst_density == 128 && v->gap_density == 1);
    cr_assert(v->burst_ms == 120 && v->gap_ms == 1000);
    cr_assert(v->round_trip_ms == 60 && v->end_system_ms == 80);
    cr_assert(v->signal_dbm == -20 && v->noise_dbm == -65 && v->rerl_db == 40);
    cr_assert(v->gmin == 16 && v->r_factor == 77 && v->ext_r_factor == 127);
    cr_assert(v->mos_lq == 39 && v->mos_cq == 38 && v->rx_config == 0xe0);
    cr_assert(v->jb_nominal_ms == 40 && v->jb_max_ms == 60 && v->jb_abs_max_ms == 100);
}

Test(rtcp, blocks_that_are_not_there_are_not_read)
{
    struct slr_rtcp r;
    uint8_t bytes[sizeof heard];
    memcpy(bytes, heard, sizeof bytes);
    bytes[0] = 0x9f; /* 31 report blocks, it says */
    cr_assert_eq(slr_rtcp_parse(slr_slice_of(bytes, sizeof bytes), &r), SLR_OK);
    cr_assert_eq(r.report_count, 2u);
    bytes[76 + 3] = 9; /* the VoIP block reaches past its packet */
    cr_assert_eq(slr_rtcp_parse(slr_slice_of(bytes, sizeof bytes), &r), SLR_OK);
    cr_assert_eq(r.voip_count, 0u);
    bytes[76 + 3] = 7; /* and now it is too short to be one */
    cr_assert_eq(slr_rtcp_parse(slr_slice_of(bytes, sizeof bytes), &r), SLR_OK);
    cr_assert_eq(r.voip_count, 0u);
}

Test(rtcp, more_than_we_keep_is_skipped)
{
    static uint8_t bytes[2 * (8 + 31 * 24)];
    static uint8_t extended[8 + 36 * 20];
    struct slr_rtcp r;
    for (size_t i = 0; i < 2; i++) {
        uint8_t *at = bytes + i * sizeof bytes / 2;
        memcpy(at, (uint8_t[]){0x9f, 201, 0, 1 + 31 * 6}, 4);
    }
    cr_assert_eq(slr_rtcp_parse(slr_slice_of(bytes, sizeof bytes), &r), SLR_OK);
    cr_assert_eq(r.report_count, SLR_RTCP_REPORTS);
    memcpy(extended, (uint8_t[]){0x80, 207, 0, 1 + 9 * 20}, 4);
    for (size_t i = 0; i < 20; i++) {
        memcpy(extended + 8 + 36 * i, (uint8_t[]){7, 0, 0, 8}, 4);
    }
    cr_assert_eq(slr_rtcp_parse(slr_slice_of(extended, sizeof extended), &r), SLR_OK);
    cr_assert_eq(r.voip_count, SLR_RTCP_VOIPS);
}

Test(rtcp, a_stream_keeps_what_its_sender_says)
{
    static struct lone_leg lone;
    struct slr_leg *leg = lone_leg(&lone);
    atomic_store(&leg->stream_count, 2);
    for (uint32_t i = 0; i < 2; i++) {
        slr_leg_stream(leg, i)->ssrc = 7 + i;
        atomic_store(&slr_leg_stream(leg, i)->state, SLR_STREAM_TAKEN);
    }
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_eq(slr_rtcp_take(leg, slr_slice_of(heard, sizeof heard), (slr_mono){99}), SLR_OK);
    }
    const struct slr_rtcp_kept *kept = &slr_leg_stream(leg, 0)->rtcp;
    cr_assert_eq(kept->reports, 6u);
    cr_assert_eq(kept->report.about, 0x20u, "the newest");
    cr_assert_eq(kept->fraction_lost_max, 64);
    cr_assert_eq(kept->jitter_max, 40u);
    cr_assert_eq(kept->voips, 3u);
    cr_assert_eq(kept->voip.mos_lq, 39);
    cr_assert_eq(slr_leg_stream(leg, 1)->rtcp.reports + slr_leg_stream(leg, 1)->rtcp.voips, 0u);
}

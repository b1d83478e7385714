/* RTCP compounds (RFC 3550 6.1): sender reports are kept, whatever stands around them. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "engine/rtcp.h"

/* A sender report of 28 bytes for SSRC 7, then a BYE of 8. */
static const uint8_t compound[] = {0x80, 200, 0,    6,    0,    0,   0, 7, 0, 0, 1, 2,
                                   0,    0,   3,    4,    0,    0,   5, 6, 0, 0, 0, 0x10,
                                   0,    0,   0x20, 0x30, 0x81, 203, 0, 1, 0, 0, 0, 7};

Test(rtcp, a_sender_report_in_a_compound)
{
    struct slr_rtcp_sr sr;
    bool found = false;
    cr_assert_eq(slr_rtcp_parse(slr_slice_of(compound, sizeof compound), &sr, &found), SLR_OK);
    cr_assert(found);
    cr_assert_eq(sr.ssrc, 7u);
    cr_assert_eq(sr.ntp_seconds, 0x0102u);
    cr_assert_eq(sr.ntp_fraction, 0x0304u);
    cr_assert_eq(sr.rtp_ts, 0x0506u);
    cr_assert_eq(sr.packets, 0x10u);
    cr_assert_eq(sr.bytes, 0x2030u);
}

Test(rtcp, every_cut_is_noticed)
{
    struct slr_rtcp_sr sr;
    bool found = false;
    for (size_t n = 0; n < sizeof compound; n++) {
        enum slr_err err = slr_rtcp_parse(slr_slice_of(compound, n), &sr, &found);
        cr_assert_eq(err, n == 28 ? SLR_OK : SLR_TRUNCATED, "%zu bytes", n);
    }
}

Test(rtcp, what_is_none)
{
    struct slr_rtcp_sr sr;
    bool found = true;
    static const uint8_t version[] = {0x40, 200, 0, 0};
    static const uint8_t type[] = {0x80, 8, 0, 0};
    static const uint8_t short_sr[] = {0x80, 200, 0, 1, 0, 0, 0, 7};
    static const uint8_t receiver[] = {0x80, 201, 0, 1, 0, 0, 0, 7};
    cr_assert_eq(slr_rtcp_parse(slr_slice_of(version, 4), &sr, &found), SLR_FORMAT);
    cr_assert_not(found);
    cr_assert_eq(slr_rtcp_parse(slr_slice_of(type, 4), &sr, &found), SLR_FORMAT);
    cr_assert_eq(slr_rtcp_parse(slr_slice_of(short_sr, 8), &sr, &found), SLR_TRUNCATED);
    cr_assert_eq(slr_rtcp_parse(slr_slice_of(receiver, 8), &sr, &found), SLR_OK);
    cr_assert_not(found);
}

Test(rtcp, only_a_stream_that_is_heard_keeps_it)
{
    struct slr_leg *leg = calloc(1, sizeof *leg);
    cr_assert_not_null(leg);
    atomic_store(&leg->stream_count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        leg->stream[i].ssrc = i == 2 ? 8 : 7;
        atomic_store(&leg->stream[i].state, i == 1 ? SLR_STREAM_PROBATION : SLR_STREAM_TAKEN);
    }
    cr_assert_eq(slr_rtcp_take(leg, slr_slice_of(compound, sizeof compound), (slr_mono){99}),
                 SLR_OK);
    cr_assert_eq(leg->stream[0].sr_count, 1u);
    cr_assert_eq(leg->stream[0].sr_ntp, 0x0000010200000304u);
    cr_assert_eq(leg->stream[0].sr_rtp_ts, 0x0506u);
    cr_assert_eq(leg->stream[0].sr_arrival_ns, 99);
    cr_assert_eq(leg->stream[1].sr_count + leg->stream[2].sr_count, 0u);
    free(leg);
}

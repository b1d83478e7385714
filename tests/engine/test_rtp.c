/* RTP header (RFC 3550 5.1) and telling RTP, RTCP and SIP apart (RFC 5761 4). */
#include <criterion/criterion.h>

#include "engine/rtp.h"

static enum slr_err parse(const void *at, size_t n, struct slr_rtp *out)
{
    return slr_rtp_parse(slr_slice_of(at, n), out);
}

Test(rtp, plain)
{
    static const uint8_t at[] = {0x80, 0x88, 0x12, 0x34, 1,   2,    3,
                                 4,    0xa,  0xb,  0xc,  0xd, 0xee, 0xff};
    struct slr_rtp r;
    cr_assert_eq(parse(at, sizeof at, &r), SLR_OK);
    cr_assert_eq(r.pt, 8);
    cr_assert(r.marker);
    cr_assert_eq(r.seq, 0x1234);
    cr_assert_eq(r.ts, 0x01020304u);
    cr_assert_eq(r.ssrc, 0x0a0b0c0du);
    cr_assert_eq(r.payload.len_bytes, 2u);
    cr_assert_eq(r.payload.at[0], 0xee);
}

Test(rtp, contributors_extension_and_padding_are_not_payload)
{
    static const uint8_t at[] = {0xb2, 0x00, 0,    1, 0, 0, 0, 2, 0, 0, 0, 3, /* two CSRCs */
                                 1,    1,    1,    1, 2, 2, 2, 2,             /* */
                                 0xbe, 0xde, 0,    1, 9, 9, 9, 9,             /* one word */
                                 0x41, 0x42, 0x43, 0, 0, 3};                  /* three of padding */
    struct slr_rtp r;
    cr_assert_eq(parse(at, sizeof at, &r), SLR_OK);
    cr_assert_eq(r.payload.len_bytes, 3u);
    cr_assert_eq(memcmp(r.payload.at, "ABC", 3), 0);
    cr_assert_not(r.marker);
}

/* Cut anywhere before the payload it is refused; no length in it reaches past the end. */
Test(rtp, every_cut_is_noticed)
{
    static const uint8_t at[] = {0x92, 0x00, 0, 1, 0,    0,    0, 2, 0, 0, 0, 3, 1, 1, 1, 1,
                                 2,    2,    2, 2, 0xbe, 0xde, 0, 2, 9, 9, 9, 9, 8, 8, 8, 8};
    struct slr_rtp r;
    for (size_t n = 0; n < sizeof at; n++) {
        cr_assert_eq(parse(at, n, &r), SLR_TRUNCATED, "%zu bytes", n);
    }
    cr_assert_eq(parse(at, sizeof at, &r), SLR_OK);
    cr_assert_eq(r.payload.len_bytes, 0u);
}

Test(rtp, padding_that_cannot_be)
{
    uint8_t at[14] = {0xa0, 0};
    struct slr_rtp r;
    cr_assert_eq(parse(at, 14, &r), SLR_TRUNCATED); /* 0 */
    at[13] = 3;
    cr_assert_eq(parse(at, 14, &r), SLR_TRUNCATED);
    at[13] = 2;
    cr_assert_eq(parse(at, 14, &r), SLR_OK);
    cr_assert_eq(r.payload.len_bytes, 0u);
    cr_assert_eq(parse(at, 12, &r), SLR_TRUNCATED);
}

Test(rtp, other_versions)
{
    uint8_t at[12] = {0x40, 0};
    struct slr_rtp r;
    cr_assert_eq(parse(at, 12, &r), SLR_FORMAT);
    at[0] = 0xc0;
    cr_assert_eq(parse(at, 12, &r), SLR_FORMAT);
}

static enum slr_payload_kind kind(const char *text, size_t n)
{
    return slr_rtp_classify(slr_slice_of(text, n));
}

Test(rtp, classes)
{
    cr_assert_eq(kind("\x80\x08........................", 20), SLR_IS_RTP);
    cr_assert_eq(kind("\x80\x88........................", 20), SLR_IS_RTP);
    cr_assert_eq(kind("\x80\xc8......", 8), SLR_IS_RTCP);
    cr_assert_eq(kind("\x81\xc9......", 8), SLR_IS_RTCP);
    cr_assert_eq(kind("\x80\x08.........", 11), SLR_IS_OTHER);
    cr_assert_eq(kind("\x80\xe0..........", 12), SLR_IS_RTP); /* marker and 96 */
    cr_assert_eq(kind("\x80\xbf..........", 12), SLR_IS_RTP); /* marker and 63 */
    cr_assert_eq(kind("INVITE sip:a@b SIP/2.0", 22), SLR_IS_SIP);
    cr_assert_eq(kind("SIP/2.0 200 OK", 14), SLR_IS_SIP);
    cr_assert_eq(kind("INVITATION x", 12), SLR_IS_OTHER);
    cr_assert_eq(kind("\r\n\r\n", 4), SLR_IS_OTHER);
    cr_assert_eq(kind("\0\0\0\0\0\0\0\0\0\0\0\0", 12), SLR_IS_OTHER);
    cr_assert_eq(kind("", 0), SLR_IS_OTHER);
}

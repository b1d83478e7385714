/* Captured SIP messages: what the tracker learns from them. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "ctl/track_msg.h"

#include "common/base64.h"

#define SDP "v=0\r\nc=IN IP4 10.0.0.1\r\nm=audio 4000 RTP/AVP 8\r\n"

static struct slr_track_msg m;

static enum slr_err read_msg(const char *text)
{
    return slr_track_msg_read(slr_slice_str(text), &m);
}

Test(track_msg, request_with_description)
{
    cr_assert_eq(
        read_msg("INVITE sip:b@h SIP/2.0\r\nv: SIP/2.0/UDP 1.2.3.4;branch=z9hG4bKx\r\n"
                 "f: <sip:alice@x>;tag=ft\r\nt: <sip:bob@y>\r\ni: id@h\r\nCSeq: 3 INVITE\r\n"
                 "c: application/sdp\r\nl: 48\r\n\r\n" SDP),
        SLR_OK);
    cr_assert_eq(m.status, 0);
    cr_assert_eq(m.method, SLR_TRACK_INVITE);
    cr_assert_eq(m.cseq, 3u);
    cr_assert_str_eq(m.call_id, "id@h");
    cr_assert_str_eq(m.from_tag, "ft");
    cr_assert_str_eq(m.from_user, "alice");
    cr_assert_str_eq(m.to_user, "bob");
    cr_assert_not_null(m.sdp);
    cr_assert_eq(m.sdp->media[0].port, 4000);
    slr_track_msg_fini(&m);
}

Test(track_msg, answer)
{
    cr_assert_eq(read_msg("SIP/2.0 603 Decline\r\nVia: SIP/2.0/UDP 1.2.3.4;branch=z9hG4bKx\r\n"
                          "From: <sip:a@x>;tag=1\r\nTo: <sip:b@y>;tag=2\r\nCall-ID: id\r\n"
                          "CSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"),
                 SLR_OK);
    cr_assert_eq(m.status, 603);
    cr_assert_eq(m.method, SLR_TRACK_INVITE);
    cr_assert_null(m.sdp);
    slr_track_msg_fini(&m);
}

Test(track_msg, malformed)
{
    cr_assert_eq(read_msg(""), SLR_FORMAT);
    cr_assert_eq(read_msg("hello\r\n\r\n"), SLR_FORMAT);
    cr_assert_eq(read_msg("INVITE sip:b@h SIP/2.0\r\nCall-ID: x\r\n\r\n"), SLR_FORMAT);
    static char big[SLR_TRACK_MESSAGE_MAX_BYTES + 1];
    cr_assert_eq(slr_track_msg_read(slr_slice_of(big, sizeof big), &m), SLR_TOOLONG);
}

Test(track_msg, base64)
{
    static const struct {
        const char *text, *want;
    } row[] = {{"", ""}, {"Zg==", "f"}, {"Zm8=", "fo"}, {"Zm9v", "foo"}, {"+/8=", "\xfb\xff"}};
    uint8_t out[8];
    size_t n;
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        cr_assert_eq(slr_base64_decode(row[i].text, out, sizeof out, &n), SLR_OK);
        cr_assert_eq(n, strlen(row[i].want));
        cr_assert_arr_eq(out, row[i].want, n);
    }
    cr_assert_eq(slr_base64_decode("Zm9v!", out, sizeof out, &n), SLR_FORMAT);
    cr_assert_eq(slr_base64_decode("Zg===", out, sizeof out, &n), SLR_FORMAT);
    cr_assert_eq(slr_base64_decode("Zm9vZm9vZm9v", out, sizeof out, &n), SLR_TOOLONG);
}

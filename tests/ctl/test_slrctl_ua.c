/* The demo's reader of SIP answers, and the INVITE that it prints. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "ctl/slrctl_ua.h"

static const char good[] = "SIP/2.0 200 OK\r\n"
                           "Via: SIP/2.0/UDP 127.0.0.1:1;branch=z9hG4bKx\r\n"
                           "t: <sip:record=1@127.0.0.1>;tag=abc\r\n"
                           "CALL-ID: one@demo\r\n"
                           "CSeq: 1 INVITE\r\n"
                           "Contact: <sip:rec@127.0.0.1:5060;transport=udp>;+sip.srs\r\n"
                           "Content-Type: application/sdp\r\n"
                           "\r\n"
                           "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\nc=IN IP4 127.0.0.9\r\n"
                           "m=audio 40000 RTP/AVP 8\r\nm=audio 40002 RTP/AVP 8\r\n";

static bool read_text(const char *text, struct slrctl_ua_answer *a)
{
    return slrctl_ua_read(slr_slice_str(text), a);
}

Test(slrctl_ua, an_answer)
{
    struct slrctl_ua_answer a;
    cr_assert(read_text(good, &a));
    cr_assert_eq(a.status, 200);
    cr_assert_eq(a.cseq, 1);
    cr_assert_str_eq(a.call_id, "one@demo");
    cr_assert_str_eq(a.to, "<sip:record=1@127.0.0.1>;tag=abc");
    cr_assert_str_eq(a.target, "sip:rec@127.0.0.1:5060;transport=udp");
    char text[SLR_ADDR_TEXT_SIZE];
    slr_addr_format(&a.media, text);
    cr_assert_str_eq(text, "127.0.0.9:40000");
}

Test(slrctl_ua, no_answers)
{
    struct slrctl_ua_answer a;
    static const char *const bad[] = {"",
                                      "\r\n",
                                      "OPTIONS sip:x SIP/2.0\r\nCall-ID: a\r\nCSeq: 1 X\r\n",
                                      "SIP/2.0 99 No\r\nCall-ID: a\r\nCSeq: 1 X\r\n",
                                      "SIP/2.0 200 OK\r\nCSeq: 1 X\r\n",
                                      "SIP/2.0 200 OK\r\nCall-ID: a\r\nCSeq: x X\r\n"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_assert_not(read_text(bad[i], &a), "%s", bad[i]);
    }
}

Test(slrctl_ua, the_invite_is_whole)
{
    struct slrctl_ua ua = {.uri = "sip:record=7@127.0.0.1:5060;dn=1;recordDN=1",
                           .call_id = "c",
                           .tag = "t",
                           .rtp_port = 4000};
    char text[2048];
    cr_assert_eq(slr_addr_parse("127.0.0.1:7", &ua.local), SLR_OK);
    size_t len = slrctl_ua_print_invite(&ua, text, sizeof(text));
    cr_assert_eq(len, strlen(text));
    cr_assert_eq(
        strncmp(text, "INVITE sip:record=7@127.0.0.1:5060;dn=1;recordDN=1 SIP/2.0\r\n", 60), 0);
    const char *body = strstr(text, "\r\n\r\n") + 4;
    char length[40];
    snprintf(length, sizeof(length), "\r\nContent-Length: %zu\r\n", strlen(body));
    cr_assert_not_null(strstr(text, length));
    cr_assert_not_null(strstr(body, "m=audio 4000 RTP/AVP 8\r\n"));
    cr_assert_eq(slrctl_ua_print_invite(&ua, text, 100), 0);
}

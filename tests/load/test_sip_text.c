/*
 * SIP as text: requests that a recorder understands, answers read back.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "load/sip_text.h"

static struct slr_voice_row row = {"PCMA", 8, 8000, 1, "", true, true};

static struct slr_sip_dialog dialog(void)
{
    return (struct slr_sip_dialog){.run_id = 0xabc,
                                   .call = 17,
                                   .leg = 1,
                                   .local_ip = "10.0.0.1",
                                   .local_port = 5070,
                                   .call_name = "load-00000abc-17",
                                   .dn = 1000035,
                                   .recorded_dn = 1000034,
                                   .to_tag = "",
                                   .voice = &row};
}

Test(sip_text, invite_has_what_pairs_the_legs)
{
    char text[SLR_SIP_TEXT_BYTES + 1] = "";
    struct slr_sip_dialog d = dialog();
    size_t n = slr_sip_text_invite(&d, text);
    cr_assert_gt(n, 0);
    text[n] = '\0';
    cr_assert(strstr(text, "INVITE sip:record=load-abc-17@recorder;calluuid=load-00000abc-17;"
                           "dn=1000035;recordDN=1000034 SIP/2.0\r\n"));
    cr_assert(strstr(text, "m=audio 20002 RTP/AVP 8 13\r\n"));
    const char *body = strstr(text, "\r\n\r\n");
    cr_assert(body);
    cr_assert_eq(strlen(body + 4), strtoul(strstr(text, "Content-Length: ") + 16, NULL, 10));
}

Test(sip_text, secure_invite)
{
    char text[SLR_SIP_TEXT_BYTES + 1] = "";
    struct slr_sip_dialog d = dialog();
    d.crypto = "1 AES_CM_128_HMAC_SHA1_80 inline:AAAA";
    text[slr_sip_text_invite(&d, text)] = '\0';
    cr_assert(strstr(text, "RTP/SAVP 8 13\r\n"));
    cr_assert(strstr(text, "\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAA\r\n"));
}

Test(sip_text, answer_is_read)
{
    static const char text[] = "SIP/2.0 200 OK\r\n"
                               "Via: SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bKx\r\n"
                               "To: <sip:record=load-abc-17@recorder>;tag=q1-2;x=y\r\n"
                               "CALL-ID: load-abc-17-1@slr\r\n"
                               "CSeq: 1 INVITE\r\n"
                               "Content-Type: application/sdp\r\n\r\n"
                               "v=0\r\nc=IN IP4 10.9.8.7\r\nm=audio 40002 RTP/AVP 8\r\n"
                               "a=rtcp:40009\r\n";
    struct slr_sip_reply r;
    cr_assert_eq(slr_sip_text_read(slr_slice_str(text), 0xabc, &r), SLR_OK);
    cr_assert_eq(r.status, 200);
    cr_assert_eq(r.call, 17);
    cr_assert_eq(r.leg, 1);
    cr_assert_eq(r.cseq, 1);
    cr_assert_str_eq(r.method, "INVITE");
    cr_assert_str_eq(r.to_tag, "q1-2");
    cr_assert_str_eq(r.ip, "10.9.8.7");
    cr_assert_eq(r.port, 40002);
    cr_assert_eq(r.rtcp_port, 40009);
}

Test(sip_text, others_answers_are_not_ours)
{
    static const char *const bad[] = {
        "",
        "SIP/2.0 200",
        "OPTIONS sip:a SIP/2.0\r\n\r\n",
        "SIP/2.0 99 No\r\n\r\n",
        "SIP/2.0 200 OK\r\nCSeq: 1 BYE\r\n\r\n",
        "SIP/2.0 200 OK\r\nCall-ID: load-abd-17-1@slr\r\nCSeq: 1 BYE\r\n\r\n",
        "SIP/2.0 200 OK\r\nCall-ID: load-abc-17-9@slr\r\nCSeq: 1 BYE\r\n\r\n",
        "SIP/2.0 200 OK\r\nCall-ID: load-abc-99999999999-1@slr\r\nCSeq: 1 BYE\r\n\r\n"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct slr_sip_reply r;
        cr_assert_neq(slr_sip_text_read(slr_slice_str(bad[i]), 0xabc, &r), SLR_OK, "%zu", i);
    }
}

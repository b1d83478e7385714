/*
 * A message's body, which may hold media keys, is read where it will be wiped and not where the
 * stack received it. That nothing is left in the process: tests/soak/test_secrets.py.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/sip_int.h"
#include "ctl/sofia.h"

#define KEY "inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj"
#define BODY "v=0\r\nm=audio 4000 RTP/SAVP 8\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 " KEY "\r\n"

Test(sip_body, a_body_is_not_where_it_was_received)
{
    char text[1024];
    int len =
        snprintf(text, sizeof text,
                 "INVITE sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKa\r\n"
                 "From: <sip:a@b>;tag=1\r\nTo: <sip:x@b>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n"
                 "Content-Type: application/sdp\r\nContent-Length: %zu\r\n\r\n" BODY,
                 strlen(BODY));
    msg_mclass_t *mclass = slr_sip_make_mclass();
    msg_t *msg = msg_make(mclass, MSG_DO_EXTRACT_COPY, text, len);
    cr_assert_not_null(msg);
    const sip_t *sip = sip_object(msg);
    cr_assert(sip && sip->sip_request && sip->sip_payload && !sip->sip_error);
    cr_assert_eq(sip->sip_payload->pl_len, strlen(BODY));
    cr_assert_str_eq(sip->sip_payload->pl_data, BODY);
    const char *received = sip->sip_request->rq_common->h_data;
    cr_assert_eq(strncmp(received, "INVITE sip:x", 12), 0);
    cr_assert_null(memmem(received, (size_t)len, KEY, strlen(KEY)));
    msg_destroy(msg);
    free(mclass);
}

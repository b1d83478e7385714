/*
 * Pseudo-SIP: what is said for which event, as SIP that a strict reader accepts, and what must
 * never be in it; blanking of secrets in captured SIP, at every cut.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "engine/pseudo_sip.h"
#include "engine/sip_blank.h"

#define SID "0123456789abcdef0123456789abcdef"
#define S1 1000000000LL

struct said {
    size_t sip, json;
    char last[16][4096]; /* SIP, in order */
    char text[16][4096]; /* JSON, in order */
    struct slr_hep head[16];
    char corr[16][128];
};

static void keep(void *ctx, const struct slr_hep *p)
{
    struct said *s = ctx;
    cr_assert_lt(p->payload.len_bytes, 4096);
    if (p->type == SLR_HEP_SIP) {
        cr_assert_lt(s->sip, 16);
        cr_assert(slr_slice_to_str(p->payload, s->last[s->sip], 4096));
        cr_assert(slr_slice_to_str(p->correlation_id, s->corr[s->sip], 128));
        s->head[s->sip++] = *p;
    } else {
        cr_assert_eq(p->type, SLR_HEP_LOG);
        cr_assert_lt(s->json, 16);
        cr_assert(slr_slice_to_str(p->payload, s->text[s->json++], 4096));
    }
    cr_expect_eq(p->event, SLR_HEP_EVENT_RECORDING);
    cr_expect(slr_slice_eq(p->node, "node1"));
    uint8_t buf[8192];
    struct slr_put put = slr_put_of(buf, sizeof buf);
    cr_expect_eq(slr_hep_encode(p, &put), SLR_OK);
}

static void tell(struct slr_pseudo_sip *book, const char *text)
{
    json_t *event = json_loads(text, 0, NULL);
    cr_assert_not_null(event, "%s", text);
    slr_pseudo_sip_event(book, event);
    json_decref(event);
}

static const char open_event[] =
    "{\"n\":1,\"ev\":\"session_open\",\"wall_ns\":1000000000,\"session\":\"" SID
    "\",\"call\":\"CALL7\",\"start_wall_ns\":1000000000,\"meta\":{\"GEN_TEV_CollectedDigits\":"
    "\"4711\","
    "\"queue\":\"q\"}}";
static const char leg0[] = "{\"ev\":\"leg_open\",\"wall_ns\":1100000000,\"session\":\"" SID
                           "\",\"leg\":\"a\",\"channel\":0,\"dn\":\"1001\",\"ip\":\"192.0.2.1\","
                           "\"port\":40000}";
static const char heard0[] = "{\"ev\":\"leg_heard\",\"wall_ns\":1200000000,\"session\":\"" SID
                             "\",\"leg\":\"a\",\"ssrc\":1,\"src\":\"192.0.2.9:7000\",\"pt\":8}";
static const char leg1[] =
    "{\"ev\":\"leg_open\",\"wall_ns\":1300000000,\"session\":\"" SID
    "\",\"leg\":\"b\",\"channel\":1,\"dn\":\"+49 30<x>\",\"ip\":\"192.0.2.1\","
    "\"port\":40002}";
static const char sealed[] = "{\"ev\":\"sealed\",\"wall_ns\":9000000000,\"session\":\"" SID
                             "\",\"call\":\"CALL7\",\"start_wall_ns\":1000000000,"
                             "\"end_wall_ns\":8000000000,\"end_reason\":\"bye\",\"legs\":[{\"leg\":"
                             "\"a\",\"dn\":\"1001\",\"channel\":0}]}";

/* The value of a header's first line. */
static const char *header(const char *msg, const char *name)
{
    static char out[512];
    char want[64];
    snprintf(want, sizeof want, "\r\n%s: ", name);
    const char *at = strstr(msg, want);
    cr_assert_not_null(at, "no %s in:\n%s", name, msg);
    at += strlen(want);
    snprintf(out, sizeof out, "%.*s", (int)strcspn(at, "\r"), at);
    return out;
}

static void expect_whole(const char *msg)
{
    const char *body = strstr(msg, "\r\n\r\n");
    cr_assert_not_null(body);
    cr_expect_eq((size_t)atoi(header(msg, "Content-Length")), strlen(body + 4), "%s", msg);
    for (const char *p = msg; *p; p++) {
        cr_expect(*p != '\n' || p[-1] == '\r', "bare LF");
    }
    cr_expect_not_null(strstr(header(msg, "Via"), ";branch=z9hG4bK"));
    cr_expect_not_null(strstr(header(msg, "From"), ";tag="));
}

Test(pseudo_sip, two_legs_become_a_call)
{
    struct said s = {0};
    struct slr_pseudo_sip *book = slr_pseudo_sip_open(10, "node1", keep, &s);
    tell(book, open_event);
    tell(book, leg0);
    tell(book, heard0);
    cr_expect_eq(s.sip, 0, "the INVITE waits for the second leg");
    tell(book, leg1);
    cr_assert_eq(s.sip, 3);
    cr_expect_eq(strncmp(s.last[0], "INVITE sip:", 11), 0);
    cr_expect_eq(strncmp(s.last[1], "SIP/2.0 200 OK\r\n", 16), 0);
    cr_expect_eq(strncmp(s.last[2], "ACK sip:", 8), 0);
    for (size_t i = 0; i < 3; i++) {
        expect_whole(s.last[i]);
        cr_expect_str_eq(header(s.last[i], "Call-ID"), SID "@node1");
        cr_expect_str_eq(s.corr[i], "CALL7");
        cr_expect_eq(s.head[i].time.ns, S1, "a call begins when its session began");
    }
    cr_expect_not_null(strstr(header(s.last[0], "From"), "<sip:1001@192.0.2.9>"));
    cr_expect_not_null(strstr(header(s.last[0], "To"), "<sip:+49%2030%3Cx%3E@192.0.2.1>"));
    cr_expect_null(strstr(header(s.last[0], "To"), "tag="));
    cr_expect_not_null(strstr(header(s.last[1], "To"), ";tag="));
    cr_expect_not_null(strstr(s.last[0], "m=audio 7000 RTP/AVP 8\r\n"));
    cr_expect_not_null(strstr(s.last[1], "m=audio 40000 RTP/AVP 8\r\n"));
    cr_expect_not_null(strstr(s.last[1], "m=audio 40002 RTP/AVP"));
    cr_expect(slr_addr_eq(&s.head[0].src, &s.head[1].dst));
    cr_expect_eq(s.head[0].dst.port, 5060);

    tell(book, sealed);
    cr_assert_eq(s.sip, 5);
    cr_expect_eq(strncmp(s.last[3], "BYE sip:", 8), 0);
    cr_expect_str_eq(header(s.last[3], "CSeq"), "2 BYE");
    cr_expect_str_eq(header(s.last[3], "Reason"), "SIP;text=\"bye\"");
    cr_expect_eq(s.head[3].time.ns, 8 * S1);
    expect_whole(s.last[3]);
    expect_whole(s.last[4]);
    tell(book, sealed);
    cr_expect_eq(s.json, 6);
    slr_pseudo_sip_close(book);
}

Test(pseudo_sip, one_leg_waits_two_seconds)
{
    struct said s = {0};
    struct slr_pseudo_sip *book = slr_pseudo_sip_open(10, "node1", keep, &s);
    tell(book, open_event);
    tell(book, leg0);
    slr_pseudo_sip_tick(book, (slr_wall){2 * S1});
    cr_expect_eq(s.sip, 0);
    slr_pseudo_sip_tick(book, (slr_wall){3 * S1});
    cr_expect_eq(s.sip, 3);
    tell(book, leg1); /* late: the call is renegotiated */
    cr_expect_eq(s.sip, 6);
    cr_expect_str_eq(header(s.last[3], "CSeq"), "2 INVITE");
    cr_expect_not_null(strstr(header(s.last[3], "To"), ";tag="));
    cr_expect(slr_addr_eq(&s.head[0].src, &s.head[3].src), "addresses stay");
    slr_pseudo_sip_close(book);
}

Test(pseudo_sip, end_alone_tells_the_whole_call)
{
    struct said s = {0};
    struct slr_pseudo_sip *book = slr_pseudo_sip_open(10, "node1", keep, &s);
    tell(book, sealed);
    cr_assert_eq(s.sip, 5);
    cr_expect_eq(s.head[0].time.ns, S1);
    cr_expect_eq(s.head[3].time.ns, 8 * S1);
    cr_expect_not_null(strstr(header(s.last[0], "From"), "<sip:1001@"));
    cr_expect_not_null(strstr(header(s.last[0], "To"), "<sip:unknown@"));
    slr_pseudo_sip_close(book);
}

Test(pseudo_sip, snapshot_is_told_once)
{
    struct said s = {0};
    struct slr_pseudo_sip *book = slr_pseudo_sip_open(10, "node1", keep, &s);
    json_t *session =
        json_loads("{\"session\":\"" SID "\",\"call\":\"C\",\"start_wall_ns\":5,\"legs\":[{\"leg\":"
                   "\"a\",\"dn\":\"1\",\"channel\":0,\"ip\":\"2001:db8::1\",\"port\":40000}]}",
                   0, NULL);
    slr_pseudo_sip_session(book, session, (slr_wall){S1});
    slr_pseudo_sip_session(book, session, (slr_wall){S1});
    cr_expect_eq(s.sip, 3);
    cr_expect_not_null(strstr(s.last[0], "INVITE sip:record=" SID "@[2001:db8::1]:5070 SIP/2.0"));
    cr_expect_not_null(strstr(s.last[1], "c=IN IP6 2001:db8::1\r\n"));
    json_decref(session);
    slr_pseudo_sip_close(book);
}

Test(pseudo_sip, no_digits_and_no_captured_sip)
{
    struct said s = {0};
    struct slr_pseudo_sip *book = slr_pseudo_sip_open(10, "node1", keep, &s);
    tell(book, open_event);
    tell(book,
         "{\"ev\":\"sip\",\"wall_ns\":1000000001,\"src\":\"1.1.1.1:1\",\"data\":\"SU5WSVRF\"}");
    tell(book, "{\"ev\":\"session_open\",\"wall_ns\":1,\"session\":\"s2\",\"call\":\"c\",\"meta\":{"
               "\"DIGITS\":\"4711\"}}");
    tell(book, leg0);
    tell(book, leg1);
    tell(book, sealed);
    for (size_t i = 0; i < s.json; i++) {
        cr_expect_null(strstr(s.text[i], "4711"), "%s", s.text[i]);
        cr_expect_null(strstr(s.text[i], "SU5WSVRF"), "%s", s.text[i]);
    }
    for (size_t i = 0; i < s.sip; i++) {
        cr_expect_null(strstr(s.last[i], "4711"));
    }
    cr_expect_not_null(strstr(s.text[0], "\"queue\":\"q\""));
    slr_pseudo_sip_close(book);
}

Test(pseudo_sip, sessions_are_bounded)
{
    struct said s = {0};
    struct slr_pseudo_sip *book = slr_pseudo_sip_open(1, "node1", keep, &s);
    tell(book, "{\"ev\":\"session_open\",\"wall_ns\":1,\"session\":\"other\",\"call\":\"c\"}");
    tell(book, open_event);
    tell(book, leg0);
    tell(book, leg1);
    cr_expect_eq(s.sip, 0);
    cr_expect_eq(s.json, 4, "the events themselves always come");
    slr_pseudo_sip_close(book);
}

Test(pseudo_sip, nothing_ends_a_header_early)
{
    struct said s = {0};
    struct slr_pseudo_sip *book = slr_pseudo_sip_open(10, "node1", keep, &s);
    tell(book, "{\"ev\":\"session_open\",\"wall_ns\":1,\"session\":\"" SID
               "\",\"call\":\"x\\r\\nInjected: 1\"}");
    tell(book, leg0);
    tell(book, leg1);
    tell(book, "{\"ev\":\"failed\",\"wall_ns\":2,\"session\":\"" SID
               "\",\"err\":\"a\\r\\nInjected: 2\\\"\"}");
    cr_assert_eq(s.sip, 5);
    for (size_t i = 0; i < 5; i++) {
        cr_expect_null(strstr(s.last[i], "\nInjected"));
        expect_whole(s.last[i]);
    }
    slr_pseudo_sip_close(book);
}

static const char dirty[] = "INVITE sip:a SIP/2.0\r\n"
                            "Authorization: Digest username=\"u\",\r\n"
                            " response=\"SECRET1\"\r\n"
                            "To: <sip:b>\r\n"
                            " folded\r\n"
                            "PROXY-Authorization :SECRET2\r\n"
                            "X-Authorization: kept\r\n"
                            "\r\n"
                            "v=0\r\n"
                            "k=clear:SECRET3\r\n"
                            "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:SECRET4\n"
                            "a=KEY-mgmt:mikey SECRET5\r"
                            "a=rtpmap:0 PCMU/8000\r\n";
static const char clean[] = "INVITE sip:a SIP/2.0\r\n"
                            "Authorization: xxxxxx xxxxxxxxxxxxx\r\n"
                            " xxxxxxxxxxxxxxxxxx\r\n"
                            "To: <sip:b>\r\n"
                            " folded\r\n"
                            "PROXY-Authorization :xxxxxxx\r\n"
                            "X-Authorization: kept\r\n"
                            "\r\n"
                            "v=0\r\n"
                            "k=xxxxxxxxxxxxx\r\n"
                            "a=crypto:x xxxxxxxxxxxxxxxxxxxxxxx xxxxxxxxxxxxxx\n"
                            "a=KEY-mgmt:xxxxx xxxxxxx\r"
                            "a=rtpmap:0 PCMU/8000\r\n";

Test(sip_blank, secrets_go_whatever_the_cut)
{
    cr_assert_eq(sizeof dirty, sizeof clean);
    size_t len = sizeof dirty - 1;
    for (size_t cut = 0; cut <= len; cut++) {
        uint8_t text[sizeof dirty];
        struct slr_sip_blank b = {.name_len = 0};
        memcpy(text, dirty, sizeof dirty);
        slr_sip_blank(&b, text, cut);
        slr_sip_blank(&b, text + cut, len - cut);
        cr_assert_str_eq((const char *)text, clean, "cut at %zu", cut);
    }
}

Test(sip_blank, flows_keep_their_places)
{
    struct slr_sip_blank_flows *f = calloc(1, sizeof *f);
    struct slr_addr a = {.ip = {10, 0, 0, 1}, .port = 1, .family = 4};
    struct slr_addr b = {.ip = {10, 0, 0, 2}, .port = 5060, .family = 4};
    struct slr_sip_blank *first = slr_sip_blank_flow(f, &a, &b);
    cr_expect_neq(slr_sip_blank_flow(f, &b, &a), first);
    cr_expect_eq(slr_sip_blank_flow(f, &a, &b), first);
    first->secret = true;
    for (uint16_t i = 0; i < 2 * SLR_SIP_BLANK_FLOWS; i++) {
        struct slr_addr c = {.ip = {10, 0, 0, 3}, .port = i, .family = 4};
        (void)slr_sip_blank_flow(f, &c, &b);
    }
    cr_expect_not(slr_sip_blank_flow(f, &a, &b)->secret, "it made way and came back fresh");
    free(f);
}

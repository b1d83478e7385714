/* hep: packets as a known encoder writes them, both ways, and everything malformed. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "common/hep.h"

/* By hand after the specification: SIP from 192.0.2.1:5060 to 192.0.2.2:5061, with a vendor chunk
 * and an unknown type among the rest. */
/* clang-format off */
static const uint8_t sample[] = {
    'H', 'E', 'P', '3', 0, 145,                       /* total */
    0, 0, 0, 1, 0, 7, 2,                              /* IPv4 */
    0, 0, 0, 2, 0, 7, 17,                             /* UDP */
    0, 0, 0, 3, 0, 10, 192, 0, 2, 1,                  /* source */
    0, 0, 0, 4, 0, 10, 192, 0, 2, 2,                  /* destination */
    0, 0, 0, 7, 0, 8, 0x13, 0xc4,                     /* 5060 */
    0, 0, 0, 8, 0, 8, 0x13, 0xc5,                     /* 5061 */
    0, 0, 0, 9, 0, 10, 0x6a, 0xff, 0xff, 0xff,        /* seconds */
    0, 0, 0, 10, 0, 10, 0, 1, 0xe2, 0x40,             /* 123456 us */
    0, 0, 0, 11, 0, 7, 1,                             /* SIP */
    0, 0, 0, 12, 0, 10, 0, 0, 7, 0xd1,                /* agent 2001 */
    0, 8, 0, 1, 0, 7, 10,                             /* vendor chunk: to be skipped */
    0, 0, 0, 0x12, 0, 8, 0, 9,                        /* VLAN: unknown here */
    0, 0, 0, 14, 0, 9, 'k', 'e', 'y',                 /* authentication */
    0, 0, 0, 0x11, 0, 8, 'c', '1',                    /* correlation */
    0, 0, 0, 0x13, 0, 8, 'n', '1',                    /* node */
    0, 0, 0, 15, 0, 12, 'I', 'N', 'V', 'I', 'T', 'E', /* payload */
};
/* clang-format on */

static void check_sample(const struct slr_hep *h)
{
    char text[SLR_ADDR_TEXT_SIZE];

    cr_assert_eq(h->family, 4);
    cr_assert_eq(h->protocol, 17);
    slr_addr_format(&h->src, text);
    cr_assert_str_eq(text, "192.0.2.1:5060");
    slr_addr_format(&h->dst, text);
    cr_assert_str_eq(text, "192.0.2.2:5061");
    cr_assert_eq(h->time.ns, 0x6affffffLL * SLR_NS_PER_S + 123456000);
    cr_assert_eq(h->type, SLR_HEP_SIP);
    cr_assert_eq(h->agent_id, 2001);
    cr_assert(slr_slice_eq(h->auth_key, "key"));
    cr_assert(slr_slice_eq(h->correlation_id, "c1"));
    cr_assert(slr_slice_eq(h->node, "n1"));
    cr_assert(slr_slice_eq(h->payload, "INVITE"));
}

Test(hep, decode_sample)
{
    struct slr_hep h;
    size_t total;

    cr_assert_eq(sizeof sample, 145);
    cr_assert_eq(slr_hep_frame_len(slr_slice_of(sample, sizeof sample), &total), SLR_OK);
    cr_assert_eq(total, sizeof sample);
    cr_assert_eq(slr_hep_decode(slr_slice_of(sample, sizeof sample), &h), SLR_OK);
    check_sample(&h);
    cr_assert_eq(h.event, 0);
}

Test(hep, round_trip)
{
    struct slr_hep h, again;
    uint8_t out[256] = "before";
    struct slr_put p = slr_put_of(out, sizeof out);

    cr_assert_eq(slr_hep_decode(slr_slice_of(sample, sizeof sample), &h), SLR_OK);
    h.event = SLR_HEP_EVENT_RECORDING;
    slr_put_str(&p, "before");
    cr_assert_eq(slr_hep_encode(&h, &p), SLR_OK);
    cr_assert_arr_eq(out, "beforeHEP3", 10, "appends");
    cr_assert_eq(slr_hep_decode(slr_slice_of(out + 6, p.len_bytes - 6), &again), SLR_OK);
    check_sample(&again);
    cr_assert_eq(again.event, SLR_HEP_EVENT_RECORDING);
}

Test(hep, ipv6_and_none)
{
    struct slr_hep h = {.protocol = 6, .type = SLR_HEP_CDR_JSON}, again;
    uint8_t out[256];
    struct slr_put p = slr_put_of(out, sizeof out);

    cr_assert_eq(slr_addr_parse("[2001:db8::1]:1", &h.src), SLR_OK);
    cr_assert_eq(slr_addr_parse("[2001:db8::2]:2", &h.dst), SLR_OK);
    cr_assert_eq(slr_hep_encode(&h, &p), SLR_OK);
    cr_assert_eq(slr_hep_decode(slr_slice_of(out, p.len_bytes), &again), SLR_OK);
    cr_assert_eq(again.family, 6);
    cr_assert(slr_addr_eq(&h.src, &again.src) && slr_addr_eq(&h.dst, &again.dst));

    h = (struct slr_hep){.type = SLR_HEP_LOG, .payload = slr_slice_str("{}")};
    p = slr_put_of(out, sizeof out);
    cr_assert_eq(slr_hep_encode(&h, &p), SLR_OK);
    cr_assert_eq(slr_hep_decode(slr_slice_of(out, p.len_bytes), &again), SLR_OK);
    cr_assert_eq(again.family, 0);
    cr_assert_eq(again.src.family, 0);
    cr_assert(slr_slice_eq(again.payload, "{}"));
}

Test(hep, overhead_constant_holds)
{
    struct slr_hep h = {.protocol = 6, .type = 1, .event = 1};
    uint8_t out[1024];
    struct slr_put p = slr_put_of(out, sizeof out);

    cr_assert_eq(slr_addr_parse("[2001:db8::1]:1", &h.src), SLR_OK);
    h.dst = h.src;
    h.auth_key = h.correlation_id = h.node = h.payload = slr_slice_str("x");
    cr_assert_eq(slr_hep_encode(&h, &p), SLR_OK);
    cr_assert_leq(p.len_bytes, SLR_HEP_OVERHEAD_BYTES + 4);
}

Test(hep, encode_limits)
{
    static uint8_t big[70000], out[70000];
    struct slr_put p = slr_put_of(out, sizeof out);
    struct slr_hep h = {.type = 1, .payload = slr_slice_of(big, sizeof big)};

    cr_assert_eq(slr_hep_encode(&h, &p), SLR_TOOLONG);
    h.payload.len_bytes = 65529;
    cr_assert_eq(slr_hep_encode(&h, &p), SLR_TOOLONG, "fits its chunk but not the packet");
    cr_assert_eq(p.len_bytes, 0);
    h.payload.len_bytes = 65000;
    cr_assert_eq(slr_hep_encode(&h, &p), SLR_OK);

    p = slr_put_of(out, 100);
    slr_put_u8(&p, 1);
    cr_assert_eq(slr_hep_encode(&h, &p), SLR_FULL);
    cr_assert_eq(p.len_bytes, 1);
    cr_assert_not(p.overflow);
}

Test(hep, encode_refuses)
{
    uint8_t out[512];
    struct slr_put p = slr_put_of(out, sizeof out);
    struct slr_hep h = {.src = {.family = 4}, .dst = {.family = 6}};

    cr_assert_eq(slr_hep_encode(&h, &p), SLR_INVAL);
    h = (struct slr_hep){.time = {-1}};
    cr_assert_eq(slr_hep_encode(&h, &p), SLR_INVAL);
    h = (struct slr_hep){.time = {5000000000LL * SLR_NS_PER_S}};
    cr_assert_eq(slr_hep_encode(&h, &p), SLR_INVAL);
    h = (struct slr_hep){.family = 5};
    cr_assert_eq(slr_hep_encode(&h, &p), SLR_INVAL);
    cr_assert_eq(p.len_bytes, 0);
}

Test(hep, frame_len_on_a_stream)
{
    size_t total = 1;

    cr_assert_eq(slr_hep_frame_len(slr_slice_of(sample, 0), &total), SLR_AGAIN);
    cr_assert_eq(total, 0);
    cr_assert_eq(slr_hep_frame_len(slr_slice_of(sample, 3), &total), SLR_AGAIN);
    cr_assert_eq(slr_hep_frame_len(slr_slice_of(sample, 5), &total), SLR_AGAIN);
    cr_assert_eq(slr_hep_frame_len(slr_slice_of(sample, 6), &total), SLR_AGAIN);
    cr_assert_eq(total, sizeof sample);
    cr_assert_eq(slr_hep_frame_len(slr_slice_of("HEQ", 3), &total), SLR_FORMAT);
    cr_assert_eq(slr_hep_frame_len(slr_slice_of("G", 1), &total), SLR_FORMAT);
    cr_assert_eq(slr_hep_frame_len(slr_slice_of("HEP3\0\5", 6), &total), SLR_FORMAT);
    cr_assert_eq(slr_hep_frame_len(slr_slice_of("HEP3\0\6xx", 8), &total), SLR_OK);
    cr_assert_eq(total, 6);
}

Test(hep, every_truncation_is_an_error)
{
    struct slr_hep h;
    for (size_t n = 0; n < sizeof sample; n++) {
        cr_assert_eq(slr_hep_decode(slr_slice_of(sample, n), &h), SLR_TRUNCATED, "%zu", n);
    }
}

/* A packet of one chunk; the total is right unless `extra` says otherwise. */
static enum slr_err decode_chunk(const uint8_t *chunk, size_t len, int extra)
{
    uint8_t packet[64] = "HEP3";
    struct slr_hep h;
    memcpy(packet + 6, chunk, len);
    packet[5] = (uint8_t)((int)len + 6 + extra);
    return slr_hep_decode(slr_slice_of(packet, len + 6), &h);
}

Test(hep, bad_chunks)
{
    const struct {
        uint8_t bytes[24];
        size_t len;
    } bad[] = {
        /* clang-format off */
        {{0, 0, 0, 15, 0, 0}, 6},              /* length 0 */
        {{0, 0, 0, 15, 0, 5}, 6},              /* shorter than its header */
        {{0, 0, 0, 15, 0, 8, 'x'}, 7},         /* longer than the packet */
        {{0, 0, 0, 15, 0xff, 0xff, 'x'}, 7},   /* much longer */
        {{0, 0, 0, 15, 0}, 5},                 /* half a header */
        {{0, 8, 0, 15, 0, 5}, 6},              /* also in a vendor's chunk */
        {{0, 0, 0, 1, 0, 6}, 6},               /* family without value */
        {{0, 0, 0, 1, 0, 7, 3}, 7},            /* no such family */
        {{0, 0, 0, 3, 0, 9, 1, 2, 3}, 9},      /* short IPv4 */
        {{0, 0, 0, 5, 0, 10, 1, 2, 3, 4}, 10}, /* short IPv6 */
        {{0, 0, 0, 7, 0, 7, 1}, 7},            /* short port */
        {{0, 0, 0, 9, 0, 8, 1, 2}, 8},         /* short time */
        {{0, 0, 0, 0x28, 0, 7, 1}, 7},         /* short event type */
        /* clang-format on */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_eq(decode_chunk(bad[i].bytes, bad[i].len, 0), SLR_FORMAT, "%zu", i);
    }
    const uint8_t good[] = {0, 0, 0, 11, 0, 7, 5};
    cr_assert_eq(decode_chunk(good, sizeof good, 0), SLR_OK);
    cr_assert_eq(decode_chunk(good, sizeof good, -1), SLR_FORMAT, "bytes behind the packet");
    cr_assert_eq(decode_chunk(good, sizeof good, 1), SLR_TRUNCATED);
}

Test(hep, an_address_of_the_other_family_is_none)
{
    const uint8_t packet[] = {'H', 'E', 'P', '3', 0, 23, 0,  0, 0, 1, 0, 7,
                              10,  0,   0,   0,   3, 0,  10, 9, 9, 9, 9};
    struct slr_hep h;
    cr_assert_eq(slr_hep_decode(slr_slice_of(packet, sizeof packet), &h), SLR_OK);
    cr_assert_eq(h.family, 6);
    cr_assert_eq(h.src.family, 0);
}

/* IP headers, extension headers, lengths and padding; UDP and TCP headers. */
#include "capture/ip.h"

#include <criterion/criterion.h>

#include "tests/capture/frames.h"

static uint8_t bytes[4096];
static struct slr_ip ip;
static struct slr_ip_transport transport;

static enum slr_verdict parse(const struct slr_put *p, bool cut)
{
    return slr_ip_parse(slr_slice_of(p->at, p->len_bytes), cut, &ip);
}

static struct slr_put udp4(size_t payload_bytes)
{
    struct slr_put p = slr_put_of(bytes, sizeof bytes);
    put_ipv4(&p, 17, 1, 0, 8 + payload_bytes);
    put_udp(&p, 4000, 5000, payload_bytes);
    for (size_t i = 0; i < payload_bytes; i++) {
        slr_put_u8(&p, (uint8_t)i);
    }
    return p;
}

Test(ip, v4_udp_with_padding)
{
    struct slr_put p = udp4(3);
    slr_put_bytes(&p, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 15);
    cr_assert_eq(parse(&p, false), SLR_VERDICT_TAKEN);
    cr_assert_eq(ip.payload.len_bytes, 11);
    cr_assert_eq(ip.protocol, SLR_IP_UDP);
    cr_assert_eq(ip.src.family, 4);
    cr_assert_eq(memcmp(ip.src.ip, "\xc0\x00\x02\x01", 4), 0);
    cr_assert_eq(memcmp(ip.dst.ip, "\xc0\x00\x02\x02", 4), 0);
    cr_assert_not(ip.fragment);
    cr_assert_eq(slr_ip_parse_udp(&ip, &transport), SLR_VERDICT_TAKEN);
    cr_assert_eq(transport.src_port, 4000);
    cr_assert_eq(transport.dst_port, 5000);
    cr_assert_eq(transport.payload.len_bytes, 3);
    cr_assert_eq(transport.length_bytes, 3);
}

Test(ip, v4_options_are_skipped)
{
    struct slr_put p = slr_put_of(bytes, sizeof bytes);
    put_ipv4(&p, 17, 1, 0, 4 + 8);
    bytes[0] = 0x46;
    slr_put_u32(&p, 0x01010101u);
    put_udp(&p, 1, 2, 0);
    cr_assert_eq(parse(&p, false), SLR_VERDICT_TAKEN);
    cr_assert_eq(ip.payload.len_bytes, 8);
}

Test(ip, v4_malformed)
{
    struct slr_put p = udp4(3);
    bytes[0] = 0x44; /* header of 16 bytes */
    cr_assert_eq(parse(&p, false), SLR_VERDICT_IP);
    p = udp4(3);
    bytes[3] = 19; /* total length inside the header */
    cr_assert_eq(parse(&p, false), SLR_VERDICT_IP);
    p = udp4(3);
    bytes[2] = 1; /* longer than the frame, which is whole */
    cr_assert_eq(parse(&p, false), SLR_VERDICT_IP);
    p = udp4(3);
    bytes[0] = 0x75;
    cr_assert_eq(parse(&p, false), SLR_VERDICT_IP);
}

Test(ip, v4_cut_by_snap_length)
{
    struct slr_put p = udp4(100);
    for (size_t n = 0; n < p.len_bytes; n++) {
        struct slr_put part = p;
        part.len_bytes = n;
        enum slr_verdict v = parse(&part, true);
        if (n < 20) {
            cr_assert_eq(v, SLR_VERDICT_TRUNCATED);
            continue;
        }
        cr_assert_eq(v, SLR_VERDICT_TAKEN);
        cr_assert_eq(ip.missing_bytes, p.len_bytes - n);
        v = slr_ip_parse_udp(&ip, &transport);
        cr_assert_eq(v, n < 28 ? SLR_VERDICT_TRUNCATED : SLR_VERDICT_TAKEN);
        cr_assert(n < 28 || transport.length_bytes == 100);
        cr_assert(n < 28 || transport.payload.len_bytes == n - 28);
    }
}

Test(ip, cut_padding_is_no_loss)
{
    struct slr_put p = udp4(3);
    cr_assert_eq(parse(&p, true), SLR_VERDICT_TAKEN);
    cr_assert_eq(ip.missing_bytes, 0);
}

Test(ip, length_zero_means_all)
{
    struct slr_put p = udp4(30);
    bytes[2] = bytes[3] = 0;
    cr_assert_eq(parse(&p, false), SLR_VERDICT_TAKEN);
    cr_assert_eq(ip.payload.len_bytes, 38);
    cr_assert_eq(ip.missing_bytes, 0);
    cr_assert_eq(parse(&p, true), SLR_VERDICT_TAKEN);
    cr_assert_eq(ip.missing_bytes, 1);
}

Test(ip, v4_fragment_fields)
{
    struct slr_put p = slr_put_of(bytes, sizeof bytes);
    put_ipv4(&p, 17, 0xbeef, 0x2000 | 185, 8);
    slr_put_bytes(&p, "abcdefgh", 8);
    cr_assert_eq(parse(&p, false), SLR_VERDICT_TAKEN);
    cr_assert(ip.fragment && ip.more_fragments);
    cr_assert_eq(ip.fragment_id, 0xbeef);
    cr_assert_eq(ip.fragment_offset_bytes, 1480);
    bytes[6] = 0x40; /* don't fragment, offset 0xb9 */
    cr_assert_eq(parse(&p, false), SLR_VERDICT_TAKEN);
    cr_assert(ip.fragment && !ip.more_fragments);
}

Test(ip, v6_extensions)
{
    struct slr_put p = slr_put_of(bytes, sizeof bytes);
    put_ipv6(&p, 0, 8 + 16 + 8 + 12 + 8);
    slr_put_bytes(&p, "\x2b\0\1\4\0\0\0\0", 8);                  /* hop by hop */
    slr_put_bytes(&p, "\x3c\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16); /* routing */
    slr_put_bytes(&p, "\x33\0\1\4\0\0\0\0", 8);                  /* destination */
    slr_put_bytes(&p, "\x11\1\0\0\0\0\0\1\0\0\0\1", 12);         /* authentication */
    put_udp(&p, 7, 8, 0);
    cr_assert_eq(parse(&p, false), SLR_VERDICT_TAKEN);
    cr_assert_eq(ip.protocol, SLR_IP_UDP);
    cr_assert_eq(ip.payload.len_bytes, 8);
    cr_assert_eq(ip.src.family, 6);
    cr_assert_eq(ip.src.ip[15], 1);
    cr_assert_eq(ip.dst.ip[15], 2);
    for (size_t n = 1; n < p.len_bytes - 8; n++) {
        struct slr_put part = p;
        part.len_bytes = n;
        cr_assert_eq(parse(&part, true), SLR_VERDICT_TRUNCATED, "cut at %zu", n);
        cr_assert_eq(parse(&part, false), SLR_VERDICT_IP);
    }
}

Test(ip, v6_extension_beyond_payload)
{
    struct slr_put p = slr_put_of(bytes, sizeof bytes);
    put_ipv6(&p, 0, 8);
    slr_put_bytes(&p, "\x11\x09\1\4\0\0\0\0", 8);
    cr_assert_eq(parse(&p, false), SLR_VERDICT_IP);
}

Test(ip, v6_endless_extensions)
{
    struct slr_put p = slr_put_of(bytes, sizeof bytes);
    put_ipv6(&p, 60, 50 * 8);
    for (int i = 0; i < 50; i++) {
        slr_put_bytes(&p, "\x3c\0\1\4\0\0\0\0", 8);
    }
    cr_assert_eq(parse(&p, false), SLR_VERDICT_IP);
}

Test(ip, v6_fragment_and_atomic_fragment)
{
    struct slr_put p = slr_put_of(bytes, sizeof bytes);
    put_ipv6(&p, 44, 16);
    put_ipv6_fragment(&p, 17, 0x12345678, 1);
    put_udp(&p, 7, 8, 0);
    cr_assert_eq(parse(&p, false), SLR_VERDICT_TAKEN);
    cr_assert(ip.fragment && ip.more_fragments);
    cr_assert_eq(ip.fragment_id, 0x12345678);
    cr_assert_eq(ip.payload.len_bytes, 8);
    bytes[43] = 0; /* offset 0, no more: the whole packet */
    cr_assert_eq(parse(&p, false), SLR_VERDICT_TAKEN);
    cr_assert_not(ip.fragment);
    cr_assert_eq(ip.protocol, SLR_IP_UDP);
}

Test(ip, udp_length_is_honoured)
{
    struct slr_put p = udp4(40);
    bytes[25] = 8 + 10;
    cr_assert_eq(parse(&p, false), SLR_VERDICT_TAKEN);
    cr_assert_eq(slr_ip_parse_udp(&ip, &transport), SLR_VERDICT_TAKEN);
    cr_assert_eq(transport.payload.len_bytes, 10);
    bytes[25] = 8 + 41; /* longer than the packet */
    cr_assert_eq(slr_ip_parse_udp(&ip, &transport), SLR_VERDICT_TRANSPORT);
    bytes[25] = 7;
    cr_assert_eq(slr_ip_parse_udp(&ip, &transport), SLR_VERDICT_TRANSPORT);
    bytes[25] = 0;
    cr_assert_eq(slr_ip_parse_udp(&ip, &transport), SLR_VERDICT_TAKEN);
    cr_assert_eq(transport.payload.len_bytes, 40);
}

Test(ip, udp_whole_though_packet_is_cut)
{
    struct slr_put p = udp4(40);
    bytes[25] = 8 + 10;
    p.len_bytes -= 20;
    cr_assert_eq(parse(&p, true), SLR_VERDICT_TAKEN);
    cr_assert_eq(slr_ip_parse_udp(&ip, &transport), SLR_VERDICT_TAKEN);
    cr_assert_eq(transport.payload.len_bytes, transport.length_bytes);
}

Test(ip, tcp)
{
    struct slr_put p = slr_put_of(bytes, sizeof bytes);
    put_ipv4(&p, 6, 1, 0, 24 + 5);
    put_tcp(&p, 5060, 5070, 0xfffffffeu, TCP_SYN);
    slr_put_u32(&p, 0x01010101u);
    slr_put_str(&p, "hello");
    bytes[20 + 12] = 0x60; /* 24 bytes */
    cr_assert_eq(parse(&p, false), SLR_VERDICT_TAKEN);
    cr_assert_eq(slr_ip_parse_tcp(&ip, &transport), SLR_VERDICT_TAKEN);
    cr_assert_eq(transport.seq, 0xfffffffeu);
    cr_assert(transport.syn);
    cr_assert(slr_slice_eq(transport.payload, "hello"));
    p.len_bytes -= 2;
    cr_assert_eq(parse(&p, true), SLR_VERDICT_TAKEN);
    cr_assert_eq(slr_ip_parse_tcp(&ip, &transport), SLR_VERDICT_TAKEN);
    cr_assert_eq(transport.payload.len_bytes, 3);
    cr_assert_eq(transport.length_bytes, 5);
    bytes[20 + 12] = 0x40;
    cr_assert_eq(slr_ip_parse_tcp(&ip, &transport), SLR_VERDICT_TRANSPORT);
    bytes[20 + 12] = 0xf0;
    cr_assert_eq(slr_ip_parse_tcp(&ip, &transport), SLR_VERDICT_TRUNCATED);
}

/*
 * xdp_frames: UDP in IPv4 or IPv6 on Ethernet, right in every field, to be changed from there.
 * Test code only; allocates nothing.
 */
#ifndef SLR_TESTS_CAPTURE_XDP_FRAMES_H
#define SLR_TESTS_CAPTURE_XDP_FRAMES_H

#include <stdint.h>
#include <string.h>

#include "common/net.h"

struct packet {
    uint8_t at[2000];
    uint32_t len_bytes, ip_at, udp_at, payload_at;
};

static inline void put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static inline uint32_t get16(const uint8_t *at)
{
    return (uint32_t)at[0] << 8 | at[1];
}

/* Of a header of 20 bytes. */
static inline void put_sum(uint8_t *at)
{
    uint32_t sum = 0;
    put16(at + 10, 0);
    for (size_t i = 0; i < 20; i += 2) {
        sum += get16(at + i);
    }
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    put16(at + 10, ~sum & 0xffff);
}

/* The datagram's, its field being 0. */
static inline uint32_t udp_sum(const struct packet *p)
{
    uint32_t bytes = get16(p->at + p->udp_at + 4);
    uint32_t ips = p->udp_at - p->ip_at == 20 ? 8 : 32;
    uint32_t sum = 17 + bytes;
    for (uint32_t i = 0; i < ips; i += 2) {
        sum += get16(p->at + p->udp_at - ips + i);
    }
    for (uint32_t i = 0; i < bytes; i++) {
        sum += i % 2 ? p->at[p->udp_at + i] : (uint32_t)p->at[p->udp_at + i] << 8;
    }
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return ~sum & 0xffff ? ~sum & 0xffff : 0xffff;
}

static inline void put_udp_sum(struct packet *p)
{
    put16(p->at + p->udp_at + 6, 0);
    put16(p->at + p->udp_at + 6, udp_sum(p));
}

/* From 203.0.113.7 or 2001:db8:7::9, port 40000; with a tag unless vlan is 0. Payload: bytes
 * counting from `first`. */
static inline struct packet xf_make(const uint8_t mac[6], const struct slr_addr *to, uint32_t vlan,
                                    uint32_t port, uint32_t payload_bytes, uint8_t first)
{
    struct packet p = {.ip_at = vlan ? 18 : 14};
    memcpy(p.at, mac, 6);
    memcpy(p.at + 6, "\x02\x00\x00\x00\x00\x02", 6);
    put16(p.at + p.ip_at - 2, to->family == 4 ? 0x0800 : 0x86dd);
    if (vlan) {
        put16(p.at + 12, 0x8100);
        put16(p.at + 14, 0xe000 | vlan); /* with priority */
    }
    uint8_t *h = p.at + p.ip_at;
    uint32_t udp_bytes = 8 + payload_bytes;
    if (to->family == 4) {
        h[0] = 0x45;
        put16(h + 2, 20 + udp_bytes);
        put16(h + 6, 0x4000);
        h[8] = 64;
        h[9] = 17;
        memcpy(h + 12, "\xcb\x00\x71\x07", 4);
        memcpy(h + 16, to->ip, 4);
        put_sum(h);
        p.udp_at = p.ip_at + 20;
    } else {
        h[0] = 0x60;
        put16(h + 4, udp_bytes);
        h[6] = 17;
        h[7] = 64;
        memcpy(h + 8, "\x20\x01\x0d\xb8\x00\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x09", 16);
        memcpy(h + 24, to->ip, 16);
        p.udp_at = p.ip_at + 40;
    }
    put16(p.at + p.udp_at, 40000);
    put16(p.at + p.udp_at + 2, port);
    put16(p.at + p.udp_at + 4, udp_bytes);
    p.payload_at = p.udp_at + 8;
    p.len_bytes = p.payload_at + payload_bytes;
    for (uint32_t i = 0; i < payload_bytes; i++) {
        p.at[p.payload_at + i] = (uint8_t)(first + i);
    }
    put_udp_sum(&p);
    return p;
}

#endif

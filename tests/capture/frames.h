/*
 * frames: builds synthetic frames for the capture tests into a bounded buffer.
 * Test code only; one thread; allocates nothing.
 */
#ifndef SLR_TESTS_CAPTURE_FRAMES_H
#define SLR_TESTS_CAPTURE_FRAMES_H

#include <stdint.h>
#include <string.h>

#include "common/slice.h"

enum { ETH_DLT = 1, NULL_DLT = 0, RAW_DLT = 12, LOOP_DLT = 108, SLL_DLT = 113, SLL2_DLT = 276 };

struct frame {
    uint8_t bytes[70000];
    size_t len_bytes;
};

static inline struct slr_slice frame_slice(const struct frame *f)
{
    return slr_slice_of(f->bytes, f->len_bytes);
}

/* Ethernet header with up to two VLAN tags (0: none, outer 802.1ad when both). */
static inline void put_ethernet(struct slr_put *p, uint16_t outer, uint16_t inner, uint16_t type)
{
    slr_put_bytes(p, "\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02", 12);
    if (outer) {
        slr_put_u16(p, 0x88a8);
        slr_put_u16(p, outer);
    }
    if (inner) {
        slr_put_u16(p, 0x8100);
        slr_put_u16(p, (uint16_t)(0xe000 | inner)); /* with priority bits */
    }
    slr_put_u16(p, type);
}

/* From 192.0.2.1 to 192.0.2.2. flags_offset as in the header: 0x2000 is "more". */
static inline void put_ipv4(struct slr_put *p, uint8_t protocol, uint16_t id, uint16_t flags_offset,
                            size_t payload_bytes)
{
    slr_put_u8(p, 0x45);
    slr_put_u8(p, 0);
    slr_put_u16(p, (uint16_t)(20 + payload_bytes));
    slr_put_u16(p, id);
    slr_put_u16(p, flags_offset);
    slr_put_u8(p, 64);
    slr_put_u8(p, protocol);
    slr_put_u16(p, 0);
    slr_put_bytes(p, "\xc0\x00\x02\x01\xc0\x00\x02\x02", 8);
}

/* From 2001:db8::1 to 2001:db8::2. */
static inline void put_ipv6(struct slr_put *p, uint8_t next, size_t payload_bytes)
{
    slr_put_u32(p, 0x60000000u);
    slr_put_u16(p, (uint16_t)payload_bytes);
    slr_put_u8(p, next);
    slr_put_u8(p, 64);
    slr_put_bytes(p, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", 16);
    slr_put_bytes(p, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02", 16);
}

static inline void put_ipv6_fragment(struct slr_put *p, uint8_t next, uint32_t id,
                                     uint16_t offset_more)
{
    slr_put_u8(p, next);
    slr_put_u8(p, 0);
    slr_put_u16(p, offset_more);
    slr_put_u32(p, id);
}

static inline void put_udp(struct slr_put *p, uint16_t src, uint16_t dst, size_t payload_bytes)
{
    slr_put_u16(p, src);
    slr_put_u16(p, dst);
    slr_put_u16(p, (uint16_t)(8 + payload_bytes));
    slr_put_u16(p, 0);
}

enum { TCP_SYN = 0x02, TCP_ACK = 0x10 };

static inline void put_tcp(struct slr_put *p, uint16_t src, uint16_t dst, uint32_t seq,
                           uint8_t flags)
{
    slr_put_u16(p, src);
    slr_put_u16(p, dst);
    slr_put_u32(p, seq);
    slr_put_u32(p, 0);
    slr_put_u16(p, (uint16_t)(0x5000 | flags));
    slr_put_u16(p, 1024);
    slr_put_u32(p, 0);
}

/* Ethernet / IPv4 / UDP with a payload of n bytes counting up from `first`. */
static inline void make_udp(struct frame *f, uint16_t src, uint16_t dst, uint8_t first, size_t n)
{
    struct slr_put p = slr_put_of(f->bytes, sizeof f->bytes);
    put_ethernet(&p, 0, 0, 0x0800);
    put_ipv4(&p, 17, 1, 0, 8 + n);
    put_udp(&p, src, dst, n);
    for (size_t i = 0; i < n; i++) {
        slr_put_u8(&p, (uint8_t)(first + i));
    }
    f->len_bytes = p.len_bytes;
}

static inline void make_tcp(struct frame *f, uint16_t src, uint16_t dst, uint32_t seq,
                            uint8_t flags, const char *text)
{
    struct slr_put p = slr_put_of(f->bytes, sizeof f->bytes);
    put_ethernet(&p, 0, 0, 0x0800);
    put_ipv4(&p, 6, 1, 0, 20 + strlen(text));
    put_tcp(&p, src, dst, seq, flags);
    slr_put_str(&p, text);
    f->len_bytes = p.len_bytes;
}

/* Ethernet / IPv4 fragment: bytes [from, to) of `datagram`, "more" unless it is the last. */
static inline void make_fragment(struct frame *f, uint16_t id, const uint8_t *datagram, size_t from,
                                 size_t to, bool more)
{
    struct slr_put p = slr_put_of(f->bytes, sizeof f->bytes);
    put_ethernet(&p, 0, 0, 0x0800);
    put_ipv4(&p, 17, id, (uint16_t)((more ? 0x2000 : 0) | from / 8), to - from);
    slr_put_bytes(&p, datagram + from, to - from);
    f->len_bytes = p.len_bytes;
}

/* The same over IPv6. */
static inline void make_fragment6(struct frame *f, uint32_t id, const uint8_t *datagram,
                                  size_t from, size_t to, bool more)
{
    struct slr_put p = slr_put_of(f->bytes, sizeof f->bytes);
    put_ethernet(&p, 0, 0, 0x86dd);
    put_ipv6(&p, 44, 8 + to - from);
    put_ipv6_fragment(&p, 17, id, (uint16_t)(from | (more ? 1 : 0)));
    slr_put_bytes(&p, datagram + from, to - from);
    f->len_bytes = p.len_bytes;
}

/* A UDP datagram (header and payload counting up) of total_bytes, to be cut into fragments. */
static inline void make_datagram(uint8_t *at, size_t total_bytes, uint16_t src, uint16_t dst)
{
    struct slr_put p = slr_put_of(at, total_bytes);
    put_udp(&p, src, dst, total_bytes - 8);
    for (size_t i = 8; i < total_bytes; i++) {
        slr_put_u8(&p, (uint8_t)(i * 7));
    }
}

#endif

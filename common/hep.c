/*
 * hep: HEP v3 packets over the bounds-checked slice. No state; any thread; allocates nothing.
 */
#include "common/hep.h"

#define CHUNK_HEADER_BYTES 6
#define US_PER_S 1000000

enum chunk {
    CHUNK_FAMILY = 0x01,
    CHUNK_PROTOCOL = 0x02,
    CHUNK_SRC4 = 0x03,
    CHUNK_DST4 = 0x04,
    CHUNK_SRC6 = 0x05,
    CHUNK_DST6 = 0x06,
    CHUNK_SRC_PORT = 0x07,
    CHUNK_DST_PORT = 0x08,
    CHUNK_SECONDS = 0x09,
    CHUNK_MICROSECONDS = 0x0a,
    CHUNK_TYPE = 0x0b,
    CHUNK_AGENT_ID = 0x0c,
    CHUNK_AUTH_KEY = 0x0e,
    CHUNK_PAYLOAD = 0x0f,
    CHUNK_CORRELATION_ID = 0x11,
    CHUNK_NODE = 0x13,
    CHUNK_EVENT = 0x28
};

/* Values of Linux's AF_INET and AF_INET6, fixed by the protocol. */
#define WIRE_FAMILY_4 2
#define WIRE_FAMILY_6 10

static const uint8_t magic[4] = {'H', 'E', 'P', '3'};

static void put_header(struct slr_put *out, enum chunk type, size_t value_bytes)
{
    slr_put_u16(out, 0);
    slr_put_u16(out, (uint16_t)type);
    slr_put_u16(out, (uint16_t)(CHUNK_HEADER_BYTES + value_bytes));
}

static void put_chunk8(struct slr_put *out, enum chunk type, uint8_t value)
{
    put_header(out, type, 1);
    slr_put_u8(out, value);
}

static void put_chunk16(struct slr_put *out, enum chunk type, uint16_t value)
{
    put_header(out, type, 2);
    slr_put_u16(out, value);
}

static void put_chunk32(struct slr_put *out, enum chunk type, uint32_t value)
{
    put_header(out, type, 4);
    slr_put_u32(out, value);
}

static void put_chunk_bytes(struct slr_put *out, enum chunk type, struct slr_slice value)
{
    if (value.len_bytes > 0) {
        put_header(out, type, value.len_bytes);
        slr_put_bytes(out, value.at, value.len_bytes);
    }
}

static void put_addresses(const struct slr_hep *h, uint8_t family, struct slr_put *out)
{
    bool v4 = family == 4;
    size_t ip_bytes = v4 ? 4 : 16;

    put_chunk8(out, CHUNK_FAMILY, v4 ? WIRE_FAMILY_4 : WIRE_FAMILY_6);
    put_chunk_bytes(out, v4 ? CHUNK_SRC4 : CHUNK_SRC6, slr_slice_of(h->src.ip, ip_bytes));
    put_chunk_bytes(out, v4 ? CHUNK_DST4 : CHUNK_DST6, slr_slice_of(h->dst.ip, ip_bytes));
    put_chunk16(out, CHUNK_SRC_PORT, h->src.port);
    put_chunk16(out, CHUNK_DST_PORT, h->dst.port);
}

/* Room of the four slices, or SIZE_MAX when any is too long for its chunk by itself. */
static size_t slices_bytes(const struct slr_hep *h)
{
    const struct slr_slice *s[] = {&h->auth_key, &h->correlation_id, &h->node, &h->payload};
    size_t sum = 0;
    for (size_t i = 0; i < sizeof s / sizeof s[0]; i++) {
        if (s[i]->len_bytes > SLR_HEP_MAX_BYTES) {
            return SIZE_MAX;
        }
        sum += s[i]->len_bytes > 0 ? CHUNK_HEADER_BYTES + s[i]->len_bytes : 0;
    }
    return sum;
}

enum slr_err slr_hep_encode(const struct slr_hep *h, struct slr_put *out)
{
    uint8_t family = h->family ? h->family : h->src.family;
    int64_t time_us = h->time.ns / 1000;
    struct slr_put p = *out;

    if (h->time.ns < 0 || time_us / US_PER_S > UINT32_MAX ||
        (family != 0 && family != 4 && family != 6) ||
        (h->src.family != family && h->src.family != 0) ||
        (h->dst.family != family && h->dst.family != 0)) {
        return SLR_INVAL;
    }
    if (slices_bytes(h) > SLR_HEP_MAX_BYTES) {
        return SLR_TOOLONG;
    }
    slr_put_bytes(&p, magic, sizeof magic);
    slr_put_u16(&p, 0);
    if (family != 0) {
        put_addresses(h, family, &p);
    }
    if (h->protocol != 0) {
        put_chunk8(&p, CHUNK_PROTOCOL, h->protocol);
    }
    put_chunk32(&p, CHUNK_SECONDS, (uint32_t)(time_us / US_PER_S));
    put_chunk32(&p, CHUNK_MICROSECONDS, (uint32_t)(time_us % US_PER_S));
    put_chunk8(&p, CHUNK_TYPE, h->type);
    put_chunk32(&p, CHUNK_AGENT_ID, h->agent_id);
    put_chunk_bytes(&p, CHUNK_AUTH_KEY, h->auth_key);
    put_chunk_bytes(&p, CHUNK_CORRELATION_ID, h->correlation_id);
    put_chunk_bytes(&p, CHUNK_NODE, h->node);
    if (h->event != 0) {
        put_chunk16(&p, CHUNK_EVENT, h->event);
    }
    put_chunk_bytes(&p, CHUNK_PAYLOAD, h->payload);
    if (p.overflow) {
        return SLR_FULL;
    }
    size_t total = p.len_bytes - out->len_bytes;
    if (total > SLR_HEP_MAX_BYTES) {
        return SLR_TOOLONG;
    }
    p.at[out->len_bytes + 4] = (uint8_t)(total >> 8);
    p.at[out->len_bytes + 5] = (uint8_t)total;
    *out = p;
    return SLR_OK;
}

/* What the chunks say, before family decides which addresses count. */
struct raw {
    struct slr_slice src4, dst4, src6, dst6;
    uint32_t seconds, microseconds;
    uint8_t family;
};

static bool whole_u8(struct slr_slice value, uint8_t *out)
{
    return value.len_bytes == 1 && slr_slice_take_u8(&value, out);
}

static bool whole_u16(struct slr_slice value, uint16_t *out)
{
    return value.len_bytes == 2 && slr_slice_take_u16(&value, out);
}

static bool whole_u32(struct slr_slice value, uint32_t *out)
{
    return value.len_bytes == 4 && slr_slice_take_u32(&value, out);
}

static bool whole_ip(struct slr_slice value, size_t ip_bytes, struct slr_slice *out)
{
    *out = value;
    return value.len_bytes == ip_bytes;
}

static bool take_value(uint16_t type, struct slr_slice value, struct slr_hep *h, struct raw *raw)
{
    switch (type) {
    case CHUNK_FAMILY:
        return whole_u8(value, &raw->family);
    case CHUNK_PROTOCOL:
        return whole_u8(value, &h->protocol);
    case CHUNK_SRC4:
        return whole_ip(value, 4, &raw->src4);
    case CHUNK_DST4:
        return whole_ip(value, 4, &raw->dst4);
    case CHUNK_SRC6:
        return whole_ip(value, 16, &raw->src6);
    case CHUNK_DST6:
        return whole_ip(value, 16, &raw->dst6);
    case CHUNK_SRC_PORT:
        return whole_u16(value, &h->src.port);
    case CHUNK_DST_PORT:
        return whole_u16(value, &h->dst.port);
    case CHUNK_SECONDS:
        return whole_u32(value, &raw->seconds);
    case CHUNK_MICROSECONDS:
        return whole_u32(value, &raw->microseconds);
    case CHUNK_TYPE:
        return whole_u8(value, &h->type);
    case CHUNK_AGENT_ID:
        return whole_u32(value, &h->agent_id);
    case CHUNK_AUTH_KEY:
        h->auth_key = value;
        return true;
    case CHUNK_PAYLOAD:
        h->payload = value;
        return true;
    case CHUNK_CORRELATION_ID:
        h->correlation_id = value;
        return true;
    case CHUNK_NODE:
        h->node = value;
        return true;
    case CHUNK_EVENT:
        return whole_u16(value, &h->event);
    default:
        return true; /* a type of a later revision, or one of no use here */
    }
}

static bool take_chunk(struct slr_slice *s, struct slr_hep *h, struct raw *raw)
{
    uint16_t vendor, type, len;
    struct slr_slice value;

    if (!slr_slice_take_u16(s, &vendor) || !slr_slice_take_u16(s, &type) ||
        !slr_slice_take_u16(s, &len) || len < CHUNK_HEADER_BYTES ||
        !slr_slice_take(s, (size_t)len - CHUNK_HEADER_BYTES, &value)) {
        return false;
    }
    return vendor != 0 || take_value(type, value, h, raw);
}

static void set_ip(struct slr_addr *a, uint8_t family, struct slr_slice v4, struct slr_slice v6)
{
    struct slr_slice ip = family == 4 ? v4 : v6;
    if (ip.len_bytes > 0) {
        memcpy(a->ip, ip.at, ip.len_bytes);
        a->family = family;
    }
}

enum slr_err slr_hep_frame_len(struct slr_slice stream, size_t *total)
{
    size_t seen = stream.len_bytes < sizeof magic ? stream.len_bytes : sizeof magic;
    uint16_t len;

    *total = 0;
    if (seen > 0 && memcmp(stream.at, magic, seen) != 0) {
        return SLR_FORMAT;
    }
    size_t have = stream.len_bytes;
    if (!slr_slice_skip(&stream, sizeof magic) || !slr_slice_take_u16(&stream, &len)) {
        return SLR_AGAIN;
    }
    if (len < SLR_HEP_HEADER_BYTES) {
        return SLR_FORMAT;
    }
    *total = len;
    return have < len ? SLR_AGAIN : SLR_OK;
}

enum slr_err slr_hep_decode(struct slr_slice packet, struct slr_hep *out)
{
    struct slr_hep h = {0};
    struct raw raw = {0};
    size_t total;

    enum slr_err err = slr_hep_frame_len(packet, &total);
    if (err != SLR_OK) {
        return err == SLR_AGAIN ? SLR_TRUNCATED : err;
    }
    if (total != packet.len_bytes || !slr_slice_skip(&packet, SLR_HEP_HEADER_BYTES)) {
        return SLR_FORMAT;
    }
    while (packet.len_bytes > 0) {
        if (!take_chunk(&packet, &h, &raw)) {
            return SLR_FORMAT;
        }
    }
    if (raw.family != 0 && raw.family != WIRE_FAMILY_4 && raw.family != WIRE_FAMILY_6) {
        return SLR_FORMAT;
    }
    if (raw.family != 0) {
        h.family = raw.family == WIRE_FAMILY_4 ? 4 : 6;
        set_ip(&h.src, h.family, raw.src4, raw.src6);
        set_ip(&h.dst, h.family, raw.dst4, raw.dst6);
    }
    h.time.ns = (int64_t)raw.seconds * SLR_NS_PER_S + (int64_t)raw.microseconds * 1000;
    *out = h;
    return SLR_OK;
}

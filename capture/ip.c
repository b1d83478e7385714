/*
 * ip: IPv4, IPv6, UDP and TCP headers of captured packets.
 * No state, any thread, allocates nothing. Bytes are read through slices only.
 */
#include "capture/ip.h"

enum {
    NEXT_HOP_BY_HOP = 0,
    NEXT_ROUTING = 43,
    NEXT_FRAGMENT = 44,
    NEXT_AUTH = 51,
    NEXT_DEST_OPTIONS = 60,
    NEXT_MOBILITY = 135,
    NEXT_HIP = 139,
    NEXT_SHIM6 = 140
};

/* RFC 8200 lists six; a longer chain is an attack, not a packet. */
#define EXTENSIONS_MAX 12

static enum slr_verdict ip_short(bool cut)
{
    return cut ? SLR_VERDICT_TRUNCATED : SLR_VERDICT_IP;
}

static enum slr_verdict transport_short(bool cut)
{
    return cut ? SLR_VERDICT_TRUNCATED : SLR_VERDICT_TRANSPORT;
}

static struct slr_addr addr_of(struct slr_slice bytes, uint8_t family)
{
    struct slr_addr a = {.family = family};
    size_t n = bytes.len_bytes < sizeof a.ip ? bytes.len_bytes : sizeof a.ip;
    memcpy(a.ip, bytes.at, n);
    return a;
}

/* Cuts what follows the IP packet (Ethernet padding), or notes what the snap length took. */
static enum slr_verdict trim(struct slr_slice rest, size_t length_bytes, bool cut,
                             struct slr_ip *out)
{
    if (rest.len_bytes < length_bytes) {
        if (!cut) {
            return SLR_VERDICT_IP;
        }
        out->missing_bytes = (uint32_t)(length_bytes - rest.len_bytes);
        out->payload = rest;
        return SLR_VERDICT_TAKEN;
    }
    out->payload = slr_slice_of(rest.at, length_bytes);
    return SLR_VERDICT_TAKEN;
}

/* Length of a packet that does not say (segmentation offload): what is there; when that was cut,
 * at least one byte more. */
static size_t offloaded_bytes(struct slr_slice rest, bool cut)
{
    return rest.len_bytes + (cut ? 1 : 0);
}

struct ipv4_head {
    uint8_t version_ihl, tos, ttl;
    uint16_t total_bytes, id, flags_offset, checksum;
    struct slr_slice src, dst;
};

static enum slr_verdict parse_v4(struct slr_slice s, bool cut, struct slr_ip *out)
{
    struct ipv4_head h;
    if (!slr_slice_take_u8(&s, &h.version_ihl) || !slr_slice_take_u8(&s, &h.tos) ||
        !slr_slice_take_u16(&s, &h.total_bytes) || !slr_slice_take_u16(&s, &h.id) ||
        !slr_slice_take_u16(&s, &h.flags_offset) || !slr_slice_take_u8(&s, &h.ttl) ||
        !slr_slice_take_u8(&s, &out->protocol) || !slr_slice_take_u16(&s, &h.checksum) ||
        !slr_slice_take(&s, 4, &h.src) || !slr_slice_take(&s, 4, &h.dst)) {
        return ip_short(cut);
    }
    size_t header_bytes = (size_t)(h.version_ihl & 0x0f) * 4;
    if (header_bytes < 20 || (h.total_bytes != 0 && h.total_bytes < header_bytes)) {
        return SLR_VERDICT_IP;
    }
    if (!slr_slice_skip(&s, header_bytes - 20)) {
        return ip_short(cut);
    }
    out->src = addr_of(h.src, 4);
    out->dst = addr_of(h.dst, 4);
    out->fragment_id = h.id;
    out->fragment_offset_bytes = (uint32_t)(h.flags_offset & 0x1fff) * 8;
    out->more_fragments = (h.flags_offset & 0x2000) != 0;
    out->fragment = out->more_fragments || out->fragment_offset_bytes != 0;
    size_t length_bytes =
        h.total_bytes == 0 ? offloaded_bytes(s, cut) : h.total_bytes - header_bytes;
    return trim(s, length_bytes, cut, out);
}

/* RFC 8200 4.5. A fragment header of a packet that has but one part is no fragmentation
 * (RFC 6946). */
static enum slr_verdict take_fragment_header(struct slr_ip *ip)
{
    uint8_t next, reserved;
    uint16_t offset;
    uint32_t id;
    if (!slr_slice_take_u8(&ip->payload, &next) || !slr_slice_take_u8(&ip->payload, &reserved) ||
        !slr_slice_take_u16(&ip->payload, &offset) || !slr_slice_take_u32(&ip->payload, &id)) {
        return ip_short(ip->missing_bytes > 0);
    }
    ip->protocol = next;
    ip->fragment_id = id;
    ip->fragment_offset_bytes = offset & 0xfff8u;
    ip->more_fragments = (offset & 1) != 0;
    ip->fragment = ip->more_fragments || ip->fragment_offset_bytes != 0;
    return SLR_VERDICT_TAKEN;
}

enum slr_verdict slr_ip_skip_extensions(struct slr_ip *ip)
{
    for (int i = 0; i < EXTENSIONS_MAX; i++) {
        uint8_t next, length;
        size_t unit_bytes = 8; /* beyond the first 8 bytes */
        switch (ip->protocol) {
        case NEXT_FRAGMENT: {
            enum slr_verdict v = take_fragment_header(ip);
            if (v != SLR_VERDICT_TAKEN || ip->fragment) {
                return v;
            }
            continue;
        }
        case NEXT_AUTH: /* RFC 4302 2.2: 32-bit words, minus 2 */
            unit_bytes = 4;
            break;
        case NEXT_HOP_BY_HOP:
        case NEXT_ROUTING:
        case NEXT_DEST_OPTIONS:
        case NEXT_MOBILITY:
        case NEXT_HIP:
        case NEXT_SHIM6:
            break;
        default:
            return SLR_VERDICT_TAKEN;
        }
        if (!slr_slice_take_u8(&ip->payload, &next) || !slr_slice_take_u8(&ip->payload, &length) ||
            !slr_slice_skip(&ip->payload, 6 + (size_t)length * unit_bytes)) {
            return ip_short(ip->missing_bytes > 0);
        }
        ip->protocol = next;
    }
    return SLR_VERDICT_IP;
}

static enum slr_verdict parse_v6(struct slr_slice s, bool cut, struct slr_ip *out)
{
    uint32_t version_flow;
    uint16_t payload_bytes;
    uint8_t hop_limit;
    struct slr_slice src, dst;
    if (!slr_slice_take_u32(&s, &version_flow) || !slr_slice_take_u16(&s, &payload_bytes) ||
        !slr_slice_take_u8(&s, &out->protocol) || !slr_slice_take_u8(&s, &hop_limit) ||
        !slr_slice_take(&s, 16, &src) || !slr_slice_take(&s, 16, &dst)) {
        return ip_short(cut);
    }
    out->src = addr_of(src, 6);
    out->dst = addr_of(dst, 6);
    size_t length_bytes = payload_bytes == 0 ? offloaded_bytes(s, cut) : payload_bytes;
    enum slr_verdict v = trim(s, length_bytes, cut, out);
    return v == SLR_VERDICT_TAKEN ? slr_ip_skip_extensions(out) : v;
}

enum slr_verdict slr_ip_parse(struct slr_slice packet, bool cut, struct slr_ip *out)
{
    *out = (struct slr_ip){.protocol = 0};
    if (packet.len_bytes == 0) {
        return ip_short(cut);
    }
    enum slr_verdict v = SLR_VERDICT_IP;
    if (packet.at[0] >> 4 == 4) {
        v = parse_v4(packet, cut, out);
    } else if (packet.at[0] >> 4 == 6) {
        v = parse_v6(packet, cut, out);
    }
    if (v == SLR_VERDICT_TAKEN && out->payload.len_bytes > SLR_IP_PAYLOAD_MAX_BYTES) {
        return SLR_VERDICT_IP;
    }
    return v;
}

enum slr_verdict slr_ip_parse_udp(const struct slr_ip *ip, struct slr_ip_transport *out)
{
    struct slr_slice s = ip->payload;
    uint16_t length_bytes, checksum;
    *out = (struct slr_ip_transport){.src_port = 0};
    if (!slr_slice_take_u16(&s, &out->src_port) || !slr_slice_take_u16(&s, &out->dst_port) ||
        !slr_slice_take_u16(&s, &length_bytes) || !slr_slice_take_u16(&s, &checksum)) {
        return transport_short(ip->missing_bytes > 0);
    }
    out->payload = s;
    out->length_bytes = (uint32_t)s.len_bytes + ip->missing_bytes;
    if (length_bytes == 0) {
        return SLR_VERDICT_TAKEN;
    }
    if (length_bytes < 8) {
        return SLR_VERDICT_TRANSPORT;
    }
    out->length_bytes = length_bytes - 8u;
    if (out->length_bytes > s.len_bytes) {
        return ip->missing_bytes > 0 ? SLR_VERDICT_TAKEN : SLR_VERDICT_TRANSPORT;
    }
    out->payload = slr_slice_of(s.at, out->length_bytes);
    return SLR_VERDICT_TAKEN;
}

enum slr_verdict slr_ip_parse_tcp(const struct slr_ip *ip, struct slr_ip_transport *out)
{
    struct slr_slice s = ip->payload;
    uint32_t ack;
    uint16_t offset_flags;
    *out = (struct slr_ip_transport){.src_port = 0};
    if (!slr_slice_take_u16(&s, &out->src_port) || !slr_slice_take_u16(&s, &out->dst_port) ||
        !slr_slice_take_u32(&s, &out->seq) || !slr_slice_take_u32(&s, &ack) ||
        !slr_slice_take_u16(&s, &offset_flags) || !slr_slice_skip(&s, 6)) {
        return transport_short(ip->missing_bytes > 0);
    }
    size_t header_bytes = (size_t)(offset_flags >> 12) * 4;
    if (header_bytes < 20) {
        return SLR_VERDICT_TRANSPORT;
    }
    if (!slr_slice_skip(&s, header_bytes - 20)) {
        return transport_short(ip->missing_bytes > 0);
    }
    out->syn = (offset_flags & 0x02) != 0;
    out->payload = s;
    out->length_bytes = (uint32_t)s.len_bytes + ip->missing_bytes;
    return SLR_VERDICT_TAKEN;
}

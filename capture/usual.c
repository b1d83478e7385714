/*
 * usual: see the header. Pure function, any thread, allocates nothing.
 */
#include "capture/usual.h"

#include <endian.h>

/* Where things are in such a frame. */
enum {
    AT_TYPE = 12,
    AT_IP = 14,
    AT_LENGTH = AT_IP + 2,
    AT_FRAGMENT = AT_IP + 6,
    AT_PROTOCOL = AT_IP + 9,
    AT_SRC = AT_IP + 12,
    AT_DST = AT_IP + 16,
    AT_UDP = AT_IP + 20,
    AT_UDP_LENGTH = AT_UDP + 4,
    HEAD_BYTES = AT_UDP + 8
};

enum { VERSION_4_OF_5_WORDS = 0x45, UDP = 17, MORE_OR_OFFSET = 0x3fff };

/* Ports that carry VXLAN. */
enum { VXLAN_PORT = 4789, VXLAN_PORT_OLD = 8472 };

static inline unsigned u16_at(struct slr_slice head, size_t at)
{
    return (unsigned)head.at[at] << 8 | head.at[at + 1];
}

/* Stored as the halves that it is looked up by: what is stored in parts would have to be waited
 * for. */
static inline void put_addr(struct slr_addr *a, struct slr_slice head, size_t ip, unsigned port)
{
    uint64_t half;
    uint32_t v;
    memcpy(&v, head.at + ip, sizeof v);
    half = htobe64((uint64_t)be32toh(v) << 32);
    memcpy(a->ip, &half, sizeof half);
    half = 0;
    memcpy(a->ip + sizeof half, &half, sizeof half);
    a->port = (uint16_t)port;
    a->family = 4;
    a->pad = 0;
}

bool slr_usual_read(struct slr_slice bytes, struct slr_packet *out)
{
    struct slr_slice rest = bytes, head;
    if (!slr_slice_take(&rest, HEAD_BYTES, &head)) {
        return false;
    }
    unsigned length = u16_at(head, AT_LENGTH), udp_length = u16_at(head, AT_UDP_LENGTH);
    unsigned port = u16_at(head, AT_UDP + 2);
    if (u16_at(head, AT_TYPE) != 0x0800 || head.at[AT_IP] != VERSION_4_OF_5_WORDS ||
        head.at[AT_PROTOCOL] != UDP || (u16_at(head, AT_FRAGMENT) & MORE_OR_OFFSET) != 0 ||
        udp_length < 8 || length != udp_length + 20 || udp_length - 8 > rest.len_bytes ||
        port == VXLAN_PORT || port == VXLAN_PORT_OLD) {
        return false;
    }
    /* member by member: to clear the whole takes longer than all else here */
    out->at = rest.at;
    out->len_bytes = udp_length - 8;
    out->tag = SLR_CAPTURE_NO_TAG;
    out->tcp = out->truncated = out->gap = out->drops_anywhere = false;
    out->vlan = 0;
    out->kernel_drops = 0;
    put_addr(&out->src, head, AT_SRC, u16_at(head, AT_UDP));
    put_addr(&out->dst, head, AT_DST, port);
    out->arrival = (slr_mono){0};
    out->wall = (slr_wall){0};
    return true;
}

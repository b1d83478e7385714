/*
 * link: link-layer headers of the capture file formats, down to the IP packet.
 * No state, any thread, allocates nothing. Bytes are read through slices only.
 */
#include "capture/link.h"

/* Values of pcap-linktype(7) as libpcap hands them out; named here so that the parser does not
 * depend on libpcap. DLT_RAW differs between systems, hence three numbers. */
enum {
    DLT_NULL_ = 0,
    DLT_ETHERNET_ = 1,
    DLT_RAW_BSD_ = 12,
    DLT_RAW_OPENBSD_ = 14,
    DLT_RAW_ = 101,
    DLT_LOOP_ = 108,
    DLT_SLL_ = 113,
    DLT_IPV4_ = 228,
    DLT_IPV6_ = 229,
    DLT_SLL2_ = 276
};

enum {
    ETHERTYPE_MIN = 0x0600, /* below: an IEEE 802.3 length */
    ETHERTYPE_IPV4 = 0x0800,
    ETHERTYPE_IPV6 = 0x86dd,
    ETHERTYPE_8021Q = 0x8100,
    ETHERTYPE_8021AD = 0x88a8,
    ETHERTYPE_QINQ_OLD = 0x9100
};

/* Tags beyond this are nobody's network any more. */
#define VLAN_TAGS_MAX 8

static enum slr_verdict too_short(bool cut)
{
    return cut ? SLR_VERDICT_TRUNCATED : SLR_VERDICT_LINK;
}

bool slr_link_supported(int dlt)
{
    switch (dlt) {
    case DLT_NULL_:
    case DLT_ETHERNET_:
    case DLT_RAW_BSD_:
    case DLT_RAW_OPENBSD_:
    case DLT_RAW_:
    case DLT_LOOP_:
    case DLT_SLL_:
    case DLT_IPV4_:
    case DLT_IPV6_:
    case DLT_SLL2_:
        return true;
    default:
        return false;
    }
}

/* LLC and SNAP of an 802.3 frame (AA AA 03, organisation 0): the EtherType follows. */
static bool take_snap(struct slr_slice *s, uint16_t *type)
{
    uint32_t llc;
    uint16_t org_low;
    return slr_slice_take_u32(s, &llc) && llc == 0xaaaa0300u && slr_slice_take_u16(s, &org_low) &&
           org_low == 0 && slr_slice_take_u16(s, type);
}

/* From an EtherType on: through the VLAN tags to IP. */
static enum slr_verdict parse_ethertype(uint16_t type, struct slr_slice rest, bool cut,
                                        struct slr_link *out)
{
    for (int tags = 0; tags <= VLAN_TAGS_MAX; tags++) {
        uint16_t tci;
        if (type == ETHERTYPE_IPV4 || type == ETHERTYPE_IPV6) {
            out->ip = rest;
            return SLR_VERDICT_TAKEN;
        }
        if (type < ETHERTYPE_MIN) {
            if (!take_snap(&rest, &type)) {
                return SLR_VERDICT_LINK;
            }
            continue;
        }
        if (type != ETHERTYPE_8021Q && type != ETHERTYPE_8021AD && type != ETHERTYPE_QINQ_OLD) {
            return SLR_VERDICT_LINK;
        }
        if (!slr_slice_take_u16(&rest, &tci) || !slr_slice_take_u16(&rest, &type)) {
            return too_short(cut);
        }
        out->vlan = tci & 0x0fff;
    }
    return SLR_VERDICT_LINK;
}

static enum slr_verdict parse_ethernet(struct slr_slice s, bool cut, struct slr_link *out)
{
    uint16_t type;
    if (!slr_slice_skip(&s, 12) || !slr_slice_take_u16(&s, &type)) {
        return too_short(cut);
    }
    return parse_ethertype(type, s, cut, out);
}

/* LINKTYPE_LINUX_SLL: packet type, ARPHRD, address length (2 each), address (8), protocol (2). */
static enum slr_verdict parse_sll(struct slr_slice s, bool cut, struct slr_link *out)
{
    uint16_t type;
    if (!slr_slice_skip(&s, 14) || !slr_slice_take_u16(&s, &type)) {
        return too_short(cut);
    }
    return parse_ethertype(type, s, cut, out);
}

/* LINKTYPE_LINUX_SLL2: protocol (2), reserved (2), interface (4), ARPHRD (2), packet type (1),
 * address length (1), address (8). */
static enum slr_verdict parse_sll2(struct slr_slice s, bool cut, struct slr_link *out)
{
    uint16_t type;
    if (!slr_slice_take_u16(&s, &type) || !slr_slice_skip(&s, 18)) {
        return too_short(cut);
    }
    return parse_ethertype(type, s, cut, out);
}

/* The address family comes in the byte order of the machine that captured: small either way. The
 * number of AF_INET6 differs from system to system. */
static enum slr_verdict parse_null(struct slr_slice s, bool cut, struct slr_link *out)
{
    uint32_t family;
    if (!slr_slice_take_u32(&s, &family)) {
        return too_short(cut);
    }
    if (family > 0xffff) {
        family = __builtin_bswap32(family);
    }
    switch (family) {
    case 2:  /* AF_INET everywhere */
    case 10: /* AF_INET6: Linux */
    case 24: /* NetBSD, OpenBSD */
    case 28: /* FreeBSD */
    case 30: /* macOS */
        out->ip = s;
        return SLR_VERDICT_TAKEN;
    default:
        return SLR_VERDICT_LINK;
    }
}

enum slr_verdict slr_link_parse(int dlt, struct slr_slice frame, bool cut, struct slr_link *out)
{
    *out = (struct slr_link){.vlan = 0};
    switch (dlt) {
    case DLT_ETHERNET_:
        return parse_ethernet(frame, cut, out);
    case DLT_SLL_:
        return parse_sll(frame, cut, out);
    case DLT_SLL2_:
        return parse_sll2(frame, cut, out);
    case DLT_NULL_:
    case DLT_LOOP_:
        return parse_null(frame, cut, out);
    case DLT_RAW_BSD_:
    case DLT_RAW_OPENBSD_:
    case DLT_RAW_:
    case DLT_IPV4_:
    case DLT_IPV6_:
        out->ip = frame;
        return SLR_VERDICT_TAKEN;
    default:
        return SLR_VERDICT_LINK;
    }
}

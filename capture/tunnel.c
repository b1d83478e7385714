/*
 * tunnel: headers of GRE, ERSPAN and VXLAN.
 * No state, any thread, allocates nothing. Bytes are read through slices only.
 */
#include "capture/tunnel.h"

enum { DLT_ETHERNET_ = 1, DLT_RAW_ = 101 };

enum { GRE_CHECKSUM = 0x8000, GRE_KEY = 0x2000, GRE_SEQUENCE = 0x1000, GRE_KNOWN = 0xb000 };

enum {
    GRE_IPV4 = 0x0800,
    GRE_IPV6 = 0x86dd,
    GRE_ETHERNET = 0x6558,
    GRE_ERSPAN = 0x88be, /* type I without sequence number, type II with one */
    GRE_ERSPAN_III = 0x22eb
};

enum { ERSPAN_II_BYTES = 8, ERSPAN_III_OPTION_BYTES = 8 };
enum { ERSPAN_III_OPTION = 1 }; /* flag O: the platform's own header follows */

enum { VXLAN_PORT = 4789, VXLAN_PORT_OLD = 8472, VXLAN_HAS_VNI = 0x08000000 };

/* Over the optional fields of four bytes each. */
static bool skip_fields(struct slr_slice *s, uint16_t flags)
{
    size_t fields = ((flags & GRE_CHECKSUM) ? 1u : 0u) + ((flags & GRE_KEY) ? 1u : 0u) +
                    ((flags & GRE_SEQUENCE) ? 1u : 0u);
    return slr_slice_skip(s, fields * 4);
}

static bool skip_erspan_iii(struct slr_slice *s)
{
    uint32_t head, stamp, last;
    if (!slr_slice_take_u32(s, &head) || !slr_slice_take_u32(s, &stamp) ||
        !slr_slice_take_u32(s, &last)) {
        return false;
    }
    return (last & ERSPAN_III_OPTION) == 0 || slr_slice_skip(s, ERSPAN_III_OPTION_BYTES);
}

enum slr_verdict slr_tunnel_gre(struct slr_slice payload, bool cut, struct slr_tunnel *out)
{
    const enum slr_verdict too_short = cut ? SLR_VERDICT_TRUNCATED : SLR_VERDICT_TRANSPORT;
    struct slr_slice s = payload;
    uint16_t flags, type;
    bool whole = true;
    if (!slr_slice_take_u16(&s, &flags) || !slr_slice_take_u16(&s, &type)) {
        return too_short;
    }
    if ((flags & ~(unsigned)GRE_KNOWN) != 0) { /* source routing, another version */
        return SLR_VERDICT_TRANSPORT;
    }
    if (!skip_fields(&s, flags)) {
        return too_short;
    }
    out->dlt = DLT_ETHERNET_;
    switch (type) {
    case GRE_IPV4:
    case GRE_IPV6:
        out->dlt = DLT_RAW_;
        break;
    case GRE_ETHERNET:
        break;
    case GRE_ERSPAN:
        whole = (flags & GRE_SEQUENCE) == 0 || slr_slice_skip(&s, ERSPAN_II_BYTES);
        break;
    case GRE_ERSPAN_III:
        whole = skip_erspan_iii(&s);
        break;
    default:
        return SLR_VERDICT_TRANSPORT;
    }
    out->inner = s;
    return whole ? SLR_VERDICT_TAKEN : too_short;
}

bool slr_tunnel_vxlan(const struct slr_ip_transport *udp, struct slr_tunnel *out)
{
    struct slr_slice s = udp->payload;
    uint32_t flags, vni;
    if ((udp->dst_port != VXLAN_PORT && udp->dst_port != VXLAN_PORT_OLD) ||
        !slr_slice_take_u32(&s, &flags) || !slr_slice_take_u32(&s, &vni) ||
        flags != VXLAN_HAS_VNI || (vni & 0xff) != 0) {
        return false;
    }
    *out = (struct slr_tunnel){.inner = s, .dlt = DLT_ETHERNET_};
    return true;
}

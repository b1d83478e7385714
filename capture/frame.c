/*
 * frame: dissects captured frames into packets and counts every one of them once.
 * State: struct slr_frame, owned by one capture thread. Allocates at open only.
 */
#include "capture/frame.h"

#include <stdlib.h>

#include "capture/ip.h"
#include "capture/ipfrag.h"
#include "capture/link.h"
#include "capture/tcpseg.h"
#include "capture/tunnel.h"
#include "capture/usual.h"

#define FRAGMENT_DATAGRAMS_MAX 256
#define FRAGMENT_TIMEOUT_NS (30 * SLR_NS_PER_S)
#define LINK_ETHERNET 1 /* as in pcap-linktype(7) */
/* Mirrors of mirrors; more is nobody's network. */
#define TUNNELS_MAX 4u
#define TCP_FLOWS_MAX 1024
#define TCP_HELD_MAX 256
#define TCP_HELD_PER_FLOW_MAX 64
/* A sender repeats a lost segment within a second or two; then the capture missed it for good. */
#define TCP_HOLE_TIMEOUT_NS (3 * SLR_NS_PER_S)

struct slr_frame {
    int dlt;
    bool timed; /* now_ns is set */
    bool long_way;
    int64_t now_ns;
    uint32_t tcp_lo, tcp_hi;
    struct slr_ipfrag *ipfrag;
    struct slr_tcpseg *tcpseg;
    struct slr_capture_stats stats; /* without what ipfrag and tcpseg dropped later */
};

enum slr_err slr_frame_open(int dlt, struct slr_frame **out)
{
    *out = NULL;
    if (!slr_link_supported(dlt)) {
        return SLR_UNSUPPORTED;
    }
    const struct slr_ipfrag_config frag = {.datagrams_max = FRAGMENT_DATAGRAMS_MAX,
                                           .timeout_ns = FRAGMENT_TIMEOUT_NS};
    const struct slr_tcpseg_config tcp = {.flows_max = TCP_FLOWS_MAX,
                                          .held_max = TCP_HELD_MAX,
                                          .held_per_flow_max = TCP_HELD_PER_FLOW_MAX,
                                          .hole_timeout_ns = TCP_HOLE_TIMEOUT_NS};
    struct slr_frame *f = calloc(1, sizeof *f);
    if (!f) {
        return SLR_NOMEM;
    }
    f->dlt = dlt;
    f->tcp_hi = UINT16_MAX;
    enum slr_err err = slr_ipfrag_open(&frag, &f->ipfrag);
    if (err == SLR_OK) {
        err = slr_tcpseg_open(&tcp, &f->tcpseg);
    }
    if (err != SLR_OK) {
        slr_frame_close(f);
        return err;
    }
    *out = f;
    return SLR_OK;
}

void slr_frame_close(struct slr_frame *f)
{
    if (f) {
        slr_tcpseg_close(f->tcpseg);
        slr_ipfrag_close(f->ipfrag);
        free(f);
    }
}

/* `frames` of one fate into its counter. HELD ones are counted when they leave. */
static void count(struct slr_capture_stats *s, enum slr_verdict v, uint32_t frames)
{
    switch (v) {
    case SLR_VERDICT_TAKEN:
        s->packets++;
        s->fragments_joined += frames - 1;
        break;
    case SLR_VERDICT_HELD:
        s->fragments_joined += frames - 1;
        break;
    case SLR_VERDICT_LINK:
        s->drop_link += frames;
        break;
    case SLR_VERDICT_IP:
        s->drop_ip += frames;
        break;
    case SLR_VERDICT_FRAGMENT:
        s->drop_fragment += frames;
        break;
    case SLR_VERDICT_TRANSPORT:
        s->drop_transport += frames;
        break;
    case SLR_VERDICT_TRUNCATED:
        s->drop_truncated += frames;
        break;
    }
}

static struct slr_packet packet_of(const struct slr_frame *f, struct slr_slice payload,
                                   slr_wall wall)
{
    return (struct slr_packet){.at = payload.at,
                               .len_bytes = (uint32_t)payload.len_bytes,
                               .tag = SLR_CAPTURE_NO_TAG,
                               .arrival = {f->now_ns},
                               .wall = wall};
}

static struct slr_packet tcp_packet(const struct slr_frame *f, const struct slr_tcpseg_segment *seg)
{
    struct slr_packet p = packet_of(f, seg->tcp.payload, seg->wall);
    p.tcp = true;
    p.gap = seg->gap;
    p.vlan = seg->vlan;
    p.src = seg->src;
    p.dst = seg->dst;
    return p;
}

static enum slr_verdict put_udp(const struct slr_frame *f, const struct slr_ip *ip, uint16_t vlan,
                                slr_wall wall, struct slr_packet *out)
{
    struct slr_ip_transport udp;
    enum slr_verdict v = slr_ip_parse_udp(ip, &udp);
    if (v != SLR_VERDICT_TAKEN) {
        return v;
    }
    *out = packet_of(f, udp.payload, wall);
    out->truncated = udp.payload.len_bytes < udp.length_bytes;
    out->vlan = vlan;
    out->src = ip->src;
    out->src.port = udp.src_port;
    out->dst = ip->dst;
    out->dst.port = udp.dst_port;
    return out->truncated ? SLR_VERDICT_TRUNCATED : SLR_VERDICT_TAKEN;
}

static bool is_asked_for(const struct slr_frame *f, uint16_t port)
{
    return port >= f->tcp_lo && port <= f->tcp_hi;
}

static enum slr_verdict put_tcp(struct slr_frame *f, const struct slr_ip *ip, uint16_t vlan,
                                slr_wall wall, struct slr_packet *out)
{
    struct slr_tcpseg_segment seg = {.src = ip->src, .dst = ip->dst, .vlan = vlan, .wall = wall};
    enum slr_verdict v = slr_ip_parse_tcp(ip, &seg.tcp);
    if (v != SLR_VERDICT_TAKEN) {
        return v;
    }
    if (!is_asked_for(f, seg.tcp.src_port) && !is_asked_for(f, seg.tcp.dst_port)) {
        return SLR_VERDICT_TRANSPORT;
    }
    seg.src.port = seg.tcp.src_port;
    seg.dst.port = seg.tcp.dst_port;
    v = slr_tcpseg_put(f->tcpseg, &seg, (slr_mono){f->now_ns});
    if (v == SLR_VERDICT_TAKEN) {
        *out = tcp_packet(f, &seg);
    }
    return v;
}

/* What is looked at: a frame, then what was found in it. */
struct layer {
    int dlt;
    struct slr_slice bytes;
    bool cut;
    uint16_t vlan;
    bool joined; /* bytes lie where fragments were joined */
};

/* From a link layer to a whole IP packet. */
static enum slr_verdict find_ip(struct slr_frame *f, struct layer *l, struct slr_ip *ip,
                                uint32_t *frames)
{
    struct slr_link link;
    struct slr_ip part;
    enum slr_verdict v = slr_link_parse(l->dlt, l->bytes, l->cut, &link);
    if (v != SLR_VERDICT_TAKEN) {
        return v;
    }
    l->vlan = link.vlan ? link.vlan : l->vlan;
    v = slr_ip_parse(link.ip, l->cut, &part);
    if (v != SLR_VERDICT_TAKEN) {
        return v;
    }
    *ip = part;
    if (!part.fragment) {
        return SLR_VERDICT_TAKEN;
    }
    if (part.missing_bytes > 0) {
        return SLR_VERDICT_TRUNCATED;
    }
    if (l->joined) {
        return SLR_VERDICT_FRAGMENT; /* of a tunnel that was itself in fragments */
    }
    l->joined = true;
    return slr_ipfrag_put(f->ipfrag, &part, l->vlan, (slr_mono){f->now_ns}, ip, frames);
}

/* True: *l is what the packet carries; *v: whether it can be read. */
static bool open_tunnel(const struct slr_ip *ip, struct layer *l, enum slr_verdict *v)
{
    struct slr_tunnel tunnel;
    struct slr_ip_transport udp;
    bool cut = ip->missing_bytes > 0;
    if (ip->protocol == SLR_IP_GRE) {
        *v = slr_tunnel_gre(ip->payload, cut, &tunnel);
    } else if (ip->protocol == SLR_IP_UDP && slr_ip_parse_udp(ip, &udp) == SLR_VERDICT_TAKEN &&
               slr_tunnel_vxlan(&udp, &tunnel)) {
        *v = SLR_VERDICT_TAKEN;
        cut |= udp.payload.len_bytes < udp.length_bytes;
    } else {
        return false;
    }
    if (*v == SLR_VERDICT_TAKEN) {
        l->dlt = tunnel.dlt;
        l->bytes = tunnel.inner;
        l->cut = cut;
    }
    return true;
}

static enum slr_verdict dissect(struct slr_frame *f, struct layer l, slr_wall wall,
                                struct slr_packet *out, uint32_t *frames)
{
    struct slr_ip ip;
    enum slr_verdict v = find_ip(f, &l, &ip, frames);
    for (uint32_t i = 0; v == SLR_VERDICT_TAKEN && open_tunnel(&ip, &l, &v); i++) {
        if (i == TUNNELS_MAX) {
            return SLR_VERDICT_TRANSPORT;
        }
        v = v == SLR_VERDICT_TAKEN ? find_ip(f, &l, &ip, frames) : v;
    }
    if (v != SLR_VERDICT_TAKEN) {
        return v;
    }
    switch (ip.protocol) {
    case SLR_IP_UDP:
        return put_udp(f, &ip, l.vlan, wall, out);
    case SLR_IP_TCP:
        return put_tcp(f, &ip, l.vlan, wall, out);
    default:
        return SLR_VERDICT_TRANSPORT;
    }
}

void slr_frame_tcp_ports(struct slr_frame *f, uint32_t lo, uint32_t hi)
{
    f->tcp_lo = lo;
    f->tcp_hi = hi;
}

void slr_frame_long_way(struct slr_frame *f)
{
    f->long_way = true;
}

bool slr_frame_put(struct slr_frame *f, struct slr_slice bytes, bool cut, slr_wall wall,
                   struct slr_packet *out)
{
    return slr_frame_put_tagged(f, bytes, cut, 0, wall, out);
}

bool slr_frame_put_tagged(struct slr_frame *f, struct slr_slice bytes, bool cut, uint16_t vlan,
                          slr_wall wall, struct slr_packet *out)
{
    uint32_t frames = 1;
    f->stats.frames++;
    if (!f->timed || wall.ns >= f->now_ns) {
        f->timed = true;
        f->now_ns = wall.ns;
    } else {
        f->stats.time_clamped++;
    }
    const slr_mono now = {f->now_ns};
    slr_ipfrag_expire(f->ipfrag, now);
    slr_tcpseg_expire(f->tcpseg, now);
    if (f->dlt == LINK_ETHERNET && !cut && !f->long_way && slr_usual_read(bytes, out)) {
        out->vlan = vlan;
        out->arrival = now;
        out->wall = wall;
        f->stats.packets++;
        return true;
    }
    *out = (struct slr_packet){.at = NULL};
    const struct layer outermost = {.dlt = f->dlt, .bytes = bytes, .cut = cut, .vlan = vlan};
    enum slr_verdict v = dissect(f, outermost, wall, out, &frames);
    count(&f->stats, v, frames);
    return v == SLR_VERDICT_TAKEN || (v == SLR_VERDICT_TRUNCATED && out->truncated);
}

bool slr_frame_take(struct slr_frame *f, struct slr_packet *out)
{
    struct slr_tcpseg_segment seg;
    if (!slr_tcpseg_take(f->tcpseg, &seg)) {
        return false;
    }
    *out = tcp_packet(f, &seg);
    f->stats.packets++;
    return true;
}

void slr_frame_flush(struct slr_frame *f)
{
    slr_ipfrag_flush(f->ipfrag);
    slr_tcpseg_flush(f->tcpseg);
}

uint64_t slr_frame_pending(const struct slr_frame *f)
{
    return slr_ipfrag_held(f->ipfrag) + slr_tcpseg_held(f->tcpseg);
}

void slr_frame_stats(const struct slr_frame *f, struct slr_capture_stats *out)
{
    *out = f->stats;
    out->drop_fragment += slr_ipfrag_dropped(f->ipfrag);
    out->drop_transport += slr_tcpseg_dropped(f->tcpseg);
}

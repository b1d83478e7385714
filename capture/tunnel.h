/*
 * tunnel: what lies inside a packet that carries another one: GRE with IP or Ethernet, ERSPAN
 * type I, II and III, VXLAN. Mirrored frames come so.
 *
 * Pure functions, any thread, allocate nothing; results borrow the bytes of the packet.
 * RFC 2784, RFC 2890, RFC 7348, draft-foschiano-erspan-03.
 */
#ifndef SLR_CAPTURE_TUNNEL_H
#define SLR_CAPTURE_TUNNEL_H

#include <stdbool.h>

#include "capture/ip.h"
#include "capture/verdict.h"
#include "common/slice.h"

enum { SLR_IP_GRE = 47 };

struct slr_tunnel {
    struct slr_slice inner;
    int dlt; /* link type of inner, as in capture/link.h: Ethernet or raw IP */
};

/*
 * payload: of an IP packet of protocol GRE. cut: the snap length shortened it.
 * Returns TAKEN; TRANSPORT (malformed, or carries something else); TRUNCATED (a header is
 * incomplete because of the snap length).
 */
enum slr_verdict slr_tunnel_gre(struct slr_slice payload, bool cut, struct slr_tunnel *out);

/* True when the datagram is one of VXLAN by port and header; false: it is what it is. */
bool slr_tunnel_vxlan(const struct slr_ip_transport *udp, struct slr_tunnel *out);

#endif

/*
 * ip: IPv4 and IPv6 headers with extension headers, then UDP and TCP headers, of captured packets.
 *
 * Checksums are not checked (offloading leaves them open on a captured sender). Pure functions, any
 * thread, allocate nothing; results borrow the bytes of the frame.
 */
#ifndef SLR_CAPTURE_IP_H
#define SLR_CAPTURE_IP_H

#include <stdbool.h>
#include <stdint.h>

#include "capture/verdict.h"
#include "common/net.h"
#include "common/slice.h"

#define SLR_IP_PAYLOAD_MAX_BYTES 65535u

enum { SLR_IP_TCP = 6, SLR_IP_UDP = 17 };

struct slr_ip {
    struct slr_addr src, dst; /* port 0 */
    struct slr_slice payload; /* link padding removed; of a fragment: its part of the datagram */
    uint8_t protocol;         /* of payload; in a later IPv6 fragment as its header says */
    uint32_t missing_bytes;   /* of the payload's end, cut by the snap length */
    bool fragment;            /* payload is one part of a datagram */
    bool more_fragments;      /* not the last part */
    uint32_t fragment_id;     /* IPv4: 16 bits */
    uint32_t fragment_offset_bytes;
};

/*
 * Parses one IPv4 or IPv6 packet (told by its version field). cut: the snap length shortened the
 * frame. A length field of 0 (segmentation offload) means all bytes there are.
 * Returns TAKEN; IP (malformed, longer than the frame); TRUNCATED (a header is incomplete because
 * of the snap length). RFC 791, RFC 8200 section 4.
 */
enum slr_verdict slr_ip_parse(struct slr_slice packet, bool cut, struct slr_ip *out);

/*
 * Walks IPv6 extension headers at the front of ip->payload, beginning with type ip->protocol; ends
 * at a transport header or at a fragment header, which sets the fragment fields. Used by
 * slr_ip_parse, and again on a reassembled datagram. Same results as slr_ip_parse.
 */
enum slr_verdict slr_ip_skip_extensions(struct slr_ip *ip);

struct slr_ip_transport {
    uint16_t src_port, dst_port;
    struct slr_slice payload;
    uint32_t length_bytes; /* payload on the wire: more than payload.len_bytes when cut by snap */
    uint32_t seq;          /* TCP only */
    bool syn;              /* TCP only */
};

/*
 * UDP header (RFC 768); the length field is honoured, 0 means all bytes there are.
 * Returns TAKEN, TRANSPORT (malformed) or TRUNCATED (header incomplete because of the snap length).
 */
enum slr_verdict slr_ip_parse_udp(const struct slr_ip *ip, struct slr_ip_transport *out);

/* TCP header (RFC 9293); results as slr_ip_parse_udp. */
enum slr_verdict slr_ip_parse_tcp(const struct slr_ip *ip, struct slr_ip_transport *out);

#endif

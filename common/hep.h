/*
 * hep: Homer Encapsulation Protocol v3, encode and decode (HEP3 network protocol specification,
 * rev. 36). Pure, any thread, allocates nothing.
 *
 * A packet is "HEP3", a 16-bit total length and chunks (vendor, type, length with its own 6 bytes,
 * value), all big endian.
 */
#ifndef SLR_COMMON_HEP_H
#define SLR_COMMON_HEP_H

#include <stdint.h>

#include "common/clock.h"
#include "common/err.h"
#include "common/net.h"
#include "common/slice.h"

#define SLR_HEP_HEADER_BYTES 6
#define SLR_HEP_MAX_BYTES 65535
/* The most that everything but the four slices takes. */
#define SLR_HEP_OVERHEAD_BYTES 160

enum slr_hep_type {
    SLR_HEP_SIP = 1,
    SLR_HEP_SDP = 3,
    SLR_HEP_RTCP_JSON = 5,
    SLR_HEP_MOS_JSON = 34, /* full report */
    SLR_HEP_CDR_JSON = 60,
    SLR_HEP_LOG = 100
};

#define SLR_HEP_EVENT_RECORDING 1

/* Slices borrow: from the caller on encode, from the packet on decode. Empty: chunk not there. */
struct slr_hep {
    uint8_t family;   /* 4 or 6; 0: no addresses (encode then takes src.family) */
    uint8_t protocol; /* IP protocol: 6 TCP, 17 UDP; 0: not there */
    uint8_t type;     /* enum slr_hep_type or any other payload type */
    uint16_t event;   /* chunk 0x0028: SLR_HEP_EVENT_RECORDING, 0: not there */
    uint32_t agent_id;
    struct slr_addr src, dst;
    slr_wall time;                   /* microseconds on the wire; years 1970 to 2106 */
    struct slr_slice auth_key;       /* chunk 0x000e */
    struct slr_slice correlation_id; /* chunk 0x0011 */
    struct slr_slice node;           /* chunk 0x0013 */
    struct slr_slice payload;        /* chunk 0x000f */
};

/* Appends one packet. SLR_INVAL: src and dst of different families, or a time before 1970 or after
 * 2106; SLR_TOOLONG: more than 65,535 bytes; SLR_FULL: no room in out. After an error out is as it
 * was. */
enum slr_err slr_hep_encode(const struct slr_hep *h, struct slr_put *out) SLR_CHECKED;

/* Reads one whole packet (a datagram, or the bytes that slr_hep_frame_len found). Chunks of other
 * vendors and unknown types are skipped; of a type given twice the last counts; a compressed
 * payload (0x0010) is not read. src and dst have family 0 where their address is missing.
 * SLR_TRUNCATED: fewer bytes than the packet says; SLR_FORMAT: anything else that is wrong. */
enum slr_err slr_hep_decode(struct slr_slice packet, struct slr_hep *out) SLR_CHECKED;

/* Looks for the packet at the front of a TCP stream. SLR_OK: *total bytes are one packet;
 * SLR_AGAIN: more is needed (*total is its length, or 0 while that is unknown); SLR_FORMAT: not HEP
 * v3, the connection can only be closed. */
enum slr_err slr_hep_frame_len(struct slr_slice stream, size_t *total) SLR_CHECKED;

#endif

/*
 * rtp: reads an RTP header (RFC 3550 5.1), and tells RTP, RTCP and SIP apart (RFC 5761 4).
 * Pure, any thread, allocates nothing.
 */
#ifndef SLR_ENGINE_RTP_H
#define SLR_ENGINE_RTP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/slice.h"

struct slr_rtp {
    uint8_t pt;
    bool marker;
    uint16_t seq;
    uint32_t ts;
    uint32_t ssrc;
    struct slr_slice payload; /* without CSRCs, extension and padding; borrowed */
};

/* SLR_FORMAT: not version 2; SLR_TRUNCATED: a length points past the end. */
enum slr_err slr_rtp_parse(struct slr_slice bytes, struct slr_rtp *out) SLR_CHECKED;

enum slr_payload_kind { SLR_IS_OTHER, SLR_IS_RTP, SLR_IS_RTCP, SLR_IS_SIP };
/* By the first bytes only. Empty and keep-alive datagrams (CRLF, zeros) are OTHER. */
enum slr_payload_kind slr_rtp_classify(struct slr_slice bytes);

#endif

/*
 * sip_blank: takes secrets out of captured SIP before it goes anywhere: the values of Authorization
 * and Proxy-Authorization headers (folded lines too) and of SDP a=crypto, a=key-mgmt and k= lines,
 * wherever they stand in the bytes (RFC 3261, 4568, 4567, 8866 5.12).
 *
 * Text keeps its length: each byte of a value becomes 'x', blanks stay. One owner thread; allocates
 * nothing.
 */
#ifndef SLR_ENGINE_SIP_BLANK_H
#define SLR_ENGINE_SIP_BLANK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/net.h"

/* Where in a line a stream of bytes stands. All zero: at the beginning. */
struct slr_sip_blank {
    char name[24];
    uint8_t name_len;
    bool name_over;   /* the line is not, or no longer, a secret's name */
    bool secret;      /* of this line, from here on */
    bool secret_line; /* the line before was secret: it may be folded */
    bool begun;       /* the line has bytes */
    bool after_cr;
};

/* The next bytes of a stream, blanked in place. */
void slr_sip_blank(struct slr_sip_blank *s, uint8_t *at, size_t len_bytes);

#define SLR_SIP_BLANK_FLOWS 256

/* TCP carries messages in pieces: one state for each direction of a connection; the longest unused
 * one makes way for a new one. */
struct slr_sip_blank_flows {
    struct {
        struct slr_addr src, dst;
        struct slr_sip_blank state;
        uint64_t used; /* turn of the last use, 0: free */
    } at[SLR_SIP_BLANK_FLOWS];
    uint64_t turn;
};

struct slr_sip_blank *slr_sip_blank_flow(struct slr_sip_blank_flows *f, const struct slr_addr *src,
                                         const struct slr_addr *dst);

#endif

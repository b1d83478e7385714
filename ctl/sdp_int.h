/*
 * sdp_int: what sdp.c and sdp_attr.c share while one description is read. Private to them.
 */
#ifndef SLR_CTL_SDP_INT_H
#define SLR_CTL_SDP_INT_H

#include "ctl/sdp.h"

/* State of one reading; lives on the reader's stack. */
struct slr_sdp_reading {
    struct slr_sdp *out;
    struct slr_sdp_media *media; /* NULL before the first m= */
    struct slr_addr session_addr;
    bool session_zero;
    enum slr_sdp_dir session_dir;
    uint16_t session_ptime_ms;
    bool session_mux;
    bool seen_v, seen_o, seen_s, seen_t, seen_c;
    bool media_seen_c, media_seen_a;
};

void slr_sdp_repair(struct slr_sdp *s, enum slr_sdp_repair what);
/* One attribute: the text after "a=". */
void slr_sdp_attribute(struct slr_sdp_reading *r, struct slr_slice value);
/* "IN IP4 192.0.2.1[/ttl]"; false when malformed. A host name gives family 0. */
bool slr_sdp_read_connection(struct slr_sdp *s, struct slr_slice value, struct slr_addr *addr,
                             bool *zero);
/* After the last line: static payload types without an rtpmap get their names. */
void slr_sdp_finish_media(struct slr_sdp *s);
/* Next word separated by blanks; false at the end. */
bool slr_sdp_word(struct slr_slice *s, struct slr_slice *word);

#endif

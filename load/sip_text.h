/*
 * sip_text: just enough of SIP as text for recording INVITEs (RFC 3261, RFC 4566): writes requests,
 * reads answers. Pure, any thread, allocates nothing.
 */
#ifndef SLR_LOAD_SIP_TEXT_H
#define SLR_LOAD_SIP_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/slice.h"
#include "load/voice.h"

#define SLR_SIP_TEXT_BYTES 4096u

/* One leg's dialog. */
struct slr_sip_dialog {
    uint32_t run_id, call, leg;
    const char *local_ip;
    uint16_t local_port;
    const char *call_name; /* conversation id */
    uint32_t dn, recorded_dn;
    const char *to_tag; /* "" before the answer */
    const struct slr_voice_row *voice;
    const char *crypto; /* value of a=crypto, or NULL: plain RTP */
};

struct slr_sip_reply {
    uint32_t status; /* 100..699 */
    uint32_t cseq;
    char method[16];
    uint32_t call, leg; /* from the Call-ID that sip_text wrote */
    char to_tag[64];
    char ip[64]; /* of the SDP; "" without one */
    uint16_t port, rtcp_port;
};

/* Each gives the length of the text in out, or 0 when it does not fit. */
size_t slr_sip_text_invite(const struct slr_sip_dialog *d, char out[static SLR_SIP_TEXT_BYTES]);
size_t slr_sip_text_ack(const struct slr_sip_dialog *d, char out[static SLR_SIP_TEXT_BYTES]);
size_t slr_sip_text_bye(const struct slr_sip_dialog *d, char out[static SLR_SIP_TEXT_BYTES]);

/* Reads an answer to one of run_id's requests. SLR_FORMAT: none, or malformed. */
enum slr_err slr_sip_text_read(struct slr_slice text, uint32_t run_id,
                               struct slr_sip_reply *out) SLR_CHECKED;

#endif

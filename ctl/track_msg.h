/*
 * track_msg: what one captured SIP message says, as far as calls and media go. Header parsing by
 * the stack's message parser alone, bodies by our own readers. Any thread (no shared state);
 * allocates the descriptions.
 */
#ifndef SLR_CTL_TRACK_MSG_H
#define SLR_CTL_TRACK_MSG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/slice.h"
#include "ctl/sdp.h"

#define SLR_TRACK_TEXT_SIZE 256
#define SLR_TRACK_MESSAGE_MAX_BYTES 65536

enum slr_track_method {
    SLR_TRACK_OTHER,
    SLR_TRACK_INVITE,
    SLR_TRACK_ACK,
    SLR_TRACK_BYE,
    SLR_TRACK_CANCEL,
    SLR_TRACK_UPDATE
};

struct slr_track_msg {
    uint16_t status;              /* 0: a request */
    enum slr_track_method method; /* of the request, for an answer of its CSeq */
    uint32_t cseq;
    char call_id[SLR_TRACK_TEXT_SIZE];
    char from_tag[SLR_TRACK_TEXT_SIZE], to_tag[SLR_TRACK_TEXT_SIZE]; /* "" none */
    char from_user[64], to_user[64];
    struct slr_sdp *sdp; /* owned; NULL: none or unreadable */
};

/* Parses one whole message. SLR_FORMAT (no SIP, or a mandatory header missing), SLR_TOOLONG,
 * SLR_NOMEM. On SLR_OK slr_track_msg_fini is owed. */
enum slr_err slr_track_msg_read(struct slr_slice raw, struct slr_track_msg *out) SLR_CHECKED;
void slr_track_msg_fini(struct slr_track_msg *m);

#endif

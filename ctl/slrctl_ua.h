/*
 * slrctl_ua: the demo's caller: just enough SIP over UDP to send a recording INVITE and a BYE.
 * One thread. The reader of answers is pure and takes outside bytes.
 */
#ifndef SLR_CTL_SLRCTL_UA_H
#define SLR_CTL_SLRCTL_UA_H

#include <stdbool.h>
#include <stdint.h>

#include "common/net.h"
#include "common/slice.h"

#define SLRCTL_UA_TEXT_SIZE 256

/* What is taken from a response. */
struct slrctl_ua_answer {
    uint32_t status;
    uint32_t cseq;
    char call_id[SLRCTL_UA_TEXT_SIZE];
    char to[SLRCTL_UA_TEXT_SIZE];     /* whole value, with the peer's tag */
    char target[SLRCTL_UA_TEXT_SIZE]; /* URI of Contact, empty when there is none */
    struct slr_addr media;            /* c= and the port of the first m=audio; family 0: none */
};
/* False: no SIP response, or its Call-ID or CSeq is missing. */
bool slrctl_ua_read(struct slr_slice message, struct slrctl_ua_answer *out);

/* One dialog of the demo. */
struct slrctl_ua {
    int fd; /* UDP socket, connected to the recorder */
    struct slr_addr local, recorder;
    char uri[SLRCTL_UA_TEXT_SIZE]; /* request URI of the INVITE */
    char call_id[64], tag[24];
    uint16_t rtp_port; /* our own, for SDP */
    struct slrctl_ua_answer answer;
};

/* Sends the INVITE (again when no answer comes), acknowledges; ua->answer tells where RTP goes.
 * SLR_TIMEOUT, SLR_DENIED (refused: ua->answer.status), SLR_FORMAT (no media address), SLR_IO. */
enum slr_err slrctl_ua_invite(struct slrctl_ua *ua) SLR_CHECKED;
enum slr_err slrctl_ua_bye(struct slrctl_ua *ua) SLR_CHECKED;
/* The INVITE's text, also shown to people. Its length; 0: it does not fit. */
size_t slrctl_ua_print_invite(const struct slrctl_ua *ua, char *out, size_t size_bytes);

#endif

/*
 * siprec: participants and streams out of recording metadata (RFC 7865 and its many dialects),
 * by expat without entities or external references, matching local names only.
 * Pure, any thread; allocates only inside expat, all freed before return.
 */
#ifndef SLR_CTL_SIPREC_H
#define SLR_CTL_SIPREC_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/slice.h"

#define SLR_SIPREC_MAX_BYTES 262144
#define SLR_SIPREC_PARTICIPANTS_MAX 16
#define SLR_SIPREC_STREAMS_MAX 16
#define SLR_SIPREC_ID_SIZE 80
#define SLR_SIPREC_TEXT_SIZE 128

struct slr_siprec_participant {
    char id[SLR_SIPREC_ID_SIZE];
    char aor[SLR_SIPREC_TEXT_SIZE];
    char name[SLR_SIPREC_TEXT_SIZE];
};

struct slr_siprec_stream {
    char id[SLR_SIPREC_ID_SIZE];
    char label[64];
    int8_t sender;  /* index of the participant that sends it, -1: not told */
    bool contested; /* more than one participant claims to send it */
};

struct slr_siprec {
    bool partial;                     /* datamode partial */
    char session[SLR_SIPREC_ID_SIZE]; /* first session's id, "" none */
    uint8_t participant_count;
    struct slr_siprec_participant participant[SLR_SIPREC_PARTICIPANTS_MAX];
    uint8_t stream_count;
    struct slr_siprec_stream stream[SLR_SIPREC_STREAMS_MAX];
    bool cut; /* more was there than is kept */
};

/* SLR_TOOLONG, SLR_FORMAT (not well-formed, a DTD, too deep, or no recording), SLR_NOMEM. */
enum slr_err slr_siprec_read(struct slr_slice xml, struct slr_siprec *out) SLR_CHECKED;

/* The one participant that sends the stream with this label; NULL when that is not clear. */
const struct slr_siprec_participant *slr_siprec_sender(const struct slr_siprec *s,
                                                       const char *label);

/* User part of an address of record ("sip:1001@x", "tel:+49", bare); "" when there is none. */
void slr_siprec_aor_user(const char *aor, char *out, size_t size_bytes);

/* {"session","participants":[{"id","aor","name"}],"streams":[{"label","sender"}]} or NULL. */
json_t *slr_siprec_to_json(const struct slr_siprec *s);

#endif

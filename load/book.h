/*
 * book: every call of a run, from its set-up to its check. Allocated once; a call's index is its
 * number in the run and never used again.
 *
 * A call belongs to one thread at a time: the director (main thread) sets it up and ends it, the
 * sender has it between START and OVER, the checker from ENDED on. It passes through rings, or by a
 * store to `state`.
 */
#ifndef SLR_LOAD_BOOK_H
#define SLR_LOAD_BOOK_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "load/config.h"
#include "load/secure.h"

enum slr_call_state {
    SLR_CALL_IDLE,
    SLR_CALL_ASKED,   /* set-up was begun */
    SLR_CALL_SENDING, /* the sender has it */
    SLR_CALL_ENDING,
    SLR_CALL_ENDED,  /* the recorder knows that it is over: the recording may be checked */
    SLR_CALL_FAILED, /* could not be set up */
    SLR_CALL_CHECKED
};

struct slr_call_leg {
    struct sockaddr_in rtp, rtcp;       /* where they go */
    struct sockaddr_in from, rtcp_from; /* where from, family 0: from the sender's address */
    int64_t start_ns;                   /* monotonic: when frame 0 was due */
    struct slr_secure *secure;          /* NULL: plain RTP; while it sends */
    int64_t late_ns;                    /* the least that the first ones of them were late by us */
    uint32_t frames;                    /* that were due, sent or not */
};

struct slr_call {
    _Atomic uint32_t state; /* enum slr_call_state */
    uint32_t index;
    uint32_t legs_sending; /* the sender's */
    int64_t asked_ns, ready_ns, over_ns;
    int64_t hold_ns; /* how long it sends; INT64_MAX: until all end */
    struct slr_call_leg leg[SLR_LOAD_LEGS];
};

struct slr_book {
    const struct slr_load_config *cfg;
    struct slr_call *call;
    uint32_t size;
    _Atomic uint32_t count; /* calls that were begun; the director's */
};

/* size: calls that the run can have at most. SLR_NOMEM. */
enum slr_err slr_book_open(struct slr_book *b, const struct slr_load_config *cfg,
                           uint32_t size) SLR_CHECKED;
void slr_book_close(struct slr_book *b);

/* The next call; NULL: the book is full. */
struct slr_call *slr_book_next(struct slr_book *b);

/* Where the run is secure: makes the legs' contexts, and forgets them. False: no memory. */
bool slr_book_secure(struct slr_book *b, struct slr_call *call);
void slr_book_plain(struct slr_call *call);
/* Key and salt of a leg as SDP has them. */
void slr_book_key(const struct slr_book *b, uint32_t call, uint32_t leg,
                  char out[static SLR_SRTP_KEY_TEXT_SIZE]);

/* "load-RUN-CALL", the conversation id of a call; out has 40 bytes. */
void slr_book_name(const struct slr_book *b, uint32_t call, char out[static 40]);
/* The other way round. NULL: not of this run. */
struct slr_call *slr_book_find(const struct slr_book *b, const char *name);

/* The number that a leg is recorded under ("dn"), different for each leg of a run. */
uint32_t slr_book_dn(uint32_t call, uint32_t leg);

#endif

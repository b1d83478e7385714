/*
 * pseudo_text: the text of pseudo-SIP messages. Pure, any thread, allocates nothing.
 */
#ifndef SLR_ENGINE_PSEUDO_TEXT_H
#define SLR_ENGINE_PSEUDO_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/net.h"
#include "common/slice.h"
#include "engine/engine.h"

#define SLR_TALK_LEGS 8u

struct slr_talk_leg {
    char id[SLR_LEG_ID_SIZE];
    char dn[SLR_DN_SIZE];
    uint32_t channel;
    struct slr_addr local; /* family 0: unknown */
    struct slr_addr heard; /* family 0: nothing yet */
    int pt;                /* -1: nothing heard */
};

/* A session as a call between two pseudo addresses. */
struct slr_talk {
    struct slr_talk *next;
    char session[SLR_ID_SIZE];
    char call[SLR_CALL_ID_SIZE];
    slr_wall opened;
    struct slr_talk_leg leg[SLR_TALK_LEGS];
    uint32_t leg_count;
    uint32_t cseq;
    bool told; /* the first INVITE was sent; the addresses stay from then on */
    struct slr_addr caller, recorder;
};

enum slr_pseudo_kind {
    SLR_PSEUDO_INVITE,
    SLR_PSEUDO_INVITE_OK,
    SLR_PSEUDO_ACK,
    SLR_PSEUDO_BYE,
    SLR_PSEUDO_BYE_OK
};

/* Sets caller and recorder, once: where media came from and where it went, port 5060; one machine
 * for both: port 5070 for the recorder. */
void slr_pseudo_addresses(struct slr_talk *t);

/* Appends one message: From the DN of channel 0, To that of the next channel, Call-ID
 * session@node. reason: for BYE, may be NULL. */
void slr_pseudo_text(const struct slr_talk *t, enum slr_pseudo_kind kind, const char *node,
                     const char *reason, struct slr_put *out);

#endif

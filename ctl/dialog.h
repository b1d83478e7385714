/*
 * dialog: our record of one SIP dialog: the truth of it, of which the stack's leg is a shadow.
 * Storable as JSON; a dialog is rebuilt from it after a restart. Owned by the signalling thread;
 * allocates its texts.
 */
#ifndef SLR_CTL_DIALOG_H
#define SLR_CTL_DIALOG_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/id.h"
#include "ctl/call.h"
#include "ctl/sdp.h"
#include "ctl/sofia.h"

#define SLR_DIALOG_KEY_SIZE 400
#define SLR_DIALOG_TEXT_MAX 4096 /* longest Call-ID, URI or route text that is taken */

/* One m-line of the dialog. */
struct slr_dialog_line {
    bool taken;
    char leg[SLR_CALL_LEG_ID_SIZE]; /* in the call; "" never opened */
    struct slr_sdp_local local;
};

struct slr_dialog {
    char key[SLR_DIALOG_KEY_SIZE]; /* Call-ID;local-tag */
    char *call_id;
    char *local;  /* To header of the INVITE with our tag */
    char *remote; /* From header of the INVITE */
    char *local_tag, *remote_tag;
    char *target;  /* remote Contact header, "" none */
    char *route;   /* Route header in the order of sending, "" none */
    char *contact; /* our Contact header */
    char *answer;  /* last answer's SDP */
    uint32_t local_seq, remote_seq;
    uint64_t sdp_id, sdp_version;
    uint32_t expires_s;      /* session timer agreed, 0: none */
    int64_t expires_wall_ns; /* when it ends without a refresh */
    bool siprec;
    uint8_t line_count;
    struct slr_dialog_line line[SLR_SDP_MEDIA_MAX];
    char session[SLR_ID_SIZE];

    /* not stored */
    struct slr_sip *sip;
    nta_outgoing_t *bye; /* our BYE, until its final answer */
    struct slr_dialog *next_reap;
    nta_leg_t *leg;
    struct slr_call *call;     /* NULL once it has left the call */
    struct slr_invite *invite; /* transaction being worked on */
    nta_incoming_t *unacked;   /* answered INVITE whose ACK is awaited */
    bool offered;              /* the 200 carried our offer, the ACK owes an answer */
    bool stored;
    bool ended; /* BYE seen or sent */
};

/* NULL: no memory. */
struct slr_dialog *slr_dialog_new(void);
/* Frees the record; the stack's leg must be gone. NULL is allowed. */
void slr_dialog_free(struct slr_dialog *d);

/* Replaces a text. SLR_TOOLONG, SLR_NOMEM (the old one stays). */
enum slr_err slr_dialog_set(char **field, const char *text) SLR_CHECKED;

/* Makes `key` out of Call-ID and local tag. SLR_TOOLONG. */
enum slr_err slr_dialog_make_key(struct slr_dialog *d) SLR_CHECKED;

/* Call-ID and From tag, by which a repeated INVITE is known. SLR_TOOLONG. */
enum slr_err slr_dialog_origin(const char *call_id, const char *from_tag,
                               char out[static SLR_DIALOG_KEY_SIZE]) SLR_CHECKED;

/* New object or NULL. */
json_t *slr_dialog_to_json(const struct slr_dialog *d);
/* NULL when the record lacks what a dialog needs. */
struct slr_dialog *slr_dialog_from_json(const json_t *record);

#endif

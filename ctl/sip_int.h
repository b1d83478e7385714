/*
 * sip_int: what the sip*.c files share. Private to them; signalling thread only.
 */
#ifndef SLR_CTL_SIP_INT_H
#define SLR_CTL_SIP_INT_H

#include "common/net.h"
#include "ctl/calls.h"
#include "ctl/mime.h"
#include "ctl/sip.h"
#include "ctl/siprec.h"

#define SLR_SIP_ALLOW_MAX 64
#define SLR_SIP_VIA_MAX 16
#define SLR_SIP_ROUTE_MAX 16
#define SLR_SIP_BODY_MAX_BYTES 65536
#define SLR_SIP_MIN_SE_S 90
#define SLR_SIP_SERVER "slr-core"
#define SLR_SIP_ALLOW "INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, INFO"
#define SLR_SIP_ACCEPT                                                                             \
    "application/sdp, multipart/mixed, application/rs-metadata+xml, application/rs-metadata"
#define SLR_SIP_SUPPORTED "timer, siprec"

/* Headers of every answer. */
#define SLR_SIP_COMMON SIPTAG_SERVER_STR(SLR_SIP_SERVER), SIPTAG_ALLOW_STR(SLR_SIP_ALLOW)

struct slr_invite;

struct slr_sip {
    struct slr_core *core;
    nta_agent_t *agent;
    nta_leg_t *default_leg;
    msg_mclass_t *mclass;
    su_timer_t *timer;
    struct slr_addr udp, tcp; /* family 0: not listening; with the real ports */
    struct slr_cidr allow[SLR_SIP_ALLOW_MAX];
    size_t allow_count;
    struct slr_invite *invites;  /* being worked on */
    struct slr_dialog *reap;     /* ended dialogs, freed on the timer */
    int64_t next_expiry_scan_ns; /* monotonic */
};

/* What a request's body holds; slices borrow the message. */
struct slr_sip_body {
    struct slr_slice sdp; /* empty: none */
    struct slr_slice metadata;
    int refuse; /* 0, or the status to answer with */
    const char *why;
};

/* One m-line of an INVITE whose leg is being opened. */
struct slr_invite_wait {
    struct slr_invite *invite;
    uint8_t line;
};

/* An INVITE between its arrival and its final answer. Freed when no callback points to it. */
struct slr_invite {
    struct slr_invite *next;
    struct slr_sip *sip;
    struct slr_dialog *dialog; /* NULL once the invite is over */
    nta_incoming_t *irq;       /* NULL once it is answered */
    struct slr_sdp *offer;     /* owned; the peer's, with `delayed` ours; NULL: UPDATE without */
    bool delayed;              /* the answer carries our offer */
    bool update;               /* UPDATE: no ACK follows */
    bool initial;              /* else a re-INVITE or UPDATE */
    bool fresh;                /* it opened the session */
    bool storing;              /* the engine is done */
    bool over;
    enum slr_err failed;
    uint32_t pending; /* callbacks to come */
    int64_t deadline_ns;
    uint32_t expires_s; /* session timer to put into the answer */
    bool timer_required;
    struct slr_invite_wait wait[SLR_SDP_MEDIA_MAX];
};

/* ---- sip_admit.c ---- */
enum slr_err slr_sip_read_allow(struct slr_sip *sip) SLR_CHECKED;
bool slr_sip_is_allowed(const struct slr_sip *sip, const struct slr_addr *source);
/* Answers and returns the status when a request is not to be worked on; else 0. */
int slr_sip_admit(struct slr_sip *sip, nta_incoming_t *irq, const sip_t *msg);
/* As above, for what an INVITE or UPDATE may require and carry. */
int slr_sip_admit_session(struct slr_sip *sip, nta_incoming_t *irq, const sip_t *msg);
/* Answers with a reason in log and counter; returns `status`. */
int slr_sip_refuse(struct slr_sip *sip, nta_incoming_t *irq, enum slr_core_metric which, int status,
                   const char *why);
bool slr_sip_source(nta_incoming_t *irq, struct slr_addr *out);

/* ---- sip_body.c ---- */
void slr_sip_read_body(struct slr_sip *sip, const sip_t *msg, struct slr_sip_body *out);
/* A header's value as text of `home`; NULL: longer than SLR_DIALOG_TEXT_MAX, or no memory. */
char *slr_sip_header_text(su_home_t *home, const void *header);
/* Gives a message that is not sent yet a body, which is wiped when the message ends. SLR_NOMEM. */
enum slr_err slr_sip_put_body(msg_t *msg, const char *text) SLR_CHECKED;
/* The message class of the agent: Vias that share a line are parted before nta works on them. */
msg_mclass_t *slr_sip_make_mclass(void);

/* ---- sip_invite.c ---- */
int slr_sip_invite(struct slr_sip *sip, nta_incoming_t *irq, const sip_t *msg);
/* Parses an SDP, counts its repairs. NULL: answered with *status. */
struct slr_sdp *slr_sip_read_sdp(struct slr_sip *sip, struct slr_slice text, enum slr_err *err);
/* An INVITE object for irq, linked into sip->invites. NULL: no memory. */
struct slr_invite *slr_invite_new(struct slr_sip *sip, struct slr_dialog *d, nta_incoming_t *irq);
/* A slr_link_done of session_open with a struct slr_invite. */
void slr_invite_session_opened(void *ctx, enum slr_err result, const json_t *answer);
/* A slr_link_done of leg_open with a struct slr_invite_wait. */
void slr_invite_leg_opened(void *ctx, enum slr_err result, const json_t *answer);
/* Takes one callback off. False: the invite was over and is freed. */
bool slr_invite_release(struct slr_invite *inv);
/* The same, and goes on to the answer when nothing is awaited any more. */
void slr_invite_step(struct slr_invite *inv);

/* ---- sip_leg.c ---- */
/* Dialog record and leg for a new INVITE, in the table. NULL: no memory, or texts too long. */
struct slr_dialog *slr_sip_make_dialog(struct slr_sip *sip, nta_incoming_t *irq, const sip_t *msg,
                                       bool siprec);
/* Takes over the peer's new Contact (target refresh). */
void slr_sip_refresh_target(struct slr_dialog *d, const sip_t *msg);

/* ---- sip_answer.c ---- */
/* All legs are there: SDP, store, 200. */
void slr_invite_answer(struct slr_invite *inv);
/* 200 with the dialog's Contact, and with its description where `body`: it has our keys. */
void slr_sip_reply_ok(struct slr_sip *sip, nta_incoming_t *irq, const struct slr_dialog *d,
                      uint32_t expires_s, bool timer_required, bool body);
/* Undoes and answers with a failure. */
void slr_invite_fail(struct slr_invite *inv, enum slr_core_metric which, int status,
                     const char *why);
/* The invite is over: lets go of dialog and transaction, freed when nothing points to it. */
void slr_invite_finish(struct slr_invite *inv);
/* An INVITE without a To tag whose dialog came out of the store: the core died before its 200 was
 * seen. Answers with that very 200, or 482 once the dialog has moved on, and sets what the handler
 * returns. False: any other request, not answered. */
bool slr_sip_repeat(struct slr_sip *sip, nta_incoming_t *irq, const sip_t *msg, int *status);
/* Ends the invite without an answer of its own (CANCEL, BYE). */
void slr_invite_abandon(struct slr_invite *inv, int status);
/* Makes the SDP to send in d->answer, with a version that grows only with its content. */
enum slr_err slr_invite_make_sdp(struct slr_invite *inv) SLR_CHECKED;

/* ---- sip_segment.c ---- */
/* The call that a new dialog was to join takes no further channel: it gets a recording of its own
 * in the same conversation. False: no memory. */
bool slr_invite_move(struct slr_invite *inv);

/* ---- sip_dialog.c ---- */
/* nta_request_f of every dialog's leg. */
int slr_sip_on_dialog(void *dialog, nta_leg_t *leg, nta_incoming_t *irq, const sip_t *msg);
/* nta_ack_cancel_f of every INVITE. */
int slr_sip_on_ack(void *dialog, nta_incoming_t *irq, const sip_t *msg);
/* Reads Session-Expires into inv; 0, or the status it answered with (422). */
int slr_sip_read_timer(struct slr_invite *inv, const sip_t *msg);

/* ---- sip_end.c ---- */
/* Dialog's legs leave the call; closes the call when it was the last. */
void slr_sip_leave(struct slr_sip *sip, struct slr_dialog *d, const char *reason);
/* Out of the tables and the store; freed on the next tick. */
void slr_sip_drop_dialog(struct slr_sip *sip, struct slr_dialog *d);
void slr_sip_store_dialog(struct slr_sip *sip, struct slr_dialog *d);
/* At close: every dialog and invite, without a word to the peers. */
void slr_sip_free_all(struct slr_sip *sip);
/* Frees what ended, looks at deadlines and session timers. */
void slr_sip_on_tick(struct slr_sip *sip);

#endif

/*
 * sip: the recorder's SIP side: agent and transports, admission of requests, dialogs.
 * sofia-sip's nta layer does transactions and dialog matching; the dialog's truth is our record.
 * Owned by the signalling thread; never waits.
 *
 * Files: sip.c transports and dispatch, sip_admit.c who may ask and what may be asked, sip_body.c
 * bodies, sip_invite.c a new call, sip_answer.c its answer, sip_dialog.c requests inside dialogs,
 * sip_end.c the ends of dialogs and restoring them.
 */
#ifndef SLR_CTL_SIP_H
#define SLR_CTL_SIP_H

#include "ctl/core_int.h"
#include "ctl/dialog.h"

/* Makes the agent, without any listener yet: dialogs are restored first. SLR_NOMEM. */
enum slr_err slr_sip_open(struct slr_core *core, struct slr_sip **out) SLR_CHECKED;
/* Listens on cfg->sip_udp and cfg->sip_tcp. SLR_INVAL (bad address or network, logged), SLR_BUSY
 * (cannot listen). */
enum slr_err slr_sip_listen(struct slr_sip *sip) SLR_CHECKED;
/* Lets go of every INVITE that is being worked on, unanswered: its peer asks again. First step of
 * closing, while link and store are still there. NULL is allowed. */
void slr_sip_quiesce(struct slr_sip *sip);
/* Dialogs go on in the store; nothing is sent. NULL is allowed. */
void slr_sip_close(struct slr_sip *sip);

/* Ports in use, 0: not listening. */
uint16_t slr_sip_udp_port(const struct slr_sip *sip);
uint16_t slr_sip_tcp_port(const struct slr_sip *sip);

/* Gives a stored dialog its leg. SLR_NOMEM, SLR_FORMAT. */
enum slr_err slr_sip_restore(struct slr_sip *sip, struct slr_dialog *d) SLR_CHECKED;
/* A restored dialog ends: a repetition of its INVITE is then a new one. */
void slr_sip_forget_origin(struct slr_sip *sip, const struct slr_dialog *d);

/* Ends a dialog from our side: BYE, its legs closed, gone from the store. */
void slr_sip_bye(struct slr_sip *sip, struct slr_dialog *d, const char *reason);
/* The same for every dialog of a call; the call itself is the caller's business. */
void slr_sip_bye_call(struct slr_sip *sip, struct slr_call *call, const char *reason);

/* True while a new call would be refused (engine away, draining, full). */
bool slr_sip_is_busy(const struct slr_sip *sip);

#endif

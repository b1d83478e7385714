/*
 * control_priv: what control.c and control_passive.c share.
 */
#ifndef SLR_ENGINE_CONTROL_PRIV_H
#define SLR_ENGINE_CONTROL_PRIV_H

#include <pthread.h>
#include <stdbool.h>

#include "common/clock.h"
#include "common/ring.h"
#include "engine/control.h"
#include "engine/evlog.h"
#include "engine/hep_push.h"
#include "engine/loop.h"
#include "engine/seam_server.h"
#include "engine/sniffer.h"
#include "engine/srv.h"

struct slr_control {
    const struct slr_engine_config *cfg;
    const struct slr_engine_api *api;
    struct slr_engine *engine;
    pthread_t thread;                /* the control thread */
    bool link;                       /* passive: a live link and no file */
    int wait_ms;                     /* a round waits so long, -1: for ever */
    struct slr_clock *virtual_clock; /* capture file: stands at the newest time known */
    struct slr_evlog *log;
    struct slr_loop *loop;
    struct slr_mailbox mailbox; /* events of other threads */
    bool mailbox_ready;
    struct slr_seam_server *seam; /* NULL: no --control */
    struct slr_sniffer *sniffer;  /* NULL: -w 0 */
    struct slr_hep_push *push;    /* NULL: no --hep-send */
    struct slr_srv_counters counters;
    struct slr_watch mailbox_watch, wake_watch, timer_watch, signal_watch;
    struct slr_watch link_watch; /* of a live link's packets */
    int timer_fd, signal_fd;
    struct slr_seam_sip sip; /* passive: the message that the core is looking at */
    bool stop;
};

/* Opens everything but the engine, then the engine. *c is all zero before; after an error close it
 * like an open one. signals: SIGTERM and SIGINT are taken. */
enum slr_err slr_control_open(struct slr_control *c, const struct slr_control_config *cfg,
                              bool passive, bool signals) SLR_CHECKED;
/* seal: as in slr_engine_close. Gives readers a moment for what is left, syncs the log. */
void slr_control_close(struct slr_control *c, bool seal);

/* Takes ownership of an event; its number, 0 when it could not be kept. */
uint64_t slr_control_append(struct slr_control *c, json_t *event);

/* One round of the loop and of sending events; *more goes from one call to the next. */
bool slr_control_round(struct slr_control *c, bool *more);

#endif

/*
 * core_int: the state that the modules of the signalling thread share. Private to core*.c,
 * calls.c, events.c, restore.c, sip*.c and tracker*.c; touched by the signalling thread only
 * (counters may be read by any).
 */
#ifndef SLR_CTL_CORE_INT_H
#define SLR_CTL_CORE_INT_H

#include <jansson.h>

#include "common/clock.h"
#include "common/id.h"
#include "common/ring.h"
#include "ctl/call.h"
#include "ctl/core.h"
#include "ctl/core_metrics.h"
#include "ctl/http.h"
#include "ctl/link.h"
#include "ctl/sdp.h"
#include "ctl/store.h"
#include "ctl/table.h"

#define SLR_CORE_ANSWER_MS 500 /* engine and store together, for one INVITE */
#define SLR_CORE_RETRY_AFTER "5"

struct slr_sip;
struct slr_tracker;
struct slr_others;

struct slr_core {
    const struct slr_core_config *cfg;
    su_root_t *root;
    struct slr_store *store;
    struct slr_link *link;
    struct slr_sip *sip; /* NULL on import */
    struct slr_tracker *tracker;
    struct slr_others *others;       /* NULL: none are followed */
    struct slr_http *http;           /* NULL: none */
    struct slr_clock *capture_clock; /* on import: the capture's time; else NULL */
    struct slr_idgen idgen;
    bool idgen_seeded;

    struct slr_mailbox mailbox; /* struct slr_core_post, from any thread */
    int mailbox_index, signal_index, signal_fd;
    su_timer_t *stats_timer;
    slr_counter counter[SLR_CORE_M_COUNT];

    struct slr_table sessions; /* recording id -> struct slr_call, owned */
    struct slr_table keys;     /* pair key -> newest struct slr_call of it */
    struct slr_table dialogs;  /* dialog key -> struct slr_dialog, owned */

    struct slr_table origins; /* Call-ID;From-tag of restored dialogs -> struct slr_dialog */

    slr_mono started;
    int64_t epoch;
    char engine_id[64];
    int64_t engine_hash;   /* of the id whose cursor is held; 0: none yet */
    int64_t cursor;        /* last event handled */
    int64_t cursor_posted; /* last that went to the store */
    int64_t reconcile_at;  /* event number from which the snapshot may be compared */
    json_t *snapshot;      /* waits for reconcile_at; NULL: none */
    bool passive;          /* the engine reads a capture file, or listens on a link */
    bool live;             /* what it reads happens now; false: a file */
    bool draining;
    bool eof;
    bool stats_pending;
    uint32_t streams_used, streams_max;
    bool refusing;              /* the engine: no further call fits */
    struct slr_sdp_limit limit; /* what the engine's -A says */
    json_t *stats;              /* the engine's last, or NULL */
    uint32_t tracker_pending;   /* commands of the tracker without an answer yet */
    int exit_status;
};

/* Work for the signalling thread. */
struct slr_core_post {
    struct slr_core *core;
    void (*run)(void *ctx, enum slr_err result);
    void *ctx;
    enum slr_err result;
};

static inline void slr_core_count(struct slr_core *core, enum slr_core_metric which)
{
    slr_count(&core->counter[which], 1);
}

/* The recorder's wall time: the kernel's, on import the capture's. */
slr_wall slr_core_now(const struct slr_core *core);

/* A post whose run(ctx, result) the signalling thread calls; hand `post` as ctx together with
 * slr_core_store_done to the store. NULL: no memory. */
struct slr_core_post *slr_core_post_new(struct slr_core *core,
                                        void (*run)(void *ctx, enum slr_err result), void *ctx);
/* A slr_store_done; any thread. */
void slr_core_store_done(void *post, enum slr_err result);
/* Counts and logs a job that the store did not take. */
void slr_core_stored(struct slr_core *core, enum slr_err err, const char *what);

/* ---- events.c: hooks of the link ---- */
int64_t slr_events_resume_after(void *core);
bool slr_events_up(void *core, const json_t *hello);
void slr_events_down(void *core);
void slr_events_take(void *core, const json_t *event);
void slr_events_idle(void *core);
void slr_events_epoch(void *core, int64_t epoch);
/* Sends what may be acknowledged by now. */
void slr_events_ack(struct slr_core *core);
/* Puts a leg_silent or leg_audible event into the catalogue. */
void slr_events_put_alarm(struct slr_core *core, const json_t *event);
/* Of an engine's id, for the store; never 0. */
int64_t slr_events_hash(const char *id);

/* ---- others.c: engines on other hosts ---- */
/* Follows the engine at --sniffer, if there is one. Errors as of slr_sniffer_reader_open. */
enum slr_err slr_others_open(struct slr_core *core) SLR_CHECKED;
/* NULL is allowed. */
void slr_others_close(struct slr_others *others);

/* ---- restore.c ---- */
/* Reads calls and dialogs from the store; dialogs get their legs. SLR_IO, SLR_NOMEM. */
enum slr_err slr_restore_all(struct slr_core *core) SLR_CHECKED;
/* Asks the engine for its snapshot and compares once all events up to `last` were handled. */
void slr_restore_ask_snapshot(struct slr_core *core, int64_t last);
void slr_restore_reconcile(struct slr_core *core);

/* ---- core_ask.c ---- */
/* The engine's statistics for OPTIONS and admission, once a second. */
void slr_core_poll_stats(struct slr_core *core);

#endif

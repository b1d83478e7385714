/*
 * link: the core's end of the seam (docs/seam.md): one non-blocking connection to the engine inside
 * the signalling loop, its commands and answers, the event stream, and reconnecting.
 *
 * Owned by the signalling thread; all hooks and answers are called there. Allocates per command.
 */
#ifndef SLR_CTL_LINK_H
#define SLR_CTL_LINK_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/metrics.h"
#include "ctl/sofia.h"

#define SLR_LINK_RETRY_MS 200
#define SLR_LINK_HELLO_MS 2000
#define SLR_LINK_QUEUE_MAX 100000
#define SLR_LINK_ROWS_MAX 1000000 /* of an answer in parts */
#define SLR_LINK_STALE_MAX 3      /* how often one command is sent again under a newer epoch */

struct slr_link;

/* What becomes of a command when the engine is away. */
enum slr_link_kind {
    SLR_LINK_ONCE, /* fails with SLR_CLOSED at once, or when the connection breaks */
    SLR_LINK_KEEP  /* waits, and is sent again under the same id after a reconnect */
};

/* Called once for each command taken. answer: borrowed, NULL on SLR_TIMEOUT and SLR_CLOSED; with
 * SLR_EXISTS and other refusals it is the engine's answer. */
typedef void (*slr_link_done)(void *ctx, enum slr_err result, const json_t *answer);

struct slr_link_hooks {
    void *ctx;
    int64_t (*resume_after)(void *ctx);            /* event number for hello */
    bool (*up)(void *ctx, const json_t *hello);    /* false: break off and connect anew */
    void (*down)(void *ctx);                       /* the connection was up and is gone */
    void (*event)(void *ctx, const json_t *event); /* borrowed */
    void (*idle)(void *ctx);                       /* all that was readable has been handed out */
    void (*epoch)(void *ctx, int64_t epoch);       /* from now on this one is used: to be stored */
};

struct slr_link_config {
    su_root_t *root;
    const char *path;     /* the engine's control socket; borrowed for the link's life */
    const char *name;     /* the core's name; likewise */
    int64_t epoch;        /* this core's epoch, in every command; raised when the engine has seen a
                             newer one (a database that was set back) */
    slr_counter *counter; /* SLR_CORE_M_COUNT counters */
    struct slr_link_hooks hooks;
};

/* Starts connecting in the background. SLR_NOMEM; SLR_IO: no random number for the first id. */
enum slr_err slr_link_open(const struct slr_link_config *cfg, struct slr_link **out) SLR_CHECKED;

/* Closes; commands that wait get SLR_CLOSED. NULL is allowed. */
void slr_link_close(struct slr_link *link);

bool slr_link_is_up(const struct slr_link *link);

/*
 * Sends a command; `cmd` (with "cmd" and its fields) is taken over in any case, id and epoch are
 * added. timeout_ms is for SLR_LINK_ONCE, then `done` gets SLR_TIMEOUT and a late answer is
 * ignored. done may be NULL; it is never called from within this function. Errors (done is not
 * called then): SLR_CLOSED (once, no connection), SLR_FULL, SLR_NOMEM.
 */
enum slr_err slr_link_send(struct slr_link *link, json_t *cmd, enum slr_link_kind kind,
                           uint32_t timeout_ms, slr_link_done done, void *ctx) SLR_CHECKED;

/* Tells the engine that events up to n are acted upon. Lost when the connection is down (the
 * engine then sends them again). */
void slr_link_ack(struct slr_link *link, int64_t n);

#endif

/*
 * encode_queue: recordings that are whole but wait for their final format, in the order in which
 * they began.
 *
 * What lies in the folder "encode" is the truth; this is what one process knows of it. Not locked:
 * one thread at a time (engine/encode.c holds its lock). put allocates, up to the bound.
 */
#ifndef SLR_ENGINE_ENCODE_QUEUE_H
#define SLR_ENGINE_ENCODE_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/id.h"

#define SLR_ENCODE_QUEUE_MAX 1000000u
/* After a failure it is tried again: 10 s later, then twice that, an hour at most. */
#define SLR_ENCODE_RETRY_S 10u
#define SLR_ENCODE_RETRY_MAX_S 3600u

struct slr_encode_entry {
    char id[SLR_ID_SIZE];
    bool running;
    bool unwanted;         /* goes as soon as it runs no more */
    uint32_t tries;        /* that failed */
    int64_t len_ms;        /* of sound */
    int64_t since_wall_ns; /* it waits since then */
    int64_t not_before_ns; /* monotonic */
};

struct slr_encode_queue {
    struct slr_encode_entry *at; /* by id, whose beginning is the time of its beginning */
    uint32_t count, size;
};

struct slr_encode_backlog {
    uint32_t recordings; /* those that are being encoded are among them */
    uint32_t running, ready;
    int64_t len_ms;
    int64_t oldest_wall_ns; /* 0: none */
};

/* All zeros is an empty queue. */
void slr_encode_queue_fini(struct slr_encode_queue *q);

/* SLR_EXISTS: it waits already; SLR_FULL, SLR_NOMEM: it stays on the disk and is found there. */
enum slr_err slr_encode_queue_put(struct slr_encode_queue *q, const char *id, int64_t len_ms,
                                  int64_t since_wall_ns) SLR_CHECKED;

/* The first one that may be tried is running from now on. False: none. */
bool slr_encode_queue_take(struct slr_encode_queue *q, int64_t now_ns, char id[static SLR_ID_SIZE]);

/* It is done, or gone. */
void slr_encode_queue_drop(struct slr_encode_queue *q, const char *id);
/* It was given up before its end, through no fault of its own. */
void slr_encode_queue_back(struct slr_encode_queue *q, const char *id);
/* It failed. Returns the seconds until it is tried again; *tries: how often it failed by now. */
uint32_t slr_encode_queue_retry(struct slr_encode_queue *q, const char *id, int64_t now_ns,
                                uint32_t *tries);

/* It is not wanted any more. SLR_BUSY: it is running, and is not tried again; SLR_NOTFOUND. */
enum slr_err slr_encode_queue_cancel(struct slr_encode_queue *q, const char *id) SLR_CHECKED;

void slr_encode_queue_backlog(const struct slr_encode_queue *q, int64_t now_ns,
                              struct slr_encode_backlog *b);

#endif

/*
 * sealer: publishes ended recordings (final format, hash, ledger, fsync, rename) and removes
 * deleted ones, on threads of its own, since all of it waits for the disk. In a passive run the
 * only thread calls slr_sealer_step. Every step of sealing can be repeated after a death at any
 * point. What is to be encoded is not encoded here but by encode.h, where there is one.
 */
#ifndef SLR_ENGINE_SEALER_H
#define SLR_ENGINE_SEALER_H

#include <pthread.h>

#include "common/ring.h"
#include "engine/journal.h"
#include "engine/ledger_fill.h"
#include "engine/recfile.h"

/* Sealing waits for several flushes of the disk; side by side they share them. */
#define SLR_SEALER_THREADS 4u
#define SLR_SEALER_DELETES 65536u /* that may wait for the disk */

struct slr_delete_job {
    struct slr_delete_job *next;
    char id[SLR_ID_SIZE];
};

struct slr_encode;

struct slr_sealer {
    struct slr_state *state;
    struct slr_encode *encode;     /* NULL: final formats are made here, at once */
    struct slr_ring *from_writers; /* one ring for each writer */
    uint32_t ring_count;
    const struct slr_event_sink *sink;
    int rec_fd;
    int spill_fd;          /* second volume, with home */
    _Atomic uint8_t *home; /* by session slot: where its files are; NULL: there is one volume */
    uint32_t opus_bps, opus_complexity; /* of a channel; 0 bits/s: by rate */
    struct slr_counters counters;
    /* own */
    pthread_mutex_t lock;
    uint32_t *waiting;        /* queue of session slots, under the lock */
    _Atomic uint8_t *put_off; /* by session: to be sealed as WAV */
    uint32_t waiting_first, waiting_count;
    struct slr_delete_job *deletes, **deletes_tail;
    uint32_t delete_count;
    pthread_t thread[SLR_SEALER_THREADS];
    _Atomic bool stop;
    uint32_t running;
};

enum slr_err slr_sealer_init(struct slr_sealer *s) SLR_CHECKED;
void slr_sealer_fini(struct slr_sealer *s);

/* Any thread. SLR_FULL: too many wait. */
enum slr_err slr_sealer_delete(struct slr_sealer *s, const char *id) SLR_CHECKED;

/* Seals and deletes what waits. Returns how much is left for a later try. */
uint32_t slr_sealer_step(struct slr_sealer *s);

enum slr_err slr_sealer_start(struct slr_sealer *s) SLR_CHECKED;
void slr_sealer_stop(struct slr_sealer *s);

/* An offered session comes back, to be sealed as WAV and encoded later. Any thread. */
void slr_sealer_put_off(struct slr_sealer *s, uint32_t session);

/* A session that is being sealed. It stays where it is in memory. */
struct slr_seal_work {
    struct slr_session *session;
    bool put_off;   /* as WAV now; begin sets it too where that was decided by an earlier process */
    bool to_encode; /* after begin: slr_finish_run with job gives sealed.file and sealed.frames */
    bool again;     /* it was published before, only telling is left */
    struct slr_sealed sealed;
    struct slr_recfile file;
    struct slr_journal journal;
    struct slr_finish_job job; /* of all but its stop */
};

/* Sealing in two halves, for those who encode in between. Any thread, blocks on the disk. After an
 * error of either: slr_seal_drop, and all of it once more later. */
enum slr_err slr_seal_begin(struct slr_sealer *s, struct slr_seal_work *w) SLR_CHECKED;
/* Ledger, names, event; the session's slots are free and w is empty afterwards. */
enum slr_err slr_seal_end(struct slr_sealer *s, struct slr_seal_work *w) SLR_CHECKED;
void slr_seal_drop(struct slr_seal_work *w);

#endif

/*
 * sealer: publishes ended recordings (final format, hash, ledger, fsync, rename) and removes
 * deleted ones, on threads of its own, since all of it waits for the disk. In a passive run the
 * only thread calls slr_sealer_step. Every step of sealing can be repeated after a death at any
 * point.
 */
#ifndef SLR_ENGINE_SEALER_H
#define SLR_ENGINE_SEALER_H

#include <pthread.h>

#include "common/ring.h"
#include "engine/recfile.h"

/* Sealing waits for several flushes of the disk; side by side they share them. */
#define SLR_SEALER_THREADS 4u
#define SLR_SEALER_DELETES 65536u /* that may wait for the disk */

struct slr_delete_job {
    struct slr_delete_job *next;
    char id[SLR_ID_SIZE];
};

struct slr_sealer {
    struct slr_state *state;
    struct slr_ring *from_writers; /* one ring for each writer */
    uint32_t ring_count;
    const struct slr_event_sink *sink;
    int rec_fd;
    uint32_t opus_bps, opus_complexity; /* of a channel; 0 bits/s: by rate */
    struct slr_counters counters;
    /* own */
    pthread_mutex_t lock;
    uint32_t *waiting; /* queue of session slots, under the lock */
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

#endif

/*
 * pool: which chunks of the packet memory are free, and how much memory the pool has.
 *
 * The pool is divided into extents of 2 MB. Memory is taken by extents when chunks are needed, a
 * little ahead of that by the keeper (keeper.h), and given back when it was not needed for a while;
 * what lies lowest is used first, so that extents become free. All of this is in process memory: a
 * new process finds out from the queues which chunks are used (state.c). Chunks are taken and given
 * back by workers and writers under one short lock.
 */
#ifndef SLR_ENGINE_POOL_H
#define SLR_ENGINE_POOL_H

#include <pthread.h>

#include "common/err.h"
#include "engine/space.h"

#define SLR_EXTENT_CHUNKS 512u
#define SLR_POOL_NONE UINT32_MAX
/* What is not needed for that long is given back. */
#define SLR_POOL_REST_NS (10LL * 1000000000)

enum slr_extent_state { SLR_EXTENT_HOLE, SLR_EXTENT_BUSY, SLR_EXTENT_READY };

struct slr_extent {
    uint32_t head; /* free chunks, linked by pool.next; of READY ones only */
    uint16_t free;
    uint8_t state;
};

struct slr_pool {
    struct slr_space *space;
    const uint8_t *at; /* the first chunk */
    uint32_t chunk_bytes, chunk_max, extent_count;
    pthread_mutex_t lock;
    pthread_cond_t wake; /* of the keeper */
    struct slr_extent *extent;
    uint32_t *next;
    uint64_t *open;      /* bit for each extent: READY, and not all of it is used */
    uint32_t lowest;     /* no word of those before has a bit */
    uint32_t free_ready; /* chunks that have memory and are free */
    uint32_t used;
    uint32_t least_free; /* of free_ready, since rested_ns */
    int64_t rested_ns;
    bool wants;       /* the keeper was woken */
    bool kept;        /* all of it was asked for: nothing is given back */
    uint32_t refused; /* since there was no memory for another extent, 0: there was */
};

/* used: a byte for each chunk, not 0: a queue has it; what other extents have is given back. */
enum slr_err slr_pool_init(struct slr_pool *p, struct slr_space *space, const void *at,
                           uint32_t chunk_bytes, uint32_t chunk_max,
                           const uint8_t *used) SLR_CHECKED;
void slr_pool_fini(struct slr_pool *p);

/* Takes memory for all of it. SLR_NOMEM: there is none. */
enum slr_err slr_pool_fill(struct slr_pool *p) SLR_CHECKED;

/* SLR_POOL_NONE: all are used, or no memory is left. The caller has the lock. */
uint32_t slr_pool_take(struct slr_pool *p);
void slr_pool_put(struct slr_pool *p, uint32_t chunk);

/* Chunks that can still be taken, in so far as the machine has memory for them. */
uint32_t slr_pool_left(struct slr_pool *p);
/* Bytes that the pool has now, used or not. */
uint64_t slr_pool_bytes(struct slr_pool *p);

/* The keeper's part: takes memory ahead of need, gives back what was not needed. */
void slr_pool_tend(struct slr_pool *p, int64_t now_ns);
/* Until there is something to tend, or the time has come (CLOCK_MONOTONIC). */
void slr_pool_wait(struct slr_pool *p, int64_t until_ns);
/* Ends a wait. */
void slr_pool_wake(struct slr_pool *p);

#endif

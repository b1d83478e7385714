/*
 * ring: single-producer single-consumer queue of pointers, and a many-producer mailbox.
 * Ownership of what a pointer points to travels with it. No allocation after init.
 */
#ifndef SLR_COMMON_RING_H
#define SLR_COMMON_RING_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

/* One producer thread, one consumer thread. */
struct slr_ring {
    void **slot;
    uint32_t mask;                      /* size - 1 */
    _Alignas(64) _Atomic uint32_t head; /* next to take; written by the consumer */
    _Alignas(64) _Atomic uint32_t tail; /* next to put; written by the producer */
};

/* size: power of two, 2..2^24. */
enum slr_err slr_ring_init(struct slr_ring *r, uint32_t size) SLR_CHECKED;
void slr_ring_fini(struct slr_ring *r);
bool slr_ring_put(struct slr_ring *r, void *item); /* false: full */
void *slr_ring_take(struct slr_ring *r);           /* NULL: empty */

/* Many producers, one consumer, with an eventfd that is readable while items wait. */
struct slr_mailbox {
    pthread_mutex_t lock;
    void **slot;
    uint32_t size, head, count;
    int event_fd; /* for poll/epoll by the consumer */
};

enum slr_err slr_mailbox_init(struct slr_mailbox *m, uint32_t size) SLR_CHECKED;
void slr_mailbox_fini(struct slr_mailbox *m);
/* SLR_FULL when `size` items wait. item must not be NULL. Wakes the consumer. */
enum slr_err slr_mailbox_put(struct slr_mailbox *m, void *item) SLR_CHECKED;
/* NULL: empty (then event_fd is no longer readable). */
void *slr_mailbox_take(struct slr_mailbox *m);

#endif

/*
 * ring: the single-producer single-consumer queue and the many-producer mailbox.
 *
 * Ring indexes run freely over 32 bits; head is written by the consumer alone, tail by the producer
 * alone, and each publishes with release what the other acquires. The mailbox is a bounded queue
 * under a mutex; its eventfd is written on the step from empty to one item and drained on the step
 * back, both under the mutex, so that it is readable exactly while items wait. Allocates in init
 * only. Items left at fini stay the caller's.
 */
#include "common/ring.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define SIZE_MAX_ITEMS (1U << 24)

enum slr_err slr_ring_init(struct slr_ring *r, uint32_t size)
{
    if (size < 2 || size > SIZE_MAX_ITEMS || (size & (size - 1)) != 0) {
        return SLR_INVAL;
    }
    r->slot = calloc(size, sizeof *r->slot);
    if (!r->slot) {
        return SLR_NOMEM;
    }
    r->mask = size - 1;
    atomic_init(&r->head, 0);
    atomic_init(&r->tail, 0);
    return SLR_OK;
}

void slr_ring_fini(struct slr_ring *r)
{
    free(r->slot);
    r->slot = NULL;
}

bool slr_ring_put(struct slr_ring *r, void *item)
{
    uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    uint32_t head = atomic_load_explicit(&r->head, memory_order_acquire);
    if (tail - head > r->mask) {
        return false;
    }
    r->slot[tail & r->mask] = item;
    atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
    return true;
}

void *slr_ring_take(struct slr_ring *r)
{
    uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    uint32_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);
    if (head == tail) {
        return NULL;
    }
    void *item = r->slot[head & r->mask];
    atomic_store_explicit(&r->head, head + 1, memory_order_release);
    return item;
}

enum slr_err slr_mailbox_init(struct slr_mailbox *m, uint32_t size)
{
    if (size == 0 || size > SIZE_MAX_ITEMS) {
        return SLR_INVAL;
    }
    *m = (struct slr_mailbox){.size = size, .event_fd = -1};
    m->slot = calloc(size, sizeof *m->slot);
    if (!m->slot) {
        return SLR_NOMEM;
    }
    m->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (m->event_fd < 0) {
        enum slr_err err = slr_err_from_errno(errno);
        free(m->slot);
        m->slot = NULL;
        return err;
    }
    if (pthread_mutex_init(&m->lock, NULL) != 0) {
        close(m->event_fd);
        free(m->slot);
        m->slot = NULL;
        m->event_fd = -1;
        return SLR_NOMEM;
    }
    return SLR_OK;
}

void slr_mailbox_fini(struct slr_mailbox *m)
{
    if (m->slot) {
        pthread_mutex_destroy(&m->lock);
        close(m->event_fd);
        free(m->slot);
        m->slot = NULL;
        m->event_fd = -1;
    }
}

enum slr_err slr_mailbox_put(struct slr_mailbox *m, void *item)
{
    enum slr_err err = SLR_OK;

    pthread_mutex_lock(&m->lock);
    if (m->count == m->size) {
        err = SLR_FULL;
    } else {
        m->slot[(uint32_t)(((uint64_t)m->head + m->count) % m->size)] = item;
        m->count++;
        /* From 0 to 1 the eventfd's counter is 0, so the write can neither block nor fail. */
        if (m->count == 1 && eventfd_write(m->event_fd, 1) != 0) {
            m->count = 0;
            err = SLR_IO;
        }
    }
    pthread_mutex_unlock(&m->lock);
    return err;
}

void *slr_mailbox_take(struct slr_mailbox *m)
{
    void *item = NULL;

    pthread_mutex_lock(&m->lock);
    if (m->count > 0) {
        item = m->slot[m->head];
        m->head = (m->head + 1) % m->size;
        m->count--;
        if (m->count == 0) {
            eventfd_t drained;
            (void)eventfd_read(m->event_fd, &drained); /* readable by construction */
        }
    }
    pthread_mutex_unlock(&m->lock);
    return item;
}

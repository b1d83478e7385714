/* ring: order, bounds and wrap of both queues; one hand-over between two threads. */
#include <criterion/criterion.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>

#include "common/ring.h"

static void *item(uintptr_t n)
{
    return (void *)n;
}

Test(ring, sizes)
{
    struct slr_ring r;
    cr_assert_eq(slr_ring_init(&r, 0), SLR_INVAL);
    cr_assert_eq(slr_ring_init(&r, 1), SLR_INVAL);
    cr_assert_eq(slr_ring_init(&r, 3), SLR_INVAL);
    cr_assert_eq(slr_ring_init(&r, 1U << 25), SLR_INVAL);
}

Test(ring, first_in_first_out_and_full)
{
    struct slr_ring r;
    cr_assert_eq(slr_ring_init(&r, 4), SLR_OK);
    for (uintptr_t round = 0; round < 10; round++) {
        for (uintptr_t i = 1; i <= 4; i++) {
            cr_assert(slr_ring_put(&r, item(round * 4 + i)));
        }
        cr_assert_not(slr_ring_put(&r, item(99)));
        for (uintptr_t i = 1; i <= 4; i++) {
            cr_assert_eq(slr_ring_take(&r), item(round * 4 + i));
        }
        cr_assert_null(slr_ring_take(&r));
    }
    slr_ring_fini(&r);
}

Test(ring, indexes_wrap)
{
    struct slr_ring r;
    cr_assert_eq(slr_ring_init(&r, 2), SLR_OK);
    atomic_store(&r.head, UINT32_MAX);
    atomic_store(&r.tail, UINT32_MAX);
    for (uintptr_t i = 1; i <= 6; i++) {
        cr_assert(slr_ring_put(&r, item(i)));
        cr_assert_eq(slr_ring_take(&r), item(i));
    }
    slr_ring_fini(&r);
}

#define HANDED 20000

static void *produce(void *arg)
{
    for (uintptr_t i = 1; i <= HANDED;) {
        if (slr_ring_put(arg, item(i))) {
            i++;
        } else {
            sched_yield();
        }
    }
    return NULL;
}

Test(ring, two_threads)
{
    struct slr_ring r;
    pthread_t thread;

    cr_assert_eq(slr_ring_init(&r, 64), SLR_OK);
    cr_assert_eq(pthread_create(&thread, NULL, produce, &r), 0);
    for (uintptr_t want = 1; want <= HANDED;) {
        void *got = slr_ring_take(&r);
        if (got) {
            cr_assert_eq(got, item(want));
            want++;
        } else {
            sched_yield();
        }
    }
    pthread_join(thread, NULL);
    slr_ring_fini(&r);
}

static bool readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

Test(mailbox, readable_exactly_while_items_wait)
{
    struct slr_mailbox m;

    cr_assert_eq(slr_mailbox_init(&m, 0), SLR_INVAL);
    cr_assert_eq(slr_mailbox_init(&m, 3), SLR_OK);
    cr_assert_not(readable(m.event_fd));
    for (int round = 0; round < 5; round++) {
        cr_assert_eq(slr_mailbox_put(&m, item(1)), SLR_OK);
        cr_assert_eq(slr_mailbox_put(&m, item(2)), SLR_OK);
        cr_assert_eq(slr_mailbox_put(&m, item(3)), SLR_OK);
        cr_assert_eq(slr_mailbox_put(&m, item(4)), SLR_FULL);
        cr_assert_eq(slr_mailbox_take(&m), item(1));
        cr_assert_eq(slr_mailbox_take(&m), item(2));
        cr_assert(readable(m.event_fd));
        cr_assert_eq(slr_mailbox_take(&m), item(3));
        cr_assert_not(readable(m.event_fd));
        cr_assert_null(slr_mailbox_take(&m));
    }
    slr_mailbox_fini(&m);
}

static void *post(void *arg)
{
    for (int i = 0; i < 1000; i++) {
        while (slr_mailbox_put(arg, item(1)) == SLR_FULL) {
            sched_yield();
        }
    }
    return NULL;
}

Test(mailbox, many_producers)
{
    struct slr_mailbox m;
    pthread_t thread[3];
    int taken = 0;

    cr_assert_eq(slr_mailbox_init(&m, 16), SLR_OK);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(pthread_create(&thread[i], NULL, post, &m), 0);
    }
    while (taken < 3000) {
        struct pollfd p = {.fd = m.event_fd, .events = POLLIN};
        cr_assert_eq(poll(&p, 1, 20000), 1, "no wake-up with %d taken", taken);
        while (slr_mailbox_take(&m)) {
            taken++;
        }
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(thread[i], NULL);
    }
    cr_assert_eq(taken, 3000);
    slr_mailbox_fini(&m);
}

/* encode_queue: order, what is tried again and when, what is not wanted any more, its bounds. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "engine/encode_queue.h"

static void id_of(uint32_t number, char id[static SLR_ID_SIZE])
{
    snprintf(id, SLR_ID_SIZE, "%012x%020x", number, 7);
}

static void put(struct slr_encode_queue *q, uint32_t number, int64_t since_ns)
{
    char id[SLR_ID_SIZE];
    id_of(number, id);
    cr_assert_eq(slr_encode_queue_put(q, id, 1000, since_ns), SLR_OK);
}

static uint32_t take(struct slr_encode_queue *q, int64_t now_ns)
{
    char id[SLR_ID_SIZE], hex[13];
    if (!slr_encode_queue_take(q, now_ns, id)) {
        return 0;
    }
    snprintf(hex, sizeof hex, "%.12s", id);
    return (uint32_t)strtoul(hex, NULL, 16);
}

Test(encode_queue, gives_in_the_order_of_beginning)
{
    struct slr_encode_queue q = {0};
    uint32_t seed = 5;
    char id[SLR_ID_SIZE];
    for (uint32_t i = 0; i < 1000; i++) { /* each of 1..1009 but some, shuffled */
        put(&q, i * 577 % 1009 + 1, 0);
    }
    uint32_t before = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        uint32_t now = take(&q, 0);
        cr_assert_gt(now, before);
        before = now;
        seed = seed * 1664525u + 1013904223u;
        if (seed >> 31) {
            id_of(now, id);
            slr_encode_queue_drop(&q, id);
        }
    }
    cr_assert_eq(take(&q, 0), 0u, "all the others are running");
    slr_encode_queue_fini(&q);
}

Test(encode_queue, the_same_once_only)
{
    struct slr_encode_queue q = {0};
    char id[SLR_ID_SIZE];
    id_of(3, id);
    put(&q, 3, 0);
    cr_assert_eq(slr_encode_queue_put(&q, id, 1, 1), SLR_EXISTS);
    cr_assert_eq(take(&q, 0), 3u);
    cr_assert_eq(slr_encode_queue_put(&q, id, 1, 1), SLR_EXISTS, "also while it runs");
    slr_encode_queue_drop(&q, id);
    put(&q, 3, 0);
    slr_encode_queue_fini(&q);
}

/* What failed does not stand in the way of others, and comes again, ever later. */
Test(encode_queue, failures_wait)
{
    static const uint32_t want_s[] = {10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600};
    struct slr_encode_queue q = {0};
    char id[SLR_ID_SIZE];
    int64_t now = 0;
    uint32_t tries = 0;
    put(&q, 1, 0);
    put(&q, 2, 0);
    id_of(1, id);
    for (uint32_t i = 0; i < sizeof want_s / sizeof want_s[0]; i++) {
        cr_assert_eq(take(&q, now), 1u);
        cr_assert_eq(slr_encode_queue_retry(&q, id, now, &tries), want_s[i]);
        cr_assert_eq(tries, i + 1);
        if (i == 0) {
            cr_assert_eq(take(&q, now), 2u, "the next one's turn");
        }
        now += (int64_t)want_s[i] * SLR_NS_PER_S;
        cr_assert_eq(take(&q, now - 1), 0u);
    }
    slr_encode_queue_fini(&q);
}

Test(encode_queue, what_was_given_up_begins_again_at_once)
{
    struct slr_encode_queue q = {0};
    char id[SLR_ID_SIZE];
    put(&q, 1, 0);
    id_of(1, id);
    cr_assert_eq(take(&q, 0), 1u);
    slr_encode_queue_back(&q, id);
    cr_assert_eq(take(&q, 0), 1u);
    slr_encode_queue_fini(&q);
}

Test(encode_queue, unwanted_ones_go)
{
    struct slr_encode_queue q = {0};
    struct slr_encode_backlog b;
    char id[SLR_ID_SIZE];
    uint32_t tries = 0;
    id_of(1, id);
    cr_assert_eq(slr_encode_queue_cancel(&q, id), SLR_NOTFOUND);
    put(&q, 1, 0);
    cr_assert_eq(slr_encode_queue_cancel(&q, id), SLR_OK);
    cr_assert_eq(take(&q, 0), 0u);
    for (int failed = 0; failed < 2; failed++) {
        put(&q, 1, 0);
        cr_assert_eq(take(&q, 0), 1u);
        cr_assert_eq(slr_encode_queue_cancel(&q, id), SLR_BUSY);
        if (failed) {
            cr_assert_eq(slr_encode_queue_retry(&q, id, 0, &tries), 0u);
        } else {
            slr_encode_queue_back(&q, id);
        }
        cr_assert_eq(slr_encode_queue_cancel(&q, id), SLR_NOTFOUND);
    }
    slr_encode_queue_backlog(&q, 0, &b);
    cr_assert_eq(b.recordings, 0u);
    cr_assert_eq(b.oldest_wall_ns, 0);
    slr_encode_queue_fini(&q);
}

Test(encode_queue, backlog)
{
    struct slr_encode_queue q = {0};
    struct slr_encode_backlog b;
    char id[SLR_ID_SIZE];
    uint32_t tries = 0;
    put(&q, 1, 500);
    put(&q, 2, 300); /* a longer one that ended before */
    put(&q, 3, 900);
    cr_assert_eq(take(&q, 0), 1u);
    cr_assert_eq(take(&q, 0), 2u);
    id_of(2, id);
    (void)slr_encode_queue_retry(&q, id, 0, &tries);
    slr_encode_queue_backlog(&q, 0, &b);
    cr_assert_eq(b.recordings, 3u);
    cr_assert_eq(b.running, 1u);
    cr_assert_eq(b.ready, 1u);
    cr_assert_eq(b.len_ms, 3000);
    cr_assert_eq(b.oldest_wall_ns, 300);
    slr_encode_queue_fini(&q);
}

Test(encode_queue, is_bounded)
{
    struct slr_encode_queue q = {0};
    char id[SLR_ID_SIZE];
    for (uint32_t i = 0; i < SLR_ENCODE_QUEUE_MAX; i++) {
        put(&q, i + 1, 0);
    }
    id_of(SLR_ENCODE_QUEUE_MAX + 1, id);
    cr_assert_eq(slr_encode_queue_put(&q, id, 1, 1), SLR_FULL);
    slr_encode_queue_fini(&q);
}

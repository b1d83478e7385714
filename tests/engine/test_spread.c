/*
 * Which slot a call gets: the least busy threads', whatever ended before it.
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "engine/spread.h"

#define SLOTS 400u

struct spread {
    struct slr_state *s;
    _Atomic uint8_t active[SLOTS];
    uint32_t cursor, workers, writers;
};

static void begin(struct spread *t, uint32_t workers, uint32_t writers)
{
    *t = (struct spread){.workers = workers, .writers = writers};
    cr_assert_eq(slr_state_open(NULL, SLOTS, 64, &t->s), SLR_OK);
}

static uint32_t open_call(struct spread *t, uint16_t streams)
{
    uint32_t slot = slr_spread_slot(t->s, t->active, t->cursor, t->workers, t->writers);
    cr_assert_neq(slot, SLR_NONE);
    cr_assert_eq(atomic_load(&t->s->session[slot].state), SLR_SESSION_FREE);
    t->cursor = slot + 1;
    t->s->session[slot].reserve = streams;
    atomic_store(&t->s->session[slot].state, SLR_SESSION_OPEN);
    return slot;
}

/* Streams of each of so many threads; the most and the least. */
static void extremes(const struct spread *t, uint32_t threads, uint32_t *least, uint32_t *most)
{
    uint32_t sum[SLR_SPREAD_THREADS] = {0};
    for (uint32_t i = 0; i < SLOTS; i++) {
        if (atomic_load(&t->s->session[i].state) == SLR_SESSION_OPEN) {
            sum[slr_spread_of(i, threads)] += (uint32_t)t->s->session[i].reserve;
        }
    }
    *least = *most = sum[0];
    for (uint32_t i = 1; i < threads; i++) {
        *least = sum[i] < *least ? sum[i] : *least;
        *most = sum[i] > *most ? sum[i] : *most;
    }
}

Test(spread, calls_are_shared_evenly)
{
    struct spread t;
    begin(&t, 3, 4);
    for (uint32_t i = 0; i < 120; i++) {
        (void)open_call(&t, 2);
    }
    uint32_t least = 0;
    uint32_t most = 0;
    extremes(&t, 3, &least, &most);
    cr_assert_leq(most - least, 2);
    extremes(&t, 4, &least, &most);
    cr_assert_leq(most - least, 2);
    slr_state_close(t.s, true);
}

/* All calls of one worker end: those that come next are its. By number alone it would get but every
 * third. */
Test(spread, who_has_the_least_gets_the_next)
{
    struct spread t;
    begin(&t, 3, 1);
    for (uint32_t i = 0; i < 90; i++) {
        (void)open_call(&t, 2);
    }
    for (uint32_t i = 0; i < SLOTS; i++) {
        if (slr_spread_of(i, 3) == 1) {
            atomic_store(&t.s->session[i].state, SLR_SESSION_FREE);
        }
    }
    for (uint32_t i = 0; i < 30; i++) {
        cr_assert_eq(slr_spread_of(open_call(&t, 2), 3), 1);
    }
    uint32_t least = 0;
    uint32_t most = 0;
    extremes(&t, 3, &least, &most);
    cr_assert_leq(most - least, 2);
    slr_state_close(t.s, true);
}

/* A conference of many legs counts as many. */
Test(spread, streams_count_and_not_calls)
{
    struct spread t;
    begin(&t, 2, 1);
    uint32_t big = open_call(&t, 20);
    for (uint32_t i = 0; i < 10; i++) {
        cr_assert_neq(slr_spread_of(open_call(&t, 2), 2), slr_spread_of(big, 2));
    }
    slr_state_close(t.s, true);
}

/* With one thread of each kind slots are used in turn, and all of them are; one that somebody is
 * still busy with is not. */
Test(spread, every_slot_is_used_and_none_that_is_busy)
{
    struct spread t;
    begin(&t, 1, 1);
    atomic_store(&t.active[5], 1);
    for (uint32_t i = 0; i < SLOTS - 1; i++) {
        cr_assert_neq(open_call(&t, 2), 5);
    }
    cr_assert_eq(slr_spread_slot(t.s, t.active, t.cursor, 1, 1), SLR_NONE);
    atomic_store(&t.active[5], 0);
    cr_assert_eq(open_call(&t, 2), 5);
    slr_state_close(t.s, true);
}

Test(spread, the_last_free_slot_is_taken_whoever_works_for_it)
{
    struct spread t;
    begin(&t, 4, 1);
    for (uint32_t i = 0; i < SLOTS; i++) {
        (void)open_call(&t, (uint16_t)(1 + i % 7));
    }
    cr_assert_eq(slr_spread_slot(t.s, t.active, t.cursor, 4, 1), SLR_NONE);
    slr_state_close(t.s, true);
}

/*
 * Pacing: the rate is flat, times are exact, catching up is bounded.
 */
#include <criterion/criterion.h>
#include <stdbool.h>

#include "load/hist.h"
#include "load/pace.h"

#define T0 1000000000000LL

Test(pace, slots_and_times_agree)
{
    struct slr_pace p;
    slr_pace_init(&p, T0);
    cr_assert_eq(slr_pace_slot(&p, T0 - 5), 0);
    cr_assert_eq(slr_pace_slot(&p, T0), 0);
    cr_assert_eq(slr_pace_slot(&p, T0 + 1), 1);
    for (int64_t slot = 0; slot < 100; slot++) {
        cr_assert_eq(slr_pace_slot(&p, slr_pace_time(&p, slot)), slot);
    }
}

Test(pace, phases_fill_evenly_and_again_after_some_left)
{
    struct slr_pace p;
    int64_t slot[400];
    const uint32_t each = 400 / SLR_PACE_PHASES;
    slr_pace_init(&p, T0);
    for (int i = 0; i < 400; i++) {
        slot[i] = slr_pace_join(&p, 17 + i);
        cr_assert_geq(slot[i], 17 + i);
        cr_assert_lt(slot[i], 17 + i + (int64_t)SLR_PACE_PHASES);
    }
    for (uint32_t i = 0; i < SLR_PACE_PHASES; i++) {
        cr_assert_eq(p.load[i], each);
    }
    for (int i = 0; i < 400; i += 7) {
        slr_pace_leave(&p, slot[i]);
    }
    for (int i = 0; i < 400; i += 7) {
        (void)slr_pace_join(&p, 5000 + i);
    }
    for (uint32_t i = 0; i < SLR_PACE_PHASES; i++) {
        cr_assert_eq(p.load[i], each);
    }
}

Test(pace, on_time_each_slot_is_due_at_its_time)
{
    struct slr_pace p;
    slr_pace_init(&p, T0);
    for (int64_t i = 0; i < 50; i++) {
        cr_assert_eq(slr_pace_due(&p), T0 + i * SLR_PACE_SLOT_NS);
        cr_assert_eq(slr_pace_next(&p, slr_pace_due(&p) + 1000), i);
    }
}

/* After a stall of 40 slots: four times the pace, until it is made up. */
Test(pace, catching_up_is_bounded)
{
    struct slr_pace p;
    slr_pace_init(&p, T0);
    int64_t now = T0 + 40 * SLR_PACE_SLOT_NS;
    int64_t slots = 0;
    bool behind = true;
    while (behind) {
        int64_t before = p.began_ns;
        now = slr_pace_due(&p) > now ? slr_pace_due(&p) : now;
        behind = now > slr_pace_time(&p, p.slot);
        cr_assert_eq(slr_pace_next(&p, now), slots++);
        cr_assert(slots == 1 || now - before >= SLR_PACE_SLOT_NS / 4);
        cr_assert_leq(slots, 60);
    }
    cr_assert_geq(slots, 50);
    cr_assert_leq(slots, 56);
}

Test(pace, frames_follow_the_senders_clock)
{
    cr_assert_eq(slr_pace_frame(T0, 0, 50), T0);
    cr_assert_eq(slr_pace_frame(T0, 50, 0), T0 + 1000000000LL);
    cr_assert_eq(slr_pace_frame(T0, 50, 100), T0 + 1000000000LL - 100000);
    cr_assert_eq(slr_pace_frame(T0, 50, -100), T0 + 1000000000LL + 100000);
}

Test(hist, percentiles)
{
    struct slr_hist h = {0};
    cr_assert_eq(slr_hist_at(&h, 50), 0);
    for (int64_t i = 1; i <= 10000; i++) {
        slr_hist_add(&h, i * 1000, 1);
    }
    cr_assert_eq(h.count, 10000);
    cr_assert_eq(h.max_ns, 10000000);
    for (int percent = 1; percent <= 100; percent++) {
        int64_t exact = percent * 100000LL;
        int64_t got = slr_hist_at(&h, percent);
        cr_assert_geq(got, exact, "%d %%", percent);
        cr_assert_leq(got, exact + exact / 7, "%d %%: %lld", percent, (long long)got);
    }
    slr_hist_add(&h, -5, 1);
    slr_hist_add(&h, INT64_MAX, 1);
    cr_assert_eq(slr_hist_at(&h, 100), INT64_MAX);
}

/*
 * Impairment: the same by the same seed, as much as was asked for, sequence numbers without holes.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "load/impair.h"

#define FRAMES 200000u

static struct slr_fate fate_of(const struct slr_impair *im, uint32_t call, uint32_t leg, uint32_t n)
{
    struct slr_fate f;
    slr_impair_fate(im, true, call, leg, n, &f);
    return f;
}

Test(impair, nothing_asked_nothing_done)
{
    struct slr_impair im = {.seed = 1};
    for (uint32_t n = 0; n < 2000; n++) {
        struct slr_fate f = fate_of(&im, 3, 1, n);
        cr_assert(f.talk && !f.dropped && !f.comfort && f.marker == (n == 0));
        cr_assert_eq(f.delay_us, 0);
        cr_assert_eq(f.copy_us, SLR_FATE_NO_COPY);
        cr_assert_eq(f.seq, n);
    }
}

Test(impair, is_a_function_of_seed_and_leg)
{
    struct slr_impair im = {.seed = 42,
                            .loss_ppm = 100000,
                            .reorder_ppm = 100000,
                            .reorder_pkts = 4,
                            .duplicate_ppm = 100000,
                            .jitter_us = 30000};
    struct slr_impair other = im;
    uint32_t differ_seed = 0;
    uint32_t differ_leg = 0;
    other.seed = 43;
    for (uint32_t n = SLR_IMPAIR_GRACE; n < 1000; n++) {
        struct slr_fate a = fate_of(&im, 7, 0, n);
        struct slr_fate b = fate_of(&im, 7, 0, n);
        struct slr_fate c = fate_of(&other, 7, 0, n);
        struct slr_fate d = fate_of(&im, 7, 1, n);
        cr_assert(a.dropped == b.dropped && a.delay_us == b.delay_us && a.copy_us == b.copy_us);
        differ_seed += a.delay_us != c.delay_us;
        differ_leg += a.delay_us != d.delay_us;
    }
    cr_assert_gt(differ_seed, 800);
    cr_assert_gt(differ_leg, 800);
}

Test(impair, grace_is_left_alone)
{
    struct slr_impair im = {.seed = 5, .loss_ppm = 1000000, .burst_ppm = 1000000, .burst_pkts = 64};
    for (uint32_t n = 0; n < SLR_IMPAIR_GRACE; n++) {
        cr_assert_not(fate_of(&im, 0, 0, n).dropped);
    }
    cr_assert(fate_of(&im, 0, 0, SLR_IMPAIR_GRACE).dropped);
}

Test(impair, as_much_as_was_asked_for)
{
    struct slr_impair im = {.seed = 9,
                            .loss_ppm = 20000,
                            .reorder_ppm = 10000,
                            .reorder_pkts = 5,
                            .duplicate_ppm = 5000};
    uint32_t lost = 0;
    uint32_t late = 0;
    uint32_t twice = 0;
    for (uint32_t n = SLR_IMPAIR_GRACE; n < FRAMES; n++) {
        struct slr_fate f = fate_of(&im, 1, 0, n);
        lost += f.dropped;
        late += f.delay_us > 0;
        twice += f.copy_us != SLR_FATE_NO_COPY;
        cr_assert(f.delay_us == 0 || (f.delay_us >= 30000 && f.delay_us <= 110000));
        cr_assert_leq(f.delay_us, slr_impair_delay_max_us(&im));
    }
    cr_assert(lost > 3700 && lost < 4300, "%u", lost);
    cr_assert(late > 1750 && late < 2200, "%u", late);
    cr_assert(twice > 850 && twice < 1150, "%u", twice);
}

Test(impair, bursts_have_their_length)
{
    struct slr_impair im = {.seed = 9, .burst_ppm = 2000, .burst_pkts = 10};
    uint32_t lost = 0;
    uint32_t runs = 0;
    uint32_t run = 0;
    for (uint32_t n = SLR_IMPAIR_GRACE + 64; n < FRAMES; n++) {
        bool gone = fate_of(&im, 1, 0, n).dropped;
        runs += gone && run == 0;
        run = gone ? run + 1 : 0;
        lost += gone;
        cr_assert_leq(run, 20); /* two may meet */
    }
    cr_assert(runs > 320 && runs < 480, "%u", runs);
    cr_assert(lost > runs * 5 && lost < runs * 7, "%u in %u", lost, runs);
}

/* Each packet's sequence number is one more than that of the packet before, whatever was paused. */
Test(impair, sequence_numbers_have_no_holes_in_pauses)
{
    struct slr_impair im = {.seed = 77, .dtx = true};
    for (uint32_t leg = 0; leg < 8; leg++) {
        for (int comfort = 0; comfort < 2; comfort++) {
            uint32_t next = 0;
            uint32_t talk = 0;
            uint32_t noises = 0;
            bool pause = false;
            for (uint32_t n = 0; n < 10000; n++) {
                struct slr_fate f;
                slr_impair_fate(&im, comfort, 1, leg, n, &f);
                cr_assert(n >= SLR_IMPAIR_GRACE || f.talk);
                cr_assert(!f.comfort || (comfort && !f.talk));
                if (f.talk || f.comfort) {
                    cr_assert_eq(f.seq, next, "leg %u frame %u: %u not %u", leg, n, f.seq, next);
                    next++;
                }
                cr_assert_eq(f.marker, n == 0 || (f.talk && pause));
                pause = !f.talk;
                talk += f.talk;
                noises += f.comfort;
            }
            cr_assert(talk > 5800 && talk < 6200, "%u", talk);
            cr_assert_eq(noises > 350, comfort);
        }
    }
}

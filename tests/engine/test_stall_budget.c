/*
 * Stall budget: how long memory lasts at the rate at which it is taken, and what is done when a
 * disk does not keep up.
 */
#include <criterion/criterion.h>

#include "engine/stall_budget.h"

#define S(n) ((int64_t)(n)*SLR_NS_PER_S)

static slr_mono at(double s)
{
    return (slr_mono){1000 * SLR_NS_PER_S + (int64_t)(s * (double)SLR_NS_PER_S)};
}

Test(stall_budget, nothing_comes_in_lasts_as_for_one_stream)
{
    struct slr_stall_budget b = {0};
    cr_assert_eq(slr_stall_budget_ns(&b, 96000), S(10));
    slr_stall_budget_note(&b, at(0), 5000000);
    slr_stall_budget_note(&b, at(1), 5000000);
    cr_assert_eq(slr_stall_budget_ns(&b, 96000), S(10));
    cr_assert_eq(slr_stall_budget_ns(&b, 0), 0);
    cr_assert_eq(slr_stall_budget_ns(&b, UINT64_MAX), S(86400));
}

Test(stall_budget, what_is_free_by_the_rate_of_what_is_taken)
{
    struct slr_stall_budget b = {0};
    for (int i = 0; i <= 20; i++) { /* 2,000 calls of G.711 */
        slr_stall_budget_note(&b, at(i), (uint64_t)i * 38400000);
    }
    int64_t ns = slr_stall_budget_ns(&b, 384000000);
    cr_assert(ns >= S(10) && ns < S(10) + SLR_NS_PER_MS, "%lld", (long long)ns);
    cr_assert_eq(slr_stall_held_ns(&b, 384000000), ns);
}

Test(stall_budget, growth_counts_at_once_and_decline_slowly)
{
    struct slr_stall_budget b = {0};
    uint64_t taken = 0;
    slr_stall_budget_note(&b, at(0), taken);
    for (int i = 1; i <= 3; i++) {
        slr_stall_budget_note(&b, at(i), taken += 1000000);
    }
    double up = b.bytes_s;
    cr_assert_gt(up, 900000.0);
    slr_stall_budget_note(&b, at(4), taken);
    cr_assert_float_eq(b.bytes_s, up * 0.9, 1.0);
}

Test(stall_budget, it_looks_once_a_second)
{
    struct slr_stall_budget b = {0};
    slr_stall_budget_note(&b, at(0), 0);
    slr_stall_budget_note(&b, at(0.9), 1000000);
    cr_assert_float_eq(b.bytes_s, 0.0, 0.1);
    slr_stall_budget_note(&b, at(1.0), 1000000);
    cr_assert_gt(b.bytes_s, 500000.0);
}

Test(stall_budget, a_worker_is_waited_for_as_memory_allows)
{
    cr_assert_eq(slr_stall_wait_ns(INT64_MAX, S(10)), S(10));
    cr_assert_eq(slr_stall_wait_ns(S(30), S(10)), S(10));
    cr_assert_eq(slr_stall_wait_ns(S(6), S(10)), S(3));
    cr_assert_eq(slr_stall_wait_ns(0, S(10)), 0);
}

static struct slr_storage_seen seen(double now_s, int64_t budget_s, int64_t stalled_s)
{
    return (struct slr_storage_seen){.now = at(now_s),
                                     .budget_ns = S(budget_s),
                                     .held_ns = S(2),
                                     .usual_ns = S(3),
                                     .stalled_ns = {S(stalled_s), 0}};
}

Test(storage, a_stall_within_the_budget_changes_nothing)
{
    struct slr_storage_plan p = {0};
    struct slr_storage_seen s = seen(0, 10, 4);
    slr_storage_decide(&s, &p);
    cr_assert(p.trouble && !p.second && !p.refuse);
}

Test(storage, little_memory_alone_refuses_nobody)
{
    struct slr_storage_plan p = {0};
    struct slr_storage_seen s = seen(0, 1, 0); /* so it was configured */
    slr_storage_decide(&s, &p);
    cr_assert(!p.trouble && !p.second && !p.refuse);
}

Test(storage, without_a_second_volume_sessions_are_refused_and_taken_again)
{
    struct slr_storage_plan p = {0};
    struct slr_storage_seen s = seen(0, 4, 9);
    slr_storage_decide(&s, &p);
    cr_assert(p.refuse && !p.second);
    s = seen(1, 7, 10); /* more than what it began at, but the disk stands */
    slr_storage_decide(&s, &p);
    cr_assert(p.refuse);
    s = seen(2, 11, 10); /* calls ended */
    slr_storage_decide(&s, &p);
    cr_assert(!p.refuse);
    s = seen(3, 4, 11);
    slr_storage_decide(&s, &p);
    cr_assert(p.refuse);
    s = seen(4, 4, 0); /* it moves again, and little is held */
    slr_storage_decide(&s, &p);
    cr_assert(!p.refuse && !p.trouble);
}

Test(storage, a_slow_disk_counts_as_one_that_stands)
{
    struct slr_storage_plan p = {0};
    struct slr_storage_seen s = seen(0, 4, 0);
    s.held_ns = S(7);
    slr_storage_decide(&s, &p);
    cr_assert(p.trouble && p.refuse);
}

Test(storage, the_second_volume_comes_before_refusal)
{
    struct slr_storage_plan p = {0};
    struct slr_storage_seen s = seen(0, 8, 6);
    s.has_second = true;
    slr_storage_decide(&s, &p);
    cr_assert(!p.second, "it has time yet");
    s = seen(1, 7, 7);
    s.has_second = true;
    slr_storage_decide(&s, &p);
    cr_assert(p.second && !p.refuse);
    s = seen(2, 4, 8); /* it takes over, which has its time */
    s.has_second = true;
    slr_storage_decide(&s, &p);
    cr_assert(p.second && !p.refuse);
    s = seen(3, 2, 9);
    s.has_second = true;
    slr_storage_decide(&s, &p);
    cr_assert(p.second && p.refuse);
}

Test(storage, both_stand_still)
{
    struct slr_storage_plan p = {0};
    struct slr_storage_seen s = seen(0, 4, 9);
    s.has_second = true;
    s.stalled_ns[1] = S(2);
    slr_storage_decide(&s, &p);
    cr_assert(!p.second && p.refuse);
}

Test(storage, the_first_volume_is_used_again_when_it_was_well_for_a_while)
{
    struct slr_storage_plan p = {.second = true};
    struct slr_storage_seen s = seen(0, 12, 0);
    s.has_second = true;
    slr_storage_decide(&s, &p);
    cr_assert(p.second);
    s = seen(4, 12, 2); /* not yet */
    s.has_second = true;
    slr_storage_decide(&s, &p);
    s = seen(5, 12, 0);
    s.has_second = true;
    slr_storage_decide(&s, &p);
    cr_assert(p.second);
    s = seen(10, 12, 0);
    s.has_second = true;
    slr_storage_decide(&s, &p);
    cr_assert(!p.second);
}

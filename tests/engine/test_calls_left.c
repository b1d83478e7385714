/*
 * Calls left: the arithmetic, with measurements made up.
 */
#include <criterion/criterion.h>

#include "engine/calls_left.h"

static const struct slr_room big = {.workers = 1,
                                    .writers = 1,
                                    .cores = 2,
                                    .streams_free = 100000,
                                    .ports_free = 100000,
                                    .slots_free = 100000,
                                    .free_bytes = 1ULL << 40,
                                    .usual_ns = 2 * SLR_NS_PER_S};

/* As it looks when so many calls have run for long. */
static struct slr_cost steady(double calls, double worker, double writer, double disk)
{
    struct slr_cost c = {0};
    for (int i = 0; i < 100; i++) {
        double ns = i * (double)SLR_NS_PER_S;
        struct slr_cost_sample s = {.now = {SLR_NS_PER_S * (i + 1)},
                                    .worker_cpu_ns = (int64_t)(worker * ns),
                                    .writer_cpu_ns = (int64_t)(writer * ns),
                                    .disk_ns = (int64_t)(disk * ns),
                                    .writers = 1,
                                    .calls = calls};
        slr_cost_note(&c, &s);
    }
    return c;
}

static struct slr_calls_left left_of(const struct slr_cost *c, const struct slr_room *room)
{
    struct slr_calls_left left;
    slr_calls_left(c, room, &left);
    return left;
}

Test(calls_left, an_idle_machine_has_the_default_cost)
{
    struct slr_cost none = {0};
    struct slr_calls_left left = left_of(&none, &big);
    cr_assert_eq(left.limit, SLR_LIMIT_CPU);
    cr_assert(left.calls >= 1899 && left.calls <= 1900); /* 0.95 s of a thread at 0.5 ms */
    cr_assert_not(slr_calls_left_refuse(&left, 0, false));
    struct slr_room small = big;
    small.cores = 1;
    left = left_of(&none, &small);
    cr_assert(left.calls >= 949 && left.calls <= 950);
}

Test(calls_left, by_what_calls_cost_here)
{
    struct slr_cost c = steady(1000, 0.1, 0.05, 0.01); /* 0.1 ms of a worker */
    struct slr_calls_left left = left_of(&c, &big);
    cr_assert_eq(left.limit, SLR_LIMIT_CPU);
    /* (0.95 - 0.1) / ((0.1 + 20 * 0.0005) / 1020) */
    cr_assert(left.calls >= 7880 && left.calls <= 7882, "%u", left.calls);
    struct slr_room more = big;
    more.workers = 2; /* then the writer, 0.05 ms, is no limit yet, but the two cores are */
    left = left_of(&c, &more);
    cr_assert(left.calls > 10000 && left.calls < 12000, "%u", left.calls);
}

Test(calls_left, none_when_a_thread_is_used_up)
{
    struct slr_cost c = steady(500, 0.97, 0.1, 0.1);
    struct slr_calls_left left = left_of(&c, &big);
    cr_assert(left.calls == 0 && left.limit == SLR_LIMIT_CPU);
    cr_assert(slr_calls_left_refuse(&left, 500, false));
    left.calls = left.by[SLR_LIMIT_CPU] = 6; /* a hundredth, and two */
    cr_assert(slr_calls_left_refuse(&left, 500, true));
    left.calls = left.by[SLR_LIMIT_CPU] = 7;
    cr_assert_not(slr_calls_left_refuse(&left, 500, true));
    left.calls = left.by[SLR_LIMIT_CPU] = 1;
    cr_assert_not(slr_calls_left_refuse(&left, 500, false));
}

Test(calls_left, the_disk)
{
    struct slr_cost c = steady(1000, 0.01, 0.01, 0.5);
    struct slr_calls_left left = left_of(&c, &big);
    cr_assert_eq(left.limit, SLR_LIMIT_DISK);
    cr_assert(left.calls >= 899 && left.calls <= 901, "%u", left.calls); /* 0.45 / 0.0005 */
}

Test(calls_left, a_stall_counts_as_a_disk_that_was_used_all_the_time)
{
    struct slr_cost c = steady(100, 0.01, 0.01, 0.01);
    struct slr_cost_sample s = c.last;
    s.now.ns += SLR_NS_PER_S;
    s.disk_ns += 10 * SLR_NS_PER_S; /* a write of ten seconds came back */
    slr_cost_note(&c, &s);
    struct slr_calls_left left = left_of(&c, &big);
    cr_assert_gt(left.by[SLR_LIMIT_DISK], 100u);
}

Test(calls_left, memory)
{
    struct slr_cost none = {0};
    struct slr_room room = big;
    room.free_bytes = 10 * 57600; /* three seconds of ten calls */
    struct slr_calls_left left = left_of(&none, &room);
    cr_assert(left.calls == 10 && left.limit == SLR_LIMIT_MEMORY, "%u", left.calls);
    struct slr_cost c = steady(1000, 0.01, 0.01, 0.01);
    room.bytes_s = 200e6; /* a wide-band codec: what runs says what the next one takes */
    room.free_bytes = 260000000;
    left = left_of(&c, &room); /* 60 MB beyond one second of all, 0.59 MB each */
    cr_assert(left.calls > 99 && left.calls < 104, "%u", left.calls);
    room.free_bytes = 100000000;
    left = left_of(&c, &room);
    cr_assert_eq(left.calls, 0u);
}

Test(calls_left, what_is_counted_needs_no_second_thought)
{
    struct slr_cost none = {0};
    struct slr_room room = big;
    room.ports_free = 3;
    struct slr_calls_left left = left_of(&none, &room);
    cr_assert(left.calls == 1 && left.limit == SLR_LIMIT_PORTS);
    cr_assert_not(slr_calls_left_refuse(&left, 1000, true));
    room.slots_free = 1;
    left = left_of(&none, &room);
    cr_assert(left.calls == 0 && left.limit == SLR_LIMIT_SLOTS);
    cr_assert(slr_calls_left_refuse(&left, 1000, true));
    room = big;
    room.streams_free = 7;
    left = left_of(&none, &room);
    cr_assert(left.calls == 3 && left.limit == SLR_LIMIT_STREAMS);
    cr_assert_str_eq(slr_limit_name(left.limit), "-S");
}

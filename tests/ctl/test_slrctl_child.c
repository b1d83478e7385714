/* Argument lists, and the pace at which a dying child is started again. */
#include <criterion/criterion.h>

#include "common/clock.h"
#include "ctl/slrctl_child.h"

Test(slrctl_child, words)
{
    struct slrctl_child c = {0};
    slrctl_child_add(&c, "--x=%d", 7);
    slrctl_child_add_words(&c, "  -S 10\t--media-source any ");
    slrctl_child_add_words(&c, NULL);
    cr_assert_eq(c.argc, 5);
    cr_assert_str_eq(c.argv[0], "--x=7");
    cr_assert_str_eq(c.argv[2], "10");
    cr_assert_str_eq(c.argv[4], "any");
    cr_assert_null(c.argv[5]);
    slrctl_child_fini(&c);
}

Test(slrctl_child, too_many_arguments_are_no_start)
{
    struct slrctl_child c = {0};
    for (int i = 0; i <= SLRCTL_ARGS_MAX; i++) {
        slrctl_child_add(&c, "x");
    }
    cr_assert(c.overflow);
    cr_assert_eq(slrctl_child_start(&c, -1, 0), SLR_FULL);
    cr_assert_eq(c.pid, 0);
    slrctl_child_fini(&c);
}

Test(slrctl_child, restarts_at_once_after_a_good_run_and_slower_while_it_keeps_dying)
{
    struct slrctl_child c = {0};
    int64_t now = 0;
    uint32_t last = 0;
    c.started_ns = now;
    now += 60 * SLR_NS_PER_S;
    slrctl_child_ended(&c, 0, now);
    cr_assert_leq(c.restart_ns - now, 100 * SLR_NS_PER_MS);
    for (int i = 0; i < 20; i++) {
        c.started_ns = now;
        slrctl_child_ended(&c, 0, now);
        cr_assert_geq(c.backoff_ms, last);
        cr_assert_leq(c.backoff_ms, 2000);
        last = c.backoff_ms;
        now += SLR_NS_PER_S;
    }
    cr_assert_eq(last, 2000);
    c.started_ns = now;
    slrctl_child_ended(&c, 0, now + 5 * SLR_NS_PER_S);
    cr_assert_leq(c.backoff_ms, 100);
}

/* Only the first run: what ran once with these options can do so again. */
Test(slrctl_child, options_that_it_refuses)
{
    struct slrctl_child c = {.starts = 1};
    c.status = 2 << 8;
    cr_assert(slrctl_child_misused(&c));
    c.status = 1 << 8;
    cr_assert_not(slrctl_child_misused(&c));
    c.status = 2; /* a signal */
    cr_assert_not(slrctl_child_misused(&c));
    c.status = 2 << 8;
    c.starts = 2;
    cr_assert_not(slrctl_child_misused(&c));
}

Test(slrctl_child, a_program_that_is_not_there)
{
    struct slrctl_child c;
    cr_assert_eq(slrctl_child_init(&c, "no-such-program"), SLR_NOTFOUND);
}

Test(slrctl_child, starts_and_ends_a_process, .timeout = 20)
{
    struct slrctl_child c = {.name = "sleep"};
    slrctl_child_add(&c, "/bin/sleep");
    slrctl_child_add(&c, "1000");
    cr_assert_eq(slrctl_child_start(&c, -1, slrctl_now_ns()), SLR_OK);
    cr_assert_gt(c.pid, 0);
    struct slrctl_child *const list[] = {&c};
    slrctl_child_stop_all(list, 1);
    cr_assert_eq(c.pid, 0);
    char how[32];
    slrctl_child_describe(c.status, how);
    cr_assert_str_eq(how, "signal 15");
    slrctl_child_fini(&c);
}

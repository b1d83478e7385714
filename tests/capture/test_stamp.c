/*
 * Stamps: when the kernel says that a datagram came, and how far it is believed. On a virtual
 * clock, whose wall time and monotonic time are one.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "capture/live.h"

#define T0 (1000 * SLR_NS_PER_S)

struct one {
    struct slr_clock *clock;
    struct slr_live live;
};

static void begin(struct one *o)
{
    o->clock = slr_clock_virtual((slr_wall){T0});
    const struct slr_capture_config cfg = {.clock = o->clock, .max_sockets = 4};
    cr_assert_eq(slr_live_init(&o->live, &cfg), SLR_OK);
    slr_live_stamp(&o->live);
}

static void done(struct one *o)
{
    slr_live_fini(&o->live);
    slr_clock_free(o->clock);
}

static void pass(struct one *o, int64_t ns)
{
    slr_clock_advance(o->clock, (slr_wall){slr_clock_wall(o->clock).ns + ns});
}

/* Arrival of a datagram with that stamp, each on a socket of its own. */
static int64_t arrival(struct one *o, uint32_t tag, int64_t wall_ns)
{
    const struct slr_live_news news = {.wall_ns = wall_ns};
    const struct msghdr none = {0};
    const uint8_t bytes[1] = {0};
    struct slr_packet p;
    slr_live_fill(&o->live, tag, &none, &news, bytes, sizeof bytes, &p);
    return p.arrival.ns;
}

Test(stamp, what_came_after_the_clock_was_read_came_then)
{
    struct one o;
    begin(&o);
    pass(&o, 40 * SLR_NS_PER_MS); /* the thread was away between the clock and the socket */
    cr_assert_eq(arrival(&o, 0, T0 + 37 * SLR_NS_PER_MS), T0 + 37 * SLR_NS_PER_MS);
    done(&o);
}

Test(stamp, one_of_the_future_is_not_believed)
{
    struct one o;
    begin(&o);
    cr_assert_eq(arrival(&o, 0, T0 + SLR_NS_PER_S), T0);
    done(&o);
}

Test(stamp, what_waited_in_a_stall_came_when_it_came)
{
    struct one o;
    begin(&o);
    pass(&o, 5 * SLR_NS_PER_S);
    slr_live_stamp(&o.live);
    cr_assert_eq(arrival(&o, 0, T0 + SLR_NS_PER_MS), T0 + SLR_NS_PER_MS);
    pass(&o, SLR_NS_PER_S); /* it is taken by and by */
    slr_live_stamp(&o.live);
    cr_assert_eq(arrival(&o, 1, T0 + SLR_NS_PER_S), T0 + SLR_NS_PER_S);
    done(&o);
}

/* Whoever looks all the time knows that a stamp of long ago is another clock's. */
Test(stamp, an_old_one_is_not_believed_without_a_stall)
{
    struct one o;
    begin(&o);
    for (int i = 0; i < 100; i++) {
        pass(&o, 100 * SLR_NS_PER_MS);
        slr_live_stamp(&o.live);
    }
    int64_t now = slr_clock_mono(o.clock).ns;
    cr_assert_eq(arrival(&o, 0, now - 900 * SLR_NS_PER_MS), now - 900 * SLR_NS_PER_MS);
    cr_assert_eq(arrival(&o, 1, now - 5 * SLR_NS_PER_S), now);
    done(&o);
}

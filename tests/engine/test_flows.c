/* Flows: addresses to legs, bounded, and forgetting. */
#include <criterion/criterion.h>
#include <string.h>

#include "engine/flows.h"
#include "engine/state.h"

static struct slr_addr addr(uint32_t i)
{
    struct slr_addr a;
    memset(&a, 0, sizeof a);
    a.family = 4;
    a.ip[0] = 10;
    a.ip[2] = (uint8_t)(i >> 8);
    a.ip[3] = (uint8_t)i;
    a.port = (uint16_t)(1024 + i * 2);
    return a;
}

Test(flows, found_by_both_addresses)
{
    struct slr_flows f;
    cr_assert_eq(slr_flows_init(&f, 100), SLR_OK);
    struct slr_addr a = addr(1);
    struct slr_addr b = addr(2);
    cr_assert_null(slr_flow_find(&f, &a, &b));
    cr_assert_not_null(slr_flow_add(&f, &a, &b, 7, (slr_mono){5}));
    cr_assert_eq(slr_flow_find(&f, &a, &b)->leg, 7u);
    cr_assert_eq(slr_flow_find(&f, &a, &b)->first_ns, 5);
    cr_assert_null(slr_flow_find(&f, &b, &a));
    struct slr_addr other = a;
    other.port++;
    cr_assert_null(slr_flow_find(&f, &other, &b));
    slr_flows_fini(&f);
}

Test(flows, full)
{
    struct slr_flows f;
    cr_assert_eq(slr_flows_init(&f, 500), SLR_OK);
    struct slr_addr b = addr(9999);
    for (uint32_t i = 0; i < 500; i++) {
        struct slr_addr a = addr(i);
        cr_assert_not_null(slr_flow_add(&f, &a, &b, i, (slr_mono){0}));
    }
    struct slr_addr a = addr(500);
    cr_assert_null(slr_flow_add(&f, &a, &b, 500, (slr_mono){0}));
    for (uint32_t i = 0; i < 500; i++) {
        a = addr(i);
        cr_assert_eq(slr_flow_find(&f, &a, &b)->leg, i);
    }
    slr_flows_fini(&f);
}

/* Closed ones stay for stragglers until they are purged; the others never go. */
Test(flows, close_and_purge)
{
    struct slr_flows f;
    cr_assert_eq(slr_flows_init(&f, 500), SLR_OK);
    struct slr_addr b = addr(9999);
    for (uint32_t i = 0; i < 500; i++) {
        struct slr_addr a = addr(i);
        cr_assert_not_null(slr_flow_add(&f, &a, &b, i % 10, (slr_mono){0}));
    }
    slr_flows_close_leg(&f, 3, (slr_mono){100});
    slr_flows_close_leg(&f, 4, (slr_mono){200});
    slr_flows_purge(&f, (slr_mono){200});
    cr_assert_eq(f.count, 450u);
    for (uint32_t i = 0; i < 500; i++) {
        struct slr_addr a = addr(i);
        struct slr_flow *flow = slr_flow_find(&f, &a, &b);
        if (i % 10 == 3) {
            cr_assert_null(flow);
        } else {
            cr_assert_eq(flow->leg, i % 10 == 4 ? SLR_NONE : i % 10);
        }
    }
    struct slr_addr a = addr(3);
    cr_assert_not_null(slr_flow_add(&f, &a, &b, 3, (slr_mono){0}));
    slr_flows_fini(&f);
}

Test(flows, a_walk_meets_each_in_the_order_they_came)
{
    struct slr_flows f;
    struct slr_addr src = {.ip = {10, 0, 0, 1}, .family = 4},
                    dst = {.ip = {10, 0, 0, 2}, .family = 4};
    cr_assert_eq(slr_flows_init(&f, 64), SLR_OK);
    for (uint32_t i = 0; i < 64; i++) {
        src.port = (uint16_t)(1000 + 7 * i % 64);
        cr_assert_not_null(slr_flow_add(&f, &src, &dst, i, (slr_mono){1}));
    }
    for (uint32_t i = 0; i < 64; i += 2) {
        slr_flows_close_leg(&f, i, (slr_mono){10});
    }
    slr_flows_purge(&f, (slr_mono){11});
    cr_assert_eq(f.count, 32);
    cr_assert_eq(f.closed, 0);
    for (uint32_t i = 0; i < f.count; i++) {
        cr_assert_eq(f.at[f.slot[i]].leg, 2 * i + 1);
        src.port = (uint16_t)(1000 + 7 * (2 * i + 1) % 64);
        cr_assert_eq(slr_flow_find(&f, &src, &dst), &f.at[f.slot[i]]);
    }
    slr_flows_fini(&f);
}

static struct slr_addr host(uint8_t number, uint16_t port)
{
    struct slr_addr a = addr(0);
    a.ip[3] = number;
    a.port = port;
    return a;
}

static bool is_reverse(const struct slr_flow *a, const struct slr_flow *b)
{
    return slr_addr_eq_ip(&a->src, &b->dst) && slr_addr_eq_ip(&a->dst, &b->src) &&
           (a->src.port == b->dst.port || a->dst.port == b->src.port);
}

/* What the walk gives is what a look at every one gives, each once, whatever was forgotten. */
static void compare_reverse(struct slr_flows *f)
{
    for (uint32_t i = 0; i < f->count; i++) {
        const struct slr_flow *of = &f->at[f->slot[i]];
        struct slr_flow_walk walk = {0};
        const struct slr_flow *b;
        uint32_t want = 0, got = 0;
        for (uint32_t k = 0; k < f->count; k++) {
            want += is_reverse(of, &f->at[f->slot[k]]);
        }
        uint64_t seen = 0;
        while ((b = slr_flow_reverse(f, of, &walk)) != NULL) {
            cr_assert(is_reverse(of, b));
            cr_assert_lt(b->order, 1000u);
            seen += (uint64_t)b->order + 1;
            got++;
            cr_assert_leq(got, want);
        }
        uint64_t sum = 0;
        for (uint32_t k = 0; k < f->count; k++) {
            b = &f->at[f->slot[k]];
            sum += is_reverse(of, b) ? (uint64_t)b->order + 1 : 0;
        }
        cr_assert_eq(got, want);
        cr_assert_eq(seen, sum);
    }
}

Test(flows, the_other_direction)
{
    struct slr_flows f;
    uint32_t drawn = 12345;
    cr_assert_eq(slr_flows_init(&f, 600), SLR_OK);
    for (uint32_t i = 0; i < 500; i++) {
        drawn = drawn * 1664525u + 1013904223u;
        struct slr_addr src = host((uint8_t)(drawn >> 30), (uint16_t)(4000 + (drawn >> 20) % 4));
        struct slr_addr dst =
            host((uint8_t)(drawn >> 28 & 3), (uint16_t)(4000 + (drawn >> 12) % 4));
        if (!slr_flow_find(&f, &src, &dst)) {
            cr_assert_not_null(slr_flow_add(&f, &src, &dst, i, (slr_mono){0}));
        }
    }
    cr_assert_gt(f.count, 100);
    compare_reverse(&f);
    for (uint32_t leg = 0; leg < 500; leg += 3) {
        slr_flows_close_leg(&f, leg, (slr_mono){1});
    }
    slr_flows_purge(&f, (slr_mono){2});
    compare_reverse(&f);
    slr_flows_fini(&f);
}

/*
 * The search: it ends, at the highest number that goes well, within its bounds.
 */
#include <criterion/criterion.h>

#include "load/find.h"

/* What the search says of a recorder that carries `limit` calls. */
static struct slr_find search(uint32_t first, uint32_t most, uint32_t steps, uint32_t limit)
{
    struct slr_find f;
    uint32_t n = slr_find_begin(&f, first, most, steps);
    for (uint32_t i = 0; n > 0; i++) {
        cr_assert_lt(i, steps);
        cr_assert_leq(n, most);
        n = slr_find_next(&f, n, n <= limit);
    }
    cr_assert_leq(f.good, limit);
    return f;
}

Test(find, every_limit_is_found_to_one_part_in_32)
{
    for (uint32_t limit = 1; limit < 6000; limit += 37) {
        struct slr_find f = search(100, 20000, 64, limit);
        cr_assert(f.bad > limit);
        cr_assert(f.bad - f.good <= 1 || f.bad - f.good <= f.good / 32, "limit %u: %u..%u", limit,
                  f.good, f.bad);
    }
}

Test(find, bounds)
{
    struct slr_find f = search(100, 1000, 64, 5000);
    cr_assert_eq(f.good, 1000);
    cr_assert_eq(f.bad, 0);
    f = search(4000, 1000, 64, 5000);
    cr_assert_eq(f.good, 1000);
    f = search(100, 100000, 5, 5000);
    cr_assert_eq(f.steps, 5);
    cr_assert_eq(f.good, 1600);
    f = search(100, 1000, 64, 0);
    cr_assert_eq(f.good, 0);
}

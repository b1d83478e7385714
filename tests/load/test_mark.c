/*
 * Watermarks: found again, told apart, worth nothing when touched.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "load/mark.h"

Test(mark, is_read_back)
{
    uint8_t at[160];
    struct slr_mark m = {0xdeadbeef, 12345, 1, 777};
    struct slr_mark got;
    slr_mark_fill(&m, at, sizeof at);
    cr_assert(slr_mark_find(at, m.run_id, &got));
    cr_assert_eq(got.call, m.call);
    cr_assert_eq(got.leg, m.leg);
    cr_assert_eq(got.frame, m.frame);
}

Test(mark, of_another_run_is_none)
{
    uint8_t at[160];
    struct slr_mark m = {1, 2, 0, 3};
    struct slr_mark got;
    slr_mark_fill(&m, at, sizeof at);
    cr_assert_not(slr_mark_find(at, 2, &got));
}

Test(mark, any_byte_changed_is_none)
{
    struct slr_mark m = {1, 2, 0, 3};
    struct slr_mark got;
    for (size_t i = 0; i < SLR_MARK_BYTES; i++) {
        uint8_t at[160];
        slr_mark_fill(&m, at, sizeof at);
        at[i] ^= 1;
        cr_assert_not(slr_mark_find(at, 1, &got), "byte %zu", i);
    }
}

/* The rest of the payload differs between neighbours of every kind. */
Test(mark, no_two_are_alike)
{
    static const struct slr_mark some[] = {{1, 2, 0, 3}, {1, 2, 1, 3}, {1, 2, 0, 4},
                                           {1, 3, 0, 3}, {2, 2, 0, 3}, {1, 2, 1, 2}};
    enum { COUNT = sizeof some / sizeof some[0] };
    uint8_t at[COUNT][160];
    for (size_t i = 0; i < COUNT; i++) {
        slr_mark_fill(&some[i], at[i], 160);
        for (size_t k = 0; k < i; k++) {
            size_t same = 0;
            for (size_t b = SLR_MARK_BYTES; b < 160; b++) {
                same += at[i][b] == at[k][b];
            }
            cr_assert_lt(same, 12, "%zu and %zu", i, k);
        }
    }
}

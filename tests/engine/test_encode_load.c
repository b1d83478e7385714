/* encode_load: when it is load, and that it does not flicker. */
#include <criterion/criterion.h>

#include "common/clock.h"
#include "engine/encode_load.h"

/* One second on two processors of which the engine used so much. */
static bool judge(struct slr_encode_load *l, int percent, int64_t late_ms)
{
    return slr_encode_load_judge(l, (int64_t)percent * SLR_NS_PER_S / 50, SLR_NS_PER_S, 2, late_ms,
                                 false);
}

static int seconds_to_calm(struct slr_encode_load *l, int percent, int64_t late_ms)
{
    for (int i = 1; i < 100; i++) {
        if (!judge(l, percent, late_ms)) {
            return i;
        }
    }
    return 100;
}

Test(encode_load, processor)
{
    struct slr_encode_load l;
    slr_encode_load_init(&l, 75);
    cr_assert_not(l.busy);
    cr_assert_not(judge(&l, 74, 0));
    cr_assert_eq(l.used_percent, 74u);
    cr_assert(judge(&l, 75, 0));
    cr_assert_eq(seconds_to_calm(&l, 61, 0), 100, "not a little less only");
    cr_assert_eq(seconds_to_calm(&l, 60, 0), (int)SLR_ENCODE_LOAD_CALM_S);
    cr_assert_not(judge(&l, 70, 0));
}

Test(encode_load, calm_has_to_last)
{
    struct slr_encode_load l;
    slr_encode_load_init(&l, 50);
    cr_assert(judge(&l, 90, 0));
    for (int i = 0; i < 20; i++) {
        for (uint32_t k = 0; k + 1 < SLR_ENCODE_LOAD_CALM_S; k++) {
            cr_assert(judge(&l, 0, 0));
        }
        cr_assert(judge(&l, 45, 0), "between both");
    }
    cr_assert_eq(seconds_to_calm(&l, 0, 0), (int)SLR_ENCODE_LOAD_CALM_S);
}

Test(encode_load, late_writers)
{
    struct slr_encode_load l;
    slr_encode_load_init(&l, 75);
    cr_assert_not(judge(&l, 1, SLR_ENCODE_LOAD_LATE_MS - 1));
    cr_assert(judge(&l, 1, SLR_ENCODE_LOAD_LATE_MS));
    cr_assert_eq(l.late_ms, SLR_ENCODE_LOAD_LATE_MS);
    cr_assert_eq(seconds_to_calm(&l, 1, SLR_ENCODE_LOAD_LATE_MS / 2), 100);
    cr_assert_eq(seconds_to_calm(&l, 1, SLR_ENCODE_LOAD_LATE_MS / 2 - 1),
                 (int)SLR_ENCODE_LOAD_CALM_S);
}

/* Somebody else's programs take the processors: the engine itself hardly runs. */
Test(encode_load, starved_encoders)
{
    struct slr_encode_load l;
    slr_encode_load_init(&l, 75);
    cr_assert(slr_encode_load_judge(&l, 0, SLR_NS_PER_S, 2, 0, true));
    cr_assert_eq(seconds_to_calm(&l, 0, 0), (int)SLR_ENCODE_LOAD_CALM_S);
}

Test(encode_load, never_room)
{
    struct slr_encode_load l;
    slr_encode_load_init(&l, 0);
    cr_assert(l.busy);
    cr_assert_eq(seconds_to_calm(&l, 0, 0), 100);
}

/* Clocks that stand still or go back are no load. */
Test(encode_load, odd_clocks)
{
    struct slr_encode_load l;
    slr_encode_load_init(&l, 75);
    cr_assert_not(slr_encode_load_judge(&l, 5, 0, 2, 0, false));
    cr_assert_not(slr_encode_load_judge(&l, -5, SLR_NS_PER_S, 2, 0, false));
}

/* clock: the virtual clock, tick conversion at its limits, RFC 3339 text. */
#include <criterion/criterion.h>

#include "common/clock.h"

Test(clock, a_virtual_clock_only_goes_forward)
{
    struct slr_clock *c = slr_clock_virtual((slr_wall){1000});

    cr_assert_not_null(c);
    cr_assert(slr_clock_is_virtual(c));
    cr_assert_eq(slr_clock_wall(c).ns, 1000);
    cr_assert_eq(slr_clock_mono(c).ns, 1000);
    slr_clock_advance(c, (slr_wall){2500});
    cr_assert_eq(slr_clock_mono(c).ns, 2500);
    slr_clock_advance(c, (slr_wall){10});
    cr_assert_eq(slr_clock_wall(c).ns, 2500);
    slr_clock_free(c);
    cr_assert_not(slr_clock_is_virtual(slr_clock_real()));
}

Test(clock, ticks_round_down)
{
    cr_assert_eq(slr_ticks_from_ns(0), 0);
    cr_assert_eq(slr_ticks_from_ns(SLR_NS_PER_S), SLR_TICKS_HZ);
    cr_assert_eq(slr_ticks_from_ns(-SLR_NS_PER_S), -SLR_TICKS_HZ);
    cr_assert_eq(slr_ticks_from_ns(20 * SLR_NS_PER_MS), 1764 * 160);
    cr_assert_eq(slr_ticks_from_ns(70), 0);
    cr_assert_eq(slr_ticks_from_ns(71), 1);
    cr_assert_eq(slr_ticks_from_ns(-1), -1);
    cr_assert_eq(slr_ns_from_ticks(1), 70);
    cr_assert_eq(slr_ns_from_ticks(-1), -71);
    cr_assert_eq(slr_ns_from_ticks(SLR_TICKS_HZ), SLR_NS_PER_S);
}

Test(clock, ticks_hold_over_20_years)
{
    const int64_t years_20_s = 20LL * 366 * 86400;

    for (int sign = -1; sign <= 1; sign += 2) {
        int64_t s = sign * years_20_s;
        cr_assert_eq(slr_ticks_from_ns(s * SLR_NS_PER_S), s * SLR_TICKS_HZ);
        cr_assert_eq(slr_ns_from_ticks(s * SLR_TICKS_HZ), s * SLR_NS_PER_S);
    }
}

Test(clock, every_rate_has_whole_ticks)
{
    const int rates[] = {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000};
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        cr_assert_eq(SLR_TICKS_HZ % rates[i], 0, "%d Hz", rates[i]);
    }
}

Test(clock, wall_text)
{
    char out[32];

    slr_wall_format((slr_wall){1795201262123456789}, out);
    cr_assert_str_eq(out, "2026-11-20T19:01:02.123Z");
    slr_wall_format((slr_wall){0}, out);
    cr_assert_str_eq(out, "1970-01-01T00:00:00.000Z");
    slr_wall_format((slr_wall){-1}, out);
    cr_assert_str_eq(out, "1969-12-31T23:59:59.999Z");
    slr_wall_format((slr_wall){INT64_MIN}, out);
    cr_assert_str_eq(out, "1677-09-21T00:12:43.145Z");
}

Test(clock, wall_parse)
{
    slr_wall w = {5};

    cr_assert(slr_wall_parse("2026-11-20T19:01:02.123Z", &w));
    cr_assert_eq(w.ns, 1795201262123000000);
    cr_assert(slr_wall_parse("2026-11-20T19:01:02.1234567891", &w));
    cr_assert_eq(w.ns, 1795201262123456789);
    cr_assert(slr_wall_parse("1970-01-01T00:00:01", &w) && w.ns == SLR_NS_PER_S);
    cr_assert(slr_wall_parse("2024-02-29T00:00:00Z", &w));
    cr_assert(slr_wall_parse("2016-12-31T23:59:60Z", &w) && w.ns == 1483228800 * SLR_NS_PER_S);
}

Test(clock, wall_parse_refuses)
{
    const char *bad[] = {"",
                         "2026-11-20",
                         "2026-11-20 19:01:02Z",
                         "2026-11-20T19:01:02+01:00",
                         "2026-11-20T19:01:02Zx",
                         "2026-11-20T19:01:02.Z",
                         "2026-13-20T19:01:02Z",
                         "2026-02-30T19:01:02Z",
                         "2023-02-29T00:00:00Z",
                         "2026-11-20T24:01:02Z",
                         "2026-1-20T19:01:02Z",
                         "0001-01-01T00:00:00Z",
                         "9999-01-01T00:00:00Z"};
    slr_wall w = {5};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_not(slr_wall_parse(bad[i], &w), "%s", bad[i]);
    }
    cr_assert_not(slr_wall_parse(NULL, &w));
    cr_assert_eq(w.ns, 5);
}

/*
 * Profiles and casts: what names and percentages mean.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "load/cast.h"
#include "load/profile.h"

Test(profile, names)
{
    struct slr_profile p;
    cr_assert_eq(slr_profile_find("clean", &p), SLR_OK);
    cr_assert_eq(p.impair.loss_ppm + p.impair.jitter_us + p.impair.reorder_ppm, 0);
    cr_assert_eq(slr_profile_find("bad", &p), SLR_OK);
    cr_assert_eq(p.impair.loss_ppm, 20000);
    cr_assert_eq(p.impair.jitter_us, 50000);
    cr_assert_eq(slr_profile_find("pauses", &p), SLR_OK);
    cr_assert(p.impair.dtx);
    cr_assert_eq(slr_profile_find("list", &p), SLR_NOTFOUND);
    cr_assert(strstr(slr_profile_list(), "wan: "));
}

Test(profile, percent)
{
    uint32_t ppm = 7;
    cr_assert(slr_profile_percent("0.5", &ppm));
    cr_assert_eq(ppm, 5000);
    cr_assert(slr_profile_percent("100", &ppm));
    cr_assert_eq(ppm, 1000000);
    static const char *const bad[] = {"", "x", "1x", "-1", "100.1", "nan"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_not(slr_profile_percent(bad[i], &ppm), "%s", bad[i]);
    }
}

/* Every profile's codecs are ones that can be sent. */
Test(profile, codecs_exist)
{
    const char *at = slr_profile_list();
    static const struct slr_option_list none;
    while (*at) {
        char name[32] = "";
        struct slr_profile p;
        struct slr_cast cast;
        memcpy(name, at, strcspn(at, ":"));
        cr_assert_eq(slr_profile_find(name, &p), SLR_OK, "%s", name);
        cr_assert_eq(slr_cast_open(&cast, &none, p.codecs, 1), SLR_OK, "%s", name);
        slr_cast_close(&cast);
        at = strchr(at, '\n') + 1;
    }
}

Test(cast, weights)
{
    const char *names[] = {"PCMA:3", "L16"};
    struct slr_option_list list = {names, 2};
    struct slr_cast cast;
    uint32_t l16 = 0;
    cr_assert_eq(slr_cast_open(&cast, &list, NULL, 5), SLR_OK);
    for (uint32_t call = 0; call < 10000; call++) {
        l16 += strcmp(slr_cast_voice(&cast, call)->row->name, "L16") == 0;
    }
    cr_assert(l16 > 2350 && l16 < 2650, "%u", l16);
    cr_assert_eq(slr_cast_payload_max(&cast), 640);
    slr_cast_close(&cast);
    names[1] = "MP3";
    cr_assert_eq(slr_cast_open(&cast, &list, NULL, 5), SLR_INVAL);
    names[1] = "PCMU:0";
    cr_assert_eq(slr_cast_open(&cast, &list, NULL, 5), SLR_INVAL);
}

/*
 * Comfort noise of RFC 3389: as loud as the level says, shaped as the coefficients say, the same
 * for the same seed.
 */
#include <criterion/criterion.h>
#include <math.h>

#include "codecs/comfort.h"

#define SAMPLES 40000

static int16_t noise[SAMPLES];

static double make(const uint8_t *payload, size_t len_bytes, uint32_t seed)
{
    struct slr_comfort c;
    double power = 0;
    slr_comfort_reset(&c, seed);
    cr_assert_eq(slr_comfort_take(&c, slr_slice_of(payload, len_bytes)), SLR_OK);
    for (uint32_t at = 0; at < SAMPLES; at += 160) {
        slr_comfort_make(&c, noise + at, 160);
    }
    for (uint32_t i = 0; i < SAMPLES; i++) {
        power += (double)noise[i] * noise[i];
    }
    return 20 * log10(sqrt(power / SAMPLES) / 32768.0 + 1e-9);
}

/* Correlation of neighbours, -1..1. */
static double slope(void)
{
    double near = 0, power = 0;
    for (uint32_t i = 1; i < SAMPLES; i++) {
        near += (double)noise[i] * noise[i - 1];
        power += (double)noise[i] * noise[i];
    }
    return near / power;
}

Test(comfort, level)
{
    static const uint8_t level[] = {20, 30, 40, 55, 60};
    for (size_t i = 0; i < sizeof level; i++) {
        double got = make(&level[i], 1, 7);
        cr_assert(fabs(got + level[i]) < 0.5, "-%u dBov is %f", level[i], got);
        cr_assert(fabs(slope()) < 0.03, "white");
    }
    cr_assert_lt(make((const uint8_t[]){127}, 1, 7), -110.0);
}

/* The level is that of the noise, whatever its shape. */
Test(comfort, spectrum)
{
    static const uint8_t low[] = {40, 27}, high[] = {40, 227}, two[] = {40, 27, 167};
    double k = 258.0 * 100 / 32768;
    cr_assert(fabs(make(low, 2, 7) + 40) < 0.7);
    cr_assert(fabs(slope() - k) < 0.03, "%f", slope()); /* 1 / (1 - k z^-1) */
    cr_assert(fabs(make(high, 2, 7) + 40) < 0.7);
    cr_assert(fabs(slope() + k) < 0.03, "%f", slope());
    cr_assert(fabs(make(two, 3, 7) + 40) < 0.7);
    cr_assert(fabs(slope() - k) < 0.03, "the first one is the correlation of neighbours");
}

Test(comfort, same_seed_same_noise)
{
    static const uint8_t payload[] = {35, 100, 140, 110};
    static int16_t first[SAMPLES];
    (void)make(payload, 4, 99);
    memcpy(first, noise, sizeof first);
    (void)make(payload, 4, 99);
    cr_assert(memcmp(first, noise, sizeof first) == 0);
    (void)make(payload, 4, 100);
    cr_assert(memcmp(first, noise, sizeof first) != 0);
}

Test(comfort, odd_payloads)
{
    struct slr_comfort c;
    int16_t out[160];
    uint8_t long_one[60] = {30};
    uint32_t level = 0;
    slr_comfort_reset(&c, 1);
    slr_comfort_make(&c, out, 160);
    for (int i = 0; i < 160; i++) {
        cr_assert_eq(out[i], 0, "silence before the first payload");
    }
    cr_assert_eq(slr_comfort_take(&c, slr_slice_of(NULL, 0)), SLR_FORMAT);
    memset(long_one + 1, 127, sizeof long_one - 1);
    cr_assert_eq(slr_comfort_take(&c, slr_slice_of(long_one, sizeof long_one)), SLR_OK);
    cr_assert_leq(c.order, (uint32_t)SLR_COMFORT_MAX_ORDER);
    cr_assert_eq(slr_comfort_level(slr_slice_of(long_one, 1), &level), SLR_OK);
    cr_assert_eq(level, 30u);
    /* The poles at the edge of stability stay within it. */
    memset(long_one + 1, 254, sizeof long_one - 1);
    cr_assert_eq(slr_comfort_take(&c, slr_slice_of(long_one, sizeof long_one)), SLR_OK);
    for (int i = 0; i < 500; i++) {
        slr_comfort_make(&c, out, 160);
    }
    cr_assert(isfinite(c.delay[0]));
}

/* Tones of telephone events: frequencies, level, and the same samples however they are cut. */
#include "engine/dtmf_tone.h"

#include <criterion/criterion.h>
#include <math.h>

static double level(const int16_t *pcm, uint32_t n, double tone_hz, uint32_t hz)
{
    double re = 0, im = 0;
    for (uint32_t i = 0; i < n; i++) {
        re += pcm[i] * cos(2 * M_PI * tone_hz * i / hz);
        im += pcm[i] * sin(2 * M_PI * tone_hz * i / hz);
    }
    return 2 * hypot(re, im) / n;
}

Test(dtmf_tone, the_two_tones_of_each_digit)
{
    static const double low[16] = {941, 697, 697, 697, 770, 770, 770, 852,
                                   852, 852, 941, 941, 697, 770, 852, 941};
    static const double high[16] = {1336, 1209, 1336, 1477, 1209, 1336, 1477, 1209,
                                    1336, 1477, 1209, 1477, 1633, 1633, 1633, 1633};
    static const uint32_t hz[] = {8000, 48000};
    static int16_t pcm[48000];
    for (uint32_t r = 0; r < 2; r++) {
        for (uint8_t event = 0; event < 16; event++) {
            const uint8_t payload[4] = {event, 0x80 | 10, 0, 0};
            struct slr_dtmf_tone tone;
            slr_dtmf_tone_of(slr_slice_of(payload, 4), hz[r], hz[r], &tone);
            slr_dtmf_tone_make(&tone, 0, pcm, hz[r]);
            /* -10 dBm0 in all: each -13, of a full scale of 3.14 */
            double want = 32767 * pow(10, -(10 + 3.01 + 3.14) / 20);
            cr_assert_float_eq(level(pcm, hz[r], low[event], hz[r]), want, want * 0.02);
            cr_assert_float_eq(level(pcm, hz[r], high[event], hz[r]), want, want * 0.02);
        }
    }
}

Test(dtmf_tone, any_part_is_the_same_and_the_ends_are_soft)
{
    static const uint8_t payload[4] = {5, 0, 0, 0}; /* as loud as it gets */
    static int16_t whole[1600], part[1600];
    struct slr_dtmf_tone tone;
    slr_dtmf_tone_of(slr_slice_of(payload, 4), 8000, 1600, &tone);
    slr_dtmf_tone_make(&tone, 0, whole, 1600);
    for (uint32_t at = 0; at < 1600; at += 7) {
        slr_dtmf_tone_make(&tone, at, part + at, 1600 - at < 7 ? 1600 - at : 7);
    }
    cr_assert_arr_eq(whole, part, sizeof whole);
    cr_assert_lt(abs(whole[0]), 3000);
    cr_assert_lt(abs(whole[1599]), 3000);
}

Test(dtmf_tone, what_is_no_digit_is_silent)
{
    static const uint8_t payload[4] = {16, 10, 0, 0};
    int16_t pcm[100] = {1, 2, 3};
    struct slr_dtmf_tone tone;
    slr_dtmf_tone_of(slr_slice_of(payload, 4), 8000, 100, &tone);
    slr_dtmf_tone_make(&tone, 0, pcm, 100);
    for (int i = 0; i < 100; i++) {
        cr_assert_eq(pcm[i], 0);
    }
    slr_dtmf_tone_of(slr_slice_of(payload, 0), 8000, 100, &tone);
    cr_assert_eq(tone.event, 0xff);
}

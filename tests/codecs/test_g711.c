/*
 * G.711 against the standard: the reference below is written from the decision values of ITU-T
 * G.711 tables 1a and 2a (a list of thresholds, searched), not from the bit tricks of the module.
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "codecs/g711.h"

struct law {
    int decision[129]; /* 16-bit scale, n = 0..128 */
    int output[128];
};

/*
 * Table 1a: 32 intervals of 2 (the first two segments), then seven segments of 16 intervals whose
 * step doubles, up to the virtual decision value 4096; the output is the middle of the interval.
 * 13-bit values; 8 times as much in 16 bits.
 */
static void make_alaw(struct law *law)
{
    int n = 0, at = 0;
    for (int segment = 0; segment < 7; segment++) {
        int step = 2 << segment, count = segment == 0 ? 32 : 16;
        for (int i = 0; i < count; i++) {
            law->decision[n] = at * 8;
            law->output[n] = (at + step / 2) * 8;
            at += step;
            n++;
        }
    }
    cr_assert_eq(n, 128);
    cr_assert_eq(at, 4096);
    law->decision[128] = at * 8;
}

/*
 * Table 2a: the first interval is 0..1 with output 0, then 15 of step 2, then seven segments of 16
 * whose step doubles, up to the virtual decision value 8159. 14-bit values; 4 times as much in 16.
 */
static void make_ulaw(struct law *law)
{
    int n = 1, at = 1;
    law->decision[0] = 0;
    law->output[0] = 0;
    for (int segment = 0; segment < 8; segment++) {
        int step = 2 << segment, count = segment == 0 ? 15 : 16;
        for (int i = 0; i < count; i++) {
            law->decision[n] = at * 4;
            law->output[n] = (at + step / 2) * 4;
            at += step;
            n++;
        }
    }
    cr_assert_eq(n, 128);
    cr_assert_eq(at, 8159);
    law->decision[128] = at * 4;
}

/* Interval of a magnitude; above the virtual decision value the last one. */
static int search(const struct law *law, int magnitude)
{
    int n = 0;
    while (n < 127 && magnitude >= law->decision[n + 1]) {
        n++;
    }
    return n;
}

/* Character signals: A-law is sign and number with the even bits inverted, mu-law is all bits
 * inverted. Negative samples mirror at -1/2, as in G.191. */
static uint8_t reference_code(const struct law *law, bool is_alaw, int s)
{
    int n = search(law, s < 0 ? -s - 1 : s);
    if (is_alaw) {
        return (uint8_t)((n | (s >= 0 ? 0x80 : 0)) ^ 0x55);
    }
    return (uint8_t)(~(n | (s < 0 ? 0x80 : 0)));
}

Test(g711, encodes_all_samples_as_the_standard_says)
{
    struct law alaw, ulaw;
    make_alaw(&alaw);
    make_ulaw(&ulaw);
    for (int s = INT16_MIN; s <= INT16_MAX; s++) {
        int a = slr_g711_s16_to_alaw((int16_t)s), u = slr_g711_s16_to_ulaw((int16_t)s);
        int want_a = reference_code(&alaw, true, s), want_u = reference_code(&ulaw, false, s);
        cr_assert(a == want_a, "alaw of %d: %02x, standard %02x", s, a, want_a);
        cr_assert(u == want_u, "ulaw of %d: %02x, standard %02x", s, u, want_u);
    }
}

Test(g711, decodes_all_codes_as_the_standard_says)
{
    struct law alaw, ulaw;
    make_alaw(&alaw);
    make_ulaw(&ulaw);
    for (int c = 0; c < 256; c++) {
        int a = c ^ 0x55, u = ~c & 0xff;
        int want_a = (a & 0x80 ? 1 : -1) * alaw.output[a & 0x7f];
        int want_u = (u & 0x80 ? -1 : 1) * ulaw.output[u & 0x7f];
        cr_assert_eq(slr_g711_alaw_to_s16((uint8_t)c), want_a, "alaw %02x", c);
        cr_assert_eq(slr_g711_ulaw_to_s16((uint8_t)c), want_u, "ulaw %02x", c);
    }
}

/* Values printed in the tables of the standard. */
Test(g711, known_answers)
{
    cr_assert_eq(slr_g711_ulaw_to_s16(0xff), 0);
    cr_assert_eq(slr_g711_ulaw_to_s16(0x7f), 0);
    cr_assert_eq(slr_g711_ulaw_to_s16(0x80), 8031 * 4);
    cr_assert_eq(slr_g711_ulaw_to_s16(0x00), -8031 * 4);
    cr_assert_eq(slr_g711_ulaw_to_s16(0x8f), 4191 * 4);
    cr_assert_eq(slr_g711_ulaw_to_s16(0xfe), 2 * 4);
    cr_assert_eq(slr_g711_alaw_to_s16(0xd5), 1 * 8);
    cr_assert_eq(slr_g711_alaw_to_s16(0x55), -1 * 8);
    cr_assert_eq(slr_g711_alaw_to_s16(0xaa), 4032 * 8);
    cr_assert_eq(slr_g711_alaw_to_s16(0x2a), -4032 * 8);
    cr_assert_eq(slr_g711_s16_to_alaw(0), 0xd5);
    cr_assert_eq(slr_g711_s16_to_ulaw(0), 0xff);
    cr_assert_eq(slr_g711_s16_to_ulaw(INT16_MIN), 0x00);
    cr_assert_eq(slr_g711_s16_to_alaw(INT16_MIN), 0x2a);
}

/* Table 5 of the standard: the digital milliwatt, one period of a 1 kHz tone. */
Test(g711, digital_milliwatt)
{
    static const uint8_t alaw[8] = {0x34, 0x21, 0x21, 0x34, 0xb4, 0xa1, 0xa1, 0xb4};
    static const uint8_t ulaw[8] = {0x1e, 0x0b, 0x0b, 0x1e, 0x9e, 0x8b, 0x8b, 0x9e};
    for (int i = 0; i < 8; i++) {
        int a = slr_g711_alaw_to_s16(alaw[i]), u = slr_g711_ulaw_to_s16(ulaw[i]);
        cr_assert_eq(a < 0, i < 4);
        cr_assert_eq(u < 0, i < 4);
        cr_assert_leq(abs(a - u), 512, "the laws agree within half a step of that segment");
    }
}

Test(g711, every_code_survives_a_round_trip)
{
    for (int c = 0; c < 256; c++) {
        uint8_t code = (uint8_t)c;
        cr_assert_eq(slr_g711_s16_to_alaw(slr_g711_alaw_to_s16(code)), code);
        /* mu-law has two zeros; samples have one. */
        uint8_t want = code == 0x7f ? 0xff : code;
        cr_assert_eq(slr_g711_s16_to_ulaw(slr_g711_ulaw_to_s16(code)), want);
    }
}

Test(g711, tables_are_the_functions)
{
    for (int c = 0; c < 256; c++) {
        cr_assert_eq(slr_g711_alaw_table[c], slr_g711_alaw_to_s16((uint8_t)c));
        cr_assert_eq(slr_g711_ulaw_table[c], slr_g711_ulaw_to_s16((uint8_t)c));
    }
}

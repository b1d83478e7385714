/* Each row of pcm.h does what the plain one does, and that does what it says. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codecs/g711.h"
#include "codecs/pcm.h"

#define SAMPLES 700u
#define SEED 20u

static uint32_t next(uint32_t *x)
{
    *x = *x * 1664525u + 1013904223u;
    return *x >> 8;
}

static void noise(uint8_t *at, size_t bytes, uint32_t seed)
{
    for (size_t i = 0; i < bytes; i++) {
        at[i] = (uint8_t)next(&seed);
    }
}

/* Samples of which every length and beginning is tried; some at the ends of the scale. */
static void samples(int16_t *pcm, uint32_t seed)
{
    noise((uint8_t *)pcm, SAMPLES * sizeof *pcm, seed);
    for (uint32_t i = 0; i < SAMPLES; i += 1 + next(&seed) % 40) {
        pcm[i] = next(&seed) % 2 ? INT16_MIN : INT16_MAX;
    }
}

static uint32_t size_of(const struct slr_pcm *p, const int16_t *pcm, uint32_t count,
                        uint32_t stride)
{
    uint32_t sum = 0;
    p->sizes(pcm, count, 1, stride, &sum);
    return sum;
}

Test(pcm, the_plain_row)
{
    static const int16_t pcm[7] = {3, -32768, 0, 32767, -5, 1, 2};
    const struct slr_pcm *p = slr_pcm_row(0);
    struct slr_pcm_sums sums;
    cr_assert_str_eq(p->name, "plain");
    p->measure(pcm, 7, &sums);
    cr_assert_eq(sums.least, -32768);
    cr_assert_eq(sums.most, 32767);
    cr_assert_eq(sums.sum, 0);
    cr_assert_eq(sums.squares, 1073741824u + 1073676289u + 9u + 25u + 1u + 4u);
    cr_assert_eq(size_of(p, pcm, 7, 1), 65535u + 3 + 5 + 1 + 2);
    cr_assert_eq(size_of(p, pcm, 7, 3), 3u + 32767 + 2);
    cr_assert_eq(size_of(p, pcm + 1, 2, 3), 32768u);
    cr_assert_eq(p->beyond(pcm, 7, 32767), 2);
    cr_assert_eq(p->beyond(pcm, 7, 3), 4);
    cr_assert_eq(p->beyond(pcm, 7, 1), 6);
}

Test(pcm, laws)
{
    uint8_t law[SAMPLES];
    int16_t out[SAMPLES + 1];
    for (uint32_t i = 0; i < SAMPLES; i++) {
        law[i] = (uint8_t)i;
    }
    for (uint32_t r = 0; slr_pcm_row(r); r++) {
        const struct slr_pcm *p = slr_pcm_row(r);
        for (uint32_t from = 0; from < 40; from++) {
            for (uint32_t count = 0; count < SAMPLES - 40; count += 1 + count / 9) {
                out[count] = 77;
                p->from_alaw(law + from, count, out);
                for (uint32_t i = 0; i < count; i++) {
                    cr_assert_eq(out[i], slr_g711_alaw_to_s16(law[from + i]), "%s", p->name);
                }
                p->from_ulaw(law + from, count, out);
                for (uint32_t i = 0; i < count; i++) {
                    cr_assert_eq(out[i], slr_g711_ulaw_to_s16(law[from + i]), "%s", p->name);
                }
                cr_assert_eq(out[count], 77, "%s: no more than that", p->name);
            }
        }
    }
}

Test(pcm, sums)
{
    int16_t pcm[SAMPLES];
    printf("seed %u\n", SEED);
    for (uint32_t r = 0; slr_pcm_row(r); r++) {
        const struct slr_pcm *p = slr_pcm_row(r);
        for (uint32_t turn = 0; turn < 400; turn++) {
            struct slr_pcm_sums is, want;
            uint32_t from = turn % 50;
            uint32_t count = 1 + turn * 13 % (SAMPLES - 60);
            samples(pcm, SEED + turn);
            p->measure(pcm + from, count, &is);
            slr_pcm_plain.measure(pcm + from, count, &want);
            cr_assert_eq(is.least, want.least, "%s %u", p->name, count);
            cr_assert_eq(is.most, want.most, "%s %u", p->name, count);
            cr_assert_eq(is.sum, want.sum, "%s %u", p->name, count);
            cr_assert_eq(is.squares, want.squares, "%s %u", p->name, count);
            for (int32_t size = 1; size <= 32767; size += 1 + size * 5) {
                cr_assert_eq(p->beyond(pcm + from, count, (int16_t)size),
                             slr_pcm_plain.beyond(pcm + from, count, (int16_t)size), "%s %u",
                             p->name, count);
            }
            for (uint32_t stride = 1; stride <= 18; stride++) {
                uint32_t cells = 1 + stride % 4;
                uint32_t want_size[4];
                uint32_t size[5] = {0, 0, 0, 0, 77};
                p->sizes(pcm + from, (count + cells - 1) / cells, cells, stride, size);
                slr_pcm_plain.sizes(pcm + from, (count + cells - 1) / cells, cells, stride,
                                    want_size);
                cr_assert_eq(memcmp(size, want_size, cells * sizeof size[0]), 0, "%s %u by %u",
                             p->name, count, stride);
                cr_assert(size[4] == 77 && (cells == 4 || size[cells] == 0));
            }
        }
    }
}

/* As much as is allowed, and as loud as it comes. */
Test(pcm, long_and_loud)
{
    static int16_t pcm[65536];
    for (uint32_t i = 0; i < 65536; i++) {
        pcm[i] = INT16_MIN;
    }
    for (uint32_t r = 0; slr_pcm_row(r); r++) {
        struct slr_pcm_sums is;
        slr_pcm_row(r)->measure(pcm, 65536, &is);
        cr_assert_eq(is.sum, -((int64_t)1 << 31));
        cr_assert_eq(is.squares, (uint64_t)1 << 46);
        cr_assert_eq(size_of(slr_pcm_row(r), pcm, 65536, 1), 1u << 31);
        cr_assert_eq(size_of(slr_pcm_row(r), pcm, 65536, 3), 21846u << 15);
    }
}

Test(pcm, pairs)
{
    uint8_t left[2 * SAMPLES], right[2 * SAMPLES];
    uint8_t is[4 * SAMPLES], want[4 * SAMPLES];
    noise(left, sizeof left, SEED);
    noise(right, sizeof right, SEED + 1);
    for (uint32_t r = 0; slr_pcm_row(r); r++) {
        const struct slr_pcm *p = slr_pcm_row(r);
        for (uint32_t count = 0; count < SAMPLES - 3; count++) {
            memset(is, 0, sizeof is);
            memset(want, 0, sizeof want);
            p->pair8(left + count % 3, right + 1, count, is);
            slr_pcm_plain.pair8(left + count % 3, right + 1, count, want);
            cr_assert_eq(memcmp(is, want, sizeof is), 0, "%s %u", p->name, count);
            cr_assert(count == 0 || (want[2 * count - 2] == left[count % 3 + count - 1] &&
                                     want[2 * count - 1] == right[count]));
            p->pair16(left + count % 3, right + 1, count, is);
            slr_pcm_plain.pair16(left + count % 3, right + 1, count, want);
            cr_assert_eq(memcmp(is, want, sizeof is), 0, "%s %u", p->name, count);
        }
    }
}

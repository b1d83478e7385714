/*
 * pcm: the rows in plain C, and which one is taken. No state; any thread, allocates nothing.
 */
#include "codecs/pcm.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "codecs/g711.h"

#define BLOCK 32u

static void from_alaw(const uint8_t *law, uint32_t count, int16_t *out)
{
    for (uint32_t i = 0; i < count; i++) {
        out[i] = slr_g711_alaw_table[law[i]];
    }
}

static void from_ulaw(const uint8_t *law, uint32_t count, int16_t *out)
{
    for (uint32_t i = 0; i < count; i++) {
        out[i] = slr_g711_ulaw_table[law[i]];
    }
}

/* A constant number of samples: compilers make vectors of these loops. */
static void add_block(struct slr_pcm_sums *p, const int16_t *pcm)
{
    int32_t sum = 0;
    uint64_t squares = 0;
    int16_t least = p->least;
    int16_t most = p->most;
    for (uint32_t i = 0; i < BLOCK; i++) {
        least = pcm[i] < least ? pcm[i] : least;
        most = pcm[i] > most ? pcm[i] : most;
    }
    for (uint32_t i = 0; i < BLOCK; i++) {
        sum += pcm[i];
    }
    for (uint32_t i = 0; i < BLOCK; i++) {
        squares += (uint32_t)(pcm[i] * pcm[i]);
    }
    p->sum += sum;
    p->squares += squares;
    p->least = least;
    p->most = most;
}

static void measure(const int16_t *pcm, uint32_t count, struct slr_pcm_sums *out)
{
    struct slr_pcm_sums p = {pcm[0], pcm[0], 0, 0};
    uint32_t at = 0;
    for (; at + BLOCK <= count; at += BLOCK) {
        add_block(&p, pcm + at);
    }
    for (; at < count; at++) {
        p.least = pcm[at] < p.least ? pcm[at] : p.least;
        p.most = pcm[at] > p.most ? pcm[at] : p.most;
        p.sum += pcm[at];
        p.squares += (uint32_t)(pcm[at] * pcm[at]);
    }
    *out = p;
}

static void sizes(const int16_t *pcm, uint32_t count, uint32_t cells, uint32_t stride,
                  uint32_t *out)
{
    for (uint32_t c = 0; c < cells; c++, pcm += count) {
        uint32_t sum = 0;
        for (uint32_t i = 0; i < count; i += stride) {
            sum += (uint32_t)abs(pcm[i]);
        }
        out[c] = sum;
    }
}

static uint32_t beyond(const int16_t *pcm, uint32_t count, int16_t size)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        sum += pcm[i] >= size || pcm[i] <= -size;
    }
    return sum;
}

static void pair8(const uint8_t *left, const uint8_t *right, uint32_t count, uint8_t *out)
{
    for (uint32_t i = 0; i < count; i++) {
        out[2 * (size_t)i] = left[i];
        out[2 * (size_t)i + 1] = right[i];
    }
}

static void pair16(const uint8_t *left, const uint8_t *right, uint32_t count, uint8_t *out)
{
    for (size_t i = 0; i < count; i++) {
        memcpy(out + 4 * i, left + 2 * i, 2);
        memcpy(out + 4 * i + 2, right + 2 * i, 2);
    }
}

const struct slr_pcm slr_pcm_plain = {
    .name = "plain",
    .from_alaw = from_alaw,
    .from_ulaw = from_ulaw,
    .measure = measure,
    .sizes = sizes,
    .beyond = beyond,
    .pair8 = pair8,
    .pair16 = pair16,
};

const struct slr_pcm *slr_pcm(void)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2")) {
        return &slr_pcm_avx2;
    }
#endif
    return &slr_pcm_plain;
}

const struct slr_pcm *slr_pcm_row(uint32_t i)
{
    const struct slr_pcm *best = slr_pcm();
    if (i == 0) {
        return &slr_pcm_plain;
    }
    return i == 1 && best != &slr_pcm_plain ? best : NULL;
}

/*
 * pcm: what is done to many samples at once: both laws to S16, sums, channels side by side.
 *
 * One row for each way of the processor; all give the same results to the last bit, and the plain C
 * row is what the others are tested against. No state; any thread, allocates nothing.
 */
#ifndef SLR_CODECS_PCM_H
#define SLR_CODECS_PCM_H

#include <stdint.h>

struct slr_pcm_sums {
    int16_t least, most;
    int64_t sum;
    uint64_t squares;
};

struct slr_pcm {
    const char *name;
    /* `count` codes to samples (ITU-T G.711). */
    void (*from_alaw)(const uint8_t *law, uint32_t count, int16_t *out);
    void (*from_ulaw)(const uint8_t *law, uint32_t count, int16_t *out);
    /* count: 1 to 65536. */
    void (*measure)(const int16_t *pcm, uint32_t count, struct slr_pcm_sums *out);
    /* Of each of `cells` stretches of `count` samples, one after the other: sum of the sizes of
     * every stride-th, the first one included. stride: 1 or more; count: 1 to 65536. */
    void (*sizes)(const int16_t *pcm, uint32_t count, uint32_t cells, uint32_t stride,
                  uint32_t *out);
    /* How many are at least that far from 0. size: 1 or more; count: up to 65536. */
    uint32_t (*beyond)(const int16_t *pcm, uint32_t count, int16_t size);
    /* Two channels of `count` samples of one or two bytes; out: twice as many. */
    void (*pair8)(const uint8_t *left, const uint8_t *right, uint32_t count, uint8_t *out);
    void (*pair16)(const uint8_t *left, const uint8_t *right, uint32_t count, uint8_t *out);
};

/* The fastest row that this processor has. */
const struct slr_pcm *slr_pcm(void);
/* Row i that this processor has, the plain one first; NULL: no more. */
const struct slr_pcm *slr_pcm_row(uint32_t i);

/* The rows themselves, each in its file. */
extern const struct slr_pcm slr_pcm_plain;
#ifdef __x86_64__
extern const struct slr_pcm slr_pcm_avx2;
#endif

#endif

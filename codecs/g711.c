/*
 * g711: both laws of ITU-T G.711. No state; any thread, allocates nothing.
 *
 * Decoding is a table that the compiler computes. Encoding follows the reference software of
 * ITU-T G.191: the magnitude of a negative sample is its one's complement, so that -1 is as close
 * to silence as 0 (the widely copied two's complement form sends -1 to -8 in mu-law).
 */
#include "codecs/g711.h"

/* Magnitude of the mu-law code whose bits were inverted, 16-bit scale. */
#define ULAW_MAGNITUDE(i) ((((((i)&0x0f) << 3) + 0x84) << (((i)&0x70) >> 4)) - 0x84)
#define ULAW(u) (int16_t)(((u)&0x80) ? ULAW_MAGNITUDE((u) ^ 0xff) : -ULAW_MAGNITUDE((u) ^ 0xff))

/* The even bits of an A-law code travel inverted. Segments 0 and 1 have the same step. */
#define ALAW_SEGMENT(i) (((i)&0x70) >> 4)
#define ALAW_MAGNITUDE(i)                                                                          \
    (ALAW_SEGMENT(i) == 0                                                                          \
         ? (((i)&0x0f) << 4) + 8                                                                   \
         : ((((i)&0x0f) << 4) + 0x108) << (ALAW_SEGMENT(i) == 0 ? 0 : ALAW_SEGMENT(i) - 1))
#define ALAW(a) (int16_t)(((a)&0x80) ? ALAW_MAGNITUDE((a) ^ 0x55) : -ALAW_MAGNITUDE((a) ^ 0x55))

#define ROW4(law, n) law(n), law((n) + 1), law((n) + 2), law((n) + 3)
#define ROW16(law, n) ROW4(law, n), ROW4(law, (n) + 4), ROW4(law, (n) + 8), ROW4(law, (n) + 12)
#define ROW64(law, n)                                                                              \
    ROW16(law, n), ROW16(law, (n) + 16), ROW16(law, (n) + 32), ROW16(law, (n) + 48)
#define ROW256(law) ROW64(law, 0), ROW64(law, 64), ROW64(law, 128), ROW64(law, 192)

const int16_t slr_g711_alaw_table[256] = {ROW256(ALAW)};
const int16_t slr_g711_ulaw_table[256] = {ROW256(ULAW)};

#define ULAW_BIAS 33u     /* 14-bit scale */
#define ULAW_CLIP 0x1fffu /* 13 bits of magnitude */

int16_t slr_g711_alaw_to_s16(uint8_t a)
{
    return slr_g711_alaw_table[a];
}

int16_t slr_g711_ulaw_to_s16(uint8_t u)
{
    return slr_g711_ulaw_table[u];
}

/* One's complement magnitude, 0..32767. */
static uint32_t magnitude_of(int16_t s)
{
    return s < 0 ? (uint32_t)~s : (uint32_t)s;
}

/* Number of the highest bit set; v > 0. */
static uint32_t top_bit(uint32_t v)
{
    return 31u - (uint32_t)__builtin_clz(v);
}

uint8_t slr_g711_s16_to_alaw(int16_t s)
{
    uint32_t v = magnitude_of(s) >> 4; /* 11 bits: the smallest step is 16 */
    uint32_t code = v;

    if (v > 15) {
        uint32_t shift = top_bit(v) - 4;
        code = ((shift + 1) << 4) | ((v >> shift) & 0x0f);
    }
    if (s >= 0) {
        code |= 0x80;
    }
    return (uint8_t)(code ^ 0x55);
}

uint8_t slr_g711_s16_to_ulaw(int16_t s)
{
    uint32_t v = (magnitude_of(s) >> 2) + ULAW_BIAS; /* at least 33: bit 5 or above is set */

    if (v > ULAW_CLIP) {
        v = ULAW_CLIP;
    }
    uint32_t segment = top_bit(v) - 5;
    uint32_t code = (segment << 4) | ((v >> (segment + 1)) & 0x0f);
    if (s < 0) {
        code |= 0x80;
    }
    return (uint8_t)(code ^ 0xff);
}

enum slr_err slr_g711_inspect(const struct slr_codec_use *use, struct slr_slice payload,
                              struct slr_payload_info *info)
{
    (void)use;
    if (payload.len_bytes > SLR_CODEC_MAX_SAMPLES) {
        return SLR_FORMAT;
    }
    *info = (struct slr_payload_info){.samples = (uint32_t)payload.len_bytes};
    return SLR_OK;
}

enum slr_err slr_g711_decode(const int16_t table[static 256], struct slr_slice payload,
                             int16_t *out, uint32_t max_samples, uint32_t *samples)
{
    uint32_t count = (uint32_t)payload.len_bytes;

    if (payload.len_bytes > SLR_CODEC_MAX_SAMPLES) {
        return SLR_FORMAT;
    }
    if (count > max_samples) {
        return SLR_TRUNCATED;
    }
    for (uint32_t i = 0; i < count; i++) {
        out[i] = table[payload.at[i]];
    }
    *samples = count;
    return SLR_OK;
}

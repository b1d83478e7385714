/*
 * pcm_avx2: the row for processors with AVX2 (all of which count bits, too), chosen at run time.
 * What is left over after whole vectors is done by the plain row. No state; any thread, allocates
 * nothing.
 */
#include "codecs/pcm.h"

#ifdef __x86_64__

#include <immintrin.h>
#include <stddef.h>

#define AVX2 __attribute__((target("avx2,popcnt")))
#define LANES 16u /* samples of a vector */

AVX2 static inline __m256i load(const int16_t *at)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)at);
}

AVX2 static inline void store(void *at, __m256i v)
{
    _mm256_storeu_si256((__m256i *)at, v);
}

AVX2 static inline __m256i load_codes(const uint8_t *law)
{
    return _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)law));
}

/* Of each lane the power of two that the table has for its low three bits. */
AVX2 static inline __m256i power(__m256i segment, __m128i table)
{
    __m256i no_high_byte = _mm256_set1_epi16((int16_t)0x8000);
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table),
                               _mm256_or_si256(segment, no_high_byte));
}

/* Negative where the code's highest bit is set. */
AVX2 static inline __m256i with_sign(__m256i magnitude, __m256i code)
{
    __m256i sign = _mm256_or_si256(_mm256_slli_epi16(code, 8), _mm256_set1_epi16(1));
    return _mm256_sign_epi16(magnitude, sign);
}

AVX2 static void from_alaw(const uint8_t *law, uint32_t count, int16_t *out)
{
    const __m128i powers = _mm_setr_epi8(1, 1, 2, 4, 8, 16, 32, 64, 0, 0, 0, 0, 0, 0, 0, 0);
    uint32_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        __m256i code = _mm256_xor_si256(load_codes(law + i), _mm256_set1_epi16(0xd5));
        __m256i segment = _mm256_and_si256(_mm256_srli_epi16(code, 4), _mm256_set1_epi16(7));
        __m256i step = _mm256_slli_epi16(_mm256_and_si256(code, _mm256_set1_epi16(15)), 4);
        __m256i above = _mm256_cmpgt_epi16(segment, _mm256_setzero_si256());
        __m256i base = _mm256_or_si256(_mm256_and_si256(above, _mm256_set1_epi16(0x100)),
                                       _mm256_set1_epi16(8));
        __m256i size = _mm256_mullo_epi16(_mm256_or_si256(step, base), power(segment, powers));
        store(out + i, with_sign(size, code));
    }
    slr_pcm_plain.from_alaw(law + i, count - i, out + i);
}

AVX2 static void from_ulaw(const uint8_t *law, uint32_t count, int16_t *out)
{
    const __m128i powers =
        _mm_setr_epi8(1, 2, 4, 8, 16, 32, 64, (char)0x80, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m256i bias = _mm256_set1_epi16(0x84);
    uint32_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        __m256i code = _mm256_xor_si256(load_codes(law + i), _mm256_set1_epi16(0xff));
        __m256i segment = _mm256_and_si256(_mm256_srli_epi16(code, 4), _mm256_set1_epi16(7));
        __m256i step = _mm256_slli_epi16(_mm256_and_si256(code, _mm256_set1_epi16(15)), 3);
        __m256i size = _mm256_mullo_epi16(_mm256_add_epi16(step, bias), power(segment, powers));
        store(out + i, with_sign(_mm256_sub_epi16(size, bias), code));
    }
    slr_pcm_plain.from_ulaw(law + i, count - i, out + i);
}

AVX2 static inline int32_t add_lanes32(__m256i v)
{
    __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1)));
}

AVX2 static inline uint64_t add_lanes64(__m256i v)
{
    uint64_t lane[4];
    store(lane, v);
    return lane[0] + lane[1] + lane[2] + lane[3];
}

AVX2 static inline int16_t least_lane(__m256i v)
{
    __m128i half = _mm_min_epi16(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    /* phminposuw finds the least of eight unsigned words */
    half = _mm_minpos_epu16(_mm_xor_si128(half, _mm_set1_epi16((int16_t)0x8000)));
    return (int16_t)(_mm_extract_epi16(half, 0) ^ 0x8000);
}

AVX2 static inline int16_t most_lane(__m256i v)
{
    return (int16_t)~least_lane(_mm256_xor_si256(v, _mm256_set1_epi16(-1)));
}

AVX2 static void measure(const int16_t *pcm, uint32_t count, struct slr_pcm_sums *out)
{
    const __m256i ones = _mm256_set1_epi16(1);
    const __m256i low = _mm256_set1_epi64x(0xffffffff);
    uint32_t i = LANES;
    if (count < LANES) {
        slr_pcm_plain.measure(pcm, count, out);
        return;
    }
    __m256i v = load(pcm);
    __m256i least = v;
    __m256i most = v;
    __m256i sum = _mm256_madd_epi16(v, ones);
    __m256i square = _mm256_madd_epi16(v, v); /* two squares of -32768 need all 32 bits */
    __m256i squares =
        _mm256_add_epi64(_mm256_and_si256(square, low), _mm256_srli_epi64(square, 32));
    for (; i + LANES <= count; i += LANES) {
        v = load(pcm + i);
        least = _mm256_min_epi16(least, v);
        most = _mm256_max_epi16(most, v);
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(v, ones));
        square = _mm256_madd_epi16(v, v);
        squares = _mm256_add_epi64(squares, _mm256_and_si256(square, low));
        squares = _mm256_add_epi64(squares, _mm256_srli_epi64(square, 32));
    }
    *out = (struct slr_pcm_sums){least_lane(least), most_lane(most), add_lanes32(sum),
                                 add_lanes64(squares)};
    if (i < count) {
        struct slr_pcm_sums rest;
        slr_pcm_plain.measure(pcm + i, count - i, &rest);
        out->least = rest.least < out->least ? rest.least : out->least;
        out->most = rest.most > out->most ? rest.most : out->most;
        out->sum += rest.sum;
        out->squares += rest.squares;
    }
}

/* One where a lane counts, which is every third of all, if so many lanes went before. */
AVX2 static inline __m256i every_third(uint32_t before)
{
    static const int16_t lane[LANES + 2] = {1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0};
    return load(lane + before % 3);
}

/* Their sums in pairs: the weight has the sample's sign, so 32 bits hold the size of -32768. */
AVX2 static inline __m256i sizes_in(__m256i v, __m256i weight)
{
    return _mm256_madd_epi16(v, _mm256_sign_epi16(weight, v));
}

/* What the speech detector asks for: one of three. */
AVX2 static void sizes(const int16_t *pcm, uint32_t count, uint32_t cells, uint32_t stride,
                       uint32_t *out)
{
    const __m256i take[3] = {every_third(0), every_third(LANES), every_third(2 * LANES)};
    if (stride != 3) {
        slr_pcm_plain.sizes(pcm, count, cells, stride, out);
        return;
    }
    for (uint32_t c = 0; c < cells; c++, pcm += count) {
        __m256i sum = _mm256_setzero_si256();
        uint32_t rest = 0;
        uint32_t i = 0;
        for (; i + 3 * LANES <= count; i += 3 * LANES) {
            sum = _mm256_add_epi32(sum, sizes_in(load(pcm + i), take[0]));
            sum = _mm256_add_epi32(sum, sizes_in(load(pcm + i + LANES), take[1]));
            sum = _mm256_add_epi32(sum, sizes_in(load(pcm + i + 2 * LANES), take[2]));
        }
        for (uint32_t k = 0; i + LANES <= count; i += LANES, k++) {
            sum = _mm256_add_epi32(sum, sizes_in(load(pcm + i), take[k]));
        }
        uint32_t next = (i + 2) / 3 * 3;
        if (next < count) {
            slr_pcm_plain.sizes(pcm + next, count - next, 1, 3, &rest);
        }
        out[c] = (uint32_t)add_lanes32(sum) + rest;
    }
}

AVX2 static uint32_t beyond(const int16_t *pcm, uint32_t count, int16_t size)
{
    const __m256i above = _mm256_set1_epi16((int16_t)(size - 1));
    const __m256i below = _mm256_set1_epi16((int16_t)(1 - size));
    uint32_t sum = 0;
    uint32_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        __m256i v = load(pcm + i);
        __m256i is = _mm256_or_si256(_mm256_cmpgt_epi16(v, above), _mm256_cmpgt_epi16(below, v));
        sum += (uint32_t)__builtin_popcount((uint32_t)_mm256_movemask_epi8(is)) / 2;
    }
    return sum + slr_pcm_plain.beyond(pcm + i, count - i, size);
}

AVX2 static void pair8(const uint8_t *left, const uint8_t *right, uint32_t count, uint8_t *out)
{
    uint32_t i = 0;
    for (; i + 16 <= count; i += 16) {
        __m128i l = _mm_loadu_si128((const __m128i *)(const void *)(left + i));
        __m128i r = _mm_loadu_si128((const __m128i *)(const void *)(right + i));
        uint8_t *to = out + 2 * (size_t)i;
        _mm_storeu_si128((__m128i *)(void *)to, _mm_unpacklo_epi8(l, r));
        _mm_storeu_si128((__m128i *)(void *)(to + 16), _mm_unpackhi_epi8(l, r));
    }
    slr_pcm_plain.pair8(left + i, right + i, count - i, out + 2 * (size_t)i);
}

AVX2 static void pair16(const uint8_t *left, const uint8_t *right, uint32_t count, uint8_t *out)
{
    uint32_t i = 0;
    for (; i + 8 <= count; i += 8) {
        __m128i l = _mm_loadu_si128((const __m128i *)(const void *)(left + 2 * (size_t)i));
        __m128i r = _mm_loadu_si128((const __m128i *)(const void *)(right + 2 * (size_t)i));
        uint8_t *to = out + 4 * (size_t)i;
        _mm_storeu_si128((__m128i *)(void *)to, _mm_unpacklo_epi16(l, r));
        _mm_storeu_si128((__m128i *)(void *)(to + 16), _mm_unpackhi_epi16(l, r));
    }
    slr_pcm_plain.pair16(left + 2 * (size_t)i, right + 2 * (size_t)i, count - i,
                         out + 4 * (size_t)i);
}

const struct slr_pcm slr_pcm_avx2 = {
    .name = "avx2",
    .from_alaw = from_alaw,
    .from_ulaw = from_ulaw,
    .measure = measure,
    .sizes = sizes,
    .beyond = beyond,
    .pair8 = pair8,
    .pair16 = pair16,
};

#endif

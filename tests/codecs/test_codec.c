/*
 * The codec contract over every row of codec.def, and the look-ups.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <strings.h>

#include "codecs/codec.h"

#define CANARY 0x5a5a
#define SEED 20261120u

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Codec state as the engine gives it: 16-byte aligned memory of the size asked for. */
static void *state_new(size_t bytes)
{
    void *state = NULL;
    cr_assert_eq(posix_memalign(&state, 16, bytes ? bytes : 1), 0);
    memset(state, 0, bytes);
    return state;
}

/* As SDP without fmtp would have it; 8000 Hz mono where the codec takes any. */
static struct slr_codec_use use_of(const struct slr_codec *c)
{
    struct slr_codec_use use;
    struct slr_codec_params p = {.clock_hz = c->clock_hz ? c->clock_hz : 8000,
                                 .channels = c->channels ? c->channels : 1};
    cr_assert_eq(slr_codec_bind(c, &p, &use), SLR_OK, "%s", c->name);
    return use;
}

static enum slr_err count_samples(const struct slr_codec_use *use, struct slr_slice p, uint32_t *n)
{
    struct slr_payload_info info;
    enum slr_err err = use->codec->inspect(use, p, &info);
    if (err == SLR_OK) {
        *n = info.samples;
    }
    return err;
}

static void *decoder_new(const struct slr_codec *c)
{
    struct slr_codec_use use = use_of(c);
    void *state = state_new(c->decoder_bytes);
    if (c->decoder_init) {
        cr_assert_eq(c->decoder_init(state, &use), SLR_OK);
    }
    return state;
}

static void *encoder_new(const struct slr_codec *c)
{
    struct slr_codec_use use = use_of(c);
    void *state = state_new(c->encoder_bytes);
    if (c->encoder_init) {
        cr_assert_eq(c->encoder_init(state, &use, 0), SLR_OK);
    }
    return state;
}

static void decoder_free(const struct slr_codec *c, void *state)
{
    if (c->decoder_fini) {
        c->decoder_fini(state);
    }
    free(state);
}

static void encoder_free(const struct slr_codec *c, void *state)
{
    if (c->encoder_fini) {
        c->encoder_fini(state);
    }
    free(state);
}

Test(codec, rows_are_whole)
{
    size_t rows = 0;
    for (const struct slr_codec *const *row = slr_codec_all(); *row; row++, rows++) {
        const struct slr_codec *c = *row;
        cr_assert(c->name && c->name[0]);
        cr_assert(c->inspect && c->decode, "%s", c->name);
        cr_assert(c->channels == 1 || c->channels == 2, "%s", c->name);
        cr_assert(c->static_pt >= -1 && c->static_pt < 96, "%s", c->name);
        cr_assert_gt(c->clock_hz, 0u);
        cr_assert(c->sample_hz >= 8000 && c->sample_hz <= 48000, "%s", c->name);
        cr_assert(c->decoder_bytes == 0 || c->decoder_init, "%s: state without init", c->name);
        cr_assert(c->encoder_bytes == 0 || c->encoder_init, "%s: state without init", c->name);
    }
    cr_assert_gt(rows, 1u);
}

Test(codec, each_row_is_found)
{
    for (const struct slr_codec *const *row = slr_codec_all(); *row; row++) {
        const struct slr_codec *c = *row;
        char lower[32];
        size_t n = strlen(c->name);
        cr_assert_lt(n, sizeof lower);
        for (size_t i = 0; i <= n; i++) {
            char ch = c->name[i];
            lower[i] = ch >= 'A' && ch <= 'Z' ? (char)(ch + 32) : ch;
        }
        cr_assert_eq(slr_codec_by_name(c->name, c->clock_hz), c);
        cr_assert_eq(slr_codec_by_name(lower, c->clock_hz), c);
        cr_assert(slr_codec_by_name(c->name, 0));
        cr_assert_null(slr_codec_by_name(c->name, c->clock_hz + 1));
        if (c->static_pt >= 0) {
            cr_assert_eq(slr_codec_by_pt((uint8_t)c->static_pt), c);
        }
    }
}

Test(codec, unknown_ones_are_not_found)
{
    cr_assert_null(slr_codec_by_name("", 0));
    cr_assert_null(slr_codec_by_name(NULL, 0));
    cr_assert_null(slr_codec_by_name("PCM", 0));
    cr_assert_null(slr_codec_by_name("PCMA/8000", 0));
    cr_assert_null(slr_codec_by_pt(72));
    cr_assert_null(slr_codec_by_pt(127));
    cr_assert_null(slr_codec_by_pt(255)); /* -1 as a byte is no dynamic row */
}

Test(codec, g711_rows)
{
    const struct slr_codec *u = slr_codec_by_pt(0), *a = slr_codec_by_pt(8);
    cr_assert(u && a);
    cr_assert_str_eq(u->name, "PCMU");
    cr_assert_str_eq(a->name, "PCMA");
    cr_assert_eq(u->silence_byte, 0xffu);
    cr_assert_eq(a->silence_byte, 0xd5u);
}

/* What encode gives must be what samples() says and decode returns, near to what went in. */
Test(codec, round_trip)
{
    enum { SAMPLES = 160 * 3 };
    int16_t in[SAMPLES * 2], out[SAMPLES * 2];
    uint8_t payload[SAMPLES * 4];
    uint32_t seed = SEED;

    for (const struct slr_codec *const *row = slr_codec_all(); *row; row++) {
        const struct slr_codec *c = *row;
        struct slr_codec_use use = use_of(c);
        uint32_t samples = 0, counted = 0;
        size_t len = 0;
        if (!c->encode) {
            continue;
        }
        for (uint32_t i = 0; i < SAMPLES * c->channels; i++) {
            in[i] = (int16_t)next_random(&seed);
        }
        void *enc = encoder_new(c), *dec = decoder_new(c);
        cr_assert_eq(c->encode(enc, &use, in, SAMPLES, payload, sizeof payload, &len), SLR_OK);
        struct slr_slice p = slr_slice_of(payload, len);
        cr_assert_eq(count_samples(&use, p, &counted), SLR_OK);
        cr_assert_eq(counted, (uint32_t)SAMPLES);
        cr_assert_eq(c->decode(dec, &use, p, out, SAMPLES, &samples), SLR_OK);
        cr_assert_eq(samples, counted);
        for (uint32_t i = 0; i < SAMPLES * c->channels; i++) {
            int error = abs(in[i] - out[i]);
            /* Companding: half a step of a segment, 1/32 of the value, plus the first step; mu-law
             * clips at 32635. */
            cr_assert(error <= abs(in[i]) / 32 + 16 + 128, "%s: %d became %d", c->name, in[i],
                      out[i]);
        }
        cr_assert_eq(c->encode(enc, &use, in, SAMPLES, payload, len - 1, &len), SLR_TRUNCATED);
        encoder_free(c, enc);
        decoder_free(c, dec);
    }
}

Test(codec, silence_byte_is_silence)
{
    for (const struct slr_codec *const *row = slr_codec_all(); *row; row++) {
        const struct slr_codec *c = *row;
        struct slr_codec_use use = use_of(c);
        uint8_t payload[160];
        int16_t out[160 * 2];
        uint32_t samples = 0;
        if (c->silence_byte == 0) {
            continue;
        }
        memset(payload, (int)c->silence_byte, sizeof payload);
        void *dec = decoder_new(c);
        cr_assert_eq(
            c->decode(dec, &use, slr_slice_of(payload, sizeof payload), out, 160, &samples),
            SLR_OK);
        for (uint32_t i = 0; i < samples * c->channels; i++) {
            cr_assert_leq(abs(out[i]), 8, "%s", c->name);
        }
        decoder_free(c, dec);
    }
}

Test(codec, empty_payload)
{
    for (const struct slr_codec *const *row = slr_codec_all(); *row; row++) {
        const struct slr_codec *c = *row;
        struct slr_codec_use use = use_of(c);
        int16_t out[2] = {CANARY, CANARY};
        uint32_t counted = 77, samples = 77;
        void *dec = decoder_new(c);
        enum slr_err first = count_samples(&use, slr_slice_of(NULL, 0), &counted);
        enum slr_err second = c->decode(dec, &use, slr_slice_of(NULL, 0), out, 1, &samples);
        cr_assert_eq(first, second, "%s: samples() and decode() disagree", c->name);
        cr_assert(first == SLR_FORMAT || (first == SLR_OK && counted == 0 && samples == 0));
        cr_assert_eq(out[0], CANARY);
        decoder_free(c, dec);
    }
}

Test(codec, oversize_is_refused)
{
    static uint8_t payload[SLR_CODEC_MAX_SAMPLES * 8];
    static int16_t out[SLR_CODEC_MAX_SAMPLES * 2];
    memset(payload, 0xff, sizeof payload);
    for (const struct slr_codec *const *row = slr_codec_all(); *row; row++) {
        const struct slr_codec *c = *row;
        struct slr_codec_use use = use_of(c);
        uint32_t counted = 0, samples = 0;
        out[0] = CANARY;
        void *dec = decoder_new(c);
        struct slr_slice p = slr_slice_of(payload, sizeof payload);
        cr_assert_eq(count_samples(&use, p, &counted), SLR_FORMAT, "%s", c->name);
        cr_assert_eq(c->decode(dec, &use, p, out, SLR_CODEC_MAX_SAMPLES, &samples), SLR_FORMAT);
        cr_assert_eq(out[0], CANARY);
        decoder_free(c, dec);
    }
}

/* Any bytes: no crash (ASan watches the payload's own block), nothing beyond max_samples, and
 * samples() tells what decode() will do. */
Test(codec, random_payloads)
{
    uint32_t seed = SEED;
    for (const struct slr_codec *const *row = slr_codec_all(); *row; row++) {
        const struct slr_codec *c = *row;
        struct slr_codec_use use = use_of(c);
        void *dec = decoder_new(c);
        int16_t *out = malloc((SLR_CODEC_MAX_SAMPLES * 2 + 1) * sizeof *out);
        cr_assert(out);
        for (int round = 0; round < 3000; round++) {
            size_t len = next_random(&seed) % (round % 10 == 0 ? 8000 : 400);
            uint32_t max =
                round % 3 == 0 ? SLR_CODEC_MAX_SAMPLES : next_random(&seed) % SLR_CODEC_MAX_SAMPLES;
            uint8_t *payload = malloc(len ? len : 1);
            cr_assert(payload);
            for (size_t i = 0; i < len; i++) {
                payload[i] = (uint8_t)next_random(&seed);
            }
            out[max * c->channels] = CANARY;
            uint32_t counted = 0, samples = 0;
            struct slr_slice p = slr_slice_of(payload, len);
            enum slr_err count_err = count_samples(&use, p, &counted);
            enum slr_err err = c->decode(dec, &use, p, out, max, &samples);
            if (err == SLR_OK) {
                cr_assert_eq(count_err, SLR_OK, "%s: decodes what samples() refuses", c->name);
                cr_assert_eq(samples, counted);
                cr_assert_leq(samples, max);
            } else {
                cr_assert(err == SLR_FORMAT || err == SLR_TRUNCATED);
            }
            cr_assert_eq(out[max * c->channels], CANARY, "%s wrote beyond max_samples", c->name);
            free(payload);
        }
        free(out);
        decoder_free(c, dec);
    }
}

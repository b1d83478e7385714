/*
 * The codec contract over every row of codec.def, and the look-ups.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <strings.h>

#include "codecs/codec.h"

#define CANARY 0x5a5a
#define SEED 20261120u
#define PI 3.14159265358979323846
#define TONE_HZ 437.0

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
        cr_assert(c->channels <= 2, "%s", c->name);
        cr_assert(c->static_pt >= -1 && c->static_pt < 96, "%s", c->name);
        cr_assert(c->sample_hz == 0 ? c->clock_hz == 0
                                    : c->sample_hz >= 8000 && c->sample_hz <= 48000);
        cr_assert(!c->decoder_init == !c->decoder_fini, "%s: init without fini", c->name);
        cr_assert(!c->encoder_init == !c->encoder_fini, "%s: init without fini", c->name);
        cr_assert(!c->recover || c->conceal, "%s: recovers, but conceals nothing", c->name);
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
        cr_assert(c->clock_hz == 0 || !slr_codec_by_name(c->name, c->clock_hz + 1));
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

Test(codec, static_types)
{
    static const struct {
        uint8_t pt;
        const char *name;
        uint32_t clock_hz, channels;
    } want[] = {{0, "PCMU", 8000, 1}, {3, "GSM", 8000, 1},   {8, "PCMA", 8000, 1},
                {9, "G722", 8000, 1}, {10, "L16", 44100, 2}, {11, "L16", 44100, 1},
                {18, "G729", 8000, 1}};
    size_t rows = sizeof want / sizeof want[0], at = 0;
    for (uint32_t pt = 0; pt < 128; pt++) {
        struct slr_codec_params p;
        struct slr_codec_use use;
        const struct slr_codec *c = slr_codec_static((uint8_t)pt, &p);
        at += at < rows && want[at].pt < pt;
        if (at == rows || want[at].pt != pt || !slr_codec_by_name(want[at].name, 0)) {
            cr_assert_null(c, "%u", pt);
            continue;
        }
        cr_assert_eq(slr_codec_by_pt((uint8_t)pt), c);
        cr_assert_str_eq(c->name, want[at].name);
        cr_assert_eq(slr_codec_bind(c, &p, &use), SLR_OK);
        cr_assert_eq(use.clock_hz, want[at].clock_hz);
        cr_assert_eq(use.channels, want[at].channels);
    }
}

Test(codec, clocks_and_channels_that_a_row_does_not_have)
{
    struct slr_codec_use use;
    for (const struct slr_codec *const *row = slr_codec_all(); *row; row++) {
        const struct slr_codec *c = *row;
        struct slr_codec_params p = {.clock_hz = c->clock_hz ? c->clock_hz + 50 : 0, .channels = 1};
        cr_assert_eq(slr_codec_bind(c, &p, &use), SLR_UNSUPPORTED, "%s", c->name);
        p = (struct slr_codec_params){.clock_hz = 8000, .channels = 3};
        if (c->channels == 0) {
            cr_assert_eq(slr_codec_bind(c, &p, &use), SLR_UNSUPPORTED, "%s", c->name);
        }
    }
}

static bool is_exact(const struct slr_codec *c)
{
    return c->decoder_bytes == 0; /* sample by sample: L16 and G.711 */
}

/* What encode gives must be what inspect says and decode returns. Sample by sample: near to what
 * went in. */
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
        for (uint32_t i = 0; i < SAMPLES * use.channels; i++) {
            in[i] = (int16_t)next_random(&seed);
        }
        void *enc = encoder_new(c), *dec = decoder_new(c);
        cr_assert_eq(c->encode(enc, &use, in, SAMPLES, payload, sizeof payload, &len), SLR_OK);
        struct slr_slice p = slr_slice_of(payload, len);
        cr_assert_eq(count_samples(&use, p, &counted), SLR_OK);
        cr_assert_eq(counted, (uint32_t)SAMPLES);
        cr_assert_eq(c->decode(dec, &use, p, out, SAMPLES, &samples), SLR_OK);
        cr_assert_eq(samples, counted);
        for (uint32_t i = 0; is_exact(c) && i < SAMPLES * use.channels; i++) {
            int error = abs(in[i] - out[i]);
            /* Companding: half a step of a segment, 1/32 of the value, plus the first step; mu-law
             * clips at 32635. */
            cr_assert(error <= abs(in[i]) / 32 + 16 + 128, "%s: %d became %d", c->name, in[i],
                      out[i]);
        }
        cr_assert_eq(c->encode(enc, &use, in, SAMPLES, payload, 1, &len), SLR_TRUNCATED);
        encoder_free(c, enc);
        decoder_free(c, dec);
    }
}

/* Payload number i of a stream: 20 ms of a tone, or where there is no encoder a frame of AMR-WB
 * with any bits. */
static size_t tone_payload(const struct slr_codec *c, void *enc, const struct slr_codec_use *use,
                           double hz, uint32_t i, uint8_t *payload, size_t size)
{
    int16_t in[960];
    uint32_t n = use->sample_hz / 50;
    size_t len = 0;
    if (!c->encode) {
        uint32_t seed = SEED + i + (uint32_t)hz;
        cr_assert_str_eq(c->name, "AMR-WB");
        for (len = 0; len < 61; len++) {
            payload[len] = (uint8_t)next_random(&seed);
        }
        payload[0] = 0xf4; /* no mode request; one frame of type 8, */
        payload[1] = (uint8_t)((payload[1] & 0x3f) | 0x40); /* good */
        return len;
    }
    for (uint32_t k = 0; k < n; k++) {
        in[k] = (int16_t)lrint(8000 * sin(2 * PI * hz * (i * n + k) / use->sample_hz));
    }
    cr_assert_eq(c->encode(enc, use, in, n, payload, size, &len), SLR_OK, "%s", c->name);
    return len;
}

/* A tone comes out as loud as it went in, at its pitch and almost nothing else. */
Test(codec, tone_keeps_level_and_pitch)
{
    for (const struct slr_codec *const *row = slr_codec_all(); *row; row++) {
        const struct slr_codec *c = *row;
        struct slr_codec_use use = use_of(c);
        double re = 0, im = 0, power = 0, count = 0;
        if (!c->encode) {
            continue;
        }
        void *enc = encoder_new(c), *dec = decoder_new(c);
        for (uint32_t i = 0; i < 50; i++) {
            uint8_t payload[2000];
            int16_t out[960];
            uint32_t n = 0;
            size_t len = tone_payload(c, enc, &use, TONE_HZ, i, payload, sizeof payload);
            cr_assert_eq(c->decode(dec, &use, slr_slice_of(payload, len), out, 960, &n), SLR_OK);
            cr_assert_eq(n, use.sample_hz / 50);
            for (uint32_t k = 0; i >= 10 && k < n; k++, count++) {
                double phase = 2 * PI * TONE_HZ * (i * n + k) / use.sample_hz;
                re += out[k] * cos(phase);
                im += out[k] * sin(phase);
                power += (double)out[k] * out[k];
            }
        }
        double tone = 2 * (re * re + im * im) / (count * count), whole = power / count;
        double gain_db = 10 * log10(whole / (8000.0 * 8000.0 / 2));
        cr_assert(fabs(gain_db) < 1.0, "%s: %f dB louder", c->name, gain_db);
        cr_assert(tone > 0.94 * whole, "%s: %f of it is the tone", c->name, tone / whole);
        encoder_free(c, enc);
        decoder_free(c, dec);
    }
}

/* Decodes packet i of the tone; bad bytes before it where `hostile`. */
static void decode_tone(const struct slr_codec *c, void *enc, void *dec, double hz, uint32_t i,
                        bool hostile, int16_t *out)
{
    struct slr_codec_use use = use_of(c);
    uint8_t payload[2000];
    uint32_t n = 0;
    size_t len = tone_payload(c, enc, &use, hz, i, payload, sizeof payload);
    struct slr_slice p = slr_slice_of(payload, len);
    if (hostile) {
        static const uint8_t junk[6000] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
        int16_t nothing[1] = {CANARY};
        cr_assert_eq(c->decode(dec, &use, slr_slice_of(junk, sizeof junk), nothing, 1, &n),
                     SLR_FORMAT, "%s", c->name);
        cr_assert_eq(c->decode(dec, &use, p, nothing, 1, &n), SLR_TRUNCATED, "%s", c->name);
        cr_assert_eq(nothing[0], CANARY);
    }
    cr_assert_eq(c->decode(dec, &use, p, out, 960, &n), SLR_OK);
    cr_assert_eq(n, use.sample_hz / 50);
}

/* Two streams fed in turn, one of them with malformed packets in between, sound as each alone does:
 * nothing is shared, and what is refused leaves no trace. */
Test(codec, state_is_of_one_decoder)
{
    for (const struct slr_codec *const *row = slr_codec_all(); *row; row++) {
        const struct slr_codec *c = *row;
        void *enc[4], *dec[4];
        static const double hz[4] = {300, 900, 300, 900}; /* the last two are alone */
        static int16_t out[4][30][960];
        memset(out, 0, sizeof out);
        for (int k = 0; k < 4; k++) {
            enc[k] = encoder_new(c);
            dec[k] = decoder_new(c);
        }
        for (uint32_t i = 0; i < 30; i++) {
            decode_tone(c, enc[0], dec[0], hz[0], i, i % 3 == 1 && c->decoder_bytes, out[0][i]);
            decode_tone(c, enc[1], dec[1], hz[1], i, false, out[1][i]);
        }
        for (int k = 2; k < 4; k++) {
            for (uint32_t i = 0; i < 30; i++) {
                decode_tone(c, enc[k], dec[k], hz[k], i, false, out[k][i]);
            }
            cr_assert(memcmp(out[k], out[k - 2], sizeof out[k]) == 0, "%s, stream %d", c->name, k);
        }
        for (int k = 0; k < 4; k++) {
            encoder_free(c, enc[k]);
            decoder_free(c, dec[k]);
        }
    }
}

static double rms(const int16_t *at, uint32_t samples)
{
    double power = 0;
    for (uint32_t i = 0; i < samples; i++) {
        power += (double)at[i] * at[i];
    }
    return sqrt(power / samples);
}

/* A second without packets: begins near to what was heard, ends quiet, is the same in pieces of any
 * size, and the next packet is heard again. */
Test(codec, concealment)
{
    for (const struct slr_codec *const *row = slr_codec_all(); *row; row++) {
        const struct slr_codec *c = *row;
        struct slr_codec_use use = use_of(c);
        static int16_t whole[48001], pieces[48001];
        uint32_t hz = use.sample_hz, seed = SEED;
        int16_t heard[960], after[960];
        if (!c->conceal) {
            continue;
        }
        void *enc[2], *dec[2];
        for (int k = 0; k < 2; k++) {
            enc[k] = encoder_new(c);
            dec[k] = decoder_new(c);
            for (uint32_t i = 0; i < 25; i++) {
                decode_tone(c, enc[k], dec[k], TONE_HZ, i, false, heard);
            }
        }
        whole[hz] = pieces[hz] = CANARY;
        for (uint32_t at = 0; at < hz; at += hz / 10) {
            cr_assert_eq(c->conceal(dec[0], &use, whole + at, hz / 10), SLR_OK);
        }
        for (uint32_t at = 0, n; at < hz; at += n) {
            n = next_random(&seed) % 1000;
            n = n < hz - at ? n : hz - at;
            cr_assert_eq(c->conceal(dec[1], &use, pieces + at, n), SLR_OK);
        }
        cr_assert(whole[hz] == CANARY && pieces[hz] == CANARY);
        cr_assert(memcmp(whole, pieces, hz * sizeof *whole) == 0, "%s", c->name);
        double before = rms(heard, hz / 50), first = rms(whole, hz / 100),
               last = rms(whole + hz - hz / 10, hz / 10);
        cr_assert(first > before / 4 && first < before * 2, "%s: %f, then %f", c->name, before,
                  first);
        cr_assert(last < before / 4, "%s: %f after a second", c->name, last);
        for (uint32_t i = 25; i < 35; i++) {
            decode_tone(c, enc[0], dec[0], TONE_HZ, i, false, after);
        }
        /* A steady tone is what predicting codecs take longest to build up again. */
        cr_assert(rms(after, hz / 50) > before / 8, "%s: %f after a loss", c->name,
                  rms(after, hz / 50));
        for (int k = 0; k < 2; k++) {
            encoder_free(c, enc[k]);
            decoder_free(c, dec[k]);
        }
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
        for (uint32_t i = 0; i < samples * use.channels; i++) {
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
            out[max * use.channels] = CANARY;
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
            cr_assert_eq(out[max * use.channels], CANARY, "%s wrote beyond max_samples", c->name);
            free(payload);
        }
        free(out);
        decoder_free(c, dec);
    }
}

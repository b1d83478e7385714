/*
 * bench_codecs: CPU time of each codec for 20 ms of sound, and of the resampler, on one thread.
 *
 * Two seconds of a voice-like sound are made into packets by the codec's own encoder (AMR-WB, which
 * has none here: frames of 23.85 kbit/s with any bits) and gone through again and again. Prints one
 * JSON line a figure: {"bench":"codecs/WHAT/CODEC","value":..,"unit":"us/20ms"}.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bench/rig.h"
#include "codecs/codec.h"
#include "codecs/resample.h"

#define PACKETS 100
#define ROUNDS 20
#define PACKET_BYTES 4000
#define PI 3.14159265358979323846

static uint8_t payload[PACKETS][PACKET_BYTES];
static size_t payload_bytes[PACKETS];
static int16_t voice[PACKETS][SLR_CODEC_MAX_SAMPLES];
static int16_t out[SLR_CODEC_MAX_SAMPLES * 2 + 1000];

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "bench-codecs: %s failed\n", what);
        exit(1);
    }
}

static void report(const char *what, const char *name, double us)
{
    printf("{\"bench\":\"codecs/%s/%s\",\"value\":%.3f,\"unit\":\"us/20ms\"}\n", what, name,
           us / (PACKETS * ROUNDS));
}

static void speak(uint32_t hz, uint32_t channels)
{
    for (uint32_t i = 0; i < PACKETS * (hz / 50); i++) {
        double t = (double)i / hz, v = 0, pitch = 130 * t + 12 * sin(2 * PI * 0.9 * t);
        for (int h = 1; h <= 12; h++) {
            v += sin(2 * PI * h * pitch) / h;
        }
        int16_t s = (int16_t)lrint(4000 * v * (0.6 + 0.4 * sin(2 * PI * 3 * t)));
        for (uint32_t c = 0; c < channels; c++) {
            voice[i / (hz / 50)][i % (hz / 50) * channels + c] = s;
        }
    }
}

/* Makes the packets; where there is an encoder, as often as they are decoded later. */
static void encode_all(const struct slr_codec *c, const struct slr_codec_use *use, void *state)
{
    uint32_t seed = 1;
    if (!c->encode) {
        for (int i = 0; i < PACKETS; i++) {
            payload_bytes[i] = 61;
            for (int k = 0; k < 61; k++) {
                seed = seed * 1664525u + 1013904223u;
                payload[i][k] = (uint8_t)(seed >> 24);
            }
            payload[i][0] = 0xf4;
            payload[i][1] = (uint8_t)((payload[i][1] & 0x3f) | 0x40);
        }
        return;
    }
    must(!c->encoder_init || c->encoder_init(state, use, 0) == SLR_OK, "an encoder");
    double from = (double)rig_cpu_ns() / 1e3;
    for (int r = 0; r < ROUNDS; r++) {
        for (int i = 0; i < PACKETS; i++) {
            must(c->encode(state, use, voice[i], use->sample_hz / 50, payload[i], PACKET_BYTES,
                           &payload_bytes[i]) == SLR_OK,
                 "encoding");
        }
    }
    report("encode", c->name, (double)rig_cpu_ns() / 1e3 - from);
    if (c->encoder_fini) {
        c->encoder_fini(state);
    }
}

static void decode_all(const struct slr_codec *c, const struct slr_codec_use *use, void *state)
{
    struct slr_payload_info info;
    uint32_t samples = 0;
    double from = (double)rig_cpu_ns() / 1e3;
    for (int r = 0; r < ROUNDS; r++) {
        for (int i = 0; i < PACKETS; i++) {
            struct slr_slice p = slr_slice_of(payload[i], payload_bytes[i]);
            must(c->inspect(use, p, &info) == SLR_OK, "looking");
        }
    }
    report("inspect", c->name, (double)rig_cpu_ns() / 1e3 - from);
    must(!c->decoder_init || c->decoder_init(state, use) == SLR_OK, "a decoder");
    from = (double)rig_cpu_ns() / 1e3;
    for (int r = 0; r < ROUNDS; r++) {
        for (int i = 0; i < PACKETS; i++) {
            struct slr_slice p = slr_slice_of(payload[i], payload_bytes[i]);
            must(c->decode(state, use, p, out, SLR_CODEC_MAX_SAMPLES, &samples) == SLR_OK &&
                     samples == use->sample_hz / 50,
                 "decoding");
        }
    }
    report("decode", c->name, (double)rig_cpu_ns() / 1e3 - from);
    from = (double)rig_cpu_ns() / 1e3;
    for (int i = 0; c->conceal && i < PACKETS * ROUNDS; i++) {
        must(c->conceal(state, use, out, use->sample_hz / 50) == SLR_OK, "concealing");
    }
    if (c->conceal) {
        report("conceal", c->name, (double)rig_cpu_ns() / 1e3 - from);
    }
    if (c->decoder_fini) {
        c->decoder_fini(state);
    }
}

static void resample_all(uint32_t in_hz, uint32_t out_hz)
{
    struct slr_resample *r = NULL;
    char name[32];
    uint32_t n;
    must(slr_resample_open(in_hz, out_hz, &r) == SLR_OK, "a resampler");
    speak(in_hz, 1);
    double from = (double)rig_cpu_ns() / 1e3;
    for (int i = 0; i < PACKETS * ROUNDS; i++) {
        must(slr_resample_run(r, voice[i % PACKETS], in_hz / 50, out, sizeof out / sizeof out[0],
                              &n) == SLR_OK,
             "resampling");
    }
    snprintf(name, sizeof name, "%u-%u", in_hz, out_hz);
    report("resample", name, (double)rig_cpu_ns() / 1e3 - from);
    slr_resample_close(r);
}

int main(void)
{
    static const uint32_t rate[][2] = {{8000, 16000},  {16000, 8000},  {8000, 48000}, {48000, 8000},
                                       {16000, 48000}, {48000, 16000}, {44100, 48000}};
    for (const struct slr_codec *const *row = slr_codec_all(); *row; row++) {
        const struct slr_codec *c = *row;
        struct slr_codec_use use;
        void *state = NULL;
        struct slr_codec_params p = {.clock_hz = c->clock_hz ? c->clock_hz : 16000,
                                     .channels = c->channels ? c->channels : 1};
        size_t bytes = c->decoder_bytes > c->encoder_bytes ? c->decoder_bytes : c->encoder_bytes;
        must(slr_codec_bind(c, &p, &use) == SLR_OK, "binding");
        must(posix_memalign(&state, 16, bytes ? bytes : 1) == 0, "memory");
        speak(use.sample_hz, use.channels);
        encode_all(c, &use, state);
        decode_all(c, &use, state);
        free(state);
    }
    for (size_t i = 0; i < sizeof rate / sizeof rate[0]; i++) {
        resample_all(rate[i][0], rate[i][1]);
    }
    return 0;
}

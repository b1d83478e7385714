/*
 * bank: see the header. The encoders are those that the unit tests of the codecs use. Process
 * memory, made when it is asked for.
 */
#include "tests/sim/bank.h"

#include <math.h>
#include <opus/opus.h>
#include <stdlib.h>
#include <string.h>
#include <vo-amrwbenc/enc_if.h>

#include "codecs/amr_payload.h"
#include "codecs/codec.h"
#include "tests/sim/rng.h"

#define PI 3.14159265358979323846
#define BASE_HZ 8000u
#define BASE_SAMPLES (SIM_BANK_UNITS * BASE_HZ / SIM_UNITS_PER_S)
#define FRAME_BYTES 400u
#define LAPS 2 /* of encoder and decoder, so that the ring has no seam */
#define LOBES 24
#define RATES 3

static const struct sim_line lines[SIM_LINES] = {
    [SIM_PCMA] = {"PCMA", 8, 8000, 8000, 1, "", 1, 12, false, 10, 0.02},
    [SIM_PCMU] = {"PCMU", 0, 8000, 8000, 1, "", 1, 12, false, 10, 0.02},
    [SIM_L16] = {"L16", 96, 8000, 8000, 1, "", 1, 12, false, 10, 0.02},
    [SIM_L16_STEREO] = {"L16", 97, 16000, 16000, 2, "", 1, 4, false, 10, 0.02},
    [SIM_L16_48] = {"L16", 98, 48000, 48000, 1, "", 1, 4, false, 10, 0.02},
    [SIM_G722] = {"G722", 9, 8000, 16000, 1, "", 1, 12, false, 80, 0.35},
    [SIM_GSM] = {"GSM", 3, 8000, 8000, 1, "", 2, 12, true, 80, 0.35},
#ifdef SLR_HAVE_G729
    [SIM_G729] = {"G729", 18, 8000, 8000, 1, "", 1, 12, true, 80, 0.35},
#endif
    [SIM_AMR] = {"AMR", 99, 8000, 8000, 1, "", 2, 12, true, 80, 0.35},
    [SIM_AMRWB] = {"AMR-WB", 100, 16000, 16000, 1, "octet-align=1", 2, 12, true, 80, 0.35},
    [SIM_OPUS] = {"opus", 111, 48000, 48000, 2, "useinbandfec=1", 2, 12, true, 80, 0.35},
    [SIM_OPUS_STEREO] = {"opus", 112, 48000, 48000, 2, "stereo=1", 2, 12, true, 80, 0.35},
};

struct frame {
    uint16_t len_bytes;
    uint8_t at[FRAME_BYTES];
};

/* What encodes one line. */
struct encoder {
    const struct slr_codec *codec;
    struct slr_codec_use use;
    void *state;
    OpusEncoder *opus;
    void *wide;
};

struct bank {
    struct frame *frame; /* as a payload, or as AMR's storage has it */
    int16_t *sound[RATES];
};

static struct bank bank[SIM_LINES];

static void *must(void *at)
{
    if (!at) {
        abort();
    }
    return at;
}

static void must_ok(enum slr_err err)
{
    if (err != SLR_OK) {
        abort();
    }
}

const struct sim_line *sim_line(enum sim_codec codec)
{
    return &lines[codec];
}

/* Around the ring. */
static uint32_t ring(int64_t i, uint32_t size)
{
    if (i >= 0 && i < (int64_t)size) {
        return (uint32_t)i;
    }
    int64_t r = i % (int64_t)size;
    return (uint32_t)(r < 0 ? r + size : r);
}

/* Noise between 300 and 3000 Hz whose level changes every 20 to 80 ms. */
static int16_t *make_base(void)
{
    enum { TAPS = 129 };
    double tap[TAPS];
    float *white = must(malloc(BASE_SAMPLES * sizeof *white));
    int16_t *out = must(malloc(BASE_SAMPLES * sizeof *out));
    uint64_t x = rng_fork(0x5eed, 1);
    double level = 1;
    int64_t left = 0;
    for (int i = 0; i < TAPS; i++) {
        double t = i - TAPS / 2;
        double high = t == 0 ? 2 * 3000.0 / BASE_HZ : sin(2 * PI * 3000 * t / BASE_HZ) / (PI * t);
        double low = t == 0 ? 2 * 300.0 / BASE_HZ : sin(2 * PI * 300 * t / BASE_HZ) / (PI * t);
        tap[i] = (high - low) * (0.54 + 0.46 * cos(2 * PI * t / TAPS));
    }
    for (uint32_t i = 0; i < BASE_SAMPLES; i++) {
        white[i] = (float)rng_in(&x, -8000, 8000);
    }
    for (uint32_t i = 0; i < BASE_SAMPLES; i++, left--) {
        double v = 0;
        if (left <= 0) {
            left = rng_in(&x, 160, 640);
            level = 0.4 + 0.6 * (double)rng_in(&x, 0, 100) / 100;
        }
        for (int k = 0; k < TAPS; k++) {
            v += tap[k] * (double)white[ring((int64_t)i + k - TAPS / 2, BASE_SAMPLES)];
        }
        out[i] = (int16_t)lrint(v * level);
    }
    free(white);
    return out;
}

/* The ring at a multiple of its rate: a sine that is cut off softly, one for each phase. */
static int16_t *at_rate(const int16_t *in, uint32_t in_hz, uint32_t out_hz)
{
    uint32_t count = SIM_BANK_UNITS * in_hz / SIM_UNITS_PER_S;
    uint32_t phases = out_hz / in_hz;
    int16_t *out = must(malloc((size_t)count * phases * sizeof *out));
    for (uint32_t phase = 0; phase < phases; phase++) {
        double weight[2 * LOBES + 1];
        for (int k = -LOBES; k <= LOBES; k++) {
            double t = (double)phase / phases - k;
            double soft = 0.5 + 0.5 * cos(PI * t / (LOBES + 1));
            weight[k + LOBES] = t == 0 ? 1 : soft * sin(PI * t) / (PI * t);
        }
        for (uint32_t i = 0; i < count; i++) {
            double v = 0;
            for (int k = -LOBES; k <= LOBES; k++) {
                v += weight[k + LOBES] * in[ring((int64_t)i + k, count)];
            }
            v = v > 32767 ? 32767 : (v < -32768 ? -32768 : v);
            out[i * phases + phase] = (int16_t)lrint(v);
        }
    }
    return out;
}

static const int16_t *base_at(uint32_t hz)
{
    static int16_t *made[RATES];
    if (!made[0]) {
        made[0] = make_base();
        made[1] = at_rate(made[0], BASE_HZ, 16000);
        made[2] = at_rate(made[0], BASE_HZ, 48000);
    }
    return made[hz == 8000 ? 0 : (hz == 16000 ? 1 : 2)];
}

static void encoder_open(struct encoder *e, enum sim_codec codec)
{
    const struct sim_line *l = &lines[codec];
    struct slr_codec_params p = {l->clock_hz, l->channels, l->fmtp};
    int err = OPUS_OK;
    *e =
        (struct encoder){.codec = must((void *)(uintptr_t)slr_codec_by_name(l->name, l->clock_hz))};
    must_ok(slr_codec_bind(e->codec, &p, &e->use));
    if (codec == SIM_OPUS || codec == SIM_OPUS_STEREO) {
        int channels = codec == SIM_OPUS ? 1 : 2;
        e->opus = must(opus_encoder_create(48000, channels, OPUS_APPLICATION_VOIP, &err));
        opus_encoder_ctl(e->opus, OPUS_SET_BITRATE(codec == SIM_OPUS ? 40000 : 64000));
        opus_encoder_ctl(e->opus, OPUS_SET_COMPLEXITY(2));
        opus_encoder_ctl(e->opus, OPUS_SET_SIGNAL(OPUS_SIGNAL_VOICE));
        opus_encoder_ctl(e->opus, OPUS_SET_INBAND_FEC(codec == SIM_OPUS));
        opus_encoder_ctl(e->opus, OPUS_SET_PACKET_LOSS_PERC(codec == SIM_OPUS ? 20 : 0));
        opus_encoder_ctl(e->opus, OPUS_SET_VBR(0));
    } else if (!e->codec->encode) {
        e->wide = must(E_IF_init());
    } else if (e->codec->encoder_init) {
        e->state = must(calloc(1, e->codec->encoder_bytes + 1));
        must_ok(e->codec->encoder_init(e->state, &e->use, 0));
    }
}

static void encoder_close(struct encoder *e)
{
    if (e->opus) {
        opus_encoder_destroy(e->opus);
    }
    if (e->wide) {
        E_IF_exit(e->wide);
    }
    if (e->state && e->codec->encoder_fini) {
        e->codec->encoder_fini(e->state);
    }
    free(e->state);
}

static void encode_one(struct encoder *e, enum sim_codec codec, const int16_t *in, uint32_t samples,
                       struct frame *out)
{
    size_t len = 0;
    if (e->opus) {
        int16_t both[2 * 960];
        for (uint32_t i = 0; i < samples; i++) { /* one party, as two microphones hear it */
            both[2 * i] = in[i];
            both[2 * i + 1] = (int16_t)(in[i] / 2);
        }
        len = (size_t)opus_encode(e->opus, codec == SIM_OPUS ? in : both, (int)samples, out->at,
                                  FRAME_BYTES);
    } else if (e->wide) {
        E_IF_encode(e->wide, 8, in, out->at, 0);
        len = SLR_AMR_FRAME_BYTES;
    } else {
        must_ok(e->codec->encode(e->state, &e->use, in, samples, out->at, FRAME_BYTES, &len));
    }
    if (codec == SIM_AMR) { /* back to what storage has */
        struct slr_amr_payload parsed;
        uint8_t stored[SLR_AMR_FRAME_BYTES];
        struct slr_slice payload = slr_slice_of(out->at, len);
        must_ok(slr_amr_read(&slr_amr_narrow, &e->use, payload, &parsed));
        slr_amr_frame(&slr_amr_narrow, payload, &parsed, 0, stored);
        memcpy(out->at, stored, sizeof stored);
        len = sizeof stored;
    }
    if (len > FRAME_BYTES) {
        abort();
    }
    out->len_bytes = (uint16_t)len;
}

/* Those of codecs that keep no state are made as they are asked for. */
static bool is_plain(enum sim_codec codec)
{
    return codec <= SIM_L16_48;
}

static void make_frames(enum sim_codec codec)
{
    const struct sim_line *l = &lines[codec];
    uint32_t samples = l->sample_hz / SIM_UNITS_PER_S * l->frame_units;
    const int16_t *in = base_at(l->sample_hz);
    struct encoder e;
    if (bank[codec].frame || is_plain(codec)) {
        return;
    }
    bank[codec].frame = must(calloc(SIM_BANK_UNITS, sizeof *bank[codec].frame));
    encoder_open(&e, codec);
    for (int lap = 0; lap < LAPS; lap++) {
        for (uint32_t i = 0; i < SIM_BANK_UNITS / l->frame_units; i++) {
            int16_t one[960]; /* some libraries write into what they are given */
            memcpy(one, in + i * samples, samples * sizeof one[0]);
            encode_one(&e, codec, one, samples, &bank[codec].frame[i]);
        }
    }
    encoder_close(&e);
}

static uint32_t plain_payload(enum sim_codec codec, int64_t unit, uint32_t units, uint8_t *out,
                              uint32_t out_bytes)
{
    const struct sim_line *l = &lines[codec];
    uint32_t per_unit = l->sample_hz / SIM_UNITS_PER_S;
    uint32_t width = codec == SIM_PCMA || codec == SIM_PCMU ? 1 : 2 * l->channels;
    const int16_t *in = base_at(l->sample_hz);
    uint32_t n = units * per_unit;
    if (n * width > out_bytes) {
        abort();
    }
    for (uint32_t i = 0; i < n; i++) {
        int16_t v = in[ring(unit * per_unit + i, SIM_BANK_UNITS * per_unit)];
        if (width == 1) {
            out[i] = codec == SIM_PCMA ? slr_g711_s16_to_alaw(v) : slr_g711_s16_to_ulaw(v);
        }
        for (uint32_t c = 0; width > 1 && c < l->channels; c++) {
            uint16_t one = (uint16_t)(l->channels == 1 ? v : (c ? v + 500 : v - 500));
            *out++ = (uint8_t)(one >> 8);
            *out++ = (uint8_t)one;
        }
    }
    return n * width;
}

/* Frames of one packet each become a packet of all (RFC 6716 section 3.2.5, with sizes). */
static uint32_t opus_packet(const struct frame *const *frame, uint32_t count, uint8_t *out)
{
    uint32_t n = 0;
    if (count == 1) {
        memcpy(out, frame[0]->at, frame[0]->len_bytes);
        return frame[0]->len_bytes;
    }
    out[n++] = frame[0]->at[0] | 3;
    out[n++] = (uint8_t)(0x80 | count);
    for (uint32_t i = 0; i + 1 < count; i++) {
        uint32_t len = frame[i]->len_bytes - 1u;
        if (len >= 252) {
            out[n++] = (uint8_t)(252 + (len & 3));
            len = (len - (252 + (len & 3))) / 4;
        }
        out[n++] = (uint8_t)len;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (frame[i]->at[0] != frame[0]->at[0]) {
            abort(); /* of another mode: the bank must not change it */
        }
        memcpy(out + n, frame[i]->at + 1, frame[i]->len_bytes - 1u);
        n += frame[i]->len_bytes - 1u;
    }
    return n;
}

static uint32_t amr_packet(enum sim_codec codec, const struct frame *const *frame, uint32_t count,
                           uint8_t *out, uint32_t out_bytes)
{
    uint8_t stored[SLR_AMR_MAX_FRAMES][SLR_AMR_FRAME_BYTES];
    struct slr_codec_use use = {.mode = codec == SIM_AMRWB};
    size_t len = 0;
    for (uint32_t i = 0; i < count; i++) {
        memcpy(stored[i], frame[i]->at, SLR_AMR_FRAME_BYTES);
    }
    must_ok(slr_amr_write(codec == SIM_AMR ? &slr_amr_narrow : &slr_amr_wide, &use, stored[0],
                          count, out, out_bytes, &len));
    return (uint32_t)len;
}

uint32_t sim_bank_payload(enum sim_codec codec, int64_t unit, uint32_t units, uint8_t *out,
                          uint32_t out_bytes)
{
    const struct sim_line *l = &lines[codec];
    const struct frame *frame[SIM_BANK_UNITS / 64];
    uint32_t count = units / l->frame_units;
    uint32_t n = 0;
    if (is_plain(codec)) {
        return plain_payload(codec, unit, units, out, out_bytes);
    }
    make_frames(codec);
    if (count == 0 || count > sizeof frame / sizeof frame[0] || out_bytes < count * FRAME_BYTES) {
        abort();
    }
    for (uint32_t i = 0; i < count; i++) {
        frame[i] =
            &bank[codec].frame[ring(unit / l->frame_units + i, SIM_BANK_UNITS / l->frame_units)];
    }
    if (codec == SIM_OPUS || codec == SIM_OPUS_STEREO) {
        return opus_packet(frame, count, out);
    }
    if (codec == SIM_AMR || codec == SIM_AMRWB) {
        return amr_packet(codec, frame, count, out, out_bytes);
    }
    for (uint32_t i = 0; i < count; i++) {
        memcpy(out + n, frame[i]->at, frame[i]->len_bytes);
        n += frame[i]->len_bytes;
    }
    return n;
}

/* Decodes so many units from `unit` on, over and over; the last time counts. */
static void decode_units(enum sim_codec codec, int64_t unit, uint32_t units, int laps, int16_t *out)
{
    const struct sim_line *l = &lines[codec];
    uint32_t samples = l->sample_hz / SIM_UNITS_PER_S * l->frame_units;
    struct slr_codec_params p = {l->clock_hz, l->channels, l->fmtp};
    const struct slr_codec *c = must((void *)(uintptr_t)slr_codec_by_name(l->name, l->clock_hz));
    struct slr_codec_use use;
    static int16_t pcm[SLR_CODEC_MAX_SAMPLES * 2];
    uint8_t payload[4096];
    void *state = NULL;
    must_ok(slr_codec_bind(c, &p, &use));
    if (posix_memalign(&state, 16, c->decoder_bytes + 16) != 0) {
        abort();
    }
    memset(state, 0, c->decoder_bytes);
    if (c->decoder_init) {
        must_ok(c->decoder_init(state, &use));
    }
    for (uint32_t i = 0; i < (uint32_t)laps * (units / l->frame_units); i++) {
        uint32_t at = i % (units / l->frame_units);
        uint32_t made = 0;
        uint32_t n = sim_bank_payload(codec, unit + at * l->frame_units, l->frame_units, payload,
                                      sizeof payload);
        must_ok(
            c->decode(state, &use, slr_slice_of(payload, n), pcm, SLR_CODEC_MAX_SAMPLES, &made));
        for (uint32_t k = 0; k < samples; k++) { /* two channels are one party */
            out[at * samples + k] =
                use.channels == 2 ? (int16_t)((pcm[2 * k] + pcm[2 * k + 1]) / 2) : pcm[k];
        }
        if (made != samples) {
            abort();
        }
    }
    if (c->decoder_fini) {
        c->decoder_fini(state);
    }
    free(state);
}

/* As a decoder has it that heard all before. */
static int16_t *decode_all(enum sim_codec codec)
{
    int16_t *out = must(malloc(SIM_BANK_UNITS * lines[codec].sample_hz / SIM_UNITS_PER_S * 2));
    decode_units(codec, 0, SIM_BANK_UNITS, LAPS, out);
    return out;
}

void sim_bank_fresh(enum sim_codec codec, int64_t unit, uint32_t units, int16_t *out)
{
    decode_units(codec, unit, units, 1, out);
}

void sim_bank_fill(void)
{
    static const uint32_t hz[RATES] = {8000, 16000, 48000};
    for (uint32_t codec = 0; codec < SIM_LINES; codec++) {
        for (uint32_t i = 0; lines[codec].name && i < RATES; i++) {
            if (lines[codec].sample_hz <= hz[i]) {
                (void)sim_bank_sound((enum sim_codec)codec, hz[i]);
            }
        }
    }
}

const int16_t *sim_bank_sound(enum sim_codec codec, uint32_t hz)
{
    const struct sim_line *l = &lines[codec];
    int16_t **at = &bank[codec].sound[hz == 8000 ? 0 : (hz == 16000 ? 1 : 2)];
    if (!*at) {
        int16_t *own = decode_all(codec);
        *at = l->sample_hz == hz ? own : at_rate(own, l->sample_hz, hz);
        if (*at != own) {
            free(own);
        }
    }
    return *at;
}

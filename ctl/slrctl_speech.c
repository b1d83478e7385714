/*
 * slrctl_speech: voices for the demo. The control plane links no codec, so the A-law encoder is
 * its own. One thread; allocates.
 */
#include "ctl/slrctl_speech.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define WAV_MAX_BYTES (4u << 20)
#define HZ_MAX 192000u
#define PAUSE_SAMPLES (SLRCTL_SPEECH_HZ / 3)
#define PI 3.14159265358979323846

struct voice {
    int16_t *at;
    size_t len;
};

uint8_t slrctl_speech_alaw(int16_t sample)
{
    uint8_t sign = 0x80;
    int value = sample >> 3;
    if (value < 0) {
        value = -value - 1;
        sign = 0;
    }
    int segment = 0;
    for (int top = value >> 5; top != 0; top >>= 1) {
        segment++;
    }
    int low = segment < 2 ? value >> 1 : value >> segment;
    return (uint8_t)((sign | (uint8_t)(segment << 4) | (uint8_t)(low & 0x0f)) ^ 0x55);
}

static uint32_t le(struct slr_slice s, size_t at, size_t count)
{
    uint32_t v = 0;
    for (size_t i = 0; i < count; i++) {
        v |= (uint32_t)s.at[at + i] << (8 * i);
    }
    return v;
}

/* Averages of what falls into each output sample: a plain low pass that is good enough for
 * speech, and repeats samples when going up. */
static enum slr_err resample(struct slr_slice pcm, uint32_t hz, int16_t **samples, size_t *len)
{
    size_t have = pcm.len_bytes / 2;
    size_t want = (size_t)((uint64_t)have * SLRCTL_SPEECH_HZ / hz);
    int16_t *out = calloc(want > 0 ? want : 1, sizeof(*out));
    if (out == NULL) {
        return SLR_NOMEM;
    }
    for (size_t i = 0; i < want; i++) {
        size_t from = (size_t)((uint64_t)i * hz / SLRCTL_SPEECH_HZ);
        size_t to = (size_t)(((uint64_t)i + 1) * hz / SLRCTL_SPEECH_HZ);
        to = to <= from ? from + 1 : to > have ? have : to;
        int64_t sum = 0;
        for (size_t k = from; k < to; k++) {
            sum += (int16_t)(uint16_t)le(pcm, 2 * k, 2);
        }
        out[i] = (int16_t)(sum / (int64_t)(to - from));
    }
    *samples = out;
    *len = want;
    return SLR_OK;
}

enum slr_err slrctl_speech_read_wav(struct slr_slice wav, int16_t **samples, size_t *len_samples)
{
    struct slr_slice head;
    uint32_t hz = 0;
    if (!slr_slice_take(&wav, 12, &head) || memcmp(head.at, "RIFF", 4) != 0 ||
        memcmp(head.at + 8, "WAVE", 4) != 0) {
        return SLR_FORMAT;
    }
    while (slr_slice_take(&wav, 8, &head)) {
        size_t len = le(head, 4, 4);
        bool data = memcmp(head.at, "data", 4) == 0;
        bool fmt = memcmp(head.at, "fmt ", 4) == 0;
        struct slr_slice body;
        len = data && len > wav.len_bytes ? wav.len_bytes : len;
        if (!slr_slice_take(&wav, len, &body)) {
            return SLR_TRUNCATED;
        }
        if (fmt) {
            if (len < 16 || le(body, 0, 2) != 1 || le(body, 2, 2) != 1 || le(body, 14, 2) != 16) {
                return SLR_FORMAT;
            }
            hz = le(body, 4, 4);
        }
        if (data) {
            return hz == 0 || hz > HZ_MAX ? SLR_FORMAT : resample(body, hz, samples, len_samples);
        }
        if ((len & 1) != 0 && !slr_slice_skip(&wav, 1)) {
            return SLR_TRUNCATED;
        }
    }
    return SLR_TRUNCATED;
}

/* The command is a constant of this file. False: not installed, or no sound came. */
static bool speak(const char *command, struct voice *v)
{
    uint8_t *wav = malloc(WAV_MAX_BYTES);
    FILE *pipe = wav != NULL ? popen(command, "re") : NULL;
    if (pipe == NULL) {
        free(wav);
        return false;
    }
    size_t n = fread(wav, 1, WAV_MAX_BYTES, pipe);
    bool ok = pclose(pipe) == 0 &&
              slrctl_speech_read_wav(slr_slice_of(wav, n), &v->at, &v->len) == SLR_OK;
    free(wav);
    return ok && v->len > SLRCTL_SPEECH_HZ / 2;
}

/* One resonance of the vocal tract. */
struct resonator {
    double a, b, c, y1, y2;
};

static void tune(struct resonator *r, double hz, double width_hz)
{
    double radius = exp(-PI * width_hz / SLRCTL_SPEECH_HZ);
    r->c = -radius * radius;
    r->b = 2 * radius * cos(2 * PI * hz / SLRCTL_SPEECH_HZ);
    r->a = 1 - r->b - r->c;
}

static double sound(struct resonator *r, double x)
{
    double y = r->a * x + r->b * r->y1 + r->c * r->y2;
    r->y2 = r->y1;
    r->y1 = y;
    return y;
}

/* Syllables: a train of pulses at the voice's pitch through three formants of changing vowels. */
static enum slr_err synthesise(double pitch_hz, unsigned seed, struct voice *v)
{
    static const double vowel[5][3] = {{730, 1090, 2440},
                                       {530, 1840, 2480},
                                       {270, 2290, 3010},
                                       {570, 840, 2410},
                                       {300, 870, 2240}};
    const size_t syllable = SLRCTL_SPEECH_HZ / 5;
    v->len = syllable * 15;
    v->at = calloc(v->len, sizeof(*v->at));
    if (v->at == NULL) {
        return SLR_NOMEM;
    }
    struct resonator r[3] = {{0}};
    double phase = 0;
    for (size_t i = 0; i < v->len; i++) {
        size_t number = i / syllable;
        double t = (double)(i % syllable) / (double)syllable;
        if (i % syllable == 0) {
            for (int k = 0; k < 3; k++) {
                tune(&r[k], vowel[(number * 7 + seed) % 5][k], 60.0 + 40.0 * k);
            }
        }
        phase += pitch_hz * (1.1 - 0.2 * t) / SLRCTL_SPEECH_HZ;
        double x = phase >= 1 ? 1 : 0;
        phase -= x;
        double y = sound(&r[2], sound(&r[1], sound(&r[0], x * 60000)));
        y *= number % 5 == 4 ? 0 : sin(PI * t); /* every fifth one is a pause */
        v->at[i] = (int16_t)(y > 30000 ? 30000 : y < -30000 ? -30000 : y);
    }
    return SLR_OK;
}

static enum slr_err fill_turns(const struct voice v[2], struct slrctl_speech *out)
{
    out->len_samples = v[0].len + v[1].len + 3 * PAUSE_SAMPLES;
    size_t start[2] = {PAUSE_SAMPLES, v[0].len + 2 * PAUSE_SAMPLES};
    for (int p = 0; p < 2; p++) {
        out->party[p] = malloc(out->len_samples);
        if (out->party[p] == NULL) {
            return SLR_NOMEM;
        }
        memset(out->party[p], slrctl_speech_alaw(0), out->len_samples);
        for (size_t i = 0; i < v[p].len; i++) {
            out->party[p][start[p] + i] = slrctl_speech_alaw(v[p].at[i]);
        }
    }
    return SLR_OK;
}

enum slr_err slrctl_speech_make(struct slrctl_speech *out)
{
    struct voice v[2] = {{NULL, 0}, {NULL, 0}};
    memset(out, 0, sizeof(*out));
    out->real = speak("espeak-ng --stdout -v en+m3 -s 165 'Hello. I am the recorded party, on the "
                      "first channel.' 2>/dev/null",
                      &v[0]) &&
                speak("espeak-ng --stdout -v en+f3 -s 165 'And I am the other party, on the second "
                      "channel. Goodbye.' 2>/dev/null",
                      &v[1]);
    enum slr_err err = SLR_OK;
    if (!out->real) {
        free(v[0].at);
        free(v[1].at);
        v[0] = v[1] = (struct voice){NULL, 0};
        err = synthesise(115, 0, &v[0]);
        err = err == SLR_OK ? synthesise(205, 2, &v[1]) : err;
    }
    err = err == SLR_OK ? fill_turns(v, out) : err;
    free(v[0].at);
    free(v[1].at);
    if (err != SLR_OK) {
        slrctl_speech_free(out);
    }
    return err;
}

void slrctl_speech_free(struct slrctl_speech *s)
{
    free(s->party[0]);
    free(s->party[1]);
    memset(s, 0, sizeof(*s));
}

/*
 * tones: samples and tones in a recording in PCM; see speech.h.
 */
#ifndef SLR_TESTS_ENGINE_TONES_H
#define SLR_TESTS_ENGINE_TONES_H

#include <math.h>

#include "tests/engine/outcome.h"

/* Sample of a channel of a recording in PCM. */
static inline int16_t sp_sample(const struct fx_result *r, uint32_t channel, int64_t frame)
{
    int16_t s = 0;
    cr_assert(frame >= 0 && (uint64_t)frame < r->wav.frames);
    cr_assert_eq(r->wav.shape.format, SLR_SAMPLE_S16);
    memcpy(&s, r->data + ((uint64_t)frame * r->wav.shape.channels + channel) * 2, 2);
    return s;
}

/* How strongly the tone is heard in [from, from + count), of full scale; and all there is. */
static inline double sp_level(const struct fx_result *r, uint32_t channel, double tone_hz,
                              int64_t from, int64_t count, double *all)
{
    double re = 0, im = 0, sum = 0;
    for (int64_t i = 0; i < count; i++) {
        double x = sp_sample(r, channel, from + i) / 32768.0;
        double a = 2 * M_PI * tone_hz * (double)i / r->wav.shape.sample_hz;
        re += x * cos(a);
        im += x * sin(a);
        sum += x * x;
    }
    *all = sqrt(2 * sum / (double)count);
    return 2 * hypot(re, im) / (double)count;
}

/* The tone, at about its level, and not much else. */
static inline void sp_assert_tone(const struct fx_result *r, uint32_t channel, double tone_hz,
                                  int64_t from_ms, int64_t to_ms, const char *what)
{
    int64_t hz = r->wav.shape.sample_hz;
    double all = 0;
    double is =
        sp_level(r, channel, tone_hz, from_ms * hz / 1000, (to_ms - from_ms) * hz / 1000, &all);
    cr_assert(is > 0.12 && is < 0.36, "%s: %.0f Hz at %.3f", what, tone_hz, is);
    cr_assert(is / all > 0.9, "%s: %.0f Hz is %.3f of %.3f", what, tone_hz, is, all);
}

#endif

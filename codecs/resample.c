/*
 * resample: rate conversion by libspeexdsp, the only file that sees it. The library's filter delays
 * by half its length; starting it half a filter into the first samples takes that away at the
 * beginning, and silence behind the last one brings out what is left at the end. State is the
 * caller's; open allocates, the calls per piece do not.
 */
#include "codecs/resample.h"

#include <speex/speex_resampler.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* 96 taps (times the ratio when the rate falls), about 100 dB of rejection, flat to 0.94 of the
 * lower rate's half. */
#define QUALITY 6
#define SILENCE_SAMPLES 256u

struct slr_resample {
    SpeexResamplerState *filter; /* NULL: equal rates */
    uint32_t in_hz, out_hz;
    uint32_t ahead_samples;           /* of input, half the filter */
    uint64_t in_samples, out_samples; /* of this run */
};

enum slr_err slr_resample_open(uint32_t in_hz, uint32_t out_hz, struct slr_resample **out)
{
    if (in_hz < SLR_RESAMPLE_MIN_HZ || in_hz > SLR_RESAMPLE_MAX_HZ ||
        out_hz < SLR_RESAMPLE_MIN_HZ || out_hz > SLR_RESAMPLE_MAX_HZ) {
        return SLR_INVAL;
    }
    struct slr_resample *r = calloc(1, sizeof *r);
    if (!r) {
        return SLR_NOMEM;
    }
    r->in_hz = in_hz;
    r->out_hz = out_hz;
    if (in_hz != out_hz) {
        int failed = 0;
        r->filter = speex_resampler_init(1, in_hz, out_hz, QUALITY, &failed);
        if (!r->filter || failed) {
            free(r);
            return SLR_NOMEM;
        }
        r->ahead_samples = (uint32_t)speex_resampler_get_input_latency(r->filter);
    }
    slr_resample_reset(r);
    *out = r;
    return SLR_OK;
}

void slr_resample_close(struct slr_resample *r)
{
    if (r && r->filter) {
        speex_resampler_destroy(r->filter);
    }
    free(r);
}

void slr_resample_reset(struct slr_resample *r)
{
    r->in_samples = 0;
    r->out_samples = 0;
    if (r->filter) {
        speex_resampler_reset_mem(r->filter);
        speex_resampler_skip_zeros(r->filter);
    }
}

uint32_t slr_resample_bound(const struct slr_resample *r, uint32_t in_samples)
{
    if (!r->filter) {
        return in_samples;
    }
    uint64_t in = in_samples ? in_samples : r->ahead_samples;
    return (uint32_t)((in * r->out_hz + r->in_hz - 1) / r->in_hz) + 2;
}

/* Feeds all of in, returns the samples written. */
static uint32_t feed(struct slr_resample *r, const int16_t *in, uint32_t in_samples, int16_t *out,
                     uint32_t out_max)
{
    uint32_t written = 0;
    for (uint32_t at = 0; at < in_samples;) {
        spx_uint32_t take = in_samples - at, give = out_max - written;
        if (speex_resampler_process_int(r->filter, 0, in + at, &take, out + written, &give) !=
                RESAMPLER_ERR_SUCCESS ||
            (take == 0 && give == 0)) {
            break; /* it says so only for wrong arguments, or no room */
        }
        at += take;
        written += give;
    }
    return written;
}

enum slr_err slr_resample_run(struct slr_resample *r, const int16_t *in, uint32_t in_samples,
                              int16_t *out, uint32_t out_max, uint32_t *out_samples)
{
    if (in_samples == 0) {
        *out_samples = 0;
        return SLR_OK;
    }
    if (out_max < slr_resample_bound(r, in_samples)) {
        return SLR_TRUNCATED;
    }
    if (!r->filter) {
        memcpy(out, in, in_samples * sizeof *out);
        *out_samples = in_samples;
        return SLR_OK;
    }
    *out_samples = feed(r, in, in_samples, out, out_max);
    r->in_samples += in_samples;
    r->out_samples += *out_samples;
    return SLR_OK;
}

enum slr_err slr_resample_flush(struct slr_resample *r, int16_t *out, uint32_t out_max,
                                uint32_t *out_samples)
{
    static const int16_t silence[SILENCE_SAMPLES];
    uint32_t written = 0;
    if (r->filter) {
        if (out_max < slr_resample_bound(r, 0)) {
            return SLR_TRUNCATED;
        }
        uint64_t total = (r->in_samples * r->out_hz + r->in_hz / 2) / r->in_hz;
        uint32_t left = total > r->out_samples ? (uint32_t)(total - r->out_samples) : 0;
        while (written < left) {
            written += feed(r, silence, SILENCE_SAMPLES, out + written, left - written);
        }
    }
    slr_resample_reset(r);
    *out_samples = written;
    return SLR_OK;
}

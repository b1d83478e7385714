/*
 * voice: see the header. Writer thread.
 */
#include "engine/voice.h"

#include <stdlib.h>
#include <string.h>

/* Of input, so that what becomes of it fits the scratch from 1 kHz to 48 kHz. */
#define RESAMPLE_PIECE 480u
#define FADE_PER_S 200u /* 5 ms */

static void stop_decoder(struct slr_voice *v)
{
    if (v->decoding && v->use.codec->decoder_fini) {
        v->use.codec->decoder_fini(v->decoder);
    }
    v->decoding = false;
}

static enum slr_err start_decoder(struct slr_voice *v)
{
    const struct slr_codec *codec = v->use.codec;
    if (codec->decoder_bytes == 0) {
        return SLR_OK;
    }
    memset(v->decoder, 0, codec->decoder_bytes);
    enum slr_err err = codec->decoder_init(v->decoder, &v->use);
    v->decoding = err == SLR_OK;
    return err;
}

enum slr_err slr_voice_restart(struct slr_voice *v)
{
    stop_decoder(v);
    if (v->resample) {
        slr_resample_reset(v->resample);
    }
    v->running = false;
    v->stale = false;
    v->comfort = false;
    v->unit_ticks = 0;
    v->filled_ticks = 0;
    v->last_ticks = INT64_MIN;
    return start_decoder(v);
}

enum slr_err slr_voice_open(const struct slr_codec_use *use, uint32_t stream, uint32_t row,
                            uint32_t out_hz, struct slr_voice **out)
{
    size_t bytes = (use->codec->decoder_bytes + 15u) & ~(size_t)15u;
    struct slr_voice *v = calloc(1, sizeof *v);
    enum slr_err err = v ? SLR_OK : SLR_NOMEM;
    if (v) {
        v->stream = stream;
        v->row = row;
        v->use = *use;
        v->out_hz = out_hz;
        v->decoder = bytes ? aligned_alloc(16, bytes) : NULL;
        err = bytes && !v->decoder ? SLR_NOMEM : SLR_OK;
    }
    if (err == SLR_OK && use->sample_hz != out_hz) {
        err = slr_resample_open(use->sample_hz, out_hz, &v->resample);
    }
    if (err == SLR_OK) {
        err = slr_voice_restart(v);
    }
    if (err != SLR_OK) {
        slr_voice_close(v);
        return err;
    }
    *out = v;
    return SLR_OK;
}

void slr_voice_close(struct slr_voice *v)
{
    if (v) {
        stop_decoder(v);
        slr_resample_close(v->resample);
        free(v->decoder);
        free(v);
    }
}

bool slr_voice_continues(const struct slr_voice *v, int64_t ticks)
{
    int64_t apart = ticks - v->next_ticks;
    int64_t most = slr_voice_tolerance_ticks(v);
    return v->running && apart <= most && apart >= -most;
}

void slr_voice_to_mono(int16_t *pcm, uint32_t samples, uint32_t channels)
{
    for (uint32_t i = 0; channels == 2 && i < samples; i++) {
        pcm[i] = (int16_t)((pcm[2 * i] + pcm[2 * i + 1]) / 2);
    }
}

static void put(struct slr_voice *v, struct slr_track *track, const int16_t *pcm, uint32_t samples)
{
    slr_track_put_pcm(track, v->next_frame, pcm, samples);
    v->next_frame += samples;
}

/* The next `samples` of the run are in scratch->pcm. */
static void go_on(struct slr_voice *v, struct slr_track *track, struct slr_voice_scratch *scratch,
                  uint32_t samples)
{
    const uint32_t room = sizeof scratch->out / sizeof scratch->out[0];
    slr_voice_to_mono(scratch->pcm, samples, v->use.channels);
    if (!v->resample) {
        put(v, track, scratch->pcm, samples);
        return;
    }
    for (uint32_t at = 0; at < samples; at += RESAMPLE_PIECE) {
        uint32_t n = samples - at < RESAMPLE_PIECE ? samples - at : RESAMPLE_PIECE;
        uint32_t made = 0;
        enum slr_err err =
            slr_resample_run(v->resample, scratch->pcm + at, n, scratch->out, room, &made);
        put(v, track, scratch->out, err == SLR_OK ? made : 0);
    }
}

void slr_voice_end(struct slr_voice *v, struct slr_track *track, struct slr_voice_scratch *scratch)
{
    uint32_t made = 0;
    const uint32_t room = sizeof scratch->out / sizeof scratch->out[0];
    if (v->running && v->resample &&
        slr_resample_flush(v->resample, scratch->out, room, &made) == SLR_OK) {
        put(v, track, scratch->out, made);
    }
    v->running = false;
}

static void begin_run(struct slr_voice *v, struct slr_track *track,
                      struct slr_voice_scratch *scratch, int64_t ticks)
{
    slr_voice_end(v, track, scratch);
    v->running = true;
    v->next_frame = slr_floor_div(ticks, slr_ticks_per_frame(&track->shape));
}

static int64_t ticks_of(const struct slr_voice *v, uint32_t samples)
{
    return (int64_t)samples * SLR_TICKS_HZ / (int64_t)v->use.sample_hz;
}

enum slr_err slr_voice_decode(struct slr_voice *v, struct slr_track *track,
                              struct slr_voice_scratch *scratch, int64_t ticks,
                              struct slr_slice payload)
{
    struct slr_payload_info info = {0};
    uint32_t samples = 0;
    enum slr_err err = v->use.codec->inspect(&v->use, payload, &info);
    if (err == SLR_OK) {
        err = v->use.codec->decode(v->decoder, &v->use, payload, scratch->pcm,
                                   SLR_CODEC_MAX_SAMPLES, &samples);
    }
    v->last_ticks = ticks;
    if (err != SLR_OK) {
        return err;
    }
    if (!slr_voice_continues(v, ticks)) {
        begin_run(v, track, scratch, ticks);
    }
    v->comfort = info.comfort;
    v->filled_ticks = 0;
    go_on(v, track, scratch, samples);
    v->unit_ticks = ticks_of(v, samples);
    v->next_ticks = ticks + v->unit_ticks;
    return SLR_OK;
}

/* Towards nothing at the end. */
static void fade_out(int16_t *pcm, uint32_t samples, uint32_t channels, uint32_t hz)
{
    uint32_t length = hz / FADE_PER_S < samples ? hz / FADE_PER_S : samples;
    for (uint32_t i = 0; i < length * channels; i++) {
        int16_t *at = &pcm[samples * channels - 1 - i];
        *at = (int16_t)(*at * (int32_t)(i / channels) / (int32_t)length);
    }
}

void slr_voice_fill(struct slr_voice *v, struct slr_track *track, struct slr_voice_scratch *scratch,
                    const struct slr_voice_fill *fill)
{
    const struct slr_codec *codec = v->use.codec;
    int64_t tps = SLR_TICKS_HZ / (int64_t)v->use.sample_hz;
    int64_t left = (fill->ticks + tps / 2) / tps;
    while (left > 0) {
        uint32_t n = left < SLR_CODEC_MAX_SAMPLES ? (uint32_t)left : SLR_CODEC_MAX_SAMPLES;
        bool last = n == left;
        enum slr_err err = SLR_FORMAT;
        if (last && fill->next.len_bytes > 0 && codec->recover) {
            err = codec->recover(v->decoder, &v->use, fill->next, scratch->pcm, n);
        }
        if (err != SLR_OK && codec->conceal) {
            err = codec->conceal(v->decoder, &v->use, scratch->pcm, n);
        }
        if (err != SLR_OK) {
            memset(scratch->pcm, 0, (size_t)n * v->use.channels * sizeof scratch->pcm[0]);
        }
        if (last && fill->fade) {
            fade_out(scratch->pcm, n, v->use.channels, v->use.sample_hz);
        }
        go_on(v, track, scratch, n);
        left -= n;
    }
    v->next_ticks += fill->ticks;
    v->filled_ticks += fill->ticks;
}

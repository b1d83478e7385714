/*
 * codec_steps: what the fuzz targets of the codecs share. The input is a list of steps for one
 * decoder: a byte that says what to do, two bytes of length, then as many bytes of payload (or for
 * a concealment nothing, the length being samples). What inspect says must be what decode does.
 */
#ifndef SLR_TESTS_FUZZ_CODEC_STEPS_H
#define SLR_TESTS_FUZZ_CODEC_STEPS_H

#include <stdlib.h>
#include <string.h>

#include "codecs/codec.h"

#define STEPS_CANARY 0x5a5a

enum { STEP_DECODE, STEP_DECODE_SHORT, STEP_CONCEAL, STEP_RECOVER, STEP_KINDS };

static inline void steps_require(bool ok)
{
    if (!ok) {
        abort();
    }
}

/* Each payload in a block of its own, so that ASan sees any read past its end. */
static inline void steps_decode(const struct slr_codec_use *use, void *state,
                                struct slr_slice payload, uint32_t max_samples)
{
    static int16_t out[SLR_CODEC_MAX_SAMPLES * 2 + 1];
    struct slr_payload_info info = {0};
    uint32_t samples = 0;
    uint8_t *copy = malloc(payload.len_bytes + 1);
    steps_require(copy);
    if (payload.len_bytes > 0) {
        memcpy(copy + 1, payload.at, payload.len_bytes);
    }
    payload.at = copy + 1;
    enum slr_err said = use->codec->inspect(use, payload, &info);
    out[max_samples * use->channels] = STEPS_CANARY;
    enum slr_err done = use->codec->decode(state, use, payload, out, max_samples, &samples);
    if (said == SLR_OK) {
        steps_require(info.samples <= SLR_CODEC_MAX_SAMPLES);
        steps_require(done == (info.samples > max_samples ? SLR_TRUNCATED : SLR_OK));
        steps_require(done != SLR_OK || samples == info.samples);
    } else {
        steps_require(said == SLR_FORMAT && done == SLR_FORMAT);
    }
    steps_require(out[max_samples * use->channels] == STEPS_CANARY);
    free(copy);
}

static inline void steps_fill(const struct slr_codec_use *use, void *state, bool recover,
                              struct slr_slice next, uint32_t samples)
{
    static int16_t out[SLR_CODEC_MAX_SAMPLES * 2 + 1];
    const struct slr_codec *c = use->codec;
    samples %= SLR_CODEC_MAX_SAMPLES + 1;
    out[samples * use->channels] = STEPS_CANARY;
    if (recover && c->recover) {
        enum slr_err err = c->recover(state, use, next, out, samples);
        steps_require(err == SLR_OK || err == SLR_FORMAT);
    } else if (!recover && c->conceal) {
        steps_require(c->conceal(state, use, out, samples) == SLR_OK);
    }
    steps_require(out[samples * use->channels] == STEPS_CANARY);
}

/* Runs the steps of data on a decoder bound with p (which the codec may refuse). */
static inline void steps_run(const struct slr_codec *c, const struct slr_codec_params *p,
                             struct slr_slice data)
{
    struct slr_codec_use use;
    void *state = NULL;
    uint8_t what;
    uint16_t length;
    if (slr_codec_bind(c, p, &use) != SLR_OK) {
        return;
    }
    steps_require(posix_memalign(&state, 16, c->decoder_bytes ? c->decoder_bytes : 1) == 0);
    steps_require(!c->decoder_init || c->decoder_init(state, &use) == SLR_OK);
    while (slr_slice_take_u8(&data, &what) && slr_slice_take_u16(&data, &length)) {
        struct slr_slice payload = {0};
        what %= STEP_KINDS;
        if (what == STEP_CONCEAL) {
            steps_fill(&use, state, false, payload, length);
            continue;
        }
        size_t n = length < data.len_bytes ? length : data.len_bytes;
        steps_require(slr_slice_take(&data, n, &payload));
        if (what == STEP_RECOVER) {
            steps_fill(&use, state, true, payload, 960);
        }
        steps_decode(&use, state, payload, what == STEP_DECODE_SHORT ? 80 : SLR_CODEC_MAX_SAMPLES);
    }
    if (c->decoder_fini) {
        c->decoder_fini(state);
    }
    free(state);
}

#endif

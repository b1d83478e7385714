/*
 * bank: see the header.
 */
#include "load/bank.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "load/draw.h"

#define SEED 0x5eedba9cu
#define LOUD 9000

/* Noise that is a bit darker than white, so that speech codecs have something to hold on to. */
static void make_noise(int16_t *out, size_t samples)
{
    double low = 0;
    for (size_t i = 0; i < samples; i++) {
        uint64_t bits = slr_draw_mix(SEED + i * 0x9e3779b97f4a7c15u);
        double white = (double)(int16_t)bits / 32768.0;
        low += 0.45 * (white - low);
        out[i] = (int16_t)(low * LOUD);
    }
}

struct work {
    const struct slr_codec_use *use;
    struct slr_bank *bank;
    int16_t *noise;
    void *encoder, *decoder;
};

/* Twice round: what the second round gives goes on seamlessly where the loop closes. */
static enum slr_err fill(struct work *w)
{
    const struct slr_codec *codec = w->use->codec;
    struct slr_bank *b = w->bank;
    enum slr_err err = SLR_OK;
    for (uint32_t i = 0; i < 2 * SLR_BANK_FRAMES && err == SLR_OK; i++) {
        uint32_t at = i % SLR_BANK_FRAMES;
        err = codec->encode(w->encoder, w->use, w->noise + (size_t)at * b->frame_samples,
                            b->frame_samples, b->payload[at], SLR_BANK_PAYLOAD_BYTES, &b->len[at]);
    }
    for (uint32_t i = 0; i < 2 * SLR_BANK_FRAMES && err == SLR_OK; i++) {
        uint32_t at = i % SLR_BANK_FRAMES;
        uint32_t samples = 0;
        err = codec->decode(w->decoder, w->use, slr_slice_of(b->payload[at], b->len[at]),
                            b->sound + (size_t)at * b->frame_samples, b->frame_samples, &samples);
        if (err == SLR_OK && samples != b->frame_samples) {
            err = SLR_UNSUPPORTED;
        }
    }
    return err;
}

static void *state_of(size_t bytes)
{
    void *at = aligned_alloc(16, (bytes + 16) & ~(size_t)15);
    if (at) {
        memset(at, 0, bytes);
    }
    return at;
}

static enum slr_err run(struct work *w)
{
    const struct slr_codec *codec = w->use->codec;
    enum slr_err err = codec->encoder_init ? codec->encoder_init(w->encoder, w->use, 0) : SLR_OK;
    if (err != SLR_OK) {
        return err;
    }
    err = codec->decoder_init ? codec->decoder_init(w->decoder, w->use) : SLR_OK;
    if (err == SLR_OK) {
        err = fill(w);
        if (codec->decoder_fini) {
            codec->decoder_fini(w->decoder);
        }
    }
    if (codec->encoder_fini) {
        codec->encoder_fini(w->encoder);
    }
    return err;
}

enum slr_err slr_bank_open(const struct slr_codec_use *use, struct slr_bank **out)
{
    if (!use->codec->encode || use->channels != 1) {
        return SLR_UNSUPPORTED;
    }
    size_t samples = (size_t)SLR_BANK_FRAMES * (use->sample_hz / 50u);
    struct work w = {.use = use,
                     .bank = calloc(1, sizeof *w.bank),
                     .noise = calloc(samples, sizeof *w.noise),
                     .encoder = state_of(use->codec->encoder_bytes),
                     .decoder = state_of(use->codec->decoder_bytes)};
    enum slr_err err = SLR_NOMEM;
    if (w.bank) {
        w.bank->frame_samples = use->sample_hz / 50u;
        w.bank->sound = calloc(samples, sizeof *w.bank->sound);
    }
    if (w.bank && w.bank->sound && w.noise && w.encoder && w.decoder) {
        make_noise(w.noise, samples);
        err = run(&w);
    }
    free(w.noise);
    free(w.encoder);
    free(w.decoder);
    if (err != SLR_OK) {
        slr_bank_close(w.bank);
        return err;
    }
    *out = w.bank;
    return SLR_OK;
}

void slr_bank_close(struct slr_bank *b)
{
    if (b) {
        free(b->sound);
        free(b);
    }
}

/*
 * gsm: GSM 06.10 full rate as an RTP payload (RFC 3551 section 4.5.8, static payload type 3): one
 * or more frames of 33 bytes, 160 samples each. The only file that sees libgsm. The library's
 * decoder conceals nothing: losses are substituted and muted as GSM 06.11 has it. State is the
 * caller's and points to the library's, which init allocates.
 */
#include <gsm.h>
#include <string.h>

#include "codecs/codec.h"
#include "codecs/held.h"

#define FRAME_BYTES 33u
#define FRAME_SAMPLES 160u
/* Bits of a frame: signature, reflection coefficients, then four subframes of 56 whose block
 * amplitude follows lag, gain and grid. */
#define SUBFRAMES_BIT 40u
#define SUBFRAME_BITS 56u
#define AMPLITUDE_BIT 11u
#define AMPLITUDE_BITS 6u
/* GSM 06.11: a step of muting a frame, and silence after 320 ms. */
#define MUTE_STEP 4u
#define MUTE_FRAMES 16u

struct decoder {
    gsm lib;
    uint8_t last[FRAME_BYTES]; /* as received, then as it is being muted */
    uint32_t lost_frames;      /* since the last good one; MUTE_FRAMES and more: silence */
    struct slr_held held;
};

struct encoder {
    gsm lib;
};

static enum slr_err decoder_init(void *state, const struct slr_codec_use *use)
{
    struct decoder *d = state;
    (void)use;
    *d = (struct decoder){.lib = gsm_create(), .lost_frames = MUTE_FRAMES};
    return d->lib ? SLR_OK : SLR_NOMEM;
}

static void decoder_fini(void *state)
{
    struct decoder *d = state;
    gsm_destroy(d->lib);
}

static enum slr_err inspect(const struct slr_codec_use *use, struct slr_slice payload,
                            struct slr_payload_info *info)
{
    size_t frames = payload.len_bytes / FRAME_BYTES;
    (void)use;
    if (frames == 0 || payload.len_bytes % FRAME_BYTES != 0 ||
        frames * FRAME_SAMPLES > SLR_CODEC_MAX_SAMPLES) {
        return SLR_FORMAT;
    }
    for (size_t i = 0; i < frames; i++) {
        if (payload.at[i * FRAME_BYTES] >> 4 != GSM_MAGIC) {
            return SLR_FORMAT;
        }
    }
    *info = (struct slr_payload_info){.samples = (uint32_t)frames * FRAME_SAMPLES};
    return SLR_OK;
}

static void decode_frame(struct decoder *d, uint8_t frame[FRAME_BYTES], int16_t *out)
{
    if (gsm_decode(d->lib, frame, out) != 0) {
        memset(out, 0, FRAME_SAMPLES * sizeof *out); /* only for a wrong signature */
    }
}

static enum slr_err decode(void *state, const struct slr_codec_use *use, struct slr_slice payload,
                           int16_t *out, uint32_t max_samples, uint32_t *samples)
{
    struct decoder *d = state;
    struct slr_payload_info info;
    enum slr_err err = inspect(use, payload, &info);
    if (err != SLR_OK || info.samples > max_samples) {
        return err != SLR_OK ? err : SLR_TRUNCATED;
    }
    for (uint32_t at = 0; at < info.samples; at += FRAME_SAMPLES) {
        memcpy(d->last, payload.at, FRAME_BYTES);
        payload.at += FRAME_BYTES;
        decode_frame(d, d->last, out + at);
    }
    d->lost_frames = 0;
    slr_held_reset(&d->held);
    *samples = info.samples;
    return SLR_OK;
}

/* Lowers the block amplitude of each subframe by a step. */
static void mute(uint8_t frame[FRAME_BYTES])
{
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t first = SUBFRAMES_BIT + i * SUBFRAME_BITS + AMPLITUDE_BIT, value = 0;
        for (uint32_t bit = first; bit < first + AMPLITUDE_BITS; bit++) {
            value = value << 1 | (frame[bit / 8] >> (7 - bit % 8) & 1u);
        }
        value = value > MUTE_STEP ? value - MUTE_STEP : 0;
        for (uint32_t k = 0; k < AMPLITUDE_BITS; k++) {
            uint32_t bit = first + k, mask = 0x80u >> bit % 8;
            bool set = value >> (AMPLITUDE_BITS - 1 - k) & 1u;
            frame[bit / 8] = (uint8_t)(set ? frame[bit / 8] | mask : frame[bit / 8] & ~mask);
        }
    }
}

static void conceal_frame(void *state, int16_t *out)
{
    struct decoder *d = state;
    if (d->lost_frames >= MUTE_FRAMES) {
        memset(out, 0, FRAME_SAMPLES * sizeof *out);
        return;
    }
    if (d->lost_frames > 0) {
        mute(d->last); /* the first substitute is the last good frame itself */
    }
    d->lost_frames++;
    decode_frame(d, d->last, out);
}

static enum slr_err conceal(void *state, const struct slr_codec_use *use, int16_t *out,
                            uint32_t samples)
{
    struct decoder *d = state;
    (void)use;
    slr_held_take(&d->held, conceal_frame, d, FRAME_SAMPLES, out, samples);
    return SLR_OK;
}

static enum slr_err encoder_init(void *state, const struct slr_codec_use *use, uint32_t bitrate_bps)
{
    struct encoder *e = state;
    (void)use;
    (void)bitrate_bps;
    e->lib = gsm_create();
    return e->lib ? SLR_OK : SLR_NOMEM;
}

static void encoder_fini(void *state)
{
    struct encoder *e = state;
    gsm_destroy(e->lib);
}

static enum slr_err encode(void *state, const struct slr_codec_use *use, const int16_t *in,
                           uint32_t samples, uint8_t *out, size_t out_bytes, size_t *len_bytes)
{
    struct encoder *e = state;
    size_t need = samples / FRAME_SAMPLES * FRAME_BYTES;
    (void)use;
    if (samples % FRAME_SAMPLES != 0) {
        return SLR_INVAL;
    }
    if (need > out_bytes) {
        return SLR_TRUNCATED;
    }
    for (uint32_t at = 0; at < samples; at += FRAME_SAMPLES, out += FRAME_BYTES) {
        int16_t frame[FRAME_SAMPLES]; /* the library takes no const */
        memcpy(frame, in + at, sizeof frame);
        gsm_encode(e->lib, frame, out);
    }
    *len_bytes = need;
    return SLR_OK;
}

const struct slr_codec slr_codec_gsm = {
    .name = "GSM",
    .static_pt = 3,
    .clock_hz = 8000,
    .sample_hz = 8000,
    .channels = 1,
    .decoder_bytes = sizeof(struct decoder),
    .encoder_bytes = sizeof(struct encoder),
    .decoder_init = decoder_init,
    .decoder_fini = decoder_fini,
    .inspect = inspect,
    .decode = decode,
    .conceal = conceal,
    .encoder_init = encoder_init,
    .encoder_fini = encoder_fini,
    .encode = encode,
};

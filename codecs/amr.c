/*
 * amr: AMR narrow-band as an RTP payload (RFC 4867): frames of 160 samples in both packings. The
 * only file that sees libopencore-amrnb. A frame that is missing or marked bad is decoded as "no
 * data", upon which the library extrapolates after speech and goes on with its noise after a
 * silence descriptor. State is the caller's and points to the library's, which init allocates.
 */
#include <opencore-amrnb/interf_dec.h>
#include <opencore-amrnb/interf_enc.h>

#include "codecs/amr_payload.h"
#include "codecs/held.h"

#define FRAME_SAMPLES 160u

struct decoder {
    void *lib;
    struct slr_held held;
};

struct encoder {
    void *lib;
    enum Mode mode;
};

static enum slr_err decoder_init(void *state, const struct slr_codec_use *use)
{
    struct decoder *d = state;
    (void)use;
    *d = (struct decoder){.lib = Decoder_Interface_init()};
    return d->lib ? SLR_OK : SLR_NOMEM;
}

static void decoder_fini(void *state)
{
    struct decoder *d = state;
    Decoder_Interface_exit(d->lib);
}

static enum slr_err inspect(const struct slr_codec_use *use, struct slr_slice payload,
                            struct slr_payload_info *info)
{
    return slr_amr_inspect(&slr_amr_narrow, use, payload, info);
}

static void decode_nothing(void *state, int16_t *out)
{
    static const uint8_t no_data[SLR_AMR_FRAME_BYTES] = {SLR_AMR_NO_DATA << 3 | 4};
    struct decoder *d = state;
    Decoder_Interface_Decode(d->lib, no_data, out, 0);
}

static enum slr_err decode(void *state, const struct slr_codec_use *use, struct slr_slice payload,
                           int16_t *out, uint32_t max_samples, uint32_t *samples)
{
    struct decoder *d = state;
    struct slr_amr_payload parsed;
    enum slr_err err = slr_amr_read(&slr_amr_narrow, use, payload, &parsed);
    if (err != SLR_OK || parsed.frames * FRAME_SAMPLES > max_samples) {
        return err != SLR_OK ? err : SLR_TRUNCATED;
    }
    for (uint32_t i = 0; i < parsed.frames; i++, out += FRAME_SAMPLES) {
        uint8_t frame[SLR_AMR_FRAME_BYTES];
        if (!parsed.frame[i].good || parsed.frame[i].type > slr_amr_narrow.sid_type) {
            decode_nothing(d, out);
            continue;
        }
        slr_amr_frame(&slr_amr_narrow, payload, &parsed, i, frame);
        Decoder_Interface_Decode(d->lib, frame, out, 0);
    }
    slr_held_reset(&d->held);
    *samples = parsed.frames * FRAME_SAMPLES;
    return SLR_OK;
}

static enum slr_err conceal(void *state, const struct slr_codec_use *use, int16_t *out,
                            uint32_t samples)
{
    struct decoder *d = state;
    (void)use;
    slr_held_take(&d->held, decode_nothing, d, FRAME_SAMPLES, out, samples);
    return SLR_OK;
}

static enum slr_err encoder_init(void *state, const struct slr_codec_use *use, uint32_t bitrate_bps)
{
    static const uint32_t rate_bps[] = {4750, 5150, 5900, 6700, 7400, 7950, 10200, 12200};
    struct encoder *e = state;
    (void)use;
    e->lib = Encoder_Interface_init(0);
    e->mode = MR122;
    while (bitrate_bps != 0 && e->mode > MR475 && rate_bps[e->mode] > bitrate_bps) {
        e->mode--;
    }
    return e->lib ? SLR_OK : SLR_NOMEM;
}

static void encoder_fini(void *state)
{
    struct encoder *e = state;
    Encoder_Interface_exit(e->lib);
}

static enum slr_err encode(void *state, const struct slr_codec_use *use, const int16_t *in,
                           uint32_t samples, uint8_t *out, size_t out_bytes, size_t *len_bytes)
{
    struct encoder *e = state;
    uint8_t frame[SLR_AMR_MAX_FRAMES * SLR_AMR_FRAME_BYTES];
    uint32_t frames = samples / FRAME_SAMPLES;
    if (samples % FRAME_SAMPLES != 0 || frames > SLR_AMR_MAX_FRAMES) {
        return SLR_INVAL;
    }
    for (uint32_t i = 0; i < frames; i++) {
        Encoder_Interface_Encode(e->lib, e->mode, in + i * FRAME_SAMPLES,
                                 frame + i * SLR_AMR_FRAME_BYTES, 0);
    }
    return slr_amr_write(&slr_amr_narrow, use, frame, frames, out, out_bytes, len_bytes);
}

const struct slr_codec slr_codec_amr = {
    .name = "AMR",
    .static_pt = -1,
    .clock_hz = 8000,
    .sample_hz = 8000,
    .channels = 1,
    .decoder_bytes = sizeof(struct decoder),
    .encoder_bytes = sizeof(struct encoder),
    .bind = slr_amr_bind,
    .decoder_init = decoder_init,
    .decoder_fini = decoder_fini,
    .inspect = inspect,
    .decode = decode,
    .conceal = conceal,
    .encoder_init = encoder_init,
    .encoder_fini = encoder_fini,
    .encode = encode,
};

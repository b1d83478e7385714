/*
 * g729: G.729 and annexes A and B as an RTP payload (RFC 3551 section 4.5.6, static payload type
 * 18): frames of 10 bytes and 80 samples, the last one may be a silence descriptor of 2. The only
 * file that sees libbcg729, which is GPL-3: built when SLR_G729 is on, and the program is then
 * under that licence as a whole. State is the caller's and points to the library's, which init
 * allocates.
 */
#ifdef SLR_HAVE_G729

#include <bcg729/decoder.h>
#include <bcg729/encoder.h>

#include "codecs/codec.h"
#include "codecs/held.h"

#define FRAME_BYTES 10u
#define SID_BYTES 2u
#define FRAME_SAMPLES 80u

struct decoder {
    bcg729DecoderChannelContextStruct *lib;
    struct slr_held held;
};

struct encoder {
    bcg729EncoderChannelContextStruct *lib;
};

static enum slr_err decoder_init(void *state, const struct slr_codec_use *use)
{
    struct decoder *d = state;
    (void)use;
    *d = (struct decoder){.lib = initBcg729DecoderChannel()};
    return d->lib ? SLR_OK : SLR_NOMEM;
}

static void decoder_fini(void *state)
{
    struct decoder *d = state;
    closeBcg729DecoderChannel(d->lib);
}

static enum slr_err inspect(const struct slr_codec_use *use, struct slr_slice payload,
                            struct slr_payload_info *info)
{
    size_t speech = payload.len_bytes / FRAME_BYTES, rest = payload.len_bytes % FRAME_BYTES;
    size_t frames = speech + (rest == SID_BYTES);
    (void)use;
    if (frames == 0 || (rest != 0 && rest != SID_BYTES) ||
        frames * FRAME_SAMPLES > SLR_CODEC_MAX_SAMPLES) {
        return SLR_FORMAT;
    }
    *info = (struct slr_payload_info){.samples = (uint32_t)frames * FRAME_SAMPLES,
                                      .comfort = speech == 0};
    return SLR_OK;
}

static enum slr_err decode(void *state, const struct slr_codec_use *use, struct slr_slice payload,
                           int16_t *out, uint32_t max_samples, uint32_t *samples)
{
    struct decoder *d = state;
    struct slr_payload_info info;
    struct slr_slice frame;
    enum slr_err err = inspect(use, payload, &info);
    if (err != SLR_OK || info.samples > max_samples) {
        return err != SLR_OK ? err : SLR_TRUNCATED;
    }
    for (; slr_slice_take(&payload, FRAME_BYTES, &frame); out += FRAME_SAMPLES) {
        bcg729Decoder(d->lib, frame.at, FRAME_BYTES, 0, 0, 0, out);
    }
    if (payload.len_bytes == SID_BYTES) {
        bcg729Decoder(d->lib, payload.at, SID_BYTES, 0, 1, 0, out);
    }
    slr_held_reset(&d->held);
    *samples = info.samples;
    return SLR_OK;
}

/* After speech the library extrapolates, after a silence descriptor it goes on with its noise. */
static void conceal_frame(void *state, int16_t *out)
{
    struct decoder *d = state;
    bcg729Decoder(d->lib, NULL, 0, 1, 0, 0, out);
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
    e->lib = initBcg729EncoderChannel(0);
    return e->lib ? SLR_OK : SLR_NOMEM;
}

static void encoder_fini(void *state)
{
    struct encoder *e = state;
    closeBcg729EncoderChannel(e->lib);
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
        uint8_t frame_bytes;
        bcg729Encoder(e->lib, in + at, out, &frame_bytes);
    }
    *len_bytes = need;
    return SLR_OK;
}

const struct slr_codec slr_codec_g729 = {
    .name = "G729",
    .static_pt = 18,
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

#else
typedef int slr_g729_is_not_built;
#endif

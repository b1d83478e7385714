/*
 * l16: linear samples, 16 bits, network order, one or two channels at any clock (RFC 3551 section
 * 4.5.11; the static payload types 10 and 11 are 44100 Hz in stereo and mono). Stateless; any
 * thread, allocates nothing.
 */
#include "codecs/codec.h"

static enum slr_err inspect(const struct slr_codec_use *use, struct slr_slice payload,
                            struct slr_payload_info *info)
{
    size_t frame_bytes = 2u * use->channels;
    size_t samples = payload.len_bytes / frame_bytes;
    if (payload.len_bytes % frame_bytes != 0 || samples > SLR_CODEC_MAX_SAMPLES) {
        return SLR_FORMAT;
    }
    *info = (struct slr_payload_info){.samples = (uint32_t)samples};
    return SLR_OK;
}

static enum slr_err decode(void *state, const struct slr_codec_use *use, struct slr_slice payload,
                           int16_t *out, uint32_t max_samples, uint32_t *samples)
{
    struct slr_payload_info info;
    enum slr_err err = inspect(use, payload, &info);
    (void)state;
    if (err != SLR_OK || info.samples > max_samples) {
        return err != SLR_OK ? err : SLR_TRUNCATED;
    }
    uint16_t v;
    while (slr_slice_take_u16(&payload, &v)) {
        *out++ = (int16_t)v;
    }
    *samples = info.samples;
    return SLR_OK;
}

static enum slr_err encode(void *state, const struct slr_codec_use *use, const int16_t *in,
                           uint32_t samples, uint8_t *out, size_t out_bytes, size_t *len_bytes)
{
    struct slr_put put = slr_put_of(out, out_bytes);
    (void)state;
    if (out_bytes / 2 / use->channels < samples) {
        return SLR_TRUNCATED;
    }
    for (uint32_t i = 0; i < samples * use->channels; i++) {
        slr_put_u16(&put, (uint16_t)in[i]);
    }
    *len_bytes = put.len_bytes;
    return SLR_OK;
}

const struct slr_codec slr_codec_l16 = {
    .name = "L16",
    .static_pt = 11,
    .inspect = inspect,
    .decode = decode,
    .encode = encode,
};

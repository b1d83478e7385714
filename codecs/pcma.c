/*
 * pcma: G.711 A-law as an RTP payload (RFC 3551 section 4.5.14, static payload type 8). Stateless;
 * any thread, allocates nothing.
 */
#include "codecs/g711.h"

static enum slr_err decode(void *state, const struct slr_codec_use *use, struct slr_slice payload,
                           int16_t *out, uint32_t max_samples, uint32_t *samples)
{
    (void)state;
    (void)use;
    return slr_g711_decode(slr_g711_alaw_table, payload, out, max_samples, samples);
}

static enum slr_err encode(void *state, const struct slr_codec_use *use, const int16_t *in,
                           uint32_t samples, uint8_t *out, size_t out_bytes, size_t *len_bytes)
{
    (void)state;
    (void)use;
    if (samples > out_bytes) {
        return SLR_TRUNCATED;
    }
    for (uint32_t i = 0; i < samples; i++) {
        out[i] = slr_g711_s16_to_alaw(in[i]);
    }
    *len_bytes = samples;
    return SLR_OK;
}

const struct slr_codec slr_codec_pcma = {
    .name = "PCMA",
    .static_pt = 8,
    .clock_hz = 8000,
    .sample_hz = 8000,
    .channels = 1,
    .silence_byte = 0xd5,
    .inspect = slr_g711_inspect,
    .decode = decode,
    .encode = encode,
};

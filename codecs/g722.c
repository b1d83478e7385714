/*
 * g722: G.722 at 64 kbit/s as an RTP payload (RFC 3551 section 4.5.2, static payload type 9). Its
 * RTP clock is 8000 by an old mistake, its audio has 16000: each byte is one tick and two samples.
 * The only file that sees libspandsp. State is the caller's and points to the library's, which init
 * allocates.
 */
#include <limits.h>
#include <stdint.h>

#include <spandsp/telephony.h>

#include <spandsp/g722.h>

#include "codecs/codec.h"

#define DEFAULT_BPS 64000

struct decoder {
    g722_decode_state_t *lib;
};

struct encoder {
    g722_encode_state_t *lib;
};

static enum slr_err decoder_init(void *state, const struct slr_codec_use *use)
{
    struct decoder *d = state;
    (void)use;
    d->lib = g722_decode_init(NULL, DEFAULT_BPS, 0);
    return d->lib ? SLR_OK : SLR_NOMEM;
}

static void decoder_fini(void *state)
{
    struct decoder *d = state;
    g722_decode_free(d->lib);
}

static enum slr_err inspect(const struct slr_codec_use *use, struct slr_slice payload,
                            struct slr_payload_info *info)
{
    (void)use;
    if (payload.len_bytes > SLR_CODEC_MAX_SAMPLES / 2) {
        return SLR_FORMAT;
    }
    *info = (struct slr_payload_info){.samples = (uint32_t)payload.len_bytes * 2};
    return SLR_OK;
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
    if (info.samples > 0) {
        g722_decode(d->lib, out, payload.at, (int)payload.len_bytes);
    }
    *samples = info.samples;
    return SLR_OK;
}

static enum slr_err encoder_init(void *state, const struct slr_codec_use *use, uint32_t bitrate_bps)
{
    struct encoder *e = state;
    (void)use;
    (void)bitrate_bps;
    e->lib = g722_encode_init(NULL, DEFAULT_BPS, 0);
    return e->lib ? SLR_OK : SLR_NOMEM;
}

static void encoder_fini(void *state)
{
    struct encoder *e = state;
    g722_encode_free(e->lib);
}

static enum slr_err encode(void *state, const struct slr_codec_use *use, const int16_t *in,
                           uint32_t samples, uint8_t *out, size_t out_bytes, size_t *len_bytes)
{
    struct encoder *e = state;
    (void)use;
    if (samples % 2 != 0 || samples > INT_MAX) {
        return SLR_INVAL;
    }
    if (samples / 2 > out_bytes) {
        return SLR_TRUNCATED;
    }
    *len_bytes = (size_t)g722_encode(e->lib, out, in, (int)samples);
    return SLR_OK;
}

const struct slr_codec slr_codec_g722 = {
    .name = "G722",
    .static_pt = 9,
    .clock_hz = 8000,
    .sample_hz = 16000,
    .channels = 1,
    .decoder_bytes = sizeof(struct decoder),
    .encoder_bytes = sizeof(struct encoder),
    .decoder_init = decoder_init,
    .decoder_fini = decoder_fini,
    .inspect = inspect,
    .decode = decode,
    .encoder_init = encoder_init,
    .encoder_fini = encoder_fini,
    .encode = encode,
};

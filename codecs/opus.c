/*
 * opus: Opus as an RTP payload (RFC 6716, RFC 7587): clock and audio 48000 whatever is inside, one
 * channel (the library mixes stereo down as it decodes). The only file that sees libopus. Losses
 * are concealed by the decoder, or recovered from the next packet's in-band FEC. State is the
 * caller's and points to the library's, which init allocates.
 */
#include <opus/opus.h>
#include <string.h>

#include "codecs/codec.h"
#include "codecs/held.h"

#define CLOCK_HZ 48000
#define MAX_FRAMES 48
/* The unit of concealment: 20 ms, which every mode of the decoder takes. */
#define CONCEAL_SAMPLES 960
#define DEFAULT_BPS 24000
/* 120 ms, six frames of the largest size. */
#define MAX_PACKET_BYTES 7680

struct decoder {
    OpusDecoder *lib;
    struct slr_held held;
};

struct encoder {
    OpusEncoder *lib;
};

static enum slr_err decoder_init(void *state, const struct slr_codec_use *use)
{
    struct decoder *d = state;
    int err = OPUS_OK;
    (void)use;
    *d = (struct decoder){.lib = opus_decoder_create(CLOCK_HZ, 1, &err)};
    return d->lib && err == OPUS_OK ? SLR_OK : SLR_NOMEM;
}

static void decoder_fini(void *state)
{
    struct decoder *d = state;
    opus_decoder_destroy(d->lib);
}

static enum slr_err inspect(const struct slr_codec_use *use, struct slr_slice payload,
                            struct slr_payload_info *info)
{
    const unsigned char *frame[MAX_FRAMES];
    opus_int16 bytes[MAX_FRAMES];
    (void)use;
    *info = (struct slr_payload_info){.comfort = true};
    if (payload.len_bytes == 0) {
        return SLR_OK;
    }
    if (payload.len_bytes > UINT16_MAX) {
        return SLR_FORMAT;
    }
    int frames =
        opus_packet_parse(payload.at, (opus_int32)payload.len_bytes, NULL, frame, bytes, NULL);
    int samples = opus_packet_get_samples_per_frame(payload.at, CLOCK_HZ);
    if (frames <= 0 || frames * samples > SLR_CODEC_MAX_SAMPLES) {
        return SLR_FORMAT;
    }
    info->samples = (uint32_t)(frames * samples);
    for (int i = 0; i < frames; i++) {
        info->comfort &= bytes[i] <= 1; /* DTX: nothing, or too little to be anything */
    }
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
        int n = opus_decode(d->lib, payload.at, (opus_int32)payload.len_bytes, out,
                            (int)info.samples, 0);
        if (n != (int)info.samples) {
            /* Not by bytes of a packet that could be parsed; the length is known all the same. */
            memset(out, 0, info.samples * sizeof *out);
        }
        slr_held_reset(&d->held);
    }
    *samples = info.samples;
    return SLR_OK;
}

static void conceal_frame(void *state, int16_t *out)
{
    struct decoder *d = state;
    if (opus_decode(d->lib, NULL, 0, out, CONCEAL_SAMPLES, 0) != CONCEAL_SAMPLES) {
        memset(out, 0, CONCEAL_SAMPLES * sizeof *out);
    }
}

static enum slr_err conceal(void *state, const struct slr_codec_use *use, int16_t *out,
                            uint32_t samples)
{
    struct decoder *d = state;
    (void)use;
    slr_held_take(&d->held, conceal_frame, d, CONCEAL_SAMPLES, out, samples);
    return SLR_OK;
}

/*
 * Does the packet hold a low bit-rate copy of the frame before it? The flag follows the voice
 * activity flags, one for each 20 ms, at the start of a SILK or hybrid frame, where the range coder
 * leaves such bits as they are (RFC 6716 sections 4.2.3 and 4.2.4).
 */
static bool has_copy(struct slr_slice packet)
{
    const unsigned char *frame[MAX_FRAMES];
    opus_int16 bytes[MAX_FRAMES];
    if (packet.len_bytes == 0 || packet.len_bytes > UINT16_MAX || packet.at[0] & 0x80 ||
        opus_packet_parse(packet.at, (opus_int32)packet.len_bytes, NULL, frame, bytes, NULL) <= 0 ||
        bytes[0] < 1) {
        return false;
    }
    int samples = opus_packet_get_samples_per_frame(packet.at, CLOCK_HZ);
    int activity_bits = samples > CONCEAL_SAMPLES ? samples / CONCEAL_SAMPLES : 1;
    bool mid = frame[0][0] >> (7 - activity_bits) & 1;
    bool side = packet.at[0] & 0x04 && (frame[0][0] >> (6 - 2 * activity_bits) & 1);
    return mid || side;
}

static enum slr_err recover(void *state, const struct slr_codec_use *use, struct slr_slice next,
                            int16_t *out, uint32_t samples)
{
    struct decoder *d = state;
    int16_t copy[3 * CONCEAL_SAMPLES]; /* a frame with a copy has at most 60 ms */
    if (!has_copy(next)) {
        return SLR_FORMAT;
    }
    uint32_t known = (uint32_t)opus_packet_get_samples_per_frame(next.at, CLOCK_HZ);
    if (samples > known) {
        enum slr_err err = conceal(state, use, out, samples - known);
        if (err != SLR_OK) {
            return err;
        }
        out += samples - known;
        samples = known;
    }
    slr_held_reset(&d->held);
    int n = opus_decode(d->lib, next.at, (opus_int32)next.len_bytes, copy, (int)known, 1);
    if (n != (int)known) {
        memset(copy, 0, sizeof copy);
    }
    memcpy(out, copy + (known - samples), samples * sizeof *out);
    return SLR_OK;
}

static enum slr_err encoder_init(void *state, const struct slr_codec_use *use, uint32_t bitrate_bps)
{
    struct encoder *e = state;
    int err = OPUS_OK;
    e->lib = opus_encoder_create((opus_int32)use->sample_hz, (int)use->channels,
                                 OPUS_APPLICATION_VOIP, &err);
    if (!e->lib || err != OPUS_OK) {
        return err == OPUS_BAD_ARG ? SLR_UNSUPPORTED : SLR_NOMEM;
    }
    opus_encoder_ctl(e->lib,
                     OPUS_SET_BITRATE((opus_int32)(bitrate_bps ? bitrate_bps : DEFAULT_BPS)));
    if (use->mode > 0) { /* complexity and one; 0: the library's own choice */
        opus_encoder_ctl(e->lib, OPUS_SET_COMPLEXITY((opus_int32)(use->mode - 1)));
    }
    return SLR_OK;
}

static void encoder_fini(void *state)
{
    struct encoder *e = state;
    opus_encoder_destroy(e->lib);
}

static uint32_t encoder_delay(void *state)
{
    struct encoder *e = state;
    opus_int32 samples = 0;
    opus_encoder_ctl(e->lib, OPUS_GET_LOOKAHEAD(&samples));
    return (uint32_t)samples;
}

static enum slr_err encode(void *state, const struct slr_codec_use *use, const int16_t *in,
                           uint32_t samples, uint8_t *out, size_t out_bytes, size_t *len_bytes)
{
    struct encoder *e = state;
    unsigned char packet[MAX_PACKET_BYTES];
    (void)use;
    opus_int32 n = opus_encode(e->lib, in, (int)samples, packet, sizeof packet);
    if (n < 0) {
        return SLR_INVAL; /* not a length that Opus has */
    }
    if ((size_t)n > out_bytes) {
        return SLR_TRUNCATED;
    }
    memcpy(out, packet, (size_t)n);
    *len_bytes = (size_t)n;
    return SLR_OK;
}

const struct slr_codec slr_codec_opus = {
    .name = "opus",
    .static_pt = -1,
    .clock_hz = CLOCK_HZ,
    .sample_hz = CLOCK_HZ,
    .channels = 1,
    .decoder_bytes = sizeof(struct decoder),
    .encoder_bytes = sizeof(struct encoder),
    .decoder_init = decoder_init,
    .decoder_fini = decoder_fini,
    .inspect = inspect,
    .decode = decode,
    .conceal = conceal,
    .recover = recover,
    .encoder_init = encoder_init,
    .encoder_fini = encoder_fini,
    .encoder_delay = encoder_delay,
    .encode = encode,
};

/*
 * amrwb: AMR-WB as an RTP payload (RFC 4867): frames of 320 samples at 16000 Hz in both packings.
 * The only file that sees libopencore-amrwb. The library goes on with its noise after a silence
 * descriptor, but conceals nothing in speech (it ignores its bad-frame flag and takes "no data" for
 * a frame of zeros): the last good frame is repeated there and faded out. State is the caller's and
 * points to the library's, which init allocates.
 */
#include <opencore-amrwb/dec_if.h>
#include <string.h>

#include "codecs/amr_payload.h"
#include "codecs/held.h"

#define FRAME_SAMPLES 320u
/* Each substitute is this much quieter than the one before; silence after 320 ms, as in GSM. */
#define FADE_PERCENT 80
#define FADE_FRAMES 16u
#define FULL_GAIN 32768

struct decoder {
    void *lib;
    uint8_t last[SLR_AMR_FRAME_BYTES]; /* good speech; header 0: none yet */
    bool in_noise;                     /* a silence descriptor came later than that */
    uint32_t lost_frames;
    int32_t gain; /* at the end of the last frame, FULL_GAIN: 1 */
    struct slr_held held;
};

static enum slr_err decoder_init(void *state, const struct slr_codec_use *use)
{
    struct decoder *d = state;
    (void)use;
    *d = (struct decoder){.lib = D_IF_init(), .gain = FULL_GAIN};
    return d->lib ? SLR_OK : SLR_NOMEM;
}

static void decoder_fini(void *state)
{
    struct decoder *d = state;
    D_IF_exit(d->lib);
}

static enum slr_err inspect(const struct slr_codec_use *use, struct slr_slice payload,
                            struct slr_payload_info *info)
{
    return slr_amr_inspect(&slr_amr_wide, use, payload, info);
}

/* A ramp over the frame from the gain of before to the next one. */
static void fade(struct decoder *d, int16_t *out, int32_t to)
{
    int32_t from = d->gain;
    for (int32_t i = 0; i < (int32_t)FRAME_SAMPLES; i++) {
        int32_t gain = from + (to - from) * i / (int32_t)FRAME_SAMPLES;
        out[i] = (int16_t)((int64_t)out[i] * gain / FULL_GAIN);
    }
    d->gain = to;
}

static void decode_nothing(void *state, int16_t *out)
{
    static const uint8_t no_data[SLR_AMR_FRAME_BYTES] = {SLR_AMR_NO_DATA << 3 | 4};
    struct decoder *d = state;
    if (d->in_noise) {
        D_IF_decode(d->lib, no_data, out, 0);
    } else if (d->last[0] == 0 || d->lost_frames >= FADE_FRAMES) {
        memset(out, 0, FRAME_SAMPLES * sizeof *out);
        d->gain = 0;
    } else {
        d->lost_frames++;
        D_IF_decode(d->lib, d->last, out, 0);
        fade(d, out, d->lost_frames == FADE_FRAMES ? 0 : d->gain * FADE_PERCENT / 100);
    }
}

static void decode_frame(struct decoder *d, struct slr_slice payload,
                         const struct slr_amr_payload *parsed, uint32_t i, int16_t *out)
{
    uint8_t type = parsed->frame[i].type, frame[SLR_AMR_FRAME_BYTES];
    if (!parsed->frame[i].good || type > slr_amr_wide.sid_type) {
        decode_nothing(d, out);
        return;
    }
    slr_amr_frame(&slr_amr_wide, payload, parsed, i, frame);
    D_IF_decode(d->lib, frame, out, 0);
    d->in_noise = type == slr_amr_wide.sid_type;
    if (!d->in_noise) {
        memcpy(d->last, frame, sizeof d->last);
    }
    if (d->gain != FULL_GAIN) {
        fade(d, out, FULL_GAIN);
    }
    d->lost_frames = 0;
}

static enum slr_err decode(void *state, const struct slr_codec_use *use, struct slr_slice payload,
                           int16_t *out, uint32_t max_samples, uint32_t *samples)
{
    struct decoder *d = state;
    struct slr_amr_payload parsed;
    enum slr_err err = slr_amr_read(&slr_amr_wide, use, payload, &parsed);
    if (err != SLR_OK || parsed.frames * FRAME_SAMPLES > max_samples) {
        return err != SLR_OK ? err : SLR_TRUNCATED;
    }
    for (uint32_t i = 0; i < parsed.frames; i++, out += FRAME_SAMPLES) {
        decode_frame(d, payload, &parsed, i, out);
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

const struct slr_codec slr_codec_amrwb = {
    .name = "AMR-WB",
    .static_pt = -1,
    .clock_hz = 16000,
    .sample_hz = 16000,
    .channels = 1,
    .decoder_bytes = sizeof(struct decoder),
    .bind = slr_amr_bind,
    .decoder_init = decoder_init,
    .decoder_fini = decoder_fini,
    .inspect = inspect,
    .decode = decode,
    .conceal = conceal,
};

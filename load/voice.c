/*
 * voice: see the header.
 */
#include "load/voice.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "load/draw.h"

struct row {
    const struct slr_codec *codec;
    struct slr_voice_row shown;
};

static const struct row rows[] = {
#define VOICE(codec, name, pt, clock, channels, fmtp, exact, comfort)                              \
    {&slr_codec_##codec, {name, pt, clock, channels, fmtp, exact, comfort}},
#include "load/voice.def"
#undef VOICE
};

const char *slr_voice_names(void)
{
    return ""
#define VOICE(codec, name, pt, clock, channels, fmtp, exact, comfort) name " "
#include "load/voice.def"
#undef VOICE
        ;
}

static const struct row *row_of(const char *name)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcasecmp(rows[i].shown.name, name) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

enum slr_err slr_voice_open(const char *name, struct slr_voice **out)
{
    const struct row *row = row_of(name);
    if (!row) {
        return SLR_NOTFOUND;
    }
    struct slr_voice *v = calloc(1, sizeof *v);
    if (!v) {
        return SLR_NOMEM;
    }
    struct slr_codec_params p = {.clock_hz = row->shown.clock_hz,
                                 .channels = row->shown.sdp_channels,
                                 .fmtp = row->shown.fmtp};
    v->row = &row->shown;
    enum slr_err err = slr_codec_bind(row->codec, &p, &v->use);
    if (err != SLR_OK) {
        free(v);
        return err;
    }
    v->frame_ticks = v->use.clock_hz / 50u;
    v->frame_samples = v->use.sample_hz / 50u;
    v->payload_bytes = v->frame_samples * (row->codec == &slr_codec_l16 ? 2u : 1u);
    if (!row->shown.exact) {
        v->payload_bytes = SLR_BANK_PAYLOAD_BYTES;
        err = slr_bank_open(&v->use, &v->bank);
    }
    if (err != SLR_OK) {
        free(v);
        return err;
    }
    *out = v;
    return SLR_OK;
}

void slr_voice_close(struct slr_voice *v)
{
    if (v) {
        slr_bank_close(v->bank);
        free(v);
    }
}

uint32_t slr_voice_place(const struct slr_voice *v, const struct slr_mark *m)
{
    uint64_t bits = slr_draw(m->run_id, SLR_DRAW_STREAM, m->call, m->leg, 1);
    (void)v;
    return (slr_draw_below(bits, SLR_BANK_FRAMES) + m->frame) % SLR_BANK_FRAMES;
}

const int16_t *slr_voice_sound(const struct slr_voice *v, uint32_t place)
{
    return v->bank->sound + (size_t)place * v->frame_samples;
}

uint32_t slr_voice_places(const struct slr_voice *v)
{
    (void)v;
    return SLR_BANK_FRAMES;
}

size_t slr_voice_payload(const struct slr_voice *v, const struct slr_mark *m, uint8_t *at)
{
    if (v->bank) {
        uint32_t place = slr_voice_place(v, m);
        memcpy(at, v->bank->payload[place], v->bank->len[place]);
        return v->bank->len[place];
    }
    slr_mark_fill(m, at, v->payload_bytes);
    return v->payload_bytes;
}

static enum slr_sample_format law_of(const struct slr_voice *v)
{
    return v->use.codec == &slr_codec_pcma   ? SLR_SAMPLE_ALAW
           : v->use.codec == &slr_codec_pcmu ? SLR_SAMPLE_ULAW
                                             : SLR_SAMPLE_S16;
}

bool slr_voice_want(const struct slr_voice *v, const struct slr_mark *m,
                    enum slr_sample_format format, uint8_t *at)
{
    uint8_t payload[SLR_VOICE_MAX_BYTES];
    int16_t sample[SLR_VOICE_MAX_SAMPLES];
    uint32_t samples = 0;
    if (!v->row->exact) {
        return false;
    }
    if (format == law_of(v) && format != SLR_SAMPLE_S16) {
        slr_mark_fill(m, at, v->payload_bytes);
        return true;
    }
    slr_mark_fill(m, payload, v->payload_bytes);
    if (format != SLR_SAMPLE_S16 ||
        v->use.codec->decode(NULL, &v->use, slr_slice_of(payload, v->payload_bytes), sample,
                             SLR_VOICE_MAX_SAMPLES, &samples) != SLR_OK ||
        samples != v->frame_samples) {
        return false;
    }
    memcpy(at, sample, samples * sizeof sample[0]); /* WAV is little endian, as we are */
    return true;
}

bool slr_voice_mark_at(const struct slr_voice *v, enum slr_sample_format format, const uint8_t *at,
                       size_t samples, uint8_t mark[static SLR_MARK_BYTES])
{
    enum slr_sample_format law = law_of(v);
    size_t need = law == SLR_SAMPLE_S16 ? SLR_MARK_BYTES / 2 : SLR_MARK_BYTES;
    if (samples < need) {
        return false;
    }
    if (format == law && law != SLR_SAMPLE_S16) {
        memcpy(mark, at, SLR_MARK_BYTES);
        return true;
    }
    for (size_t i = 0; i < need && format == SLR_SAMPLE_S16; i++) {
        int16_t s = (int16_t)(at[2 * i] | at[2 * i + 1] << 8);
        if (law == SLR_SAMPLE_S16) {
            mark[2 * i] = (uint8_t)((uint16_t)s >> 8);
            mark[2 * i + 1] = (uint8_t)s;
        } else {
            mark[i] = law == SLR_SAMPLE_ALAW ? slr_g711_s16_to_alaw(s) : slr_g711_s16_to_ulaw(s);
        }
    }
    return format == SLR_SAMPLE_S16;
}

/*
 * undo: takes the corrections for clock skew of a sealed recording back, by its files alone, as
 * docs/ledger.md says ("Taking corrections back"). See outcome.h.
 */
#ifndef SLR_TESTS_ENGINE_UNDO_H
#define SLR_TESTS_ENGINE_UNDO_H

#include "codecs/codec.h"
#include "tests/engine/outcome.h"

/* A channel in the leg's own time. */
struct fx_undone {
    int16_t *at;
    int64_t frames;
};

static inline int64_t fx_frame_ticks(const struct fx_result *r)
{
    return SLR_TICKS_HZ / (int64_t)r->wav.shape.sample_hz;
}

/* A sample of one channel, of A-law or PCM. */
static inline int16_t fx_pcm(const struct fx_result *r, uint32_t channel, int64_t frame)
{
    int16_t v = 0;
    if (r->wav.shape.format == SLR_SAMPLE_ALAW) {
        return slr_g711_alaw_to_s16(fx_byte(r, channel, frame));
    }
    cr_assert_eq(r->wav.shape.format, SLR_SAMPLE_S16);
    cr_assert(frame >= 0 && (uint64_t)frame < r->wav.frames);
    memcpy(&v, r->data + ((uint64_t)frame * r->wav.shape.channels + channel) * 2, 2);
    return v;
}

static inline int fx_base64_digit(char c)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digit, c) : NULL;
    return at ? (int)(at - digit) : -1;
}

/* Decodes the samples of a removal; returns how many there are. */
static inline int64_t fx_removed(const char *text, int16_t *out)
{
    uint32_t bits = 0;
    uint32_t held = 0;
    uint8_t byte[2];
    int64_t n = 0;
    for (; fx_base64_digit(*text) >= 0; text++) {
        held = held << 6 | (uint32_t)fx_base64_digit(*text);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            byte[n++ % 2] = (uint8_t)(held >> bits);
            if (n % 2 == 0) {
                out[n / 2 - 1] = (int16_t)(byte[0] | byte[1] << 8);
            }
        }
    }
    cr_assert_eq(n % 2, 0);
    return n / 2;
}

static inline int64_t fx_span_ticks(json_t *span, const char *key)
{
    return json_integer_value(json_object_get(span, key));
}

static inline bool fx_span_is(json_t *span, const char *kind)
{
    return strcmp(json_string_value(json_object_get(span, "kind")), kind) == 0;
}

static inline void fx_undo(const struct fx_result *r, uint32_t leg, struct fx_undone *u)
{
    size_t i = 0;
    json_t *span = NULL;
    json_t *spans = json_object_get(fx_leg_json(r, leg), "spans");
    uint32_t channel =
        (uint32_t)json_integer_value(json_object_get(fx_leg_json(r, leg), "channel"));
    int64_t from = 0; /* frame of the media */
    u->at = malloc((size_t)r->wav.frames * 4 + 2);
    u->frames = 0;
    json_array_foreach(spans, i, span)
    {
        if (!fx_span_is(span, "corrected")) {
            continue;
        }
        int64_t at = fx_span_ticks(span, "start_ticks") / fx_frame_ticks(r);
        for (; from < at; from++) {
            u->at[u->frames++] = fx_pcm(r, channel, from);
        }
        json_t *samples = json_object_get(span, "samples");
        if (samples) {
            int64_t n = fx_removed(json_string_value(samples), u->at + u->frames);
            cr_assert_eq(n, fx_span_ticks(span, "removed"));
            u->frames += n;
        }
        from += fx_span_ticks(span, "len_ticks") / fx_frame_ticks(r);
    }
    for (; from < (int64_t)r->wav.frames; from++) {
        u->at[u->frames++] = fx_pcm(r, channel, from);
    }
}

static inline void fx_undone_free(struct fx_undone *u)
{
    free(u->at);
}

/* Frame of the media where the leg's first sample lies (the same in its own time: nothing is
 * corrected before it). */
static inline int64_t fx_first_received(const struct fx_result *r, uint32_t leg)
{
    size_t i = 0;
    json_t *span = NULL;
    json_array_foreach(json_object_get(fx_leg_json(r, leg), "spans"), i, span)
    {
        if (fx_span_is(span, "received")) {
            return fx_span_ticks(span, "start_ticks") / fx_frame_ticks(r);
        }
    }
    cr_assert(false, "leg %u received nothing", leg);
    return 0;
}

/* Where a frame of the leg's own time has come to lie in the media. */
static inline int64_t fx_file_frame(const struct fx_result *r, uint32_t leg, int64_t frame)
{
    size_t i = 0;
    json_t *span = NULL;
    json_array_foreach(json_object_get(fx_leg_json(r, leg), "spans"), i, span)
    {
        if (!fx_span_is(span, "corrected")) {
            continue;
        }
        if (fx_span_ticks(span, "start_ticks") / fx_frame_ticks(r) > frame) {
            break;
        }
        frame +=
            fx_span_ticks(span, "len_ticks") / fx_frame_ticks(r) - fx_span_ticks(span, "removed");
    }
    return frame;
}

/* Samples that were inserted or removed. */
static inline int64_t fx_corrections(const struct fx_result *r, uint32_t leg)
{
    size_t i = 0;
    json_t *span = NULL;
    int64_t n = 0;
    json_array_foreach(json_object_get(fx_leg_json(r, leg), "spans"), i, span)
    {
        if (fx_span_is(span, "corrected")) {
            n += fx_span_ticks(span, "len_ticks") / fx_frame_ticks(r) +
                 fx_span_ticks(span, "removed");
        }
    }
    return n;
}

#endif

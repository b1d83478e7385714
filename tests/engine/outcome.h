/*
 * outcome: what a recording came to be, read from its files: audio by storage/wav_read.h, ledger
 * by jansson. Looks at nothing of the engine's memory; see fixture.h.
 */
#ifndef SLR_TESTS_ENGINE_OUTCOME_H
#define SLR_TESTS_ENGINE_OUTCOME_H

#include <jansson.h>

#include "storage/wav_read.h"
#include "tests/engine/drive.h"

struct fx_result {
    uint8_t *file;
    size_t len_bytes;
    struct slr_wav_info wav;
    const uint8_t *data;
    json_t *ledger;
};

static inline uint8_t *fx_read_file(const char *root, const char *name, size_t *len_bytes)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", root, name);
    FILE *in = fopen(path, "rb");
    cr_assert_not_null(in, "%s is missing", path);
    cr_assert_eq(fseek(in, 0, SEEK_END), 0);
    *len_bytes = (size_t)ftell(in);
    rewind(in);
    uint8_t *at = malloc(*len_bytes + 1);
    cr_assert_not_null(at);
    cr_assert_eq(fread(at, 1, *len_bytes, in), *len_bytes);
    fclose(in);
    return at;
}

/* Spans of a leg: [0, length) without holes or overlaps. */
static inline void fx_check_spans(json_t *leg, int64_t len_ticks)
{
    size_t i = 0;
    json_t *span = NULL;
    int64_t at = 0;
    json_array_foreach(json_object_get(leg, "spans"), i, span)
    {
        int64_t start = json_integer_value(json_object_get(span, "start_ticks"));
        int64_t len = json_integer_value(json_object_get(span, "len_ticks"));
        cr_assert_eq(start, at, "span %zu starts at %lld, not %lld", i, (long long)start,
                     (long long)at);
        bool removal = json_object_get(span, "removed") != NULL;
        cr_assert(len > 0 || (removal && len == 0));
        at += len;
    }
    cr_assert_eq(at, len_ticks, "spans sum to %lld, length is %lld", (long long)at,
                 (long long)len_ticks);
}

/* Reads a sealed recording; what must hold for every one is checked here. */
static inline void fx_result(const struct fx *f, const char *id, struct fx_result *r)
{
    char name[SLR_REC_NAME_SIZE];
    size_t n = 0;
    slr_recfile_name_final(id, ".wav", name);
    r->file = fx_read_file(f->root, name, &r->len_bytes);
    cr_assert_eq(slr_wav_parse(slr_slice_of(r->file, r->len_bytes), &r->wav), SLR_OK);
    cr_assert_not(r->wav.truncated);
    r->data = r->file + r->wav.data_offset_bytes;
    slr_recfile_name_final(id, ".json", name);
    uint8_t *text = fx_read_file(f->root, name, &n);
    r->ledger = json_loadb((const char *)text, n, 0, NULL);
    free(text);
    cr_assert_not_null(r->ledger);
    int64_t len = json_integer_value(json_object_get(r->ledger, "len_ticks"));
    int64_t tpf = SLR_TICKS_HZ / r->wav.shape.sample_hz;
    cr_assert_eq((int64_t)r->wav.frames, (len + tpf - 1) / tpf, "frames and length differ");
    size_t i = 0;
    json_t *leg = NULL;
    json_array_foreach(json_object_get(r->ledger, "legs"), i, leg)
    {
        fx_check_spans(leg, len);
    }
}

static inline void fx_result_free(struct fx_result *r)
{
    free(r->file);
    json_decref(r->ledger);
}

static inline json_t *fx_leg_json(const struct fx_result *r, size_t leg)
{
    return json_array_get(json_object_get(r->ledger, "legs"), leg);
}

static inline int64_t fx_stream_count(const struct fx_result *r, size_t leg, size_t stream,
                                      const char *key)
{
    json_t *list = json_object_get(fx_leg_json(r, leg), "streams");
    json_t *value = json_object_get(json_array_get(list, stream), key);
    cr_assert(json_is_integer(value), "no %s in stream %zu", key, stream);
    return json_integer_value(value);
}

/* Spans as text: "absent 0+40, received 40+2000, ..." in milliseconds (three decimals where they
 * are needed), "lost-network 60+20 (1)" with packets. */
static inline const char *fx_spans(const struct fx_result *r, size_t leg, char out[static 4096])
{
    size_t i = 0;
    json_t *span = NULL;
    size_t n = 0;
    out[0] = '\0';
    json_array_foreach(json_object_get(fx_leg_json(r, leg), "spans"), i, span)
    {
        json_t *packets = json_object_get(span, "packets");
        n += (size_t)snprintf(out + n, 4096 - n, "%s%s %g+%g", i ? ", " : "",
                              json_string_value(json_object_get(span, "kind")),
                              json_real_value(json_object_get(span, "start_ms")),
                              json_real_value(json_object_get(span, "len_ms")));
        if (packets && n < 4000) {
            n += (size_t)snprintf(out + n, 4096 - n, " (%lld)",
                                  (long long)json_integer_value(packets));
        }
        cr_assert_lt(n, 4000u);
    }
    return out;
}

#define fx_assert_spans(r, leg, want)                                                              \
    do {                                                                                           \
        char spans_text[4096];                                                                     \
        cr_assert_str_eq(fx_spans((r), (leg), spans_text), (want), "leg %d: %s", (int)(leg),       \
                         spans_text);                                                              \
    } while (0)

/* Byte of one channel (formats of one byte a sample). */
static inline uint8_t fx_byte(const struct fx_result *r, uint32_t channel, int64_t frame)
{
    cr_assert(frame >= 0 && (uint64_t)frame < r->wav.frames);
    return r->data[(uint64_t)frame * r->wav.shape.channels + channel];
}

/* Frames [frame, frame + count) of a channel are samples of an SSRC from `sample` on. */
static inline void fx_assert_audio(const struct fx_result *r, uint32_t channel, int64_t frame,
                                   int64_t count, uint32_t ssrc, int64_t sample)
{
    for (int64_t i = 0; i < count; i++) {
        uint8_t is = fx_byte(r, channel, frame + i);
        uint8_t want = fx_sample(ssrc, sample + i);
        cr_assert_eq(is, want, "channel %u frame %lld: %02x, not %02x", channel,
                     (long long)(frame + i), is, want);
    }
}

static inline void fx_assert_silence(const struct fx_result *r, uint32_t channel, int64_t frame,
                                     int64_t count)
{
    uint8_t want = r->wav.shape.format == SLR_SAMPLE_ALAW ? 0xd5 : 0xff;
    for (int64_t i = 0; i < count; i++) {
        cr_assert_eq(fx_byte(r, channel, frame + i), want, "channel %u frame %lld is not silent",
                     channel, (long long)(frame + i));
    }
}

#endif

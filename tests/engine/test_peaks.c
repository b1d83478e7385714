/* Columns of a waveform, of every kind of WAV that we write, against samples that are known. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "codecs/codec.h"
#include "engine/peaks.h"
#include "storage/container.h"

/* A WAV file of 2 channels held whole; returns its length. tag: 1 PCM, 6 A-law, 7 mu-law. */
static size_t make(uint8_t *at, uint16_t tag, uint32_t frames)
{
    uint32_t bytes = tag == 1 ? 2 : 1;
    uint32_t data = frames * 2 * bytes;
    const uint32_t rate = 8000;
    memcpy(at, "RIFF....WAVEfmt ", 16);
    memcpy(at + 16, (uint8_t[]){16, 0, 0, 0, (uint8_t)tag, 0, 2, 0}, 8);
    memcpy(at + 24, &rate, 4);
    memcpy(at + 28, (uint32_t[]){rate * 2 * bytes}, 4);
    memcpy(at + 32, (uint16_t[]){(uint16_t)(2 * bytes), (uint16_t)(8 * bytes)}, 4);
    memcpy(at + 36, "data", 4);
    memcpy(at + 40, &data, 4);
    for (uint32_t i = 0; i < frames; i++) {
        int16_t left = (int16_t)((int)i * 100 - 20000);
        int16_t right = i % 2 ? 1000 : -1000;
        if (tag == 1) {
            memcpy(at + 44 + 4 * i, (int16_t[]){left, right}, 4);
        } else {
            at[44 + 2 * i] = tag == 6 ? slr_g711_s16_to_alaw(left) : slr_g711_s16_to_ulaw(left);
            at[45 + 2 * i] = tag == 6 ? slr_g711_s16_to_alaw(right) : slr_g711_s16_to_ulaw(right);
        }
    }
    return 44 + data;
}

static json_int_t value(const json_t *peaks, size_t channel, size_t at)
{
    const json_t *list = json_array_get(json_object_get(peaks, "peaks"), channel);
    return json_integer_value(json_array_get(list, at));
}

Test(peaks, every_law)
{
    static uint8_t file[44 + 400 * 4];
    for (uint16_t tag = 1; tag <= 7; tag = tag == 1 ? 6 : (uint16_t)(tag + 1)) {
        json_t *p = NULL;
        size_t n = make(file, tag, 400);
        int margin = tag == 1 ? 0 : 600; /* a step of the law at that level */
        cr_assert_eq(slr_peaks_json(slr_slice_of(file, n), 4, &p), SLR_OK);
        cr_assert_eq(json_integer_value(json_object_get(p, "frames")), 400);
        cr_assert_eq(json_array_size(json_object_get(p, "peaks")), 2u);
        for (size_t i = 0; i < 4; i++) {
            int least = -20000 + (int)i * 10000;
            cr_assert(llabs(value(p, 0, 3 * i) - least) <= margin);
            cr_assert(llabs(value(p, 0, 3 * i + 1) - (least + 9900)) <= margin);
            cr_assert(llabs(value(p, 1, 3 * i) + 1000) <= 40);
            cr_assert(llabs(value(p, 1, 3 * i + 1) - 1000) <= 40);
            cr_assert(llabs(value(p, 1, 3 * i + 2) - 1000) <= 40);
        }
        json_decref(p);
    }
}

/* Each frame stands in one column; more columns than frames leave some empty. */
Test(peaks, columns_share_the_frames)
{
    static uint8_t file[44 + 400 * 4];
    for (uint32_t columns = 1; columns <= 900; columns += columns < 20 ? 1 : 97) {
        json_t *p = NULL;
        size_t n = make(file, 1, 397);
        cr_assert_eq(slr_peaks_json(slr_slice_of(file, n), columns, &p), SLR_OK);
        cr_assert_eq(value(p, 0, 0), columns > 397 ? 0 : -20000);
        cr_assert_eq(value(p, 0, 3 * (columns - 1) + 1), 396 * 100 - 20000);
        json_int_t last = -20001;
        for (size_t i = 0; i < columns; i++) {
            bool empty = value(p, 1, 3 * i + 2) == 0;
            cr_assert(empty || value(p, 0, 3 * i) > last, "column %zu of %u", i, columns);
            last = empty ? last : value(p, 0, 3 * i + 1);
        }
        json_decref(p);
    }
}

static enum slr_err encode(void *ctx, uint32_t channel, const int16_t *in, uint32_t samples,
                           uint8_t *out, size_t out_bytes, size_t *len_bytes)
{
    void **coder = ctx;
    struct slr_codec_use use = {&slr_codec_opus, 48000, 8000, 1, 0};
    return slr_codec_opus.encode(coder[channel], &use, in, samples, out, out_bytes, len_bytes);
}

/* A second of tones in a container that codes them: channel c at c + 1 times 3000, silent in the
 * second half. Three channels is what only a mapping without names can hold. */
static void write_coded(struct slr_sink_memory *sink, const char *name, uint32_t channels)
{
    static int16_t sound[8000 * 3];
    const struct slr_container *c = slr_container_by_name(name);
    struct slr_audio_shape shape = {SLR_SAMPLE_S16, channels, 8000};
    struct slr_codec_use use = {&slr_codec_opus, 48000, 8000, 1, 0};
    void *coder[3];
    for (uint32_t i = 0; i < channels; i++) {
        coder[i] = aligned_alloc(16, (slr_codec_opus.encoder_bytes + 15) / 16 * 16);
        cr_assert_eq(slr_codec_opus.encoder_init(coder[i], &use, 24000), SLR_OK);
    }
    struct slr_packet_encoder encoder = {coder, encode, slr_codec_opus.encoder_delay(coder[0]), ""};
    struct slr_container_options options = {&encoder, 7};
    for (uint32_t i = 0; i < 8000 * channels; i++) {
        double full = i < 4000 * channels ? 3000.0 * (i % channels + 1) : 0;
        sound[i] = (int16_t)(full * sin((double)(i / channels) * 0.4));
    }
    void *state = aligned_alloc(16, (c->state_bytes + 15) / 16 * 16);
    slr_sink_memory_init(sink);
    cr_assert_eq(c->begin(state, &shape, &options, &sink->base, 0), SLR_OK);
    cr_assert_eq(c->append(state, sound, 8000), SLR_OK);
    cr_assert_eq(c->finish(state), SLR_OK);
    for (uint32_t i = 0; i < channels; i++) {
        slr_codec_opus.encoder_fini(coder[i]);
        free(coder[i]);
    }
    free(state);
}

Test(peaks, every_coding)
{
    static const struct {
        const char *container;
        uint32_t channels;
        json_int_t near; /* of the amplitude */
    } row[] = {{"flac", 1, 5},   {"flac", 3, 5},   {"gsm", 1, 400},
               {"opus", 1, 400}, {"opus", 2, 400}, {"opus", 3, 400}};
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct slr_sink_memory sink;
        json_t *p = NULL;
        write_coded(&sink, row[i].container, row[i].channels);
        cr_assert_eq(slr_peaks_json(slr_slice_of(sink.at, sink.len_bytes), 8, &p), SLR_OK, "%zu",
                     i);
        cr_assert_str_eq(json_string_value(json_object_get(p, "format")), row[i].container);
        cr_assert_eq(json_integer_value(json_object_get(p, "frames")), 8000, "row %zu: %lld", i,
                     (long long)json_integer_value(json_object_get(p, "frames")));
        cr_assert_eq(json_array_size(json_object_get(p, "peaks")), row[i].channels);
        for (uint32_t c = 0; c < row[i].channels; c++) {
            json_int_t most = 3000 * ((json_int_t)c + 1);
            cr_assert_leq(llabs(value(p, c, 3 + 1) - most), row[i].near * (c + 1), "row %zu: %lld",
                          i, (long long)value(p, c, 3 + 1));
            cr_assert_leq(llabs(value(p, c, 3 + 2) - most * 707 / 1000), row[i].near * (c + 1));
            cr_assert_leq(value(p, c, 6 * 3 + 1), 60, "silence");
        }
        json_decref(p);
        /* what is missing at the end is told, not drawn as silence */
        cr_assert_neq(slr_peaks_json(slr_slice_of(sink.at, sink.len_bytes / 2), 8, &p), SLR_OK,
                      "half of %zu", i);
        cr_assert_null(p);
        sink.base.ops->close(&sink.base);
    }
}

Test(peaks, what_is_refused)
{
    static uint8_t file[44 + 400 * 4];
    json_t *p = NULL;
    size_t n = make(file, 1, 400);
    cr_assert_eq(slr_peaks_json(slr_slice_of(file, n), 0, &p), SLR_INVAL);
    cr_assert_eq(slr_peaks_json(slr_slice_of(file, n), SLR_PEAKS_MAX + 1, &p), SLR_INVAL);
    cr_assert_eq(slr_peaks_json(slr_slice_str("fLaC and more of it"), 4, &p), SLR_FORMAT);
    file[20] = 49; /* GSM 6.10 */
    cr_assert_eq(slr_peaks_json(slr_slice_of(file, n), 4, &p), SLR_FORMAT, "its frames are not");
    cr_assert_null(p);
    file[20] = 3; /* floating point: nobody here wrote that */
    memcpy(file + 32, (uint16_t[]){8, 32}, 4);
    cr_assert_eq(slr_peaks_json(slr_slice_of(file, n), 4, &p), SLR_UNSUPPORTED);
    cr_assert_null(p);
    n = make(file, 1, 0);
    cr_assert_eq(slr_peaks_json(slr_slice_of(file, n), 4, &p), SLR_OK);
    cr_assert_eq(value(p, 0, 11), 0);
    json_decref(p);
}

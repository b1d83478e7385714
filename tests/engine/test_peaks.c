/* Columns of a waveform, of every kind of WAV that we write, against samples that are known. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "codecs/codec.h"
#include "engine/peaks.h"

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

Test(peaks, what_is_refused)
{
    static uint8_t file[44 + 400 * 4];
    json_t *p = NULL;
    size_t n = make(file, 1, 400);
    cr_assert_eq(slr_peaks_json(slr_slice_of(file, n), 0, &p), SLR_INVAL);
    cr_assert_eq(slr_peaks_json(slr_slice_of(file, n), SLR_PEAKS_MAX + 1, &p), SLR_INVAL);
    cr_assert_eq(slr_peaks_json(slr_slice_str("fLaC and more of it"), 4, &p), SLR_FORMAT);
    file[20] = 49; /* GSM 6.10 */
    cr_assert_eq(slr_peaks_json(slr_slice_of(file, n), 4, &p), SLR_UNSUPPORTED);
    cr_assert_null(p);
    n = make(file, 1, 0);
    cr_assert_eq(slr_peaks_json(slr_slice_of(file, n), 4, &p), SLR_OK);
    cr_assert_eq(value(p, 0, 11), 0);
    json_decref(p);
}

/*
 * undo: see the header.
 */
#include "load/undo.h"

#include <stdlib.h>
#include <string.h>

#include "codecs/codec.h"
#include "common/base64.h"

enum slr_err slr_undo_samples(const char *base64, size_t count, int16_t **out)
{
    size_t len_bytes = 0;
    uint8_t *at = malloc(count * 2 + 2);
    if (!at) {
        return SLR_NOMEM;
    }
    if (slr_base64_decode(base64, at, count * 2, &len_bytes) != SLR_OK || len_bytes != count * 2) {
        free(at);
        return SLR_FORMAT;
    }
    *out = (int16_t *)(void *)at; /* little endian, as we are */
    return SLR_OK;
}

static size_t clip(int64_t at, size_t samples)
{
    return at < 0 ? 0 : (uint64_t)at > samples ? samples : (size_t)at;
}

size_t slr_undo_size(size_t samples, const struct slr_undo_edit *edit, size_t edits)
{
    size_t size = samples;
    for (size_t i = 0; i < edits; i++) {
        size_t from = clip(edit[i].at, samples);
        size_t to = clip(edit[i].at + edit[i].inserted, samples);
        size = size + edit[i].removed - (to - from);
    }
    return size;
}

static void put_sample(int16_t s, enum slr_sample_format format, uint8_t *out)
{
    if (format == SLR_SAMPLE_S16) {
        memcpy(out, &s, sizeof s);
    } else {
        *out = format == SLR_SAMPLE_ALAW ? slr_g711_s16_to_alaw(s) : slr_g711_s16_to_ulaw(s);
    }
}

void slr_undo(const uint8_t *in, size_t samples, enum slr_sample_format format,
              const struct slr_undo_edit *edit, size_t edits, uint8_t *out)
{
    size_t bytes = slr_sample_bytes(format);
    size_t done = 0;
    for (size_t i = 0; i < edits; i++) {
        size_t at = clip(edit[i].at, samples);
        at = at < done ? done : at;
        memcpy(out, in + done * bytes, (at - done) * bytes);
        out += (at - done) * bytes;
        for (size_t k = 0; k < edit[i].removed; k++) {
            put_sample(edit[i].sample[k], format, out);
            out += bytes;
        }
        done = clip(edit[i].at + edit[i].inserted, samples);
        done = done < at ? at : done;
    }
    memcpy(out, in + done * bytes, (samples - done) * bytes);
}

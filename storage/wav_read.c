/*
 * wav_read: the chunks of a RIFF/WAVE file, bounds-checked. No state; any thread, allocates
 * nothing.
 */
#include "storage/wav_read.h"

#define TAG_PCM 1
#define TAG_ALAW 6
#define TAG_ULAW 7
#define TAG_EXTENSIBLE 0xfffe

/* Tail of the GUID in WAVE_FORMAT_EXTENSIBLE whose first two bytes are a plain format tag. */
static const uint8_t guid_tail[14] = {0x00, 0x00, 0x00, 0x00, 0x10, 0x00, 0x80,
                                      0x00, 0x00, 0xaa, 0x00, 0x38, 0x9b, 0x71};

struct walk {
    struct slr_wav_info info;
    bool has_fmt, has_data, has_ds64;
    uint64_t ds64_data_bytes, ds64_frames;
    struct slr_slice data; /* as much of it as is there */
};

static bool take_le16(struct slr_slice *s, uint16_t *out)
{
    struct slr_slice b;

    if (!slr_slice_take(s, 2, &b)) {
        return false;
    }
    *out = (uint16_t)(b.at[0] | (uint16_t)(b.at[1] << 8));
    return true;
}

static bool take_le32(struct slr_slice *s, uint32_t *out)
{
    uint16_t low = 0, high = 0;
    struct slr_slice rest = *s;

    if (!take_le16(&rest, &low) || !take_le16(&rest, &high)) {
        return false;
    }
    *out = low | (uint32_t)high << 16;
    *s = rest;
    return true;
}

static bool take_le64(struct slr_slice *s, uint64_t *out)
{
    uint32_t low = 0, high = 0;
    struct slr_slice rest = *s;

    if (!take_le32(&rest, &low) || !take_le32(&rest, &high)) {
        return false;
    }
    *out = low | (uint64_t)high << 32;
    *s = rest;
    return true;
}

/* RIFF size, data size, frames; a table of further chunks follows that we have no use for. */
static bool read_ds64(struct walk *w, struct slr_slice body)
{
    return slr_slice_skip(&body, 8) && take_le64(&body, &w->ds64_data_bytes) &&
           take_le64(&body, &w->ds64_frames);
}

/* cbSize, valid bits, channel mask, GUID: the tag lies in the GUID. */
static enum slr_err read_extension(struct slr_slice body, uint16_t *tag)
{
    struct slr_slice tail;

    if (!slr_slice_skip(&body, 8) || !take_le16(&body, tag) ||
        !slr_slice_take(&body, sizeof guid_tail, &tail)) {
        return SLR_FORMAT;
    }
    return memcmp(tail.at, guid_tail, sizeof guid_tail) == 0 ? SLR_OK : SLR_UNSUPPORTED;
}

static enum slr_err read_fmt(struct slr_slice body, struct slr_audio_shape *shape)
{
    uint16_t tag = 0, channels = 0, align = 0, bits = 0;
    uint32_t sample_hz = 0, byte_hz = 0;

    if (!take_le16(&body, &tag) || !take_le16(&body, &channels) || !take_le32(&body, &sample_hz) ||
        !take_le32(&body, &byte_hz) || !take_le16(&body, &align) || !take_le16(&body, &bits)) {
        return SLR_FORMAT;
    }
    if (tag == TAG_EXTENSIBLE) {
        enum slr_err err = read_extension(body, &tag);
        if (err != SLR_OK) {
            return err;
        }
    }
    if (tag == TAG_PCM && bits == 16) {
        shape->format = SLR_SAMPLE_S16;
    } else if (tag == TAG_ALAW && bits == 8) {
        shape->format = SLR_SAMPLE_ALAW;
    } else if (tag == TAG_ULAW && bits == 8) {
        shape->format = SLR_SAMPLE_ULAW;
    } else {
        return SLR_UNSUPPORTED;
    }
    if (channels > 255) {
        return SLR_UNSUPPORTED;
    }
    /* The byte rate is decoration and often wrong; what frames are cut by must be right. */
    if (channels == 0 || sample_hz == 0 || align != channels * (bits / 8)) {
        return SLR_FORMAT;
    }
    shape->channels = channels;
    shape->sample_hz = sample_hz;
    return SLR_OK;
}

/* One chunk, and its pad byte where there is one. False at the end of the file. Of a data chunk
 * what is too long for 32 bits stands in ds64. */
static bool take_chunk(const struct walk *w, struct slr_slice *s, struct slr_slice *id,
                       uint64_t *stated_bytes, struct slr_slice *body)
{
    uint32_t stated = 0;
    if (!slr_slice_take(s, 4, id) || !take_le32(s, &stated)) {
        return false;
    }
    bool is_long = stated == UINT32_MAX && w->has_ds64 && slr_slice_eq(*id, "data");
    *stated_bytes = is_long ? w->ds64_data_bytes : stated;
    size_t n = *stated_bytes <= s->len_bytes ? (size_t)*stated_bytes : s->len_bytes;
    if (!slr_slice_take(s, n, body)) {
        return false;
    }
    if ((*stated_bytes & 1) && s->len_bytes > 0) {
        return slr_slice_skip(s, 1);
    }
    return true;
}

static enum slr_err read_chunk(struct walk *w, struct slr_slice file, struct slr_slice id,
                               uint64_t stated_bytes, struct slr_slice body)
{
    if (slr_slice_eq(id, "fmt ") && !w->has_fmt) {
        if (body.len_bytes < stated_bytes) {
            return SLR_TRUNCATED;
        }
        w->has_fmt = true;
        return read_fmt(body, &w->info.shape);
    }
    if (slr_slice_eq(id, "data") && !w->has_data) {
        w->has_data = true;
        w->info.stated_len_bytes = stated_bytes;
        w->data = body;
        w->info.data_offset_bytes = (uint64_t)(body.at - file.at);
    } else if (slr_slice_eq(id, "fact") && !w->info.has_fact) {
        uint32_t frames = 0;
        w->info.has_fact = take_le32(&body, &frames);
        w->info.fact_frames = frames == UINT32_MAX && w->has_ds64 ? w->ds64_frames : frames;
    } else if (slr_slice_eq(id, "ds64") && !w->has_ds64 && w->info.is_rf64) {
        w->has_ds64 = read_ds64(w, body);
    }
    return SLR_OK;
}

enum slr_err slr_wav_parse(struct slr_slice file, struct slr_wav_info *info)
{
    struct walk w = {.has_fmt = false};
    struct slr_slice rest = file, riff, wave, id, body;
    uint32_t riff_bytes = 0;
    uint64_t size_bytes = 0;

    if (!slr_slice_take(&rest, 4, &riff) || !take_le32(&rest, &riff_bytes) ||
        !slr_slice_take(&rest, 4, &wave)) {
        return SLR_TRUNCATED;
    }
    w.info.is_rf64 = slr_slice_eq(riff, "RF64");
    if ((!slr_slice_eq(riff, "RIFF") && !w.info.is_rf64) || !slr_slice_eq(wave, "WAVE")) {
        return SLR_FORMAT;
    }
    while (take_chunk(&w, &rest, &id, &size_bytes, &body)) {
        enum slr_err err = read_chunk(&w, file, id, size_bytes, body);
        if (err != SLR_OK) {
            return err;
        }
    }
    if (!w.has_data) {
        return SLR_TRUNCATED;
    }
    if (!w.has_fmt) {
        return SLR_FORMAT;
    }
    uint32_t frame_bytes = w.info.shape.channels * slr_sample_bytes(w.info.shape.format);
    w.info.frames = w.data.len_bytes / frame_bytes;
    w.info.data_len_bytes = w.info.frames * frame_bytes;
    w.info.truncated = w.info.data_len_bytes != w.info.stated_len_bytes;
    *info = w.info;
    return SLR_OK;
}

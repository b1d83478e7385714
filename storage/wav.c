/*
 * wav: RIFF/WAVE files of S16, A-law and mu-law, one header of constant size per sample format.
 * Beyond 4 GiB the same file is an RF64 (EBU Tech 3306): its 64-bit sizes take the place that a
 * JUNK chunk has kept for them, so the media never moves.
 *
 * State is the caller's memory, used by one writer thread; allocates nothing. The header is written
 * by our own hand and not by libsndfile: companded samples are to reach the file as the bytes that
 * came over the wire (libsndfile would want them decoded first), a resume must find the media at
 * the same offset after any crash, and then S16 is only another tag. What is written at a
 * checkpoint is a complete WAV file for a stranger: sizes for what is there, pad byte included.
 */
#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "common/slice.h"
#include "storage/container.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "S16 frames are written as they lie");

#define TAG_PCM 1
#define TAG_ALAW 6
#define TAG_ULAW 7

#define RESERVE_BODY_BYTES 28 /* RIFF size, data size, frames: 64 bits each; an empty table */
#define RESERVE_BYTES (8 + RESERVE_BODY_BYTES)
#define HEADER_PCM_BYTES 44       /* RIFF, fmt of 16, data */
#define HEADER_COMPANDED_BYTES 58 /* RIFF, fmt of 18 (cbSize 0), fact, data */
#define HEADER_MAX_BYTES (HEADER_COMPANDED_BYTES + RESERVE_BYTES)

/* The RIFF size field has 32 bits; the rest is room for header and pad. Longer files are RF64. */
#define MAX_RIFF_MEDIA_BYTES (4ull * 1024 * 1024 * 1024 - 1024 * 1024)
#define MAX_MEDIA_BYTES (1ull << 60)

struct wav {
    struct slr_sink *sink;
    struct slr_audio_shape shape;
    uint64_t media_bytes; /* whole frames written */
    uint32_t header_bytes;
    bool open;
};

static uint32_t frame_bytes_of(const struct slr_audio_shape *shape)
{
    return shape->channels * slr_sample_bytes(shape->format);
}

static uint32_t header_bytes_of(const struct slr_audio_shape *shape)
{
    return RESERVE_BYTES +
           (shape->format == SLR_SAMPLE_S16 ? HEADER_PCM_BYTES : HEADER_COMPANDED_BYTES);
}

/* Without the reserve: files of releases that did not make one are still gone on with. */
static uint32_t old_header_bytes_of(const struct slr_audio_shape *shape)
{
    return header_bytes_of(shape) - RESERVE_BYTES;
}

static bool has_reserve(const struct wav *w)
{
    return w->header_bytes == header_bytes_of(&w->shape);
}

static uint64_t max_media_bytes(const struct wav *w)
{
    return has_reserve(w) ? MAX_MEDIA_BYTES : MAX_RIFF_MEDIA_BYTES;
}

static uint16_t tag_of(enum slr_sample_format format)
{
    switch (format) {
    case SLR_SAMPLE_S16:
        return TAG_PCM;
    case SLR_SAMPLE_ALAW:
        return TAG_ALAW;
    case SLR_SAMPLE_ULAW:
        return TAG_ULAW;
    }
    return 0;
}

static enum slr_err check(const struct slr_audio_shape *shape)
{
    if (tag_of(shape->format) == 0 || shape->channels < 1 || shape->channels > 255 ||
        shape->sample_hz < 8000 || shape->sample_hz > 48000) {
        return SLR_UNSUPPORTED;
    }
    return SLR_OK;
}

static void put_le64(struct slr_put *p, uint64_t v)
{
    slr_put_le32(p, (uint32_t)v);
    slr_put_le32(p, (uint32_t)(v >> 32));
}

static uint32_t fit32(uint64_t v)
{
    return v < UINT32_MAX ? (uint32_t)v : UINT32_MAX;
}

/* The place of ds64, which must be the first chunk. */
static void put_reserve(struct slr_put *p, bool is_long, uint64_t riff_bytes, uint64_t media_bytes,
                        uint64_t frames)
{
    slr_put_str(p, is_long ? "ds64" : "JUNK");
    slr_put_le32(p, RESERVE_BODY_BYTES);
    put_le64(p, is_long ? riff_bytes : 0);
    put_le64(p, is_long ? media_bytes : 0);
    put_le64(p, is_long ? frames : 0);
    slr_put_le32(p, 0);
}

/* The header for that much media; its length depends on the format only. */
static void put_header(const struct wav *w, uint64_t media_bytes,
                       uint8_t out[static HEADER_MAX_BYTES])
{
    struct slr_put p = slr_put_of(out, HEADER_MAX_BYTES);
    const struct slr_audio_shape *shape = &w->shape;
    uint32_t frame_bytes = frame_bytes_of(shape);
    uint64_t riff_bytes = w->header_bytes - 8 + media_bytes + (media_bytes & 1);
    bool companded = shape->format != SLR_SAMPLE_S16;
    bool is_long = media_bytes > MAX_RIFF_MEDIA_BYTES;

    slr_put_str(&p, is_long ? "RF64" : "RIFF");
    slr_put_le32(&p, is_long ? UINT32_MAX : (uint32_t)riff_bytes);
    slr_put_str(&p, "WAVE");
    if (has_reserve(w)) {
        put_reserve(&p, is_long, riff_bytes, media_bytes, media_bytes / frame_bytes);
    }
    slr_put_str(&p, "fmt ");
    slr_put_le32(&p, companded ? 18 : 16);
    slr_put_le16(&p, tag_of(shape->format));
    slr_put_le16(&p, (uint16_t)shape->channels);
    slr_put_le32(&p, shape->sample_hz);
    slr_put_le32(&p, shape->sample_hz * frame_bytes);
    slr_put_le16(&p, (uint16_t)frame_bytes);
    slr_put_le16(&p, (uint16_t)(8 * slr_sample_bytes(shape->format)));
    if (companded) {
        slr_put_le16(&p, 0);
        slr_put_str(&p, "fact");
        slr_put_le32(&p, 4);
        slr_put_le32(&p, fit32(media_bytes / frame_bytes));
    }
    slr_put_str(&p, "data");
    slr_put_le32(&p, is_long ? UINT32_MAX : (uint32_t)media_bytes);
    assert(!p.overflow && p.len_bytes == w->header_bytes);
}

/* Pad byte first: a header that promises it must never be ahead of it. */
static enum slr_err write_sizes(struct wav *w)
{
    uint8_t header[HEADER_MAX_BYTES];
    enum slr_err err = SLR_OK;

    put_header(w, w->media_bytes, header);
    if (w->media_bytes & 1) {
        static const uint8_t pad = 0;
        err = w->sink->ops->write_at(w->sink, w->header_bytes + w->media_bytes, &pad, 1);
    }
    if (err == SLR_OK) {
        err = w->sink->ops->write_at(w->sink, 0, header, w->header_bytes);
    }
    return err;
}

/* The fields that change with the length, at the same offsets in any header we write. */
static void blank_sizes(const struct wav *w, uint8_t *header)
{
    memset(header, 0, 8);
    memset(header + w->header_bytes - 4, 0, 4);
    if (w->shape.format != SLR_SAMPLE_S16) {
        memset(header + w->header_bytes - 12, 0, 4);
    }
    if (has_reserve(w)) {
        memset(header + 12, 0, 4);
        memset(header + 20, 0, RESERVE_BODY_BYTES);
    }
}

/* Does the file begin with a header of this shape? Sizes in it may be older than the last append,
 * so they are not looked at. */
static enum slr_err check_header(const struct wav *w)
{
    uint8_t want[HEADER_MAX_BYTES], have[HEADER_MAX_BYTES];
    enum slr_err err = w->sink->ops->read_at(w->sink, 0, have, w->header_bytes);

    if (err != SLR_OK) {
        return err;
    }
    if (memcmp(have, "RIFF", 4) != 0 && (memcmp(have, "RF64", 4) != 0 || !has_reserve(w))) {
        return SLR_FORMAT;
    }
    put_header(w, 0, want);
    blank_sizes(w, want);
    blank_sizes(w, have);
    return memcmp(want, have, w->header_bytes) == 0 ? SLR_OK : SLR_FORMAT;
}

/* Is there a file of this shape with at least that many media bytes? */
static enum slr_err check_resume(struct wav *w)
{
    uint64_t size_bytes = 0;
    enum slr_err err = w->sink->ops->size(w->sink, &size_bytes);

    if (err != SLR_OK) {
        return err;
    }
    for (int turn = 0; turn < 2; turn++) {
        w->header_bytes = turn == 0 ? header_bytes_of(&w->shape) : old_header_bytes_of(&w->shape);
        bool fits = size_bytes >= w->header_bytes + w->media_bytes;
        err = size_bytes >= w->header_bytes ? check_header(w) : SLR_TRUNCATED;
        if (err == SLR_OK) {
            return fits ? SLR_OK : SLR_TRUNCATED;
        }
        if (err != SLR_FORMAT && err != SLR_TRUNCATED) {
            return err;
        }
    }
    return size_bytes < header_bytes_of(&w->shape) + w->media_bytes ? SLR_TRUNCATED : SLR_FORMAT;
}

static enum slr_err begin(void *state, const struct slr_audio_shape *shape,
                          const struct slr_container_options *options, struct slr_sink *sink,
                          uint64_t resume_frames)
{
    struct wav *w = state;
    enum slr_err err = check(shape);

    (void)options;
    *w = (struct wav){.sink = sink, .shape = *shape};
    if (err != SLR_OK) {
        return err;
    }
    w->header_bytes = header_bytes_of(shape);
    if (resume_frames > MAX_MEDIA_BYTES / frame_bytes_of(shape)) {
        return SLR_TOOLONG;
    }
    w->media_bytes = resume_frames * frame_bytes_of(shape);
    if (resume_frames > 0) {
        err = check_resume(w);
    }
    if (err == SLR_OK) {
        err = write_sizes(w);
    }
    w->open = err == SLR_OK;
    return err;
}

static enum slr_err append(void *state, const void *frames, uint64_t count_frames)
{
    struct wav *w = state;
    uint32_t frame_bytes = frame_bytes_of(&w->shape);

    if (!w->open) {
        return SLR_STATE;
    }
    if (count_frames > (max_media_bytes(w) - w->media_bytes) / frame_bytes) {
        return SLR_TOOLONG;
    }
    size_t len_bytes = (size_t)(count_frames * frame_bytes);
    enum slr_err err =
        w->sink->ops->write_at(w->sink, w->header_bytes + w->media_bytes, frames, len_bytes);
    if (err == SLR_OK) {
        w->media_bytes += len_bytes;
    }
    return err;
}

static enum slr_err checkpoint(void *state)
{
    struct wav *w = state;

    return w->open ? write_sizes(w) : SLR_STATE;
}

static enum slr_err finish(void *state)
{
    struct wav *w = state;

    if (!w->open) {
        return SLR_STATE;
    }
    enum slr_err err = write_sizes(w);
    if (err == SLR_OK) {
        err = w->sink->ops->truncate(w->sink,
                                     w->header_bytes + w->media_bytes + (w->media_bytes & 1));
    }
    if (err == SLR_OK) {
        w->open = false;
    }
    return err;
}

static void media_range(const void *state, uint64_t *offset_bytes, uint64_t *len_bytes)
{
    const struct wav *w = state;

    *offset_bytes = w->header_bytes;
    *len_bytes = w->media_bytes;
}

const struct slr_container slr_container_wav = {
    .name = "wav",
    .extension = ".wav",
    .mime_type = "audio/wav",
    .state_bytes = sizeof(struct wav),
    .resumable = true,
    .check = check,
    .begin = begin,
    .append = append,
    .checkpoint = checkpoint,
    .finish = finish,
    .media_range = media_range,
};

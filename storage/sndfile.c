/*
 * sndfile: FLAC and GSM 6.10 in WAV, by libsndfile; the only file that sees it. The library writes
 * through our sink (virtual I/O) and never touches a file itself. Reading them back, and Ogg Opus:
 * sndfile.h.
 *
 * State is the caller's and points to the library's, which begin allocates and finish or drop
 * frees. One thread; blocks on the sink. Such a file is complete only after finish.
 */
#include "storage/sndfile.h"

#include <sndfile.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER_BYTES 16384u
#define MAX_FLAC_CHANNELS 8u
#define GSM_HZ 8000u
#define GSM_BLOCK_FRAMES 320u /* 65 bytes */
#define PIECE_FRAMES (1u << 20)

struct sndfile {
    SNDFILE *lib;
    struct slr_sink *sink;
    struct slr_audio_shape shape;
    uint64_t frames;
    uint32_t block_frames;         /* a file holds whole blocks only */
    uint64_t at_bytes, size_bytes; /* where the library is, and the file's length */
    uint64_t buffered_at_bytes;    /* place of what waits in buffer */
    uint32_t buffered_bytes;
    bool open;
    enum slr_err err; /* first failure of the sink */
    uint8_t buffer[BUFFER_BYTES];
};

static bool flush(struct sndfile *f)
{
    if (f->buffered_bytes > 0 && f->err == SLR_OK) {
        f->err =
            f->sink->ops->write_at(f->sink, f->buffered_at_bytes, f->buffer, f->buffered_bytes);
    }
    f->buffered_bytes = 0;
    return f->err == SLR_OK;
}

static sf_count_t get_size(void *user)
{
    const struct sndfile *f = user;
    return (sf_count_t)f->size_bytes;
}

static sf_count_t seek_to(sf_count_t offset, int whence, void *user)
{
    struct sndfile *f = user;
    int64_t base =
        whence == SEEK_SET ? 0 : (int64_t)(whence == SEEK_CUR ? f->at_bytes : f->size_bytes);
    if (offset < -base) {
        return -1;
    }
    f->at_bytes = (uint64_t)(base + offset);
    return (sf_count_t)f->at_bytes;
}

static sf_count_t tell(void *user)
{
    const struct sndfile *f = user;
    return (sf_count_t)f->at_bytes;
}

static sf_count_t read_some(void *at, sf_count_t count, void *user)
{
    struct sndfile *f = user;
    uint64_t left = f->size_bytes > f->at_bytes ? f->size_bytes - f->at_bytes : 0;
    size_t n = count > 0 ? ((uint64_t)count < left ? (size_t)count : (size_t)left) : 0;
    if (!flush(f) || f->sink->ops->read_at(f->sink, f->at_bytes, at, n) != SLR_OK) {
        return 0;
    }
    f->at_bytes += n;
    return (sf_count_t)n;
}

/* The library writes tens of bytes at a time. */
static sf_count_t write_some(const void *at, sf_count_t count, void *user)
{
    struct sndfile *f = user;
    const uint8_t *from = at;
    size_t left = count > 0 ? (size_t)count : 0;
    while (left > 0) {
        if ((f->at_bytes != f->buffered_at_bytes + f->buffered_bytes ||
             f->buffered_bytes == BUFFER_BYTES) &&
            !flush(f)) {
            return 0;
        }
        if (f->buffered_bytes == 0) {
            f->buffered_at_bytes = f->at_bytes;
        }
        size_t room = BUFFER_BYTES - f->buffered_bytes;
        size_t n = left < room ? left : room;
        memcpy(f->buffer + f->buffered_bytes, from, n);
        f->buffered_bytes += (uint32_t)n;
        f->at_bytes += n;
        from += n;
        left -= n;
    }
    if (f->at_bytes > f->size_bytes) {
        f->size_bytes = f->at_bytes;
    }
    return f->err == SLR_OK ? count : 0;
}

static void drop(void *state)
{
    struct sndfile *f = state;
    if (f->open) {
        f->open = false;
        f->err = f->err == SLR_OK ? SLR_IO : f->err; /* what closing writes is not wanted */
        sf_close(f->lib);
    }
}

static enum slr_err begin_as(struct sndfile *f, int format, uint32_t block_frames,
                             const struct slr_audio_shape *shape, struct slr_sink *sink)
{
    static const SF_VIRTUAL_IO io = {get_size, seek_to, read_some, write_some, tell};
    SF_VIRTUAL_IO copy = io; /* the library wants no const */
    SF_INFO info = {
        .samplerate = (int)shape->sample_hz, .channels = (int)shape->channels, .format = format};
    f->sink = sink;
    f->shape = *shape;
    f->frames = 0;
    f->block_frames = block_frames;
    f->at_bytes = f->size_bytes = f->buffered_at_bytes = 0;
    f->buffered_bytes = 0;
    f->err = SLR_OK;
    f->lib = sf_open_virtual(&copy, SFM_WRITE, &info, f);
    f->open = f->lib != NULL;
    if (!f->open) {
        return f->err != SLR_OK ? f->err : SLR_NOMEM;
    }
    return SLR_OK;
}

static enum slr_err append(void *state, const void *frames, uint64_t count_frames)
{
    struct sndfile *f = state;
    const int16_t *from = frames;
    if (!f->open) {
        return SLR_STATE;
    }
    while (count_frames > 0 && f->err == SLR_OK) {
        uint64_t n = count_frames < PIECE_FRAMES ? count_frames : PIECE_FRAMES;
        if (sf_writef_short(f->lib, from, (sf_count_t)n) != (sf_count_t)n && f->err == SLR_OK) {
            f->err = SLR_IO;
        }
        from += n * f->shape.channels;
        f->frames += n;
        count_frames -= n;
    }
    return f->err;
}

static enum slr_err checkpoint(void *state)
{
    const struct sndfile *f = state;
    return f->open ? f->err : SLR_STATE;
}

/* Silence up to a whole block: of a shorter last one half of the readers show the length that the
 * header states, and half the length of the block. */
static void fill_block(struct sndfile *f)
{
    static const int16_t silence[GSM_BLOCK_FRAMES];
    uint64_t over = f->frames % f->block_frames;
    if (over > 0) {
        (void)append(f, silence, f->block_frames - over);
    }
}

static enum slr_err finish(void *state)
{
    struct sndfile *f = state;
    if (!f->open) {
        return SLR_STATE;
    }
    if (f->err == SLR_OK) {
        fill_block(f);
    }
    if (f->err != SLR_OK) {
        return f->err;
    }
    f->open = false;
    if (sf_close(f->lib) != 0 && f->err == SLR_OK) {
        f->err = SLR_IO;
    }
    (void)flush(f);
    return f->err == SLR_OK ? f->sink->ops->truncate(f->sink, f->size_bytes) : f->err;
}

static void media_range(const void *state, uint64_t *offset_bytes, uint64_t *len_bytes)
{
    const struct sndfile *f = state;
    *offset_bytes = 0;
    *len_bytes = f->size_bytes;
}

static enum slr_err check_flac(const struct slr_audio_shape *shape)
{
    bool good = shape->format == SLR_SAMPLE_S16 && shape->channels >= 1 &&
                shape->channels <= MAX_FLAC_CHANNELS && shape->sample_hz >= 8000 &&
                shape->sample_hz <= 48000;
    return good ? SLR_OK : SLR_UNSUPPORTED;
}

static enum slr_err begin_flac(void *state, const struct slr_audio_shape *shape,
                               const struct slr_container_options *options, struct slr_sink *sink,
                               uint64_t resume_frames)
{
    struct sndfile *f = state;
    (void)options;
    f->open = false;
    if (check_flac(shape) != SLR_OK || resume_frames > 0) {
        return SLR_UNSUPPORTED;
    }
    return begin_as(f, SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 1, shape, sink);
}

/* A stream without a sample, for which the library writes nothing at all: RFC 9639 section 8.2,
 * with the MD5 of nothing. */
static enum slr_err write_empty_flac(struct sndfile *f)
{
    static const uint8_t md5[16] = {0xd4, 0x1d, 0x8c, 0xd9, 0x8f, 0x00, 0xb2, 0x04,
                                    0xe9, 0x80, 0x09, 0x98, 0xec, 0xf8, 0x42, 0x7e};
    uint8_t head[42] = {'f',  'L',  'a',  'C', 0x80, 0, 0, 34, /* the last block: stream info */
                        0x10, 0x00, 0x10, 0x00};               /* blocks of 4096 */
    uint32_t hz = f->shape.sample_hz;
    head[18] = (uint8_t)(hz >> 12);
    head[19] = (uint8_t)(hz >> 4);
    head[20] = (uint8_t)((hz & 15) << 4 | (f->shape.channels - 1) << 1);
    head[21] = 15 << 4; /* 16 bits, less one */
    memcpy(head + 26, md5, sizeof md5);
    f->size_bytes = sizeof head;
    return f->sink->ops->write_at(f->sink, 0, head, sizeof head);
}

static enum slr_err finish_flac(void *state)
{
    struct sndfile *f = state;
    enum slr_err err = finish(state);
    return err == SLR_OK && f->size_bytes == 0 ? write_empty_flac(f) : err;
}

const struct slr_container slr_container_flac = {
    .name = "flac",
    .extension = ".flac",
    .mime_type = "audio/flac",
    .coding = "flac",
    .state_bytes = sizeof(struct sndfile),
    .check = check_flac,
    .begin = begin_flac,
    .append = append,
    .checkpoint = checkpoint,
    .finish = finish_flac,
    .drop = drop,
    .media_range = media_range,
};

static enum slr_err check_gsm(const struct slr_audio_shape *shape)
{
    bool good =
        shape->format == SLR_SAMPLE_S16 && shape->channels == 1 && shape->sample_hz == GSM_HZ;
    return good ? SLR_OK : SLR_UNSUPPORTED;
}

static enum slr_err begin_gsm(void *state, const struct slr_audio_shape *shape,
                              const struct slr_container_options *options, struct slr_sink *sink,
                              uint64_t resume_frames)
{
    struct sndfile *f = state;
    (void)options;
    f->open = false;
    if (check_gsm(shape) != SLR_OK || resume_frames > 0) {
        return SLR_UNSUPPORTED;
    }
    return begin_as(f, SF_FORMAT_WAV | SF_FORMAT_GSM610, GSM_BLOCK_FRAMES, shape, sink);
}

const struct slr_container slr_container_gsm = {
    .name = "gsm",
    .extension = ".wav",
    .mime_type = "audio/wav",
    .coding = "gsm",
    .state_bytes = sizeof(struct sndfile),
    .check = check_gsm,
    .begin = begin_gsm,
    .append = append,
    .checkpoint = checkpoint,
    .finish = finish,
    .drop = drop,
    .media_range = media_range,
};

struct slr_sndfile {
    SNDFILE *lib;
    struct slr_slice file;
    uint64_t at_bytes;
};

static sf_count_t file_size(void *user)
{
    const struct slr_sndfile *f = user;
    return (sf_count_t)f->file.len_bytes;
}

static sf_count_t file_seek(sf_count_t offset, int whence, void *user)
{
    struct slr_sndfile *f = user;
    int64_t size = (int64_t)f->file.len_bytes;
    int64_t base = whence == SEEK_SET ? 0 : (whence == SEEK_CUR ? (int64_t)f->at_bytes : size);
    if (offset < -base || offset > size - base) {
        return -1;
    }
    f->at_bytes = (uint64_t)(base + offset);
    return (sf_count_t)f->at_bytes;
}

static sf_count_t file_tell(void *user)
{
    const struct slr_sndfile *f = user;
    return (sf_count_t)f->at_bytes;
}

static sf_count_t file_read(void *at, sf_count_t count, void *user)
{
    struct slr_sndfile *f = user;
    uint64_t left = f->file.len_bytes - f->at_bytes;
    size_t n = count > 0 ? ((uint64_t)count < left ? (size_t)count : (size_t)left) : 0;
    memcpy(at, f->file.at + f->at_bytes, n);
    f->at_bytes += n;
    return (sf_count_t)n;
}

static sf_count_t no_write(const void *at, sf_count_t count, void *user)
{
    (void)at;
    (void)count;
    (void)user;
    return 0;
}

/* The library reads many more formats, which nobody here wrote. */
static const char *coding_of(int format)
{
    switch (format & (SF_FORMAT_TYPEMASK | SF_FORMAT_SUBMASK)) {
    case SF_FORMAT_FLAC | SF_FORMAT_PCM_16:
        return slr_container_flac.coding;
    case SF_FORMAT_WAV | SF_FORMAT_GSM610:
        return slr_container_gsm.coding;
    case SF_FORMAT_OGG | SF_FORMAT_OPUS:
        return slr_container_opus.coding;
    default:
        return NULL;
    }
}

/* As the header has it: the library counts the pad byte behind an odd number of blocks as one more,
 * and of a file that was cut off only what is there. */
static uint64_t gsm_frames(SNDFILE *lib, uint64_t said)
{
    uint8_t fact[4] = {0};
    SF_CHUNK_INFO chunk = {.id = "fact", .id_size = 4, .datalen = sizeof fact, .data = fact};
    SF_CHUNK_ITERATOR *at = sf_get_chunk_iterator(lib, &chunk);
    if (!at || sf_get_chunk_data(at, &chunk) != SF_ERR_NO_ERROR) {
        return said;
    }
    return fact[0] | (uint64_t)fact[1] << 8 | (uint64_t)fact[2] << 16 | (uint64_t)fact[3] << 24;
}

static enum slr_err open_reader(struct slr_sndfile *f, struct slr_sndfile_info *info)
{
    SF_VIRTUAL_IO io = {file_size, file_seek, file_read, no_write, file_tell};
    SF_INFO said = {.format = 0};
    f->lib = sf_open_virtual(&io, SFM_READ, &said, f);
    if (!f->lib) {
        return SLR_FORMAT;
    }
    info->coding = coding_of(said.format);
    if (!info->coding) {
        return SLR_UNSUPPORTED;
    }
    if (said.channels < 1 || said.channels > 255 || said.samplerate < 1 || said.frames < 0 ||
        said.frames == SF_COUNT_MAX) {
        return SLR_FORMAT;
    }
    info->shape = (struct slr_audio_shape){SLR_SAMPLE_S16, (uint32_t)said.channels,
                                           (uint32_t)said.samplerate};
    info->frames = (uint64_t)said.frames;
    if (info->coding == slr_container_gsm.coding) {
        info->frames = gsm_frames(f->lib, info->frames);
    }
    return SLR_OK;
}

enum slr_err slr_sndfile_open(struct slr_slice file, struct slr_sndfile **out,
                              struct slr_sndfile_info *info)
{
    static const char *const magic[] = {"fLaC", "OggS", "RIFF"};
    bool known = false;
    *out = NULL;
    for (size_t i = 0; i < sizeof magic / sizeof magic[0]; i++) {
        known |= file.len_bytes >= 4 && memcmp(file.at, magic[i], 4) == 0;
    }
    if (!known) {
        return SLR_FORMAT;
    }
    struct slr_sndfile *f = calloc(1, sizeof *f);
    if (!f) {
        return SLR_NOMEM;
    }
    f->file = file;
    enum slr_err err = open_reader(f, info);
    if (err != SLR_OK) {
        slr_sndfile_close(f);
        return err;
    }
    *out = f;
    return SLR_OK;
}

uint64_t slr_sndfile_read(struct slr_sndfile *f, int16_t *out, uint64_t max_frames)
{
    uint64_t want = max_frames < PIECE_FRAMES ? max_frames : PIECE_FRAMES;
    sf_count_t n = sf_readf_short(f->lib, out, (sf_count_t)want);
    return n > 0 ? (uint64_t)n : 0;
}

void slr_sndfile_close(struct slr_sndfile *f)
{
    if (f) {
        if (f->lib) {
            sf_close(f->lib);
        }
        free(f);
    }
}

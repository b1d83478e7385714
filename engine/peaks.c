/*
 * peaks: reads samples of a finished file. See the header.
 */
#include "engine/peaks.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codecs/codec.h"
#include "storage/sndfile.h"
#include "storage/wav_read.h"

#define PIECE_SAMPLES 8192u

/* One channel of the column that is being made. */
struct column {
    int32_t least, most;
    double squares;
};

/* Frames come in order, each column ends at its frame. */
struct peaks {
    struct slr_audio_shape shape;
    uint64_t frames, at; /* of the file; taken so far */
    uint32_t columns;
    uint32_t made; /* columns */
    uint64_t from; /* first frame of the column */
    json_t *lists; /* of each channel */
    struct column column[255];
    int16_t piece[PIECE_SAMPLES];
};

/* One past the last frame of column i. */
static uint64_t column_end(const struct peaks *p, uint32_t i)
{
    uint64_t whole = p->frames / p->columns;
    uint64_t rest = p->frames % p->columns;
    return whole * (i + 1) + rest * (i + 1) / p->columns;
}

static void end_column(struct peaks *p)
{
    uint64_t n = p->at - p->from;
    for (uint32_t c = 0; c < p->shape.channels; c++) {
        struct column *col = &p->column[c];
        json_t *list = json_array_get(p->lists, c);
        double rms = n > 0 ? sqrt(col->squares / (double)n) : 0;
        json_array_append_new(list, json_integer(col->least));
        json_array_append_new(list, json_integer(col->most));
        json_array_append_new(list, json_integer((json_int_t)lround(rms)));
        *col = (struct column){0};
    }
    p->from = p->at;
    p->made++;
}

/* Columns that end where we are, those without a frame too. */
static void end_columns(struct peaks *p)
{
    while (p->made < p->columns && column_end(p, p->made) == p->at) {
        end_column(p);
    }
}

static void take(struct peaks *p, const int16_t *frame, uint64_t count)
{
    for (; count > 0; count--, frame += p->shape.channels) {
        bool first = p->at == p->from;
        for (uint32_t c = 0; c < p->shape.channels; c++) {
            struct column *col = &p->column[c];
            int32_t x = frame[c];
            col->least = first || x < col->least ? x : col->least;
            col->most = first || x > col->most ? x : col->most;
            col->squares += (double)x * x;
        }
        p->at++;
        end_columns(p);
    }
}

static void to_pcm(const uint8_t *at, enum slr_sample_format format, uint64_t samples, int16_t *out)
{
    for (uint64_t i = 0; i < samples; i++) {
        switch (format) {
        case SLR_SAMPLE_ALAW:
            out[i] = slr_g711_alaw_to_s16(at[i]);
            break;
        case SLR_SAMPLE_ULAW:
            out[i] = slr_g711_ulaw_to_s16(at[i]);
            break;
        case SLR_SAMPLE_S16:
            out[i] = (int16_t)(uint16_t)(at[2 * i] | at[2 * i + 1] << 8);
            break;
        }
    }
}

/* lists, and the columns of a file without a frame. */
static enum slr_err begin(struct peaks *p)
{
    p->lists = json_array();
    for (uint32_t c = 0; c < p->shape.channels; c++) {
        json_array_append_new(p->lists, json_array());
    }
    if (json_array_size(p->lists) != p->shape.channels) {
        return SLR_NOMEM;
    }
    end_columns(p);
    return SLR_OK;
}

static enum slr_err read_wav(struct peaks *p, const uint8_t *data)
{
    uint32_t frame_bytes = p->shape.channels * slr_sample_bytes(p->shape.format);
    uint64_t most = PIECE_SAMPLES / p->shape.channels;
    enum slr_err err = begin(p);
    while (err == SLR_OK && p->at < p->frames) {
        uint64_t n = p->frames - p->at < most ? p->frames - p->at : most;
        to_pcm(data + p->at * frame_bytes, p->shape.format, n * p->shape.channels, p->piece);
        take(p, p->piece, n);
    }
    return err;
}

static enum slr_err read_coded(struct peaks *p, struct slr_sndfile *file)
{
    uint64_t most = PIECE_SAMPLES / p->shape.channels;
    enum slr_err err = begin(p);
    while (err == SLR_OK && p->at < p->frames) {
        uint64_t left = p->frames - p->at;
        uint64_t n = slr_sndfile_read(file, p->piece, left < most ? left : most);
        take(p, p->piece, n);
        err = n > 0 ? SLR_OK : SLR_TRUNCATED;
    }
    return err;
}

/* Our own files of plain samples are read without a library. */
static enum slr_err read_file(struct peaks *p, struct slr_slice file, const char **format)
{
    struct slr_wav_info wav;
    struct slr_sndfile_info coded;
    struct slr_sndfile *reader = NULL;
    enum slr_err err = slr_wav_parse(file, &wav);
    if (err == SLR_OK) {
        p->shape = wav.shape;
        p->frames = wav.frames;
        *format = slr_sample_name(wav.shape.format);
        return read_wav(p, file.at + wav.data_offset_bytes);
    }
    if (err == SLR_TRUNCATED) {
        return err;
    }
    err = slr_sndfile_open(file, &reader, &coded);
    if (err == SLR_OK) {
        p->shape = coded.shape;
        p->frames = coded.frames;
        *format = coded.coding;
        err = read_coded(p, reader);
    }
    slr_sndfile_close(reader);
    return err;
}

enum slr_err slr_peaks_json(struct slr_slice file, uint32_t columns, json_t **out)
{
    const char *format = NULL;
    *out = NULL;
    if (columns == 0 || columns > SLR_PEAKS_MAX) {
        return SLR_INVAL;
    }
    struct peaks *p = calloc(1, sizeof *p);
    if (!p) {
        return SLR_NOMEM;
    }
    p->columns = columns;
    enum slr_err err = read_file(p, file, &format);
    if (err == SLR_OK) {
        *out = json_pack("{s:s,s:i,s:i,s:I,s:I,s:O}", "format", format, "channels",
                         (int)p->shape.channels, "sample_hz", (int)p->shape.sample_hz, "frames",
                         (json_int_t)p->frames, "columns", (json_int_t)columns, "peaks", p->lists);
        err = *out ? SLR_OK : SLR_NOMEM;
    }
    json_decref(p->lists);
    free(p);
    return err;
}

static int print(const char *path, struct slr_slice file, uint32_t columns)
{
    json_t *peaks = NULL;
    enum slr_err err = slr_peaks_json(file, columns, &peaks);
    if (err != SLR_OK) {
        fprintf(stderr, "slr: %s: %s\n", path,
                err == SLR_UNSUPPORTED || err == SLR_FORMAT ? "no recording in a format of ours"
                : err == SLR_TRUNCATED                      ? "it ends before it should"
                                                            : slr_err_text(err));
        return EXIT_FAILURE;
    }
    int failed = json_dumpf(peaks, stdout, JSON_COMPACT);
    json_decref(peaks);
    return failed == 0 && putchar('\n') != EOF && fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int slr_peaks_run(const char *path, uint32_t columns)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0) {
        fprintf(stderr, "slr: %s: cannot be read\n", path);
        if (fd >= 0) {
            close(fd);
        }
        return EXIT_FAILURE;
    }
    void *at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (at == MAP_FAILED) {
        fprintf(stderr, "slr: %s: cannot be mapped\n", path);
        return EXIT_FAILURE;
    }
    int code = print(path, slr_slice_of(at, (size_t)st.st_size), columns);
    munmap(at, (size_t)st.st_size);
    return code;
}

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
#include "storage/wav_read.h"

static int32_t sample_at(const uint8_t *at, enum slr_sample_format format)
{
    int16_t v = 0;
    switch (format) {
    case SLR_SAMPLE_ALAW:
        return slr_g711_alaw_to_s16(*at);
    case SLR_SAMPLE_ULAW:
        return slr_g711_ulaw_to_s16(*at);
    case SLR_SAMPLE_S16:
        v = (int16_t)(uint16_t)(at[0] | at[1] << 8);
        break;
    }
    return v;
}

/* Frames [from, to) of one channel. */
static void put_column(json_t *list, const uint8_t *data, const struct slr_audio_shape *shape,
                       uint32_t channel, uint64_t from, uint64_t to)
{
    size_t bytes = slr_sample_bytes(shape->format);
    size_t step = bytes * shape->channels;
    const uint8_t *at = data + from * step + channel * bytes;
    int32_t least = 0;
    int32_t most = 0;
    double squares = 0;
    for (uint64_t i = from; i < to; i++, at += step) {
        int32_t x = sample_at(at, shape->format);
        least = i == from || x < least ? x : least;
        most = i == from || x > most ? x : most;
        squares += (double)x * x;
    }
    double rms = to > from ? sqrt(squares / (double)(to - from)) : 0;
    json_array_append_new(list, json_integer(least));
    json_array_append_new(list, json_integer(most));
    json_array_append_new(list, json_integer((json_int_t)lround(rms)));
}

enum slr_err slr_peaks_json(struct slr_slice file, uint32_t columns, json_t **out)
{
    struct slr_wav_info info;
    *out = NULL;
    if (columns == 0 || columns > SLR_PEAKS_MAX) {
        return SLR_INVAL;
    }
    enum slr_err err = slr_wav_parse(file, &info);
    if (err != SLR_OK) {
        return err;
    }
    json_t *peaks = json_array();
    for (uint32_t c = 0; c < info.shape.channels; c++) {
        json_t *list = json_array();
        for (uint32_t i = 0; i < columns; i++) {
            uint64_t whole = info.frames / columns;
            uint64_t rest = info.frames % columns;
            uint64_t from = whole * i + rest * i / columns;
            uint64_t to = whole * (i + 1) + rest * (i + 1) / columns;
            put_column(list, file.at + info.data_offset_bytes, &info.shape, c, from, to);
        }
        json_array_append_new(peaks, list);
    }
    *out = json_pack("{s:s,s:i,s:i,s:I,s:I,s:o}", "format", slr_sample_name(info.shape.format),
                     "channels", (int)info.shape.channels, "sample_hz", (int)info.shape.sample_hz,
                     "frames", (json_int_t)info.frames, "columns", (json_int_t)columns, "peaks",
                     peaks);
    return *out ? SLR_OK : SLR_NOMEM;
}

static int print(const char *path, struct slr_slice file, uint32_t columns)
{
    json_t *peaks = NULL;
    enum slr_err err = slr_peaks_json(file, columns, &peaks);
    if (err != SLR_OK) {
        fprintf(stderr, "slr: %s: %s\n", path,
                err == SLR_UNSUPPORTED || err == SLR_FORMAT
                    ? "no WAV or RF64 file with PCM of 16 bits, A-law or mu-law"
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

/*
 * Our WAV files in the eyes of strangers: ffprobe, ffmpeg and sox read the shape, the length and
 * every sample that went in. Skips, saying so, what is not installed.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "storage/container.h"

enum { FRAMES = 8001 };

static const struct {
    struct slr_audio_shape shape;
    const char *codec;     /* name in ffprobe */
    const char *raw;       /* ffmpeg's raw muxer */
    const char *sox_bytes; /* sox: raw output without a change of coding */
} cases[] = {
    {{SLR_SAMPLE_S16, 1, 8000}, "pcm_s16le", "s16le", "-t raw -e signed -b 16"},
    {{SLR_SAMPLE_S16, 2, 16000}, "pcm_s16le", "s16le", "-t raw -e signed -b 16"},
    {{SLR_SAMPLE_S16, 5, 48000}, "pcm_s16le", "s16le", "-t raw -e signed -b 16"},
    {{SLR_SAMPLE_ALAW, 1, 8000}, "pcm_alaw", "alaw", "-t raw -e a-law"},
    {{SLR_SAMPLE_ALAW, 2, 8000}, "pcm_alaw", "alaw", "-t raw -e a-law"},
    {{SLR_SAMPLE_ULAW, 1, 8000}, "pcm_mulaw", "mulaw", "-t raw -e mu-law"},
    {{SLR_SAMPLE_ULAW, 2, 8000}, "pcm_mulaw", "mulaw", "-t raw -e mu-law"},
};
#define CASES (sizeof cases / sizeof cases[0])

static void need(const char *tool)
{
    char command[64];
    snprintf(command, sizeof command, "command -v %s >/dev/null 2>&1", tool);
    if (system(command) != 0) {
        cr_skip_test("%s is not installed", tool);
    }
}

/* Makes the file; what went in is returned, the caller frees. finished: else only checkpointed. */
static uint8_t *make_file(const struct slr_audio_shape *shape, const char *path, bool finished,
                          size_t *len_bytes)
{
    const struct slr_container *c = slr_container_by_name("wav");
    struct slr_sink_posix sink;
    size_t frame_bytes = shape->channels * slr_sample_bytes(shape->format);
    void *state = malloc(c->state_bytes);
    uint8_t *frames = malloc(FRAMES * frame_bytes);

    cr_assert(state && frames);
    *len_bytes = FRAMES * frame_bytes;
    for (size_t i = 0; i < *len_bytes; i++) {
        frames[i] = (uint8_t)(i * 2654435761u >> 11);
        if (shape->format == SLR_SAMPLE_ULAW && frames[i] == 0x7f) {
            frames[i] = 0xff; /* sox decodes; the second zero does not survive that */
        }
    }
    cr_assert_eq(slr_sink_posix_create(&sink, -1, path), SLR_OK);
    cr_assert_eq(c->begin(state, shape, NULL, &sink.base, 0), SLR_OK);
    cr_assert_eq(c->append(state, frames, FRAMES), SLR_OK);
    cr_assert_eq(finished ? c->finish(state) : c->checkpoint(state), SLR_OK);
    sink.base.ops->close(&sink.base);
    free(state);
    return frames;
}

/* All that a command prints, NUL-terminated; the caller frees. */
static char *output_of(const char *command, size_t *len_bytes)
{
    enum { MAX_BYTES = 1 << 20 };
    char *text = malloc(MAX_BYTES + 1);
    FILE *f = popen(command, "r");
    cr_assert(text && f);
    *len_bytes = fread(text, 1, MAX_BYTES, f);
    text[*len_bytes] = '\0';
    int status = pclose(f);
    cr_assert_eq(status, 0, "%s", command);
    return text;
}

/* A path of its own for each file, unlinked by the caller. */
static void new_path(char path[static 64])
{
    strcpy(path, "/tmp/slr-wav-XXXXXX");
    cr_assert(mkdtemp(path));
    strcat(path, "/x.wav");
}

static void remove_path(char *path)
{
    unlink(path);
    *strrchr(path, '/') = '\0';
    rmdir(path);
}

static void probe(size_t i, bool finished)
{
    char path[64], command[256], want[128];
    size_t len = 0;
    new_path(path);
    free(make_file(&cases[i].shape, path, finished, &len));
    snprintf(command, sizeof command,
             "ffprobe -v warning -of csv=p=0 -show_entries "
             "stream=codec_name,sample_rate,channels,duration_ts %s 2>&1",
             path);
    snprintf(want, sizeof want, "%s,%u,%u,%d\n", cases[i].codec, cases[i].shape.sample_hz,
             cases[i].shape.channels, FRAMES);
    char *text = output_of(command, &len);
    cr_assert_str_eq(text, want, "case %zu: '%s', not '%s'", i, text, want);
    free(text);
    remove_path(path);
}

Test(wav_external, ffprobe_sees_the_shape)
{
    need("ffprobe");
    for (size_t i = 0; i < CASES; i++) {
        probe(i, true);
        probe(i, false);
    }
}

/* The command is: before, the path, after. */
static void compare(size_t i, const char *before, const char *after)
{
    char path[64], command[256];
    size_t want_len = 0, len = 0;
    new_path(path);
    uint8_t *want = make_file(&cases[i].shape, path, true, &want_len);
    snprintf(command, sizeof command, "%s %s %s", before, path, after);
    char *got = output_of(command, &len);
    cr_assert_eq(len, want_len, "case %zu: %zu bytes, not %zu", i, len, want_len);
    cr_assert_eq(memcmp(got, want, len), 0, "case %zu: samples differ", i);
    free(got);
    free(want);
    remove_path(path);
}

Test(wav_external, ffmpeg_reads_every_sample)
{
    need("ffmpeg");
    for (size_t i = 0; i < CASES; i++) {
        char after[64];
        snprintf(after, sizeof after, "-c copy -f %s -", cases[i].raw);
        compare(i, "ffmpeg -nostdin -v error -i", after);
    }
}

Test(wav_external, sox_reads_every_sample)
{
    need("sox");
    for (size_t i = 0; i < CASES; i++) {
        char after[64];
        snprintf(after, sizeof after, "%s -", cases[i].sox_bytes);
        compare(i, "sox -D", after);
    }
}

/* sox warns of what it finds odd in a file; there must be nothing. */
Test(wav_external, sox_finds_nothing_odd)
{
    need("sox");
    for (size_t i = 0; i < CASES; i++) {
        char path[64], command[128];
        size_t len = 0;
        new_path(path);
        free(make_file(&cases[i].shape, path, true, &len));
        snprintf(command, sizeof command, "sox -V2 %s -n 2>&1", path);
        char *text = output_of(command, &len);
        cr_assert_str_eq(text, "", "case %zu: %s", i, text);
        free(text);
        remove_path(path);
    }
}

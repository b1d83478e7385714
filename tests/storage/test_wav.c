/*
 * wav: what only this container can meet: files beyond 4 GiB (RF64), which are sparse here, and
 * files of releases that kept no place for its sizes.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "storage/container.h"
#include "storage/wav_read.h"

#define GIB (1024ull * 1024 * 1024)
#define MAX_RIFF (4 * GIB - 1024 * 1024)
#define HEAD_BYTES 4096

/* Frames of the sizes that memory does not have: all that the sink keeps of them. */
static const uint8_t none[HEAD_BYTES];

/* A sink that keeps the first bytes only and the length, for sizes that memory does not have. */
struct huge {
    struct slr_sink base;
    uint8_t head[HEAD_BYTES];
    uint64_t size_bytes;
};

static struct huge *huge_of(struct slr_sink *s)
{
    return (struct huge *)(void *)s;
}

static enum slr_err huge_write(struct slr_sink *s, uint64_t offset, const void *at, size_t len)
{
    struct huge *h = huge_of(s);
    if (offset < sizeof h->head) {
        size_t n = sizeof h->head - (size_t)offset;
        memcpy(h->head + offset, at, len < n ? len : n);
    }
    h->size_bytes = offset + len > h->size_bytes ? offset + len : h->size_bytes;
    return SLR_OK;
}

static enum slr_err huge_read(struct slr_sink *s, uint64_t offset, void *at, size_t len)
{
    struct huge *h = huge_of(s);
    cr_assert_leq(offset + len, sizeof h->head);
    memcpy(at, h->head + offset, len);
    return SLR_OK;
}

static enum slr_err huge_size(struct slr_sink *s, uint64_t *size)
{
    *size = huge_of(s)->size_bytes;
    return SLR_OK;
}

static enum slr_err huge_truncate(struct slr_sink *s, uint64_t size)
{
    huge_of(s)->size_bytes = size;
    return SLR_OK;
}

static const struct slr_sink_ops huge_ops = {.name = "huge",
                                             .write_at = huge_write,
                                             .read_at = huge_read,
                                             .size = huge_size,
                                             .truncate = huge_truncate};

static const struct slr_container *wav(void)
{
    return slr_container_by_name("wav");
}

static uint64_t le(const uint8_t *at, int bytes)
{
    uint64_t v = 0;
    for (int i = bytes - 1; i >= 0; i--) {
        v = v << 8 | at[i];
    }
    return v;
}

static const struct slr_audio_shape shapes[] = {
    {SLR_SAMPLE_S16, 2, 8000}, {SLR_SAMPLE_ALAW, 1, 8000}, {SLR_SAMPLE_ULAW, 3, 8000}};

/* What the header says of a file of that many frames. */
static void check_header(const struct huge *h, const struct slr_audio_shape *shape, uint64_t frames)
{
    bool companded = shape->format != SLR_SAMPLE_S16;
    uint64_t header = companded ? 94 : 80;
    uint64_t media = frames * shape->channels * slr_sample_bytes(shape->format);
    uint64_t riff = header - 8 + media + (media & 1);
    bool is_long = media > MAX_RIFF;
    cr_assert_arr_eq(h->head, is_long ? "RF64" : "RIFF", 4);
    cr_assert_eq(le(h->head + 4, 4), is_long ? UINT32_MAX : riff);
    cr_assert_arr_eq(h->head + 12, is_long ? "ds64" : "JUNK", 4);
    cr_assert_eq(le(h->head + 16, 4), 28u);
    cr_assert_eq(le(h->head + 20, 8), is_long ? riff : 0);
    cr_assert_eq(le(h->head + 28, 8), is_long ? media : 0);
    cr_assert_eq(le(h->head + 36, 8), is_long ? frames : 0);
    cr_assert_eq(le(h->head + 44, 4), 0u, "the table is empty");
    cr_assert_eq(le(h->head + header - 4, 4), is_long ? UINT32_MAX : media);
    if (companded) {
        cr_assert_eq(le(h->head + header - 12, 4), frames < UINT32_MAX ? frames : UINT32_MAX);
    }
}

/* The header turns at the bound and turns back where a resume knows of less. */
Test(wav, becomes_rf64_beyond_4_gib)
{
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        const struct slr_audio_shape *shape = &shapes[i];
        struct huge h = {.base = {&huge_ops}};
        void *state = malloc(wav()->state_bytes);
        uint64_t offset = 0, len = 0;
        uint64_t frame_bytes = shape->channels * slr_sample_bytes(shape->format);
        uint64_t frames = MAX_RIFF / frame_bytes;
        cr_assert_eq(wav()->begin(state, shape, NULL, &h.base, 0), SLR_OK);
        cr_assert_eq(wav()->append(state, none, frames), SLR_OK);
        cr_assert_eq(wav()->checkpoint(state), SLR_OK);
        check_header(&h, shape, frames);
        cr_assert_eq(wav()->append(state, none, 1), SLR_OK);
        check_header(&h, shape, frames); /* nobody has said yet that there is more */
        cr_assert_eq(wav()->checkpoint(state), SLR_OK);
        check_header(&h, shape, frames + 1);
        cr_assert_eq(wav()->append(state, none, 6 * frames), SLR_OK);
        cr_assert_eq(wav()->checkpoint(state), SLR_OK);
        memset(state, 0x5a, wav()->state_bytes); /* death */
        cr_assert_eq(wav()->begin(state, shape, NULL, &h.base, 7 * frames + 3), SLR_TRUNCATED);
        cr_assert_eq(wav()->begin(state, shape, NULL, &h.base, 7 * frames + 1), SLR_OK);
        check_header(&h, shape, 7 * frames + 1);
        cr_assert_eq(wav()->begin(state, shape, NULL, &h.base, frames), SLR_OK);
        check_header(&h, shape, frames);
        cr_assert_eq(wav()->append(state, none, 2 * frames), SLR_OK);
        cr_assert_eq(wav()->finish(state), SLR_OK);
        check_header(&h, shape, 3 * frames);
        wav()->media_range(state, &offset, &len);
        cr_assert_eq(len, 3 * frames * frame_bytes);
        cr_assert_eq(h.size_bytes, offset + len + (len & 1));
        free(state);
    }
}

Test(wav, refuses_what_no_file_can_hold)
{
    struct slr_audio_shape shape = {SLR_SAMPLE_S16, 2, 8000};
    struct huge h = {.base = {&huge_ops}};
    void *state = malloc(wav()->state_bytes);
    uint64_t frames = (1ull << 60) / 4;
    cr_assert_eq(wav()->begin(state, &shape, NULL, &h.base, 0), SLR_OK);
    cr_assert_eq(wav()->append(state, none, UINT64_MAX), SLR_TOOLONG);
    cr_assert_eq(wav()->append(state, none, frames + 1), SLR_TOOLONG);
    cr_assert_eq(wav()->append(state, none, frames), SLR_OK);
    cr_assert_eq(wav()->append(state, none, 1), SLR_TOOLONG);
    cr_assert_eq(wav()->checkpoint(state), SLR_OK);
    cr_assert_eq(wav()->finish(state), SLR_OK);
    cr_assert_eq(wav()->begin(state, &shape, NULL, &h.base, frames + 1), SLR_TOOLONG);
    cr_assert_eq(wav()->begin(state, &shape, NULL, &h.base, UINT64_MAX), SLR_TOOLONG);
    free(state);
}

/* As our first releases wrote it: no JUNK chunk, so it ends before 4 GiB. */
static void make_old_file(struct huge *h, const struct slr_audio_shape *shape, uint64_t frames)
{
    void *state = malloc(wav()->state_bytes);
    cr_assert_eq(wav()->begin(state, shape, NULL, &h->base, 0), SLR_OK);
    cr_assert_eq(wav()->append(state, none, frames), SLR_OK);
    cr_assert_eq(wav()->checkpoint(state), SLR_OK);
    memmove(h->head + 12, h->head + 48, 64);
    h->size_bytes -= 36;
    free(state);
}

Test(wav, goes_on_with_files_without_the_reserve)
{
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        struct huge h = {.base = {&huge_ops}};
        const struct slr_audio_shape *shape = &shapes[i];
        void *state = malloc(wav()->state_bytes);
        uint64_t header = shape->format == SLR_SAMPLE_S16 ? 44 : 58;
        uint64_t frame_bytes = shape->channels * slr_sample_bytes(shape->format);
        uint64_t offset = 0, len = 0;
        make_old_file(&h, shape, 100);
        cr_assert_eq(wav()->begin(state, shape, NULL, &h.base, 101), SLR_TRUNCATED);
        cr_assert_eq(wav()->begin(state, shape, NULL, &h.base, 100), SLR_OK);
        wav()->media_range(state, &offset, &len);
        cr_assert_eq(offset, header);
        cr_assert_eq(wav()->append(state, none, MAX_RIFF / frame_bytes - 100), SLR_OK);
        cr_assert_eq(wav()->append(state, none, 1), SLR_TOOLONG);
        cr_assert_eq(wav()->finish(state), SLR_OK);
        cr_assert_arr_eq(h.head, "RIFF", 4);
        cr_assert_eq(le(h.head + header - 4, 4), MAX_RIFF / frame_bytes * frame_bytes);
        free(state);
    }
}

/* A sparse file of 6 GiB on the disk. (soxi says the same, but reads through all of it.) */

static char *first_line(const char *command)
{
    static char line[256];
    FILE *f = popen(command, "r");
    cr_assert(f);
    line[0] = '\0';
    if (!fgets(line, sizeof line, f)) {
        line[0] = '\0';
    }
    cr_assert_eq(pclose(f), 0, "%s", command);
    line[strcspn(line, "\n")] = '\0';
    return line;
}

static void make_sparse(const struct slr_audio_shape *shape, const char *path, uint64_t frames)
{
    struct slr_sink_posix sink;
    void *state = malloc(wav()->state_bytes);
    uint64_t frame_bytes = shape->channels * slr_sample_bytes(shape->format);
    uint8_t last[16];
    memset(last, 0x11, sizeof last);
    cr_assert_eq(slr_sink_posix_create(&sink, -1, path), SLR_OK);
    cr_assert_eq(wav()->begin(state, shape, NULL, &sink.base, 0), SLR_OK);
    cr_assert_eq(sink.base.ops->truncate(&sink.base, 94 + frames * frame_bytes), SLR_OK);
    cr_assert_eq(wav()->begin(state, shape, NULL, &sink.base, frames - 1), SLR_OK);
    cr_assert_eq(wav()->append(state, last, 1), SLR_OK);
    cr_assert_eq(wav()->finish(state), SLR_OK);
    sink.base.ops->close(&sink.base);
    free(state);
}

static void check_sparse(const struct slr_audio_shape *shape)
{
    char path[64] = "/tmp/slr-rf64-XXXXXX", command[256], want[64];
    uint64_t frame_bytes = shape->channels * slr_sample_bytes(shape->format);
    uint64_t frames = 6 * GIB / frame_bytes;
    cr_assert(mkdtemp(path));
    strcat(path, "/x.wav");
    make_sparse(shape, path, frames);
    snprintf(want, sizeof want, "%u,%u,%llu", shape->sample_hz, shape->channels,
             (unsigned long long)frames);
    if (system("command -v ffprobe >/dev/null 2>&1") == 0) {
        snprintf(command, sizeof command,
                 "ffprobe -v error -of csv=p=0 -show_entries "
                 "stream=sample_rate,channels,duration_ts %s",
                 path);
        cr_assert_str_eq(first_line(command), want);
    }
    unlink(path);
    *strrchr(path, '/') = '\0';
    rmdir(path);
}

Test(wav, strangers_open_a_sparse_rf64)
{
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        check_sparse(&shapes[i]);
    }
}

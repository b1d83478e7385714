/*
 * spill: see the header.
 */
#include "engine/spill.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/slice.h"
#include "engine/recfile.h"

#define COPY_BYTES ((size_t)256 << 10)
#define PROBE_BYTES ((size_t)64 << 10)
#define PROBE_NAME "open/.probe"

/* What the recording had at home when it left. */
struct from {
    uint64_t frames, spans_bytes;
};

static void name_from(const char *id, char out[static SLR_REC_NAME_SIZE])
{
    snprintf(out, SLR_REC_NAME_SIZE, "open/%.32s.from", id);
}

static enum slr_err write_from(int spill_fd, const struct slr_session *s)
{
    char name[SLR_REC_NAME_SIZE], part[SLR_REC_NAME_SIZE], text[64];
    const struct slr_commit *commit = slr_session_commit(s);
    int len = snprintf(text, sizeof text, "%llu %llu\n", (unsigned long long)commit->frames,
                       (unsigned long long)commit->spans_bytes);
    name_from(s->id, name);
    snprintf(part, sizeof part, "%.48s.part", name);
    int fd = openat(spill_fd, part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return slr_err_from_errno(errno);
    }
    ssize_t n = write(fd, text, (size_t)len);
    enum slr_err err = n == len ? SLR_OK : (n < 0 ? slr_err_from_errno(errno) : SLR_IO);
    close(fd);
    if (err == SLR_OK && renameat(spill_fd, part, spill_fd, name) != 0) {
        err = slr_err_from_errno(errno);
    }
    return err;
}

/* SLR_NOTFOUND: it does not grow here. */
static enum slr_err read_from(int spill_fd, const char *id, struct from *from)
{
    char name[SLR_REC_NAME_SIZE], text[64];
    struct slr_slice frames, spans;
    name_from(id, name);
    int fd = openat(spill_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return slr_err_from_errno(errno);
    }
    ssize_t n = read(fd, text, sizeof text);
    enum slr_err err = n < 0 ? slr_err_from_errno(errno) : SLR_OK;
    close(fd);
    struct slr_slice rest = slr_slice_of((const uint8_t *)text, n > 0 ? (size_t)n : 0);
    if (err == SLR_OK &&
        (!slr_slice_take_token(&rest, ' ', &frames) || !slr_slice_take_token(&rest, '\n', &spans) ||
         !slr_slice_to_u64(frames, UINT64_MAX / 2, &from->frames) ||
         !slr_slice_to_u64(spans, UINT64_MAX / 2, &from->spans_bytes))) {
        err = SLR_FORMAT;
    }
    return err;
}

bool slr_spill_has(int spill_fd, const char *id)
{
    struct from from;
    return read_from(spill_fd, id, &from) == SLR_OK;
}

/* A file of the session's shape that has its frames so far as a hole. */
static enum slr_err make_media(int spill_fd, const struct slr_session *s)
{
    const struct slr_container *wav = slr_container_by_name("wav");
    char name[SLR_REC_NAME_SIZE];
    struct slr_recfile f;
    uint64_t offset_bytes = 0, len_bytes = 0;
    uint64_t frame_bytes = s->shape.channels * slr_sample_bytes(s->shape.format);
    slr_recfile_name_open(s->id, name);
    if (unlinkat(spill_fd, name, 0) != 0 && errno != ENOENT) { /* of an attempt that failed */
        return slr_err_from_errno(errno);
    }
    enum slr_err err = slr_sink_posix_create(&f.media, spill_fd, name);
    if (err != SLR_OK) {
        return err;
    }
    struct slr_sink *sink = &f.media.base;
    err = wav->begin(f.state, &s->shape, NULL, sink, 0);
    if (err == SLR_OK) {
        wav->media_range(f.state, &offset_bytes, &len_bytes);
        err = sink->ops->truncate(sink, offset_bytes + slr_session_commit(s)->frames * frame_bytes);
    }
    sink->ops->close(sink);
    return err;
}

enum slr_err slr_spill_begin(int spill_fd, const struct slr_session *s)
{
    char name[SLR_REC_NAME_SIZE];
    name_from(s->id, name);
    if (faccessat(spill_fd, name, F_OK, 0) == 0) {
        return SLR_OK;
    }
    enum slr_err err = make_media(spill_fd, s);
    return err == SLR_OK ? write_from(spill_fd, s) : err;
}

/* Frames [from, to) of the file that is away, behind those at home. What cannot be read there
 * because it is not there is silence. */
static enum slr_err copy_media(struct slr_recfile *home, struct slr_sink *away,
                               struct slr_session *s, uint64_t from)
{
    const struct slr_container *wav = slr_container_by_name("wav");
    uint64_t frame_bytes = s->shape.channels * slr_sample_bytes(s->shape.format);
    uint64_t to = slr_session_commit(s)->frames;
    uint64_t offset_bytes = 0, len_bytes = 0;
    uint8_t *buffer = malloc(COPY_BYTES);
    enum slr_err err = buffer ? SLR_OK : SLR_NOMEM;
    wav->media_range(home->state, &offset_bytes, &len_bytes);
    while (err == SLR_OK && from < to) {
        uint64_t most = COPY_BYTES / frame_bytes;
        uint64_t n = to - from < most ? to - from : most;
        err = away->ops->read_at(away, offset_bytes + from * frame_bytes, buffer,
                                 (size_t)(n * frame_bytes));
        if (err == SLR_EOF) {
            struct slr_block silence = {buffer, s->shape, from, (uint32_t)n};
            slr_render_silence(&silence);
            s->damaged = true;
            err = SLR_OK;
        }
        if (err == SLR_OK) {
            err = wav->append(home->state, buffer, n);
        }
        from += n;
    }
    free(buffer);
    if (err == SLR_OK) {
        err = wav->checkpoint(home->state);
    }
    return err == SLR_OK ? home->media.base.ops->sync(&home->media.base) : err;
}

/* Entries of the journal that were made there, to the same offsets at home. */
static enum slr_err copy_spans(struct slr_recfile *home, int rec_fd, int spill_fd,
                               const struct slr_session *s, uint64_t from)
{
    char name[SLR_REC_NAME_SIZE];
    uint8_t buffer[8192];
    uint64_t to = slr_session_commit(s)->spans_bytes;
    enum slr_err err = SLR_OK;
    if (from >= to) {
        return SLR_OK;
    }
    slr_recfile_name_spans(s->id, name);
    int away = openat(spill_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (away < 0) {
        return errno == ENOENT ? SLR_OK : slr_err_from_errno(errno); /* the sealer misses them */
    }
    err = slr_recfile_open_spans(home, rec_fd, s->id);
    while (err == SLR_OK && from < to) {
        size_t want = to - from < sizeof buffer ? (size_t)(to - from) : sizeof buffer;
        ssize_t n = pread(away, buffer, want, (off_t)from);
        if (n <= 0) {
            err = n < 0 ? slr_err_from_errno(errno) : SLR_OK;
            break;
        }
        ssize_t put = pwrite(home->spans_fd, buffer, (size_t)n, (off_t)from);
        err = put == n ? SLR_OK : (put < 0 ? slr_err_from_errno(errno) : SLR_IO);
        from += (uint64_t)n;
    }
    close(away);
    if (err == SLR_OK && fdatasync(home->spans_fd) != 0) {
        err = slr_err_from_errno(errno);
    }
    return err;
}

/* All but the last one may be gone already. */
static enum slr_err remove_away(int spill_fd, const char *id)
{
    char name[3][SLR_REC_NAME_SIZE];
    slr_recfile_name_open(id, name[0]);
    slr_recfile_name_spans(id, name[1]);
    name_from(id, name[2]);
    for (size_t i = 0; i < 3; i++) {
        if (unlinkat(spill_fd, name[i], 0) != 0 && errno != ENOENT) {
            return slr_err_from_errno(errno);
        }
    }
    return SLR_OK;
}

enum slr_err slr_spill_bring_home(int rec_fd, int spill_fd, struct slr_session *s)
{
    static const struct slr_recfile empty;
    struct slr_recfile home = empty;
    struct slr_sink_posix away;
    struct from from;
    char name[SLR_REC_NAME_SIZE];
    enum slr_err err = read_from(spill_fd, s->id, &from);
    if (err != SLR_OK) {
        return err == SLR_NOTFOUND ? SLR_OK : err;
    }
    slr_recfile_name_open(s->id, name);
    err = slr_sink_posix_open(&away, spill_fd, name);
    if (err == SLR_NOTFOUND) { /* it was removed because it is at home */
        return remove_away(spill_fd, s->id);
    }
    if (err != SLR_OK) {
        return err;
    }
    err = slr_recfile_open_at(&home, rec_fd, s, from.frames);
    if (err == SLR_OK) {
        err = copy_media(&home, &away.base, s, from.frames);
    }
    if (err == SLR_OK) {
        err = copy_spans(&home, rec_fd, spill_fd, s, from.spans_bytes);
    }
    slr_recfile_close(&home);
    away.base.ops->close(&away.base);
    if (err == SLR_OK) {
        SLR_INFO("recording_home", "session=%s from_frame=%llu frames=%llu", s->id,
                 (unsigned long long)from.frames,
                 (unsigned long long)slr_session_commit(s)->frames);
        err = remove_away(spill_fd, s->id);
    }
    return err;
}

enum slr_err slr_spill_probe(int rec_fd)
{
    static const uint8_t zeros[PROBE_BYTES];
    int fd = openat(rec_fd, PROBE_NAME, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return slr_err_from_errno(errno);
    }
    ssize_t n = write(fd, zeros, sizeof zeros);
    enum slr_err err =
        n == (ssize_t)sizeof zeros ? SLR_OK : (n < 0 ? slr_err_from_errno(errno) : SLR_NOSPACE);
    if (err == SLR_OK && fdatasync(fd) != 0) {
        err = slr_err_from_errno(errno);
    }
    close(fd);
    if (unlinkat(rec_fd, PROBE_NAME, 0) != 0 && err == SLR_OK) {
        err = slr_err_from_errno(errno);
    }
    return err;
}

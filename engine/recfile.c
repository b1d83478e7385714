/*
 * recfile: see the header. Blocks on the disk: writer and sealer threads only.
 */
#include "engine/recfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"

#define CHECKPOINT_BLOCKS 4u

void slr_recfile_name_open(const char *id, char out[static SLR_REC_NAME_SIZE])
{
    snprintf(out, SLR_REC_NAME_SIZE, "open/%s.wav", id);
}

void slr_recfile_name_spans(const char *id, char out[static SLR_REC_NAME_SIZE])
{
    snprintf(out, SLR_REC_NAME_SIZE, "open/%s.spans", id);
}

void slr_recfile_name_encode(const char *id, char out[static SLR_REC_NAME_SIZE])
{
    snprintf(out, SLR_REC_NAME_SIZE, "encode/%.32s.wav", id);
}

void slr_recfile_name_day(const char *id, char out[static SLR_REC_NAME_SIZE])
{
    char hex[13];
    struct tm tm;
    memcpy(hex, id, 12);
    hex[12] = '\0';
    time_t seconds = (time_t)(strtoull(hex, NULL, 16) / 1000u);
    if (!gmtime_r(&seconds, &tm) || tm.tm_year < 70 || tm.tm_year > 8099) {
        memset(&tm, 0, sizeof tm);
        tm.tm_year = 70;
        tm.tm_mday = 1;
    }
    strftime(out, SLR_REC_NAME_SIZE, "%Y%m%d", &tm);
}

void slr_recfile_name_final(const char *id, const char *extension,
                            char out[static SLR_REC_NAME_SIZE])
{
    char day[SLR_REC_NAME_SIZE];
    slr_recfile_name_day(id, day);
    snprintf(out, SLR_REC_NAME_SIZE, "%.8s/%.32s%.16s", day, id, extension);
}

static enum slr_err open_media(struct slr_recfile *f, int rec_fd, const char *name)
{
    enum slr_err err = slr_sink_posix_open(&f->media, rec_fd, name);
    return err == SLR_NOTFOUND ? slr_sink_posix_create(&f->media, rec_fd, name) : err;
}

/* Begins with what the file still has of its frames; *have: how many. */
static enum slr_err begin_with_rest(struct slr_recfile *f, const struct slr_session *s,
                                    uint64_t most, uint64_t *have)
{
    const struct slr_container *wav = slr_container_by_name("wav");
    struct slr_sink *media = &f->media.base;
    uint64_t frame_bytes = s->shape.channels * slr_sample_bytes(s->shape.format);
    uint64_t offset_bytes = 0, len_bytes = 0, size_bytes = 0;
    /* of an even number of bytes, or a pad byte would come to lie on the next frame */
    enum slr_err err = wav->begin(f->state, &s->shape, NULL, media, 2);
    if (err == SLR_OK) {
        wav->media_range(f->state, &offset_bytes, &len_bytes);
        err = media->ops->size(media, &size_bytes);
    }
    if (err == SLR_OK) {
        *have = (size_bytes - offset_bytes) / frame_bytes;
        *have = *have < most ? *have : most;
        return wav->begin(f->state, &s->shape, NULL, media, *have);
    }
    if (err != SLR_TRUNCATED && err != SLR_FORMAT) {
        return err;
    }
    *have = 0;
    err = media->ops->truncate(media, 0);
    return err == SLR_OK ? wav->begin(f->state, &s->shape, NULL, media, 0) : err;
}

/* What was there is gone, but the call goes on: its place is kept by silence. */
static enum slr_err refill(struct slr_recfile *f, struct slr_session *s, uint64_t left)
{
    const struct slr_container *wav = slr_container_by_name("wav");
    uint8_t silence[4096];
    uint64_t frame_bytes = s->shape.channels * slr_sample_bytes(s->shape.format);
    struct slr_block block = {silence, s->shape, 0, (uint32_t)(sizeof silence / frame_bytes)};
    uint64_t have = 0;
    enum slr_err err = begin_with_rest(f, s, left, &have);
    SLR_ERROR("media_file_damaged", "session=%s frames=%llu have=%llu", s->id,
              (unsigned long long)left, (unsigned long long)have);
    s->damaged = true;
    left -= have;
    slr_render_silence(&block);
    while (err == SLR_OK && left > 0) {
        uint64_t n = left < block.frames ? left : block.frames;
        err = wav->append(f->state, silence, n);
        left -= n;
    }
    return err;
}

enum slr_err slr_recfile_open(struct slr_recfile *f, int rec_fd, struct slr_session *s)
{
    if (f->is_open && strcmp(f->id, s->id) == 0) {
        return SLR_OK;
    }
    slr_recfile_close(f); /* of a session that had the slot before and ended elsewhere */
    return slr_recfile_open_at(f, rec_fd, s, slr_session_commit(s)->frames);
}

enum slr_err slr_recfile_open_at(struct slr_recfile *f, int rec_fd, struct slr_session *s,
                                 uint64_t frames)
{
    char name[SLR_REC_NAME_SIZE];
    const struct slr_container *wav = slr_container_by_name("wav");
    slr_recfile_name_open(s->id, name);
    enum slr_err err = open_media(f, rec_fd, name);
    if (err != SLR_OK) {
        return err;
    }
    f->spans_fd = -1;
    f->is_open = true;
    memcpy(f->id, s->id, sizeof f->id);
    f->since_checkpoint = 0;
    err = wav->begin(f->state, &s->shape, NULL, &f->media.base, frames);
    if (err == SLR_TRUNCATED || err == SLR_FORMAT) {
        err = refill(f, s, frames);
    }
    if (err != SLR_OK) {
        slr_recfile_close(f);
    }
    return err;
}

enum slr_err slr_recfile_open_spans(struct slr_recfile *f, int rec_fd, const char *id)
{
    char name[SLR_REC_NAME_SIZE];
    if (f->spans_fd >= 0) {
        return SLR_OK;
    }
    slr_recfile_name_spans(id, name);
    f->spans_fd = openat(rec_fd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return f->spans_fd >= 0 ? SLR_OK : slr_err_from_errno(errno);
}

static void close_spans(struct slr_recfile *f)
{
    if (f->spans_fd >= 0) {
        close(f->spans_fd);
        f->spans_fd = -1;
    }
}

static enum slr_err append_spans(int fd, uint64_t offset, const struct slr_span_buffer *spans)
{
    const uint8_t *at = (const uint8_t *)spans->at;
    size_t left = spans->count * sizeof spans->at[0];
    while (left > 0) {
        ssize_t n = pwrite(fd, at, left, (off_t)offset);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n == 0 ? SLR_IO : slr_err_from_errno(errno);
        }
        at += n;
        offset += (uint64_t)n;
        left -= (size_t)n;
    }
    return SLR_OK;
}

enum slr_err slr_recfile_append(struct slr_recfile *f, int rec_fd, const struct slr_session *s,
                                const struct slr_block *block, const struct slr_span_buffer *spans)
{
    const struct slr_container *wav = slr_container_by_name("wav");
    enum slr_err err = SLR_OK;
    if (block->frames > 0) {
        err = wav->append(f->state, block->at, block->frames);
    }
    if (spans->count == 0) {
        close_spans(f); /* most recordings need it for a few blocks only */
    } else if (err == SLR_OK) {
        err = slr_recfile_open_spans(f, rec_fd, s->id);
        if (err == SLR_OK) {
            err = append_spans(f->spans_fd, slr_session_commit(s)->spans_bytes, spans);
        }
    }
    if (err == SLR_OK && ++f->since_checkpoint >= CHECKPOINT_BLOCKS) {
        f->since_checkpoint = 0;
        err = wav->checkpoint(f->state);
    }
    return err;
}

uint32_t slr_recfile_fds(const struct slr_recfile *f)
{
    return f->is_open ? 1u + (f->spans_fd >= 0) : 0;
}

void slr_recfile_close(struct slr_recfile *f)
{
    if (!f->is_open) {
        return;
    }
    f->is_open = false;
    f->media.base.ops->close(&f->media.base);
    close_spans(f);
}

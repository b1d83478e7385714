/*
 * engine_rescue: recordings whose session is nowhere any more: the host lost power, or the state
 * folder was removed. Their working files are sealed with what is in them. Control thread at start,
 * after the sessions that are known were restored and before any other thread runs.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "engine/engine_priv.h"
#include "engine/render.h"
#include "storage/seal.h"
#include "storage/wav_read.h"

#define HEADER_BYTES 4096

/* What the file itself says. *frames: whole ones that are there, whatever the header says. */
static enum slr_err read_shape(int rec_fd, const char *name, struct slr_audio_shape *shape,
                               uint64_t *frames)
{
    uint8_t header[HEADER_BYTES];
    struct slr_wav_info info;
    struct stat st;
    int fd = openat(rec_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return slr_err_from_errno(errno);
    }
    ssize_t n = pread(fd, header, sizeof header, 0);
    enum slr_err err = n < 0 || fstat(fd, &st) != 0 ? slr_err_from_errno(errno) : SLR_OK;
    close(fd);
    if (err == SLR_OK) {
        err = slr_wav_parse(slr_slice_of(header, (size_t)n), &info);
    }
    if (err == SLR_OK) {
        uint64_t frame_bytes = info.shape.channels * slr_sample_bytes(info.shape.format);
        *shape = info.shape;
        *frames = ((uint64_t)st.st_size - info.data_offset_bytes) / frame_bytes;
    }
    return err;
}

/* Sealing had come as far as the ledger, which knows more than we do: only the file's name is
 * missing. False: it had not. */
static bool finish_sealing(struct slr_engine *e, const char *id, const char *open_name)
{
    char final[SLR_REC_NAME_SIZE];
    struct stat st;
    slr_recfile_name_final(id, ".json", final);
    if (fstatat(e->rec_fd, final, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return false;
    }
    slr_recfile_name_final(id, ".wav", final);
    enum slr_err err = slr_seal_publish(e->rec_fd, open_name, final);
    if (err != SLR_OK) {
        SLR_ERROR("rescue_failed", "recording=%s err=%s", id, slr_err_name(err));
    }
    return err == SLR_OK;
}

static uint32_t free_slot(const struct slr_engine *e)
{
    for (uint32_t i = 0; i < e->state->session_max; i++) {
        if (atomic_load(&e->state->session[i].state) == SLR_SESSION_FREE) {
            return i;
        }
    }
    return SLR_NONE;
}

/* Makes a session of the file that has only to be sealed. Its legs are known to the core alone. */
static enum slr_err rescue(struct slr_engine *e, const char *id)
{
    char name[SLR_REC_NAME_SIZE];
    char ms_hex[13];
    struct slr_audio_shape shape;
    uint64_t frames = 0;
    uint32_t slot = free_slot(e);
    slr_recfile_name_open(id, name);
    enum slr_err err = read_shape(e->rec_fd, name, &shape, &frames);
    if (err != SLR_OK || slot == SLR_NONE) {
        return err != SLR_OK ? err : SLR_FULL;
    }
    struct slr_session *s = &e->state->session[slot];
    memset((char *)s + sizeof s->state, 0, sizeof *s - sizeof s->state);
    snprintf(s->id, sizeof s->id, "%s", id);
    snprintf(ms_hex, sizeof ms_hex, "%.12s", id);
    s->start_wall.ns = (int64_t)strtoull(ms_hex, NULL, 16) * SLR_NS_PER_MS;
    snprintf(s->end_reason, sizeof s->end_reason, "state-lost");
    s->channels = shape.channels;
    s->digit_policy = (uint8_t)e->digits;
    s->shape = shape;
    s->damaged = !finish_sealing(e, id, name);
    atomic_store(&s->commit[0].frames, frames);
    atomic_store(&s->end_ticks, (int64_t)frames * slr_ticks_per_frame(&shape));
    atomic_store(&s->state, SLR_SESSION_SEALING);
    atomic_store(&e->active[slot], 1);
    return SLR_OK;
}

static bool is_known(const struct slr_engine *e, const char *id)
{
    for (uint32_t i = 0; i < e->state->session_max; i++) {
        const struct slr_session *s = &e->state->session[i];
        if (atomic_load(&s->state) != SLR_SESSION_FREE && strcmp(s->id, id) == 0) {
            return true;
        }
    }
    return false;
}

void slr_engine_rescue(struct slr_engine *e)
{
    int fd = openat(e->rec_fd, "open", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        SLR_ERROR("rescue_failed", "errno=%d", errno);
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    for (const struct dirent *d = readdir(dir); d; d = readdir(dir)) {
        char id[SLR_ID_SIZE];
        snprintf(id, sizeof id, "%.32s", d->d_name);
        if (!slr_id_valid(id) || strcmp(d->d_name + SLR_ID_SIZE - 1, ".wav") != 0 ||
            is_known(e, id)) {
            continue;
        }
        enum slr_err err = rescue(e, id);
        if (err == SLR_OK) {
            SLR_WARN("recording_rescued", "recording=%s", id);
        } else {
            SLR_ERROR("rescue_failed", "recording=%s err=%s", id, slr_err_name(err));
        }
    }
    closedir(dir);
}

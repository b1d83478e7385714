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
#include "engine/encode_task.h"
#include "engine/engine_priv.h"
#include "engine/finish.h"
#include "engine/render.h"
#include "storage/seal.h"
#include "storage/wav_file.h"

static bool is_there(const struct slr_engine *e, const char *name)
{
    struct stat st;
    return name && fstatat(e->rec_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static json_t *read_ledger(const struct slr_engine *e, const char *id)
{
    char name[SLR_REC_NAME_SIZE];
    slr_recfile_name_final(id, ".json", name);
    int fd = openat(e->rec_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    json_t *ledger = fd >= 0 ? json_loadfd(fd, 0, NULL) : NULL;
    if (fd >= 0) {
        close(fd);
    }
    return ledger;
}

static const char *text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text ? text : "";
}

static bool all_published(const struct slr_engine *e, const json_t *ledger)
{
    size_t i = 0;
    json_t *f = NULL;
    bool all = is_there(e, text_of(ledger, "file"));
    json_array_foreach(json_object_get(ledger, "files"), i, f)
    {
        all = all && is_there(e, text_of(f, "file"));
    }
    return all;
}

/* Which files the ledger speaks of were never made whole: the recording is the working file, and
 * the ledger says so from now on; all else that it knows stays. */
static enum slr_err fall_back(struct slr_engine *e, const struct slr_session *s, json_t *ledger)
{
    char name[SLR_REC_NAME_SIZE], hash[SLR_HASH_TEXT_SIZE];
    struct slr_sink_posix sink;
    uint64_t frame_bytes = s->shape.channels * slr_sample_bytes(s->shape.format);
    uint64_t frames = slr_session_commit(s)->frames, size = 0;
    slr_recfile_name_open(s->id, name);
    enum slr_err err = slr_sink_posix_open(&sink, e->rec_fd, name);
    if (err != SLR_OK) {
        return err;
    }
    err = sink.base.ops->size(&sink.base, &size);
    uint64_t len = frames * frame_bytes;
    uint64_t offset = size > len + (len & 1) ? size - len - (len & 1) : 0;
    if (err == SLR_OK) {
        err = slr_hash_media(&sink.base, offset, len, hash);
    }
    sink.base.ops->close(&sink.base);
    slr_recfile_name_final(s->id, ".wav", name);
    json_t *now =
        json_pack("{s:s,s:s,s:s,s:O,s:s,s:I,s:{s:I,s:I,s:s,s:s}}", "file", name, "container", "wav",
                  "mime", "audio/wav", "shape", json_object_get(ledger, "recorded"), "layout",
                  "channels", "frames", (json_int_t)frames, "media", "offset", (json_int_t)offset,
                  "len", (json_int_t)len, "hash", hash, "hash_method", "sha256-of-sha256-1MiB");
    (void)json_object_del(ledger, "files");
    (void)json_object_del(ledger, "cuts");
    bool changed = err == SLR_OK && now && json_object_update(ledger, now) == 0;
    json_decref(now);
    char *text =
        changed ? json_dumps(ledger, JSON_INDENT(1) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(15))
                : NULL;
    slr_recfile_name_final(s->id, ".json", name);
    if (err == SLR_OK) {
        err = text ? slr_seal_write_file(e->rec_fd, name, text, strlen(text)) : SLR_NOMEM;
    }
    free(text);
    return err;
}

/* Some of several files had their names already; without the others they are no recording. */
static void remove_published(const struct slr_engine *e, const struct slr_session *s,
                             const struct slr_output_plan *plan)
{
    struct slr_final_file f;
    for (uint32_t i = 0; i < plan->files; i++) {
        slr_finish_names(s->id, plan, i, &f);
        if (unlinkat(e->rec_fd, f.file, 0) != 0 && errno != ENOENT) {
            SLR_ERROR("rescue_failed", "recording=%s file=%s errno=%d", s->id, f.file, errno);
        }
    }
}

/* Sealing had come as far as the ledger, which knows more than we do: only the files' names are
 * missing. False: it had not. */
static bool finish_sealing(struct slr_engine *e, struct slr_session *s)
{
    char open_name[SLR_REC_NAME_SIZE], final[SLR_REC_NAME_SIZE];
    struct slr_output_plan plan;
    json_t *ledger = read_ledger(e, s->id);
    enum slr_err err = SLR_OK;
    if (!ledger) {
        return false;
    }
    bool known = slr_encode_task_output(ledger, &s->output);
    bool cuts = json_array_size(json_object_get(ledger, "cuts")) > 0;
    slr_output_apply(&s->output, &s->shape, cuts, &plan);
    slr_recfile_name_open(s->id, open_name);
    slr_recfile_name_final(s->id, ".wav", final);
    if (json_object_get(ledger, "encoding")) { /* put off: it goes on as that */
        slr_recfile_name_encode(s->id, final);
        err = slr_seal_publish(e->rec_fd, open_name, final);
    } else if (!plan.is_plain && known && all_published(e, ledger)) {
        err = unlinkat(e->rec_fd, open_name, 0) == 0 ? SLR_OK : slr_err_from_errno(errno);
    } else {
        if (!plan.is_plain) {
            SLR_WARN("rescued_unconverted", "recording=%s", s->id);
            remove_published(e, s, &plan);
            err = fall_back(e, s, ledger);
            s->output = (struct slr_output){.format = SLR_FORMAT_WAV};
        }
        if (err == SLR_OK) {
            err = slr_seal_publish(e->rec_fd, open_name, final);
        }
    }
    json_decref(ledger);
    if (err != SLR_OK) {
        SLR_ERROR("rescue_failed", "recording=%s err=%s", s->id, slr_err_name(err));
    }
    return err == SLR_OK;
}

static uint32_t free_slot(struct slr_engine *e)
{
    for (uint32_t i = 0; i < slr_state_sessions(e->state); i++) {
        if (atomic_load(&e->state->session[i].state) == SLR_SESSION_FREE) {
            return i;
        }
    }
    return slr_state_more_sessions(e->state);
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
    enum slr_err err = slr_wav_file_shape(e->rec_fd, name, &shape, &frames, NULL);
    if (err != SLR_OK || slot == SLR_NONE) {
        return err != SLR_OK ? err : SLR_FULL;
    }
    struct slr_session *s = &e->state->session[slot];
    slr_engine_session_reset(e, s);
    snprintf(s->id, sizeof s->id, "%s", id);
    snprintf(ms_hex, sizeof ms_hex, "%.12s", id);
    s->start_wall.ns = (int64_t)strtoull(ms_hex, NULL, 16) * SLR_NS_PER_MS;
    snprintf(s->end_reason, sizeof s->end_reason, "state-lost");
    s->channels = shape.channels;
    s->digit_policy = (uint8_t)e->digits;
    s->output = e->output;
    s->shape = shape;
    atomic_store(&s->commit[0].frames, frames);
    slr_finish_clean(e->rec_fd, id);
    s->damaged = !finish_sealing(e, s);
    atomic_store(&s->end_ticks, (int64_t)frames * slr_ticks_per_frame(&shape));
    atomic_store(&s->state, SLR_SESSION_SEALING);
    atomic_store(&e->active[slot], 1);
    return SLR_OK;
}

static bool is_known(const struct slr_engine *e, const char *id)
{
    for (uint32_t i = 0; i < slr_state_sessions(e->state); i++) {
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

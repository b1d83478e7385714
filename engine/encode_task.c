/*
 * encode_task: see the header.
 */
#include "engine/encode_task.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "storage/seal.h"

static const char *text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text ? text : "";
}

static int64_t number_of(const json_t *o, const char *key)
{
    return (int64_t)json_integer_value(json_object_get(o, key));
}

bool slr_encode_task_output(const json_t *ledger, struct slr_output *output)
{
    const json_t *o = json_object_get(ledger, "output");
    const char *why = "";
    return slr_output_of_words(
               text_of(o, "format"), text_of(o, "layout"), (uint32_t)number_of(o, "sample_hz"),
               json_is_true(json_object_get(o, "cut_pauses")), output, &why) == SLR_OK;
}

static enum slr_err read_ledger(struct slr_encode_task *t, int rec_fd)
{
    char name[SLR_REC_NAME_SIZE];
    slr_recfile_name_final(t->id, ".json", name);
    int fd = openat(rec_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return slr_err_from_errno(errno);
    }
    t->ledger = json_loadfd(fd, 0, NULL);
    close(fd);
    return t->ledger && strcmp(text_of(t->ledger, "recording"), t->id) == 0 ? SLR_OK : SLR_FORMAT;
}

static enum slr_err read_shape(struct slr_encode_task *t)
{
    const json_t *o = json_object_get(t->ledger, "recorded");
    struct slr_audio_shape *shape = &t->job.recorded;
    int64_t channels = number_of(o, "channels"), hz = number_of(o, "sample_hz");
    for (int i = SLR_SAMPLE_S16; i <= SLR_SAMPLE_ULAW; i++) {
        shape->format = (enum slr_sample_format)i;
        if (strcmp(text_of(o, "format"), slr_sample_name(shape->format)) == 0) {
            shape->channels = (uint32_t)channels;
            shape->sample_hz = (uint32_t)hz;
            return channels >= 1 && channels <= SLR_MAX_CHANNELS && hz >= 8000 && hz <= 48000
                       ? SLR_OK
                       : SLR_FORMAT;
        }
    }
    return SLR_FORMAT;
}

static enum slr_err read_cuts(struct slr_encode_task *t, const json_t *encoding)
{
    const json_t *cuts = json_object_get(encoding, "cuts");
    size_t n = json_array_size(cuts);
    if (n == 0) {
        return SLR_OK;
    }
    t->cut = calloc(n, sizeof *t->cut);
    for (size_t i = 0; t->cut && i < n; i++) {
        const json_t *one = json_array_get(cuts, i);
        t->cut[i].start_ticks = number_of(one, "start_ticks");
        t->cut[i].len_ticks = number_of(one, "len_ticks");
        if (t->cut[i].start_ticks < 0 || t->cut[i].len_ticks <= 0) {
            return SLR_FORMAT;
        }
    }
    t->job.cut = t->cut;
    t->job.cut_count = (uint32_t)n;
    return t->cut ? SLR_OK : SLR_NOMEM;
}

static bool is_file(int rec_fd, const char *name)
{
    struct stat st;
    return fstatat(rec_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

/* The WAV, and where its samples are. */
static enum slr_err open_media(struct slr_encode_task *t, int rec_fd)
{
    char name[SLR_REC_NAME_SIZE];
    const json_t *media = json_object_get(t->ledger, "media");
    const struct slr_audio_shape *shape = &t->job.recorded;
    uint64_t size_bytes = 0;
    uint64_t frame_bytes = (uint64_t)shape->channels * slr_sample_bytes(shape->format);
    slr_recfile_name_encode(t->id, name);
    enum slr_err err = slr_sink_posix_open(&t->media, rec_fd, name);
    if (err != SLR_OK) {
        return err;
    }
    t->media_open = true;
    t->job.media = &t->media.base;
    t->job.offset_bytes = (uint64_t)number_of(media, "offset");
    t->job.frames = (uint64_t)number_of(t->ledger, "frames");
    err = t->media.base.ops->size(&t->media.base, &size_bytes);
    if (err == SLR_OK && (t->job.frames > size_bytes / frame_bytes ||
                          t->job.offset_bytes > size_bytes - t->job.frames * frame_bytes)) {
        err = SLR_TRUNCATED;
    }
    return err;
}

/* Nothing is removed for the sake of files that are not there. */
static bool all_there(const struct slr_encode_task *t, int rec_fd)
{
    const json_t *files = json_object_get(t->ledger, "files");
    bool all = is_file(rec_fd, text_of(t->ledger, "file"));
    for (size_t i = 0; i < json_array_size(files); i++) {
        all = all && is_file(rec_fd, text_of(json_array_get(files, i), "file"));
    }
    return all;
}

enum slr_err slr_encode_task_open(struct slr_encode_task *t, int rec_fd, const char *id)
{
    struct slr_output output;
    memset(t, 0, sizeof *t);
    snprintf(t->id, sizeof t->id, "%s", id);
    enum slr_err err = read_ledger(t, rec_fd);
    if (err != SLR_OK) {
        return err;
    }
    const json_t *encoding = json_object_get(t->ledger, "encoding");
    if (!encoding) {
        return all_there(t, rec_fd) ? SLR_EXISTS : SLR_FORMAT;
    }
    t->job.rec_fd = rec_fd;
    t->job.id = t->id;
    t->job.plan = &t->plan;
    t->job.opus_bps = (uint32_t)number_of(encoding, "opus_bitrate");
    t->job.opus_complexity = (uint32_t)number_of(encoding, "opus_complexity");
    err = slr_encode_task_output(t->ledger, &output) ? read_shape(t) : SLR_FORMAT;
    if (err == SLR_OK) {
        err = read_cuts(t, encoding);
    }
    if (err == SLR_OK) {
        err = open_media(t, rec_fd);
    }
    if (err == SLR_OK) {
        slr_output_apply(&output, &t->job.recorded, t->job.cut_count > 0, &t->plan);
        err = t->plan.is_plain ? SLR_FORMAT : SLR_OK;
    }
    return err;
}

static enum slr_err write_ledger(struct slr_encode_task *t, int rec_fd, uint64_t frames)
{
    struct slr_ledger_file files[SLR_MAX_CHANNELS];
    char name[SLR_REC_NAME_SIZE];
    char *text = NULL;
    size_t len_bytes = 0;
    for (uint32_t i = 0; i < t->plan.files; i++) {
        const struct slr_final_file *f = &t->file[i];
        files[i] = (struct slr_ledger_file){f->file, i, f->media_offset_bytes, f->media_len_bytes,
                                            f->hash};
    }
    struct slr_ledger now = {.file = t->file[0].file,
                             .container = t->plan.container->name,
                             .mime_type = t->plan.container->mime_type,
                             .coding = t->plan.container->coding,
                             .shape = t->plan.shape,
                             .layout = t->plan.layout,
                             .frames = frames,
                             .media_offset_bytes = t->file[0].media_offset_bytes,
                             .media_len_bytes = t->file[0].media_len_bytes,
                             .media_hash = t->file[0].hash,
                             .files = files,
                             .file_count = t->plan.files,
                             .cut = t->cut,
                             .cut_count = t->job.cut_count};
    enum slr_err err = slr_ledger_reform(t->ledger, &now, &text, &len_bytes);
    if (err == SLR_OK) {
        slr_recfile_name_final(t->id, ".json", name);
        err = slr_seal_write_file(rec_fd, name, text, len_bytes);
    }
    json_t *ledger = err == SLR_OK ? json_loadb(text, len_bytes, 0, NULL) : NULL;
    if (ledger) {
        json_decref(t->ledger);
        t->ledger = ledger;
    }
    free(text);
    return err == SLR_OK && !ledger ? SLR_NOMEM : err;
}

enum slr_err slr_encode_task_publish(struct slr_encode_task *t, int rec_fd, uint64_t frames)
{
    enum slr_err err = SLR_OK;
    for (uint32_t i = 0; i < t->plan.files && err == SLR_OK; i++) {
        err = slr_finish_publish(rec_fd, &t->file[i]);
    }
    return err == SLR_OK ? write_ledger(t, rec_fd, frames) : err;
}

static int64_t file_bytes(const json_t *media)
{
    return number_of(media, "offset") + number_of(media, "len");
}

/* As in the event `sealed`. */
static json_t *files_event(const json_t *ledger, int64_t *bytes)
{
    const json_t *from = json_object_get(ledger, "files");
    size_t n = json_array_size(from);
    json_t *files = n > 0 ? json_array() : NULL;
    *bytes = file_bytes(json_object_get(ledger, "media"));
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_array_get(from, i);
        const json_t *media = json_object_get(one, "media");
        int64_t len = file_bytes(media);
        *bytes = i == 0 ? len : *bytes + len;
        json_array_append_new(files,
                              json_pack("{s:s,s:I,s:I,s:s}", "file", text_of(one, "file"),
                                        "channel", (json_int_t)number_of(one, "channel"), "bytes",
                                        (json_int_t)len, "media_hash", text_of(media, "hash")));
    }
    return files;
}

json_t *slr_encode_task_event(const struct slr_encode_task *t)
{
    const json_t *l = t->ledger, *shape = json_object_get(l, "shape");
    char name[SLR_REC_NAME_SIZE];
    int64_t bytes = 0;
    json_t *files = files_event(l, &bytes);
    slr_recfile_name_final(t->id, ".json", name);
    json_t *ev = json_pack(
        "{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:s}", "ev", "encoded", "session", t->id,
        "call", text_of(l, "call"), "file", text_of(l, "file"), "ledger", name, "container",
        text_of(l, "container"), "mime", text_of(l, "mime"), "format", text_of(shape, "format"),
        "channels", (json_int_t)number_of(shape, "channels"), "sample_hz",
        (json_int_t)number_of(shape, "sample_hz"), "frames", (json_int_t)number_of(l, "frames"),
        "bytes", (json_int_t)bytes, "media_hash", text_of(json_object_get(l, "media"), "hash"));
    if (ev && files) {
        json_object_set(ev, "files", files);
    }
    json_decref(files);
    return ev;
}

void slr_encode_task_remove_source(const struct slr_encode_task *t, int rec_fd)
{
    char name[SLR_REC_NAME_SIZE];
    slr_recfile_name_encode(t->id, name);
    if (unlinkat(rec_fd, name, 0) != 0 && errno != ENOENT) {
        SLR_ERROR("encode_unlink_failed", "recording=%s errno=%d", t->id, errno);
    }
}

void slr_encode_task_close(struct slr_encode_task *t)
{
    if (t->media_open) {
        t->media.base.ops->close(&t->media.base);
        t->media_open = false;
    }
    json_decref(t->ledger);
    t->ledger = NULL;
    free(t->cut);
    t->cut = NULL;
}

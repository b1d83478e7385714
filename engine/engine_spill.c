/*
 * engine_spill: the second volume at start: its folder, which recordings of an earlier process grow
 * there, and those whose session is nowhere any more. Control thread, before other threads run.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "engine/engine_priv.h"
#include "engine/spill.h"
#include "storage/wav_file.h"

#define FROM_SUFFIX ".from"

static enum slr_err make_folders(const char *dir)
{
    static const char *const sub[] = {"", "/rec", "/rec/open"};
    char path[4096];
    for (size_t i = 0; i < sizeof sub / sizeof sub[0]; i++) {
        if ((size_t)snprintf(path, sizeof path, "%s%s", dir, sub[i]) >= sizeof path) {
            return SLR_TOOLONG;
        }
        if (mkdir(path, 0700) != 0 && errno != EEXIST) {
            return slr_err_from_errno(errno);
        }
    }
    return SLR_OK;
}

static enum slr_err open_folder(struct slr_engine *e)
{
    char path[4096];
    enum slr_err err = make_folders(e->cfg->spill_dir);
    if (err != SLR_OK) {
        return err;
    }
    (void)snprintf(path, sizeof path, "%s/rec", e->cfg->spill_dir);
    e->spill_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (e->spill_fd < 0) {
        return slr_err_from_errno(errno);
    }
    return flock(e->spill_fd, LOCK_EX | LOCK_NB) == 0 ? SLR_OK : SLR_BUSY;
}

/* A recorder without its second volume is better than none. */
enum slr_err slr_engine_spill_open(struct slr_engine *e)
{
    struct stat first, second;
    e->spill_fd = -1;
    if (!e->cfg->spill_dir || e->passive) {
        return SLR_OK;
    }
    enum slr_err err = open_folder(e);
    if (err != SLR_OK) {
        SLR_ERROR("spill_dir_failed", "path=%s err=%s effect=%s", SLR_Q(e->cfg->spill_dir),
                  slr_err_name(err), SLR_Q("no second volume"));
        if (e->spill_fd >= 0) {
            close(e->spill_fd);
            e->spill_fd = -1;
        }
        return SLR_OK;
    }
    if (fstat(e->rec_fd, &first) == 0 && fstat(e->spill_fd, &second) == 0 &&
        first.st_dev == second.st_dev) {
        SLR_WARN("spill_same_volume", "path=%s effect=%s", SLR_Q(e->cfg->spill_dir),
                 SLR_Q("it will stand still when the first one does"));
    }
    e->has_spill = true;
    e->home = calloc(e->state->session_max, sizeof *e->home);
    e->held = calloc(e->state->session_max, sizeof *e->held);
    e->spill_file = calloc(e->state->session_max, sizeof *e->spill_file);
    return e->home && e->held && e->spill_file ? SLR_OK : SLR_NOMEM;
}

void slr_engine_spill_close(struct slr_engine *e)
{
    for (uint32_t i = 0; e->spill_file && i < e->state->session_max; i++) {
        slr_recfile_close(&e->spill_file[i]);
    }
    free(e->home);
    free(e->held);
    free(e->spill_file);
    if (e->has_spill) {
        close(e->spill_fd);
    }
}

static bool find_session(struct slr_engine *e, const char *id)
{
    for (uint32_t i = 0; i < slr_state_sessions(e->state); i++) {
        if (atomic_load(&e->state->session[i].state) != SLR_SESSION_FREE &&
            strcmp(e->state->session[i].id, id) == 0) {
            atomic_store(&e->home[i], slr_spill_has(e->spill_fd, id) ? 1 : 0);
            return true;
        }
    }
    return false;
}

/* While this volume was away, at a start without it, what lay on the first one became a recording:
 * that stays as it is, and what lies here is for a person to look at. */
static bool is_sealed(const struct slr_engine *e, const char *id)
{
    char name[SLR_REC_NAME_SIZE];
    slr_recfile_name_final(id, ".json", name);
    if (faccessat(e->rec_fd, name, F_OK, 0) != 0) {
        return false;
    }
    SLR_ERROR("spill_left_over", "recording=%s", id);
    return true;
}

/* What the files say themselves stands for what the session knew. */
static enum slr_err bring_stray(struct slr_engine *e, const char *id)
{
    char name[SLR_REC_NAME_SIZE];
    struct stat st;
    struct slr_session *s = calloc(1, sizeof *s);
    if (!s) {
        return SLR_NOMEM;
    }
    uint64_t frames = 0;
    snprintf(s->id, sizeof s->id, "%s", id);
    slr_recfile_name_open(id, name);
    enum slr_err err = slr_wav_file_shape(e->spill_fd, name, &s->shape, &frames, NULL);
    atomic_store(&s->commit[0].frames, frames);
    slr_recfile_name_spans(id, name);
    if (fstatat(e->spill_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        s->commit[0].spans_bytes = (uint64_t)st.st_size;
    }
    if (err == SLR_OK || err == SLR_NOTFOUND) {
        err = slr_spill_bring_home(e->rec_fd, e->spill_fd, s);
    }
    free(s);
    return err;
}

void slr_engine_spill_restore(struct slr_engine *e)
{
    int fd = e->has_spill ? openat(e->spill_fd, "open", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    for (const struct dirent *d = readdir(dir); d; d = readdir(dir)) {
        char id[SLR_ID_SIZE];
        snprintf(id, sizeof id, "%.32s", d->d_name);
        if (!slr_id_valid(id) || strcmp(d->d_name + SLR_ID_SIZE - 1, FROM_SUFFIX) != 0 ||
            find_session(e, id)) {
            continue;
        }
        if (is_sealed(e, id)) {
            continue;
        }
        enum slr_err err = bring_stray(e, id);
        if (err != SLR_OK) {
            SLR_ERROR("spill_rescue_failed", "recording=%s err=%s", id, slr_err_name(err));
        }
    }
    closedir(dir);
}

/*
 * evid: reads and replaces DIR/engine.id (two lines, `id=` and `epoch=`) and holds DIR's lock.
 * Control thread at start; allocates nothing. A replacement is written beside it, synced, renamed.
 */
#include "engine/evid.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "common/slice.h"

#define ID_FILE "engine.id"
#define ID_FILE_NEW "engine.id.new"
#define LOCK_FILE "engine.lock"

static enum slr_err parse(struct slr_slice text, struct slr_evid *id)
{
    struct slr_slice line, key;
    bool has_id = false, has_epoch = false;

    while (slr_slice_take_line(&text, &line)) {
        if (line.len_bytes == 0 || !slr_slice_take_token(&line, '=', &key)) {
            continue;
        }
        if (slr_slice_eq(key, "id")) {
            has_id =
                slr_slice_to_str(line, id->engine, sizeof id->engine) && slr_id_valid(id->engine);
        } else if (slr_slice_eq(key, "epoch")) {
            has_epoch = slr_slice_to_u64(line, INT64_MAX - 1, &id->epoch);
        }
    }
    return has_id && has_epoch ? SLR_OK : SLR_FORMAT;
}

static enum slr_err read_file(struct slr_evid *id)
{
    char text[256];
    int fd = openat(id->dir_fd, ID_FILE, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? SLR_NOTFOUND : slr_err_from_errno(errno);
    }
    ssize_t n = read(fd, text, sizeof text);
    enum slr_err err = n < 0 ? slr_err_from_errno(errno) : SLR_OK;
    close(fd);
    return err == SLR_OK ? parse(slr_slice_of(text, (size_t)n), id) : err;
}

static enum slr_err take_lock(const char *data_dir, struct slr_evid *id)
{
    if (mkdir(data_dir, 0750) != 0 && errno != EEXIST) {
        return slr_err_from_errno(errno);
    }
    id->dir_fd = open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (id->dir_fd < 0) {
        return slr_err_from_errno(errno);
    }
    id->lock_fd = openat(id->dir_fd, LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (id->lock_fd < 0) {
        return slr_err_from_errno(errno);
    }
    if (flock(id->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        return errno == EWOULDBLOCK ? SLR_BUSY : slr_err_from_errno(errno);
    }
    return SLR_OK;
}

static void make_id(struct slr_evid *id, const struct slr_clock *clock, bool seeded)
{
    struct slr_idgen gen;
    if (seeded) {
        slr_idgen_init_seeded(&gen, 1);
    } else {
        slr_idgen_init(&gen);
    }
    slr_idgen_next(&gen, seeded ? (slr_wall){0} : slr_clock_wall(clock), id->engine);
    id->epoch = 0;
}

enum slr_err slr_evid_open(const char *data_dir, const struct slr_clock *clock, bool seeded,
                           struct slr_evid *id)
{
    id->dir_fd = id->lock_fd = -1;
    enum slr_err err = take_lock(data_dir, id);
    if (err == SLR_OK) {
        err = read_file(id);
        if (err == SLR_NOTFOUND) {
            make_id(id, clock, seeded);
            err = SLR_OK;
        }
    }
    if (err != SLR_OK) {
        SLR_ERROR(err == SLR_BUSY ? "data_dir_in_use" : "engine_id_failed", "dir=%s err=%s",
                  SLR_Q(data_dir), slr_err_name(err));
        slr_evid_close(id);
    }
    return err;
}

/* Where there is no room for a second file the first one is written over: it needs no new block.
 * A death in between could tear it, which is refused clearly at the next start. */
static enum slr_err write_over(const struct slr_evid *id, const char *text, size_t len)
{
    int fd = openat(id->dir_fd, ID_FILE, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return slr_err_from_errno(errno);
    }
    bool done = pwrite(fd, text, len, 0) == (ssize_t)len && fsync(fd) == 0;
    close(fd);
    return done ? SLR_OK : SLR_NOSPACE;
}

enum slr_err slr_evid_next_epoch(struct slr_evid *id)
{
    char text[128];
    int len = snprintf(text, sizeof text, "id=%s\nepoch=%" PRIu64 "\n", id->engine, id->epoch + 1);
    int fd = openat(id->dir_fd, ID_FILE_NEW, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    enum slr_err err = SLR_OK;

    if (fd < 0) {
        err = slr_err_from_errno(errno);
    } else {
        if (write(fd, text, (size_t)len) != len || fsync(fd) != 0) {
            err = errno ? slr_err_from_errno(errno) : SLR_IO;
        }
        close(fd);
    }
    if (err == SLR_OK &&
        (renameat(id->dir_fd, ID_FILE_NEW, id->dir_fd, ID_FILE) != 0 || fsync(id->dir_fd) != 0)) {
        err = slr_err_from_errno(errno);
    }
    if (err == SLR_NOSPACE && id->epoch > 0) {
        (void)unlinkat(id->dir_fd, ID_FILE_NEW, 0);
        err = write_over(id, text, (size_t)len);
    }
    if (err != SLR_OK) {
        SLR_ERROR("engine_id_failed", "err=%s", slr_err_name(err));
        return err;
    }
    id->epoch++;
    return SLR_OK;
}

void slr_evid_close(struct slr_evid *id)
{
    if (id->lock_fd >= 0) {
        close(id->lock_fd);
    }
    if (id->dir_fd >= 0) {
        close(id->dir_fd);
    }
    id->lock_fd = id->dir_fd = -1;
}

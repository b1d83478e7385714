/*
 * seal: durable publishing of files. No state; writer or sealing thread, blocks on the disk,
 * allocates only to compare two files.
 *
 * Order of the steps is what makes a power cut harmless: content is on disk before the name is, and
 * the name before anybody is told.
 */
#include "storage/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COMPARE_BYTES (64u * 1024u)
#define TEMPORARY_SUFFIX ".tmp"

static enum slr_err open_at(int dir_fd, const char *path, int flags, int *fd)
{
    do {
        *fd = openat(dir_fd, path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
    } while (*fd < 0 && errno == EINTR);
    return *fd < 0 ? slr_err_from_errno(errno) : SLR_OK;
}

static enum slr_err sync_fd(int fd)
{
    while (fsync(fd) != 0) {
        if (errno != EINTR) {
            return slr_err_from_errno(errno);
        }
    }
    return SLR_OK;
}

/* Makes the names in the directory of `path` durable. */
static enum slr_err sync_parent(int dir_fd, const char *path)
{
    char parent[PATH_MAX] = ".";
    const char *slash = strrchr(path, '/');
    int fd;

    if (slash) {
        size_t n = slash == path ? 1 : (size_t)(slash - path);
        if (n >= sizeof parent) {
            return SLR_TOOLONG;
        }
        memcpy(parent, path, n);
        parent[n] = '\0';
    }
    enum slr_err err = open_at(dir_fd, parent, O_RDONLY | O_DIRECTORY, &fd);
    if (err != SLR_OK) {
        return err;
    }
    err = sync_fd(fd);
    close(fd);
    /* Some network file systems know no fsync of a directory; their names are as durable as can be.
     */
    return err == SLR_INVAL ? SLR_OK : err;
}

static bool same_parent(const char *a, const char *b)
{
    const char *end_a = strrchr(a, '/'), *end_b = strrchr(b, '/');
    size_t len_a = end_a ? (size_t)(end_a - a) : 0, len_b = end_b ? (size_t)(end_b - b) : 0;

    return len_a == len_b && strncmp(a, b, len_a) == 0;
}

/* Up to len_bytes, fewer only at the end of the file. */
static enum slr_err read_up_to(int fd, uint8_t *at, size_t len_bytes, size_t *got_bytes)
{
    *got_bytes = 0;
    while (*got_bytes < len_bytes) {
        ssize_t n = read(fd, at + *got_bytes, len_bytes - *got_bytes);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return slr_err_from_errno(errno);
        }
        if (n == 0) {
            break;
        }
        *got_bytes += (size_t)n;
    }
    return SLR_OK;
}

static enum slr_err compare_content(int a, int b, bool *same)
{
    uint8_t *block = malloc(2 * COMPARE_BYTES);
    enum slr_err err = block ? SLR_OK : SLR_NOMEM;
    size_t len_a = COMPARE_BYTES, len_b;

    *same = true;
    while (err == SLR_OK && *same && len_a == COMPARE_BYTES) {
        err = read_up_to(a, block, COMPARE_BYTES, &len_a);
        if (err == SLR_OK) {
            err = read_up_to(b, block + COMPARE_BYTES, COMPARE_BYTES, &len_b);
        }
        if (err == SLR_OK) {
            *same = len_a == len_b && memcmp(block, block + COMPARE_BYTES, len_a) == 0;
        }
    }
    free(block);
    return err;
}

/* Is `to` what `from` (open as from_fd) holds: the same file or the same bytes? */
static enum slr_err compare_files(int from_fd, int dir_fd, const char *to, bool *same)
{
    struct stat a, b;
    int to_fd;
    enum slr_err err;

    *same = false;
    if (fstat(from_fd, &a) != 0 || fstatat(dir_fd, to, &b, AT_SYMLINK_NOFOLLOW) != 0) {
        return slr_err_from_errno(errno);
    }
    if (a.st_dev == b.st_dev && a.st_ino == b.st_ino) {
        *same = true;
        return SLR_OK;
    }
    if (!S_ISREG(b.st_mode) || a.st_size != b.st_size) {
        return SLR_OK;
    }
    err = open_at(dir_fd, to, O_RDONLY, &to_fd);
    if (err != SLR_OK) {
        return err;
    }
    err = compare_content(from_fd, to_fd, same);
    close(to_fd);
    return err;
}

/* Renames without overwriting. File systems without RENAME_NOREPLACE get link and unlink; a crash
 * between the two leaves both names on one file, which the next call takes for done. */
static enum slr_err rename_new(int dir_fd, const char *from, const char *to)
{
    if (renameat2(dir_fd, from, dir_fd, to, RENAME_NOREPLACE) == 0) {
        return SLR_OK;
    }
    if (errno != EINVAL && errno != ENOSYS) {
        return slr_err_from_errno(errno);
    }
    if (linkat(dir_fd, from, dir_fd, to, 0) != 0 || unlinkat(dir_fd, from, 0) != 0) {
        return slr_err_from_errno(errno);
    }
    return SLR_OK;
}

static enum slr_err sync_names(int dir_fd, const char *from, const char *to)
{
    enum slr_err err = sync_parent(dir_fd, to);

    if (err == SLR_OK && !same_parent(from, to)) {
        err = sync_parent(dir_fd, from);
    }
    return err;
}

/* `from` is gone: either an earlier call did it all but the last sync, or there is nothing. */
static enum slr_err publish_again(int dir_fd, const char *from, const char *to)
{
    struct stat st;

    if (fstatat(dir_fd, to, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return slr_err_from_errno(errno);
    }
    return sync_names(dir_fd, from, to);
}

enum slr_err slr_seal_publish(int dir_fd, const char *from, const char *to)
{
    int from_fd;
    enum slr_err err = open_at(dir_fd, from, O_RDONLY, &from_fd);

    if (err == SLR_NOTFOUND) {
        return publish_again(dir_fd, from, to);
    }
    if (err != SLR_OK) {
        return err;
    }
    err = sync_fd(from_fd);
    if (err == SLR_OK) {
        err = rename_new(dir_fd, from, to);
    }
    if (err == SLR_EXISTS) {
        bool same;
        enum slr_err compared = compare_files(from_fd, dir_fd, to, &same);
        if (compared != SLR_OK) {
            err = compared;
        } else if (same) {
            err = unlinkat(dir_fd, from, 0) == 0 ? SLR_OK : slr_err_from_errno(errno);
        }
    }
    close(from_fd);
    return err == SLR_OK ? sync_names(dir_fd, from, to) : err;
}

static enum slr_err write_all(int fd, const void *at, size_t len_bytes)
{
    const uint8_t *from = at;

    while (len_bytes > 0) {
        ssize_t n = write(fd, from, len_bytes);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return slr_err_from_errno(errno);
        }
        from += n;
        len_bytes -= (size_t)n;
    }
    return SLR_OK;
}

enum slr_err slr_seal_write_file(int dir_fd, const char *path, const void *at, size_t len_bytes)
{
    char temporary[PATH_MAX];
    int fd, n = snprintf(temporary, sizeof temporary, "%s" TEMPORARY_SUFFIX, path);

    if (n < 0 || (size_t)n >= sizeof temporary) {
        return SLR_TOOLONG;
    }
    /* A temporary file left by a crash is nobody's: start over. */
    enum slr_err err = open_at(dir_fd, temporary, O_WRONLY | O_CREAT | O_TRUNC, &fd);
    if (err != SLR_OK) {
        return err;
    }
    err = write_all(fd, at, len_bytes);
    if (err == SLR_OK) {
        err = sync_fd(fd);
    }
    close(fd);
    if (err == SLR_OK && renameat(dir_fd, temporary, dir_fd, path) != 0) {
        err = slr_err_from_errno(errno);
    }
    if (err != SLR_OK) {
        unlinkat(dir_fd, temporary, 0); /* best effort: the error to tell is the first one */
        return err;
    }
    return sync_parent(dir_fd, path);
}

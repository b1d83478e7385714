/*
 * sink_posix: a file by pread and pwrite. State is the caller's struct; one thread, blocks on the
 * disk, allocates nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/sink.h"

static int fd_of(const struct slr_sink *s)
{
    /* base is the first member; the sink was made by one of the open functions below. */
    return ((const struct slr_sink_posix *)(const void *)s)->fd;
}

/* Whether [offset, offset + len) can be named by off_t. */
static int in_range(uint64_t offset_bytes, uint64_t len_bytes)
{
    return offset_bytes <= (uint64_t)INT64_MAX && len_bytes <= (uint64_t)INT64_MAX - offset_bytes;
}

static enum slr_err write_at(struct slr_sink *s, uint64_t offset_bytes, const void *at,
                             size_t len_bytes)
{
    const uint8_t *from = at;

    if (!in_range(offset_bytes, len_bytes)) {
        return SLR_TOOLONG;
    }
    while (len_bytes > 0) {
        ssize_t n = pwrite(fd_of(s), from, len_bytes, (off_t)offset_bytes);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return slr_err_from_errno(errno);
        }
        if (n == 0) {
            return SLR_IO; /* never for a file; would be an endless loop */
        }
        from += n;
        offset_bytes += (uint64_t)n;
        len_bytes -= (size_t)n;
    }
    return SLR_OK;
}

static enum slr_err read_at(struct slr_sink *s, uint64_t offset_bytes, void *at, size_t len_bytes)
{
    uint8_t *to = at;

    if (!in_range(offset_bytes, len_bytes)) {
        return SLR_EOF;
    }
    while (len_bytes > 0) {
        ssize_t n = pread(fd_of(s), to, len_bytes, (off_t)offset_bytes);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return slr_err_from_errno(errno);
        }
        if (n == 0) {
            return SLR_EOF;
        }
        to += n;
        offset_bytes += (uint64_t)n;
        len_bytes -= (size_t)n;
    }
    return SLR_OK;
}

static enum slr_err size_of(struct slr_sink *s, uint64_t *size_bytes)
{
    struct stat st;

    if (fstat(fd_of(s), &st) != 0) {
        return slr_err_from_errno(errno);
    }
    *size_bytes = (uint64_t)st.st_size;
    return SLR_OK;
}

static enum slr_err truncate_to(struct slr_sink *s, uint64_t size_bytes)
{
    if (!in_range(size_bytes, 0)) {
        return SLR_TOOLONG;
    }
    while (ftruncate(fd_of(s), (off_t)size_bytes) != 0) {
        if (errno != EINTR) {
            return slr_err_from_errno(errno);
        }
    }
    return SLR_OK;
}

static enum slr_err sync_data(struct slr_sink *s)
{
    while (fdatasync(fd_of(s)) != 0) {
        if (errno != EINTR) {
            return slr_err_from_errno(errno);
        }
    }
    return SLR_OK;
}

static void close_file(struct slr_sink *s)
{
    struct slr_sink_posix *p = (struct slr_sink_posix *)(void *)s;

    if (p->fd >= 0) {
        /* What must be on disk was synced before; Linux frees the descriptor even on EINTR. */
        close(p->fd);
        p->fd = -1;
    }
}

const struct slr_sink_ops slr_sink_posix_ops = {
    .name = "posix",
    .write_at = write_at,
    .read_at = read_at,
    .size = size_of,
    .truncate = truncate_to,
    .sync = sync_data,
    .close = close_file,
};

static enum slr_err open_file(struct slr_sink_posix *s, int dir_fd, const char *path, int flags)
{
    int fd;

    *s = (struct slr_sink_posix){.base = {&slr_sink_posix_ops}, .fd = -1};
    do {
        fd = openat(dir_fd, path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) {
        return slr_err_from_errno(errno);
    }
    s->fd = fd;
    return SLR_OK;
}

enum slr_err slr_sink_posix_create(struct slr_sink_posix *s, int dir_fd, const char *path)
{
    return open_file(s, dir_fd, path, O_CREAT | O_EXCL);
}

enum slr_err slr_sink_posix_open(struct slr_sink_posix *s, int dir_fd, const char *path)
{
    return open_file(s, dir_fd, path, 0);
}

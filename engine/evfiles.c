/*
 * evfiles: segment files of the event log; scanning at start, appending, rolling, reading back.
 * Owned by the log thread once the log is open. See evfiles.h.
 */
#include "engine/evfiles.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"

#define NAME_PREFIX "events-"
#define NAME_DIGITS 20
#define NAME_SUFFIX ".jsonl"

struct segment {
    uint64_t first_n;
    uint64_t bytes;
};

struct slr_evfiles {
    char dir[4096];
    int dir_fd;
    int fd; /* newest segment, -1: none yet */
    struct segment *segment;
    size_t count, room;
    uint64_t total_bytes;
    uint64_t segment_bytes, keep_bytes;
    uint64_t last_n;
};

static void segment_name(uint64_t first_n, char out[static 64])
{
    snprintf(out, 64, NAME_PREFIX "%020" PRIu64 NAME_SUFFIX, first_n);
}

static bool parse_name(const char *name, uint64_t *first_n)
{
    struct slr_slice s = slr_slice_str(name), prefix, digits;
    return slr_slice_take(&s, strlen(NAME_PREFIX), &prefix) && slr_slice_eq(prefix, NAME_PREFIX) &&
           slr_slice_take(&s, NAME_DIGITS, &digits) &&
           slr_slice_to_u64(digits, UINT64_MAX - 1, first_n) && slr_slice_eq(s, NAME_SUFFIX);
}

enum slr_err slr_evfiles_number(struct slr_slice line, uint64_t *n)
{
    struct slr_slice start, digits;
    if (!slr_slice_take(&line, 5, &start) || !slr_slice_eq(start, "{\"n\":") ||
        !slr_slice_take_token(&line, ',', &digits) ||
        !slr_slice_to_u64(digits, UINT64_MAX - 1, n)) {
        return SLR_FORMAT;
    }
    return SLR_OK;
}

static enum slr_err add_segment(struct slr_evfiles *f, uint64_t first_n, uint64_t bytes)
{
    if (f->count == f->room) {
        size_t room = f->room ? f->room * 2 : 32;
        struct segment *more = realloc(f->segment, room * sizeof *more);
        if (!more) {
            return SLR_NOMEM;
        }
        f->segment = more;
        f->room = room;
    }
    f->segment[f->count++] = (struct segment){first_n, bytes};
    f->total_bytes += bytes;
    return SLR_OK;
}

static int by_first(const void *a, const void *b)
{
    const struct segment *x = a, *y = b;
    return x->first_n < y->first_n ? -1 : x->first_n > y->first_n;
}

static enum slr_err list_segments(struct slr_evfiles *f)
{
    enum slr_err err = SLR_OK;
    int fd = dup(f->dir_fd);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;

    if (!d) {
        err = slr_err_from_errno(errno);
        if (fd >= 0) {
            close(fd);
        }
        return err;
    }
    while (err == SLR_OK && (entry = readdir(d)) != NULL) {
        uint64_t first_n;
        struct stat st;
        if (!parse_name(entry->d_name, &first_n)) {
            continue;
        }
        if (fstatat(f->dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISREG(st.st_mode)) {
            SLR_WARN("event_file_ignored", "name=%s", SLR_Q(entry->d_name));
            continue;
        }
        err = add_segment(f, first_n, (uint64_t)st.st_size);
    }
    closedir(d);
    if (f->count > 1) {
        qsort(f->segment, f->count, sizeof *f->segment, by_first);
    }
    return err;
}

/* Reads at most out's room at an offset. */
static enum slr_err read_some(int fd, uint64_t offset_bytes, uint8_t *at, size_t size_bytes,
                              size_t *len_bytes)
{
    *len_bytes = 0;
    while (*len_bytes < size_bytes) {
        ssize_t n =
            pread(fd, at + *len_bytes, size_bytes - *len_bytes, (off_t)(offset_bytes + *len_bytes));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return slr_err_from_errno(errno);
        }
        if (n == 0) {
            break;
        }
        *len_bytes += (size_t)n;
    }
    return SLR_OK;
}

/* Length of the whole lines at the front. */
static size_t whole_lines(const uint8_t *at, size_t len_bytes)
{
    const uint8_t *end = memrchr(at, '\n', len_bytes);
    return end ? (size_t)(end - at) + 1 : 0;
}

/* The newest whole line of the last segment gives last_n; what follows it is cut off. A line is
 * whole when it ends in LF and starts with its number: power loss can leave zeros, too. */
static enum slr_err settle_last(struct slr_evfiles *f, uint8_t *buf, size_t size_bytes)
{
    struct segment *s = &f->segment[f->count - 1];
    uint64_t offset = 0;
    bool sound = true;

    f->last_n = s->first_n - 1;
    while (sound) {
        size_t len;
        enum slr_err err = read_some(f->fd, offset, buf, size_bytes, &len);
        if (err != SLR_OK) {
            return err;
        }
        struct slr_slice rest = slr_slice_of(buf, whole_lines(buf, len)), line;
        sound = rest.len_bytes > 0;
        while (sound && slr_slice_take_line(&rest, &line)) {
            uint64_t n;
            sound = slr_evfiles_number(line, &n) == SLR_OK && n > f->last_n &&
                    line.at[line.len_bytes - 1] == '}';
            if (sound) {
                f->last_n = n;
                offset += line.len_bytes + 1;
            }
        }
    }
    if (offset != s->bytes) {
        SLR_WARN("event_file_cut", "segment=%" PRIu64 " bytes=%" PRIu64, s->first_n,
                 s->bytes - offset);
        if (ftruncate(f->fd, (off_t)offset) != 0) {
            return slr_err_from_errno(errno);
        }
        f->total_bytes -= s->bytes - offset;
        s->bytes = offset;
    }
    return SLR_OK;
}

static enum slr_err open_segment(struct slr_evfiles *f, uint64_t first_n, int flags, int *fd)
{
    char name[64];
    segment_name(first_n, name);
    *fd = openat(f->dir_fd, name, flags | O_CLOEXEC | O_NOFOLLOW, 0640);
    return *fd < 0 ? slr_err_from_errno(errno) : SLR_OK;
}

static enum slr_err open_dir(struct slr_evfiles *f, const char *data_dir)
{
    int n = snprintf(f->dir, sizeof f->dir, "%s/events", data_dir);
    if (n < 0 || (size_t)n >= sizeof f->dir) {
        return SLR_TOOLONG;
    }
    if (mkdir(f->dir, 0750) != 0 && errno != EEXIST) {
        return slr_err_from_errno(errno);
    }
    f->dir_fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return f->dir_fd < 0 ? slr_err_from_errno(errno) : SLR_OK;
}

enum slr_err slr_evfiles_open(const char *data_dir, uint64_t segment_bytes, uint64_t keep_bytes,
                              struct slr_evfiles **out)
{
    size_t size_bytes = 1u << 20;
    struct slr_evfiles *f = calloc(1, sizeof *f);
    uint8_t *buf = malloc(size_bytes);

    if (!f || !buf) {
        free(f);
        free(buf);
        return SLR_NOMEM;
    }
    f->fd = f->dir_fd = -1;
    f->segment_bytes = segment_bytes;
    f->keep_bytes = keep_bytes;
    enum slr_err err = open_dir(f, data_dir);
    if (err == SLR_OK) {
        err = list_segments(f);
    }
    if (err == SLR_OK && f->count > 0) {
        err = open_segment(f, f->segment[f->count - 1].first_n, O_RDWR, &f->fd);
        if (err == SLR_OK) {
            err = settle_last(f, buf, size_bytes);
        }
    }
    free(buf);
    if (err != SLR_OK) {
        SLR_ERROR("event_files_failed", "dir=%s err=%s", SLR_Q(f->dir), slr_err_name(err));
        slr_evfiles_close(f);
        return err;
    }
    *out = f;
    return SLR_OK;
}

void slr_evfiles_close(struct slr_evfiles *f)
{
    if (f) {
        if (f->fd >= 0) {
            close(f->fd);
        }
        if (f->dir_fd >= 0) {
            close(f->dir_fd);
        }
        free(f->segment);
        free(f);
    }
}

uint64_t slr_evfiles_first(const struct slr_evfiles *f)
{
    return f->count > 0 && f->last_n >= f->segment[0].first_n ? f->segment[0].first_n : 0;
}

uint64_t slr_evfiles_last(const struct slr_evfiles *f)
{
    return f->last_n;
}

/* Starts a segment; the entry in the directory is synced, or power loss could forget the file. */
static enum slr_err roll(struct slr_evfiles *f, uint64_t first_n)
{
    int fd;
    enum slr_err err = open_segment(f, first_n, O_RDWR | O_CREAT | O_TRUNC, &fd);
    if (err != SLR_OK) {
        return err;
    }
    err = fsync(f->dir_fd) == 0 ? add_segment(f, first_n, 0) : slr_err_from_errno(errno);
    if (err != SLR_OK) {
        close(fd);
        return err;
    }
    if (f->fd >= 0) {
        close(f->fd);
    }
    f->fd = fd;
    return SLR_OK;
}

static void drop_oldest(struct slr_evfiles *f)
{
    while (f->count > 1 && f->total_bytes > f->keep_bytes) {
        char name[64];
        segment_name(f->segment[0].first_n, name);
        if (unlinkat(f->dir_fd, name, 0) != 0 && errno != ENOENT) {
            SLR_WARN("event_file_remove_failed", "name=%s errno=%d", SLR_Q(name), errno);
            return;
        }
        f->total_bytes -= f->segment[0].bytes;
        f->count--;
        memmove(f->segment, f->segment + 1, f->count * sizeof *f->segment);
    }
}

static enum slr_err write_all(int fd, struct slr_slice data, uint64_t offset_bytes)
{
    while (data.len_bytes > 0) {
        ssize_t n = pwrite(fd, data.at, data.len_bytes, (off_t)offset_bytes);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? slr_err_from_errno(errno) : SLR_IO;
        }
        offset_bytes += (uint64_t)n;
        data = slr_slice_of(data.at + n, data.len_bytes - (size_t)n);
    }
    return SLR_OK;
}

enum slr_err slr_evfiles_append(struct slr_evfiles *f, struct slr_slice lines, uint64_t first_n,
                                uint64_t last_n)
{
    enum slr_err err = SLR_OK;
    if (f->count == 0 || f->segment[f->count - 1].bytes >= f->segment_bytes) {
        err = roll(f, first_n);
        if (err != SLR_OK) {
            return err;
        }
    }
    struct segment *s = &f->segment[f->count - 1];
    err = write_all(f->fd, lines, s->bytes);
    if (err == SLR_OK && fdatasync(f->fd) != 0) {
        err = slr_err_from_errno(errno);
    }
    if (err != SLR_OK) {
        if (ftruncate(f->fd, (off_t)s->bytes) != 0) {
            SLR_WARN("event_file_truncate_failed", "errno=%d", errno);
        }
        return err;
    }
    s->bytes += lines.len_bytes;
    f->total_bytes += lines.len_bytes;
    f->last_n = last_n;
    drop_oldest(f);
    return SLR_OK;
}

/* The last segment that starts at or before n; count where n is older than all. */
static size_t find_segment(const struct slr_evfiles *f, uint64_t n)
{
    size_t low = 0, high = f->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (f->segment[mid].first_n <= n) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low > 0 ? low - 1 : 0;
}

/* Reads one piece of one segment; *bytes of whole lines were looked at. */
static enum slr_err read_piece(int fd, uint64_t offset_bytes, uint64_t from_n, struct slr_put *out,
                               size_t *bytes)
{
    size_t len;
    enum slr_err err = read_some(fd, offset_bytes, out->at, out->size_bytes, &len);
    if (err != SLR_OK) {
        return err;
    }
    *bytes = whole_lines(out->at, len);
    if (*bytes == 0) {
        return len == out->size_bytes ? SLR_TOOLONG : SLR_OK;
    }
    struct slr_slice rest = slr_slice_of(out->at, *bytes), line, before = rest;
    uint64_t n;
    while (slr_slice_take_line(&rest, &line) &&
           (slr_evfiles_number(line, &n) != SLR_OK || n < from_n)) {
        before = rest;
    }
    memmove(out->at, before.at, before.len_bytes);
    out->len_bytes = before.len_bytes;
    return SLR_OK;
}

enum slr_err slr_evfiles_read(struct slr_evfiles *f, uint64_t from_n, struct slr_evfiles_hint *hint,
                              struct slr_put *out)
{
    size_t i = find_segment(f, from_n);
    uint64_t offset = 0;
    enum slr_err err = SLR_OK;

    out->len_bytes = 0;
    if (i < f->count && hint->segment_n == f->segment[i].first_n) {
        offset = hint->offset_bytes;
    }
    for (; err == SLR_OK && i < f->count && out->len_bytes == 0; i++, offset = 0) {
        int fd;
        size_t bytes = 1;
        err = open_segment(f, f->segment[i].first_n, O_RDONLY, &fd);
        if (err != SLR_OK) {
            return err;
        }
        while (err == SLR_OK && bytes > 0 && out->len_bytes == 0) {
            bytes = 0;
            err = read_piece(fd, offset, from_n, out, &bytes);
            offset += bytes;
        }
        close(fd);
        *hint = (struct slr_evfiles_hint){f->segment[i].first_n, offset};
    }
    return err;
}

/*
 * The sink contract over every row of sink.def, and what only the posix sink can meet: full disks,
 * short writes, files that are there already.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "storage/sink.h"

/* The process's pwrite, for once: at most so many bytes a call, every second call interrupted. */
static size_t write_limit_bytes = SIZE_MAX;
static uint32_t write_calls;

ssize_t pwrite(int fd, const void *at, size_t len_bytes, off_t offset_bytes)
{
    write_calls++;
    if (write_limit_bytes != SIZE_MAX && write_calls % 2 == 0) {
        errno = EINTR;
        return -1;
    }
    if (len_bytes > write_limit_bytes) {
        len_bytes = write_limit_bytes;
    }
    return syscall(SYS_pwrite64, fd, at, len_bytes, offset_bytes);
}

/* Opens an empty sink of each kind; a new row needs its opener here. */
struct opened {
    struct slr_sink_posix posix;
    struct slr_sink_memory memory;
    int dir_fd;
    char dir[32];
};

static void make_dir(struct opened *o)
{
    strcpy(o->dir, "/tmp/slr-sink-XXXXXX");
    cr_assert(mkdtemp(o->dir));
    o->dir_fd = open(o->dir, O_RDONLY | O_DIRECTORY);
    cr_assert_geq(o->dir_fd, 0);
}

static void remove_dir(struct opened *o)
{
    unlinkat(o->dir_fd, "file", 0);
    close(o->dir_fd);
    rmdir(o->dir);
}

static struct slr_sink *open_posix(struct opened *o)
{
    cr_assert_eq(slr_sink_posix_create(&o->posix, o->dir_fd, "file"), SLR_OK);
    return &o->posix.base;
}

static struct slr_sink *open_memory(struct opened *o)
{
    slr_sink_memory_init(&o->memory);
    return &o->memory.base;
}

static struct slr_sink *(*const openers[])(struct opened *) = {
#define SINK(name) open_##name,
#include "storage/sink.def"
#undef SINK
};

static const struct slr_sink_ops *const rows[] = {
#define SINK(name) &slr_sink_##name##_ops,
#include "storage/sink.def"
#undef SINK
};

#define ROWS (sizeof rows / sizeof rows[0])

typedef void contract(struct slr_sink *s);

static void over_rows(contract *run)
{
    for (size_t i = 0; i < ROWS; i++) {
        struct opened o = {.dir_fd = -1};
        make_dir(&o);
        struct slr_sink *s = openers[i](&o);
        cr_assert_eq(s->ops, rows[i]);
        run(s);
        s->ops->close(s);
        remove_dir(&o);
    }
}

static void check_read_back(struct slr_sink *s)
{
    char got[16] = "";
    uint64_t size = 99;
    cr_assert_eq(s->ops->size(s, &size), SLR_OK);
    cr_assert_eq(size, 0u);
    cr_assert_eq(s->ops->write_at(s, 0, "abcdef", 6), SLR_OK);
    cr_assert_eq(s->ops->write_at(s, 2, "XY", 2), SLR_OK);
    cr_assert_eq(s->ops->read_at(s, 1, got, 4), SLR_OK);
    cr_assert_arr_eq(got, "bXYe", 4, "%s", s->ops->name);
    cr_assert_eq(s->ops->size(s, &size), SLR_OK);
    cr_assert_eq(size, 6u);
    cr_assert_eq(s->ops->sync(s), SLR_OK);
}

Test(sink, reads_back_what_was_written)
{
    over_rows(check_read_back);
}

static void check_gap(struct slr_sink *s)
{
    uint8_t got[8];
    cr_assert_eq(s->ops->write_at(s, 10000, "end", 3), SLR_OK);
    cr_assert_eq(s->ops->read_at(s, 9992, got, 8), SLR_OK);
    for (int i = 0; i < 8; i++) {
        cr_assert_eq(got[i], 0);
    }
}

Test(sink, a_gap_is_zeros)
{
    over_rows(check_gap);
}

static void check_end(struct slr_sink *s)
{
    char got[8];
    cr_assert_eq(s->ops->write_at(s, 0, "abc", 3), SLR_OK);
    cr_assert_eq(s->ops->read_at(s, 0, got, 4), SLR_EOF);
    cr_assert_eq(s->ops->read_at(s, 3, got, 1), SLR_EOF);
    cr_assert_eq(s->ops->read_at(s, 4, got, 1), SLR_EOF);
    cr_assert_eq(s->ops->read_at(s, UINT64_MAX, got, 1), SLR_EOF);
    cr_assert_eq(s->ops->read_at(s, 3, got, 0), SLR_OK);
}

Test(sink, reading_past_the_end)
{
    over_rows(check_end);
}

static void check_truncate(struct slr_sink *s)
{
    uint64_t size = 0;
    uint8_t got[6];
    cr_assert_eq(s->ops->write_at(s, 0, "abcdef", 6), SLR_OK);
    cr_assert_eq(s->ops->truncate(s, 2), SLR_OK);
    cr_assert_eq(s->ops->size(s, &size), SLR_OK);
    cr_assert_eq(size, 2u);
    cr_assert_eq(s->ops->truncate(s, 6), SLR_OK);
    cr_assert_eq(s->ops->read_at(s, 0, got, 6), SLR_OK);
    cr_assert_arr_eq(got, "ab\0\0\0\0", 6, "%s: what was cut off came back", s->ops->name);
}

Test(sink, truncate_cuts_and_extends)
{
    over_rows(check_truncate);
}

static void check_empty_write(struct slr_sink *s)
{
    uint64_t size = 9;
    cr_assert_eq(s->ops->write_at(s, 5, "", 0), SLR_OK);
    cr_assert_eq(s->ops->size(s, &size), SLR_OK);
    cr_assert_eq(size, 0u);
}

Test(sink, an_empty_write_changes_nothing)
{
    over_rows(check_empty_write);
}

static void check_huge_offset(struct slr_sink *s)
{
    uint64_t size = 9;
    cr_assert_neq(s->ops->write_at(s, UINT64_MAX, "a", 1), SLR_OK);
    cr_assert_neq(s->ops->write_at(s, INT64_MAX, "ab", 2), SLR_OK);
    cr_assert_neq(s->ops->truncate(s, UINT64_MAX), SLR_OK);
    cr_assert_eq(s->ops->size(s, &size), SLR_OK);
    cr_assert_eq(size, 0u);
}

Test(sink, offsets_out_of_range_are_refused)
{
    over_rows(check_huge_offset);
}

Test(sink_posix, create_and_open)
{
    struct opened o = {.dir_fd = -1};
    struct slr_sink_posix other;
    struct stat st;
    make_dir(&o);
    cr_assert_eq(slr_sink_posix_open(&o.posix, o.dir_fd, "file"), SLR_NOTFOUND);
    cr_assert_eq(slr_sink_posix_create(&o.posix, o.dir_fd, "file"), SLR_OK);
    cr_assert_eq(slr_sink_posix_create(&other, o.dir_fd, "file"), SLR_EXISTS);
    other.base.ops->close(&other.base); /* of a sink that did not open: nothing happens */
    cr_assert_eq(fstat(o.posix.fd, &st), 0);
    cr_assert_eq(st.st_mode & 07777, 0600u);
    cr_assert(fcntl(o.posix.fd, F_GETFD) & FD_CLOEXEC);
    cr_assert_eq(o.posix.base.ops->write_at(&o.posix.base, 0, "kept", 4), SLR_OK);
    o.posix.base.ops->close(&o.posix.base);
    cr_assert_eq(slr_sink_posix_open(&other, o.dir_fd, "file"), SLR_OK);
    char got[4];
    cr_assert_eq(other.base.ops->read_at(&other.base, 0, got, 4), SLR_OK);
    cr_assert_arr_eq(got, "kept", 4);
    other.base.ops->close(&other.base);
    remove_dir(&o);
}

Test(sink_posix, a_symbolic_link_is_not_followed)
{
    struct opened o = {.dir_fd = -1};
    make_dir(&o);
    cr_assert_eq(symlinkat("/dev/null", o.dir_fd, "file"), 0);
    cr_assert_neq(slr_sink_posix_open(&o.posix, o.dir_fd, "file"), SLR_OK);
    cr_assert_eq(slr_sink_posix_create(&o.posix, o.dir_fd, "file"), SLR_EXISTS);
    remove_dir(&o);
}

Test(sink_posix, full_disk)
{
    struct slr_sink_posix s;
    cr_assert_eq(slr_sink_posix_open(&s, AT_FDCWD, "/dev/full"), SLR_OK);
    cr_assert_eq(s.base.ops->write_at(&s.base, 0, "a", 1), SLR_NOSPACE);
    s.base.ops->close(&s.base);
}

Test(sink_posix, error_of_the_device)
{
    struct slr_sink_posix s = {.base = {&slr_sink_posix_ops}, .fd = -1};
    uint64_t size;
    char byte;
    cr_assert_eq(s.base.ops->write_at(&s.base, 0, "a", 1), SLR_IO);
    cr_assert_eq(s.base.ops->read_at(&s.base, 0, &byte, 1), SLR_IO);
    cr_assert_eq(s.base.ops->size(&s.base, &size), SLR_IO);
    cr_assert_eq(s.base.ops->truncate(&s.base, 0), SLR_IO);
    cr_assert_eq(s.base.ops->sync(&s.base), SLR_IO);
}

Test(sink_posix, short_and_interrupted_writes_are_continued)
{
    struct opened o = {.dir_fd = -1};
    uint8_t block[1000], got[1000];
    make_dir(&o);
    struct slr_sink *s = open_posix(&o);
    for (size_t i = 0; i < sizeof block; i++) {
        block[i] = (uint8_t)(i % 251);
    }
    write_limit_bytes = 37;
    enum slr_err err = s->ops->write_at(s, 5, block, sizeof block);
    write_limit_bytes = SIZE_MAX;
    cr_assert_eq(err, SLR_OK);
    cr_assert_gt(write_calls, 50u, "the writes were not short");
    cr_assert_eq(s->ops->read_at(s, 5, got, sizeof got), SLR_OK);
    cr_assert_arr_eq(got, block, sizeof block);
    s->ops->close(s);
    remove_dir(&o);
}

/* The file size limit makes the kernel write a part, then fail: told, and the part is there. */
Test(sink_posix, a_write_that_fails_half_way_is_told)
{
    struct opened o = {.dir_fd = -1};
    static uint8_t block[8192];
    uint64_t size = 0;
    struct rlimit limit = {6000, RLIM_INFINITY};
    make_dir(&o);
    struct slr_sink *s = open_posix(&o);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit old;
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
    limit.rlim_max = old.rlim_max;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    enum slr_err err = s->ops->write_at(s, 0, block, sizeof block);
    enum slr_err size_err = s->ops->size(s, &size);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
    cr_assert_eq(err, SLR_TOOLONG);
    cr_assert_eq(size_err, SLR_OK);
    cr_assert_eq(size, 6000u);
    s->ops->close(s);
    remove_dir(&o);
}

/*
 * space: see the header.
 */
#include "engine/space.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/log.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

/* That part of the machine's memory is left to others. */
#define SPARED_SHARE 32u
#define PAGE_BYTES 4096u

static bool take(const struct slr_space *s, const void *at, size_t bytes)
{
    if (s->fd < 0) {
        return true;
    }
    off_t offset = (const uint8_t *)at - s->base;
    if (fallocate(s->fd, 0, offset, (off_t)bytes) == 0) {
        return true;
    }
    return errno == EOPNOTSUPP && posix_fallocate(s->fd, offset, (off_t)bytes) == 0;
}

static void map_now(const void *at, size_t bytes)
{
    (void)madvise((void *)(uintptr_t)at, bytes, MADV_POPULATE_WRITE);
}

bool slr_space_take(struct slr_space *s, const void *at, size_t bytes)
{
    return take(s, at, bytes);
}

bool slr_space_touch(const void *at, size_t bytes)
{
    uintptr_t from = (uintptr_t)at / PAGE_BYTES * PAGE_BYTES;
    size_t len = ((uintptr_t)at + bytes - from + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    return madvise((void *)from, len, MADV_POPULATE_WRITE) == 0 || errno == EINVAL;
}

static void tell(struct slr_space *s, int errnum)
{
    if (!atomic_exchange(&s->told, true)) {
        SLR_INFO("state_pages", "huge=%s errno=%d", errnum == 0 ? "yes" : "no", errnum);
    }
}

bool slr_space_take_huge(struct slr_space *s, const void *at, size_t bytes)
{
    if (!take(s, at, bytes)) {
        return false;
    }
    bool whole = (uintptr_t)at % SLR_HUGE_BYTES == 0 && bytes % SLR_HUGE_BYTES == 0;
    if (s->wants_huge && whole) {
        int rc = madvise((void *)(uintptr_t)at, bytes, MADV_COLLAPSE);
        tell(s, rc == 0 ? 0 : errno);
    }
    if (s->wants_huge) {
        map_now(at, bytes);
    }
    return true;
}

void slr_space_give(struct slr_space *s, const void *at, size_t bytes)
{
    off_t offset = (const uint8_t *)at - s->base;
    if (s->fd < 0) {
        (void)madvise((void *)(uintptr_t)at, bytes, MADV_DONTNEED);
    } else if (bytes > 0) {
        (void)fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, (off_t)bytes);
    }
}

/* What the machine has without putting others out; UINT64_MAX: not known. */
static uint64_t machine_left(void)
{
    FILE *f = fopen("/proc/meminfo", "re");
    char line[128];
    unsigned long long total = 0;
    unsigned long long left = 0;
    while (f && left == 0 && fgets(line, sizeof line, f)) {
        if (strncmp(line, "MemTotal:", 9) == 0) {
            total = strtoull(line + 9, NULL, 10);
        } else if (strncmp(line, "MemAvailable:", 13) == 0) {
            left = strtoull(line + 13, NULL, 10);
        }
    }
    if (f) {
        fclose(f);
    }
    if (left == 0) {
        return UINT64_MAX;
    }
    return (left > total / SPARED_SHARE ? left - total / SPARED_SHARE : 0) * 1024u;
}

uint64_t slr_space_left(const struct slr_space *s)
{
    struct statvfs v;
    uint64_t left = machine_left();
    if (s->fd >= 0 && fstatvfs(s->fd, &v) == 0) {
        uint64_t there = (uint64_t)v.f_bavail * v.f_frsize;
        left = there < left ? there : left;
    }
    return left;
}

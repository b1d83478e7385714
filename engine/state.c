/*
 * state: maps the engine's surviving memory and keeps the free list of packet chunks.
 * Opened by the control thread; chunks are taken and given back by workers and writers under one
 * short lock. Allocates at open only.
 */
#include "engine/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

#define HUGE_BYTES ((size_t)2 << 20)
/* Less of it fits into what the processor remembers of small pages. */
#define HUGE_LEAST_BYTES ((size_t)64 << 20)
/* So many slots are looked at, at least. */
#define TOP_LEAST 64u
#define STATE_MAGIC 0x534c5253u /* "SLRS" */

static uint64_t layout_bytes(void)
{
    return (uint64_t)sizeof(struct slr_state_header) << 48 ^
           (uint64_t)sizeof(struct slr_session) << 24 ^ (uint64_t)sizeof(struct slr_leg) ^
           (uint64_t)sizeof(struct slr_chunk) << 12 ^ (uint64_t)sizeof(struct slr_srtp) << 36 ^
           (uint64_t)sizeof(struct slr_leg_run) << 8;
}

static size_t round_page(size_t n)
{
    return (n + 4095u) & ~(size_t)4095u;
}

static size_t map_size(uint32_t leg_max, uint32_t chunk_max)
{
    return round_page(sizeof(struct slr_state_header)) +
           round_page(sizeof(struct slr_session) * (size_t)leg_max) +
           round_page(sizeof(struct slr_leg_run) * (size_t)leg_max) +
           round_page(sizeof(struct slr_leg) * (size_t)leg_max) +
           round_page(sizeof(struct slr_srtp) * (size_t)leg_max) +
           sizeof(struct slr_chunk) * (size_t)chunk_max;
}

static void read_boot_id(char out[static 40])
{
    memset(out, 0, 40);
    FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (!f) {
        return;
    }
    if (!fgets(out, 40, f)) {
        out[0] = '\0';
    }
    out[strcspn(out, "\n")] = '\0';
    fclose(f);
}

static void lay_out(struct slr_state *s, uint8_t *base)
{
    s->header = (struct slr_state_header *)(void *)base;
    base += round_page(sizeof(struct slr_state_header));
    s->session = (struct slr_session *)(void *)base;
    base += round_page(sizeof(struct slr_session) * (size_t)s->session_max);
    s->run = (struct slr_leg_run *)(void *)base;
    base += round_page(sizeof(struct slr_leg_run) * (size_t)s->leg_max);
    s->leg = (struct slr_leg *)(void *)base;
    base += round_page(sizeof(struct slr_leg) * (size_t)s->leg_max);
    s->srtp = (struct slr_srtp *)(void *)base;
    base += round_page(sizeof(struct slr_srtp) * (size_t)s->leg_max);
    s->chunk = (struct slr_chunk *)(void *)base;
    for (uint32_t i = 0; i < s->leg_max; i++) {
        s->leg[i].run_back_bytes = (uint64_t)((uintptr_t)&s->leg[i] - (uintptr_t)&s->run[i]);
    }
}

/* Opens the file locked; an unusable old one is put aside. *fresh: it has no content yet. */
static enum slr_err open_file(const char *path, size_t want_bytes, uint32_t leg_max,
                              uint32_t chunk_max, int *fd_out, bool *fresh)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        SLR_ERROR("state_open_failed", "path=%s errno=%d", SLR_Q(path), errno);
        return slr_err_from_errno(errno);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        SLR_ERROR("state_in_use", "path=%s", SLR_Q(path));
        close(fd);
        return SLR_BUSY;
    }
    struct stat st;
    struct slr_state_header h;
    if (fstat(fd, &st) != 0) {
        close(fd);
        return SLR_IO;
    }
    *fresh = st.st_size == 0;
    *fd_out = fd;
    if (*fresh) {
        return SLR_OK;
    }
    bool same = (size_t)st.st_size == want_bytes && pread(fd, &h, sizeof h, 0) == sizeof h &&
                h.magic == STATE_MAGIC && h.version == SLR_STATE_VERSION &&
                h.layout_bytes == layout_bytes() && h.leg_max == leg_max &&
                h.chunk_max == chunk_max;
    if (same) {
        return SLR_OK;
    }
    close(fd);
    *fd_out = -1;
    return SLR_VERSION;
}

/* What no leg's queue holds is free. Legs that no session has count as well: their owner frees
 * their queues. */
static enum slr_err fill_free_list(struct slr_state *s)
{
    uint8_t *used = calloc(s->chunk_max, 1);
    if (!used) {
        return SLR_NOMEM;
    }
    for (uint32_t i = 0; i < s->leg_max; i++) {
        s->run[i].queue_spare = 0; /* free again */
        if (atomic_load(&s->leg[i].state) == SLR_LEG_FREE) {
            continue;
        }
        uint32_t c = atomic_load(&s->leg[i].queue_head);
        uint32_t last = SLR_NONE;
        while (c < s->chunk_max && !used[c]) {
            used[c] = 1;
            s->leg_chunks[i]++;
            last = c;
            c = atomic_load(&s->chunk[c].next);
        }
        uint32_t held = s->leg[i].held_chunk;
        if (held > 0 && held <= s->chunk_max && !used[held - 1]) {
            used[held - 1] = 1;
            s->leg_chunks[i]++;
        } else {
            s->leg[i].held_chunk = 0;
        }
        if (s->run[i].queue_tail != last) { /* it died before it said that it went on */
            s->run[i].queue_tail = last;
            s->run[i].queue_used_bytes = 0;
        }
        if (last == SLR_NONE) {
            atomic_store(&s->leg[i].queue_head, SLR_NONE);
        } else {
            atomic_store(&s->chunk[last].next, SLR_NONE);
        }
    }
    for (uint32_t i = s->chunk_max; i > 0; i--) {
        if (!used[i - 1]) {
            s->chunk_free[s->chunk_free_count++] = i - 1;
        }
    }
    free(used);
    return SLR_OK;
}

static void start_header(struct slr_state *s, bool fresh)
{
    char boot[40];
    read_boot_id(boot);
    struct slr_state_header *h = s->header;
    if (fresh) {
        h->session_max = s->session_max;
        h->leg_max = s->leg_max;
        h->chunk_max = s->chunk_max;
        h->layout_bytes = layout_bytes();
        h->version = SLR_STATE_VERSION;
        memcpy(h->boot_id, boot, sizeof boot);
        h->magic = STATE_MAGIC;
    } else {
        s->rebooted = memcmp(h->boot_id, boot, sizeof boot) != 0;
        memcpy(h->boot_id, boot, sizeof boot);
        for (uint32_t i = 0; i < s->session_max; i++) {
            bool used = atomic_load(&s->session[i].state) != SLR_SESSION_FREE;
            s->restored |= used;
            atomic_store(&s->session_top, used ? i + 1 : atomic_load(&s->session_top));
        }
        for (uint32_t i = 0; i < s->leg_max; i++) {
            bool used = atomic_load(&s->leg[i].state) != SLR_LEG_FREE;
            atomic_store(&s->leg_top, used ? i + 1 : atomic_load(&s->leg_top));
        }
    }
    h->starts++;
}

static enum slr_err put_aside(const char *path)
{
    char old[4200];
    snprintf(old, sizeof old, "%s.old", path);
    SLR_WARN("state_unusable", "path=%s kept_as=%s", SLR_Q(path), SLR_Q(old));
    return rename(path, old) == 0 ? SLR_OK : slr_err_from_errno(errno);
}

/* At an address that huge pages can be at. MAP_FAILED: no address space. */
static uint8_t *map_aligned(int fd, size_t bytes, int flags)
{
    size_t room = bytes + HUGE_BYTES;
    uint8_t *at = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) {
        return at;
    }
    size_t head = (HUGE_BYTES - (uintptr_t)at % HUGE_BYTES) % HUGE_BYTES;
    uint8_t *base =
        mmap(at + head, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | flags, fd, 0);
    if (base == MAP_FAILED) {
        munmap(at, room);
        return base;
    }
    size_t tail = room - head - round_page(bytes);
    if (head > 0) {
        munmap(at, head);
    }
    if (tail > 0) {
        munmap(base + round_page(bytes), tail);
    }
    return base;
}

/*
 * Each packet goes to memory of its own, and with small pages finding out where that is costs as
 * much as writing it. So a new file gets huge pages, if the kernel (6.1) and the file system
 * (tmpfs) have them; if not, nothing is lost.
 */
static void make_huge(const struct slr_state *s)
{
    if (s->map_bytes < HUGE_LEAST_BYTES) {
        return;
    }
    uint8_t *at = map_aligned(s->fd, s->map_bytes, 0);
    if (at != MAP_FAILED) {
        (void)madvise(at, s->map_bytes / HUGE_BYTES * HUGE_BYTES, MADV_COLLAPSE);
        munmap(at, s->map_bytes);
    }
}

/* Takes all of the memory now: a tmpfs that ran full later would kill the process (SIGBUS). */
static enum slr_err reserve(const struct slr_state *s)
{
    int errnum = posix_fallocate(s->fd, 0, (off_t)s->map_bytes);
    if (errnum == 0) {
        return SLR_OK;
    }
    SLR_ERROR("state_no_space", "need_mb=%zu errno=%d hint=%s", s->map_bytes >> 20, errnum,
              SLR_Q("use a smaller -S or --packet-memory, or another --state directory"));
    if (ftruncate(s->fd, 0) != 0) {
        SLR_WARN("state_truncate_failed", "errno=%d", errno);
    }
    return slr_err_from_errno(errnum);
}

static enum slr_err begin(struct slr_state *s, uint8_t *base, bool fresh)
{
    s->chunk_free = calloc(s->chunk_max, sizeof *s->chunk_free);
    s->leg_chunks = calloc(s->leg_max, sizeof *s->leg_chunks);
    s->leg_walked = calloc(s->leg_max, sizeof *s->leg_walked);
    s->leg_freed = calloc(s->leg_max, sizeof *s->leg_freed);
    s->leg_chunk_max = s->chunk_max < 1024 ? s->chunk_max : s->chunk_max / 4;
    if (base != MAP_FAILED) {
        lay_out(s, base);
    }
    if (!s->header || !s->chunk_free || !s->leg_chunks || !s->leg_walked || !s->leg_freed) {
        return SLR_NOMEM;
    }
    start_header(s, fresh);
    return fill_free_list(s);
}

static struct slr_state *new_state(uint32_t leg_max, uint32_t chunk_max)
{
    struct slr_state *s = calloc(1, sizeof *s);
    if (s) {
        s->leg_max = s->session_max = leg_max;
        s->chunk_max = chunk_max;
        s->fd = -1;
        s->map_bytes = map_size(leg_max, chunk_max);
        pthread_mutex_init(&s->chunk_lock, NULL);
    }
    return s;
}

static enum slr_err opened(struct slr_state *s, enum slr_err err, struct slr_state **out)
{
    if (err != SLR_OK) {
        slr_state_close(s, false);
        return err;
    }
    *out = s;
    return SLR_OK;
}

/* Memory of this process; what is never used is never taken. */
static enum slr_err open_for_now(uint32_t leg_max, uint32_t chunk_max, struct slr_state **out)
{
    struct slr_state *s = new_state(leg_max, chunk_max);
    if (!s) {
        return SLR_NOMEM;
    }
    uint8_t *base = mmap(NULL, s->map_bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return opened(s, begin(s, base, true), out);
}

enum slr_err slr_state_open(const char *dir, uint32_t leg_max, uint32_t chunk_max,
                            struct slr_state **out)
{
    char path[4096];
    if (!dir) {
        return open_for_now(leg_max, chunk_max, out);
    }
    if ((mkdir(dir, 0700) != 0 && errno != EEXIST) ||
        (size_t)snprintf(path, sizeof path, "%s/engine.state", dir) >= sizeof path) {
        SLR_ERROR("state_dir_failed", "dir=%s errno=%d", SLR_Q(dir), errno);
        return slr_err_from_errno(errno);
    }
    struct slr_state *s = new_state(leg_max, chunk_max);
    if (!s) {
        return SLR_NOMEM;
    }
    bool fresh = false;
    enum slr_err err = open_file(path, s->map_bytes, leg_max, chunk_max, &s->fd, &fresh);
    if (err == SLR_VERSION) {
        err = put_aside(path);
        if (err == SLR_OK) {
            err = open_file(path, s->map_bytes, leg_max, chunk_max, &s->fd, &fresh);
        }
    }
    if (err == SLR_OK && fresh) {
        err = reserve(s);
        make_huge(s);
    }
    if (err == SLR_OK) {
        err = begin(s, map_aligned(s->fd, s->map_bytes, MAP_POPULATE), fresh);
    }
    return opened(s, err, out);
}

void slr_state_close(struct slr_state *s, bool unlink_file)
{
    if (!s) {
        return;
    }
    if (unlink_file && s->fd >= 0 && ftruncate(s->fd, 0) != 0) {
        SLR_WARN("state_truncate_failed", "errno=%d", errno);
    }
    if (s->header) {
        munmap(s->header, s->map_bytes);
    }
    if (s->fd >= 0) {
        close(s->fd);
    }
    pthread_mutex_destroy(&s->chunk_lock);
    free(s->chunk_free);
    free(s->leg_chunks);
    free(s->leg_walked);
    free(s->leg_freed);
    free(s);
}

static uint32_t raise_top(_Atomic uint32_t *top, uint32_t max)
{
    uint32_t n = atomic_load(top);
    uint32_t next = n < TOP_LEAST ? TOP_LEAST : n * 2;
    atomic_store_explicit(top, next < max ? next : max, memory_order_release);
    return n < max ? n : SLR_NONE;
}

uint32_t slr_state_more_sessions(struct slr_state *s)
{
    return raise_top(&s->session_top, s->session_max);
}

uint32_t slr_state_more_legs(struct slr_state *s)
{
    return raise_top(&s->leg_top, s->leg_max);
}

uint32_t slr_state_chunk_reserve(struct slr_state *s, uint32_t leg)
{
    uint32_t c = SLR_NONE;
    pthread_mutex_lock(&s->chunk_lock);
    if (s->chunk_free_count > 0 && s->leg_chunks[leg] < s->leg_chunk_max) {
        c = s->chunk_free[--s->chunk_free_count];
        s->leg_chunks[leg]++;
        s->chunks_taken++;
    }
    pthread_mutex_unlock(&s->chunk_lock);
    return c;
}

void slr_state_chunk_begin(struct slr_state *s, uint32_t leg, uint32_t chunk)
{
    s->chunk[chunk].leg = leg;
    for (uint32_t i = 0; i < SLR_FATES * SLR_FATE_WORDS; i++) {
        atomic_store_explicit(&s->chunk[chunk].fate[i / SLR_FATE_WORDS][i % SLR_FATE_WORDS], 0,
                              memory_order_relaxed);
    }
    atomic_store_explicit(&s->chunk[chunk].used_bytes, 0, memory_order_relaxed);
    atomic_store_explicit(&s->chunk[chunk].next, SLR_NONE, memory_order_relaxed);
}

uint32_t slr_state_chunk_take(struct slr_state *s, uint32_t leg)
{
    uint32_t c = slr_state_chunk_reserve(s, leg);
    if (c != SLR_NONE) {
        slr_state_chunk_begin(s, leg, c);
    }
    return c;
}

void slr_state_chunk_put(struct slr_state *s, uint32_t chunk)
{
    pthread_mutex_lock(&s->chunk_lock);
    s->chunk_free[s->chunk_free_count++] = chunk;
    s->leg_chunks[s->chunk[chunk].leg]--;
    pthread_mutex_unlock(&s->chunk_lock);
}

uint32_t slr_state_chunks_free(struct slr_state *s)
{
    pthread_mutex_lock(&s->chunk_lock);
    uint32_t n = s->chunk_free_count;
    pthread_mutex_unlock(&s->chunk_lock);
    return n;
}

void slr_state_memory(struct slr_state *s, uint64_t *free_bytes, uint64_t *taken_bytes)
{
    pthread_mutex_lock(&s->chunk_lock);
    *free_bytes = (uint64_t)s->chunk_free_count * SLR_CHUNK_BYTES;
    *taken_bytes = s->chunks_taken * SLR_CHUNK_BYTES;
    pthread_mutex_unlock(&s->chunk_lock);
}

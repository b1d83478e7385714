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

/* Less of it fits into what the processor remembers of small pages. */
#define HUGE_LEAST_BYTES ((size_t)64 << 20)
#define STATE_MAGIC 0x534c5253u /* "SLRS" */

static uint64_t layout_bytes(void)
{
    return (uint64_t)sizeof(struct slr_state_header) << 48 ^
           (uint64_t)sizeof(struct slr_session) << 24 ^ (uint64_t)sizeof(struct slr_leg) ^
           (uint64_t)sizeof(struct slr_chunk) << 12 ^ (uint64_t)sizeof(struct slr_srtp) << 36 ^
           (uint64_t)sizeof(struct slr_leg_run) << 8 ^ (uint64_t)sizeof(struct slr_leg_rare) << 30 ^
           (uint64_t)sizeof(struct slr_session_rare) << 42 ^
           (uint64_t)sizeof(struct slr_redo) << 34;
}

static size_t round_page(size_t n)
{
    return (n + 4095u) & ~(size_t)4095u;
}

/* Where everything lies in the file. */
struct layout {
    struct part {
        size_t offset, item_bytes, bytes;
    } region[SLR_REGIONS];
    size_t srtp_offset, leg_rare_offset, session_rare_offset, redo_offset, chunk_offset, bytes;
};

/* Room for so many of them: at huge pages, where it may have some. */
static struct part add_part(struct layout *l, size_t item_bytes, uint32_t count)
{
    size_t bytes = round_page(item_bytes * (size_t)count);
    size_t unit = bytes >= SLR_HUGE_BYTES ? SLR_HUGE_BYTES : 4096;
    struct part p = {(l->bytes + unit - 1) / unit * unit, item_bytes, bytes};
    l->bytes = p.offset + p.bytes;
    return p;
}

static struct layout make_layout(uint32_t leg_max, uint32_t chunk_max)
{
    struct layout l = {.bytes = round_page(sizeof(struct slr_state_header))};
    l.region[SLR_REGION_SESSION] = add_part(&l, sizeof(struct slr_session), leg_max);
    l.region[SLR_REGION_RUN] = add_part(&l, sizeof(struct slr_leg_run), leg_max);
    l.region[SLR_REGION_LEG] = add_part(&l, sizeof(struct slr_leg), leg_max);
    l.srtp_offset = add_part(&l, sizeof(struct slr_srtp), leg_max).offset;
    l.leg_rare_offset = add_part(&l, sizeof(struct slr_leg_rare), leg_max).offset;
    l.session_rare_offset = add_part(&l, sizeof(struct slr_session_rare), leg_max).offset;
    l.redo_offset = add_part(&l, sizeof(struct slr_redo), SLR_REDOS).offset;
    l.chunk_offset = add_part(&l, sizeof(struct slr_chunk), chunk_max).offset;
    return l;
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

static void lay_out(struct slr_state *s, uint8_t *base, const struct layout *l)
{
    s->space.base = base;
    s->map_bytes = l->bytes;
    s->header = (struct slr_state_header *)(void *)base;
    for (uint32_t i = 0; i < SLR_REGIONS; i++) {
        s->region[i] = (struct slr_region){base + l->region[i].offset, l->region[i].item_bytes,
                                           l->region[i].bytes, 0};
    }
    s->session = (struct slr_session *)(void *)s->region[SLR_REGION_SESSION].at;
    s->run = (struct slr_leg_run *)(void *)s->region[SLR_REGION_RUN].at;
    s->leg = (struct slr_leg *)(void *)s->region[SLR_REGION_LEG].at;
    s->srtp = (struct slr_srtp *)(void *)(base + l->srtp_offset);
    s->leg_rare = (struct slr_leg_rare *)(void *)(base + l->leg_rare_offset);
    s->session_rare = (struct slr_session_rare *)(void *)(base + l->session_rare_offset);
    s->redo = (struct slr_redo *)(void *)(base + l->redo_offset);
    s->chunk = (struct slr_chunk *)(void *)(base + l->chunk_offset);
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

/* What the leg's queue holds. Links that lead nowhere are cut. */
static void find_used(struct slr_state *s, uint32_t leg, uint8_t *used)
{
    uint32_t c = atomic_load(&s->leg[leg].queue_head);
    uint32_t last = SLR_NONE;
    while (c < s->chunk_max && !used[c]) {
        used[c] = 1;
        s->leg_chunks[leg]++;
        last = c;
        c = atomic_load(&s->chunk[c].next);
    }
    uint32_t held = s->leg[leg].held_chunk;
    if (held > 0 && held <= s->chunk_max && !used[held - 1]) {
        used[held - 1] = 1;
        s->leg_chunks[leg]++;
    } else {
        s->leg[leg].held_chunk = 0;
    }
    if (s->run[leg].queue_tail != last) { /* it died before it said that it went on */
        /* a tail never has what another one had used, whenever we die */
        s->run[leg].queue_used_bytes = 0;
        atomic_signal_fence(memory_order_seq_cst);
        s->run[leg].queue_tail = last;
    }
    if (last == SLR_NONE) {
        atomic_store(&s->leg[leg].queue_head, SLR_NONE);
    } else {
        atomic_store(&s->chunk[last].next, SLR_NONE);
    }
}

/* What no leg's queue holds is free. Legs that no session has count as well: their owner frees
 * their queues. */
static enum slr_err find_free(struct slr_state *s)
{
    uint8_t *used = calloc((size_t)s->chunk_max + 1, 1);
    if (!used) {
        return SLR_NOMEM;
    }
    for (uint32_t i = 0; i < s->leg_top; i++) {
        s->run[i].queue_spare = 0; /* free again */
        if (atomic_load(&s->leg[i].state) != SLR_LEG_FREE) {
            find_used(s, i, used);
        }
    }
    enum slr_err err =
        slr_pool_init(&s->pool, &s->space, s->chunk, sizeof(struct slr_chunk), s->chunk_max, used);
    free(used);
    return err;
}

/* The region's first slots get memory, so that there are `count` at least. False: there is none. */
static bool grow_region(struct slr_state *s, enum slr_regions which, size_t count)
{
    struct slr_region *r = &s->region[which];
    size_t want = r->item_bytes * count;
    want = want < r->bytes ? want : r->bytes;
    while (r->ready_bytes < want) {
        size_t left = r->bytes - r->ready_bytes;
        size_t more = left < SLR_HUGE_BYTES ? left : SLR_HUGE_BYTES;
        /* at start: what an earlier process left is there, however little else is left */
        bool running = s->pool.space != NULL;
        if ((running && slr_space_left(&s->space) < more) ||
            !slr_space_take_huge(&s->space, r->at + r->ready_bytes, more)) {
            SLR_ERROR("state_no_space", "slots_bytes=%zu hint=%s", r->ready_bytes,
                      SLR_Q("the machine has no more memory for sessions"));
            return false;
        }
        r->ready_bytes += more;
    }
    return true;
}

static uint32_t items_ready(const struct slr_region *r, uint32_t max)
{
    size_t n = r->ready_bytes / r->item_bytes;
    return n < max ? (uint32_t)n : max;
}

static bool ready_sessions(struct slr_state *s, uint32_t count)
{
    if (!grow_region(s, SLR_REGION_SESSION, count)) {
        return false;
    }
    uint32_t n = items_ready(&s->region[SLR_REGION_SESSION], s->session_max);
    for (uint32_t i = s->session_top; i < n; i++) {
        s->session[i].rare_bytes =
            (uint64_t)((uintptr_t)&s->session_rare[i] - (uintptr_t)&s->session[i]);
    }
    atomic_store(&s->header->session_top, n);
    atomic_store(&s->session_top, n);
    return true;
}

static bool ready_legs(struct slr_state *s, uint32_t count)
{
    if (!grow_region(s, SLR_REGION_LEG, count) ||
        !grow_region(s, SLR_REGION_RUN, items_ready(&s->region[SLR_REGION_LEG], s->leg_max))) {
        return false;
    }
    uint32_t n = items_ready(&s->region[SLR_REGION_LEG], s->leg_max);
    for (uint32_t i = s->leg_top; i < n; i++) {
        s->leg[i].run_back_bytes = (uint64_t)((uintptr_t)&s->leg[i] - (uintptr_t)&s->run[i]);
        s->leg[i].rare_bytes = (uint64_t)((uintptr_t)&s->leg_rare[i] - (uintptr_t)&s->leg[i]);
    }
    atomic_store(&s->header->leg_top, n);
    atomic_store(&s->leg_top, n);
    return true;
}

uint32_t slr_state_more_sessions(struct slr_state *s)
{
    uint32_t n = slr_state_sessions(s);
    return n < s->session_max && ready_sessions(s, n + 1) ? n : SLR_NONE;
}

uint32_t slr_state_more_legs(struct slr_state *s)
{
    uint32_t n = slr_state_legs(s);
    return n < s->leg_max && ready_legs(s, n + 1) ? n : SLR_NONE;
}

enum slr_err slr_state_fill(struct slr_state *s)
{
    enum slr_err err = slr_pool_fill(&s->pool);
    if (err != SLR_OK) {
        SLR_ERROR("state_no_space", "need_mb=%zu hint=%s",
                  sizeof(struct slr_chunk) * (size_t)s->chunk_max >> 20,
                  SLR_Q("use a smaller --packet-memory, or another --state directory"));
    }
    return err;
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
        for (uint32_t i = 0; i < s->session_top; i++) {
            s->restored |= atomic_load(&s->session[i].state) != SLR_SESSION_FREE;
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
static uint8_t *map_aligned(int fd, size_t bytes)
{
    size_t room = bytes + SLR_HUGE_BYTES;
    uint8_t *at = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) {
        return at;
    }
    size_t head = (SLR_HUGE_BYTES - (uintptr_t)at % SLR_HUGE_BYTES) % SLR_HUGE_BYTES;
    uint8_t *base = mmap(at + head, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
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
 * much as writing it. So what may become large gets huge pages, if the kernel (6.1) and the file
 * system (tmpfs) have them; if not, nothing is lost.
 */
static enum slr_err map_all(struct slr_state *s, const struct layout *l)
{
    s->space.fd = s->fd;
    s->space.wants_huge = l->bytes >= HUGE_LEAST_BYTES;
    if (ftruncate(s->fd, (off_t)l->bytes) != 0) {
        return slr_err_from_errno(errno);
    }
    uint8_t *base = map_aligned(s->fd, l->bytes);
    if (base == MAP_FAILED) {
        return SLR_NOMEM;
    }
    lay_out(s, base, l);
    return slr_space_take(&s->space, base, round_page(sizeof *s->header)) ? SLR_OK : SLR_NOMEM;
}

static enum slr_err start(struct slr_state *s, bool fresh)
{
    s->leg_chunks = calloc(s->leg_max, sizeof *s->leg_chunks);
    s->leg_walked = calloc(s->leg_max, sizeof *s->leg_walked);
    s->leg_freed = calloc(s->leg_max, sizeof *s->leg_freed);
    s->leg_chunk_max = s->chunk_max < 1024 ? s->chunk_max : s->chunk_max / 4;
    if (!s->leg_chunks || !s->leg_walked || !s->leg_freed) {
        return SLR_NOMEM;
    }
    uint32_t sessions = s->header->session_top;
    uint32_t legs = s->header->leg_top;
    if (!ready_sessions(s, sessions > 0 ? sessions : 1) || !ready_legs(s, legs > 0 ? legs : 1)) {
        return SLR_NOMEM;
    }
    start_header(s, fresh);
    return find_free(s);
}

static struct slr_state *new_state(uint32_t leg_max, uint32_t chunk_max)
{
    struct slr_state *s = calloc(1, sizeof *s);
    if (s) {
        s->leg_max = s->session_max = leg_max;
        s->chunk_max = chunk_max;
        s->fd = s->space.fd = -1;
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
    struct layout l = make_layout(leg_max, chunk_max);
    struct slr_state *s = new_state(leg_max, chunk_max);
    if (!s) {
        return SLR_NOMEM;
    }
    uint8_t *base = mmap(NULL, l.bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base != MAP_FAILED) {
        lay_out(s, base, &l);
    }
    return opened(s, base != MAP_FAILED ? start(s, true) : SLR_NOMEM, out);
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
    struct layout l = make_layout(leg_max, chunk_max);
    bool fresh = false;
    enum slr_err err = open_file(path, l.bytes, leg_max, chunk_max, &s->fd, &fresh);
    if (err == SLR_VERSION) {
        err = put_aside(path);
        if (err == SLR_OK) {
            err = open_file(path, l.bytes, leg_max, chunk_max, &s->fd, &fresh);
        }
    }
    if (err == SLR_OK) {
        err = map_all(s, &l);
    }
    if (err == SLR_OK) {
        err = start(s, fresh);
    }
    if (err != SLR_OK && fresh && s->fd >= 0 && ftruncate(s->fd, 0) != 0) {
        SLR_WARN("state_truncate_failed", "errno=%d", errno); /* nothing is in it */
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
    slr_pool_fini(&s->pool);
    free(s->leg_chunks);
    free(s->leg_walked);
    free(s->leg_freed);
    free(s);
}

uint32_t slr_state_chunk_reserve(struct slr_state *s, uint32_t leg)
{
    uint32_t c = SLR_NONE;
    pthread_mutex_lock(&s->pool.lock);
    if (s->leg_chunks[leg] < s->leg_chunk_max) {
        c = slr_pool_take(&s->pool);
        s->leg_chunks[leg] += c != SLR_NONE;
        s->chunks_taken += c != SLR_NONE;
    }
    pthread_mutex_unlock(&s->pool.lock);
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
    pthread_mutex_lock(&s->pool.lock);
    s->leg_chunks[s->chunk[chunk].leg]--;
    slr_pool_put(&s->pool, chunk);
    pthread_mutex_unlock(&s->pool.lock);
}

uint32_t slr_state_chunks_free(struct slr_state *s)
{
    return slr_pool_left(&s->pool);
}

void slr_state_memory(struct slr_state *s, uint64_t *free_bytes, uint64_t *used_bytes,
                      uint64_t *taken_bytes)
{
    *free_bytes = (uint64_t)slr_pool_left(&s->pool) * SLR_CHUNK_BYTES;
    pthread_mutex_lock(&s->pool.lock);
    *used_bytes = (uint64_t)s->pool.used * SLR_CHUNK_BYTES;
    *taken_bytes = s->chunks_taken * SLR_CHUNK_BYTES;
    pthread_mutex_unlock(&s->pool.lock);
}

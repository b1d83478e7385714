/*
 * pool: see the header. The lock is not held while the keeper takes or gives back memory; who finds
 * no free chunk with memory takes an extent himself, which is slow (a millisecond).
 */
#include "engine/pool.h"

#include <stdlib.h>
#include <time.h>

#include "common/log.h"

#define WORD_BITS 64u

static uint32_t chunks_of(const struct slr_pool *p, uint32_t extent)
{
    uint32_t left = p->chunk_max - extent * SLR_EXTENT_CHUNKS;
    return left < SLR_EXTENT_CHUNKS ? left : SLR_EXTENT_CHUNKS;
}

static const uint8_t *extent_at(const struct slr_pool *p, uint32_t extent)
{
    return p->at + (size_t)extent * SLR_EXTENT_CHUNKS * p->chunk_bytes;
}

static size_t extent_bytes(const struct slr_pool *p, uint32_t extent)
{
    return (size_t)chunks_of(p, extent) * p->chunk_bytes;
}

static void set_open(struct slr_pool *p, uint32_t extent, bool on)
{
    uint32_t word = extent / WORD_BITS;
    uint64_t bit = 1ULL << extent % WORD_BITS;
    p->open[word] = on ? p->open[word] | bit : p->open[word] & ~bit;
    if (on && word < p->lowest) {
        p->lowest = word;
    }
}

/* The extent has memory from now on; used: as in init, NULL: nothing of it is. rest: what is not
 * used has memory, too. */
static void make_ready(struct slr_pool *p, uint32_t extent, const uint8_t *used, bool rest)
{
    struct slr_extent *e = &p->extent[extent];
    uint32_t first = extent * SLR_EXTENT_CHUNKS;
    e->head = SLR_POOL_NONE;
    e->free = 0;
    for (uint32_t i = chunks_of(p, extent); i > 0; i--) {
        uint32_t c = first + i - 1;
        if (used && used[c]) {
            p->used++;
            continue;
        }
        if (!rest) {
            continue;
        }
        p->next[c] = e->head;
        e->head = c;
        e->free++;
    }
    e->state = SLR_EXTENT_READY;
    p->free_ready += e->free;
    set_open(p, extent, e->free > 0);
}

static bool any_used(const struct slr_pool *p, uint32_t extent, const uint8_t *used)
{
    for (uint32_t i = 0; i < chunks_of(p, extent); i++) {
        if (used[extent * SLR_EXTENT_CHUNKS + i]) {
            return true;
        }
    }
    return false;
}

static enum slr_err init_lock(struct slr_pool *p)
{
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr) != 0) {
        return SLR_NOMEM;
    }
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&p->wake, &attr);
    (void)pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_destroy(&attr);
    return SLR_OK;
}

enum slr_err slr_pool_init(struct slr_pool *p, struct slr_space *space, const void *at,
                           uint32_t chunk_bytes, uint32_t chunk_max, const uint8_t *used)
{
    uint32_t extents = (chunk_max + SLR_EXTENT_CHUNKS - 1) / SLR_EXTENT_CHUNKS;
    *p = (struct slr_pool){.space = space,
                           .at = at,
                           .chunk_bytes = chunk_bytes,
                           .chunk_max = chunk_max,
                           .extent_count = extents};
    enum slr_err err = init_lock(p);
    if (err != SLR_OK) {
        return err;
    }
    p->extent = calloc(extents + 1, sizeof *p->extent);
    p->next = calloc(chunk_max + 1, sizeof *p->next);
    p->open = calloc(extents / WORD_BITS + 1, sizeof *p->open);
    if (!p->extent || !p->next || !p->open) {
        return SLR_NOMEM;
    }
    for (uint32_t i = 0; i < extents; i++) {
        if (any_used(p, i, used)) {
            make_ready(p, i, used, slr_space_take(space, extent_at(p, i), extent_bytes(p, i)));
        } else {
            slr_space_give(space, extent_at(p, i), extent_bytes(p, i));
        }
    }
    p->least_free = p->free_ready;
    return SLR_OK;
}

void slr_pool_fini(struct slr_pool *p)
{
    if (p->space) {
        pthread_mutex_destroy(&p->lock);
        pthread_cond_destroy(&p->wake);
    }
    free(p->extent);
    free(p->next);
    free(p->open);
    *p = (struct slr_pool){.extent_count = 0};
}

/* The lowest hole, which is the caller's until it is ready or a hole again. */
static uint32_t claim_hole(struct slr_pool *p)
{
    for (uint32_t i = 0; i < p->extent_count; i++) {
        if (p->extent[i].state == SLR_EXTENT_HOLE) {
            p->extent[i].state = SLR_EXTENT_BUSY;
            return i;
        }
    }
    return SLR_POOL_NONE;
}

static bool is_room(struct slr_pool *p, uint32_t extent)
{
    return slr_space_left(p->space) >= extent_bytes(p, extent);
}

/* The memory of a claimed extent was taken, or there was none. */
static bool settle(struct slr_pool *p, uint32_t extent, bool taken)
{
    if (taken) {
        make_ready(p, extent, NULL, true);
        p->refused = 0;
        return true;
    }
    p->extent[extent].state = SLR_EXTENT_HOLE;
    if (p->refused++ == 0) {
        SLR_ERROR("packet_memory_short", "have_mb=%llu limit_mb=%llu hint=%s",
                  (unsigned long long)(((uint64_t)p->free_ready + p->used) * p->chunk_bytes >> 20),
                  (unsigned long long)((uint64_t)p->chunk_max * p->chunk_bytes >> 20),
                  SLR_Q("the machine has no more memory for packets that wait"));
    }
    return false;
}

enum slr_err slr_pool_fill(struct slr_pool *p)
{
    for (uint32_t i = 0; i < p->extent_count; i++) {
        if (p->extent[i].state == SLR_EXTENT_HOLE) {
            if (!slr_space_take_huge(p->space, extent_at(p, i), extent_bytes(p, i))) {
                return SLR_NOMEM;
            }
            make_ready(p, i, NULL, true);
        }
    }
    p->kept = true;
    return SLR_OK;
}

static uint32_t lowest_open(struct slr_pool *p)
{
    uint32_t words = p->extent_count / WORD_BITS + 1;
    while (p->lowest < words && p->open[p->lowest] == 0) {
        p->lowest++;
    }
    return p->lowest < words ? p->lowest * WORD_BITS + (uint32_t)__builtin_ctzll(p->open[p->lowest])
                             : SLR_POOL_NONE;
}

/* Fewer are to be got before they are needed. */
static uint32_t low_mark(const struct slr_pool *p)
{
    return SLR_EXTENT_CHUNKS / 4 + p->used / 128;
}

/* An extent at once. SLR_POOL_NONE: there is none, or no memory. */
static uint32_t grow_now(struct slr_pool *p)
{
    if (p->refused > 0 && p->refused++ % SLR_EXTENT_CHUNKS != 0) {
        return SLR_POOL_NONE; /* asking costs more than a packet */
    }
    uint32_t extent = claim_hole(p);
    if (extent == SLR_POOL_NONE) {
        return SLR_POOL_NONE;
    }
    bool taken = is_room(p, extent) &&
                 slr_space_take(p->space, extent_at(p, extent), extent_bytes(p, extent));
    return settle(p, extent, taken) ? extent : SLR_POOL_NONE;
}

uint32_t slr_pool_take(struct slr_pool *p)
{
    uint32_t extent = lowest_open(p);
    extent = extent == SLR_POOL_NONE ? grow_now(p) : extent;
    if (extent == SLR_POOL_NONE) {
        return SLR_POOL_NONE;
    }
    struct slr_extent *e = &p->extent[extent];
    uint32_t chunk = e->head;
    e->head = p->next[chunk];
    e->free--;
    p->used++;
    p->free_ready--;
    if (e->free == 0) {
        set_open(p, extent, false);
    }
    p->least_free = p->free_ready < p->least_free ? p->free_ready : p->least_free;
    if (p->free_ready < low_mark(p) && !p->wants) {
        p->wants = true;
        pthread_cond_signal(&p->wake);
    }
    return chunk;
}

void slr_pool_put(struct slr_pool *p, uint32_t chunk)
{
    struct slr_extent *e = &p->extent[chunk / SLR_EXTENT_CHUNKS];
    p->next[chunk] = e->head;
    e->head = chunk;
    e->free++;
    p->used--;
    p->free_ready++;
    if (e->free == 1) {
        set_open(p, chunk / SLR_EXTENT_CHUNKS, true);
    }
}

uint32_t slr_pool_left(struct slr_pool *p)
{
    uint64_t more = slr_space_left(p->space) / p->chunk_bytes;
    pthread_mutex_lock(&p->lock);
    uint64_t holes = p->chunk_max - p->used - p->free_ready;
    uint64_t left = p->free_ready + (more < holes ? more : holes);
    pthread_mutex_unlock(&p->lock);
    return (uint32_t)left;
}

uint64_t slr_pool_bytes(struct slr_pool *p)
{
    pthread_mutex_lock(&p->lock);
    uint64_t chunks = (uint64_t)p->used + p->free_ready;
    pthread_mutex_unlock(&p->lock);
    return chunks * p->chunk_bytes;
}

/* Takes an extent, without the lock while that lasts. False: there is none, or no memory. */
static bool grow(struct slr_pool *p)
{
    uint32_t extent = claim_hole(p);
    if (extent == SLR_POOL_NONE) {
        return false;
    }
    pthread_mutex_unlock(&p->lock);
    bool taken = is_room(p, extent) &&
                 slr_space_take_huge(p->space, extent_at(p, extent), extent_bytes(p, extent));
    pthread_mutex_lock(&p->lock);
    return settle(p, extent, taken);
}

/* Gives back the highest extent that nobody uses. */
static bool shrink(struct slr_pool *p)
{
    uint32_t i = p->extent_count;
    while (i > 0 && (p->extent[i - 1].state != SLR_EXTENT_READY ||
                     p->extent[i - 1].free < chunks_of(p, i - 1))) {
        i--;
    }
    if (i == 0) {
        return false;
    }
    struct slr_extent *e = &p->extent[i - 1];
    e->state = SLR_EXTENT_BUSY;
    p->free_ready -= e->free;
    set_open(p, i - 1, false);
    pthread_mutex_unlock(&p->lock);
    slr_space_give(p->space, extent_at(p, i - 1), extent_bytes(p, i - 1));
    pthread_mutex_lock(&p->lock);
    e->state = SLR_EXTENT_HOLE;
    return true;
}

void slr_pool_tend(struct slr_pool *p, int64_t now_ns)
{
    pthread_mutex_lock(&p->lock);
    while (p->free_ready < low_mark(p) && grow(p)) {
    }
    if (p->rested_ns == 0) {
        p->rested_ns = now_ns;
    }
    if (!p->kept && now_ns - p->rested_ns >= SLR_POOL_REST_NS) {
        uint32_t keep = low_mark(p) + 2 * SLR_EXTENT_CHUNKS;
        uint32_t spare = p->least_free > keep ? (p->least_free - keep) / SLR_EXTENT_CHUNKS : 0;
        while (spare > 0 && shrink(p)) {
            spare--;
        }
        p->rested_ns = now_ns;
        p->least_free = p->free_ready;
    }
    pthread_mutex_unlock(&p->lock);
}

void slr_pool_wait(struct slr_pool *p, int64_t until_ns)
{
    struct timespec until = {until_ns / 1000000000, until_ns % 1000000000};
    pthread_mutex_lock(&p->lock);
    int rc = 0;
    while (!p->wants && rc == 0) {
        rc = pthread_cond_timedwait(&p->wake, &p->lock, &until);
    }
    p->wants = false; /* only here: one that comes while the pool is tended is not forgotten */
    pthread_mutex_unlock(&p->lock);
}

void slr_pool_wake(struct slr_pool *p)
{
    pthread_mutex_lock(&p->lock);
    p->wants = true;
    pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

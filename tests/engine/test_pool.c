/*
 * Pool: chunks and the memory they have. No memory is a file that can't be written to.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "engine/pool.h"

#define CHUNK 4096u
#define EXTENTS 6u
#define CHUNKS (EXTENTS * SLR_EXTENT_CHUNKS - 100u) /* the last one is not whole */

struct place {
    struct slr_space space;
    struct slr_pool pool;
    char path[64];
    uint8_t used[CHUNKS];
    int read_only;
};

static void begin(struct place *p)
{
    *p = (struct place){.space = {.fd = -1}};
    slr_log_init("test", SLR_LOG_ERROR + 1);
    snprintf(p->path, sizeof p->path, "/tmp/slr-pool-XXXXXX");
    p->space.fd = mkstemp(p->path);
    p->read_only = open(p->path, O_RDONLY | O_CLOEXEC);
    cr_assert(p->space.fd >= 0 && p->read_only >= 0);
    cr_assert_eq(ftruncate(p->space.fd, (off_t)CHUNKS * CHUNK), 0);
    p->space.base =
        mmap(NULL, (size_t)CHUNKS * CHUNK, PROT_READ | PROT_WRITE, MAP_SHARED, p->space.fd, 0);
    cr_assert_neq((void *)p->space.base, MAP_FAILED);
}

static void start(struct place *p)
{
    cr_assert_eq(slr_pool_init(&p->pool, &p->space, p->space.base, CHUNK, CHUNKS, p->used), SLR_OK);
}

static void end(struct place *p)
{
    slr_pool_fini(&p->pool);
    munmap(p->space.base, (size_t)CHUNKS * CHUNK);
    close(p->space.fd);
    close(p->read_only);
    unlink(p->path);
}

/* The file has that much, and perhaps what its file system needs to know where that is. */
static void check_file(const struct place *p, uint64_t bytes)
{
    struct stat st;
    cr_assert_eq(fstat(p->read_only, &st), 0);
    uint64_t has = (uint64_t)st.st_blocks * 512u;
    cr_assert(has >= bytes && has <= bytes + 65536, "%llu bytes", (unsigned long long)has);
}

/* What is taken can be written to, and is nobody else's. */
static void take_many(struct place *p, uint32_t *got, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        got[i] = slr_pool_take(&p->pool);
        cr_assert_lt(got[i], CHUNKS);
        cr_assert_eq(p->used[got[i]], 0);
        p->used[got[i]] = 1;
        p->space.base[(size_t)got[i] * CHUNK] = 1;
    }
}

static void put_many(struct place *p, const uint32_t *got, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        p->used[got[i]] = 0;
        slr_pool_put(&p->pool, got[i]);
    }
}

Test(pool, memory_comes_with_need)
{
    struct place p;
    static uint32_t got[CHUNKS];
    begin(&p);
    start(&p);
    cr_assert_eq(slr_pool_bytes(&p.pool), 0u);
    cr_assert_eq(slr_pool_left(&p.pool), CHUNKS);
    take_many(&p, got, 10);
    cr_assert_eq(slr_pool_bytes(&p.pool), SLR_EXTENT_CHUNKS * CHUNK);
    check_file(&p, SLR_EXTENT_CHUNKS * CHUNK);
    cr_assert_eq(slr_pool_left(&p.pool), CHUNKS - 10);
    take_many(&p, got + 10, CHUNKS - 10);
    cr_assert_eq(slr_pool_take(&p.pool), SLR_POOL_NONE);
    cr_assert_eq(slr_pool_left(&p.pool), 0u);
    cr_assert_eq(slr_pool_bytes(&p.pool), (uint64_t)CHUNKS * CHUNK);
    put_many(&p, got, CHUNKS);
    cr_assert_eq(slr_pool_left(&p.pool), CHUNKS);
    end(&p);
}

/* So that those above become free as a whole. */
Test(pool, the_lowest_extent_comes_first)
{
    struct place p;
    static uint32_t got[CHUNKS];
    begin(&p);
    start(&p);
    take_many(&p, got, 4 * SLR_EXTENT_CHUNKS);
    put_many(&p, got, 4 * SLR_EXTENT_CHUNKS);
    for (uint32_t i = 0; i < SLR_EXTENT_CHUNKS; i++) {
        cr_assert_lt(slr_pool_take(&p.pool), SLR_EXTENT_CHUNKS);
    }
    cr_assert_geq(slr_pool_take(&p.pool), SLR_EXTENT_CHUNKS);
    end(&p);
}

Test(pool, the_keeper_is_ahead)
{
    struct place p;
    static uint32_t got[CHUNKS];
    begin(&p);
    start(&p);
    slr_pool_tend(&p.pool, 1);
    cr_assert_eq(slr_pool_bytes(&p.pool), SLR_EXTENT_CHUNKS * CHUNK);
    take_many(&p, got, SLR_EXTENT_CHUNKS * 3 / 4 - 10);
    cr_assert_not(p.pool.wants);
    take_many(&p, got, 20);
    cr_assert(p.pool.wants);
    slr_pool_wait(&p.pool, INT64_MAX); /* returns */
    slr_pool_tend(&p.pool, 2);
    cr_assert_not(p.pool.wants);
    cr_assert_eq(slr_pool_bytes(&p.pool), 2 * SLR_EXTENT_CHUNKS * CHUNK);
    end(&p);
}

/* What a stall of the disk took is given back when it has not been needed for a while. */
Test(pool, what_rests_is_given_back)
{
    struct place p;
    static uint32_t got[CHUNKS];
    begin(&p);
    start(&p);
    slr_pool_tend(&p.pool, 1);
    take_many(&p, got, CHUNKS);
    slr_pool_tend(&p.pool, 2);
    put_many(&p, got + 100, CHUNKS - 100); /* the lowest ones stay used */
    slr_pool_tend(&p.pool, SLR_POOL_REST_NS);
    cr_assert_eq(slr_pool_bytes(&p.pool), (uint64_t)CHUNKS * CHUNK);
    slr_pool_tend(&p.pool, SLR_POOL_REST_NS + 1); /* little was free at its start */
    cr_assert_eq(slr_pool_bytes(&p.pool), (uint64_t)CHUNKS * CHUNK);
    slr_pool_tend(&p.pool, 2 * SLR_POOL_REST_NS + 1);
    uint64_t left = slr_pool_bytes(&p.pool);
    cr_assert_lt(left, (uint64_t)CHUNKS * CHUNK);
    cr_assert_geq(left, 2 * SLR_EXTENT_CHUNKS * CHUNK);
    check_file(&p, left);
    cr_assert_eq(slr_pool_left(&p.pool), CHUNKS - 100);
    take_many(&p, got + 100, CHUNKS - 100); /* and is taken again */
    end(&p);
}

/* An operator who asks for so much has it, however long nothing needs it. */
Test(pool, what_was_asked_for_is_kept)
{
    struct place p;
    begin(&p);
    start(&p);
    cr_assert_eq(slr_pool_fill(&p.pool), SLR_OK);
    for (int64_t i = 0; i < 6; i++) {
        slr_pool_tend(&p.pool, 1 + i * SLR_POOL_REST_NS);
    }
    cr_assert_eq(slr_pool_bytes(&p.pool), (uint64_t)CHUNKS * CHUNK);
    end(&p);
}

/* Whoever wakes the keeper while it tends the pool is heard after that: a wait would not end. */
Test(pool, a_wake_in_between_is_not_lost, .timeout = 20)
{
    struct place p;
    begin(&p);
    start(&p);
    slr_pool_wake(&p.pool);
    slr_pool_tend(&p.pool, 1);
    slr_pool_wait(&p.pool, INT64_MAX);
    cr_assert_not(p.pool.wants);
    end(&p);
}

Test(pool, no_memory)
{
    struct place p;
    static uint32_t got[CHUNKS];
    begin(&p);
    start(&p);
    int fd = p.space.fd;
    take_many(&p, got, SLR_EXTENT_CHUNKS);
    p.space.fd = p.read_only;
    for (uint32_t i = 0; i < 10; i++) {
        cr_assert_eq(slr_pool_take(&p.pool), SLR_POOL_NONE);
    }
    slr_pool_tend(&p.pool, 1);
    cr_assert_eq(slr_pool_take(&p.pool), SLR_POOL_NONE);
    cr_assert_eq(slr_pool_fill(&p.pool), SLR_NOMEM);
    put_many(&p, got, 1); /* what is given back serves */
    take_many(&p, got, 1);
    p.space.fd = fd;
    slr_pool_tend(&p.pool, 2);
    take_many(&p, got, 1);
    end(&p);
}

/* Nobody tends a run without threads: it asks again by itself. */
Test(pool, memory_is_back)
{
    struct place p;
    begin(&p);
    start(&p);
    int fd = p.space.fd;
    p.space.fd = p.read_only;
    cr_assert_eq(slr_pool_take(&p.pool), SLR_POOL_NONE);
    p.space.fd = fd;
    uint32_t tries = 0;
    while (slr_pool_take(&p.pool) == SLR_POOL_NONE) {
        cr_assert_lt(++tries, 10000u);
    }
    end(&p);
}

/* A new process: what queues hold stays, the memory of all other extents goes back. */
Test(pool, begins_with_what_is_used)
{
    struct place p;
    static uint32_t got[CHUNKS];
    begin(&p);
    start(&p);
    take_many(&p, got, 3 * SLR_EXTENT_CHUNKS);
    slr_pool_fini(&p.pool);
    for (uint32_t c = 0; c < CHUNKS; c++) {
        p.used[c] = c == SLR_EXTENT_CHUNKS + 7;
    }
    start(&p);
    check_file(&p, SLR_EXTENT_CHUNKS * CHUNK);
    cr_assert_eq(p.space.base[(SLR_EXTENT_CHUNKS + 7) * (size_t)CHUNK], 1);
    cr_assert_eq(slr_pool_left(&p.pool), CHUNKS - 1);
    take_many(&p, got, CHUNKS - 1);
    cr_assert_eq(slr_pool_take(&p.pool), SLR_POOL_NONE);
    end(&p);
}

Test(pool, all_at_once)
{
    struct place p;
    begin(&p);
    start(&p);
    cr_assert_eq(slr_pool_fill(&p.pool), SLR_OK);
    check_file(&p, (uint64_t)CHUNKS * CHUNK);
    cr_assert_eq(slr_pool_bytes(&p.pool), (uint64_t)CHUNKS * CHUNK);
    end(&p);
}

/*
 * State: the file that survives the process, its free list, and lists of intervals. A death is
 * slr_state_close without cleaning up; it may come between any two stores.
 */
#include <sys/mman.h>

#include "engine/queue.h"
#include "tests/engine/drive.h"

struct place {
    char root[64], dir[96];
};

static void make_place(struct place *p)
{
    slr_log_init("test", SLR_LOG_ERROR + 1);
    snprintf(p->root, sizeof p->root, "/tmp/slr-state-XXXXXX");
    cr_assert_not_null(mkdtemp(p->root));
    snprintf(p->dir, sizeof p->dir, "%s/state", p->root);
}

static void remove_place(struct place *p)
{
    cr_assert_eq(nftw(p->root, fx_remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static struct slr_state *open_state(const struct place *p, uint32_t legs, uint32_t chunks)
{
    struct slr_state *s = NULL;
    cr_assert_eq(slr_state_open(p->dir, legs, chunks, &s), SLR_OK);
    return s;
}

Test(state, opens_empty_and_private)
{
    struct place p;
    struct stat st;
    char path[128];
    make_place(&p);
    struct slr_state *s = open_state(&p, 4, 64);
    cr_assert_not(s->restored);
    cr_assert_eq(slr_state_chunks_free(s), 64u);
    snprintf(path, sizeof path, "%s/engine.state", p.dir);
    cr_assert_eq(stat(path, &st), 0);
    cr_assert_eq(st.st_mode & 0777, 0600u);
    slr_state_close(s, true);
    cr_assert_eq(stat(path, &st), 0);
    cr_assert_eq(st.st_size, 0);
    remove_place(&p);
}

Test(state, one_engine_at_a_time)
{
    struct place p;
    struct slr_state *second = NULL;
    make_place(&p);
    struct slr_state *s = open_state(&p, 4, 64);
    cr_assert_eq(slr_state_open(p.dir, 4, 64, &second), SLR_BUSY);
    slr_state_close(s, false);
    second = open_state(&p, 4, 64);
    slr_state_close(second, true);
    remove_place(&p);
}

/* Sizes that changed, and what is no state file at all: put aside, never half used. */
Test(state, an_unusable_file_is_kept_aside)
{
    struct place p;
    char path[128];
    char old[140];
    make_place(&p);
    struct slr_state *s = open_state(&p, 4, 64);
    atomic_store(&s->session[0].state, SLR_SESSION_OPEN);
    slr_state_close(s, false);
    s = open_state(&p, 8, 64);
    cr_assert_not(s->restored);
    slr_state_close(s, false);
    snprintf(path, sizeof path, "%s/engine.state", p.dir);
    snprintf(old, sizeof old, "%s.old", path);
    cr_assert_eq(access(old, F_OK), 0);
    cr_assert_eq(truncate(path, 100), 0);
    s = open_state(&p, 8, 64);
    cr_assert_not(s->restored);
    slr_state_close(s, true);
    remove_place(&p);
}

Test(state, another_boot_is_noticed)
{
    struct place p;
    make_place(&p);
    struct slr_state *s = open_state(&p, 4, 64);
    atomic_store(&s->session[0].state, SLR_SESSION_OPEN);
    snprintf(s->header->boot_id, sizeof s->header->boot_id, "another");
    slr_state_close(s, false);
    s = open_state(&p, 4, 64);
    cr_assert(s->restored);
    cr_assert(s->rebooted);
    slr_state_close(s, false);
    s = open_state(&p, 4, 64);
    cr_assert_not(s->rebooted);
    slr_state_close(s, true);
    remove_place(&p);
}

Test(state, chunks_run_out_and_come_back)
{
    struct place p;
    uint32_t got[64];
    make_place(&p);
    struct slr_state *s = open_state(&p, 4, 64);
    for (uint32_t i = 0; i < 64; i++) {
        got[i] = slr_state_chunk_take(s, i % 4);
        cr_assert_lt(got[i], 64u);
        for (uint32_t k = 0; k < i; k++) {
            cr_assert_neq(got[i], got[k]);
        }
    }
    cr_assert_eq(slr_state_chunk_take(s, 0), SLR_NONE);
    for (uint32_t i = 0; i < 64; i++) {
        slr_state_chunk_put(s, got[i]);
    }
    cr_assert_eq(slr_state_chunks_free(s), 64u);
    slr_state_close(s, true);
    remove_place(&p);
}

/* A flood on one leg leaves memory for the others. */
Test(state, one_leg_takes_a_part_only)
{
    struct place p;
    make_place(&p);
    struct slr_state *s = open_state(&p, 4, 2048);
    uint32_t taken = 0;
    while (slr_state_chunk_take(s, 1) != SLR_NONE) {
        taken++;
    }
    cr_assert_eq(taken, 512u);
    cr_assert_neq(slr_state_chunk_take(s, 2), SLR_NONE);
    slr_state_close(s, true);
    remove_place(&p);
}

static void start_queue(struct slr_state *s, uint32_t leg, uint32_t leg_state)
{
    atomic_store(&s->leg[leg].queue_head, SLR_NONE);
    s->run[leg].queue_tail = SLR_NONE;
    atomic_store(&s->leg[leg].state, leg_state);
}

static void put(struct slr_state *s, uint32_t leg, uint32_t n)
{
    static const uint8_t payload[1000];
    for (uint32_t i = 0; i < n; i++) {
        struct slr_rec rec = {.pos_ticks = i * 100, .dur_ticks = 100, .len_bytes = 1000};
        cr_assert_eq(slr_queue_put(s, leg, &rec, payload), SLR_OK);
    }
}

/* Each chunk is in exactly one place after a death: a queue, or the free list. */
static void check_chunks(struct slr_state *s)
{
    uint8_t *count = calloc(s->chunk_max, 1);
    cr_assert_not_null(count);
    for (uint32_t i = 0; i < s->pool.extent_count; i++) {
        bool ready = s->pool.extent[i].state == SLR_EXTENT_READY;
        uint32_t c = ready ? s->pool.extent[i].head : i * SLR_EXTENT_CHUNKS;
        uint32_t end =
            (i + 1) * SLR_EXTENT_CHUNKS < s->chunk_max ? (i + 1) * SLR_EXTENT_CHUNKS : s->chunk_max;
        for (; ready ? c != SLR_NONE : c < end; c = ready ? s->pool.next[c] : c + 1) {
            cr_assert_lt(c, s->chunk_max);
            count[c]++;
        }
    }
    for (uint32_t leg = 0; leg < s->leg_max; leg++) {
        if (atomic_load(&s->leg[leg].state) == SLR_LEG_FREE) {
            continue;
        }
        for (uint32_t c = atomic_load(&s->leg[leg].queue_head); c != SLR_NONE;
             c = atomic_load(&s->chunk[c].next)) {
            count[c]++;
        }
    }
    for (uint32_t c = 0; c < s->chunk_max; c++) {
        cr_assert_eq(count[c], 1, "chunk %u is in %u places", c, count[c]);
    }
    free(count);
}

Test(state, queues_survive_a_death)
{
    struct place p;
    make_place(&p);
    struct slr_state *s = open_state(&p, 4, 64);
    atomic_store(&s->session[0].state, SLR_SESSION_OPEN);
    start_queue(s, 0, SLR_LEG_OPEN);
    start_queue(s, 2, SLR_LEG_CLOSED);
    put(s, 0, 20);
    put(s, 2, 7);
    slr_queue_free_until(s, 0, 700);
    (void)slr_state_chunk_take(s, 0); /* taken, and then the end: linked nowhere */
    slr_state_close(s, false);
    s = open_state(&p, 4, 64);
    cr_assert(s->restored);
    check_chunks(s);
    put(s, 0, 3); /* the tail is where it was */
    struct slr_queue_walk walk = {0};
    uint32_t n = 0;
    while (slr_queue_next(s, 0, &walk)) {
        n++;
    }
    cr_assert_eq(n, 20 - 6 + 3u);
    check_chunks(s);
    slr_state_close(s, true);
    remove_place(&p);
}

/* Legs that no session has: their chunks are theirs until the owner of legs gives them back. */
Test(state, queues_without_a_session)
{
    struct place p;
    make_place(&p);
    struct slr_state *s = open_state(&p, 4, 64);
    start_queue(s, 1, SLR_LEG_OPEN);
    put(s, 1, 9);
    slr_state_close(s, false);
    s = open_state(&p, 4, 64);
    check_chunks(s);
    slr_queue_reset(s, 1);
    atomic_store(&s->leg[1].state, SLR_LEG_FREE);
    cr_assert_eq(slr_state_chunks_free(s), 64u);
    check_chunks(s);
    slr_state_close(s, true);
    remove_place(&p);
}

/* Links that a torn write left behind are cut, not followed. */
Test(state, links_that_lead_nowhere_are_cut)
{
    struct place p;
    make_place(&p);
    struct slr_state *s = open_state(&p, 4, 64);
    start_queue(s, 0, SLR_LEG_OPEN);
    start_queue(s, 1, SLR_LEG_OPEN);
    start_queue(s, 2, SLR_LEG_OPEN);
    put(s, 0, 9);
    put(s, 1, 9);
    uint32_t head = atomic_load(&s->leg[0].queue_head);
    atomic_store(&s->chunk[s->run[0].queue_tail].next, head);     /* a circle */
    atomic_store(&s->chunk[s->run[1].queue_tail].next, 1000000u); /* out of range */
    atomic_store(&s->leg[2].queue_head, 5000u);
    slr_state_close(s, false);
    s = open_state(&p, 4, 64);
    check_chunks(s);
    slr_state_close(s, true);
    remove_place(&p);
}

Test(state, intervals_touch_half_open)
{
    struct slr_intervals list = {0};
    int64_t a = 0;
    int64_t b = 0;
    cr_assert_not(slr_intervals_touch(&list, 0, 100, &a, &b));
    slr_intervals_open(&list, 10);
    cr_assert(slr_intervals_touch(&list, 1000, 1001, &a, &b));
    slr_intervals_close(&list, 20);
    cr_assert_not(slr_intervals_touch(&list, 0, 10, &a, &b));
    cr_assert(slr_intervals_touch(&list, 0, 11, &a, &b));
    cr_assert(slr_intervals_touch(&list, 19, 30, &a, &b));
    cr_assert_not(slr_intervals_touch(&list, 20, 30, &a, &b));
    cr_assert_eq(a, 10);
    cr_assert_eq(b, 20);
    struct slr_intervals none = {0};
    slr_intervals_close(&none, 5);
    cr_assert_eq(atomic_load(&none.count), 0u);
}

/* When the list is full the last entry takes what comes: rather too much than too little. */
Test(state, intervals_when_full_widen)
{
    static struct {
        struct slr_intervals list;
        struct slr_interval far[SLR_INTERVALS - SLR_INTERVALS_NEAR];
    } both = {.list = {.far_bytes = sizeof both.list}};
    struct slr_intervals *list = &both.list;
    int64_t a = 0;
    int64_t b = 0;
    for (int64_t i = 0; i < SLR_INTERVALS + 10; i++) {
        cr_assert_eq(slr_intervals_full(list), i >= SLR_INTERVALS);
        slr_intervals_open(list, i * 100);
        for (int64_t k = 0; k <= i; k++) {
            cr_assert(slr_intervals_touch(list, k * 100, k * 100 + 50, &a, &b));
        }
        slr_intervals_close(list, i * 100 + 50);
        cr_assert(slr_intervals_touch(list, i * 100, i * 100 + 50, &a, &b));
        cr_assert_not(slr_intervals_touch(list, i * 100 + 50, i * 100 + 60, &a, &b));
    }
    cr_assert_eq(atomic_load(&list->count), SLR_INTERVALS);
    cr_assert_not(slr_intervals_touch(list, 50, 100, &a, &b));
}

/* Without room apart from it a list has room for few, and widens as one that is full. */
Test(state, intervals_without_room_widen)
{
    struct slr_intervals list = {0};
    int64_t a = 0;
    int64_t b = 0;
    for (int64_t i = 0; i < SLR_INTERVALS_NEAR + 3; i++) {
        slr_intervals_open(&list, i * 100);
        cr_assert(slr_intervals_touch(&list, i * 100, i * 100 + 1, &a, &b));
        slr_intervals_close(&list, i * 100 + 50);
    }
    cr_assert_eq(atomic_load(&list.count), SLR_INTERVALS_NEAR);
}

/* What lies apart is found again by the next process, at another address. */
Test(state, lists_that_lie_apart_survive)
{
    struct place p;
    make_place(&p);
    struct slr_state *s = open_state(&p, 4, 64);
    atomic_store(&s->session[0].state, SLR_SESSION_OPEN);
    slr_leg_rare_join(&s->leg[2]);
    for (int64_t i = 0; i < 5; i++) {
        slr_intervals_open(&s->leg[2].holds, i * 10);
        slr_intervals_close(&s->leg[2].holds, i * 10 + 5);
    }
    slr_leg_stream(&s->leg[2], 15)->ssrc = 77;
    void *hole = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    slr_state_close(s, false);
    s = open_state(&p, 4, 64);
    cr_assert_eq(atomic_load(&s->leg[2].holds.count), 5u);
    cr_assert_eq(slr_intervals_at(&s->leg[2].holds, 4)->start_ticks, 40);
    cr_assert_eq(slr_leg_stream(&s->leg[2], 15)->ssrc, 77u);
    cr_assert_eq(slr_leg_stream_number(&s->leg[2], slr_leg_stream(&s->leg[2], 15)), 15u);
    munmap(hole, 4096);
    slr_state_close(s, true);
    remove_place(&p);
}

/* What each stream takes, used or not: it is not to grow unnoticed (docs/architecture.md). */
Test(state, slots_are_small)
{
    cr_assert_leq(sizeof(struct slr_leg_run), 192u);
    cr_assert_leq(sizeof(struct slr_leg), 4224u);
    cr_assert_leq(sizeof(struct slr_session), 1024u);
}

/* Queue: records between worker and writer, in arrival order, until they are in the file. */
#include "engine/queue.h"
#include "tests/engine/drive.h"

struct one {
    char root[64], dir[96];
    struct slr_state *s;
};

static void begin(struct one *o, uint32_t chunks)
{
    slr_log_init("test", SLR_LOG_ERROR);
    snprintf(o->root, sizeof o->root, "/tmp/slr-queue-XXXXXX");
    cr_assert_not_null(mkdtemp(o->root));
    snprintf(o->dir, sizeof o->dir, "%s/state", o->root);
    cr_assert_eq(slr_state_open(o->dir, 2, chunks, &o->s), SLR_OK);
    atomic_store(&o->s->leg[1].queue_head, SLR_NONE);
    o->s->run[1].queue_tail = SLR_NONE;
}

static void end(struct one *o)
{
    slr_state_close(o->s, true);
    cr_assert_eq(nftw(o->root, fx_remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static enum slr_err put(struct one *o, int64_t pos, uint32_t dur, uint16_t len_bytes,
                        uint8_t segment)
{
    uint8_t payload[SLR_CHUNK_BYTES];
    struct slr_rec rec = {
        .pos_ticks = pos, .dur_ticks = dur, .len_bytes = len_bytes, .segment = segment};
    memset(payload, (int)(pos & 0xff), sizeof payload);
    return slr_queue_put(o->s, 1, &rec, payload);
}

static uint32_t count(struct one *o)
{
    struct slr_queue_walk walk = {0};
    uint32_t n = 0;
    while (slr_queue_next(o->s, 1, &walk)) {
        n++;
    }
    return n;
}

Test(queue, records_come_out_as_they_went_in)
{
    struct one o;
    begin(&o, 64);
    struct slr_queue_walk walk = {0};
    cr_assert_null(slr_queue_next(o.s, 1, &walk));
    for (uint32_t i = 0; i < 300; i++) {
        cr_assert_eq(put(&o, i, 1, (uint16_t)(i * 7 % 401), 0), SLR_OK);
    }
    walk = (struct slr_queue_walk){0};
    for (uint32_t i = 0; i < 300; i++) {
        const struct slr_rec *rec = slr_queue_next(o.s, 1, &walk);
        cr_assert_not_null(rec);
        cr_assert_eq(rec->pos_ticks, i);
        cr_assert_eq(rec->len_bytes, i * 7 % 401);
        for (uint32_t k = 0; k < rec->len_bytes; k++) {
            cr_assert_eq(slr_rec_payload(rec)[k], i & 0xff);
        }
        cr_assert_eq((uintptr_t)rec % 8, 0u);
    }
    cr_assert_null(slr_queue_next(o.s, 1, &walk));
    cr_assert_eq(put(&o, 300, 1, 10, 0), SLR_OK); /* a walk sees what came later */
    cr_assert_eq(slr_queue_next(o.s, 1, &walk)->pos_ticks, 300);
    end(&o);
}

Test(queue, the_largest_payload_fits_a_chunk)
{
    struct one o;
    begin(&o, 8);
    cr_assert_eq(put(&o, 1, 1, SLR_REC_MAX_PAYLOAD, 0), SLR_OK);
    cr_assert_eq(put(&o, 2, 1, SLR_REC_MAX_PAYLOAD + 1, 0), SLR_TOOLONG);
    cr_assert_eq(put(&o, 3, 1, SLR_REC_MAX_PAYLOAD, 0), SLR_OK);
    cr_assert_eq(count(&o), 2u);
    cr_assert_eq(slr_state_chunks_free(o.s), 6u);
    end(&o);
}

Test(queue, memory_that_is_all_taken)
{
    struct one o;
    begin(&o, 4);
    uint32_t n = 0;
    while (put(&o, n, 1, 1000, 0) == SLR_OK) {
        n++;
    }
    cr_assert_eq(n, 4 * 3u);
    cr_assert_eq(put(&o, n, 1, 1000, 0), SLR_FULL);
    cr_assert_eq(count(&o), n);
    slr_queue_free_until(o.s, 1, 3); /* the first chunk */
    cr_assert_eq(count(&o), n - 3);
    cr_assert_eq(put(&o, n, 1, 1000, 0), SLR_OK);
    slr_queue_reset(o.s, 1);
    cr_assert_eq(slr_state_chunks_free(o.s), 4u);
    cr_assert_eq(count(&o), 0u);
    cr_assert_eq(put(&o, 0, 1, 1000, 0), SLR_OK);
    cr_assert_eq(count(&o), 1u);
    end(&o);
}

/* The next chunk is fetched when the last one is full, once, and is neither in the queue nor lost.
 */
Test(queue, the_next_chunk_is_fetched_before)
{
    struct one o;
    begin(&o, 4);
    slr_queue_fetch(o.s, 1, 1000); /* nothing is queued yet */
    cr_assert_eq(slr_state_chunks_free(o.s), 4u);
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_eq(put(&o, i, 1, 1000, 0), SLR_OK);
        slr_queue_fetch(o.s, 1, 900);
        slr_queue_fetch(o.s, 1, 1000);
        cr_assert_eq(slr_state_chunks_free(o.s), i < 2 ? 3u : 2u);
    }
    cr_assert_eq(count(&o), 3u);
    cr_assert_eq(put(&o, 3, 1, 800, 0), SLR_OK); /* a shorter one still fits */
    cr_assert_eq(put(&o, 4, 1, 1000, 0), SLR_OK);
    cr_assert_eq(slr_state_chunks_free(o.s), 2u);
    cr_assert_eq(count(&o), 5u);
    while (put(&o, 5, 1, 1000, 0) == SLR_OK) {
        slr_queue_fetch(o.s, 1, 1000);
    }
    slr_queue_fetch(o.s, 1, 1000); /* there is none */
    cr_assert_eq(put(&o, 5, 1, 1000, 0), SLR_FULL);
    slr_queue_free_until(o.s, 1, 3);
    slr_queue_fetch(o.s, 1, 1000);
    cr_assert_eq(slr_state_chunks_free(o.s), 0u);
    slr_queue_reset(o.s, 1);
    cr_assert_eq(slr_state_chunks_free(o.s), 4u);
    end(&o);
}

Test(queue, a_fetched_chunk_is_free_after_a_death)
{
    struct one o;
    begin(&o, 4);
    atomic_store(&o.s->leg[1].state, SLR_LEG_OPEN);
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_eq(put(&o, i, 1, 1300, 0), SLR_OK);
    }
    slr_queue_fetch(o.s, 1, 1000);
    cr_assert_eq(slr_state_chunks_free(o.s), 2u);
    slr_state_close(o.s, false);
    cr_assert_eq(slr_state_open(o.dir, 2, 4, &o.s), SLR_OK);
    cr_assert_eq(slr_state_chunks_free(o.s), 3u);
    cr_assert_eq(put(&o, 3, 1, 1300, 0), SLR_OK);
    cr_assert_eq(count(&o), 4u);
    cr_assert_eq(slr_state_chunks_free(o.s), 2u);
    slr_queue_reset(o.s, 1);
    cr_assert_eq(slr_state_chunks_free(o.s), 4u);
    end(&o);
}

/* Nothing that the next block may need is given back; one late record keeps its chunk. */
Test(queue, only_what_is_past_is_freed)
{
    struct one o;
    begin(&o, 16);
    for (uint32_t i = 0; i < 9; i++) {
        cr_assert_eq(put(&o, i * 10, i == 4 ? 100 : 10, 1000, 0), SLR_OK);
    }
    slr_queue_free_until(o.s, 1, 29);
    cr_assert_eq(count(&o), 9u);
    slr_queue_free_until(o.s, 1, 30);
    cr_assert_eq(count(&o), 6u);
    slr_queue_free_until(o.s, 1, 139);
    cr_assert_eq(count(&o), 6u); /* number 4 ends at 140 */
    slr_queue_free_until(o.s, 1, 140);
    cr_assert_eq(count(&o), 3u); /* the last chunk stays with the worker */
    slr_queue_free_until(o.s, 1, INT64_MAX);
    cr_assert_eq(count(&o), 3u);
    end(&o);
}

/* Comfort noise has no length: where it stands at the block's end it belongs to the next one. */
Test(queue, a_record_without_length_waits_for_its_block)
{
    struct one o;
    begin(&o, 16);
    cr_assert_eq(put(&o, 100, 0, 4000, 0), SLR_OK);
    cr_assert_eq(put(&o, 200, 0, 4000, 0), SLR_OK);
    slr_queue_free_until(o.s, 1, 100);
    cr_assert_eq(count(&o), 2u);
    slr_queue_free_until(o.s, 1, 101);
    cr_assert_eq(count(&o), 1u);
    end(&o);
}

Test(queue, a_shift_moves_records_of_its_segment)
{
    struct one o;
    begin(&o, 16);
    cr_assert_eq(put(&o, 100, 10, 4000, 3), SLR_OK);
    cr_assert_eq(put(&o, 100, 10, 4000, 0), SLR_OK);
    cr_assert_eq(put(&o, 900, 10, 4000, 0), SLR_OK);
    atomic_store(&o.s->leg[1].segment_near[3].shift_ticks, -40);
    struct slr_queue_walk walk = {0};
    cr_assert_eq(slr_rec_ticks(&o.s->leg[1], slr_queue_next(o.s, 1, &walk)), 60);
    cr_assert_eq(slr_rec_ticks(&o.s->leg[1], slr_queue_next(o.s, 1, &walk)), 100);
    slr_queue_free_until(o.s, 1, 70);
    cr_assert_eq(count(&o), 2u);
    slr_queue_rebase(o.s, 1, 1000);
    atomic_store(&o.s->leg[1].segment_near[3].shift_ticks, 0);
    walk = (struct slr_queue_walk){0};
    cr_assert_eq(slr_queue_next(o.s, 1, &walk)->pos_ticks, 1100);
    cr_assert_eq(slr_queue_next(o.s, 1, &walk)->pos_ticks, 1900);
    end(&o);
}

/* Before a segment is moved: what would then lie where the file is written already. */
Test(queue, what_a_move_makes_late)
{
    struct one o;
    begin(&o, 16);
    for (uint32_t i = 0; i < 6; i++) {
        cr_assert_eq(put(&o, 1000 + i * 10, 10, 2000, i == 1 ? 0 : 3), SLR_OK);
    }
    struct slr_queue_mark mark = {atomic_load(&o.s->leg[1].queue_head), 0};
    struct slr_queue_mark last = slr_queue_last(o.s, 1, 2000);
    cr_assert_eq(slr_queue_late(o.s, 1, 3, -500, 509, &mark), 0);
    /* two, and one of another segment between them */
    cr_assert_eq(slr_queue_late(o.s, 1, 3, -500, 535, &mark), 20);
    cr_assert_eq(slr_queue_late(o.s, 1, 3, -510, 535, &mark), 10);
    cr_assert_eq(slr_queue_late(o.s, 1, 3, -900, 535, &mark), 20);
    cr_assert_eq(mark.chunk, SLR_NONE); /* that was all */
    cr_assert_neq(last.chunk, SLR_NONE);
    end(&o);
}

struct freeing {
    struct slr_state *s;
    _Atomic bool done;
};

static void *free_all(void *arg)
{
    struct freeing *f = arg;
    slr_queue_free_until(f->s, 1, INT64_MAX);
    atomic_store(&f->done, true);
    return NULL;
}

/* The writer says that it will, and waits for the walk's end. */
Test(queue, what_the_worker_walks_is_not_given_back)
{
    struct one o;
    struct slr_queue_walk walk = {0};
    pthread_t thread;
    begin(&o, 64);
    for (uint32_t i = 0; i < 100; i++) {
        cr_assert_eq(put(&o, i, 1, 160, 0), SLR_OK);
    }
    uint32_t head = atomic_load(&o.s->leg[1].queue_head);
    uint32_t left = slr_state_chunks_free(o.s);
    struct freeing f = {.s = o.s};
    cr_assert(slr_queue_keep(o.s, 1));
    cr_assert_eq(slr_queue_next(o.s, 1, &walk)->pos_ticks, 0);
    cr_assert_eq(pthread_create(&thread, NULL, free_all, &f), 0);
    while (!atomic_load(&o.s->leg_freed[1])) {
        sched_yield();
    }
    for (uint32_t i = 1; i < 100; i++) {
        cr_assert_eq(slr_queue_next(o.s, 1, &walk)->pos_ticks, i);
    }
    cr_assert_not(atomic_load(&f.done));
    cr_assert_eq(atomic_load(&o.s->leg[1].queue_head), head);
    cr_assert_eq(slr_state_chunks_free(o.s), left);
    slr_queue_keep_end(o.s, 1);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_gt(slr_state_chunks_free(o.s), left);
    end(&o);
}

/* ... and the worker for nobody. */
Test(queue, what_is_given_back_is_not_walked)
{
    struct one o;
    begin(&o, 16);
    atomic_store(&o.s->leg_freed[1], true);
    cr_assert_not(slr_queue_keep(o.s, 1));
    cr_assert_not(atomic_load(&o.s->leg_walked[1]));
    atomic_store(&o.s->leg_freed[1], false);
    cr_assert(slr_queue_keep(o.s, 1));
    cr_assert(atomic_load(&o.s->leg_walked[1]));
    slr_queue_keep_end(o.s, 1);
    end(&o);
}

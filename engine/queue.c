/*
 * queue: records in linked chunks. A record counts once the chunk's used_bytes covers it, a chunk
 * once its predecessor points to it; both are release stores, made after the content.
 */
#include "engine/queue.h"

#include <sched.h>
#include <string.h>

#include "common/prefetch.h"
#include "engine/missed.h"

/* Tail and use in one, as they are stored. */
union end {
    struct {
        uint32_t tail, used_bytes;
    } of;
    uint64_t both;
};

static void set_end(struct slr_leg_run *l, uint32_t tail, uint32_t used_bytes)
{
    union end end = {.of = {tail, used_bytes}};
    atomic_store_explicit(&l->queue_end, end.both, memory_order_release);
}

/* How much of a chunk counts: of the last one the leg knows it, the others do themselves. */
static uint32_t used_of(const struct slr_leg_run *l, const struct slr_chunk *chunk, uint32_t c)
{
    union end end = {.both = atomic_load_explicit(&l->queue_end, memory_order_acquire)};
    return end.of.tail == c ? end.of.used_bytes
                            : atomic_load_explicit(&chunk->used_bytes, memory_order_acquire);
}

/* SLR_NONE: no packet memory. */
static uint32_t next_chunk(struct slr_state *s, uint32_t leg)
{
    struct slr_leg_run *run = &s->run[leg];
    if (run->queue_spare == 0) {
        return slr_state_chunk_take(s, leg);
    }
    uint32_t c = run->queue_spare - 1;
    run->queue_spare = 0;
    slr_state_chunk_begin(s, leg, c);
    return c;
}

enum slr_err slr_queue_extend(struct slr_state *s, uint32_t leg)
{
    struct slr_leg_run *run = &s->run[leg];
    uint32_t c = next_chunk(s, leg);
    if (c == SLR_NONE) {
        return SLR_FULL;
    }
    if (run->queue_tail == SLR_NONE) {
        set_end(run, c, 0);
        atomic_store_explicit(&s->leg[leg].queue_head, c, memory_order_release);
    } else {
        struct slr_chunk *last = &s->chunk[run->queue_tail];
        atomic_store_explicit(&last->used_bytes, run->queue_used_bytes, memory_order_release);
        atomic_store_explicit(&last->next, c, memory_order_release);
        set_end(run, c, 0);
    }
    return SLR_OK;
}

void slr_queue_fetch(struct slr_state *s, uint32_t leg, uint16_t len_bytes)
{
    struct slr_leg_run *run = &s->run[leg];
    uint32_t need = slr_rec_bytes(len_bytes);
    if (run->queue_tail >= s->chunk_max) {
        return;
    }
    struct slr_chunk *c = &s->chunk[run->queue_tail];
    if (run->queue_used_bytes + need <= SLR_CHUNK_ROOM) {
        slr_prefetch((uintptr_t)&c->at[run->queue_used_bytes], need);
        return;
    }
    slr_prefetch((uintptr_t)c, 1);
    if (run->queue_spare == 0) {
        run->queue_spare = slr_state_chunk_reserve(s, leg) + 1; /* SLR_NONE + 1 is none */
    }
    if (run->queue_spare != 0) {
        c = &s->chunk[run->queue_spare - 1];
        slr_prefetch((uintptr_t)c, (size_t)(c->at - (uint8_t *)c) + need);
    }
}

enum slr_err slr_queue_put(struct slr_state *s, uint32_t leg, const struct slr_rec *rec,
                           const uint8_t *payload)
{
    struct slr_leg_run *l = &s->run[leg];
    uint32_t need = slr_rec_bytes(rec->len_bytes);
    if (need > SLR_CHUNK_ROOM) {
        return SLR_TOOLONG;
    }
    bool fits = l->queue_tail != SLR_NONE && l->queue_used_bytes + need <= SLR_CHUNK_ROOM;
    if (!fits && slr_queue_extend(s, leg) != SLR_OK) {
        return SLR_FULL;
    }
    uint32_t used = l->queue_used_bytes;
    struct slr_chunk *c = &s->chunk[l->queue_tail];
    memcpy(c->at + used, rec, sizeof *rec);
    memcpy(c->at + used + sizeof *rec, payload, rec->len_bytes);
    set_end(l, l->queue_tail, used + need);
    return SLR_OK;
}

struct slr_queue_mark slr_queue_last(const struct slr_state *s, uint32_t leg, uint16_t len_bytes)
{
    uint32_t tail = s->run[leg].queue_tail;
    return (struct slr_queue_mark){tail, s->run[leg].queue_used_bytes - slr_rec_bytes(len_bytes)};
}

/* The record at a mark, after going on to the next chunk where one ends; NULL: none yet. */
static const struct slr_rec *rec_at(const struct slr_state *s, uint32_t leg,
                                    struct slr_queue_mark *mark)
{
    while (mark->chunk < s->chunk_max) {
        const struct slr_chunk *c = &s->chunk[mark->chunk];
        uint32_t used = used_of(&s->run[leg], c, mark->chunk);
        if (mark->offset_bytes + sizeof(struct slr_rec) <= used) {
            return (const struct slr_rec *)(const void *)(c->at + mark->offset_bytes);
        }
        uint32_t next = atomic_load_explicit(&c->next, memory_order_relaxed);
        if (next == SLR_NONE) {
            mark->chunk = SLR_NONE; /* it may be given back before more comes */
            return NULL;
        }
        *mark = (struct slr_queue_mark){next, 0};
    }
    return NULL;
}

int64_t slr_queue_late(const struct slr_state *s, uint32_t leg, uint32_t segment,
                       int64_t shift_ticks, int64_t written_ticks, struct slr_queue_mark *mark)
{
    int64_t len_ticks = 0;
    for (const struct slr_rec *rec = rec_at(s, leg, mark); rec; rec = rec_at(s, leg, mark)) {
        bool counts = rec->segment == segment &&
                      !(rec->flags & (SLR_REC_SUPPRESSED | SLR_REC_UNDECODED)) && rec->dur_ticks;
        if (counts && rec->pos_ticks + shift_ticks + rec->dur_ticks > written_ticks) {
            break;
        }
        mark->offset_bytes += slr_rec_bytes(rec->len_bytes);
        len_ticks += counts ? rec->dur_ticks : 0;
    }
    return len_ticks;
}

const struct slr_rec *slr_queue_next(struct slr_state *s, uint32_t leg, struct slr_queue_walk *walk)
{
    if (!walk->begun) {
        walk->chunk = atomic_load_explicit(&s->leg[leg].queue_head, memory_order_seq_cst);
        walk->offset_bytes = 0;
        walk->begun = true;
    }
    while (walk->chunk != SLR_NONE) {
        const struct slr_chunk *c = &s->chunk[walk->chunk];
        /* next is read first: once it is set, used_bytes can't grow any more */
        uint32_t next = atomic_load_explicit(&c->next, memory_order_acquire);
        uint32_t used = used_of(&s->run[leg], c, walk->chunk);
        if (walk->offset_bytes + sizeof(struct slr_rec) <= used) {
            const struct slr_rec *rec =
                (const struct slr_rec *)(const void *)(c->at + walk->offset_bytes);
            walk->offset_bytes += slr_rec_bytes(rec->len_bytes);
            return rec;
        }
        if (next == SLR_NONE) {
            return NULL;
        }
        walk->chunk = next;
        walk->offset_bytes = 0;
    }
    return NULL;
}

static bool chunk_is_past(const struct slr_leg *l, const struct slr_chunk *c, int64_t ticks)
{
    uint32_t used = atomic_load_explicit(&c->used_bytes, memory_order_acquire);
    for (uint32_t at = 0; at + sizeof(struct slr_rec) <= used;) {
        const struct slr_rec *rec = (const struct slr_rec *)(const void *)(c->at + at);
        /* one without a length is not yet rendered where it begins with the next block */
        int64_t last = slr_rec_ticks(l, rec) + (rec->dur_ticks ? rec->dur_ticks - 1 : 0);
        if (last >= ticks) {
            return false;
        }
        at += slr_rec_bytes(rec->len_bytes);
    }
    return true;
}

/* Each says what it is about to do before it asks for the other, so one of them sees the other. The
 * worker waits for nobody. */
bool slr_queue_keep(struct slr_state *s, uint32_t leg)
{
    atomic_store_explicit(&s->leg_walked[leg], true, memory_order_seq_cst);
    bool leaving = atomic_load_explicit(&s->leg_freed[leg], memory_order_seq_cst);
    if (leaving) {
        slr_queue_keep_end(s, leg);
    }
    return !leaving;
}

void slr_queue_keep_end(struct slr_state *s, uint32_t leg)
{
    atomic_store_explicit(&s->leg_walked[leg], false, memory_order_seq_cst);
}

/* The writer's part of it. */
static void leave(struct slr_state *s, uint32_t leg, bool on)
{
    atomic_store_explicit(&s->leg_freed[leg], on, memory_order_seq_cst);
    while (on && atomic_load_explicit(&s->leg_walked[leg], memory_order_seq_cst)) {
        sched_yield();
    }
}

static uint32_t missed_of(struct slr_state *s, uint32_t leg, const struct slr_chunk *c)
{
    uint32_t used = atomic_load_explicit(&c->used_bytes, memory_order_acquire);
    uint32_t missed = 0;
    for (uint32_t at = 0; at + sizeof(struct slr_rec) <= used;) {
        const struct slr_rec *rec = (const struct slr_rec *)(const void *)(c->at + at);
        if (!slr_rec_has(s, rec, SLR_FATE_RENDERED)) {
            missed += slr_missed_judge(s, leg, rec);
        }
        at += slr_rec_bytes(rec->len_bytes);
    }
    return missed;
}

/* A stream is believed before its records are judged, or when they have left (belief.c): never in
 * between. What is judged is told before the queue forgets it. */
uint32_t slr_queue_free_until(struct slr_state *s, uint32_t leg, int64_t ticks)
{
    struct slr_leg *l = &s->leg[leg];
    uint32_t missed = 0;
    for (;;) {
        uint32_t head = atomic_load_explicit(&l->queue_head, memory_order_acquire);
        if (head == SLR_NONE) {
            return missed;
        }
        /* the last chunk stays: the worker may be writing into it */
        uint32_t next = atomic_load_explicit(&s->chunk[head].next, memory_order_acquire);
        if (next == SLR_NONE || !chunk_is_past(l, &s->chunk[head], ticks)) {
            return missed;
        }
        leave(s, leg, true);
        missed += missed_of(s, leg, &s->chunk[head]);
        atomic_store_explicit(&l->queue_head, next, memory_order_seq_cst);
        leave(s, leg, false);
        slr_state_chunk_put(s, head);
    }
}

void slr_queue_reset(struct slr_state *s, uint32_t leg)
{
    struct slr_leg *l = &s->leg[leg];
    uint32_t c = atomic_load(&l->queue_head);
    atomic_store(&l->queue_head, SLR_NONE);
    set_end(&s->run[leg], SLR_NONE, 0);
    if (s->run[leg].queue_spare != 0) {
        uint32_t spare = s->run[leg].queue_spare - 1;
        s->run[leg].queue_spare = 0;
        slr_state_chunk_begin(s, leg, spare);
        slr_state_chunk_put(s, spare);
    }
    if (l->held_chunk != 0) {
        uint32_t held = l->held_chunk - 1;
        l->held_chunk = 0; /* first: who has it next may live when we are dead */
        atomic_signal_fence(memory_order_seq_cst);
        slr_state_chunk_put(s, held);
    }
    while (c != SLR_NONE) {
        uint32_t next = atomic_load(&s->chunk[c].next);
        slr_state_chunk_put(s, c);
        c = next;
    }
}

void slr_queue_rebase(struct slr_state *s, uint32_t leg, int64_t by)
{
    struct slr_leg *l = &s->leg[leg];
    for (uint32_t c = atomic_load(&l->queue_head); c != SLR_NONE;
         c = atomic_load(&s->chunk[c].next)) {
        struct slr_chunk *chunk = &s->chunk[c];
        uint32_t used = used_of(&s->run[leg], chunk, c);
        for (uint32_t at = 0; at + sizeof(struct slr_rec) <= used;) {
            struct slr_rec *rec = (struct slr_rec *)(void *)(chunk->at + at);
            rec->pos_ticks = slr_rec_ticks(l, rec) + by;
            at += slr_rec_bytes(rec->len_bytes);
        }
    }
}

/*
 * queue: one leg's packets between worker and writer, in arrival order, in the state file.
 *
 * It is the placement window and the worker-to-writer ring in one: records wait here until the
 * block that holds their position is in the file, so whatever was received survives the death of
 * the process at any instruction. One producer (the worker), one consumer (the writer).
 */
#ifndef SLR_ENGINE_QUEUE_H
#define SLR_ENGINE_QUEUE_H

#include <stdint.h>

#include "engine/state.h"

enum {
    SLR_REC_EVENT = 1,        /* telephone-event payload */
    SLR_REC_COMFORT = 2,      /* comfort noise payload */
    SLR_REC_KERNEL_LOSS = 8,  /* the kernel dropped packets on this port before it */
    SLR_REC_QUEUE_LOSS = 16,  /* packet memory was exhausted before it */
    SLR_REC_NEW_SEGMENT = 32, /* first one to come under a new anchor */
    SLR_REC_UNDECODED = 64,  /* a payload type that the leg does not know: no audio, but not lost */
    SLR_REC_SUPPRESSED = 128 /* it came in a pause, or belongs into one: its time, nothing else */
};

/* With the 160 bytes that most payloads have it takes three whole lines of the cache. */
struct slr_rec {
    int64_t pos_ticks;
    int64_t arrival_ns;
    int32_t seq_ext;    /* 497 days of 50 packets a second */
    uint32_t dur_ticks; /* event, comfort: may be 0 */
    uint16_t generation;
    uint16_t len_bytes; /* payload behind this header, padded to 8 */
    uint8_t stream;
    uint8_t pt; /* index into leg->pt */
    uint8_t flags;
    uint8_t segment; /* index into leg->segment, which moves pos_ticks */
};
_Static_assert(sizeof(struct slr_rec) == 32, "half a line of the cache");

#define SLR_CHUNK_ROOM ((uint32_t)sizeof(((struct slr_chunk *)0)->at))
#define SLR_REC_MAX_PAYLOAD (SLR_CHUNK_ROOM - (uint32_t)sizeof(struct slr_rec))

/* Worker. A new last chunk. SLR_FULL: no packet memory. */
enum slr_err slr_queue_extend(struct slr_state *s, uint32_t leg) SLR_CHECKED;

/* What a record takes of a chunk. */
static inline uint32_t slr_rec_bytes(uint16_t len_bytes)
{
    return (uint32_t)sizeof(struct slr_rec) + (((uint32_t)len_bytes + 7u) & ~7u);
}

/* Worker. SLR_FULL: no packet memory; SLR_TOOLONG: more than SLR_REC_MAX_PAYLOAD. */
enum slr_err slr_queue_put(struct slr_state *s, uint32_t leg, const struct slr_rec *rec,
                           const uint8_t *payload) SLR_CHECKED;

/* Worker. Asks for the memory that a record of so much payload will go to, before it is put; where
 * that is a new chunk, takes it. Without effect on what is in the queue. */
void slr_queue_fetch(struct slr_state *s, uint32_t leg, uint16_t len_bytes);

/* Walks the records that are there now; begin with chunk = SLR_NONE, offset 0. */
struct slr_queue_walk {
    uint32_t chunk;
    uint32_t offset_bytes;
    bool begun;
};
/* Writer, and worker (slr_queue_keep). NULL: no more now. The record is borrowed until
 * slr_queue_free_until. */
const struct slr_rec *slr_queue_next(struct slr_state *s, uint32_t leg,
                                     struct slr_queue_walk *walk);
/* Do clocks part before a record that comes after one of that segment? Not before the first one to
 * come of a segment, where others of it came later and belong before it. */
static inline bool slr_rec_parts(uint8_t flags, uint8_t segment, uint8_t before)
{
    return (flags & SLR_REC_NEW_SEGMENT) && (segment != before || segment == 0);
}
/* Is it sound of a codec? */
static inline bool slr_rec_is_audio(uint8_t flags)
{
    return (flags & (SLR_REC_EVENT | SLR_REC_COMFORT | SLR_REC_UNDECODED)) == 0;
}
/* The stream whose it is, apart from others that had the same slot: generation << 8 | slot. */
static inline uint32_t slr_rec_stream(const struct slr_rec *rec)
{
    return (uint32_t)rec->generation << 8 | rec->stream;
}
static inline const uint8_t *slr_rec_payload(const struct slr_rec *rec)
{
    return (const uint8_t *)(rec + 1);
}

/* Where a record of the queue lies: chunk, and offset in it. */
static inline uint32_t slr_rec_chunk(const struct slr_state *s, const struct slr_rec *rec)
{
    return (uint32_t)(((uintptr_t)rec - (uintptr_t)s->chunk) / sizeof(struct slr_chunk));
}
static inline uint32_t slr_rec_offset(const struct slr_state *s, const struct slr_rec *rec)
{
    return (uint32_t)((uintptr_t)rec - (uintptr_t)s->chunk[slr_rec_chunk(s, rec)].at);
}
_Static_assert(SLR_CHUNK_ROOM / sizeof(struct slr_rec) <= SLR_FATE_WORDS * 64, "a bit for each");

/* Writer. What is known then of a record stays known as long as the queue has it. */
static inline void slr_chunk_mark(struct slr_chunk *c, uint32_t offset_bytes,
                                  enum slr_rec_fate fate)
{
    uint32_t bit = offset_bytes / (uint32_t)sizeof(struct slr_rec);
    _Atomic uint64_t *word = &c->fate[fate][bit / 64 % SLR_FATE_WORDS];
    uint64_t set = atomic_load_explicit(word, memory_order_relaxed) | 1ULL << bit % 64;
    atomic_store_explicit(word, set, memory_order_release);
}
/* Any thread that may walk the queue. */
static inline bool slr_rec_has(const struct slr_state *s, const struct slr_rec *rec,
                               enum slr_rec_fate fate)
{
    uint32_t bit = slr_rec_offset(s, rec) / (uint32_t)sizeof(struct slr_rec);
    const struct slr_chunk *c = &s->chunk[slr_rec_chunk(s, rec)];
    return atomic_load_explicit(&c->fate[fate][bit / 64 % SLR_FATE_WORDS], memory_order_acquire) >>
               bit % 64 &
           1;
}

/* Position with what its segment is moved by. */
static inline int64_t slr_rec_ticks(const struct slr_leg *leg, const struct slr_rec *rec)
{
    return rec->pos_ticks + atomic_load_explicit(&slr_leg_segment(leg, rec->segment)->shift_ticks,
                                                 memory_order_relaxed);
}

/* A record in the queue, to begin with when records are looked for that came after it. */
struct slr_queue_mark {
    uint32_t chunk, offset_bytes;
};

/* Worker. Where the record lies that was put last, which has so much payload. */
struct slr_queue_mark slr_queue_last(const struct slr_state *s, uint32_t leg, uint16_t len_bytes);

/*
 * Worker. The segment is about to be moved by shift_ticks: finds its audio, from the mark on, whose
 * place then is before `written_ticks`, and moves the mark past it (chunk SLR_NONE: that was all).
 * What is at the mark must not have been written yet. Returns the length of what was found.
 */
int64_t slr_queue_late(const struct slr_state *s, uint32_t leg, uint32_t segment,
                       int64_t shift_ticks, int64_t written_ticks, struct slr_queue_mark *mark);

/* Worker. Until keep_end no chunk of the leg leaves the queue: it may walk the records itself. Only
 * for as long as that takes, for the writer waits. False: one is leaving now, it may not. */
bool slr_queue_keep(struct slr_state *s, uint32_t leg) SLR_CHECKED;
void slr_queue_keep_end(struct slr_state *s, uint32_t leg);

/* Writer. Gives back the leading chunks all of whose records end at or before `ticks`, which is in
 * the file; returns the packets among them that no block had (missed.h). */
uint32_t slr_queue_free_until(struct slr_state *s, uint32_t leg, int64_t ticks);

/* Adds `by` to every position and settles the segments' shifts into them (the caller then clears
 * those). Only where worker and writer are the calling thread. */
void slr_queue_rebase(struct slr_state *s, uint32_t leg, int64_t by);

/* Gives back everything. Only when neither worker nor writer use the leg. */
void slr_queue_reset(struct slr_state *s, uint32_t leg);

#endif

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
    SLR_REC_FIRST = 4,        /* of the leg's first segment: leg->shift_ticks applies */
    SLR_REC_KERNEL_LOSS = 8,  /* the kernel dropped packets on this port before it */
    SLR_REC_QUEUE_LOSS = 16,  /* packet memory was exhausted before it */
    SLR_REC_NEW_SEGMENT = 32, /* first one under a new anchor: a gap before it is of the clock */
    SLR_REC_UNDECODED = 64,  /* a payload type that the leg does not know: no audio, but not lost */
    SLR_REC_SUPPRESSED = 128 /* it came in a pause, or belongs into one: its time, nothing else */
};

struct slr_rec {
    int64_t pos_ticks;
    int64_t seq_ext;
    int64_t arrival_ns;
    uint32_t dur_ticks; /* event, comfort: may be 0 */
    uint32_t generation;
    uint16_t len_bytes; /* payload behind this header, padded to 8 */
    uint8_t stream;
    uint8_t pt; /* index into leg->pt */
    uint8_t flags;
    uint8_t pad[3];
};

#define SLR_REC_MAX_PAYLOAD (SLR_CHUNK_BYTES - 16u - (uint32_t)sizeof(struct slr_rec))

/* Worker. SLR_FULL: no packet memory; SLR_TOOLONG: more than SLR_REC_MAX_PAYLOAD. */
enum slr_err slr_queue_put(struct slr_state *s, uint32_t leg, const struct slr_rec *rec,
                           const uint8_t *payload) SLR_CHECKED;

/* Walks the records that are there now; begin with chunk = SLR_NONE, offset 0. */
struct slr_queue_walk {
    uint32_t chunk;
    uint32_t offset_bytes;
    bool begun;
};
/* Writer. NULL: no more now. The record is borrowed until slr_queue_free_until. */
const struct slr_rec *slr_queue_next(struct slr_state *s, uint32_t leg,
                                     struct slr_queue_walk *walk);
static inline const uint8_t *slr_rec_payload(const struct slr_rec *rec)
{
    return (const uint8_t *)(rec + 1);
}

/* Position with the leg's correction of its first anchor. */
static inline int64_t slr_rec_ticks(const struct slr_leg *leg, const struct slr_rec *rec)
{
    int64_t shift = atomic_load_explicit(&leg->shift_ticks, memory_order_relaxed);
    return rec->pos_ticks + (rec->flags & SLR_REC_FIRST ? shift : 0);
}

/* Writer. Gives back the leading chunks all of whose records end at or before `ticks`. */
void slr_queue_free_until(struct slr_state *s, uint32_t leg, int64_t ticks);

/* Adds `by` to every position and settles leg->shift_ticks into them (the caller then clears it).
 * Only where worker and writer are the calling thread. */
void slr_queue_rebase(struct slr_state *s, uint32_t leg, int64_t by);

/* Gives back everything. Only when neither worker nor writer use the leg. */
void slr_queue_reset(struct slr_state *s, uint32_t leg);

#endif

/*
 * redo: what a writer's block changes of its legs, in the state file until it is done.
 *
 * Span cursors and estimates of clocks belong to the block: they count when it does, which is when
 * the session's commit_index flips. They are made here, one block a writer, and copied into the
 * legs' slots right after the flip. A process that dies in between has said beforehand in the
 * header what flip it was about to make: the next one sees whether it did, and copies again. Writer
 * thread; settle: control thread at start.
 */
#ifndef SLR_ENGINE_REDO_H
#define SLR_ENGINE_REDO_H

#include "engine/slots.h"

#define SLR_REDOS 128u /* as many as there may be writers, with a twin each */
#define SLR_REDO_LEGS (SLR_MAX_CHANNELS * 2u)

struct slr_redo_leg {
    uint32_t slot;
    struct slr_span_cursor cursor;
    struct slr_leg_skew skew;
};

struct slr_redo {
    _Alignas(4096) uint32_t session; /* slot */
    uint32_t count;
    struct slr_redo_leg leg[SLR_REDO_LEGS];
};

/* Header: 0, or the redo counts if its session's commit_index & 1 is this minus 1. */
typedef _Atomic uint32_t slr_redo_mark;

struct slr_state;

/* A block of the session begins: its legs as they are, `count` of them. */
struct slr_redo *slr_redo_begin(struct slr_state *s, uint32_t writer, uint32_t session,
                                uint32_t count);

/* The block is in the file: makes it count, and what is here with it. The session's other commit
 * record was filled in. */
void slr_redo_commit(struct slr_state *s, uint32_t writer);

/* What an earlier process left undone. */
void slr_redo_settle(struct slr_state *s);

#endif

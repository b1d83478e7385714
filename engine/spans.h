/*
 * spans: says for every moment of a leg what it is, while blocks are rendered.
 *
 * The last span stays open in the leg's cursor and may grow; finished ones go into a buffer that
 * the writer appends to the recording's span journal (engine/journal.h). Writer thread; the
 * buffer is allocated once.
 */
#ifndef SLR_ENGINE_SPANS_H
#define SLR_ENGINE_SPANS_H

#include "engine/queue.h"
#include "engine/state.h"

/* As it stands in the journal file: host byte order, the file never leaves the host. */
struct slr_span_entry {
    uint32_t leg; /* number in the session, not the slot */
    uint32_t pad;
    struct slr_span span;
};

struct slr_span_buffer {
    struct slr_span_entry *at;
    uint32_t count, size;
    bool overflow; /* out of memory: the block must not be committed */
};

/* One leg's spans while a block is made: a working copy of the cursor. */
struct slr_span_run {
    struct slr_span_buffer *buffer;
    const struct slr_session *session;
    const struct slr_leg *leg;
    uint32_t leg_number;
    struct slr_span_cursor cursor;
};

/* The engine is held responsible for a hole that begins or ends this near to its own absence. */
#define SLR_DOWN_MARGIN_TICKS (SLR_TICKS_HZ / 4)

/* A record was rendered: closes the gap before it, then covers [start, end) with `kind`. */
void slr_spans_record(struct slr_span_run *run, const struct slr_rec *rec, int64_t start_ticks,
                      int64_t end_ticks, enum slr_span_kind kind, uint32_t info);

/* The session is over at end_ticks: what is left is absent or ended; the open span is finished. */
void slr_spans_finish(struct slr_span_run *run, int64_t end_ticks);

#endif

/*
 * spans: says for every moment of a leg what it is, from the notes of its rendered track.
 *
 * What is asked and compared is leg time; the spans themselves are file time (track.h). The last
 * span stays open in the leg's cursor and may grow; finished ones go into a buffer that
 * the writer appends to the recording's span journal (engine/journal.h). Writer thread; the
 * buffer is allocated once.
 */
#ifndef SLR_ENGINE_SPANS_H
#define SLR_ENGINE_SPANS_H

#include "engine/queue.h"
#include "engine/state.h"
#include "engine/track.h"

/* As it stands in the journal file: host byte order, the file never leaves the host. */
struct slr_span_entry {
    uint32_t leg;     /* number in the session, not the slot */
    uint32_t samples; /* 0: a span; else so many that the corrected span before has taken out */
    union {
        struct slr_span span;
        int16_t sample[sizeof(struct slr_span) / sizeof(int16_t)];
    };
};
#define SLR_SPAN_SAMPLES (sizeof(struct slr_span) / sizeof(int16_t))

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
    struct slr_leg_skew *skew; /* the same of the leg's clock (skew_stage.h) */
    /* own: what the skew stage did to this piece */
    const struct slr_corrections *corrections;
    uint32_t corrections_told, removed_told;
    int64_t off_ticks; /* at the end: so much time is the clock's, whose rate was no skew */
};

/* The engine is held responsible for a hole that begins or ends this near to its own absence. */
#define SLR_DOWN_MARGIN_TICKS (SLR_TICKS_HZ / 4)

/* What a loss before a record with these flags is. */
enum slr_span_kind slr_spans_loss(uint8_t flags);

/*
 * Covers what the track's notes cover, up to where its leg time ends: gaps get their cause,
 * corrections (frames of track->shape) their own spans, and the cursor's corr_ticks follows them.
 * to_ticks: end of the piece, leg time.
 */
void slr_spans_track(struct slr_span_run *run, const struct slr_track *track,
                     const struct slr_corrections *corrections, int64_t to_ticks);

/* The session is over at end_ticks (file time): what is left is absent or ended; the open span is
 * finished. */
void slr_spans_finish(struct slr_span_run *run, int64_t end_ticks);

#endif

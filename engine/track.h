/*
 * track: one leg's stretch of time as mono samples in the recording's format, between rendering and
 * the recording's block.
 *
 * The way of a piece, for each leg (writer.c):
 *   1. render    fills a track in *leg time* (positions as the packets have them) and notes what
 *                each record was;
 *   2. skew      may take samples out of the track and put some in; says so in a list of
 *                corrections; afterwards the track has exactly the frames that the block wants;
 *   3. store     lays the track into its channel's plane (*file time*), and when all legs are there
 *                join makes the block of the planes;
 *   4. spans     goes through the notes and tells the ledger, in file time.
 * File time = leg time + the leg's corr_ticks, a whole number of frames that changes by corrections
 * only. The tracks' memory belongs to the writer, which uses one for all legs in turn; writer
 * thread. Notes grow (bounded by packet memory), nothing else is allocated after init.
 */
#ifndef SLR_ENGINE_TRACK_H
#define SLR_ENGINE_TRACK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/err.h"
#include "storage/container.h"

/* One piece holds up to a second of frames; a track that many more, for samples to be taken out. */
#define SLR_PIECE_FRAMES 48000u
#define SLR_TRACK_SPARE_FRAMES 4800u
/* And more beyond its end: what voices make of the last packet (leg_voices.h). */
#define SLR_TRACK_AHEAD_FRAMES 48000u

/* What a record, or a time without one, came to be. Leg time; `end` may lie beyond the track. Usual
 * packets that follow each other in every respect, and have the same length, share one. */
struct slr_note {
    int64_t start_ticks, end_ticks;
    int64_t seq_ext; /* of the first one */
    uint32_t more;   /* packets after that */
    uint32_t stream; /* generation << 8 | slot */
    uint32_t info;   /* concealed loss: packets missing */
    uint8_t flags;   /* of the record, SLR_REC_* */
    uint8_t kind;    /* enum slr_span_kind */
    uint8_t cause;   /* as in struct slr_span */
    uint8_t segment; /* of the record */
    bool filler;     /* not a record: made for the time before the next one */
    bool sound;      /* it put samples into the track */
};

static inline int64_t slr_note_last_seq(const struct slr_note *n)
{
    return n->seq_ext + n->more;
}
/* Of each of its packets. */
static inline int64_t slr_note_dur(const struct slr_note *n)
{
    return n->more == 0 ? n->end_ticks - n->start_ticks
                        : (n->end_ticks - n->start_ticks) / ((int64_t)n->more + 1);
}
/* So many of its packets after the first begin before that; the first one does. */
static inline uint32_t slr_note_more_before(const struct slr_note *n, int64_t ticks)
{
    if (n->more == 0) {
        return 0;
    }
    int64_t more = (ticks - n->start_ticks - 1) / slr_note_dur(n);
    return more < (int64_t)n->more ? (uint32_t)more : n->more;
}

struct slr_track {
    uint8_t *at; /* samples of shape.format, one channel whatever shape.channels says */
    struct slr_audio_shape shape;
    int64_t first_frame; /* leg time */
    uint32_t frames;
    uint32_t max_frames;    /* frames, or more: samples beyond are kept, for the next track */
    uint32_t filled_frames; /* frames, or up to where there are such samples */
    int16_t *pcm;           /* room for slr_track_pcm */
    bool is_pcm;            /* ... which has made it */
    /* by start; the stream they came on may change from one to the next */
    struct slr_note *note;
    uint32_t note_count, note_size;
    bool overflow; /* out of memory: the piece must not be committed */
};

/*
 * Samples that were put in or taken out, in order of at_frame (leg time, within the track and below
 * the start of its last packet, so that the spans around are decided in this piece).
 * frames > 0: so many were inserted before at_frame; < 0: [at_frame, at_frame - frames) was
 * removed.
 */
struct slr_correction {
    int64_t at_frame;
    int32_t frames;
};

#define SLR_CORRECTIONS 64u
#define SLR_REMOVED 1024u /* samples, of one piece */

struct slr_corrections {
    struct slr_correction at[SLR_CORRECTIONS];
    uint32_t count, removed_count;
    int16_t removed[SLR_REMOVED]; /* what was taken out, one after the other */
};

static inline int64_t slr_ticks_per_frame(const struct slr_audio_shape *shape)
{
    return SLR_TICKS_HZ / (int64_t)shape->sample_hz;
}

/* Rounds towards minus infinity; b > 0. */
static inline int64_t slr_floor_div(int64_t a, int64_t b)
{
    return a >= 0 ? a / b : -((-a + b - 1) / b);
}

/* SLR_NOMEM. After any outcome fini is allowed. */
enum slr_err slr_track_init(struct slr_track *t) SLR_CHECKED;
void slr_track_fini(struct slr_track *t);

/* An empty track: silence, no notes. frames: at most SLR_PIECE_FRAMES + SLR_TRACK_SPARE_FRAMES. */
void slr_track_begin(struct slr_track *t, const struct slr_audio_shape *shape, int64_t first_frame,
                     uint32_t frames);

/* Samples beyond the end are kept from now on. */
void slr_track_look_ahead(struct slr_track *t);

/* Lays samples from `frame` on (leg time); what is outside the track is left out. */
void slr_track_put_pcm(struct slr_track *t, int64_t frame, const int16_t *pcm, uint32_t count);
/* The same of bytes that are of the track's own law already. */
void slr_track_put_law(struct slr_track *t, int64_t frame, const uint8_t *law, uint32_t count);

/* The same of what an earlier track had beyond its end, from the first frame on. */
void slr_track_put_made(struct slr_track *t, const uint8_t *at, uint32_t frames);

/* The track's frames as S16, once all samples are laid in; valid until others are. */
const int16_t *slr_track_pcm(struct slr_track *t);

/* Adds a note; NULL: no memory, and overflow is set. */
struct slr_note *slr_track_note(struct slr_track *t);

/* Frames that the corrections add up to. */
int64_t slr_corrections_frames(const struct slr_corrections *c);

/* Where in the corrected track the frame of leg time has come to lie (one that was removed: where
 * it would be). 0 is the track's beginning. */
int64_t slr_track_offset(const struct slr_track *t, const struct slr_corrections *c,
                         int64_t leg_frame);

/*
 * Copies the (corrected) track, which has as many frames as the block, into a channel's plane.
 * over: another leg's track lies there already; only what notes say has sound is copied.
 * plane: frames of one channel in t->shape; frames: of the block.
 */
void slr_track_store(const struct slr_track *t, const struct slr_corrections *c, uint8_t *plane,
                     uint32_t frames, bool over);

/* Interleaves the planes of all of shape->channels; block: room for that many frames. */
void slr_track_join(const struct slr_audio_shape *shape, const uint8_t *const *plane,
                    uint32_t frames, uint8_t *block);

#endif

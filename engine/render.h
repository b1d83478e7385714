/*
 * render: one leg's packets of a stretch of its time into a track, and a note for each of them.
 *
 * Positions are absolute: a sample's place is its position, whatever came before or after it.
 * Payload that can be decoded by itself at the recording's rate goes straight to its place
 * (render.c); what needs a decoder with state or a resampler, and the concealment of losses, goes
 * through the leg's voices (render_voiced.c). Writer thread; scratch memory is the caller's, and
 * grows with what lies in the queue.
 */
#ifndef SLR_ENGINE_RENDER_H
#define SLR_ENGINE_RENDER_H

#include "engine/counters.h"
#include "engine/leg_codecs.h"
#include "engine/leg_voices.h"
#include "engine/queue.h"
#include "engine/track.h"

/* A block under construction: frames of interleaved samples in shape->format. */
struct slr_block {
    uint8_t *at;
    struct slr_audio_shape shape;
    uint64_t first_frame; /* number of the first frame in the recording */
    uint32_t frames;
};

/* A record of the stretch and what it is ordered by. */
struct slr_render_item {
    int64_t ticks;   /* position */
    int64_t born_ns; /* when its stream was first heard: the newer one is rendered over the older */
    const struct slr_rec *rec;
};

/* Memory that one writer lends to all of its renderings. */
struct slr_render_scratch {
    struct slr_render_item *item;
    uint32_t count, size;
    struct slr_render_item next; /* the first one after them; rec NULL: none yet */
    struct slr_voice_scratch voice;
};

/* One leg's rendering. */
struct slr_render {
    struct slr_state *state;
    const struct slr_session *session;
    uint32_t leg_index;
    const struct slr_leg_codecs *codecs;
    struct slr_leg_voices **voices; /* of the leg, made when they are needed */
    bool comfort_noise;             /* comfort noise payload is heard, else silent */
    bool event_tones;               /* so are telephone events, where digits are kept */
    int64_t corr_ticks;             /* file time minus leg time where the track begins */
    struct slr_track *track;
    struct slr_render_scratch *scratch;
    struct slr_counters *counters;
};

/* The byte whose samples are silent in this format. */
uint8_t slr_render_silence_byte(enum slr_sample_format format);

/* Fills the whole block with silence. */
void slr_render_silence(struct slr_block *block);

/* Renders what the leg's queue has for the track's time, however much that is. The track was just
 * begun. Afterwards: slr_leg_voices_next, if the leg has voices. */
void slr_render_leg(struct slr_render *r);
/* The track's time up to end_ticks goes into the block: so much of what was collected is rendered.
 */
void slr_render_done(const struct slr_render *r, int64_t end_ticks);
/* Frees what the scratch grew to; zeroes mean: nothing. */
void slr_render_scratch_fini(struct slr_render_scratch *scratch);

/* Within render.c and render_voiced.c: */

/* Collects the records that touch [from, to), in order, and the first one after. False: no memory.
 */
bool slr_render_collect(struct slr_render *r, int64_t from_ticks, int64_t to_ticks);
/* A note of the record, with the kind that its flags give: SLR_SPAN_RECEIVED for audio. */
struct slr_note slr_render_note(const struct slr_render_item *item);
/* Adds it to the track's. */
void slr_render_tell(struct slr_render *r, const struct slr_note *note);
/* Audio whose payload can be decoded by itself. False: it can't. */
bool slr_render_direct(struct slr_render *r, const struct slr_render_item *item);
/* A telephone event, if it is to be heard: once, by the last of its packets. True: it was. */
bool slr_render_event(struct slr_render *r, const struct slr_render_item *item);
/* The leg has voices, or needs one. */
void slr_render_voiced(struct slr_render *r);

#endif

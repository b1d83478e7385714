/*
 * render: one leg's packets of a stretch of its time into a track, and a note for each of them.
 *
 * Positions are absolute: a sample's place is its position, whatever came before or after it.
 * Writer thread; scratch memory is the caller's, and grows with what lies in the queue.
 */
#ifndef SLR_ENGINE_RENDER_H
#define SLR_ENGINE_RENDER_H

#include "engine/counters.h"
#include "engine/leg_codecs.h"
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
    int16_t pcm[SLR_CODEC_MAX_SAMPLES * 2];
};

/* The byte whose samples are silent in this format. */
uint8_t slr_render_silence_byte(enum slr_sample_format format);

/* Fills the whole block with silence. */
void slr_render_silence(struct slr_block *block);

/* Renders what the leg's queue has for the track's time, however much that is. */
void slr_render_leg(struct slr_state *state, uint32_t leg, const struct slr_leg_codecs *codecs,
                    struct slr_track *track, struct slr_render_scratch *scratch,
                    struct slr_counters *counters);
/* Frees what the scratch grew to; zeroes mean: nothing. */
void slr_render_scratch_fini(struct slr_render_scratch *scratch);

#endif

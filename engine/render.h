/*
 * render: one leg's packets of a stretch of time into one channel of a block.
 *
 * Positions are absolute: a sample's place is its position, whatever came before or after it.
 * Writer thread; scratch memory is the caller's.
 */
#ifndef SLR_ENGINE_RENDER_H
#define SLR_ENGINE_RENDER_H

#include "engine/counters.h"
#include "engine/leg_codecs.h"
#include "engine/spans.h"

/* A block under construction: frames of interleaved samples in shape->format. */
struct slr_block {
    uint8_t *at;
    struct slr_audio_shape shape;
    uint64_t first_frame; /* number of the first frame in the recording */
    uint32_t frames;
};

#define SLR_RENDER_MAX_RECORDS 4096u

/* Memory that one writer lends to all of its renderings. */
struct slr_render_scratch {
    const struct slr_rec *rec[SLR_RENDER_MAX_RECORDS];
    int16_t pcm[SLR_CODEC_MAX_SAMPLES * 2];
};

static inline int64_t slr_ticks_per_frame(const struct slr_audio_shape *shape)
{
    return SLR_TICKS_HZ / (int64_t)shape->sample_hz;
}

/* Fills the whole block with silence. */
void slr_render_silence(struct slr_block *block);

/* Renders what the leg's queue has for the block's time into `channel`, and its spans. */
void slr_render_leg(struct slr_state *state, uint32_t leg, const struct slr_leg_codecs *codecs,
                    struct slr_block *block, uint32_t channel, struct slr_span_run *run,
                    struct slr_render_scratch *scratch, struct slr_counters *counters);

#endif

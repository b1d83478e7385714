/*
 * voice: the decoder of one stream and payload type, and the resampler behind it, as the writer
 * keeps them from packet to packet.
 *
 * A *run* is a stretch of consecutive samples: what continues where the payload before it ended is
 * of the same run, and the resampler sees no seam. Whatever is elsewhere ends the run (its last
 * samples come out of the resampler then) and begins one at its exact place. Samples go into the
 * leg's track, where clipping is the track's. The owner is the leg's writer; open allocates, the
 * rest does not (but for libraries that allocate in decoder_init).
 */
#ifndef SLR_ENGINE_VOICE_H
#define SLR_ENGINE_VOICE_H

#include "codecs/codec.h"
#include "codecs/resample.h"
#include "engine/track.h"

/* Samples that one writer lends to all of its voices. */
struct slr_voice_scratch {
    int16_t pcm[SLR_CODEC_MAX_SAMPLES * 2];
    int16_t out[24576]; /* resampled, a piece at a time */
};

struct slr_voice {
    uint32_t stream; /* generation << 8 | slot */
    uint32_t row;    /* of the leg's payload types */
    struct slr_codec_use use;
    void *decoder;                 /* NULL: none is needed */
    bool decoding;                 /* decoder is initialised */
    struct slr_resample *resample; /* NULL: equal rates */
    uint32_t out_hz;
    bool running;
    bool stale;           /* the stream was heard otherwise since */
    bool comfort;         /* the newest payload was a silence descriptor */
    int64_t next_ticks;   /* of the run: position after its last sample */
    int64_t next_frame;   /* and where its next sample goes */
    int64_t unit_ticks;   /* length of the newest payload */
    int64_t filled_ticks; /* since the newest payload */
    int64_t last_ticks;   /* start of the newest payload; INT64_MIN: none yet */
};

/* Does this payload type need a voice in a recording of that rate? Else its payload can be decoded
 * by itself. */
static inline bool slr_voice_needed(const struct slr_codec_use *use, uint32_t out_hz)
{
    return use->codec && (use->codec->decoder_bytes > 0 || use->sample_hz != out_hz);
}

/* use: with a codec, copied. SLR_NOMEM; SLR_INVAL for rates that nobody resamples. */
enum slr_err slr_voice_open(const struct slr_codec_use *use, uint32_t stream, uint32_t row,
                            uint32_t out_hz, struct slr_voice **out) SLR_CHECKED;
/* NULL: nothing to do. */
void slr_voice_close(struct slr_voice *v);
/* As after open, of a stream's other payload type that is heard again: nothing is known of what was
 * before. SLR_NOMEM. */
enum slr_err slr_voice_restart(struct slr_voice *v) SLR_CHECKED;

/* Interleaved samples of one or two channels become one, in place: a channel of the recording is
 * one party. */
void slr_voice_to_mono(int16_t *pcm, uint32_t samples, uint32_t channels);

/* Half a sample: positions that near are the same. */
static inline int64_t slr_voice_tolerance_ticks(const struct slr_voice *v)
{
    return SLR_TICKS_HZ / 2 / (int64_t)v->use.sample_hz;
}

/* Is that where the run goes on? */
bool slr_voice_continues(const struct slr_voice *v, int64_t ticks);

/* Decodes one payload, whose first sample is at `ticks`; in order of position. SLR_FORMAT: it can't
 * be decoded, and nothing was done. */
enum slr_err slr_voice_decode(struct slr_voice *v, struct slr_track *track,
                              struct slr_voice_scratch *scratch, int64_t ticks,
                              struct slr_slice payload) SLR_CHECKED;

/* What fills a time without payload. */
struct slr_voice_fill {
    int64_t ticks;         /* how long */
    struct slr_slice next; /* the payload right after it, if that may say more: else empty */
    bool fade;             /* nothing comes after it: it ends softly */
};
/* Goes on with the run where it is: by the codec's concealment or redundancy. A codec that has
 * none gives silence. */
void slr_voice_fill(struct slr_voice *v, struct slr_track *track, struct slr_voice_scratch *scratch,
                    const struct slr_voice_fill *fill);

/* Ends the run, if there is one. */
void slr_voice_end(struct slr_voice *v, struct slr_track *track, struct slr_voice_scratch *scratch);

#endif

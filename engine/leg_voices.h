/*
 * leg_voices: what the writer remembers of a leg from piece to piece: the voices of its streams,
 * the samples they have made beyond the piece, and which records those came from.
 *
 * Each payload is decoded once, in order of position, though the bounds of pieces cut through
 * packets and the skew stage may move them. Where that can't be (first piece after a start, a piece
 * that is made again after the disk failed, a packet that came too late to be decoded at its turn
 * but not too late for its place) everything is dropped and the records of the last quarter second,
 * which stay in the queue for that, are decoded again.
 *
 * Process memory, the leg's writer's. Nothing is there for legs whose payload can be decoded packet
 * by packet at the recording's rate (G.711 in most recordings). Allocates when a stream or payload
 * type begins, and when more is left over than ever before.
 */
#ifndef SLR_ENGINE_LEG_VOICES_H
#define SLR_ENGINE_LEG_VOICES_H

#include "codecs/comfort.h"
#include "engine/voice.h"

/* A leg speaks with one voice at a time; more are kept while streams or payload types alternate. */
#define SLR_LEG_VOICES 4u
#define SLR_LEG_DONE 64u
/* Decoded again where nothing is known any more. */
#define SLR_PREROLL_TICKS (SLR_TICKS_HZ / 4)
/* Records so much beyond the piece are decoded with it: a resampler looks ahead. */
#define SLR_LOOKAHEAD_TICKS (SLR_TICKS_HZ / 50)

struct slr_leg_voices {
    struct slr_voice *voice[SLR_LEG_VOICES]; /* the one heard last first */
    bool warm;                               /* goes on at next_frame; false: begins anew */
    int64_t next_frame;                      /* leg time */
    /* made already, from before next_frame on */
    uint8_t *tail;
    int64_t tail_first_frame;
    uint32_t tail_frames, tail_size_bytes;
    struct slr_note done[SLR_LEG_DONE];
    uint32_t done_count;
    bool done_full;
    /* comfort noise that was sent as payload, and is to be heard */
    struct slr_comfort comfort;
    bool noisy;
    int64_t noise_ticks; /* made up to here */
    uint32_t noise_stream;
    /* the newest record */
    uint32_t last_stream; /* SLR_NONE: none */
    int64_t last_seq_ext;
    uint8_t last_segment;
    bool last_spoke; /* the last voice said it: what is missing after it is missing there */
};

/* Frames before the end of a track that may be asked for again (the skew stage left them). */
static inline uint32_t slr_leg_voices_back_frames(const struct slr_audio_shape *shape)
{
    return shape->sample_hz / 50;
}

/* NULL: no memory. */
struct slr_leg_voices *slr_leg_voices_open(void);
/* NULL: nothing to do. */
void slr_leg_voices_close(struct slr_leg_voices *v);
/* Drops everything that is known. */
void slr_leg_voices_drop(struct slr_leg_voices *v);

/* The track was just begun: lays what is there already into it. False: it is not where the last one
 * ended, and all was dropped. */
bool slr_leg_voices_resume(struct slr_leg_voices *v, struct slr_track *track);

/* The voice of a stream and payload type; opens it, in the place of the one that was not heard for
 * longest, which is ended. SLR_NOMEM and what slr_voice_open says. */
enum slr_err slr_leg_voices_get(struct slr_leg_voices *v, const struct slr_codec_use *use,
                                uint32_t stream, uint32_t row, struct slr_track *track,
                                struct slr_voice_scratch *scratch,
                                struct slr_voice **out) SLR_CHECKED;
/* A payload of the stream was heard that needs no voice: its voices begin anew after that. */
void slr_leg_voices_pass(struct slr_leg_voices *v, uint32_t stream);
/* The one that was got last; NULL: none. */
static inline struct slr_voice *slr_leg_voices_last(const struct slr_leg_voices *v)
{
    return v->voice[0];
}

/* What a record that was decoded already had become; NULL: it was not. */
const struct slr_note *slr_leg_voices_find(const struct slr_leg_voices *v, uint32_t stream,
                                           int64_t seq_ext, int64_t start_ticks);
/* Remembers what was decoded or filled, in order. */
void slr_leg_voices_done(struct slr_leg_voices *v, const struct slr_note *note);

/* The track is complete, before any correction. SLR_NOMEM: what is beyond it could not be kept. */
enum slr_err slr_leg_voices_keep(struct slr_leg_voices *v,
                                 const struct slr_track *track) SLR_CHECKED;
/* After the corrections: the next track begins at that frame, no more than back_frames before the
 * end of this one. */
void slr_leg_voices_next(struct slr_leg_voices *v, int64_t next_frame);

#endif

/*
 * leg_voices: see the header. Writer thread.
 */
#include "engine/leg_voices.h"

#include <stdlib.h>
#include <string.h>

#include "engine/slots.h"

#define TAIL_STEP_BYTES 2048u

struct slr_leg_voices *slr_leg_voices_open(void)
{
    struct slr_leg_voices *v = calloc(1, sizeof *v);
    if (v) {
        v->last_stream = SLR_NONE;
    }
    return v;
}

void slr_leg_voices_drop(struct slr_leg_voices *v)
{
    for (uint32_t i = 0; i < SLR_LEG_VOICES; i++) {
        slr_voice_close(v->voice[i]);
        v->voice[i] = NULL;
    }
    v->warm = false;
    v->tail_frames = 0;
    v->done_count = 0;
    v->done_full = false;
    v->noisy = false;
    v->noise_ticks = 0;
    v->last_stream = SLR_NONE;
    v->last_spoke = false;
}

void slr_leg_voices_close(struct slr_leg_voices *v)
{
    if (v) {
        slr_leg_voices_drop(v);
        free(v->tail);
        free(v);
    }
}

bool slr_leg_voices_resume(struct slr_leg_voices *v, struct slr_track *track)
{
    if (!v->warm || v->done_full || v->next_frame != track->first_frame ||
        v->next_frame < v->tail_first_frame) {
        slr_leg_voices_drop(v);
        return false;
    }
    int64_t from_ticks = v->next_frame * slr_ticks_per_frame(&track->shape);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < v->done_count; i++) {
        if (v->done[i].end_ticks > from_ticks) {
            v->done[kept++] = v->done[i];
        }
    }
    v->done_count = kept;
    size_t bytes = slr_sample_bytes(track->shape.format);
    int64_t skip = v->next_frame - v->tail_first_frame;
    if (skip < (int64_t)v->tail_frames) {
        slr_track_put_made(track, v->tail + (size_t)skip * bytes, v->tail_frames - (uint32_t)skip);
    }
    return true;
}

/* Number `i` becomes the first one. */
static struct slr_voice *to_front(struct slr_leg_voices *v, uint32_t i)
{
    struct slr_voice *one = v->voice[i];
    memmove(&v->voice[1], &v->voice[0], i * sizeof v->voice[0]);
    v->voice[0] = one;
    return one;
}

/* Which one goes on for the stream and payload type; SLR_LEG_VOICES: none. changed: the stream was
 * heard with another type since. */
static uint32_t find_voice(const struct slr_leg_voices *v, uint32_t stream, uint32_t row,
                           bool *changed)
{
    *changed = false;
    for (uint32_t i = 0; i < SLR_LEG_VOICES && v->voice[i]; i++) {
        if (v->voice[i]->stream == stream && v->voice[i]->row == row) {
            return i;
        }
        *changed |= v->voice[i]->stream == stream;
    }
    return SLR_LEG_VOICES;
}

enum slr_err slr_leg_voices_get(struct slr_leg_voices *v, const struct slr_codec_use *use,
                                uint32_t stream, uint32_t row, struct slr_track *track,
                                struct slr_voice_scratch *scratch, struct slr_voice **out)
{
    bool changed = false;
    uint32_t i = find_voice(v, stream, row, &changed);
    if (i < SLR_LEG_VOICES) {
        *out = to_front(v, i);
        if (!changed && !(*out)->stale) {
            return SLR_OK;
        }
        slr_voice_end(*out, track, scratch);
        return slr_voice_restart(*out);
    }
    struct slr_voice *fresh = NULL;
    enum slr_err err = slr_voice_open(use, stream, row, track->shape.sample_hz, &fresh);
    if (err != SLR_OK) {
        return err;
    }
    struct slr_voice *oldest = v->voice[SLR_LEG_VOICES - 1];
    if (oldest) {
        slr_voice_end(oldest, track, scratch);
        slr_voice_close(oldest);
    }
    v->voice[SLR_LEG_VOICES - 1] = fresh;
    *out = to_front(v, SLR_LEG_VOICES - 1);
    return SLR_OK;
}

void slr_leg_voices_pass(struct slr_leg_voices *v, uint32_t stream)
{
    for (uint32_t i = 0; i < SLR_LEG_VOICES && v->voice[i]; i++) {
        v->voice[i]->stale |= v->voice[i]->stream == stream;
    }
}

const struct slr_note *slr_leg_voices_find(const struct slr_leg_voices *v, uint32_t stream,
                                           int64_t seq_ext, int64_t start_ticks)
{
    for (uint32_t i = 0; i < v->done_count; i++) {
        const struct slr_note *n = &v->done[i];
        if (!n->filler && n->stream == stream && n->seq_ext == seq_ext &&
            n->start_ticks == start_ticks) {
            return n;
        }
    }
    return NULL;
}

void slr_leg_voices_done(struct slr_leg_voices *v, const struct slr_note *note)
{
    if (v->done_count == SLR_LEG_DONE) {
        v->done_full = true;
        return;
    }
    v->done[v->done_count++] = *note;
}

enum slr_err slr_leg_voices_keep(struct slr_leg_voices *v, const struct slr_track *track)
{
    uint32_t back = slr_leg_voices_back_frames(&track->shape);
    uint32_t from = track->frames > back ? track->frames - back : 0;
    size_t bytes = slr_sample_bytes(track->shape.format);
    size_t need = (track->filled_frames - from) * bytes;
    v->tail_first_frame = track->first_frame + from;
    v->tail_frames = 0;
    if (need > v->tail_size_bytes) {
        uint32_t size = (uint32_t)((need / TAIL_STEP_BYTES + 1) * TAIL_STEP_BYTES);
        uint8_t *tail = realloc(v->tail, size);
        if (!tail) {
            return SLR_NOMEM;
        }
        v->tail = tail;
        v->tail_size_bytes = size;
    }
    if (need > 0) {
        memcpy(v->tail, track->at + from * bytes, need);
        v->tail_frames = track->filled_frames - from;
    }
    return SLR_OK;
}

void slr_leg_voices_next(struct slr_leg_voices *v, int64_t next_frame)
{
    v->next_frame = next_frame;
    v->warm = true;
}

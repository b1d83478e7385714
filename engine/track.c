/*
 * track: see the header. Writer thread.
 */
#include "engine/track.h"

#include <stdlib.h>
#include <string.h>

#include "codecs/codec.h"
#include "codecs/pcm.h"
#include "engine/render.h"

#define FIRST_NOTES 1024u
#define MAX_FRAMES (SLR_PIECE_FRAMES + SLR_TRACK_SPARE_FRAMES + SLR_TRACK_AHEAD_FRAMES)

enum slr_err slr_track_init(struct slr_track *t)
{
    memset(t, 0, sizeof *t);
    t->at = malloc(MAX_FRAMES * sizeof(int16_t));
    t->pcm = malloc((SLR_PIECE_FRAMES + SLR_TRACK_SPARE_FRAMES) * sizeof *t->pcm);
    t->note = malloc(FIRST_NOTES * sizeof *t->note);
    t->note_size = t->note ? FIRST_NOTES : 0;
    return t->at && t->pcm && t->note ? SLR_OK : SLR_NOMEM;
}

void slr_track_fini(struct slr_track *t)
{
    free(t->at);
    free(t->pcm);
    free(t->note);
    memset(t, 0, sizeof *t);
}

/* Silence up to there. */
static void fill_until(struct slr_track *t, uint32_t frames)
{
    size_t bytes = slr_sample_bytes(t->shape.format);
    if (frames > t->filled_frames) {
        memset(t->at + t->filled_frames * bytes, slr_render_silence_byte(t->shape.format),
               (frames - t->filled_frames) * bytes);
        t->filled_frames = frames;
    }
}

void slr_track_begin(struct slr_track *t, const struct slr_audio_shape *shape, int64_t first_frame,
                     uint32_t frames)
{
    t->shape = *shape;
    t->first_frame = first_frame;
    t->frames = t->max_frames = frames;
    t->filled_frames = 0;
    t->is_pcm = false;
    t->note_count = 0;
    t->overflow = false;
    fill_until(t, frames);
}

void slr_track_look_ahead(struct slr_track *t)
{
    t->max_frames = t->frames + SLR_TRACK_AHEAD_FRAMES;
}

/* The part of [frame, frame + count) that is inside the track: how many to skip, how many to copy,
 * and where to. */
static uint32_t clip(struct slr_track *t, int64_t frame, uint32_t count, uint32_t *skip,
                     uint32_t *at)
{
    int64_t from = frame - t->first_frame;
    int64_t begin = from < 0 ? 0 : from;
    int64_t end = from + (int64_t)count;
    if (end > (int64_t)t->max_frames) {
        end = t->max_frames;
    }
    if (begin >= end) {
        return 0;
    }
    t->is_pcm = false;
    *skip = (uint32_t)(begin - from);
    *at = (uint32_t)begin;
    fill_until(t, (uint32_t)end);
    return (uint32_t)(end - begin);
}

void slr_track_put_pcm(struct slr_track *t, int64_t frame, const int16_t *pcm, uint32_t count)
{
    uint32_t skip = 0;
    uint32_t at = 0;
    uint32_t n = clip(t, frame, count, &skip, &at);
    if (n == 0) {
        return;
    }
    pcm += skip;
    switch (t->shape.format) {
    case SLR_SAMPLE_ALAW:
        for (uint32_t i = 0; i < n; i++) {
            t->at[at + i] = slr_g711_s16_to_alaw(pcm[i]);
        }
        break;
    case SLR_SAMPLE_ULAW:
        for (uint32_t i = 0; i < n; i++) {
            t->at[at + i] = slr_g711_s16_to_ulaw(pcm[i]);
        }
        break;
    case SLR_SAMPLE_S16:
        memcpy(t->at + (size_t)at * 2, pcm, (size_t)n * 2);
        break;
    }
}

void slr_track_put_law(struct slr_track *t, int64_t frame, const uint8_t *law, uint32_t count)
{
    uint32_t skip = 0;
    uint32_t at = 0;
    uint32_t n = clip(t, frame, count, &skip, &at);
    if (n > 0) {
        memcpy(t->at + at, law + skip, n);
    }
}

void slr_track_put_made(struct slr_track *t, const uint8_t *at, uint32_t frames)
{
    uint32_t n = frames < t->max_frames ? frames : t->max_frames;
    t->is_pcm = false;
    fill_until(t, n);
    memcpy(t->at, at, n * slr_sample_bytes(t->shape.format));
}

const int16_t *slr_track_pcm(struct slr_track *t)
{
    if (t->shape.format == SLR_SAMPLE_S16) {
        return (const int16_t *)(const void *)t->at;
    }
    if (!t->is_pcm && t->shape.format == SLR_SAMPLE_ALAW) {
        slr_pcm()->from_alaw(t->at, t->frames, t->pcm);
    } else if (!t->is_pcm) {
        slr_pcm()->from_ulaw(t->at, t->frames, t->pcm);
    }
    t->is_pcm = true;
    return t->pcm;
}

struct slr_note *slr_track_note(struct slr_track *t)
{
    if (t->note_count == t->note_size) {
        uint32_t size = t->note_size * 2;
        struct slr_note *note = realloc(t->note, size * sizeof *note);
        if (!note) {
            t->overflow = true;
            return NULL;
        }
        t->note = note;
        t->note_size = size;
    }
    struct slr_note *n = &t->note[t->note_count++];
    memset(n, 0, sizeof *n);
    return n;
}

int64_t slr_corrections_frames(const struct slr_corrections *c)
{
    int64_t sum = 0;
    for (uint32_t i = 0; i < c->count; i++) {
        sum += c->at[i].frames;
    }
    return sum;
}

int64_t slr_track_offset(const struct slr_track *t, const struct slr_corrections *c,
                         int64_t leg_frame)
{
    int64_t offset = leg_frame - t->first_frame;
    for (uint32_t i = 0; i < c->count && c->at[i].at_frame <= leg_frame; i++) {
        int64_t n = c->at[i].frames;
        int64_t into = leg_frame - c->at[i].at_frame;
        offset += n >= 0 || into >= -n ? n : -into;
    }
    return offset;
}

/* Frames [from, to) of the track into the plane. */
static void lay(const struct slr_track *t, uint8_t *plane, uint32_t from, uint32_t to)
{
    size_t bytes = slr_sample_bytes(t->shape.format);
    if (to > from) {
        memcpy(plane + from * bytes, t->at + from * bytes, (to - from) * bytes);
    }
}

static uint32_t bounded(int64_t offset, uint32_t frames)
{
    return offset < 0 ? 0 : (offset > (int64_t)frames ? frames : (uint32_t)offset);
}

void slr_track_store(const struct slr_track *t, const struct slr_corrections *c, uint8_t *plane,
                     uint32_t frames, bool over)
{
    int64_t tpf = slr_ticks_per_frame(&t->shape);
    if (!over) {
        lay(t, plane, 0, frames);
        return;
    }
    for (uint32_t i = 0; i < t->note_count; i++) {
        const struct slr_note *n = &t->note[i];
        if (n->sound) {
            int64_t start = slr_floor_div(n->start_ticks, tpf);
            int64_t end = slr_floor_div(n->end_ticks, tpf);
            lay(t, plane, bounded(slr_track_offset(t, c, start), frames),
                bounded(slr_track_offset(t, c, end), frames));
        }
    }
}

void slr_track_join(const struct slr_audio_shape *shape, const uint8_t *const *plane,
                    uint32_t frames, uint8_t *block)
{
    uint32_t channels = shape->channels;
    size_t bytes = slr_sample_bytes(shape->format);
    if (channels == 1) {
        memcpy(block, plane[0], frames * bytes);
    } else if (channels == 2 && bytes == 1) {
        slr_pcm()->pair8(plane[0], plane[1], frames, block);
    } else if (channels == 2) {
        slr_pcm()->pair16(plane[0], plane[1], frames, block);
    } else {
        for (uint32_t c = 0; c < channels; c++) {
            for (size_t i = 0; i < frames; i++) {
                memcpy(block + (i * channels + c) * bytes, plane[c] + i * bytes, bytes);
            }
        }
    }
}

/*
 * render: payload to samples at their absolute place. Writer thread; allocates only where more
 * packets lie in one stretch than ever before.
 */
#include "engine/render.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_ITEMS 1024u

uint8_t slr_render_silence_byte(enum slr_sample_format format)
{
    if (format == SLR_SAMPLE_ALAW) {
        return 0xd5;
    }
    return format == SLR_SAMPLE_ULAW ? 0xff : 0x00;
}

void slr_render_silence(struct slr_block *block)
{
    size_t bytes =
        (size_t)block->frames * block->shape.channels * slr_sample_bytes(block->shape.format);
    memset(block->at, slr_render_silence_byte(block->shape.format), bytes);
}

/* Payload that is the file's own law is kept byte for byte. */
static bool kept_as_is(const struct slr_audio_shape *shape, const struct slr_codec *codec)
{
    return (shape->format == SLR_SAMPLE_ALAW && codec->static_pt == 8) ||
           (shape->format == SLR_SAMPLE_ULAW && codec->static_pt == 0);
}

/* Down to mono: a channel of the recording is one party. */
static void to_mono(int16_t *pcm, uint32_t samples, uint32_t channels)
{
    for (uint32_t i = 0; channels == 2 && i < samples; i++) {
        pcm[i] = (int16_t)((pcm[2 * i] + pcm[2 * i + 1]) / 2);
    }
}

/* False: the payload could not be decoded. */
static bool render_audio(struct slr_track *t, const struct slr_render_item *item,
                         const struct slr_codec_use *use, struct slr_render_scratch *scratch)
{
    const struct slr_rec *rec = item->rec;
    struct slr_slice payload = slr_slice_of(slr_rec_payload(rec), rec->len_bytes);
    const struct slr_codec *codec = use->codec;
    int64_t frame = slr_floor_div(item->ticks, slr_ticks_per_frame(&t->shape));
    uint32_t samples = 0;
    if (!codec || codec->decoder_bytes > 0 || use->sample_hz != t->shape.sample_hz) {
        return false;
    }
    if (kept_as_is(&t->shape, codec)) {
        slr_track_put_law(t, frame, payload.at, (uint32_t)payload.len_bytes);
        return true;
    }
    if (codec->decode(NULL, use, payload, scratch->pcm, SLR_CODEC_MAX_SAMPLES, &samples) !=
        SLR_OK) {
        return false;
    }
    to_mono(scratch->pcm, samples, use->channels);
    slr_track_put_pcm(t, frame, scratch->pcm, samples);
    return true;
}

/* A total order: by position, newer streams over older ones, packets of one event (which have the
 * same position) in the order they were sent in. */
static int compare(const void *a, const void *b)
{
    const struct slr_render_item *x = a;
    const struct slr_render_item *y = b;
    if (x->ticks != y->ticks) {
        return x->ticks < y->ticks ? -1 : 1;
    }
    if (x->born_ns != y->born_ns) {
        return x->born_ns < y->born_ns ? -1 : 1;
    }
    if (x->rec->stream != y->rec->stream) {
        return x->rec->stream < y->rec->stream ? -1 : 1;
    }
    return (x->rec->seq_ext > y->rec->seq_ext) - (x->rec->seq_ext < y->rec->seq_ext);
}

/* Insertion sort, since they come nearly in order; not where a sender mixes them up on purpose. */
static void sort_items(struct slr_render_item *item, uint32_t count)
{
    uint64_t moves_left = 64u * (uint64_t)count;
    for (uint32_t i = 1; i < count; i++) {
        struct slr_render_item one = item[i];
        uint32_t k = i;
        for (; k > 0 && compare(&item[k - 1], &one) > 0; k--) {
            item[k] = item[k - 1];
        }
        item[k] = one;
        if (i - k > moves_left) {
            qsort(item, count, sizeof *item, compare);
            return;
        }
        moves_left -= i - k;
    }
}

/* Only records of a stream that was taken count, and only of the slot's own generation. */
static bool is_taken(const struct slr_leg *leg, const struct slr_rec *rec)
{
    const struct slr_stream *st = &leg->stream[rec->stream % SLR_LEG_STREAMS];
    return st->generation == rec->generation &&
           atomic_load_explicit(&st->state, memory_order_acquire) == SLR_STREAM_TAKEN;
}

static bool add_item(struct slr_render_scratch *scratch, const struct slr_leg *leg,
                     const struct slr_rec *rec, int64_t ticks)
{
    if (scratch->count == scratch->size) {
        uint32_t size = scratch->size ? scratch->size * 2 : FIRST_ITEMS;
        struct slr_render_item *item = realloc(scratch->item, size * sizeof *item);
        if (!item) {
            return false;
        }
        scratch->item = item;
        scratch->size = size;
    }
    const struct slr_stream *st = &leg->stream[rec->stream % SLR_LEG_STREAMS];
    int64_t born_ns = atomic_load_explicit(&st->first_arrival_ns, memory_order_relaxed);
    scratch->item[scratch->count++] = (struct slr_render_item){ticks, born_ns, rec};
    return true;
}

/* The records that touch [from, to), in order. False: no memory. */
static bool collect(struct slr_state *state, uint32_t leg_index, int64_t from, int64_t to,
                    struct slr_render_scratch *scratch, struct slr_counters *counters)
{
    const struct slr_leg *leg = &state->leg[leg_index];
    struct slr_queue_walk walk = {0};
    scratch->count = 0;
    const struct slr_rec *rec = slr_queue_next(state, leg_index, &walk);
    for (; rec; rec = slr_queue_next(state, leg_index, &walk)) {
        int64_t start = slr_rec_ticks(leg, rec);
        int64_t end = start + rec->dur_ticks;
        bool here = start < to && (end > from || (rec->dur_ticks == 0 && start >= from));
        if (!here) {
            continue;
        }
        if (!is_taken(leg, rec)) {
            if (end <= to) {
                slr_count(&counters->at[SLR_CTR_PROBATION_DROPPED], 1);
            }
            continue;
        }
        if (!add_item(scratch, leg, rec, start)) {
            return false;
        }
    }
    sort_items(scratch->item, scratch->count);
    return true;
}

static void render_item(struct slr_track *t, const struct slr_render_item *item,
                        const struct slr_leg_codecs *codecs, struct slr_render_scratch *scratch)
{
    const struct slr_rec *rec = item->rec;
    struct slr_note *note = slr_track_note(t);
    if (!note) {
        return;
    }
    note->start_ticks = item->ticks;
    note->end_ticks = item->ticks + rec->dur_ticks;
    note->seq_ext = rec->seq_ext;
    note->stream = rec->generation << 8 | rec->stream;
    note->flags = rec->flags;
    if (rec->flags & SLR_REC_SUPPRESSED) {
        note->kind = SLR_SPAN_PAUSED;
    } else if (rec->flags & SLR_REC_EVENT) {
        note->kind = SLR_SPAN_EVENT;
    } else if (rec->flags & SLR_REC_UNDECODED) {
        note->kind = SLR_SPAN_CONCEALED;
    } else if (rec->flags & SLR_REC_COMFORT) {
        note->kind = SLR_SPAN_COMFORT;
    } else {
        note->sound = render_audio(t, item, &codecs->use[rec->pt], scratch);
        note->kind = note->sound ? SLR_SPAN_RECEIVED : SLR_SPAN_CONCEALED;
    }
}

void slr_render_leg(struct slr_state *state, uint32_t leg_index,
                    const struct slr_leg_codecs *codecs, struct slr_track *track,
                    struct slr_render_scratch *scratch, struct slr_counters *counters)
{
    int64_t tpf = slr_ticks_per_frame(&track->shape);
    int64_t from = track->first_frame * tpf;
    int64_t to = from + (int64_t)track->frames * tpf;
    if (!collect(state, leg_index, from, to, scratch, counters)) {
        track->overflow = true;
        return;
    }
    for (uint32_t i = 0; i < scratch->count; i++) {
        render_item(track, &scratch->item[i], codecs, scratch);
    }
}

void slr_render_scratch_fini(struct slr_render_scratch *scratch)
{
    free(scratch->item);
    scratch->item = NULL;
    scratch->count = scratch->size = 0;
}

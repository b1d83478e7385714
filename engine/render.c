/*
 * render: payload to samples at their absolute place. Writer thread; allocates only where more
 * packets lie in one stretch than ever before.
 */
#include "engine/render.h"

#include <stdlib.h>
#include <string.h>

#include "engine/dtmf_tone.h"
#include "engine/missed.h"

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

bool slr_render_direct(struct slr_render *r, const struct slr_render_item *item)
{
    const struct slr_rec *rec = item->rec;
    const struct slr_codec_use *use = &r->codecs->use[rec->pt];
    struct slr_track *t = r->track;
    int16_t *pcm = r->scratch->voice.pcm;
    struct slr_slice payload = slr_slice_of(slr_rec_payload(rec), rec->len_bytes);
    int64_t frame = slr_floor_div(item->ticks, slr_ticks_per_frame(&t->shape));
    uint32_t samples = 0;
    if (!use->codec) {
        return false;
    }
    if (kept_as_is(&t->shape, use->codec)) {
        slr_track_put_law(t, frame, payload.at, (uint32_t)payload.len_bytes);
        return true;
    }
    if (use->codec->decode(NULL, use, payload, pcm, SLR_CODEC_MAX_SAMPLES, &samples) != SLR_OK) {
        return false;
    }
    slr_voice_to_mono(pcm, samples, use->channels);
    slr_track_put_pcm(t, frame, pcm, samples);
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
    const struct slr_stream *st = slr_leg_stream(leg, rec->stream);
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
    const struct slr_stream *st = slr_leg_stream(leg, rec->stream);
    int64_t born_ns = atomic_load_explicit(&st->first_arrival_ns, memory_order_relaxed);
    scratch->item[scratch->count++] = (struct slr_render_item){ticks, born_ns, rec};
    return true;
}

/* Keeps the first of those that come after the stretch. */
static void consider_next(struct slr_render_scratch *scratch, const struct slr_leg *leg,
                          const struct slr_rec *rec, int64_t ticks)
{
    const struct slr_stream *st = slr_leg_stream(leg, rec->stream);
    int64_t born_ns = atomic_load_explicit(&st->first_arrival_ns, memory_order_relaxed);
    struct slr_render_item one = {ticks, born_ns, rec};
    if (!scratch->next.rec || compare(&one, &scratch->next) < 0) {
        scratch->next = one;
    }
}

bool slr_render_collect(struct slr_render *r, int64_t from, int64_t to)
{
    struct slr_render_scratch *scratch = r->scratch;
    const struct slr_leg *leg = &r->state->leg[r->leg_index];
    struct slr_queue_walk walk = {0};
    int64_t tpf = slr_ticks_per_frame(&r->track->shape);
    int64_t written = r->track->first_frame * tpf;
    int64_t end_ticks = written + (int64_t)r->track->frames * tpf;
    scratch->count = 0;
    scratch->next.rec = NULL;
    const struct slr_rec *rec = slr_queue_next(r->state, r->leg_index, &walk);
    for (; rec; rec = slr_queue_next(r->state, r->leg_index, &walk)) {
        int64_t start = slr_rec_ticks(leg, rec);
        int64_t end = start + rec->dur_ticks;
        bool past = end <= written && (rec->dur_ticks > 0 || start < written);
        if (past && !slr_rec_has(r->state, rec, SLR_FATE_RENDERED)) {
            uint32_t missed = slr_missed_judge(r->state, r->leg_index, rec);
            slr_count(&r->counters->at[SLR_CTR_MISSED], missed);
        }
        if (end <= from && (rec->dur_ticks > 0 || start < from)) {
            continue;
        }
        if (!is_taken(leg, rec)) {
            if (end <= end_ticks && start < to) {
                slr_count(&r->counters->at[SLR_CTR_PROBATION_DROPPED], 1);
            }
        } else if (start >= to) {
            consider_next(scratch, leg, rec, start);
        } else if (!add_item(scratch, leg, rec, start)) {
            return false;
        }
    }
    sort_items(scratch->item, scratch->count);
    return true;
}

void slr_render_done(const struct slr_render *r, int64_t end_ticks)
{
    int64_t first = r->track->first_frame * slr_ticks_per_frame(&r->track->shape);
    for (uint32_t i = 0; i < r->scratch->count; i++) {
        const struct slr_render_item *item = &r->scratch->item[i];
        const struct slr_rec *rec = item->rec;
        int64_t end = item->ticks + (rec->dur_ticks > 0 ? rec->dur_ticks : 1);
        if (item->ticks < end_ticks && end > first) {
            struct slr_chunk *c = &r->state->chunk[slr_rec_chunk(r->state, rec)];
            slr_chunk_mark(c, slr_rec_offset(r->state, rec), SLR_FATE_RENDERED);
        }
    }
}

struct slr_note slr_render_note(const struct slr_render_item *item)
{
    const struct slr_rec *rec = item->rec;
    struct slr_note note = {.start_ticks = item->ticks,
                            .end_ticks = item->ticks + rec->dur_ticks,
                            .seq_ext = rec->seq_ext,
                            .stream = slr_rec_stream(rec),
                            .flags = rec->flags,
                            .segment = rec->segment,
                            .kind = SLR_SPAN_RECEIVED};
    if (rec->flags & SLR_REC_SUPPRESSED) {
        note.kind = SLR_SPAN_PAUSED;
    } else if (rec->flags & SLR_REC_EVENT) {
        note.kind = SLR_SPAN_EVENT;
    } else if (rec->flags & SLR_REC_UNDECODED) {
        note.kind = SLR_SPAN_CONCEALED;
    } else if (rec->flags & SLR_REC_COMFORT) {
        note.kind = SLR_SPAN_COMFORT;
    }
    return note;
}

/* Does it go on where that ends, in every respect? */
static bool continues(const struct slr_note *last, const struct slr_note *note)
{
    return last->end_ticks == note->start_ticks && slr_note_last_seq(last) + 1 == note->seq_ext &&
           last->stream == note->stream && last->flags == 0 && note->flags == 0 &&
           last->kind == SLR_SPAN_RECEIVED && note->kind == SLR_SPAN_RECEIVED && last->sound &&
           note->sound && last->segment == note->segment && note->end_ticks > note->start_ticks &&
           slr_note_dur(last) == note->end_ticks - note->start_ticks;
}

void slr_render_tell(struct slr_render *r, const struct slr_note *note)
{
    struct slr_track *t = r->track;
    if (t->note_count > 0 && continues(&t->note[t->note_count - 1], note)) {
        t->note[t->note_count - 1].end_ticks = note->end_ticks;
        t->note[t->note_count - 1].more++;
        return;
    }
    struct slr_note *told = slr_track_note(r->track);
    if (told) {
        *told = *note;
    }
}

/* Of the same event as the one that follows it? */
static bool is_told_again(const struct slr_render *r, const struct slr_render_item *item)
{
    const struct slr_render_item *next = item + 1;
    return next < r->scratch->item + r->scratch->count && next->ticks == item->ticks &&
           next->rec->stream == item->rec->stream && (next->rec->flags & SLR_REC_EVENT) &&
           next->rec->len_bytes > 0;
}

bool slr_render_event(struct slr_render *r, const struct slr_render_item *item)
{
    const struct slr_rec *rec = item->rec;
    struct slr_track *t = r->track;
    int16_t *pcm = r->scratch->voice.pcm;
    struct slr_dtmf_tone tone;
    int64_t tpf = slr_ticks_per_frame(&t->shape);
    if (!r->event_tones || r->session->digit_policy != SLR_DIGITS_KEEP || rec->len_bytes == 0) {
        return false;
    }
    if (is_told_again(r, item)) {
        return true;
    }
    int64_t first = slr_floor_div(item->ticks, tpf);
    int64_t end = slr_floor_div(item->ticks + rec->dur_ticks, tpf);
    int64_t last = t->first_frame + (int64_t)t->frames;
    slr_dtmf_tone_of(slr_slice_of(slr_rec_payload(rec), rec->len_bytes), t->shape.sample_hz,
                     end - first, &tone);
    for (int64_t at = first > t->first_frame ? first : t->first_frame; at < end && at < last;) {
        uint32_t n = end - at < SLR_CODEC_MAX_SAMPLES ? (uint32_t)(end - at)
                                                      : (uint32_t)SLR_CODEC_MAX_SAMPLES;
        slr_dtmf_tone_make(&tone, at - first, pcm, n);
        slr_track_put_pcm(t, at, pcm, n);
        at += n;
    }
    return true;
}

static bool any_needs_voice(const struct slr_render *r)
{
    for (uint32_t i = 0; i < r->scratch->count; i++) {
        const struct slr_rec *rec = r->scratch->item[i].rec;
        if (r->comfort_noise && (rec->flags & SLR_REC_COMFORT)) {
            return true;
        }
        if (rec->len_bytes > 0 && !(rec->flags & (SLR_REC_EVENT | SLR_REC_COMFORT)) &&
            slr_voice_needed(&r->codecs->use[rec->pt], r->track->shape.sample_hz)) {
            return true;
        }
    }
    return false;
}

void slr_render_leg(struct slr_render *r)
{
    struct slr_track *track = r->track;
    int64_t tpf = slr_ticks_per_frame(&track->shape);
    int64_t from = track->first_frame * tpf;
    if (!*r->voices) {
        if (!slr_render_collect(r, from, from + (int64_t)track->frames * tpf)) {
            track->overflow = true;
            return;
        }
        if (any_needs_voice(r)) {
            *r->voices = slr_leg_voices_open();
            track->overflow |= !*r->voices;
        }
    }
    if (*r->voices) {
        slr_render_voiced(r);
        return;
    }
    for (uint32_t i = 0; i < r->scratch->count; i++) {
        struct slr_note note = slr_render_note(&r->scratch->item[i]);
        if (note.kind == SLR_SPAN_RECEIVED) {
            note.sound = slr_render_direct(r, &r->scratch->item[i]);
            note.kind = note.sound ? SLR_SPAN_RECEIVED : SLR_SPAN_CONCEALED;
        } else if (note.kind == SLR_SPAN_EVENT) {
            note.sound = slr_render_event(r, &r->scratch->item[i]);
        }
        slr_render_tell(r, &note);
    }
}

void slr_render_scratch_fini(struct slr_render_scratch *scratch)
{
    free(scratch->item);
    scratch->item = NULL;
    scratch->count = scratch->size = 0;
}

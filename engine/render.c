/*
 * render: payload to samples at their absolute place. Writer thread; allocates nothing.
 */
#include "engine/render.h"

#include <stdlib.h>
#include <string.h>

static uint8_t silence_of(enum slr_sample_format format)
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
    memset(block->at, silence_of(block->shape.format), bytes);
}

/* Samples [from, from+count) of pcm (mono) go to the frames from `frame` on. */
static void store_pcm(struct slr_block *b, uint32_t channel, uint32_t frame, const int16_t *pcm,
                      uint32_t count)
{
    uint32_t step = b->shape.channels;
    size_t at = (size_t)frame * step + channel;
    for (uint32_t i = 0; i < count; i++, at += step) {
        switch (b->shape.format) {
        case SLR_SAMPLE_ALAW:
            b->at[at] = slr_g711_s16_to_alaw(pcm[i]);
            break;
        case SLR_SAMPLE_ULAW:
            b->at[at] = slr_g711_s16_to_ulaw(pcm[i]);
            break;
        case SLR_SAMPLE_S16:
            memcpy(b->at + at * 2, &pcm[i], 2);
            break;
        }
    }
}

static void store_bytes(struct slr_block *b, uint32_t channel, uint32_t frame, const uint8_t *law,
                        uint32_t count)
{
    uint32_t step = b->shape.channels;
    uint8_t *to = b->at + (size_t)frame * step + channel;
    for (uint32_t i = 0; i < count; i++, to += step) {
        *to = law[i];
    }
}

/* Payload that is the file's own law is kept byte for byte. */
static bool kept_as_is(const struct slr_block *b, const struct slr_codec *codec)
{
    return (b->shape.format == SLR_SAMPLE_ALAW && codec->static_pt == 8) ||
           (b->shape.format == SLR_SAMPLE_ULAW && codec->static_pt == 0);
}

/* Down to mono: a channel of the recording is one party. */
static void to_mono(int16_t *pcm, uint32_t samples, uint32_t channels)
{
    for (uint32_t i = 0; channels == 2 && i < samples; i++) {
        pcm[i] = (int16_t)((pcm[2 * i] + pcm[2 * i + 1]) / 2);
    }
}

static bool render_audio(struct slr_block *b, uint32_t channel, const struct slr_rec *rec,
                         int64_t start_ticks, const struct slr_codec_use *use,
                         struct slr_render_scratch *scratch)
{
    struct slr_slice payload = slr_slice_of(slr_rec_payload(rec), rec->len_bytes);
    const struct slr_codec *codec = use->codec;
    uint32_t samples = 0;
    if (!codec || use->sample_hz != b->shape.sample_hz) {
        return false;
    }
    bool keep = kept_as_is(b, codec);
    if (keep) {
        samples = rec->len_bytes;
    } else if (codec->decode(NULL, use, payload, scratch->pcm, SLR_CODEC_MAX_SAMPLES, &samples) !=
               SLR_OK) {
        return false;
    } else {
        to_mono(scratch->pcm, samples, use->channels);
    }
    int64_t tpf = slr_ticks_per_frame(&b->shape);
    int64_t first = start_ticks >= 0 ? start_ticks / tpf : -((-start_ticks + tpf - 1) / tpf);
    int64_t from = first - (int64_t)b->first_frame;
    uint32_t skip = from < 0 ? (uint32_t)-from : 0;
    uint32_t at = from < 0 ? 0 : (uint32_t)from;
    if (skip >= samples || at >= b->frames) {
        return true;
    }
    uint32_t count = samples - skip;
    count = count < b->frames - at ? count : b->frames - at;
    if (keep) {
        store_bytes(b, channel, at, payload.at + skip, count);
    } else {
        store_pcm(b, channel, at, scratch->pcm + skip, count);
    }
    return true;
}

/* By position; packets of one event have the same, and then the order they were sent in. */
static bool is_after(const struct slr_leg *leg, const struct slr_rec *a, const struct slr_rec *b,
                     int64_t b_ticks)
{
    int64_t a_ticks = slr_rec_ticks(leg, a);
    bool same_stream = a->stream == b->stream && a->generation == b->generation;
    return a_ticks > b_ticks || (a_ticks == b_ticks && same_stream && a->seq_ext > b->seq_ext);
}

/* Insertion sort: the records come nearly in order, and the sort is stable. */
static void sort_records(const struct slr_leg *leg, const struct slr_rec **rec, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        const struct slr_rec *r = rec[i];
        int64_t pos = slr_rec_ticks(leg, r);
        uint32_t k = i;
        while (k > 0 && is_after(leg, rec[k - 1], r, pos)) {
            rec[k] = rec[k - 1];
            k--;
        }
        rec[k] = r;
    }
}

/* Only records of a stream that was taken count, and only of the slot's own generation. */
static bool is_taken(const struct slr_leg *leg, const struct slr_rec *rec)
{
    const struct slr_stream *st = &leg->stream[rec->stream % SLR_LEG_STREAMS];
    return st->generation == rec->generation &&
           atomic_load_explicit(&st->state, memory_order_acquire) == SLR_STREAM_TAKEN;
}

static uint32_t collect(struct slr_state *state, uint32_t leg_index, int64_t from, int64_t to,
                        const struct slr_rec **out, struct slr_counters *counters)
{
    const struct slr_leg *leg = &state->leg[leg_index];
    struct slr_queue_walk walk = {0};
    uint32_t n = 0;
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
        if (n < SLR_RENDER_MAX_RECORDS) {
            out[n++] = rec;
        }
    }
    sort_records(leg, out, n);
    return n;
}

void slr_render_leg(struct slr_state *state, uint32_t leg_index,
                    const struct slr_leg_codecs *codecs, struct slr_block *block, uint32_t channel,
                    struct slr_span_run *run, struct slr_render_scratch *scratch,
                    struct slr_counters *counters)
{
    const struct slr_leg *leg = &state->leg[leg_index];
    int64_t tpf = slr_ticks_per_frame(&block->shape);
    int64_t from = (int64_t)block->first_frame * tpf;
    int64_t to = from + (int64_t)block->frames * tpf;
    uint32_t n = collect(state, leg_index, from, to, scratch->rec, counters);
    for (uint32_t i = 0; i < n; i++) {
        const struct slr_rec *rec = scratch->rec[i];
        int64_t start = slr_rec_ticks(leg, rec);
        int64_t end = start + rec->dur_ticks;
        enum slr_span_kind kind = SLR_SPAN_RECEIVED;
        if (rec->flags & SLR_REC_SUPPRESSED) {
            kind = SLR_SPAN_PAUSED;
        } else if (rec->flags & SLR_REC_EVENT) {
            kind = SLR_SPAN_EVENT;
        } else if (rec->flags & SLR_REC_UNDECODED) {
            kind = SLR_SPAN_CONCEALED;
        } else if (rec->flags & SLR_REC_COMFORT) {
            kind = SLR_SPAN_COMFORT;
        } else if (!render_audio(block, channel, rec, start, &codecs->use[rec->pt], scratch)) {
            kind = SLR_SPAN_CONCEALED;
        }
        slr_spans_record(run, rec, start, end < to ? end : to, kind, 0);
    }
}

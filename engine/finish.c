/*
 * finish: blocks of the working file, cut, mixed or split into lanes of one channel each,
 * resampled, and put into the containers. An encoder's thread.
 */
#include "engine/finish.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codecs/codec.h"
#include "codecs/resample.h"

#define BLOCK_FRAMES 4096u
#define OPUS_NAME "opus"

/* One channel on its way. */
struct lane {
    struct slr_resample *resample; /* NULL: equal rates */
    int16_t *out;
    uint32_t out_samples;
};

/* One file, of lanes first_lane and following. */
struct target {
    struct slr_final_file *final;
    struct slr_sink_posix sink;
    void *state; /* of the container */
    uint32_t first_lane, lanes;
    struct slr_packet_encoder encoder;
    struct slr_container_options options;
    struct slr_codec_use use;
    void *coder[SLR_MAX_CHANNELS];
    bool sink_open, begun;
};

struct finish {
    const struct slr_finish_job *job;
    uint32_t lane_count, out_max;
    struct lane lane[SLR_MAX_CHANNELS];
    struct target target[SLR_MAX_CHANNELS];
    uint8_t *in; /* a block as it lies in the working file */
    int16_t *mono;
    int16_t *wide; /* interleaved again */
    uint64_t frames;
};

void slr_finish_names(const char *id, const struct slr_output_plan *plan, uint32_t number,
                      struct slr_final_file *f)
{
    char tail[24];
    char of[12] = "";
    if (plan->files > 1) {
        snprintf(of, sizeof of, "-%u", number);
    }
    snprintf(tail, sizeof tail, "%s%s", of, plan->container->extension);
    slr_recfile_name_final(id, tail, f->file);
    snprintf(f->part, sizeof f->part, "encode/%.32s%s.part", id, of);
}

enum slr_err slr_finish_publish(int rec_fd, const struct slr_final_file *f)
{
    enum slr_err err = slr_seal_publish(rec_fd, f->part, f->file);
    if (err == SLR_EXISTS && unlinkat(rec_fd, f->file, 0) == 0) {
        err = slr_seal_publish(rec_fd, f->part, f->file);
    }
    return err;
}

void slr_finish_clean(int rec_fd, const char *id)
{
    char name[SLR_REC_NAME_SIZE];
    for (int i = -1; i < SLR_MAX_CHANNELS; i++) {
        if (i < 0) {
            snprintf(name, sizeof name, "encode/%.32s.part", id);
        } else {
            snprintf(name, sizeof name, "encode/%.32s-%d.part", id, i);
        }
        unlinkat(rec_fd, name, 0);
    }
}

/* Bytes, not samples: nothing has to be decoded. */
static bool is_direct(const struct finish *f)
{
    const struct slr_output_plan *plan = f->job->plan;
    return plan->shape.format == f->job->recorded.format &&
           plan->shape.sample_hz == f->job->recorded.sample_hz && plan->layout != SLR_LAYOUT_MIX;
}

static uint32_t default_bps(uint32_t sample_hz)
{
    return sample_hz <= 8000 ? 16000 : sample_hz <= 16000 ? 24000 : 32000;
}

static enum slr_err encode(void *ctx, uint32_t channel, const int16_t *in, uint32_t samples,
                           uint8_t *out, size_t out_bytes, size_t *len_bytes)
{
    struct target *t = ctx;
    return t->use.codec->encode(t->coder[channel], &t->use, in, samples, out, out_bytes, len_bytes);
}

static uint32_t serial_of(const char *id, const char *file)
{
    uint32_t hash = 2166136261u;
    for (const char *at = id; *at; at++) {
        hash = (hash ^ (uint8_t)*at) * 16777619u;
    }
    for (const char *at = file; *at; at++) {
        hash = (hash ^ (uint8_t)*at) * 16777619u;
    }
    return hash & 0x7fffffffu;
}

/* An encoder for each channel, for the container that takes packets. */
static enum slr_err open_coders(const struct finish *f, struct target *t)
{
    const struct slr_audio_shape *shape = &f->job->plan->shape;
    const struct slr_codec *codec = slr_codec_by_name(OPUS_NAME, 0);
    uint32_t bps = f->job->opus_bps ? f->job->opus_bps : default_bps(shape->sample_hz);
    if (!codec || !codec->encoder_init || !codec->encode) {
        return SLR_UNSUPPORTED;
    }
    t->use = (struct slr_codec_use){.codec = codec,
                                    .clock_hz = codec->clock_hz,
                                    .sample_hz = shape->sample_hz,
                                    .channels = 1,
                                    .mode = f->job->opus_complexity + 1};
    for (uint32_t i = 0; i < t->lanes; i++) {
        void *coder = aligned_alloc(16, (codec->encoder_bytes + 15) / 16 * 16);
        enum slr_err err = coder ? codec->encoder_init(coder, &t->use, bps) : SLR_NOMEM;
        if (err != SLR_OK) {
            free(coder);
            return err;
        }
        t->coder[i] = coder;
    }
    uint32_t delay = codec->encoder_delay ? codec->encoder_delay(t->coder[0]) : 0;
    t->encoder = (struct slr_packet_encoder){t, encode, delay, "libopus"};
    t->options = (struct slr_container_options){&t->encoder, serial_of(f->job->id, t->final->file)};
    return SLR_OK;
}

static enum slr_err open_target(const struct finish *f, struct target *t)
{
    const struct slr_finish_job *job = f->job;
    const struct slr_container *c = job->plan->container;
    enum slr_err err = SLR_OK;
    unlinkat(job->rec_fd, t->final->part, 0); /* of an interrupted run */
    if (c->coding && strcmp(c->coding, OPUS_NAME) == 0) {
        err = open_coders(f, t);
    }
    t->state = aligned_alloc(16, (c->state_bytes + 15) / 16 * 16);
    if (err == SLR_OK) {
        err = t->state ? slr_sink_posix_create(&t->sink, job->rec_fd, t->final->part) : SLR_NOMEM;
        t->sink_open = err == SLR_OK;
    }
    if (err == SLR_OK) {
        err = c->begin(t->state, &job->plan->shape, &t->options, &t->sink.base, 0);
        t->begun = err == SLR_OK;
    }
    return err;
}

static enum slr_err open_all(struct finish *f, struct slr_final_file *file)
{
    const struct slr_output_plan *plan = f->job->plan;
    uint32_t in_hz = f->job->recorded.sample_hz;
    f->lane_count = plan->files * plan->shape.channels;
    f->out_max = BLOCK_FRAMES;
    for (uint32_t i = 0; i < f->lane_count && in_hz != plan->shape.sample_hz; i++) {
        enum slr_err err = slr_resample_open(in_hz, plan->shape.sample_hz, &f->lane[i].resample);
        if (err != SLR_OK) {
            return err;
        }
        uint32_t most = slr_resample_bound(f->lane[i].resample, BLOCK_FRAMES);
        uint32_t rest = slr_resample_bound(f->lane[i].resample, 0);
        f->out_max = most > rest ? most : rest;
    }
    for (uint32_t i = 0; i < f->lane_count; i++) {
        f->lane[i].out = malloc(f->out_max * sizeof(int16_t));
        if (!f->lane[i].out) {
            return SLR_NOMEM;
        }
    }
    f->in = malloc((size_t)BLOCK_FRAMES * SLR_MAX_CHANNELS * 2);
    f->mono = malloc(BLOCK_FRAMES * sizeof *f->mono);
    f->wide = malloc((size_t)f->out_max * SLR_MAX_CHANNELS * sizeof *f->wide);
    if (!f->in || !f->mono || !f->wide) {
        return SLR_NOMEM;
    }
    enum slr_err err = SLR_OK;
    for (uint32_t i = 0; i < plan->files && err == SLR_OK; i++) {
        struct target *t = &f->target[i];
        t->final = &file[i];
        t->first_lane = i * plan->shape.channels;
        t->lanes = plan->shape.channels;
        slr_finish_names(f->job->id, plan, i, t->final);
        err = open_target(f, t);
    }
    return err;
}

static void close_all(struct finish *f, bool keep)
{
    const struct slr_finish_job *job = f->job;
    for (uint32_t i = 0; i < job->plan->files; i++) {
        struct target *t = &f->target[i];
        if (t->begun && job->plan->container->drop) {
            job->plan->container->drop(t->state);
        }
        if (t->sink_open) {
            t->sink.base.ops->close(&t->sink.base);
            if (!keep) {
                unlinkat(job->rec_fd, t->final->part, 0);
            }
        }
        for (uint32_t k = 0; k < SLR_MAX_CHANNELS && t->coder[k]; k++) {
            t->use.codec->encoder_fini(t->coder[k]);
            free(t->coder[k]);
        }
        free(t->state);
    }
    for (uint32_t i = 0; i < f->lane_count; i++) {
        slr_resample_close(f->lane[i].resample);
        free(f->lane[i].out);
    }
    free(f->in);
    free(f->mono);
    free(f->wide);
}

static int16_t sample_at(const struct finish *f, uint32_t frame, uint32_t channel)
{
    size_t at = (size_t)frame * f->job->recorded.channels + channel;
    int16_t s16;
    switch (f->job->recorded.format) {
    case SLR_SAMPLE_ALAW:
        return slr_g711_alaw_to_s16(f->in[at]);
    case SLR_SAMPLE_ULAW:
        return slr_g711_ulaw_to_s16(f->in[at]);
    case SLR_SAMPLE_S16:
        break;
    }
    memcpy(&s16, f->in + at * 2, 2);
    return s16;
}

/* What the lane takes from a block: its channel, or the sum of all. */
static void fill_mono(const struct finish *f, uint32_t lane, uint32_t frames)
{
    bool mix = f->job->plan->layout == SLR_LAYOUT_MIX;
    for (uint32_t i = 0; i < frames; i++) {
        int32_t sum = 0;
        for (uint32_t c = 0; mix && c < f->job->recorded.channels; c++) {
            sum += sample_at(f, i, c);
        }
        if (!mix) {
            sum = sample_at(f, i, lane);
        }
        f->mono[i] = (int16_t)(sum > INT16_MAX ? INT16_MAX : sum < INT16_MIN ? INT16_MIN : sum);
    }
}

/* Takes a block through a lane; frames 0: what is still in it. */
static enum slr_err run_lane(struct finish *f, uint32_t number, uint32_t frames)
{
    struct lane *lane = &f->lane[number];
    lane->out_samples = 0;
    if (frames == 0) {
        return lane->resample
                   ? slr_resample_flush(lane->resample, lane->out, f->out_max, &lane->out_samples)
                   : SLR_OK;
    }
    fill_mono(f, number, frames);
    if (lane->resample) {
        return slr_resample_run(lane->resample, f->mono, frames, lane->out, f->out_max,
                                &lane->out_samples);
    }
    memcpy(lane->out, f->mono, frames * sizeof *f->mono);
    lane->out_samples = frames;
    return SLR_OK;
}

/* Interleaves a target's lanes, in its sample format. */
static void fill_wide(struct finish *f, const struct target *t, uint32_t frames)
{
    uint8_t *bytes = (uint8_t *)f->wide;
    enum slr_sample_format format = f->job->plan->shape.format;
    for (uint32_t c = 0; c < t->lanes; c++) {
        const int16_t *from = f->lane[t->first_lane + c].out;
        for (uint32_t i = 0; i < frames; i++) {
            size_t at = (size_t)i * t->lanes + c;
            if (format == SLR_SAMPLE_ALAW) {
                bytes[at] = slr_g711_s16_to_alaw(from[i]);
            } else if (format == SLR_SAMPLE_ULAW) {
                bytes[at] = slr_g711_s16_to_ulaw(from[i]);
            } else {
                f->wide[at] = from[i];
            }
        }
    }
}

/* A block as it is, or the channel of it that a target has. */
static void fill_direct(struct finish *f, const struct target *t, uint32_t frames)
{
    uint32_t bytes = slr_sample_bytes(f->job->recorded.format);
    uint32_t channels = f->job->recorded.channels;
    uint8_t *to = (uint8_t *)f->wide;
    for (uint32_t i = 0; i < frames; i++) {
        memcpy(to + (size_t)i * t->lanes * bytes,
               f->in + ((size_t)i * channels + t->first_lane) * bytes, (size_t)t->lanes * bytes);
    }
}

static enum slr_err append_block(struct finish *f, uint32_t frames)
{
    const struct slr_output_plan *plan = f->job->plan;
    bool direct = is_direct(f);
    uint32_t out = direct ? frames : 0;
    enum slr_err err = SLR_OK;
    for (uint32_t i = 0; i < f->lane_count && err == SLR_OK && !direct; i++) {
        err = run_lane(f, i, frames);
        out = f->lane[i].out_samples;
    }
    for (uint32_t i = 0; i < plan->files && err == SLR_OK && out > 0; i++) {
        if (direct) {
            fill_direct(f, &f->target[i], frames);
        } else {
            fill_wide(f, &f->target[i], out);
        }
        err = plan->container->append(f->target[i].state, f->wide, out);
    }
    f->frames += out;
    return err;
}

/* Frames [from, to) of the working file. */
static enum slr_err copy_frames(struct finish *f, uint64_t from, uint64_t to)
{
    const struct slr_finish_job *job = f->job;
    uint64_t frame_bytes = job->recorded.channels * slr_sample_bytes(job->recorded.format);
    enum slr_err err = SLR_OK;
    while (from < to && err == SLR_OK) {
        uint32_t n = to - from < BLOCK_FRAMES ? (uint32_t)(to - from) : BLOCK_FRAMES;
        if (atomic_load_explicit(job->stop, memory_order_relaxed)) {
            return SLR_AGAIN;
        }
        err = job->media->ops->read_at(job->media, job->offset_bytes + from * frame_bytes, f->in,
                                       (size_t)(n * frame_bytes));
        if (err == SLR_OK) {
            err = append_block(f, n);
        }
        from += n;
    }
    return err;
}

static enum slr_err copy_all(struct finish *f)
{
    const struct slr_finish_job *job = f->job;
    int64_t tpf = SLR_TICKS_HZ / (int64_t)job->recorded.sample_hz;
    uint64_t at = 0;
    enum slr_err err = SLR_OK;
    for (uint32_t i = 0; i < job->cut_count && err == SLR_OK; i++) {
        uint64_t start = (uint64_t)(job->cut[i].start_ticks / tpf);
        uint64_t end = start + (uint64_t)(job->cut[i].len_ticks / tpf);
        err = copy_frames(f, at, start < job->frames ? start : job->frames);
        at = end < job->frames ? end : job->frames;
    }
    if (err == SLR_OK) {
        err = copy_frames(f, at, job->frames);
    }
    return err == SLR_OK ? append_block(f, 0) : err;
}

static enum slr_err finish_target(const struct finish *f, struct target *t)
{
    const struct slr_container *c = f->job->plan->container;
    enum slr_err err = c->finish(t->state);
    if (err == SLR_OK) {
        t->begun = false;
        c->media_range(t->state, &t->final->media_offset_bytes, &t->final->media_len_bytes);
        err = slr_hash_media(&t->sink.base, t->final->media_offset_bytes, t->final->media_len_bytes,
                             t->final->hash);
    }
    return err;
}

enum slr_err slr_finish_run(const struct slr_finish_job *job, struct slr_final_file *file,
                            uint64_t *frames)
{
    struct finish *f = calloc(1, sizeof *f);
    if (!f) {
        return SLR_NOMEM;
    }
    f->job = job;
    enum slr_err err = open_all(f, file);
    if (err == SLR_OK) {
        err = copy_all(f);
    }
    for (uint32_t i = 0; i < job->plan->files && err == SLR_OK; i++) {
        err = finish_target(f, &f->target[i]);
    }
    *frames = f->frames;
    close_all(f, err == SLR_OK);
    free(f);
    return err;
}

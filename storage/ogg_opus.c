/*
 * ogg_opus: Ogg Opus files (RFC 7845) from packets that an encoder makes of 20 ms of audio; the
 * only file that sees libogg. Pages are closed each second.
 *
 * Each channel is a mono stream of its own within the packets (RFC 7845 section 5.1.1.2,
 * uncoupled): joint stereo would let one party be heard in the other's channel. The granule
 * position of the last page says where the audio ends, so the length is exact to the sample.
 *
 * State is the caller's and points to libogg's, which begin allocates and finish or drop frees. One
 * thread; blocks on the sink. Such a file is complete only after finish.
 */
#include <ogg/ogg.h>
#include <string.h>

#include "common/slice.h"
#include "storage/container.h"

#define OPUS_HZ 48000u
#define FRAMES_A_SECOND 50u /* of 20 ms */
#define MAX_FRAME_SAMPLES (OPUS_HZ / FRAMES_A_SECOND)
#define MAX_CHANNELS 8u
/* Frames of one channel that are coded in a row: an encoder's state and tables stay in the nearest
 * caches meanwhile. */
#define RUN_FRAMES 10u
#define MAX_PACKET_BYTES                                                                           \
    1277u /* RFC 6716 section 3.4: what 20 ms can need at most, and its length */
#define VENDOR "spanless"

struct ogg_opus {
    struct slr_sink *sink;
    const struct slr_packet_encoder *encoder;
    struct slr_audio_shape shape;
    ogg_stream_state stream;
    bool open;
    enum slr_err err;
    uint64_t size_bytes;
    uint64_t frames;        /* given */
    uint64_t coded_samples; /* at 48 kHz */
    uint64_t packets;
    int64_t page_granule; /* of the last page */
    uint32_t pre_skip;    /* at 48 kHz */
    uint32_t buffered;    /* samples of each channel */
    int16_t buffer[MAX_CHANNELS][RUN_FRAMES * MAX_FRAME_SAMPLES];
    uint16_t coded_bytes[MAX_CHANNELS][RUN_FRAMES];
    uint8_t coded[MAX_CHANNELS][RUN_FRAMES][MAX_PACKET_BYTES + 2];
    uint8_t packet[MAX_CHANNELS * (MAX_PACKET_BYTES + 2)];
};

static uint32_t frame_samples(const struct ogg_opus *o)
{
    return o->shape.sample_hz / FRAMES_A_SECOND;
}

static uint64_t at_48k(const struct ogg_opus *o, uint64_t samples)
{
    return samples * (OPUS_HZ / o->shape.sample_hz);
}

static enum slr_err check(const struct slr_audio_shape *shape)
{
    static const uint32_t rates_hz[] = {8000, 12000, 16000, 24000, 48000};
    bool good = false;
    for (size_t i = 0; i < sizeof rates_hz / sizeof rates_hz[0]; i++) {
        good |= shape->sample_hz == rates_hz[i];
    }
    good &=
        shape->format == SLR_SAMPLE_S16 && shape->channels >= 1 && shape->channels <= MAX_CHANNELS;
    return good ? SLR_OK : SLR_UNSUPPORTED;
}

static void write_bytes(struct ogg_opus *o, const void *at, long len_bytes)
{
    if (o->err == SLR_OK) {
        o->err = o->sink->ops->write_at(o->sink, o->size_bytes, at, (size_t)len_bytes);
        o->size_bytes += (uint64_t)len_bytes;
    }
}

static void write_pages(struct ogg_opus *o, bool all)
{
    ogg_page page;
    while ((all ? ogg_stream_flush(&o->stream, &page) : ogg_stream_pageout(&o->stream, &page)) !=
           0) {
        write_bytes(o, page.header, page.header_len);
        write_bytes(o, page.body, page.body_len);
        if (ogg_page_granulepos(&page) > 0) { /* -1: no packet ends on it */
            o->page_granule = ogg_page_granulepos(&page);
        }
    }
}

/* The packet's bytes are copied by libogg. */
static void put_packet(struct ogg_opus *o, uint8_t *at, size_t len_bytes, uint64_t granule,
                       bool is_last)
{
    ogg_packet packet = {.packet = at,
                         .bytes = (long)len_bytes,
                         .b_o_s = o->packets == 0,
                         .e_o_s = is_last,
                         .granulepos = (ogg_int64_t)granule,
                         .packetno = (ogg_int64_t)o->packets};
    if (o->err == SLR_OK && ogg_stream_packetin(&o->stream, &packet) != 0) {
        o->err = SLR_NOMEM;
    }
    o->packets++;
}

/* RFC 7845 section 5.1. Family 0 has one stream, 1 names two channels left and right, 255 names
 * none. */
static void put_head(struct ogg_opus *o)
{
    uint32_t channels = o->shape.channels;
    struct slr_put p = slr_put_of(o->packet, sizeof o->packet);
    slr_put_str(&p, "OpusHead");
    slr_put_u8(&p, 1);
    slr_put_u8(&p, (uint8_t)channels);
    slr_put_le16(&p, (uint16_t)o->pre_skip);
    slr_put_le32(&p, o->shape.sample_hz);
    slr_put_le16(&p, 0);
    slr_put_u8(&p, channels == 1 ? 0 : channels == 2 ? 1 : 255);
    if (channels > 1) {
        slr_put_u8(&p, (uint8_t)channels); /* streams */
        slr_put_u8(&p, 0);                 /* of which coupled */
        for (uint32_t i = 0; i < channels; i++) {
            slr_put_u8(&p, (uint8_t)i);
        }
    }
    put_packet(o, o->packet, p.len_bytes, 0, false);
    write_pages(o, true);
}

/* RFC 7845 section 5.2. */
static void put_tags(struct ogg_opus *o)
{
    const char *name = o->encoder->name ? o->encoder->name : "";
    char comment[80];
    struct slr_put c = slr_put_of(comment, sizeof comment);
    struct slr_put p = slr_put_of(o->packet, sizeof o->packet);
    slr_put_fmt(&c, "ENCODER=%.60s", name);
    slr_put_str(&p, "OpusTags");
    slr_put_le32(&p, (uint32_t)strlen(VENDOR));
    slr_put_str(&p, VENDOR);
    slr_put_le32(&p, 1);
    slr_put_le32(&p, (uint32_t)c.len_bytes);
    slr_put_bytes(&p, comment, c.len_bytes);
    put_packet(o, o->packet, p.len_bytes, 0, false);
    write_pages(o, true);
}

static enum slr_err begin(void *state, const struct slr_audio_shape *shape,
                          const struct slr_container_options *options, struct slr_sink *sink,
                          uint64_t resume_frames)
{
    struct ogg_opus *o = state;
    o->open = false;
    if (check(shape) != SLR_OK || resume_frames > 0) {
        return SLR_UNSUPPORTED;
    }
    if (!options || !options->encoder) {
        return SLR_INVAL;
    }
    memset(o, 0, sizeof *o);
    o->sink = sink;
    o->encoder = options->encoder;
    o->shape = *shape;
    o->pre_skip = (uint32_t)at_48k(o, options->encoder->delay_samples);
    if (o->pre_skip > UINT16_MAX || ogg_stream_init(&o->stream, (int)options->serial) != 0) {
        return o->pre_skip > UINT16_MAX ? SLR_INVAL : SLR_NOMEM;
    }
    put_head(o);
    put_tags(o);
    o->open = o->err == SLR_OK;
    if (!o->open) {
        ogg_stream_clear(&o->stream);
    }
    return o->err;
}

/* All but the last packet say how long they are (RFC 6716 appendix B). An encoder's 20 ms are one
 * frame (code 0), whose length then follows the first byte. */
static enum slr_err delimit(uint8_t *packet, size_t *len_bytes)
{
    if (*len_bytes < 1 || *len_bytes > MAX_PACKET_BYTES || (packet[0] & 3) != 0) {
        return SLR_FORMAT;
    }
    size_t body = *len_bytes - 1;
    size_t size_bytes = body < 252 ? 1 : 2;
    memmove(packet + 1 + size_bytes, packet + 1, body);
    if (size_bytes == 1) {
        packet[1] = (uint8_t)body;
    } else {
        packet[1] = (uint8_t)(252 + (body & 3));
        packet[2] = (uint8_t)((body - packet[1]) >> 2);
    }
    *len_bytes += size_bytes;
    return SLR_OK;
}

/* Codes the first frames of the buffer, channel by channel. */
static void code_frames(struct ogg_opus *o, uint32_t frames)
{
    uint32_t samples = frame_samples(o);
    for (uint32_t c = 0; c < o->shape.channels; c++) {
        for (uint32_t k = 0; k < frames && o->err == SLR_OK; k++) {
            size_t n = 0;
            o->err = o->encoder->encode(o->encoder->ctx, c, o->buffer[c] + k * samples, samples,
                                        o->coded[c][k], MAX_PACKET_BYTES, &n);
            if (o->err == SLR_OK && c + 1 < o->shape.channels) {
                o->err = delimit(o->coded[c][k], &n);
            }
            o->coded_bytes[c][k] = (uint16_t)n;
        }
    }
}

/* Makes one packet of all channels' frame number k. */
static void put_frame(struct ogg_opus *o, uint32_t k, bool is_last)
{
    size_t len_bytes = 0;
    for (uint32_t c = 0; c < o->shape.channels && o->err == SLR_OK; c++) {
        memcpy(o->packet + len_bytes, o->coded[c][k], o->coded_bytes[c][k]);
        len_bytes += o->coded_bytes[c][k];
    }
    o->coded_samples += MAX_FRAME_SAMPLES;
    uint64_t end = o->pre_skip + at_48k(o, o->frames);
    put_packet(o, o->packet, len_bytes, is_last ? end : o->coded_samples, is_last);
    write_pages(o, is_last || (int64_t)o->coded_samples - o->page_granule >= (int64_t)OPUS_HZ);
}

/* Whole frames out of the buffer, which is empty afterwards; the last of them may be the stream's.
 */
static void put_frames(struct ogg_opus *o, uint32_t frames, bool with_last)
{
    code_frames(o, frames);
    for (uint32_t k = 0; k < frames && o->err == SLR_OK; k++) {
        put_frame(o, k, with_last && k + 1 == frames);
    }
    o->buffered = 0;
}

static enum slr_err append(void *state, const void *frames, uint64_t count_frames)
{
    struct ogg_opus *o = state;
    const int16_t *from = frames;
    uint32_t channels = o->shape.channels;
    if (!o->open) {
        return SLR_STATE;
    }
    uint32_t room = RUN_FRAMES * frame_samples(o);
    while (count_frames > 0 && o->err == SLR_OK) {
        /* full frames wait until it is known that none of them is the last */
        if (o->buffered == room) {
            put_frames(o, RUN_FRAMES, false);
        }
        uint32_t left = room - o->buffered;
        uint32_t n = count_frames < left ? (uint32_t)count_frames : left;
        for (uint32_t c = 0; c < channels; c++) {
            int16_t *to = &o->buffer[c][o->buffered];
            for (uint32_t i = 0; i < n; i++) {
                to[i] = from[i * channels + c];
            }
        }
        from += (size_t)n * channels;
        o->buffered += n;
        o->frames += n;
        count_frames -= n;
    }
    return o->err;
}

static enum slr_err checkpoint(void *state)
{
    const struct ogg_opus *o = state;
    return o->open ? o->err : SLR_STATE;
}

/* Silence up to the end of that many frames. */
static void pad_frames(struct ogg_opus *o, uint32_t frames)
{
    uint32_t end = frames * frame_samples(o);
    for (uint32_t c = 0; c < o->shape.channels && end > o->buffered; c++) {
        memset(&o->buffer[c][o->buffered], 0, (end - o->buffered) * sizeof o->buffer[c][0]);
    }
    o->buffered = end;
}

static void drop(void *state)
{
    struct ogg_opus *o = state;
    if (o->open) {
        o->open = false;
        ogg_stream_clear(&o->stream);
    }
}

/* The decoder's delay is driven out by silence behind the end. */
static enum slr_err finish(void *state)
{
    struct ogg_opus *o = state;
    if (!o->open) {
        return SLR_STATE;
    }
    uint64_t end = o->pre_skip + at_48k(o, o->frames);
    uint64_t left = 1; /* frames still to be coded, at least one */
    if (end > o->coded_samples + MAX_FRAME_SAMPLES) {
        left = (end - o->coded_samples + MAX_FRAME_SAMPLES - 1) / MAX_FRAME_SAMPLES;
    }
    while (o->err == SLR_OK && left > 0) {
        uint32_t n = left < RUN_FRAMES ? (uint32_t)left : RUN_FRAMES;
        left -= n;
        pad_frames(o, n);
        put_frames(o, n, left == 0);
    }
    if (o->err == SLR_OK) {
        o->err = o->sink->ops->truncate(o->sink, o->size_bytes);
    }
    if (o->err == SLR_OK) {
        drop(o);
    }
    return o->err;
}

static void media_range(const void *state, uint64_t *offset_bytes, uint64_t *len_bytes)
{
    const struct ogg_opus *o = state;
    *offset_bytes = 0;
    *len_bytes = o->size_bytes;
}

const struct slr_container slr_container_opus = {
    .name = "opus",
    .extension = ".opus",
    .mime_type = "audio/ogg",
    .coding = "opus",
    .state_bytes = sizeof(struct ogg_opus),
    .check = check,
    .begin = begin,
    .append = append,
    .checkpoint = checkpoint,
    .finish = finish,
    .drop = drop,
    .media_range = media_range,
};

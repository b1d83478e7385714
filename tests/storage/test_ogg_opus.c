/*
 * ogg_opus: the pages and packets that RFC 7845 asks for, read by libogg. What decoders make of
 * them is in tests/golden.
 */
#include <criterion/criterion.h>
#include <ogg/ogg.h>
#include <stdlib.h>

#include "storage/container.h"

#define DELAY_SAMPLES 52u

/* Packets of one frame whose bytes and length tell their number. */
struct coder {
    uint32_t calls[8]; /* by channel */
};

static enum slr_err encode(void *ctx, uint32_t channel, const int16_t *in, uint32_t samples,
                           uint8_t *out, size_t out_bytes, size_t *len_bytes)
{
    struct coder *c = ctx;
    (void)in;
    (void)samples;
    uint32_t number = c->calls[channel]++ * 2 + channel;
    *len_bytes = 1 + number % 400; /* on either side of the two-byte length */
    cr_assert_leq(*len_bytes, out_bytes);
    memset(out, (int)(number & 0xff), *len_bytes);
    out[0] = (uint8_t)(channel << 3);
    return SLR_OK;
}

struct file {
    struct slr_sink_memory sink;
    uint32_t pages, packets;
    int64_t granule;      /* of the last page */
    int64_t most_granule; /* longest step between two pages */
    uint8_t head[64];
    size_t head_bytes;
    uint64_t sizes; /* of the audio packets */
    bool ended;
};

static void read_packets(struct file *f, ogg_stream_state *stream)
{
    ogg_packet packet;
    while (ogg_stream_packetout(stream, &packet) == 1) {
        if (f->packets == 0) {
            cr_assert_leq((size_t)packet.bytes, sizeof f->head);
            f->head_bytes = (size_t)packet.bytes;
            memcpy(f->head, packet.packet, f->head_bytes);
        } else if (f->packets == 1) {
            cr_assert_arr_eq(packet.packet, "OpusTags\x08\0\0\0spanless\1\0\0\0", 24);
        } else {
            f->sizes += (uint64_t)packet.bytes;
        }
        f->packets++;
    }
}

static void read_file(struct file *f)
{
    ogg_sync_state sync;
    ogg_stream_state stream;
    ogg_page page;
    ogg_sync_init(&sync);
    memcpy(ogg_sync_buffer(&sync, (long)f->sink.len_bytes), f->sink.at, f->sink.len_bytes);
    ogg_sync_wrote(&sync, (long)f->sink.len_bytes);
    while (ogg_sync_pageout(&sync, &page) == 1) {
        if (f->pages == 0) {
            cr_assert(ogg_page_bos(&page));
            cr_assert_eq(ogg_page_serialno(&page), 0x1234);
            ogg_stream_init(&stream, ogg_page_serialno(&page));
        }
        cr_assert_eq(ogg_stream_pagein(&stream, &page), 0);
        int64_t granule = ogg_page_granulepos(&page);
        cr_assert_geq(granule, f->granule);
        f->most_granule =
            granule - f->granule > f->most_granule ? granule - f->granule : f->most_granule;
        f->granule = granule;
        f->ended = ogg_page_eos(&page) != 0;
        f->pages++;
        read_packets(f, &stream);
    }
    ogg_stream_clear(&stream);
    ogg_sync_clear(&sync);
}

static void make_file(struct file *f, uint32_t channels, uint32_t hz, uint64_t frames)
{
    const struct slr_container *c = slr_container_by_name("opus");
    struct coder coder = {{0}};
    struct slr_packet_encoder encoder = {&coder, encode, DELAY_SAMPLES * hz / 8000, "x"};
    struct slr_container_options options = {&encoder, 0x1234};
    struct slr_audio_shape shape = {SLR_SAMPLE_S16, channels, hz};
    void *state = malloc(c->state_bytes);
    int16_t *audio = calloc(frames + 1, channels * sizeof *audio);
    memset(f, 0, sizeof *f);
    slr_sink_memory_init(&f->sink);
    cr_assert_eq(c->begin(state, &shape, &options, &f->sink.base, 0), SLR_OK);
    cr_assert_eq(c->append(state, audio, frames), SLR_OK);
    cr_assert_eq(c->finish(state), SLR_OK);
    free(audio);
    free(state);
    read_file(f);
}

static void close_file(struct file *f)
{
    f->sink.base.ops->close(&f->sink.base);
}

Test(ogg_opus, length_is_exact)
{
    static const uint32_t rates_hz[] = {8000, 12000, 16000, 24000, 48000};
    static const uint32_t thousandths[] = {0, 1, 20, 999, 1000, 13509, 13510, 13515, 13520};
    for (size_t i = 0; i < 5; i++) {
        for (size_t k = 0; k < sizeof thousandths / sizeof thousandths[0]; k++) {
            struct file f;
            uint64_t frames = (uint64_t)rates_hz[i] * thousandths[k] / 1000 + (k == 8);
            int64_t want = 312 + (int64_t)(frames * (48000 / rates_hz[i]));
            make_file(&f, 1, rates_hz[i], frames);
            cr_assert_eq(f.granule, want, "%lld, not %lld", (long long)f.granule, (long long)want);
            cr_assert(f.ended);
            cr_assert_eq(f.packets - 2, ((uint64_t)want + 959) / 960, "no packet too many");
            cr_assert_leq(f.most_granule, 48000, "a page a second at least: %lld of %lld at %u",
                          (long long)f.most_granule, (long long)f.granule, rates_hz[i]);
            close_file(&f);
        }
    }
}

Test(ogg_opus, heads)
{
    static const uint8_t mono[] = {'O', 'p', 'u',  's',  'H', 'e', 'a', 'd', 1, 1,
                                   56,  1,   0x40, 0x1f, 0,   0,   0,   0,   0};
    static const uint8_t two[] = {'O',  'p',  'u', 's', 'H', 'e', 'a', 'd', 1, 2, 56, 1,
                                  0x40, 0x1f, 0,   0,   0,   0,   1,   2,   0, 0, 1};
    struct file f;
    make_file(&f, 1, 8000, 100);
    cr_assert_eq(f.head_bytes, sizeof mono);
    cr_assert_arr_eq(f.head, mono, sizeof mono);
    close_file(&f);
    make_file(&f, 2, 8000, 100);
    cr_assert_eq(f.head_bytes, sizeof two);
    cr_assert_arr_eq(f.head, two, sizeof two);
    close_file(&f);
    make_file(&f, 3, 8000, 100);
    cr_assert_eq(f.head_bytes, 24u);
    cr_assert_eq(f.head[18], 255);
    close_file(&f);
}

/* Every byte that was coded is there, and the lengths of all channels but the last. */
Test(ogg_opus, channels_lie_one_behind_the_other)
{
    struct file f;
    make_file(&f, 2, 16000, 16000 * 10);
    uint64_t want = 0;
    for (uint32_t i = 0; i < 501 * 2; i++) {
        uint64_t body = i % 400;
        want += 1 + body + (i % 2 == 0 ? (body < 252 ? 1u : 2u) : 0u);
    }
    cr_assert_eq(f.packets, 503u);
    cr_assert_eq(f.sizes, want);
    close_file(&f);
}

static enum slr_err fail(void *ctx, uint32_t channel, const int16_t *in, uint32_t samples,
                         uint8_t *out, size_t out_bytes, size_t *len_bytes)
{
    (void)channel, (void)in, (void)samples, (void)out_bytes;
    const enum slr_err *err = ctx;
    out[0] = 3; /* not one frame: such packets can't be put together */
    *len_bytes = 1;
    return *err;
}

Test(ogg_opus, an_encoders_failure_is_told)
{
    static const enum slr_err errs[] = {SLR_INVAL, SLR_OK};
    static const enum slr_err want[] = {SLR_INVAL, SLR_FORMAT};
    for (size_t i = 0; i < 2; i++) {
        const struct slr_container *c = slr_container_by_name("opus");
        enum slr_err err = errs[i];
        struct slr_packet_encoder encoder = {&err, fail, 0, "x"};
        struct slr_container_options options = {&encoder, 1};
        struct slr_audio_shape shape = {SLR_SAMPLE_S16, 2, 8000};
        struct slr_sink_memory sink;
        int16_t audio[2 * 2000] = {0}; /* more than waits to be coded in a row */
        void *state = malloc(c->state_bytes);
        slr_sink_memory_init(&sink);
        cr_assert_eq(c->begin(state, &shape, &options, &sink.base, 0), SLR_OK);
        cr_assert_eq(c->append(state, audio, 2000), want[i]);
        cr_assert_eq(c->finish(state), want[i]);
        c->drop(state);
        sink.base.ops->close(&sink.base);
        free(state);
    }
}

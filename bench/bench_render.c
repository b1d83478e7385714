/*
 * bench_render: CPU time of rendering and writing a packet's audio, by codec: what keeps decoders
 * and converts rates on the writer's thread.
 *
 * 50 sessions of two legs are fed 50 packets a second each (virtual time), all of a tone. Prints
 * one JSON line a figure: {"bench":"render/CODEC/streams=N","value":..,"unit":"ns/packet"}.
 * Usage: bench-render [DIR] (default /dev/shm: where the recordings are written and removed again;
 * on a disk the making of files weighs more than all else).
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/rig.h"
#include "common/log.h"
#include "engine/queue.h"

#define SECONDS 4
#define TICKS_PER_TURN 50

#define PAYLOAD_MAX 1000

/* What all streams send: a second of a tone. */
struct source {
    const char *name; /* of the figure */
    const char *codec;
    uint32_t clock_hz;
    bool alone;       /* nothing else was answered: a law is kept as it is */
    bool beside_opus; /* another payload type was answered, too: the file has 48 kHz */
    uint32_t ts_step;
    uint8_t payload[TICKS_PER_TURN][PAYLOAD_MAX];
    size_t len_bytes[TICKS_PER_TURN];
};

static void row(struct slr_pt_map *pt, uint8_t number, const char *name, uint32_t clock_hz)
{
    memset(pt, 0, sizeof *pt);
    pt->pt = number;
    pt->clock_hz = clock_hz;
    pt->channels = 1;
    snprintf(pt->name, sizeof pt->name, "%s", name);
}

static void make_source(struct source *s)
{
    int16_t pcm[SLR_CODEC_MAX_SAMPLES];
    struct slr_codec_use use;
    const struct slr_codec *codec = slr_codec_by_name(s->codec, s->clock_hz);
    struct slr_codec_params params = {s->clock_hz, 1, NULL};
    rig_must(codec && slr_codec_bind(codec, &params, &use) == SLR_OK, "codec");
    void *state = aligned_alloc(16, (codec->encoder_bytes + 31u) & ~(size_t)15u);
    rig_must(state != NULL, "memory");
    rig_must(!codec->encoder_init || codec->encoder_init(state, &use, 0) == SLR_OK, "encoder");
    uint32_t n = use.sample_hz / TICKS_PER_TURN;
    s->ts_step = use.clock_hz / TICKS_PER_TURN;
    for (uint32_t k = 0; k < TICKS_PER_TURN; k++) {
        for (uint32_t i = 0; i < n; i++) {
            pcm[i] = (int16_t)(8000 * sin(2 * M_PI * 440 * (k * n + i) / use.sample_hz));
        }
        rig_must(codec->encode(state, &use, pcm, n, s->payload[k], PAYLOAD_MAX, &s->len_bytes[k]) ==
                     SLR_OK,
                 "encode");
    }
    if (codec->encoder_fini) {
        codec->encoder_fini(state);
    }
    free(state);
}

static void answer(const void *ctx, struct slr_leg *leg)
{
    const struct source *source = ctx;
    struct slr_pt_map pt[3];
    uint32_t n = 0;
    row(&pt[n++], 8, source->codec, source->clock_hz);
    if (!source->alone) {
        row(&pt[n++], 98, source->beside_opus ? "opus" : "GSM",
            source->beside_opus ? 48000 : 8000); /* so that the file has PCM */
    }
    rig_must(slr_leg_codecs_set(leg, pt, n) == SLR_OK, "codecs");
}

static uint32_t make_packet(uint8_t *at, const struct source *s, uint32_t stream, uint32_t turn)
{
    size_t len = s->len_bytes[turn % TICKS_PER_TURN];
    uint16_t seq = (uint16_t)(turn + stream);
    uint32_t ts = turn * s->ts_step + stream;
    memcpy(at + 12, s->payload[turn % TICKS_PER_TURN], len);
    at[0] = 0x80;
    at[1] = 8;
    at[2] = (uint8_t)(seq >> 8);
    at[3] = (uint8_t)seq;
    for (int i = 0; i < 4; i++) {
        at[4 + i] = (uint8_t)(ts >> (24 - 8 * i));
        at[8 + i] = (uint8_t)(stream >> (24 - 8 * i));
    }
    return (uint32_t)len + 12;
}

static void report(const char *stage, uint32_t streams, double value, const char *unit)
{
    printf("{\"bench\":\"render/%s/streams=%u\",\"value\":%.1f,\"unit\":\"%s\"}\n", stage, streams,
           value, unit);
}

static void run(const char *root, const struct source *source, uint32_t streams)
{
    struct rig b;
    uint8_t at[12 + PAYLOAD_MAX];
    struct slr_packet pkt = {.at = at};
    int64_t write_ns = 0;
    uint64_t packets = 0;
    rig_open(&b, root, streams, answer, source);
    rig_must(slr_addr_parse("127.0.0.1:4000", &pkt.src) == SLR_OK, "address");
    for (uint32_t turn = 0; turn < SECONDS * TICKS_PER_TURN; turn++) {
        int64_t now = b.base_ns + (int64_t)turn * 20 * SLR_NS_PER_MS;
        pkt.arrival.ns = now;
        for (uint32_t i = 0; i < streams; i++) {
            pkt.len_bytes = make_packet(at, source, i, turn);
            slr_worker_packet(&b.worker, i, false, &pkt);
        }
        int64_t t2 = rig_cpu_ns();
        (void)slr_writer_step(&b.writer, (slr_mono){now});
        write_ns += rig_cpu_ns() - t2;
        packets += streams;
    }
    uint64_t taken = slr_count_get(&b.worker.counters.at[SLR_VERDICT_TAKEN]);
    rig_must(taken == packets, "every packet taken");
    uint64_t bytes = slr_count_get(&b.writer.counters.at[SLR_CTR_BYTES]);
    rig_must(bytes > 0, "writing");
    const struct slr_audio_shape *shape = &b.state->session[0].shape;
    double written = (double)bytes / (shape->sample_hz / 50 * slr_sample_bytes(shape->format));
    report(source->name, streams, (double)write_ns / written, "ns/packet");
    rig_close(&b);
}

int main(int argc, char **argv)
{
    static struct source source[] = {
        {.name = "pcma-kept", .codec = "PCMA", .clock_hz = 8000, .alone = true},
        {.name = "pcma-to-pcm", .codec = "PCMA", .clock_hz = 8000},
        {.name = "pcma-to-48k", .codec = "PCMA", .clock_hz = 8000, .beside_opus = true},
        {.name = "g722", .codec = "G722", .clock_hz = 8000},
        {.name = "gsm", .codec = "GSM", .clock_hz = 8000},
        {.name = "amr", .codec = "AMR", .clock_hz = 8000},
        {.name = "opus", .codec = "opus", .clock_hz = 48000},
#ifdef SLR_HAVE_G729
        {.name = "g729", .codec = "G729", .clock_hz = 8000},
#endif
    };
    const char *root = argc > 1 ? argv[1] : "/dev/shm";
    slr_log_init("bench-render", SLR_LOG_ERROR);
    for (size_t i = 0; i < sizeof source / sizeof source[0]; i++) {
        make_source(&source[i]);
        run(root, &source[i], 100);
    }
    return 0;
}

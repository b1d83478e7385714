/*
 * bench_render: CPU time of rendering and writing a packet's audio, by codec: what keeps decoders
 * and converts rates on the writer's thread.
 *
 * 50 sessions of two legs are fed 50 packets a second each (virtual time), all of a tone. Prints
 * one JSON line a figure: {"bench":"render/CODEC/streams=N","value":..,"unit":"ns/packet"}.
 * Usage: bench-render [DIR] (default /dev/shm: where the recordings are written and removed again;
 * on a disk the making of files weighs more than all else).
 */
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "engine/engine_priv.h"
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

struct bench {
    const struct source *source;
    struct slr_state *state;
    struct slr_leg_codecs *codecs;
    struct slr_worker worker;
    struct slr_writer writer;
    struct slr_ring to_sealer;
    struct slr_event_sink sink;
    _Atomic uint8_t *active;
    struct slr_recfile *file;
    _Atomic uint64_t dirty;
    char dir[256];      /* recordings */
    char state_dir[64]; /* packet memory, on a tmpfs as in real life */
    int rec_fd;
    uint32_t streams;
    int64_t base_ns;
};

static int64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * SLR_NS_PER_S + t.tv_nsec;
}

static void drop_event(void *ctx, json_t *event)
{
    (void)ctx;
    json_decref(event);
}

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "bench-render: %s failed\n", what);
        exit(1);
    }
}

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
    must(codec && slr_codec_bind(codec, &params, &use) == SLR_OK, "codec");
    void *state = aligned_alloc(16, (codec->encoder_bytes + 31u) & ~(size_t)15u);
    must(state != NULL, "memory");
    must(!codec->encoder_init || codec->encoder_init(state, &use, 0) == SLR_OK, "encoder");
    uint32_t n = use.sample_hz / TICKS_PER_TURN;
    s->ts_step = use.clock_hz / TICKS_PER_TURN;
    for (uint32_t k = 0; k < TICKS_PER_TURN; k++) {
        for (uint32_t i = 0; i < n; i++) {
            pcm[i] = (int16_t)(8000 * sin(2 * M_PI * 440 * (k * n + i) / use.sample_hz));
        }
        must(codec->encode(state, &use, pcm, n, s->payload[k], PAYLOAD_MAX, &s->len_bytes[k]) ==
                 SLR_OK,
             "encode");
    }
    if (codec->encoder_fini) {
        codec->encoder_fini(state);
    }
    free(state);
}

static void open_leg(struct bench *b, uint32_t slot)
{
    struct slr_leg *leg = &b->state->leg[slot];
    struct slr_session *s = &b->state->session[slot / 2];
    struct slr_pt_map pt[3];
    uint32_t n = 0;
    row(&pt[n++], 8, b->source->codec, b->source->clock_hz);
    if (!b->source->alone) {
        row(&pt[n++], 98, b->source->beside_opus ? "opus" : "GSM",
            b->source->beside_opus ? 48000 : 8000); /* so that the file has PCM */
    }
    atomic_store(&leg->session, SLR_NONE);
    atomic_store(&leg->queue_head, SLR_NONE);
    leg->queue_tail = SLR_NONE;
    leg->current = SLR_NONE;
    leg->highest_ticks = INT64_MIN;
    leg->channel = slot % 2;
    leg->cursor[0].last_stream = leg->cursor[1].last_stream = SLR_NONE;
    must(slr_leg_codecs_set(leg, pt, n) == SLR_OK, "codecs");
    slr_leg_codecs_build(&b->codecs[slot], leg);
    must(slr_engine_leg_join(&b->worker, s, slot) == SLR_OK, "join");
}

static void open_session(struct bench *b, uint32_t i)
{
    struct slr_session *s = &b->state->session[i];
    snprintf(s->id, sizeof s->id, "%012x%020x", i, i);
    s->channels = 2;
    s->start.ns = b->base_ns;
    atomic_store(&s->end_ticks, INT64_MAX);
    atomic_store(&s->state, SLR_SESSION_OPEN);
    b->active[i] = 1;
    open_leg(b, i * 2);
    open_leg(b, i * 2 + 1);
}

static void set_up(struct bench *b, const char *root, const struct source *source, uint32_t streams)
{
    char path[512];
    memset(b, 0, sizeof *b);
    b->source = source;
    b->streams = streams;
    b->base_ns = 1000 * SLR_NS_PER_S;
    snprintf(b->dir, sizeof b->dir, "%s/slr-bench-XXXXXX", root);
    must(mkdtemp(b->dir) != NULL, "mkdtemp");
    snprintf(path, sizeof path, "%s/open", b->dir);
    must(mkdir(path, 0700) == 0, "mkdir");
    b->rec_fd = open(b->dir, O_RDONLY | O_DIRECTORY);
    snprintf(b->state_dir, sizeof b->state_dir, "/dev/shm/slr-bench-XXXXXX");
    must(mkdtemp(b->state_dir) != NULL, "mkdtemp");
    must(slr_state_open(b->state_dir, streams, streams * 10 + 64, &b->state) == SLR_OK, "state");
    b->codecs = calloc(streams, sizeof *b->codecs);
    b->active = calloc(streams, sizeof *b->active);
    b->file = calloc(streams, sizeof *b->file);
    must(b->codecs && b->active && b->file, "memory");
    b->sink.emit = drop_event;
    b->worker.place = (struct slr_placement){.state = b->state,
                                             .codecs = b->codecs,
                                             .counters = &b->worker.counters,
                                             .sink = &b->sink,
                                             .window_ticks = SLR_TICKS_HZ};
    b->worker.clock = slr_clock_real();
    b->writer = (struct slr_writer){.state = b->state,
                                    .codecs = b->codecs,
                                    .active = b->active,
                                    .file = b->file,
                                    .to_sealer = &b->to_sealer,
                                    .clock = slr_clock_real(),
                                    .rec_fd = b->rec_fd,
                                    .count = 1,
                                    .window_ticks = SLR_TICKS_HZ,
                                    .block_ticks = SLR_TICKS_HZ / 2,
                                    .open_max = 4000,
                                    .dirty_bytes = &b->dirty};
    must(slr_writer_init(&b->writer) == SLR_OK, "writer");
    for (uint32_t i = 0; i < streams / 2; i++) {
        open_session(b, i);
    }
}

static void tear_down(struct bench *b)
{
    char command[512];
    for (uint32_t i = 0; i < b->streams; i++) {
        slr_recfile_close(&b->file[i]);
    }
    slr_writer_fini(&b->writer);
    slr_state_close(b->state, true);
    close(b->rec_fd);
    free(b->codecs);
    free(b->active);
    free(b->file);
    snprintf(command, sizeof command, "rm -rf '%s' '%s'", b->dir, b->state_dir);
    must(system(command) == 0, "rm");
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
    struct bench b;
    uint8_t at[12 + PAYLOAD_MAX];
    struct slr_packet pkt = {.at = at};
    int64_t write_ns = 0;
    uint64_t packets = 0;
    set_up(&b, root, source, streams);
    must(slr_addr_parse("127.0.0.1:4000", &pkt.src) == SLR_OK, "address");
    for (uint32_t turn = 0; turn < SECONDS * TICKS_PER_TURN; turn++) {
        int64_t now = b.base_ns + (int64_t)turn * 20 * SLR_NS_PER_MS;
        pkt.arrival.ns = now;
        for (uint32_t i = 0; i < streams; i++) {
            pkt.len_bytes = make_packet(at, source, i, turn);
            slr_worker_packet(&b.worker, i, false, &pkt);
        }
        int64_t t2 = cpu_ns();
        (void)slr_writer_step(&b.writer, (slr_mono){now});
        write_ns += cpu_ns() - t2;
        packets += streams;
    }
    uint64_t taken = slr_count_get(&b.worker.counters.at[SLR_VERDICT_TAKEN]);
    must(taken == packets, "every packet taken");
    uint64_t bytes = slr_count_get(&b.writer.counters.at[SLR_CTR_BYTES]);
    must(bytes > 0, "writing");
    const struct slr_audio_shape *shape = &b.state->session[0].shape;
    double written = (double)bytes / (shape->sample_hz / 50 * slr_sample_bytes(shape->format));
    report(source->name, streams, (double)write_ns / written, "ns/packet");
    tear_down(&b);
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

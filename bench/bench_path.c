/*
 * bench_path: CPU time of each stage of a packet's way, on one thread, without sockets.
 *
 * N sessions of two G.711 legs are fed 50 packets a second each (virtual time); the stages
 * (header, placement with queue, block rendering with write(2)) are timed apart with the thread's
 * CPU clock; placement once more as if no packet were a usual one (steady.h: placement-long-way).
 * Prints one JSON line a figure: {"bench":"path/STAGE/streams=N","value":..,"unit":..}.
 * Placement's first second of each session, in which its anchor is new, is not measured; nor is the
 * writer's time until the file is there. The writer steps as often as its thread would.
 * Usage: bench-path [DIR [STREAMS]] (default /tmp, 100 to 20,000 streams: DIR is where the
 * recordings are written and removed again).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/rig.h"
#include "common/log.h"
#include "engine/queue.h"

#define SECONDS 6
#define TICKS_PER_TURN 50
#define FILES_TURN (SECONDS / 2 * TICKS_PER_TURN) /* all files are made by then */
#define NOISE_BYTES 4096u

/* Codes of the law up to -12 dBov. */
static void make_noise(uint8_t noise[NOISE_BYTES])
{
    uint64_t x = 1;
    for (uint32_t i = 0; i < NOISE_BYTES; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        noise[i] = (uint8_t)(0x55 ^ ((x >> 33 & 0x8f) | (x >> 41) % 6 << 4));
    }
}

static void make_packet(uint8_t at[172], uint32_t stream, uint32_t turn, const uint8_t *noise)
{
    uint16_t seq = (uint16_t)(turn + stream);
    uint32_t ts = turn * 160u + stream;
    memcpy(at + 12, noise + (stream * 7u + turn * 160u) % (NOISE_BYTES - 160), 160);
    at[0] = 0x80;
    at[1] = 8;
    at[2] = (uint8_t)(seq >> 8);
    at[3] = (uint8_t)seq;
    for (int i = 0; i < 4; i++) {
        at[4 + i] = (uint8_t)(ts >> (24 - 8 * i));
        at[8 + i] = (uint8_t)(stream >> (24 - 8 * i));
    }
}

static void report(const char *stage, uint32_t streams, double value, const char *unit)
{
    printf("{\"bench\":\"path/%s/streams=%u\",\"value\":%.1f,\"unit\":\"%s\"}\n", stage, streams,
           value, unit);
}

/* The streams' packets come in another order each time. */
static void shuffle(uint32_t *order, uint32_t count, uint32_t turn)
{
    uint64_t x = turn + 1;
    for (uint32_t i = count - 1; i > 0; i--) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        uint32_t k = (uint32_t)((x >> 33) % (i + 1));
        uint32_t other = order[k];
        order[k] = order[i];
        order[i] = other;
    }
}

/* One packet of each stream, in bursts as capture delivers them. */
static void bursts(struct rig *b, const uint32_t *order, int64_t now_ns, uint32_t turn,
                   struct slr_packet *pkt, bool place, const uint8_t *noise)
{
    for (uint32_t i = 0; i < b->streams; i += SLR_CAPTURE_BURST) {
        uint32_t left = b->streams - i;
        uint32_t count = left < SLR_CAPTURE_BURST ? left : SLR_CAPTURE_BURST;
        for (uint32_t k = 0; k < count; k++) {
            make_packet((uint8_t *)(uintptr_t)pkt[k].at, order[i + k], turn, noise);
            pkt[k].tag = SLR_TAG_RTP(order[i + k]);
            pkt[k].arrival.ns = now_ns;
        }
        if (place) {
            slr_worker_burst(&b->worker, pkt, count);
        }
    }
}

static void run(const char *root, uint32_t streams, bool long_way)
{
    struct rig b;
    static uint8_t at[SLR_CAPTURE_BURST][172];
    static uint8_t noise[NOISE_BYTES];
    struct slr_packet pkt[SLR_CAPTURE_BURST] = {{0}};
    int64_t place_ns = 0;
    int64_t write_ns = 0;
    int64_t make_ns = 0;
    uint64_t packets = 0;
    uint64_t measured = 0;
    uint64_t bytes_before = 0;
    rig_open(&b, root, streams, rig_answer_pcma, NULL);
    b.worker.place.long_way = long_way;
    rig_must(slr_state_fill(b.state) == SLR_OK, "memory"); /* as the keeper has it ready */
    make_noise(noise);
    uint32_t step = (uint32_t)(slr_writer_nap_ns(&b.writer) / (20 * SLR_NS_PER_MS));
    uint32_t *order = malloc(streams * sizeof *order);
    rig_must(order != NULL, "memory");
    for (uint32_t i = 0; i < streams; i++) {
        order[i] = i;
    }
    for (uint32_t i = 0; i < SLR_CAPTURE_BURST; i++) {
        pkt[i] = (struct slr_packet){.at = at[i], .len_bytes = sizeof at[i]};
        rig_must(slr_addr_parse("127.0.0.1:4000", &pkt[i].src) == SLR_OK, "address");
    }
    for (uint32_t turn = 0; turn < SECONDS * TICKS_PER_TURN; turn++) {
        int64_t now = b.base_ns + (int64_t)turn * 20 * SLR_NS_PER_MS;
        shuffle(order, streams, turn);
        int64_t t0 = rig_cpu_ns();
        bursts(&b, order, now, turn, pkt, false, noise);
        int64_t t1 = rig_cpu_ns();
        bursts(&b, order, now, turn, pkt, true, noise);
        int64_t t2 = rig_cpu_ns();
        if (turn % step == 0) {
            (void)slr_writer_turn(&b.writer, (slr_mono){now});
        }
        int64_t t3 = rig_cpu_ns();
        packets += streams;
        if (turn < FILES_TURN) {
            bytes_before = slr_count_get(&b.writer.counters.at[SLR_CTR_BYTES]);
        } else {
            write_ns += t3 - t2;
        }
        if (turn >= TICKS_PER_TURN) {
            make_ns += t1 - t0;
            place_ns += t2 - t1;
            measured += streams;
        }
    }
    uint64_t taken = slr_count_get(&b.worker.counters.at[SLR_VERDICT_TAKEN]);
    rig_must(taken == packets, "every packet taken");
    uint64_t bytes = slr_count_get(&b.writer.counters.at[SLR_CTR_BYTES]) - bytes_before;
    rig_must(bytes > 0, "writing");
    free(order);
    report(long_way ? "placement-long-way" : "placement", streams,
           (double)(place_ns - make_ns) / (double)measured, "ns/packet");
    if (!long_way) {
        report("render+write", streams, (double)write_ns / ((double)bytes / 160.0), "ns/packet");
    }
    rig_close(&b);
}

int main(int argc, char **argv)
{
    static const uint32_t sizes[] = {100, 1000, 4000, 20000};
    slr_log_init("bench-path", SLR_LOG_ERROR);
    uint32_t only = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
    uint32_t count = only ? 1 : sizeof sizes / sizeof sizes[0];
    for (size_t i = 0; i < count; i++) {
        run(argc > 1 ? argv[1] : "/tmp", only ? only : sizes[i], false);
        run(argc > 1 ? argv[1] : "/tmp", only ? only : sizes[i], true);
    }
    return 0;
}

/*
 * bench_memory: what a stream takes of the machine's memory, by where it is.
 *
 * N sessions of two G.711 legs (20 ms, window and block of a second) that began at different
 * moments of ten seconds are fed for some seconds of virtual time; the writer steps as often as its
 * thread would, and the pool is tended as by its keeper. Prints one JSON line a figure, in KiB a
 * stream:
 *
 * memory/file: what the state file has taken, and in it memory/slots (of legs in use) and
 * memory/packets (chunks in use, mean of the last seconds; its most as memory/packets-most);
 * memory/process: besides that, resident of this process and of its own making (sockets and the
 * threads' buffers, which it has not, count little: see slr-load's memory/ for a whole engine);
 * memory/stream: file and process.
 *
 * Usage: bench-memory [DIR [STREAMS]] (default /tmp, 4,000 and 20,000 streams).
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/rig.h"
#include "common/log.h"
#include "engine/queue.h"

#define SECONDS 26
#define TURNS 50u /* a second */
#define PHASES (10u * TURNS)
#define MEASURED_TURN ((SECONDS - 4) * TURNS)

static void answer(const void *ctx, struct slr_leg *leg)
{
    struct slr_pt_map pt = {.name = "PCMA", .clock_hz = 8000, .pt = 8, .channels = 1};
    struct slr_pt_map event = {.name = "telephone-event", .clock_hz = 8000, .pt = 101};
    struct slr_pt_map both[] = {pt, event};
    (void)ctx;
    slr_leg_rare_join(leg);
    rig_must(slr_leg_codecs_set(leg, both, 2) == SLR_OK, "codecs");
}

static void make_packet(uint8_t at[172], uint32_t stream, uint32_t turn)
{
    uint32_t ts = turn * 160u + stream;
    uint16_t seq = (uint16_t)(turn + stream);
    memset(at, 0x2a, 172);
    at[0] = 0x80;
    at[1] = 8;
    at[2] = (uint8_t)(seq >> 8);
    at[3] = (uint8_t)seq;
    for (int i = 0; i < 4; i++) {
        at[4 + i] = (uint8_t)(ts >> (24 - 8 * i));
        at[8 + i] = (uint8_t)(stream >> (24 - 8 * i));
    }
}

/* A packet of each stream whose session has begun. */
static void feed(struct rig *b, int64_t now_ns, uint32_t turn)
{
    struct slr_packet pkt[SLR_CAPTURE_BURST] = {{0}};
    static uint8_t at[SLR_CAPTURE_BURST][172];
    uint32_t count = 0;
    for (uint32_t i = 0; i < b->streams; i++) {
        if (turn < i / 2 % PHASES) {
            continue;
        }
        make_packet(at[count], i, turn);
        pkt[count] =
            (struct slr_packet){.at = at[count], .len_bytes = sizeof at[0], .tag = SLR_TAG_RTP(i)};
        pkt[count].arrival.ns = now_ns;
        rig_must(slr_addr_parse("127.0.0.1:4000", &pkt[count].src) == SLR_OK, "address");
        if (++count == SLR_CAPTURE_BURST) {
            slr_worker_burst(&b->worker, pkt, count);
            count = 0;
        }
    }
    slr_worker_burst(&b->worker, pkt, count);
}

static double resident_bytes(void)
{
    unsigned long size = 0;
    unsigned long resident = 0;
    unsigned long shared = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    rig_must(f && fscanf(f, "%lu %lu %lu", &size, &resident, &shared) == 3, "statm");
    fclose(f);
    return (double)(resident - shared) * (double)sysconf(_SC_PAGESIZE);
}

static double file_bytes(const struct rig *b)
{
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s/engine.state", b->state_dir);
    rig_must(stat(path, &st) == 0, "stat");
    return (double)st.st_blocks * 512.0;
}

static void report(const char *what, uint32_t streams, double bytes)
{
    printf("{\"bench\":\"memory/%s/streams=%u\",\"value\":%.2f,\"unit\":\"KiB/stream\"}\n", what,
           streams, bytes / 1024.0 / streams);
}

static void run(const char *root, uint32_t streams)
{
    struct rig b;
    double before = resident_bytes();
    double sum = 0;
    double most = 0;
    rig_open(&b, root, streams, answer, NULL);
    for (uint32_t i = 0; i < streams / 2; i++) {
        b.state->session[i].start.ns += i % PHASES * (SLR_NS_PER_S / TURNS);
    }
    uint32_t step = (uint32_t)(slr_writer_nap_ns(&b.writer) / (SLR_NS_PER_S / TURNS));
    for (uint32_t turn = 0; turn < SECONDS * TURNS; turn++) {
        int64_t now = b.base_ns + (int64_t)turn * (SLR_NS_PER_S / TURNS);
        feed(&b, now, turn);
        if (step == 0 || turn % step == 0) {
            (void)slr_writer_turn(&b.writer, (slr_mono){now});
        }
        slr_pool_tend(&b.state->pool, now);
        double used = (double)b.state->pool.used * SLR_CHUNK_BYTES;
        sum += turn >= MEASURED_TURN ? used : 0;
        most = turn >= MEASURED_TURN && used > most ? used : most;
    }
    double process = resident_bytes() - before;
    double file = file_bytes(&b);
    report("slots", streams,
           streams * (double)(sizeof(struct slr_leg_run) + sizeof(struct slr_leg) +
                              sizeof(struct slr_session) / 2));
    report("packets", streams, sum / (SECONDS * TURNS - MEASURED_TURN));
    report("packets-most", streams, most);
    report("file", streams, file);
    report("process", streams, process);
    report("stream", streams, file + process);
    rig_close(&b);
}

int main(int argc, char **argv)
{
    slr_log_init("bench-memory", SLR_LOG_ERROR);
    const char *root = argc > 1 ? argv[1] : "/tmp";
    uint32_t only = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
    run(root, only ? only : 4000);
    if (!only) {
        run(root, 20000);
    }
    return 0;
}

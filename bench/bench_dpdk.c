/*
 * bench_dpdk: CPU time of a packet's way from a DPDK port to its place, on one thread.
 *
 * DPDK's net_pcap replays a generated file without end from memory (one G.711 packet of each of N
 * streams, in a random order; each is copied into a mbuf of its own, as a card would by DMA). The
 * thread fetches bursts and dissects frames (`fetch`: the backend's next), finds flows (`flow`) and
 * places payload (`place`), as a passive run does. Each step is measured by a run that leaves out
 * the later ones, less the run before; the least of some runs counts. Every packet gets its
 * sequence number and time stamp here, 20 ms a turn (in `fetch`); the writer's work between turns
 * is not measured. Needs no huge pages, no card and no privilege.
 *
 * Prints one JSON line a figure: {"bench":"dpdk/STEP/streams=N","value":..,"unit":"ns/packet"};
 * `whole` is all of them.
 *
 * Usage: bench-dpdk [DIR [STREAMS]] (default /tmp, 100 to 20,000 streams: DIR is where the
 * recordings are written and removed again).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/rig.h"
#include "common/log.h"
#include "engine/flows.h"

#define TICKS_PER_S 50u
#define PACKETS_MIN 3000000u
#define RTP_BYTES 172u
#define REPEATS 3

#define TICK_NS (SLR_NS_PER_S / TICKS_PER_S)

enum step { FETCH, FLOW, PLACE, STEPS };

static const char *const step_names[] = {"fetch", "flow", "place"};

struct bench {
    struct rig rig;
    struct slr_flows flows;
    struct slr_capture *capture;
    uint32_t streams;
};

/* 10.x.x.1:4000 to 10.x.x.2:5000. */
static void addresses(uint32_t stream, struct slr_addr *src, struct slr_addr *dst)
{
    char text[SLR_ADDR_TEXT_SIZE];
    snprintf(text, sizeof text, "10.%u.%u.1:4000", stream >> 8, stream & 255);
    rig_must(slr_addr_parse(text, src) == SLR_OK, "address");
    snprintf(text, sizeof text, "10.%u.%u.2:5000", stream >> 8, stream & 255);
    rig_must(slr_addr_parse(text, dst) == SLR_OK, "address");
}

static void put_frame(FILE *f, uint32_t stream)
{
    static const uint8_t before[] = {2,    0, 0, 0,   0, 1, 2, 0, 0,  0,  0, 2, 8, 0, /* Ethernet */
                                     0x45, 0, 0, 200, 0, 0, 0, 0, 64, 17, 0, 0};      /* IPv4 */
    const uint8_t ends[] = {10, (uint8_t)(stream >> 8), (uint8_t)stream, 1,
                            10, (uint8_t)(stream >> 8), (uint8_t)stream, 2};
    static const uint8_t udp[] = {4000 >> 8, 4000 & 255, 5000 >> 8, 5000 & 255, 0, 180, 0, 0};
    const uint32_t head[4] = {0, 0, 14 + 20 + 8 + RTP_BYTES, 14 + 20 + 8 + RTP_BYTES};
    uint8_t rtp[RTP_BYTES] = {0x80, 8};
    for (size_t i = 0; i < 160; i++) {
        rtp[12 + i] = (uint8_t)(0x55 ^ ((stream * 7 + i * 31) & 0x8f)); /* quiet noise */
    }
    for (size_t i = 0; i < 4; i++) {
        rtp[8 + i] = (uint8_t)(stream >> (24 - 8 * i));
    }
    rig_must(fwrite(head, sizeof head, 1, f) == 1 && fwrite(before, sizeof before, 1, f) == 1 &&
                 fwrite(ends, sizeof ends, 1, f) == 1 && fwrite(udp, sizeof udp, 1, f) == 1 &&
                 fwrite(rtp, sizeof rtp, 1, f) == 1,
             "capture file");
}

/* One packet of each stream, in a random order. */
static int make_file(uint32_t streams)
{
    const uint32_t head[6] = {0xa1b2c3d4u, 2 | 4 << 16, 0, 0, 65535, 1};
    int fd = memfd_create("frames", 0);
    FILE *f = fd >= 0 ? fdopen(dup(fd), "w") : NULL;
    uint32_t *order = malloc(streams * sizeof *order);
    uint64_t x = 1;
    rig_must(f && order && fwrite(head, sizeof head, 1, f) == 1, "capture file");
    for (uint32_t i = 0; i < streams; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        uint32_t k = (uint32_t)((x >> 33) % (i + 1));
        order[i] = order[k];
        order[k] = i;
    }
    for (uint32_t i = 0; i < streams; i++) {
        put_frame(f, order[i]);
    }
    rig_must(fclose(f) == 0, "capture file");
    free(order);
    return fd;
}

static void open_bench(struct bench *b, const char *root, uint32_t streams, int file)
{
    char arg[160];
    rig_open(&b->rig, root, streams, rig_answer_pcma, NULL);
    rig_must(slr_flows_init(&b->flows, 2 * streams) == SLR_OK, "flows");
    b->streams = streams;
    for (uint32_t i = 0; i < streams; i++) {
        struct slr_addr src, dst;
        addresses(i, &src, &dst);
        rig_must(slr_flow_add(&b->flows, &src, &dst, i, (slr_mono){0}) != NULL, "flow");
    }
    snprintf(arg, sizeof arg, "spin,mbufs=%u,net_pcap0,rx_pcap=/proc/self/fd/%d,infinite_rx=1",
             2 * streams + 8192, file);
    const struct slr_capture_config cfg = {.arg = arg};
    rig_must(slr_capture_find("dpdk")->open(&cfg, &b->capture) == SLR_OK, "DPDK");
}

/* The frames' numbers and times are those of the first turn. */
static void stamp(const struct slr_packet *pkt, uint32_t turn)
{
    uint8_t *at = (uint8_t *)(uintptr_t)pkt->at;
    const uint16_t seq = __builtin_bswap16((uint16_t)turn);
    const uint32_t ts = __builtin_bswap32(turn * 160u);
    memcpy(at + 2, &seq, sizeof seq);
    memcpy(at + 4, &ts, sizeof ts);
}

/* As a passive run does: what comes later is asked for ahead. */
static void find_flows(struct bench *b, struct slr_packet *burst, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        slr_flow_fetch(&b->flows, &burst[i].src, &burst[i].dst);
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct slr_flow *flow = slr_flow_find(&b->flows, &burst[i].src, &burst[i].dst);
        rig_must(flow != NULL, "flow");
        burst[i].tag = SLR_TAG_RTP(flow->leg);
    }
}

/* Packets until the end of a turn, at least; those beyond it. */
static uint32_t take_turn(struct bench *b, uint32_t turn, uint32_t done, enum step last)
{
    struct slr_packet burst[SLR_CAPTURE_BURST];
    while (done < b->streams) {
        uint32_t count = 0;
        rig_must(b->capture->ops->next(b->capture, 0, burst, &count) == SLR_OK, "next");
        for (uint32_t i = 0; i < count; i++) {
            uint32_t of = done + i < b->streams ? turn : turn + 1;
            burst[i].arrival.ns = b->rig.base_ns + of * TICK_NS;
            stamp(&burst[i], of);
        }
        if (last >= FLOW) {
            find_flows(b, burst, count);
        }
        if (last >= PLACE) {
            slr_worker_burst(&b->rig.worker, burst, count);
        }
        done += count;
    }
    return done - b->streams;
}

/* Nanoseconds a packet, but for the first second's. */
static double run(struct bench *b, enum step last)
{
    const uint32_t turns = PACKETS_MIN / b->streams + 2 * TICKS_PER_S;
    const uint32_t nap = (uint32_t)(slr_writer_nap_ns(&b->rig.writer) / TICK_NS);
    uint32_t done = 0;
    uint64_t measured = 0, placed = 0;
    int64_t spent_ns = 0;
    for (uint32_t turn = 0; turn < turns; turn++) {
        int64_t begin_ns = rig_cpu_ns();
        uint32_t over = take_turn(b, turn, done, last);
        uint32_t packets = b->streams - done + over;
        placed += packets;
        if (turn >= TICKS_PER_S) {
            spent_ns += rig_cpu_ns() - begin_ns;
            measured += packets;
        }
        done = over;
        if (last >= PLACE && turn % nap == 0) {
            (void)slr_writer_step(&b->rig.writer, (slr_mono){b->rig.base_ns + turn * TICK_NS});
        }
    }
    uint64_t taken = slr_count_get(&b->rig.worker.counters.at[SLR_VERDICT_TAKEN]);
    rig_must(last < PLACE || taken == placed, "every packet taken");
    return (double)spent_ns / (double)measured;
}

/* In a process of its own: DPDK begins once in each. */
static double run_apart(const char *root, uint32_t streams, enum step last)
{
    int fd[2], status = 1;
    double ns = 0;
    rig_must(pipe(fd) == 0, "pipe");
    pid_t child = fork();
    if (child == 0) {
        struct bench b = {.streams = 0};
        open_bench(&b, root, streams, make_file(streams));
        ns = run(&b, last);
        b.capture->ops->close(b.capture);
        slr_flows_fini(&b.flows);
        rig_close(&b.rig);
        exit(write(fd[1], &ns, sizeof ns) == sizeof ns ? 0 : 1);
    }
    close(fd[1]);
    rig_must(child > 0 && read(fd[0], &ns, sizeof ns) == sizeof ns &&
                 waitpid(child, &status, 0) == child && status == 0,
             "run");
    close(fd[0]);
    return ns;
}

static void report(const char *step, uint32_t streams, double ns)
{
    printf("{\"bench\":\"dpdk/%s/streams=%u\",\"value\":%.1f,\"unit\":\"ns/packet\"}\n", step,
           streams, ns);
    fflush(stdout);
}

/* The least of some runs: others use the machine, too. */
static void run_all(const char *root, uint32_t streams)
{
    double least[STEPS], before = 0;
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        for (int s = 0; s < STEPS; s++) {
            double ns = run_apart(root, streams, (enum step)s);
            least[s] = repeat == 0 || ns < least[s] ? ns : least[s];
        }
    }
    for (int s = 0; s < STEPS; s++) {
        report(step_names[s], streams, least[s] - before);
        before = least[s];
    }
    report("whole", streams, least[PLACE]);
}

int main(int argc, char **argv)
{
    static const uint32_t sizes[] = {100, 2000, 20000};
    uint32_t only = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
    uint32_t count = only ? 1 : sizeof sizes / sizeof sizes[0];
    slr_log_init("bench-dpdk", SLR_LOG_ERROR);
    for (uint32_t i = 0; i < count; i++) {
        run_all(argc > 1 ? argv[1] : "/tmp", only ? only : sizes[i]);
    }
    return 0;
}

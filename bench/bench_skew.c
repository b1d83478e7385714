/*
 * bench_skew: CPU time that clock skew costs a packet of 20 ms in the writer: the estimate, looking
 * for silence (always), and correcting (a piece that wants something). One thread. Prints one JSON
 * line a figure: {"bench":"skew/STAGE/format=F,hz=N","value":..,"unit":"ns/packet"}.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/rig.h"
#include "engine/skew_plan.h"
#include "storage/ledger.h"

#define PACKETS 25u /* a piece of half a second */
#define TURNS 4000u

static void report(const char *stage, const char *more, int64_t ns, uint64_t packets)
{
    printf("{\"bench\":\"skew/%s%s\",\"value\":%.1f,\"unit\":\"ns/packet\"}\n", stage, more,
           (double)ns / (double)packets);
}

static void estimate(void)
{
    struct slr_skew *k = calloc(1, sizeof *k);
    uint32_t x = 1;
    uint64_t packets = (uint64_t)PACKETS * TURNS * 10;
    if (!k) {
        exit(1);
    }
    int64_t start_ns = rig_cpu_ns();
    for (uint64_t i = 0; i < packets; i++) {
        x = x * 1664525u + 1013904223u;
        int64_t jitter = (int64_t)(x >> 8) % (SLR_TICKS_HZ / 20);
        struct slr_skew_packet p = {.start_ticks = (int64_t)i * (SLR_TICKS_HZ / 50),
                                    .dur_ticks = SLR_TICKS_HZ / 50,
                                    .arrival_ticks =
                                        (int64_t)i * (SLR_TICKS_HZ / 50 + 28) + jitter};
        (void)slr_skew_packet(k, &p);
    }
    report("estimate", "", rig_cpu_ns() - start_ns, packets);
    free(k);
}

/* Words in the first half of each piece, faint noise in the second. */
static void fill(struct slr_track *t, const struct slr_audio_shape *shape)
{
    uint32_t frames = shape->sample_hz / 2;
    uint32_t x = 7;
    int16_t pcm[24000];
    for (uint32_t i = 0; i < frames; i++) {
        x = x * 1664525u + 1013904223u;
        pcm[i] = (int16_t)((int32_t)(x >> 16) % (i < frames / 2 ? 12000 : 5));
    }
    slr_track_begin(t, shape, 0, frames + shape->sample_hz / 50);
    slr_track_put_pcm(t, 0, pcm, frames);
    for (uint32_t i = 0; i < PACKETS; i++) {
        struct slr_note *n = slr_track_note(t);
        if (!n) {
            exit(1);
        }
        n->start_ticks = (int64_t)i * (SLR_TICKS_HZ / 50);
        n->end_ticks = n->start_ticks + SLR_TICKS_HZ / 50;
        n->seq_ext = (int64_t)i;
        n->kind = SLR_SPAN_RECEIVED;
    }
}

static void plan(const char *stage, enum slr_sample_format format, uint32_t hz, int64_t want_ticks)
{
    static struct slr_corrections out;
    struct slr_audio_shape shape = {format, 2, hz};
    struct slr_skew_level level = {0};
    struct slr_skew_job job = {.want_ticks = want_ticks};
    struct slr_track t;
    char more[64];
    int64_t spent_ns = 0;
    if (slr_track_init(&t) != SLR_OK) {
        exit(1);
    }
    for (uint32_t i = 0; i < TURNS / (hz / 8000); i++) {
        fill(&t, &shape);
        int64_t start_ns = rig_cpu_ns();
        slr_skew_plan(&level, &t, hz / 2, &job, &out);
        spent_ns += rig_cpu_ns() - start_ns;
    }
    if ((out.count > 0) != (want_ticks != 0)) {
        exit(1);
    }
    snprintf(more, sizeof more, "/format=%s,hz=%u", slr_sample_name(format), hz);
    report(stage, more, spent_ns, (uint64_t)(TURNS / (hz / 8000)) * PACKETS);
    slr_track_fini(&t);
}

int main(void)
{
    estimate();
    plan("listen", SLR_SAMPLE_ALAW, 8000, 0);
    plan("listen", SLR_SAMPLE_S16, 16000, 0);
    plan("listen", SLR_SAMPLE_S16, 48000, 0);
    plan("correct", SLR_SAMPLE_ALAW, 8000, -SLR_TICKS_HZ / 200);
    plan("correct", SLR_SAMPLE_S16, 48000, SLR_TICKS_HZ / 200);
    return 0;
}

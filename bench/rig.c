/*
 * rig: see the header. Allocates at open only.
 */
#include "bench/rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int64_t rig_cpu_ns(void)
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

void rig_must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "bench: %s failed\n", what);
        exit(1);
    }
}

static void open_leg(struct rig *b, uint32_t slot, rig_answer answer, const void *ctx)
{
    struct slr_leg *leg = &b->state->leg[slot];
    struct slr_session *s = &b->state->session[slot / 2];
    atomic_store(&leg->session, SLR_NONE);
    atomic_store(&leg->queue_head, SLR_NONE);
    b->state->run[slot].queue_tail = SLR_NONE;
    leg->current = SLR_NONE;
    b->state->run[slot].highest_ticks = INT64_MIN;
    leg->channel = slot % 2;
    leg->cursor.last_stream = SLR_NONE;
    answer(ctx, leg);
    slr_leg_codecs_build(&b->codecs[slot], leg);
    rig_must(slr_engine_leg_join(&b->worker, s, slot) == SLR_OK, "join");
}

static void open_session(struct rig *b, uint32_t i, rig_answer answer, const void *ctx)
{
    struct slr_session *s = &b->state->session[i];
    snprintf(s->id, sizeof s->id, "%012x%020x", i, i);
    s->channels = 2;
    s->start.ns = b->base_ns;
    atomic_store(&s->end_ticks, INT64_MAX);
    atomic_store(&s->state, SLR_SESSION_OPEN);
    b->active[i] = 1;
    open_leg(b, i * 2, answer, ctx);
    open_leg(b, i * 2 + 1, answer, ctx);
}

void rig_open(struct rig *b, const char *root, uint32_t streams, rig_answer answer, const void *ctx)
{
    char path[512];
    memset(b, 0, sizeof *b);
    b->streams = streams;
    b->base_ns = 1000 * SLR_NS_PER_S;
    snprintf(b->dir, sizeof b->dir, "%s/slr-bench-XXXXXX", root);
    rig_must(mkdtemp(b->dir) != NULL, "mkdtemp");
    snprintf(path, sizeof path, "%s/open", b->dir);
    rig_must(mkdir(path, 0700) == 0, "mkdir");
    b->rec_fd = open(b->dir, O_RDONLY | O_DIRECTORY);
    snprintf(b->state_dir, sizeof b->state_dir, "/dev/shm/slr-bench-XXXXXX");
    rig_must(mkdtemp(b->state_dir) != NULL, "mkdtemp");
    rig_must(slr_state_open(b->state_dir, streams, streams * 12 + 64, &b->state) == SLR_OK,
             "state");
    while (slr_state_legs(b->state) < streams) {
        rig_must(slr_state_more_legs(b->state) != SLR_NONE, "memory");
    }
    while (slr_state_sessions(b->state) < streams / 2) {
        rig_must(slr_state_more_sessions(b->state) != SLR_NONE, "memory");
    }
    b->codecs = calloc(streams, sizeof *b->codecs);
    b->active = calloc(streams, sizeof *b->active);
    b->file = calloc(streams, sizeof *b->file);
    rig_must(b->codecs && b->active && b->file, "memory");
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
                                    .block_ticks = SLR_TICKS_HZ,
                                    .open_max = 16000,
                                    .dirty_bytes = &b->dirty};
    rig_must(slr_writer_init(&b->writer) == SLR_OK, "writer");
    for (uint32_t i = 0; i < streams / 2; i++) {
        open_session(b, i, answer, ctx);
    }
}

void rig_close(struct rig *b)
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
    rig_must(system(command) == 0, "rm");
}

void rig_answer_pcma(const void *ctx, struct slr_leg *leg)
{
    struct slr_pt_map pt[SLR_MAX_PTS];
    uint32_t n = slr_leg_codecs_static(pt, NULL);
    (void)ctx;
    rig_must(slr_leg_codecs_set(leg, pt, n) == SLR_OK, "codecs");
    leg->pt_active = 2; /* PCMA only: the payload is kept as it is */
    for (uint32_t i = 0; i < n; i++) {
        leg->pt_active = slr_leg_pt(leg, i)->pt == 8 ? 1u << i : leg->pt_active;
    }
}

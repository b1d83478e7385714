/*
 * fixture: the engine's whole path without sockets, threads or a real clock: a state file in a
 * folder of its own, one worker, one writer and the sealer, driven by hand in virtual time. A
 * process death is fx_die: everything but the files is forgotten. Only for tests of engine/.
 */
#ifndef SLR_TESTS_ENGINE_FIXTURE_H
#define SLR_TESTS_ENGINE_FIXTURE_H

#ifdef SLR_SIM
#include "tests/sim/assert.h" /* a program without criterion */
#else
#include <criterion/criterion.h>
#endif
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "engine/engine_priv.h"

#define FX_START_NS (1700000000LL * SLR_NS_PER_S)
#define FX_MS (SLR_TICKS_HZ / 1000)
#define FX_PEER "192.0.2.1:4000"
#ifndef FX_FOLDER
#define FX_FOLDER "/tmp"
#endif

struct fx {
    struct slr_engine e;
    struct slr_engine_config cfg;
    struct slr_worker worker;
    struct slr_writer writer;
    struct slr_ring ring;
    struct slr_capture capture;
    char root[64], state_dir[96];
    json_t *events;
    uint32_t legs, chunks, sessions_made, sockets_added;
};

static inline enum slr_err fx_add(struct slr_capture *c, int fd, uint32_t tag)
{
    struct fx *f = (struct fx *)(void *)((char *)c - offsetof(struct fx, capture));
    (void)tag;
    if (fd < 0) {
        return SLR_IO;
    }
    f->sockets_added++;
    close(fd);
    return SLR_OK;
}

static inline void fx_remove(struct slr_capture *c, uint32_t tag)
{
    (void)c;
    (void)tag;
}

static const struct slr_capture_ops fx_capture_ops = {
    .name = "fixture", .add = fx_add, .remove = fx_remove};

static inline void fx_emit(void *ctx, json_t *event)
{
    struct fx *f = ctx;
    cr_assert_eq(json_array_append_new(f->events, event), 0);
}

static inline slr_mono fx_time(int64_t ns)
{
    return (slr_mono){FX_START_NS + ns};
}

/* A process begins: maps the state, goes on with what is in it. */
static inline void fx_boot(struct fx *f)
{
    struct slr_engine *e = &f->e;
    cr_assert_eq(slr_state_open(f->state_dir, f->legs, f->chunks, &e->state), SLR_OK);
    e->codecs = calloc(f->legs, sizeof *e->codecs);
    e->active = calloc(f->legs, sizeof *e->active);
    e->file = calloc(f->legs, sizeof *e->file);
    cr_assert(e->codecs && e->active && e->file);
    f->capture.ops = &fx_capture_ops;
    f->worker = (struct slr_worker){
        .clock = e->clock, .active = e->active, .count = 1, .capture = &f->capture};
    f->worker.place = (struct slr_placement){.state = e->state,
                                             .codecs = e->codecs,
                                             .counters = &f->worker.counters,
                                             .sink = &e->sink,
                                             .window_ticks = e->window_ticks};
    f->writer = (struct slr_writer){.state = e->state,
                                    .codecs = e->codecs,
                                    .active = e->active,
                                    .file = e->file,
                                    .to_sealer = &f->ring,
                                    .clock = e->clock,
                                    .rec_fd = e->rec_fd,
                                    .count = 1,
                                    .window_ticks = e->window_ticks,
                                    .block_ticks = SLR_TICKS_HZ / 2,
                                    .open_max = 100,
                                    .dirty_bytes = &e->dirty_bytes};
    f->writer.watch =
        (struct slr_sound_watch){.state = e->state,
                                 .sink = &e->sink,
                                 .counters = &f->writer.counters,
                                 .alarm_ns = (int64_t)f->cfg.silent_alarm_s * SLR_NS_PER_S};
    cr_assert_eq(slr_ring_init(&f->ring, 1024), SLR_OK);
    cr_assert_eq(slr_writer_init(&f->writer), SLR_OK);
    memset(&e->sealer, 0, sizeof e->sealer);
    e->sealer.state = e->state;
    e->sealer.from_writers = &f->ring;
    e->sealer.ring_count = 1;
    e->sealer.sink = &e->sink;
    e->sealer.rec_fd = e->rec_fd;
    cr_assert_eq(slr_sealer_init(&e->sealer), SLR_OK);
    cr_assert_eq(slr_engine_restore(e), SLR_OK);
    slr_engine_restore_sockets(e);
}

/* A process dies: no file is flushed or closed in any order that matters, no slot is freed. */
static inline void fx_die(struct fx *f)
{
    struct slr_engine *e = &f->e;
    for (uint32_t i = 0; i < f->legs; i++) {
        slr_recfile_close(&e->file[i]);
    }
    slr_sealer_fini(&e->sealer);
    slr_writer_fini(&f->writer);
    slr_ring_fini(&f->ring);
    slr_state_close(e->state, false);
    free(e->codecs);
    free(e->active);
    free(e->file);
}

static inline void fx_open_sized(struct fx *f, uint32_t legs, uint32_t chunks)
{
    char path[128];
    memset(f, 0, sizeof *f);
    slr_log_init("test", SLR_LOG_ERROR);
    f->legs = legs;
    f->chunks = chunks;
    snprintf(f->root, sizeof f->root, FX_FOLDER "/slr-engine-XXXXXX");
    cr_assert_not_null(mkdtemp(f->root));
    snprintf(f->state_dir, sizeof f->state_dir, "%s/state", f->root);
    snprintf(path, sizeof path, "%s/open", f->root);
    cr_assert_eq(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/encode", f->root);
    cr_assert_eq(mkdir(path, 0700), 0);
    f->events = json_array();
    f->cfg.streams = legs;
    f->e.cfg = &f->cfg;
    f->e.sink = (struct slr_event_sink){fx_emit, f};
    f->e.rec_fd = open(f->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    f->e.virtual_clock = slr_clock_virtual((slr_wall){FX_START_NS});
    f->e.clock = f->e.virtual_clock;
    f->e.window_ticks = SLR_TICKS_HZ;
    f->e.port_lo = 20000;
    f->e.port_hi = 60000;
    f->e.worker = &f->worker;
    f->e.worker_count = 1;
    f->e.writer = &f->writer;
    f->e.writer_count = 1;
    fx_boot(f);
}

static inline void fx_open(struct fx *f)
{
    fx_open_sized(f, 16, 512);
}

static inline int fx_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline void fx_close(struct fx *f)
{
    fx_die(f);
    close(f->e.rec_fd);
    slr_clock_free(f->e.virtual_clock);
    json_decref(f->events);
    cr_assert_eq(nftw(f->root, fx_remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

#endif

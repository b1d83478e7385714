/*
 * engine_watch: looks ten times a second at what the engine has left: packet memory, disks. What
 * follows from that others read here.
 *
 * A thread of its own, which never waits for a disk; without one (passive runs, tests) whoever
 * steps it. Allocates for alarms only.
 */
#ifndef SLR_ENGINE_ENGINE_WATCH_H
#define SLR_ENGINE_ENGINE_WATCH_H

#include <pthread.h>
#include <stdatomic.h>

#include "common/err.h"
#include "engine/calls_left.h"
#include "engine/stall_budget.h"

#define SLR_VOLUMES 2u

struct slr_engine;

/* Why no new session is taken. */
enum slr_refusal {
    SLR_REFUSE_NONE,
    SLR_REFUSE_DRAIN,
    SLR_REFUSE_STORAGE,
    SLR_REFUSE_LIMIT /* and enum slr_limit */
};
const char *slr_refusal_name(enum slr_refusal why);

struct slr_engine_watch {
    /* for all threads */
    _Atomic int64_t budget_ns;  /* so long packet memory lasts without a disk */
    _Atomic bool refuse;        /* storage: no new sessions */
    _Atomic bool second;        /* the first volume is given up for now */
    _Atomic int64_t stalled_ns; /* of the first volume, 0: well */
    /* So many more calls fit, by what is in their way; -S is known to the control thread alone. */
    _Atomic uint32_t left[SLR_LIMITS];
    _Atomic uint32_t refuse_limit; /* enum slr_limit that is used up, SLR_LIMITS: none */
    /* own */
    struct slr_stall_budget budget;
    struct slr_storage_plan plan;
    bool stall_told;
    struct slr_cost cost;
    int64_t cost_ns; /* next look */
    uint32_t cores;
    pthread_t thread;
    _Atomic bool stop;
    bool running;
};

/* The least of them. Control thread. */
uint32_t slr_engine_calls_left(const struct slr_engine *e, enum slr_limit *limit);

/* Before there are other threads. */
void slr_engine_watch_init(struct slr_engine *e);
void slr_engine_watch_step(struct slr_engine *e, slr_mono now);
enum slr_err slr_engine_watch_start(struct slr_engine *e) SLR_CHECKED;
void slr_engine_watch_stop(struct slr_engine *e);

#endif

/*
 * director: the course of a run: calls up, all of them sending for a time, calls down. One thread,
 * the program's first; sending is the sender's.
 */
#ifndef SLR_LOAD_DIRECTOR_H
#define SLR_LOAD_DIRECTOR_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "load/book.h"
#include "load/hist.h"
#include "load/sender.h"
#include "load/setup.h"

struct slr_director {
    const struct slr_load_config *cfg;
    struct slr_book *book;
    const struct slr_setup_ops *ops;
    struct slr_setup *setup;
    struct slr_sender *sender;
    /* what is told when the measured time begins and ends (all calls are up) */
    void (*measure)(void *ctx, bool on);
    void *measure_ctx;
    /* results */
    uint32_t set_up, failed, ended, end_failed; /* calls */
    uint32_t churned;                           /* calls that ended while others went on */
    uint32_t up_most;
    double setup_s; /* the ramp */
    double measured_s;
    double call_seconds; /* in the measured time */
    struct slr_hist setup_latency;
    json_t *stats_before, *stats_after; /* of the engine round the measured time, or NULL */
    /* inside */
    uint32_t asked, sending, setting_up, ending, queue_head, queue_count;
    struct slr_call **queue; /* calls that are over, in the order in which they may be ended */
    int64_t start_ns, tail_ns;
    int64_t last_ns; /* the newest change of `up` in the measured time */
    bool measuring, silent;
    char why[64]; /* why the first set-up failed */
};

/* How many calls a run may come to, which is what its book must hold. */
uint32_t slr_director_calls_max(const struct slr_load_config *cfg);

/* The set-up and the sender are open; everything else of *d is zero but cfg, book, ops, setup,
 * sender, measure. Comes back when all calls are over. SLR_CLOSED: the recorder is gone;
 * SLR_TIMEOUT: not one call could be set up; SLR_NOMEM. */
enum slr_err slr_director_run(struct slr_director *d) SLR_CHECKED;
void slr_director_free(struct slr_director *d);

/* Hooks for the set-up, ctx is the director. */
struct slr_setup_hooks slr_director_hooks(struct slr_director *d);

#endif

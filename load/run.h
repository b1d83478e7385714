/*
 * run: one load from set-up to verdict. Director's thread; allocates.
 */
#ifndef SLR_LOAD_RUN_H
#define SLR_LOAD_RUN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "load/config.h"
#include "load/hist.h"
#include "load/sender.h"
#include "load/usage.h"
#include "load/verdict.h"

struct slr_result {
    const char *label; /* the configuration's */
    char codecs[64];
    uint32_t calls; /* asked for */
    uint32_t set_up, failed, end_failed, up_most, churned;
    char why[64]; /* the first failure's reason */
    double setup_s, measured_s, call_seconds;
    struct slr_sender_stats sent, sent_before; /* in all; before the measured time */
    int64_t sender_cpu_ns;                     /* in the measured time */
    struct slr_hist late, setup_latency;       /* late: in the measured time */
    struct slr_usage before, after;            /* the measured time */
    json_t *stats_before, *stats_after;        /* the engine's counters, or NULL */
    bool checked;
    struct slr_verdict verdict;
    bool ok;              /* the verdict */
    bool generator_limit; /* the generator did not keep its times */
};

/* Any error: the run could not be done (a message is on standard error). *r is the caller's to free
 * in any case. */
enum slr_err slr_run_once(const struct slr_load_config *cfg, struct slr_result *r) SLR_CHECKED;
void slr_run_free(struct slr_result *r);

#endif

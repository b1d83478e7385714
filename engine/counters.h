/*
 * counters: the engine's metrics, one array per thread of work, described by counters.def and
 * verdict.def. Writers add to their own array; anyone reads.
 */
#ifndef SLR_ENGINE_COUNTERS_H
#define SLR_ENGINE_COUNTERS_H

#include "common/metrics.h"

enum slr_verdict {
#define VERDICT(name, reason) SLR_VERDICT_##name,
#include "engine/verdict.def"
#undef VERDICT
    SLR_VERDICT_COUNT
};

enum slr_counter_id {
    SLR_CTR_VERDICT_LAST = SLR_VERDICT_COUNT - 1, /* verdicts come first, same numbers */
#define COUNTER(name, kind, metric, help) SLR_CTR_##name,
#include "engine/counters.def"
#undef COUNTER
    SLR_CTR_COUNT
};

struct slr_counters {
    slr_counter at[SLR_CTR_COUNT];
};

/* Descriptions of all of them, SLR_CTR_COUNT rows. */
const struct slr_metric *slr_counters_table(void);

#endif

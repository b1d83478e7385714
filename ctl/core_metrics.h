/*
 * core_metrics: the counters of slr-core (metrics.def). Written by the signalling thread, printed
 * by any.
 */
#ifndef SLR_CTL_CORE_METRICS_H
#define SLR_CTL_CORE_METRICS_H

#include "common/metrics.h"

enum slr_core_metric {
#define CORE_METRIC(id, kind, name, help) SLR_CORE_M_##id,
#include "ctl/metrics.def"
#undef CORE_METRIC
    SLR_CORE_M_COUNT
};

/* SLR_CORE_M_COUNT rows. Static storage. */
const struct slr_metric *slr_core_metrics_table(void);

#endif

/*
 * core_metrics: descriptions of the counters. Const data only; any thread, allocates nothing.
 */
#include "ctl/core_metrics.h"

const struct slr_metric *slr_core_metrics_table(void)
{
    static const struct slr_metric table[] = {
#define CORE_METRIC(id, kind, name, help) {name, help, kind},
#include "ctl/metrics.def"
#undef CORE_METRIC
    };
    return table;
}

/*
 * counters: the table of descriptions, made from the two .def lists. Constant.
 */
#include "engine/counters.h"

static const struct slr_metric table[SLR_CTR_COUNT] = {
#define VERDICT(name, reason)                                                                      \
    [SLR_VERDICT_##name] = {"slr_packets_total{verdict=\"" reason "\"}",                           \
                            "datagrams by what became of them", 'c'},
#include "engine/verdict.def"
#undef VERDICT
#define COUNTER(name, kind, metric, help) [SLR_CTR_##name] = {metric, help, kind},
#include "engine/counters.def"
#undef COUNTER
};

const struct slr_metric *slr_counters_table(void)
{
    return table;
}

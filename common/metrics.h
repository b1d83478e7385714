/*
 * metrics: counters and gauges declared as rows of a .def table, printed as Prometheus text.
 *
 * Each process has one const table of descriptions and arrays of _Atomic uint64_t per thread; the
 * printer sums the arrays. Names are `slr_<module>_<what>_<unit>[_total]`. Writers use relaxed
 * adds on their own array; any thread may print.
 */
#ifndef SLR_COMMON_METRICS_H
#define SLR_COMMON_METRICS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "common/slice.h"

struct slr_metric {
    const char *name; /* full Prometheus name, labels allowed: slr_x_total{reason="y"} */
    const char *help;
    char kind; /* 'c' counter, 'g' gauge (arrays are summed too) */
};

typedef _Atomic uint64_t slr_counter;

static inline void slr_count(slr_counter *c, uint64_t n)
{
    atomic_fetch_add_explicit(c, n, memory_order_relaxed);
}

/* The same for the one thread that writes it: no locked instruction, for each packet. */
static inline void slr_count_own(slr_counter *c, uint64_t n)
{
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static inline uint64_t slr_count_get(const slr_counter *c)
{
    return atomic_load_explicit((slr_counter *)(uintptr_t)c, memory_order_relaxed);
}

/* Appends `count` metrics, each summed over `array_count` arrays, as text exposition format;
 * HELP and TYPE once per base name (rows of one base name are neighbours). */
void slr_metrics_print(struct slr_put *out, const struct slr_metric *table, size_t count,
                       slr_counter *const *array, size_t array_count);

#endif

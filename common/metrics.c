/*
 * metrics: prints a table of counters and gauges in the Prometheus text format.
 * Reads the writers' arrays with relaxed loads; any thread, allocates nothing.
 */
#include "common/metrics.h"

#include <inttypes.h>

static size_t base_len(const char *name)
{
    return strcspn(name, "{");
}

static bool same_base(const char *a, const char *b)
{
    size_t n = base_len(a);
    return n == base_len(b) && memcmp(a, b, n) == 0;
}

void slr_metrics_print(struct slr_put *out, const struct slr_metric *table, size_t count,
                       slr_counter *const *array, size_t array_count)
{
    for (size_t i = 0; i < count; i++) {
        const struct slr_metric *m = &table[i];
        if (i == 0 || !same_base(m->name, table[i - 1].name)) {
            int n = (int)base_len(m->name);
            slr_put_fmt(out, "# HELP %.*s %s\n# TYPE %.*s %s\n", n, m->name, m->help, n, m->name,
                        m->kind == 'c' ? "counter" : "gauge");
        }
        uint64_t sum = 0;
        for (size_t k = 0; k < array_count; k++) {
            sum += slr_count_get(&array[k][i]);
        }
        slr_put_fmt(out, "%s %" PRIu64 "\n", m->name, sum);
    }
}

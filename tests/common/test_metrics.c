/* metrics: sums over arrays, HELP and TYPE once for each base name. */
#include <criterion/criterion.h>

#include "common/metrics.h"

static const struct slr_metric table[] = {
    {"slr_x_pkts_total{reason=\"a\"}", "Packets.", 'c'},
    {"slr_x_pkts_total{reason=\"b\"}", "Packets.", 'c'},
    {"slr_x_pkts", "Packets held.", 'g'},
};

Test(metrics, text)
{
    static slr_counter one[3], two[3];
    slr_counter *const arrays[] = {one, two};
    char text[512];
    struct slr_put p = slr_put_of(text, sizeof text);

    slr_count(&one[0], 1);
    slr_count(&two[0], 2);
    slr_count(&one[1], UINT64_MAX);
    slr_count(&two[2], 7);
    slr_metrics_print(&p, table, 3, arrays, 2);
    cr_assert_not(p.overflow);
    text[p.len_bytes] = '\0';
    cr_assert_str_eq(text, "# HELP slr_x_pkts_total Packets.\n"
                           "# TYPE slr_x_pkts_total counter\n"
                           "slr_x_pkts_total{reason=\"a\"} 3\n"
                           "slr_x_pkts_total{reason=\"b\"} 18446744073709551615\n"
                           "# HELP slr_x_pkts Packets held.\n"
                           "# TYPE slr_x_pkts gauge\n"
                           "slr_x_pkts 7\n");
}

Test(metrics, small_buffer_overflows_cleanly)
{
    static slr_counter one[3];
    slr_counter *const arrays[] = {one};
    char text[40];
    struct slr_put p = slr_put_of(text, sizeof text);

    slr_metrics_print(&p, table, 3, arrays, 1);
    cr_assert(p.overflow);
    cr_assert_leq(p.len_bytes, sizeof text);
}

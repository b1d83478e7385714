/* Query parameters of listings: times with zones, limits, refusal of the unknown. */
#include <criterion/criterion.h>

#include "common/clock.h"
#include "ctl/http_query.h"

static int64_t ns_of(const char *text)
{
    int64_t ns = -1;
    cr_assert_eq(slr_http_query_time(text, &ns), SLR_OK, "%s", text);
    return ns;
}

Test(http_query, times)
{
    int64_t base = ns_of("2026-11-20T19:01:02Z");
    cr_assert_eq(base, 1795201262LL * SLR_NS_PER_S);
    cr_assert_eq(ns_of("2026-11-20T20:01:02+01:00"), base);
    cr_assert_eq(ns_of("2026-11-20T20:01:02 01:00"), base);
    cr_assert_eq(ns_of("2026-11-20T13:31:02-05:30"), base);
    cr_assert_eq(ns_of("2026-11-20T19:01:02.250Z"), base + 250 * SLR_NS_PER_MS);
    cr_assert_eq(ns_of("2026-11-20T20:01:02.250+01:00"), base + 250 * SLR_NS_PER_MS);
    cr_assert_eq(ns_of("1970-01-02"), 86400 * SLR_NS_PER_S);
}

Test(http_query, bad_times)
{
    static const char *const bad[] = {
        "",           "now",
        "2026-13-01", "2026-11-20T19:01",
        "20261120",   "2026-11-20T19:01:02+25:00",
        "-",          "2026-11-20T19:01:02+0100",
        "1234567890", "2026-11-20T19:01:02.1234567890123456789012345Z"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int64_t ns = 0;
        cr_assert_eq(slr_http_query_time(bad[i], &ns), SLR_FORMAT, "%s", bad[i]);
    }
}

Test(http_query, parameters)
{
    struct slr_catalogue_query q;
    const char *expected = NULL;
    slr_http_query_init(&q);
    cr_assert_eq(q.limit, 100);
    cr_assert_eq(slr_http_query_set(&q, "limit", "1000", &expected), SLR_OK);
    cr_assert_eq(q.limit, 1000);
    cr_assert_eq(slr_http_query_set(&q, "limit", "0", &expected), SLR_FORMAT);
    cr_assert_eq(slr_http_query_set(&q, "limit", "1001", &expected), SLR_FORMAT);
    cr_assert_eq(slr_http_query_set(&q, "limit", "1e3", &expected), SLR_FORMAT);
    cr_assert_eq(q.limit, 1000);
    cr_assert_eq(slr_http_query_set(&q, "dn", "+4930@x", &expected), SLR_OK);
    cr_assert_str_eq(q.dn, "+4930@x");
    cr_assert_eq(slr_http_query_set(&q, "dn", "", &expected), SLR_FORMAT);
    cr_assert_eq(slr_http_query_set(&q, "state", "sealed", &expected), SLR_OK);
    cr_assert_eq(slr_http_query_set(&q, "state", "gone", &expected), SLR_FORMAT);
    cr_assert_eq(slr_http_query_set(&q, "id", "7", &expected), SLR_FORMAT);
    cr_assert_eq(slr_http_query_set(&q, "cursor", "zz", &expected), SLR_FORMAT);
    cr_assert_not(q.has_after);
    cr_assert_eq(slr_http_query_set(&q, "to", "1970-01-01T00:00:01Z", &expected), SLR_OK);
    cr_assert_eq(q.to_ns, SLR_NS_PER_S);
    cr_assert_eq(slr_http_query_set(&q, "offset", "1", &expected), SLR_NOTFOUND);
}

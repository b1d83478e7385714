/* Range headers and entity tags: RFC 9110 sections 13.1 and 14.1, and what is not worth an answer.
 */
#include <criterion/criterion.h>

#include "ctl/http_range.h"

struct range_case {
    const char *header;
    uint64_t size;
    enum slr_http_range_kind kind;
    uint64_t first, len;
};

static const struct range_case cases[] = {
    {"bytes=0-0", 10, SLR_RANGE_PART, 0, 1},
    {"bytes=0-9", 10, SLR_RANGE_PART, 0, 10},
    {"bytes=2-", 10, SLR_RANGE_PART, 2, 8},
    {"bytes=9-9", 10, SLR_RANGE_PART, 9, 1},
    {"bytes=5-100", 10, SLR_RANGE_PART, 5, 5},
    {"bytes=5-18446744073709551615", 10, SLR_RANGE_PART, 5, 5},
    {"bytes=-3", 10, SLR_RANGE_PART, 7, 3},
    {"bytes=-100", 10, SLR_RANGE_PART, 0, 10},
    {" Bytes= 1 - 2 ", 10, SLR_RANGE_PART, 1, 2},
    {"bytes=10-", 10, SLR_RANGE_UNSATISFIABLE, 0, 0},
    {"bytes=10-11", 10, SLR_RANGE_UNSATISFIABLE, 0, 0},
    {"bytes=-0", 10, SLR_RANGE_UNSATISFIABLE, 0, 0},
    {"bytes=0-0", 0, SLR_RANGE_UNSATISFIABLE, 0, 0},
    {"bytes=-1", 0, SLR_RANGE_UNSATISFIABLE, 0, 0},
    {"", 10, SLR_RANGE_WHOLE, 0, 10},
    {"bytes", 10, SLR_RANGE_WHOLE, 0, 10},
    {"bytes=", 10, SLR_RANGE_WHOLE, 0, 10},
    {"bytes=-", 10, SLR_RANGE_WHOLE, 0, 10},
    {"bytes=3-2", 10, SLR_RANGE_WHOLE, 0, 10},
    {"bytes=0-1,4-5", 10, SLR_RANGE_WHOLE, 0, 10},
    {"items=0-1", 10, SLR_RANGE_WHOLE, 0, 10},
    {"bytes=a-b", 10, SLR_RANGE_WHOLE, 0, 10},
    {"bytes=0x1-2", 10, SLR_RANGE_WHOLE, 0, 10},
    {"bytes=+1-2", 10, SLR_RANGE_WHOLE, 0, 10},
    {"bytes=1--2", 10, SLR_RANGE_WHOLE, 0, 10},
    {"bytes=99999999999999999999-", 10, SLR_RANGE_WHOLE, 0, 10},
};

Test(http_range, ranges)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct range_case *c = &cases[i];
        uint64_t first = 77;
        uint64_t len = 77;
        enum slr_http_range_kind kind =
            slr_http_range_parse(slr_slice_str(c->header), c->size, &first, &len);
        cr_assert_eq(kind, c->kind, "%s", c->header);
        if (kind != SLR_RANGE_UNSATISFIABLE) {
            cr_assert_eq(first, c->first, "%s", c->header);
            cr_assert_eq(len, c->len, "%s", c->header);
        }
    }
}

static bool match(const char *header, bool weak)
{
    return slr_http_range_etag_matches(slr_slice_str(header), "\"abc\"", weak);
}

Test(http_range, tags)
{
    cr_assert(match("\"abc\"", false));
    cr_assert(match("  \"x\" , \"abc\"", false));
    cr_assert(match("*", true));
    cr_assert(match("W/\"abc\"", true));
    cr_assert_not(match("W/\"abc\"", false));
    cr_assert(match("W/\"abc\", \"abc\"", false));
    cr_assert(match("\"a,b\",\"abc\"", false));
    cr_assert_not(match("", true));
    cr_assert_not(match("abc", true));
    cr_assert_not(match("\"abc", true));
    cr_assert_not(match("\"ab\"", true));
    cr_assert_not(match("\"x\" \"abc\"", true));
    cr_assert_not(match("Sat, 01 Jan 2000 00:00:00 GMT", false));
}

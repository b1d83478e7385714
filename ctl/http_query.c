/*
 * http_query: readers of query parameters. Pure, any thread, allocates nothing.
 */
#include "ctl/http_query.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/slice.h"

#define TIME_MAX_BYTES 40
#define TEXT_MAX_BYTES 255
#define NS_PER_MINUTE (60 * SLR_NS_PER_S)

void slr_http_query_init(struct slr_catalogue_query *q)
{
    memset(q, 0, sizeof(*q));
    q->from_ns = INT64_MIN;
    q->to_ns = INT64_MAX;
    q->limit = SLR_HTTP_LIMIT_DEFAULT;
}

/* "+01:00" or "-05:30" as minutes east of UTC. */
static bool parse_offset(const char *text, int64_t *minutes)
{
    uint64_t hours = 0;
    uint64_t rest = 0;
    if (text[3] != ':' || !slr_slice_to_u64(slr_slice_of(text + 1, 2), 23, &hours) ||
        !slr_slice_to_u64(slr_slice_of(text + 4, 2), 59, &rest)) {
        return false;
    }
    *minutes = (int64_t)(hours * 60 + rest);
    if (text[0] == '-') {
        *minutes = -*minutes;
    }
    return true;
}

enum slr_err slr_http_query_time(const char *text, int64_t *out_ns)
{
    char utc[TIME_MAX_BYTES + 16];
    size_t len = strlen(text);
    int64_t minutes = 0;
    if (len < 10 || len > TIME_MAX_BYTES) {
        return SLR_FORMAT;
    }
    memcpy(utc, text, len + 1);
    if (len == 10) {
        memcpy(utc + len, "T00:00:00Z", 11);
    } else if (len > 16 && strchr("+- ", text[len - 6]) != NULL) {
        if (!parse_offset(text + len - 6, &minutes)) {
            return SLR_FORMAT;
        }
        memcpy(utc + len - 6, "Z", 2);
    }
    slr_wall wall;
    if (!slr_wall_parse(utc, &wall)) {
        return SLR_FORMAT;
    }
    if (__builtin_sub_overflow(wall.ns, minutes * NS_PER_MINUTE, out_ns)) {
        return SLR_FORMAT;
    }
    return SLR_OK;
}

static enum slr_err set_text(const char **member, const char *value, const char **expected)
{
    *expected = "a text of 1 to 255 bytes";
    size_t len = strlen(value);
    if (len == 0 || len > TEXT_MAX_BYTES) {
        return SLR_FORMAT;
    }
    *member = value;
    return SLR_OK;
}

static enum slr_err set_state(struct slr_catalogue_query *q, const char *value,
                              const char **expected)
{
    static const char *const known[] = {"open",   "sealing", "sealed", "partial",
                                        "orphan", "failed",  "deleted"};
    *expected = "open, sealing, sealed, partial, orphan, failed or deleted";
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(value, known[i]) == 0) {
            q->state = known[i];
            return SLR_OK;
        }
    }
    return SLR_FORMAT;
}

static enum slr_err set_limit(struct slr_catalogue_query *q, const char *value,
                              const char **expected)
{
    uint64_t limit = 0;
    *expected = "a number from 1 to 1000";
    if (!slr_slice_to_u64(slr_slice_str(value), SLR_CATALOGUE_MAX_ROWS, &limit) || limit < 1) {
        return SLR_FORMAT;
    }
    q->limit = (uint32_t)limit;
    return SLR_OK;
}

enum slr_err slr_http_query_set(struct slr_catalogue_query *q, const char *name, const char *value,
                                const char **expected)
{
    static const char time_expected[] = "an RFC 3339 time such as 2026-11-20T19:01:02Z";
    *expected = "";
    if (strcmp(name, "from") == 0 || strcmp(name, "to") == 0) {
        *expected = time_expected;
        return slr_http_query_time(value, name[0] == 'f' ? &q->from_ns : &q->to_ns);
    }
    if (strcmp(name, "dn") == 0) {
        return set_text(&q->dn, value, expected);
    }
    if (strcmp(name, "call") == 0) {
        return set_text(&q->call, value, expected);
    }
    if (strcmp(name, "state") == 0) {
        return set_state(q, value, expected);
    }
    if (strcmp(name, "limit") == 0) {
        return set_limit(q, value, expected);
    }
    if (strcmp(name, "id") == 0) {
        *expected = "32 lower-case hexadecimal digits";
        q->id = value;
        return slr_id_valid(value) ? SLR_OK : SLR_FORMAT;
    }
    if (strcmp(name, "cursor") == 0) {
        *expected = "the value of `next` of an earlier answer";
        q->has_after = slr_cursor_parse(value, &q->after);
        return q->has_after ? SLR_OK : SLR_FORMAT;
    }
    return SLR_NOTFOUND;
}

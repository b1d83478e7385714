/*
 * http_query: times and the query string of listings, from text to a catalogue query.
 * Pure, any thread, allocates nothing. Takes outside bytes (already percent-decoded).
 */
#ifndef SLR_CTL_HTTP_QUERY_H
#define SLR_CTL_HTTP_QUERY_H

#include <stdint.h>

#include "common/err.h"
#include "ctl/catalogue.h"

#define SLR_HTTP_LIMIT_DEFAULT 100u

/* Newest first, SLR_HTTP_LIMIT_DEFAULT rows, no condition. */
void slr_http_query_init(struct slr_catalogue_query *q);

/* Takes one `name=value` in. The value is borrowed by q. SLR_NOTFOUND: no such parameter;
 * SLR_FORMAT: the value is malformed or out of range, *expected says what is wanted. */
enum slr_err slr_http_query_set(struct slr_catalogue_query *q, const char *name, const char *value,
                                const char **expected) SLR_CHECKED;

/* RFC 3339 time with Z or an offset (a blank counts as its +, which query strings turn into one),
 * or a date alone (midnight UTC). SLR_FORMAT. */
enum slr_err slr_http_query_time(const char *text, int64_t *out_ns) SLR_CHECKED;

#endif

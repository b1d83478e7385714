/*
 * http_range: the Range header and entity tags (RFC 9110 sections 13 and 14).
 * Pure, any thread, allocates nothing. Takes outside bytes.
 */
#ifndef SLR_CTL_HTTP_RANGE_H
#define SLR_CTL_HTTP_RANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/slice.h"

enum slr_http_range_kind {
    SLR_RANGE_WHOLE, /* none, malformed, another unit or several ranges: send all of it */
    SLR_RANGE_PART,
    SLR_RANGE_UNSATISFIABLE
};

/* header: value of Range. size_bytes: length of the representation. PART: *first_bytes and
 * *len_bytes (at least 1) lie inside it; WHOLE: 0 and size_bytes. */
enum slr_http_range_kind slr_http_range_parse(struct slr_slice header, uint64_t size_bytes,
                                              uint64_t *first_bytes, uint64_t *len_bytes);

/* Is `etag` (with its quotes, strong) among the tags of an If-None-Match or If-Range value? A `*`
 * matches any. weak: W/ tags match as well (If-None-Match), else only strong ones (If-Range). */
bool slr_http_range_etag_matches(struct slr_slice header, const char *etag, bool weak);

#endif

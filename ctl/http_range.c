/*
 * http_range: readers for Range and entity tags. Pure, any thread, allocates nothing.
 */
#include "ctl/http_range.h"

/* "first-last", "first-" or "-count" of one range. False: malformed. */
static bool parse_spec(struct slr_slice spec, uint64_t size_bytes, uint64_t *first,
                       uint64_t *last_ext, bool *empty)
{
    struct slr_slice left;
    const uint8_t *dash = memchr(spec.at, '-', spec.len_bytes);
    if (dash == NULL || !slr_slice_take(&spec, (size_t)(dash - spec.at), &left) ||
        !slr_slice_skip(&spec, 1)) {
        return false;
    }
    uint64_t a = 0;
    uint64_t b = 0;
    left = slr_slice_trim(left);
    struct slr_slice right = slr_slice_trim(spec);
    if (left.len_bytes == 0) {
        if (!slr_slice_to_u64(right, UINT64_MAX, &b)) {
            return false;
        }
        *empty = b == 0 || size_bytes == 0;
        *first = b >= size_bytes ? 0 : size_bytes - b;
        *last_ext = size_bytes;
        return true;
    }
    if (!slr_slice_to_u64(left, UINT64_MAX, &a)) {
        return false;
    }
    b = UINT64_MAX;
    if (right.len_bytes > 0 && (!slr_slice_to_u64(right, UINT64_MAX, &b) || b < a)) {
        return false;
    }
    *empty = a >= size_bytes;
    *first = a;
    *last_ext = b >= size_bytes ? size_bytes : b + 1;
    return true;
}

enum slr_http_range_kind slr_http_range_parse(struct slr_slice header, uint64_t size_bytes,
                                              uint64_t *first_bytes, uint64_t *len_bytes)
{
    *first_bytes = 0;
    *len_bytes = size_bytes;
    struct slr_slice rest = slr_slice_trim(header);
    struct slr_slice unit;
    if (rest.len_bytes == 0 || memchr(rest.at, '=', rest.len_bytes) == NULL ||
        !slr_slice_take_token(&rest, '=', &unit) || !slr_slice_eq_nocase(unit, "bytes") ||
        rest.len_bytes == 0 || memchr(rest.at, ',', rest.len_bytes) != NULL) {
        return SLR_RANGE_WHOLE;
    }
    uint64_t first = 0;
    uint64_t last_ext = 0;
    bool empty = false;
    if (!parse_spec(rest, size_bytes, &first, &last_ext, &empty)) {
        return SLR_RANGE_WHOLE;
    }
    if (empty) {
        return SLR_RANGE_UNSATISFIABLE;
    }
    *first_bytes = first;
    *len_bytes = last_ext - first;
    return SLR_RANGE_PART;
}

bool slr_http_range_etag_matches(struct slr_slice header, const char *etag, bool weak)
{
    struct slr_slice rest = slr_slice_trim(header);
    if (slr_slice_eq(rest, "*")) {
        return true;
    }
    while (rest.len_bytes > 0) {
        bool is_weak = rest.len_bytes > 2 && rest.at[0] == 'W' && rest.at[1] == '/';
        if (is_weak && !slr_slice_skip(&rest, 2)) {
            return false;
        }
        if (rest.len_bytes < 2 || rest.at[0] != '"') {
            return false;
        }
        const uint8_t *end = memchr(rest.at + 1, '"', rest.len_bytes - 1);
        struct slr_slice tag;
        if (end == NULL || !slr_slice_take(&rest, (size_t)(end - rest.at) + 1, &tag)) {
            return false;
        }
        if ((weak || !is_weak) && slr_slice_eq(tag, etag)) {
            return true;
        }
        rest = slr_slice_trim(rest);
        if (rest.len_bytes > 0 && (rest.at[0] != ',' || !slr_slice_skip(&rest, 1))) {
            return false;
        }
        rest = slr_slice_trim(rest);
    }
    return false;
}

/* Fuzz: Range and entity tag headers. First byte: weak or not; second: size of the file. */
#include <stdlib.h>

#include "ctl/http_range.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    struct slr_slice header = slr_slice_of(data + 2, size - 2);
    uint64_t whole = data[1];
    uint64_t first = 0;
    uint64_t len = 0;
    enum slr_http_range_kind kind = slr_http_range_parse(header, whole, &first, &len);
    if (kind == SLR_RANGE_PART && (len == 0 || first > whole || len > whole - first)) {
        abort();
    }
    (void)slr_http_range_etag_matches(header, "\"abc\"", (data[0] & 1) != 0);
    return 0;
}

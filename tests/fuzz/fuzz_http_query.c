/* Fuzz: query parameters; lines of `name=value`. */
#include <stdlib.h>
#include <string.h>

#include "common/slice.h"
#include "ctl/http_query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slr_slice text = slr_slice_of(data, size);
    struct slr_slice line;
    struct slr_catalogue_query q;
    slr_http_query_init(&q);
    while (slr_slice_take_line(&text, &line)) {
        struct slr_slice name;
        char left[64];
        char right[512];
        const char *expected = NULL;
        if (!slr_slice_take_token(&line, '=', &name) ||
            !slr_slice_to_str(name, left, sizeof(left)) ||
            !slr_slice_to_str(line, right, sizeof(right))) {
            continue;
        }
        enum slr_err err = slr_http_query_set(&q, left, right, &expected);
        if (expected == NULL || q.limit < 1 || q.limit > SLR_CATALOGUE_MAX_ROWS) {
            abort();
        }
        q.dn = q.call = q.id = NULL; /* they borrow `right` */
        (void)err;
    }
    return 0;
}

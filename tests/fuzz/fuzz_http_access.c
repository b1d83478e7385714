/* Fuzz: Host and Authorization values, and token files. */
#include <stdlib.h>
#include <string.h>

#include "ctl/http_access.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char known[] = "anna 0123456789abcdef\n";
    struct slr_http_tokens tokens;
    struct slr_slice given = slr_slice_of(data, size);
    if (slr_http_access_read_tokens(slr_slice_str(known), &tokens) != SLR_OK) {
        abort();
    }
    const char *actor = slr_http_access_actor(&tokens, given);
    if (actor != NULL && memmem(data, size, "0123456789abcdef", 16) == NULL) {
        abort();
    }
    (void)slr_http_access_host_allowed(given, "10.0.0.1", "recorder");
    (void)slr_http_access_read_tokens(given, &tokens);
    return 0;
}

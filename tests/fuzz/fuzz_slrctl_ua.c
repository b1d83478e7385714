/* Fuzz: the demo's reader of SIP answers. */
#include <stdint.h>
#include <stdlib.h>

#include "ctl/slrctl_ua.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slrctl_ua_answer a;
    if (slrctl_ua_read(slr_slice_of(data, size), &a) && (a.status < 100 || a.call_id[0] == '\0')) {
        abort();
    }
    return 0;
}

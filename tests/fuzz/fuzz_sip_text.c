/*
 * Fuzz target of slr-load's reader of SIP answers: any bytes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "load/sip_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slr_sip_reply r;
    if (slr_sip_text_read(slr_slice_of(data, size), 0xabc, &r) != SLR_OK) {
        return 0;
    }
    if (r.status < 100 || r.status > 699 || r.leg > 7 || strlen(r.to_tag) >= sizeof r.to_tag ||
        strlen(r.ip) >= sizeof r.ip || strlen(r.method) >= sizeof r.method) {
        abort();
    }
    return 0;
}

/* Recording metadata: no crash, counts within bounds, always printable as JSON. */
#include <stdlib.h>

#include "ctl/siprec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct slr_siprec meta;
    char user[64];
    if (slr_siprec_read(slr_slice_of(data, size), &meta) != SLR_OK) {
        return 0;
    }
    for (uint8_t i = 0; i < meta.participant_count; i++) {
        slr_siprec_aor_user(meta.participant[i].aor, user, sizeof user);
    }
    (void)slr_siprec_sender(&meta, "1");
    json_t *json = slr_siprec_to_json(&meta);
    if (!json) {
        abort();
    }
    json_decref(json);
    return 0;
}

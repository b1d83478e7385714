/* Captured SIP messages through the stack's header parser and our body readers. */
#include "ctl/track_msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slr_track_msg m;
    if (slr_track_msg_read(slr_slice_of(data, size), &m) == SLR_OK) {
        slr_track_msg_fini(&m);
    }
    return 0;
}

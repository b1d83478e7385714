/* SDP reader, answer writer and key cutter: no crash, and every answer reads back. */
#include <stdlib.h>

#include "ctl/sdp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct slr_sdp sdp, back;
    static char text[SLR_SDP_MAX_BYTES];
    struct slr_slice in = slr_slice_of(data, size);
    if (slr_sdp_cut_keys(in, text, sizeof text) != SLR_OK && size < 1000) {
        abort();
    }
    if (slr_sdp_read(in, &sdp) != SLR_OK) {
        return 0;
    }
    struct slr_sdp_local local[SLR_SDP_MEDIA_MAX];
    for (uint8_t i = 0; i < sdp.media_count; i++) {
        local[i] = (struct slr_sdp_local){.taken = slr_sdp_media_usable(&sdp.media[i]),
                                          .ip = "192.0.2.1",
                                          .family = 4,
                                          .port = 4000};
    }
    struct slr_sdp_session session = {.id = 1, .version = 1, .ip = "192.0.2.1", .family = 4};
    struct slr_put put = slr_put_of(text, sizeof text);
    if (slr_sdp_write_answer(&sdp, local, &session, &put) == SLR_OK &&
        (slr_sdp_read(slr_slice_of(text, put.len_bytes), &back) != SLR_OK ||
         back.media_count != sdp.media_count)) {
        abort();
    }
    return 0;
}

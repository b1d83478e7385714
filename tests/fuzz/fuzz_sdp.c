/* SDP reader, answer writer and key cutter: no crash, and every answer reads back. */
#include <stdlib.h>
#include <string.h>

#include "ctl/sdp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is stored of a text is no longer than it was: keys are cut in place. */
static void check_mask(struct slr_slice in)
{
    static char text[SLR_SDP_MAX_BYTES + 1];
    if (!slr_slice_to_str(in, text, sizeof text)) {
        return;
    }
    slr_sdp_crypto_mask(text);
    if (strlen(text) > in.len_bytes) {
        abort();
    }
}

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
        const struct slr_sdp_crypto *c = slr_sdp_media_crypto(&sdp.media[i]);
        if (c) { /* a line that was read has keys, and its own key is its own */
            if (c->key_count < 1 || c->key_count > SLR_SRTP_KEYS) {
                abort();
            }
            local[i].own = c->key[0];
        }
    }
    struct slr_sdp_session session = {.id = 1, .version = 1, .ip = "192.0.2.1", .family = 4};
    struct slr_put put = slr_put_of(text, sizeof text);
    if (slr_sdp_write_answer(&sdp, local, &session, &put) == SLR_OK &&
        (slr_sdp_read(slr_slice_of(text, put.len_bytes), &back) != SLR_OK ||
         back.media_count != sdp.media_count)) {
        abort();
    }
    for (uint8_t i = 0; i < sdp.media_count; i++) {
        if (local[i].taken && slr_sdp_media_secure(&sdp.media[i]) &&
            (back.media[i].crypto_count != 1 ||
             memcmp(back.media[i].crypto[0].key[0].key, local[i].own.key, 16) != 0)) {
            abort();
        }
    }
    check_mask(in);
    return 0;
}

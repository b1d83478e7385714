/* a=crypto lines: what is taken has whole keys that differ; what is not leaves nothing behind. */
#include <stdlib.h>
#include <string.h>

#include "ctl/sdp_crypto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct slr_sdp_crypto none;
    struct slr_sdp_crypto c;
    if (slr_sdp_crypto_read(slr_slice_of(data, size), &c) != SLR_OK) {
        require(memcmp(&c, &none, sizeof none) == 0);
        return 0;
    }
    require(c.key_count >= 1 && c.key_count <= SLR_SRTP_KEYS);
    for (uint8_t i = 0; i < c.key_count; i++) {
        require(c.key[i].suite != SLR_SRTP_NONE && c.key[i].suite == c.key[0].suite);
        require(c.key_count == 1 || c.key[i].mki_len > 0);
        require(c.key[i].mki_len <= SLR_SRTP_MKI_BYTES);
    }
    return 0;
}

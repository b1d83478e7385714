/* Events as readers see them, and SIP of captures on its way into the log: any bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "engine/pseudo_sip.h"
#include "engine/sip_blank.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void take(void *ctx, const struct slr_hep *packet)
{
    static uint8_t out[SLR_HEP_MAX_BYTES];
    struct slr_put put = slr_put_of(out, sizeof out);
    (void)ctx;
    if (slr_hep_encode(packet, &put) == SLR_OK) {
        struct slr_hep again;
        require(slr_hep_decode(slr_slice_of(out, put.len_bytes), &again) == SLR_OK);
    }
}

/* Blanking must not depend on where the bytes are cut. */
static void blank(const uint8_t *data, size_t size)
{
    struct slr_sip_blank one = {.name_len = 0}, two = {.name_len = 0};
    uint8_t *a = malloc(size + 1), *b = malloc(size + 1);
    require(a && b);
    memcpy(a, data, size);
    memcpy(b, data, size);
    slr_sip_blank(&one, a, size);
    slr_sip_blank(&two, b, size / 2);
    slr_sip_blank(&two, b + size / 2, size - size / 2);
    require(memcmp(a, b, size) == 0);
    free(a);
    free(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slr_slice rest = slr_slice_of(data, size), line;
    struct slr_pseudo_sip *book = slr_pseudo_sip_open(4, "node", take, NULL);
    require(book != NULL);
    if (size > 0) {
        blank(data, size);
    }
    while (slr_slice_take_line(&rest, &line)) {
        json_t *event = NULL;
        if (slr_json_load(line, &event) == SLR_OK) {
            slr_pseudo_sip_event(book, event);
            slr_pseudo_sip_session(book, event, (slr_wall){1});
            json_decref(event);
        }
    }
    slr_pseudo_sip_tick(book, (slr_wall){INT64_MAX / 2});
    slr_pseudo_sip_close(book);
    return 0;
}

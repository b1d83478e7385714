/* HEP v3: whatever comes, decode stays in bounds; what it accepts survives encode and decode. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/hep.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok) {
        abort();
    }
}

static bool same(struct slr_slice a, struct slr_slice b)
{
    return a.len_bytes == b.len_bytes && (a.len_bytes == 0 || memcmp(a.at, b.at, a.len_bytes) == 0);
}

static void check_again(const struct slr_hep *h)
{
    static uint8_t out[SLR_HEP_MAX_BYTES + SLR_HEP_OVERHEAD_BYTES];
    struct slr_put p = slr_put_of(out, sizeof out);
    struct slr_hep again;

    /* Odd microseconds can carry the time past 2106, and a packet of its largest size grow. */
    if (slr_hep_encode(h, &p) != SLR_OK) {
        return;
    }
    require(slr_hep_decode(slr_slice_of(out, p.len_bytes), &again) == SLR_OK);
    require(again.family == h->family && again.type == h->type && again.event == h->event);
    require(again.time.ns == h->time.ns && again.agent_id == h->agent_id);
    require(same(again.payload, h->payload) && same(again.auth_key, h->auth_key));
    require(same(again.node, h->node) && same(again.correlation_id, h->correlation_id));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slr_slice all = slr_slice_of(data, size), packet;
    struct slr_hep h;
    size_t total;

    if (slr_hep_decode(all, &h) == SLR_OK) {
        check_again(&h);
    }
    while (slr_hep_frame_len(all, &total) == SLR_OK) {
        require(total >= SLR_HEP_HEADER_BYTES && slr_slice_take(&all, total, &packet));
        if (slr_hep_decode(packet, &h) == SLR_OK) {
            require(h.payload.len_bytes < total);
        }
    }
    return 0;
}

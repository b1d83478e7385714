/*
 * xdp_spec: parses what is written behind `--capture xdp:`.
 * No state, any thread, allocates nothing.
 */
#include "capture/xdp_spec.h"

#include <stdbool.h>
#include <string.h>

#include "common/slice.h"

static bool take_slots(struct slr_slice value, uint32_t *out)
{
    uint64_t n = 0;
    bool good = slr_slice_to_u64(value, SLR_XDP_SLOTS_MAX, &n) && n >= SLR_XDP_SLOTS_MIN &&
                (n & (n - 1)) == 0;
    *out = (uint32_t)n;
    return good;
}

static bool take_word(struct slr_slice word, struct slr_xdp_spec *out)
{
    static const char slots[] = "slots=";
    if (slr_slice_eq(word, "skb") || slr_slice_eq(word, "native")) {
        out->attach = slr_slice_eq(word, "skb") ? SLR_XDP_SKB : SLR_XDP_NATIVE;
        return true;
    }
    if (word.len_bytes >= strlen(slots) && memcmp(word.at, slots, strlen(slots)) == 0) {
        return slr_slice_skip(&word, strlen(slots)) && take_slots(word, &out->slots);
    }
    if (word.len_bytes == 0 || word.len_bytes >= SLR_XDP_INTERFACE_SIZE ||
        memchr(word.at, '=', word.len_bytes) || out->interface_count == SLR_XDP_INTERFACES) {
        return false;
    }
    memcpy(out->interface[out->interface_count++], word.at, word.len_bytes);
    return true;
}

enum slr_err slr_xdp_spec_parse(const char *text, struct slr_xdp_spec *out)
{
    *out = (struct slr_xdp_spec){.slots = SLR_XDP_SLOTS};
    const char *at = text ? text : "";
    while (*at) {
        size_t len_bytes = strcspn(at, ",");
        if (!take_word(slr_slice_of(at, len_bytes), out)) {
            return SLR_INVAL;
        }
        at += len_bytes;
        if (*at == ',' && *++at == '\0') {
            return SLR_INVAL;
        }
    }
    return SLR_OK;
}

/*
 * packet_spec: parses what is written behind `--capture packet:`.
 * No state, any thread, allocates nothing.
 */
#include "capture/packet_spec.h"

#include <string.h>

#include "common/slice.h"

#define SIP_PORT 5060u

/* What lies before the next `by`, or all; rest is what comes after it. */
static struct slr_slice cut(struct slr_slice *rest, char by)
{
    const uint8_t *end = rest->len_bytes ? memchr(rest->at, by, rest->len_bytes) : NULL;
    struct slr_slice word = *rest;
    if (end) {
        word.len_bytes = (size_t)(end - rest->at);
        *rest = slr_slice_of(end + 1, rest->len_bytes - word.len_bytes - 1);
    } else {
        *rest = slr_slice_of(rest->at + rest->len_bytes, 0);
    }
    return word;
}

static bool is_word(struct slr_slice s, const char *word)
{
    return s.len_bytes == strlen(word) && memcmp(s.at, word, s.len_bytes) == 0;
}

static bool take_number(struct slr_slice s, uint64_t max, uint32_t *out)
{
    uint64_t n = 0;
    bool good = slr_slice_to_u64(s, max, &n) && n > 0;
    *out = (uint32_t)n;
    return good;
}

static bool take_option(struct slr_slice option, struct slr_packet_spec *out)
{
    struct slr_slice value = option;
    struct slr_slice name = cut(&value, '=');
    if (is_word(option, "own")) {
        out->own = true;
        return true;
    }
    if (is_word(name, "ring")) {
        return take_number(value, SLR_PACKET_RING_MAX_MB, &out->ring_mb);
    }
    if (is_word(name, "tcp")) {
        struct slr_slice hi = value;
        struct slr_slice lo = cut(&hi, '-');
        hi = hi.len_bytes ? hi : lo;
        return take_number(lo, 65535, &out->tcp_lo) && take_number(hi, 65535, &out->tcp_hi) &&
               out->tcp_lo <= out->tcp_hi;
    }
    return false;
}

enum slr_err slr_packet_spec_parse(const char *text, struct slr_packet_spec *out)
{
    *out = (struct slr_packet_spec){
        .ring_mb = SLR_PACKET_RING_MB, .tcp_lo = SIP_PORT, .tcp_hi = SIP_PORT};
    struct slr_slice rest = slr_slice_str(text ? text : "");
    struct slr_slice name = cut(&rest, ',');
    if (name.len_bytes == 0 || name.len_bytes >= sizeof out->interface) {
        return SLR_INVAL;
    }
    memcpy(out->interface, name.at, name.len_bytes);
    while (rest.len_bytes > 0) {
        if (!take_option(cut(&rest, ','), out)) {
            return SLR_INVAL;
        }
    }
    return SLR_OK;
}

/*
 * fuzz_frame: the passive way of a packet (link, IP, fragments, UDP, TCP order) over a run of
 * frames. Input: one byte that selects the link type, then records of flags (bit 0: cut by the
 * snap length, bits 1..7: time step), length (16 bits) and bytes. After each frame the counters
 * must add up.
 */
#include <stdint.h>
#include <stdlib.h>

#include "capture/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void check(const struct slr_frame *f)
{
    struct slr_capture_stats s;
    slr_frame_stats(f, &s);
    require(s.frames == s.packets + s.fragments_joined + s.drop_link + s.drop_ip + s.drop_fragment +
                            s.drop_transport + s.drop_truncated + slr_frame_pending(f));
}

/* Reads every delivered byte, so that a sanitizer sees a bad one. */
static void touch(const struct slr_packet *p)
{
    uint32_t sum = 0;
    require(p->len_bytes <= 65535);
    for (uint32_t i = 0; i < p->len_bytes; i++) {
        sum += p->at[i];
    }
    require(sum <= 255u * 65535u);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int dlts[] = {1, 0, 108, 113, 276, 12, 101, 228, 229, 14};
    struct slr_slice input = slr_slice_of(data, size), bytes;
    struct slr_packet packet;
    struct slr_frame *f;
    uint8_t selector, flags;
    uint16_t len_bytes;
    int64_t now_ns = 1700000000 * SLR_NS_PER_S;
    if (!slr_slice_take_u8(&input, &selector) ||
        slr_frame_open(dlts[selector % (sizeof dlts / sizeof dlts[0])], &f) != SLR_OK) {
        return 0;
    }
    while (slr_slice_take_u8(&input, &flags) && slr_slice_take_u16(&input, &len_bytes)) {
        if (!slr_slice_take(&input, len_bytes, &bytes)) {
            bytes = input;
            input = slr_slice_of(input.at, 0);
        }
        now_ns += (int64_t)(flags >> 1) * 100 * SLR_NS_PER_MS;
        if (slr_frame_put(f, bytes, (flags & 1) != 0, (slr_wall){now_ns}, &packet)) {
            touch(&packet);
        }
        check(f);
        while (slr_frame_take(f, &packet)) {
            touch(&packet);
        }
    }
    slr_frame_flush(f);
    while (slr_frame_take(f, &packet)) {
        touch(&packet);
    }
    check(f);
    require(slr_frame_pending(f) == 0);
    slr_frame_close(f);
    return 0;
}

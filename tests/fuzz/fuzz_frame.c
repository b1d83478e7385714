/*
 * fuzz_frame: the passive way of a packet (link, IP, fragments, UDP, TCP order) over a run of
 * frames. Input: one byte that selects the link type, then records of flags (bit 0: cut by the
 * snap length, bits 1..7: time step), length (16 bits) and bytes. After each frame the counters
 * must add up, and the way past the usual one must give the same packet.
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

static void same(const struct slr_packet *a, const struct slr_packet *b)
{
    require(a->at == b->at && a->len_bytes == b->len_bytes && a->tag == b->tag);
    require(a->tcp == b->tcp && a->truncated == b->truncated && a->gap == b->gap);
    require(a->vlan == b->vlan && a->kernel_drops == b->kernel_drops);
    require(slr_addr_eq(&a->src, &b->src) && slr_addr_eq(&a->dst, &b->dst));
    require(a->arrival.ns == b->arrival.ns && a->wall.ns == b->wall.ns);
}

static void finish(struct slr_frame *f)
{
    struct slr_packet packet;
    slr_frame_flush(f);
    while (slr_frame_take(f, &packet)) {
        touch(&packet);
    }
    check(f);
    require(slr_frame_pending(f) == 0);
}

/* Frame after frame on either way. */
struct ways {
    struct slr_frame *any, *longer;
};

static void put(const struct ways *w, struct slr_slice bytes, bool cut, int64_t now_ns)
{
    struct slr_packet packet, other;
    bool got = slr_frame_put(w->any, bytes, cut, (slr_wall){now_ns}, &packet);
    require(got == slr_frame_put(w->longer, bytes, cut, (slr_wall){now_ns}, &other));
    if (got) {
        touch(&packet);
        if (packet.at >= bytes.at && packet.at < bytes.at + bytes.len_bytes) {
            same(&packet, &other);
        }
    }
    check(w->any);
    check(w->longer);
    while (slr_frame_take(w->any, &packet)) {
        touch(&packet);
    }
    while (slr_frame_take(w->longer, &packet)) {
        touch(&packet);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int dlts[] = {1, 0, 108, 113, 276, 12, 101, 228, 229, 14};
    struct slr_slice input = slr_slice_of(data, size), bytes;
    struct ways w = {NULL, NULL};
    uint8_t selector, flags;
    uint16_t len_bytes;
    int64_t now_ns = 1700000000 * SLR_NS_PER_S;
    if (!slr_slice_take_u8(&input, &selector)) {
        return 0;
    }
    int dlt = dlts[selector % (sizeof dlts / sizeof dlts[0])];
    if (slr_frame_open(dlt, &w.any) == SLR_OK && slr_frame_open(dlt, &w.longer) == SLR_OK) {
        slr_frame_long_way(w.longer);
        while (slr_slice_take_u8(&input, &flags) && slr_slice_take_u16(&input, &len_bytes)) {
            if (!slr_slice_take(&input, len_bytes, &bytes)) {
                bytes = input;
                input = slr_slice_of(input.at, 0);
            }
            now_ns += (int64_t)(flags >> 1) * 100 * SLR_NS_PER_MS;
            put(&w, bytes, (flags & 1) != 0, now_ns);
        }
        finish(w.any);
        finish(w.longer);
    }
    slr_frame_close(w.any);
    slr_frame_close(w.longer);
    return 0;
}

/* GRE, ERSPAN and VXLAN: headers alone, then in frames. */
#include "capture/tunnel.h"

#include <criterion/criterion.h>

#include "capture/frame.h"
#include "tests/capture/frames.h"

static struct slr_tunnel tunnel;

static enum slr_verdict gre(const char *bytes, size_t len_bytes, bool cut)
{
    tunnel = (struct slr_tunnel){.dlt = -1};
    return slr_tunnel_gre(slr_slice_of(bytes, len_bytes), cut, &tunnel);
}

#define GRE(text) gre(text, sizeof text - 1, false)

Test(tunnel, gre_with_each_optional_field)
{
    cr_assert_eq(GRE("\x00\x00\x08\x00"
                     "inner"),
                 SLR_VERDICT_TAKEN);
    cr_assert_eq(tunnel.dlt, 101);
    cr_assert(slr_slice_eq(tunnel.inner, "inner"));
    cr_assert_eq(GRE("\xb0\x00\x86\xdd"
                     "sum.key.seq.inner"),
                 SLR_VERDICT_TAKEN);
    cr_assert_eq(tunnel.dlt, 101);
    cr_assert(slr_slice_eq(tunnel.inner, "inner"));
    cr_assert_eq(GRE("\x20\x00\x65\x58key.inner"), SLR_VERDICT_TAKEN);
    cr_assert_eq(tunnel.dlt, 1);
    cr_assert(slr_slice_eq(tunnel.inner, "inner"));
}

Test(tunnel, erspan_of_each_type)
{
    cr_assert_eq(GRE("\x00\x00\x88\xbeinner"), SLR_VERDICT_TAKEN);
    cr_assert(slr_slice_eq(tunnel.inner, "inner"));
    cr_assert_eq(GRE("\x10\x00\x88\xbeseq.headmoreinner"), SLR_VERDICT_TAKEN);
    cr_assert(slr_slice_eq(tunnel.inner, "inner"));
    cr_assert_eq(GRE("\x10\x00\x22\xebseq.headtimelas\x00inner"), SLR_VERDICT_TAKEN);
    cr_assert(slr_slice_eq(tunnel.inner, "inner"));
    cr_assert_eq(GRE("\x10\x00\x22\xebseq.headtimelas\x01platforminner"), SLR_VERDICT_TAKEN);
    cr_assert(slr_slice_eq(tunnel.inner, "inner"));
    cr_assert_eq(tunnel.dlt, 1);
}

Test(tunnel, gre_that_is_refused)
{
    cr_assert_eq(GRE("\x40\x00\x08\x00"), SLR_VERDICT_TRANSPORT); /* routing */
    cr_assert_eq(GRE("\x00\x01\x08\x00"), SLR_VERDICT_TRANSPORT); /* version 1, PPTP */
    cr_assert_eq(GRE("\x00\x00\x88\x0b"), SLR_VERDICT_TRANSPORT); /* PPP */
    static const char whole[] = "\x10\x00\x22\xebseq.headtimelas\x01platform";
    for (size_t n = 0; n < sizeof whole - 1; n++) {
        cr_assert_eq(gre(whole, n, false), SLR_VERDICT_TRANSPORT, "%zu", n);
        cr_assert_eq(gre(whole, n, true), SLR_VERDICT_TRUNCATED, "%zu", n);
    }
    cr_assert_eq(gre(whole, sizeof whole - 1, false), SLR_VERDICT_TAKEN);
}

static bool vxlan(uint16_t port, const char *bytes, size_t len_bytes)
{
    const struct slr_ip_transport udp = {.dst_port = port,
                                         .payload = slr_slice_of(bytes, len_bytes)};
    return slr_tunnel_vxlan(&udp, &tunnel);
}

Test(tunnel, vxlan_by_port_and_header)
{
    static const char good[] = "\x08\x00\x00\x00\x01\x02\x03\x00inner";
    cr_assert(vxlan(4789, good, sizeof good - 1));
    cr_assert(slr_slice_eq(tunnel.inner, "inner"));
    cr_assert_eq(tunnel.dlt, 1);
    cr_assert(vxlan(8472, good, sizeof good - 1));
    cr_assert_not(vxlan(5000, good, sizeof good - 1));
    cr_assert_not(vxlan(4789, good, 7));
    cr_assert_not(vxlan(4789, "\x80\x00\x00\x00\x01\x02\x03\x00", 8)); /* RTP of that port */
    cr_assert_not(vxlan(4789, "\x08\x00\x00\x00\x01\x02\x03\x01", 8));
}

/* A UDP frame of 20 bytes in `depth` GRE tunnels. */
static void wrap(struct frame *f, uint32_t depth)
{
    make_udp(f, 4000, 5000, 7, 20);
    for (uint32_t i = 0; i < depth; i++) {
        struct frame inner = *f;
        struct slr_put p = slr_put_of(f->bytes, sizeof f->bytes);
        put_ethernet(&p, 0, 0, 0x0800);
        put_ipv4(&p, 47, 1, 0, inner.len_bytes + 4);
        slr_put_bytes(&p, "\x00\x00\x65\x58", 4);
        slr_put_bytes(&p, inner.bytes, inner.len_bytes);
        f->len_bytes = p.len_bytes;
    }
}

static struct frame one;

Test(tunnel, frames_in_frames_up_to_four_deep)
{
    struct slr_frame *stage = NULL;
    struct slr_packet packet;
    struct slr_capture_stats stats;
    const slr_wall now = {1700000000 * SLR_NS_PER_S};
    cr_assert_eq(slr_frame_open(ETH_DLT, &stage), SLR_OK);
    for (uint32_t depth = 0; depth <= 6; depth++) {
        wrap(&one, depth);
        bool got = slr_frame_put(stage, frame_slice(&one), false, now, &packet);
        cr_assert_eq(got, depth <= 4, "%u", depth);
        cr_assert(!got || (packet.len_bytes == 20 && packet.at[0] == 7 && packet.dst.port == 5000));
    }
    slr_frame_stats(stage, &stats);
    cr_assert_eq(stats.packets, 5);
    cr_assert_eq(stats.drop_transport, 2);
    slr_frame_close(stage);
}

/* The tunnel's own packet in two fragments, of which the first ends at `at`. */
static bool put_in_parts(struct slr_frame *stage, const struct frame *whole, size_t at,
                         struct slr_packet *packet)
{
    static struct frame part;
    const slr_wall now = {1700000000 * SLR_NS_PER_S};
    struct slr_slice body = slr_slice_of(whole->bytes + 34, whole->len_bytes - 34);
    bool got = false;
    for (int i = 0; i < 2; i++) {
        size_t from = i ? at : 0, to = i ? body.len_bytes : at;
        struct slr_put p = slr_put_of(part.bytes, sizeof part.bytes);
        put_ethernet(&p, 0, 0, 0x0800);
        put_ipv4(&p, 47, 9, (uint16_t)(from / 8 | (i ? 0 : 0x2000)), to - from);
        slr_put_bytes(&p, body.at + from, to - from);
        part.len_bytes = p.len_bytes;
        got = slr_frame_put(stage, frame_slice(&part), false, now, packet);
    }
    return got;
}

Test(tunnel, in_fragments_and_with_fragments_in_it)
{
    struct slr_frame *stage = NULL;
    struct slr_packet packet;
    struct slr_capture_stats stats;
    cr_assert_eq(slr_frame_open(ETH_DLT, &stage), SLR_OK);
    wrap(&one, 1);
    cr_assert(put_in_parts(stage, &one, 32, &packet));
    cr_assert_eq(packet.len_bytes, 20);
    cr_assert_eq(packet.at[19], (uint8_t)(7 + 19));
    slr_frame_stats(stage, &stats);
    cr_assert(stats.frames == 2 && stats.packets == 1 && stats.fragments_joined == 1);
    /* what is inside is a fragment as well: not joined, counted whole */
    one.bytes[34 + 4 + 14 + 6] = 0x20;
    cr_assert_not(put_in_parts(stage, &one, 32, &packet));
    slr_frame_stats(stage, &stats);
    cr_assert(stats.frames == 4 && stats.drop_fragment == 2 && slr_frame_pending(stage) == 0);
    slr_frame_close(stage);
}

Test(tunnel, cut_by_the_snap_length)
{
    struct slr_frame *stage = NULL;
    struct slr_packet packet;
    struct slr_capture_stats stats;
    const slr_wall now = {1700000000 * SLR_NS_PER_S};
    cr_assert_eq(slr_frame_open(ETH_DLT, &stage), SLR_OK);
    wrap(&one, 2);
    one.len_bytes -= 5;
    cr_assert(slr_frame_put(stage, frame_slice(&one), true, now, &packet));
    cr_assert(packet.truncated);
    one.len_bytes -= 40;
    cr_assert_not(slr_frame_put(stage, frame_slice(&one), true, now, &packet));
    slr_frame_stats(stage, &stats);
    cr_assert_eq(stats.drop_truncated, 2);
    slr_frame_close(stage);
}

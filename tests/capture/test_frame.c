/* Frames to packets: each link type end to end, and the law that every frame is counted once. */
#include "capture/frame.h"

#include <criterion/criterion.h>

#include "tests/capture/frames.h"

static struct slr_frame *stage;
static struct frame frame;
static struct slr_packet packet;
static struct slr_capture_stats stats;
static int64_t now_ns;

static void setup(void)
{
    cr_assert_eq(slr_frame_open(ETH_DLT, &stage), SLR_OK);
    now_ns = 1700000000 * SLR_NS_PER_S;
}

static void teardown(void)
{
    slr_frame_close(stage);
}

TestSuite(frame, .init = setup, .fini = teardown);

static void check_sum(void)
{
    slr_frame_stats(stage, &stats);
    cr_assert_eq(stats.frames, stats.packets + stats.fragments_joined + stats.drop_link +
                                   stats.drop_ip + stats.drop_fragment + stats.drop_transport +
                                   stats.drop_truncated + slr_frame_pending(stage));
}

static bool put_cut(size_t cut_bytes)
{
    struct slr_slice s = frame_slice(&frame);
    s.len_bytes -= cut_bytes;
    bool got = slr_frame_put(stage, s, cut_bytes > 0, (slr_wall){now_ns}, &packet);
    check_sum();
    return got;
}

static bool put(void)
{
    return put_cut(0);
}

Test(frame, udp)
{
    make_udp(&frame, 4000, 5000, 7, 172);
    cr_assert(put());
    cr_assert_eq(packet.len_bytes, 172);
    cr_assert_eq(packet.at[0], 7);
    cr_assert_eq(packet.at[171], (uint8_t)(7 + 171));
    cr_assert_eq(packet.tag, SLR_CAPTURE_NO_TAG);
    cr_assert_not(packet.tcp || packet.truncated || packet.gap);
    char text[SLR_ADDR_TEXT_SIZE];
    slr_addr_format(&packet.src, text);
    cr_assert_str_eq(text, "192.0.2.1:4000");
    slr_addr_format(&packet.dst, text);
    cr_assert_str_eq(text, "192.0.2.2:5000");
    cr_assert_eq(packet.wall.ns, now_ns);
    cr_assert_eq(packet.arrival.ns, now_ns);
    cr_assert_eq(stats.packets, 1);
    make_udp(&frame, 4000, 5000, 7, 0);
    cr_assert(put());
    cr_assert_eq(packet.len_bytes, 0);
}

Test(frame, time_never_goes_back)
{
    make_udp(&frame, 4000, 5000, 7, 20);
    cr_assert(put());
    int64_t first_ns = now_ns;
    now_ns -= 5000;
    cr_assert(put());
    cr_assert_eq(packet.wall.ns, now_ns);
    cr_assert_eq(packet.arrival.ns, first_ns);
    cr_assert_eq(stats.time_clamped, 1);
    now_ns = first_ns + 3LL * 365 * 86400 * SLR_NS_PER_S; /* years later is fine */
    cr_assert(put());
    cr_assert_eq(packet.arrival.ns, now_ns);
    cr_assert_eq(stats.time_clamped, 1);
}

Test(frame, cut_frames_are_told)
{
    make_udp(&frame, 4000, 5000, 7, 172);
    cr_assert(put_cut(100));
    cr_assert(packet.truncated);
    cr_assert_eq(packet.len_bytes, 72);
    cr_assert_eq(packet.src.port, 4000);
    cr_assert_eq(stats.packets, 0);
    cr_assert_eq(stats.drop_truncated, 1);
    for (size_t cut = 173; cut <= frame.len_bytes; cut++) {
        cr_assert_not(put_cut(cut));
    }
    cr_assert_eq(stats.drop_truncated, stats.frames);
}

Test(frame, each_drop_has_its_counter)
{
    struct slr_put p = slr_put_of(frame.bytes, sizeof frame.bytes);
    put_ethernet(&p, 0, 0, 0x0806);
    frame.len_bytes = p.len_bytes;
    cr_assert_not(put());
    cr_assert_eq(stats.drop_link, 1);

    make_udp(&frame, 1, 2, 0, 10);
    frame.bytes[14] = 0x41;
    cr_assert_not(put());
    cr_assert_eq(stats.drop_ip, 1);

    make_udp(&frame, 1, 2, 0, 10);
    frame.bytes[14 + 9] = 1; /* ICMP */
    cr_assert_not(put());
    cr_assert_eq(stats.drop_transport, 1);

    make_udp(&frame, 1, 2, 0, 10);
    frame.bytes[14 + 20 + 5] = 200; /* UDP length beyond the packet */
    cr_assert_not(put());
    cr_assert_eq(stats.drop_transport, 2);

    make_tcp(&frame, 1000, 80, 1, TCP_ACK, "GET / HTTP/1.0\r\n\r\n");
    cr_assert_not(put());
    cr_assert_eq(stats.drop_transport, 3);
    cr_assert_eq(stats.packets, 0);
}

Test(frame, fragments_over_both_versions)
{
    static uint8_t datagram[3000];
    make_datagram(datagram, sizeof datagram, 4000, 5000);
    for (int six = 0; six < 2; six++) {
        static const size_t cut[] = {0, 1480, 2960, 3000};
        for (size_t i = 3; i-- > 0;) {
            bool more = i < 2;
            if (six) {
                make_fragment6(&frame, 9, datagram, cut[i], cut[i + 1], more);
            } else {
                make_fragment(&frame, 9, datagram, cut[i], cut[i + 1], more);
            }
            cr_assert_eq(put(), i == 0);
        }
        cr_assert_eq(packet.len_bytes, 2992);
        cr_assert_eq(memcmp(packet.at, datagram + 8, 2992), 0);
        cr_assert_eq(packet.src.family, six ? 6 : 4);
        cr_assert_eq(packet.dst.port, 5000);
    }
    cr_assert_eq(stats.packets, 2);
    cr_assert_eq(stats.fragments_joined, 4);
    cr_assert_eq(slr_frame_pending(stage), 0);
}

Test(frame, fragment_cut_by_snap_length)
{
    static uint8_t datagram[3000];
    make_datagram(datagram, sizeof datagram, 4000, 5000);
    make_fragment(&frame, 9, datagram, 0, 1480, true);
    cr_assert_not(put_cut(4));
    cr_assert_eq(stats.drop_truncated, 1);
    make_fragment(&frame, 9, datagram, 1480, 3000, false);
    cr_assert_not(put());
    cr_assert_eq(slr_frame_pending(stage), 1);
    slr_frame_flush(stage);
    check_sum();
    cr_assert_eq(slr_frame_pending(stage), 0);
    cr_assert_eq(stats.drop_fragment, 1);
}

Test(frame, joined_but_useless_datagram_is_all_drop)
{
    static uint8_t datagram[2000];
    make_datagram(datagram, sizeof datagram, 4000, 5000);
    datagram[4] = 0xff; /* UDP length */
    make_fragment(&frame, 9, datagram, 0, 1480, true);
    cr_assert_not(put());
    make_fragment(&frame, 9, datagram, 1480, 2000, false);
    cr_assert_not(put());
    cr_assert_eq(stats.drop_transport, 2);
    cr_assert_eq(stats.fragments_joined, 0);
}

Test(frame, fragments_time_out_by_capture_time)
{
    static uint8_t datagram[2000];
    make_datagram(datagram, sizeof datagram, 4000, 5000);
    make_fragment(&frame, 9, datagram, 0, 1480, true);
    cr_assert_not(put());
    now_ns += 31 * SLR_NS_PER_S;
    make_fragment(&frame, 9, datagram, 1480, 2000, false);
    cr_assert_not(put());
    cr_assert_eq(stats.drop_fragment, 1);
    cr_assert_eq(slr_frame_pending(stage), 1);
}

Test(frame, tcp_in_order)
{
    make_tcp(&frame, 9000, 5060, 99, TCP_SYN, "");
    cr_assert_not(put());
    make_tcp(&frame, 9000, 5060, 104, TCP_ACK, "second");
    cr_assert_not(put());
    cr_assert_eq(slr_frame_pending(stage), 1);
    make_tcp(&frame, 9000, 5060, 100, TCP_ACK, "one ");
    now_ns += 1000;
    cr_assert(put());
    cr_assert(packet.tcp && packet.gap);
    cr_assert_eq(memcmp(packet.at, "one ", 4), 0);
    cr_assert(slr_frame_take(stage, &packet));
    check_sum();
    cr_assert(packet.tcp && !packet.gap);
    cr_assert_eq(packet.len_bytes, 6);
    cr_assert_eq(packet.arrival.ns, now_ns, "it is delivered now");
    cr_assert_eq(packet.wall.ns, now_ns - 1000, "it was captured then");
    cr_assert_eq(packet.dst.port, 5060);
    cr_assert_not(slr_frame_take(stage, &packet));
    cr_assert_eq(stats.packets, 2);
}

Test(frame, tcp_hole_at_the_end)
{
    make_tcp(&frame, 9000, 5060, 100, TCP_ACK, "a");
    cr_assert(put());
    make_tcp(&frame, 9000, 5060, 200, TCP_ACK, "b");
    cr_assert_not(put());
    slr_frame_flush(stage);
    cr_assert(slr_frame_take(stage, &packet));
    cr_assert(packet.gap);
    check_sum();
    cr_assert_eq(slr_frame_pending(stage), 0);
}

Test(frame, every_link_type)
{
    static const struct {
        int dlt;
        size_t header_bytes;
        const char *header;
    } row[] = {
        {NULL_DLT, 4, "\2\0\0\0"},
        {LOOP_DLT, 4, "\0\0\0\2"},
        {RAW_DLT, 0, ""},
        {SLL_DLT, 16, "\0\0\0\1\0\6\1\2\3\4\5\6\0\0\x08\0"},
        {SLL2_DLT, 20, "\x08\0\0\0\0\0\0\3\0\1\0\6\1\2\3\4\5\6\0\0"},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        slr_frame_close(stage);
        cr_assert_eq(slr_frame_open(row[i].dlt, &stage), SLR_OK);
        make_udp(&frame, 4000, 5000, 7, 50);
        memmove(frame.bytes + row[i].header_bytes, frame.bytes + 14, frame.len_bytes - 14);
        memcpy(frame.bytes, row[i].header, row[i].header_bytes);
        frame.len_bytes += row[i].header_bytes - 14;
        cr_assert(put(), "link type %d", row[i].dlt);
        cr_assert_eq(packet.len_bytes, 50);
    }
    slr_frame_close(stage);
    cr_assert_eq(slr_frame_open(105, &stage), SLR_UNSUPPORTED);
}

Test(frame, vlan_id)
{
    struct slr_put p = slr_put_of(frame.bytes, sizeof frame.bytes);
    put_ethernet(&p, 5, 1508, 0x86dd);
    put_ipv6(&p, 17, 8 + 4);
    put_udp(&p, 1, 2, 4);
    slr_put_u32(&p, 0xdeadbeefu);
    frame.len_bytes = p.len_bytes;
    cr_assert(put());
    cr_assert_eq(packet.vlan, 1508);
    cr_assert_eq(packet.src.family, 6);
    cr_assert_eq(packet.len_bytes, 4);
}

/* Whatever comes: random damage, order, fragments and TCP; the sum holds after every frame. */
Test(frame, a_tag_beside_the_frame_is_the_outermost)
{
    make_udp(&frame, 4000, 5000, 7, 20);
    cr_assert(
        slr_frame_put_tagged(stage, frame_slice(&frame), false, 300, (slr_wall){now_ns}, &packet));
    cr_assert_eq(packet.vlan, 300);
    struct slr_put p = slr_put_of(frame.bytes, sizeof frame.bytes);
    put_ethernet(&p, 0, 42, 0x0800);
    put_ipv4(&p, 17, 1, 0, 8);
    slr_put_bytes(&p, "\x0f\xa0\x13\x88\x00\x08\x00\x00", 8);
    frame.len_bytes = p.len_bytes;
    cr_assert(
        slr_frame_put_tagged(stage, frame_slice(&frame), false, 300, (slr_wall){now_ns}, &packet));
    cr_assert_eq(packet.vlan, 42);
    check_sum();
}

Test(frame, tcp_of_other_ports_is_dropped_where_asked)
{
    static const struct {
        uint16_t src, dst;
        bool taken;
    } rows[] = {{5060, 40000, true}, {40000, 5061, true}, {5059, 5062, false}, {80, 443, false}};
    slr_frame_tcp_ports(stage, 5060, 5061);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        make_tcp(&frame, rows[i].src, rows[i].dst, 1000, 0x18, "x");
        cr_assert_eq(put(), rows[i].taken, "%zu", i);
    }
    cr_assert_eq(stats.drop_transport, 2);
}

Test(frame, sum_holds_for_damaged_frames)
{
    static uint8_t datagram[3000];
    uint64_t x = 88172645463325252u; /* seed */
    make_datagram(datagram, sizeof datagram, 4000, 5000);
    for (int i = 0; i < 20000; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        /* thirds of the datagram; one in eight lies across two of them */
        size_t at = (x >> 8) % 3 * 1000 + ((x >> 20 & 7) == 0 ? 504 : 0);
        size_t to = at + 1000 < sizeof datagram ? at + 1000 : sizeof datagram;
        switch (x % 5) {
        case 0:
            make_udp(&frame, (uint16_t)(x >> 16), 5000, 0, x >> 32 & 255);
            break;
        case 1:
            make_fragment(&frame, x >> 40 & 63, datagram, at, to, to < sizeof datagram);
            break;
        case 2:
            make_fragment6(&frame, x >> 40 & 63, datagram, at, to, to < sizeof datagram);
            break;
        default:
            make_tcp(&frame, (uint16_t)(9000 + (x >> 40 & 15)), 5060, (uint32_t)(x >> 30 & 63),
                     (x >> 50 & 31) ? TCP_ACK : TCP_SYN, "12345678");
            break;
        }
        if ((x >> 56 & 3) == 0) {
            frame.bytes[(x >> 9) % frame.len_bytes] ^= (uint8_t)(1 << (x >> 60 & 7));
        }
        now_ns += (int64_t)(x >> 20 & 0xffffff);
        put_cut((x >> 58 & 7) == 0 ? (x >> 33) % frame.len_bytes : 0);
        while (slr_frame_take(stage, &packet)) {
            check_sum();
        }
    }
    slr_frame_flush(stage);
    while (slr_frame_take(stage, &packet)) {
        check_sum();
    }
    check_sum();
    cr_assert_eq(slr_frame_pending(stage), 0);
    cr_assert_gt(stats.packets, 1000);
    cr_assert_gt(stats.fragments_joined, 10);
    cr_assert_gt(stats.drop_fragment, 1000);
    cr_assert_gt(stats.drop_transport, 100);
    cr_assert_gt(stats.drop_truncated, 100);
    cr_assert_gt(stats.drop_ip, 10);
    cr_assert_gt(stats.drop_link, 10);
}

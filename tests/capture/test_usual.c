/* The usual frame on its short way, and what must not take it. That both ways agree on any bytes:
 * tests/fuzz/fuzz_frame.c. */
#include "capture/usual.h"

#include <criterion/criterion.h>

#include "tests/capture/frames.h"

static struct frame frame;
static struct slr_packet packet;

static bool read_frame(void)
{
    return slr_usual_read(frame_slice(&frame), &packet);
}

/* Of the usual frame one byte is another. */
static bool read_with(size_t at, uint8_t value)
{
    make_udp(&frame, 4000, 5000, 7, 172);
    frame.bytes[at] = value;
    return read_frame();
}

Test(usual, an_rtp_packet)
{
    char text[SLR_ADDR_TEXT_SIZE];
    memset(&packet, 0xee, sizeof packet);
    make_udp(&frame, 4000, 5000, 7, 172);
    cr_assert(read_frame());
    cr_assert_eq(packet.at, frame.bytes + 42);
    cr_assert_eq(packet.len_bytes, 172);
    cr_assert_eq(packet.tag, SLR_CAPTURE_NO_TAG);
    cr_assert_not(packet.tcp || packet.truncated || packet.gap || packet.drops_anywhere);
    cr_assert_eq(packet.kernel_drops, 0);
    slr_addr_format(&packet.src, text);
    cr_assert_str_eq(text, "192.0.2.1:4000");
    slr_addr_format(&packet.dst, text);
    cr_assert_str_eq(text, "192.0.2.2:5000");
}

Test(usual, an_empty_datagram_and_padding)
{
    make_udp(&frame, 1, 2, 0, 0);
    frame.len_bytes += 18; /* to the least of Ethernet */
    cr_assert(read_frame());
    cr_assert_eq(packet.len_bytes, 0);
}

Test(usual, what_is_not)
{
    cr_assert(read_with(0, 9));
    cr_assert_not(read_with(12, 0x81), "tagged");
    cr_assert_not(read_with(13, 0x06), "ARP");
    cr_assert_not(read_with(14, 0x46), "options");
    cr_assert_not(read_with(14, 0x65), "version");
    cr_assert_not(read_with(17, 199), "IP shorter than UDP");
    cr_assert_not(read_with(17, 201), "IP longer than UDP");
    cr_assert_not(read_with(17, 0), "no length");
    cr_assert(read_with(20, 0x40), "don't fragment");
    cr_assert_not(read_with(20, 0x20), "more fragments");
    cr_assert_not(read_with(21, 1), "a later fragment");
    cr_assert_not(read_with(23, 6), "TCP");
    cr_assert_not(read_with(39, 7), "UDP shorter than its header");
    make_udp(&frame, 4000, 4789, 0, 172);
    cr_assert_not(read_frame(), "VXLAN");
    make_udp(&frame, 4000, 8472, 0, 172);
    cr_assert_not(read_frame(), "VXLAN");
    make_udp(&frame, 4789, 4000, 0, 172);
    cr_assert(read_frame());
}

Test(usual, nothing_is_read_behind_the_end)
{
    make_udp(&frame, 4000, 5000, 7, 172);
    for (size_t len = 0; len < frame.len_bytes; len++) {
        cr_assert_not(slr_usual_read(slr_slice_of(frame.bytes, len), &packet), "%zu", len);
    }
}

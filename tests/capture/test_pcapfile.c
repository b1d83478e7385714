/* The pcapfile backend over files made here (pcap and pcapng), and over the shared captures. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <pcap/pcap.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "capture/capture.h"
#include "tests/capture/frames.h"

static const struct slr_capture_ops *ops;
static struct slr_capture *capture;
static struct slr_packet burst[SLR_CAPTURE_BURST];
static struct slr_capture_stats stats;
static struct frame frame;
static int file_fd;
static char file_path[64];

static void setup(void)
{
    ops = slr_capture_find("pcapfile");
    cr_assert_not_null(ops);
    cr_assert(ops->passive);
    file_fd = memfd_create("capture", 0);
    cr_assert_geq(file_fd, 0);
    snprintf(file_path, sizeof file_path, "/proc/self/fd/%d", file_fd);
}

static void teardown(void)
{
    if (capture) {
        ops->close(capture);
    }
    close(file_fd);
}

TestSuite(pcapfile, .init = setup, .fini = teardown);

static void write_bytes(const void *at, size_t len_bytes)
{
    cr_assert_eq(write(file_fd, at, len_bytes), (ssize_t)len_bytes);
}

/* pcap with nanoseconds (magic a1b23c4d), in this machine's byte order. */
static void write_head(uint32_t dlt)
{
    const uint32_t head[6] = {0xa1b23c4du, 2 | 4 << 16, 0, 0, 65535, dlt};
    write_bytes(head, sizeof head);
}

static void write_frame(uint32_t s, uint32_t ns, size_t cut_bytes)
{
    const uint32_t head[4] = {s, ns, (uint32_t)(frame.len_bytes - cut_bytes),
                              (uint32_t)frame.len_bytes};
    write_bytes(head, sizeof head);
    write_bytes(frame.bytes, frame.len_bytes - cut_bytes);
}

static enum slr_err open_file(const char *path)
{
    const struct slr_capture_config cfg = {.arg = path};
    return ops->open(&cfg, &capture);
}

static uint32_t next(void)
{
    uint32_t count = 99;
    cr_assert_eq(ops->next(capture, 0, burst, &count), SLR_OK);
    return count;
}

static void check_end(void)
{
    uint32_t count = 99;
    cr_assert_eq(ops->next(capture, 0, burst, &count), SLR_EOF);
    cr_assert_eq(count, 0);
    cr_assert_eq(ops->next(capture, 0, burst, &count), SLR_EOF, "it stays ended");
    ops->stats(capture, &stats);
    cr_assert_eq(stats.frames, stats.packets + stats.fragments_joined + stats.drop_link +
                                   stats.drop_ip + stats.drop_fragment + stats.drop_transport +
                                   stats.drop_truncated);
}

Test(pcapfile, packets_in_order_with_nanoseconds)
{
    write_head(1);
    for (uint32_t i = 0; i < 200; i++) {
        make_udp(&frame, (uint16_t)(1000 + i), 5000, (uint8_t)i, 160);
        write_frame(1700000000, 123456789 + i, 0);
    }
    cr_assert_eq(open_file(file_path), SLR_OK);
    uint32_t seen = 0;
    while (seen < 200) {
        uint32_t count = next();
        cr_assert_gt(count, 0);
        cr_assert_leq(count, SLR_CAPTURE_BURST);
        for (uint32_t i = 0; i < count; i++, seen++) {
            cr_assert_eq(burst[i].src.port, 1000 + seen);
            cr_assert_eq(burst[i].at[0], (uint8_t)seen, "bytes live as long as the burst");
            cr_assert_eq(burst[i].len_bytes, 160);
            cr_assert_eq(burst[i].wall.ns, 1700000000123456789LL + seen);
            cr_assert_eq(burst[i].arrival.ns, burst[i].wall.ns);
        }
    }
    check_end();
    cr_assert_eq(stats.packets, 200);
}

Test(pcapfile, big_datagrams_do_not_overrun_a_burst)
{
    static uint8_t datagram[65000];
    write_head(1);
    for (uint16_t k = 0; k < 40; k++) {
        make_datagram(datagram, sizeof datagram, (uint16_t)(k + 1), 5000);
        for (size_t at = 0; at < sizeof datagram; at += 32000) {
            size_t to = at + 32000 < sizeof datagram ? at + 32000 : sizeof datagram;
            make_fragment(&frame, k, datagram, at, to, to < sizeof datagram);
            write_frame(1700000000, k, 0);
        }
    }
    cr_assert_eq(open_file(file_path), SLR_OK);
    uint32_t seen = 0;
    while (seen < 40) {
        uint32_t count = next();
        cr_assert_gt(count, 0);
        for (uint32_t i = 0; i < count; i++) {
            seen++;
            cr_assert_eq(burst[i].src.port, seen);
            cr_assert_eq(burst[i].len_bytes, 64992);
            cr_assert_eq(burst[i].at[64991], (uint8_t)(64999 * 7));
        }
    }
    check_end();
    cr_assert_eq(stats.fragments_joined, 80);
}

Test(pcapfile, cut_frame_and_time_going_back)
{
    write_head(1);
    make_udp(&frame, 1, 2, 0, 100);
    write_frame(1700000010, 0, 0);
    write_frame(1700000005, 0, 30);
    cr_assert_eq(open_file(file_path), SLR_OK);
    cr_assert_eq(next(), 2);
    cr_assert_not(burst[0].truncated);
    cr_assert(burst[1].truncated);
    cr_assert_eq(burst[1].len_bytes, 70);
    cr_assert_eq(burst[1].wall.ns, 1700000005 * SLR_NS_PER_S);
    cr_assert_eq(burst[1].arrival.ns, 1700000010 * SLR_NS_PER_S);
    check_end();
    cr_assert_eq(stats.packets, 1);
    cr_assert_eq(stats.drop_truncated, 1);
    cr_assert_eq(stats.time_clamped, 1);
}

Test(pcapfile, damaged_file_gives_what_is_there)
{
    write_head(1);
    make_udp(&frame, 1, 2, 0, 100);
    write_frame(1700000000, 0, 0);
    write_frame(1700000000, 1, 0);
    cr_assert_eq(ftruncate(file_fd, 24 + 2 * 16 + 2 * (14 + 28 + 100) - 5), 0);
    cr_assert_eq(open_file(file_path), SLR_OK);
    cr_assert_eq(next(), 1);
    check_end();
    cr_assert_eq(stats.packets, 1);
    cr_assert_eq(stats.frames, 1);
}

Test(pcapfile, held_segments_come_before_the_end)
{
    write_head(1);
    make_tcp(&frame, 9000, 5060, 100, TCP_ACK, "a");
    write_frame(1700000000, 0, 0);
    for (uint32_t i = 0; i < 30; i++) {
        make_tcp(&frame, 9000, 5060, 200 + 10 * i, TCP_ACK, "b");
        write_frame(1700000000, i, 0);
    }
    cr_assert_eq(open_file(file_path), SLR_OK);
    cr_assert_eq(next(), 31);
    for (uint32_t i = 0; i < 31; i++) {
        cr_assert(burst[i].tcp && burst[i].gap);
    }
    check_end();
    cr_assert_eq(stats.packets, 31);
}

/* One block each: section header, interface (Ethernet, nanoseconds), packet. */
Test(pcapfile, pcapng)
{
    const uint32_t section[7] = {0x0a0d0d0au, 28, 0x1a2b3c4du, 1, 0xffffffffu, 0xffffffffu, 28};
    const uint32_t interface[8] = {1, 32, 1, 65535, 9 | 1 << 16, 9 /* 10^-9 s */, 0, 32};
    write_bytes(section, sizeof section);
    write_bytes(interface, sizeof interface);
    make_udp(&frame, 1, 2, 0, 102);
    cr_assert_eq(frame.len_bytes % 4, 0);
    uint64_t t = 1700000000123456789u;
    uint32_t total = 32 + (uint32_t)frame.len_bytes;
    const uint32_t head[7] = {6,
                              total,
                              0,
                              (uint32_t)(t >> 32),
                              (uint32_t)t,
                              (uint32_t)frame.len_bytes,
                              (uint32_t)frame.len_bytes};
    write_bytes(head, sizeof head);
    write_bytes(frame.bytes, frame.len_bytes);
    write_bytes(&total, 4);
    cr_assert_eq(open_file(file_path), SLR_OK);
    cr_assert_eq(next(), 1);
    cr_assert_eq(burst[0].wall.ns, (int64_t)t);
    cr_assert_eq(burst[0].len_bytes, 102);
    check_end();
}

Test(pcapfile, standard_input)
{
    write_head(1);
    make_udp(&frame, 1, 2, 0, 100);
    write_frame(1700000000, 0, 0);
    lseek(file_fd, 0, SEEK_SET);
    cr_assert_eq(dup2(file_fd, STDIN_FILENO), STDIN_FILENO);
    cr_assert_eq(open_file("-"), SLR_OK);
    cr_assert_eq(next(), 1);
    check_end();
}

Test(pcapfile, what_cannot_be_opened)
{
    cr_assert_eq(open_file(NULL), SLR_INVAL);
    cr_assert_eq(open_file("/nonexistent/x.pcap"), SLR_NOTFOUND);
    cr_assert_eq(open_file(file_path), SLR_FORMAT, "empty");
    write_bytes("this is no capture file at all, is it?", 38);
    cr_assert_eq(open_file(file_path), SLR_FORMAT);
    cr_assert_eq(ftruncate(file_fd, 0), 0);
    lseek(file_fd, 0, SEEK_SET);
    write_head(105); /* 802.11 */
    cr_assert_eq(open_file(file_path), SLR_FORMAT);
    cr_assert_null(capture);
}

Test(pcapfile, absurd_times_are_bounded)
{
    write_head(1);
    make_udp(&frame, 1, 2, 0, 100);
    write_frame(0xffffffffu, 0xffffffffu, 0);
    cr_assert_eq(open_file(file_path), SLR_OK);
    cr_assert_eq(next(), 1);
    cr_assert_geq(burst[0].wall.ns, 0);
    check_end();
}

static const char *captures_dir(void)
{
    const char *dir = getenv("SLR_CAPTURES");
    static char beside[4096];
    if (!dir) {
        /* this file is tests/capture/test_pcapfile.c of the source tree */
        snprintf(beside, sizeof beside, "%.*s../../../shared/captures",
                 (int)(strrchr(__FILE__, '/') - __FILE__ + 1), __FILE__);
        dir = beside;
    }
    return dir;
}

Test(pcapfile, shared_captures_count_every_frame)
{
    DIR *dir = opendir(captures_dir());
    if (!dir) {
        cr_skip_test("SKIPPED: no captures in %s (set SLR_CAPTURES)", captures_dir());
    }
    uint32_t files = 0;
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        char path[8192];
        if (!strstr(e->d_name, ".pcap")) {
            continue;
        }
        snprintf(path, sizeof path, "%s/%s", captures_dir(), e->d_name);
        cr_assert_eq(open_file(path), SLR_OK, "%s", path);
        uint64_t delivered = 0;
        int64_t last_ns = 0;
        uint32_t count = 0;
        while (ops->next(capture, 0, burst, &count) == SLR_OK) {
            for (uint32_t i = 0; i < count; i++) {
                cr_assert_geq(burst[i].arrival.ns, last_ns);
                last_ns = burst[i].arrival.ns;
                delivered += !burst[i].truncated;
            }
        }
        check_end();
        cr_assert_eq(stats.packets, delivered, "%s", path);
        cr_assert_gt(stats.packets, 0, "%s", path);
        printf("%s: frames %lu packets %lu joined %lu link %lu ip %lu fragment %lu transport %lu "
               "truncated %lu clamped %lu\n",
               e->d_name, stats.frames, stats.packets, stats.fragments_joined, stats.drop_link,
               stats.drop_ip, stats.drop_fragment, stats.drop_transport, stats.drop_truncated,
               stats.time_clamped);
        ops->close(capture);
        capture = NULL;
        files++;
    }
    closedir(dir);
    cr_assert_gt(files, 0);
}

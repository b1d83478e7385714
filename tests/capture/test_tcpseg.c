/* TCP ordering: start, repetition, holes, limits, time; every segment has one fate. */
#include "capture/tcpseg.h"

#include <criterion/criterion.h>

static struct slr_tcpseg *table;
static struct slr_tcpseg_segment seg;
static int64_t now_ns;
static uint16_t dst_port;

static void setup(void)
{
    const struct slr_tcpseg_config cfg = {
        .flows_max = 3, .held_max = 6, .held_per_flow_max = 4, .hole_timeout_ns = 3 * SLR_NS_PER_S};
    cr_assert_eq(slr_tcpseg_open(&cfg, &table), SLR_OK);
    now_ns = 1000 * SLR_NS_PER_S;
    dst_port = 5060;
}

static void teardown(void)
{
    slr_tcpseg_close(table);
}

TestSuite(tcpseg, .init = setup, .fini = teardown);

static enum slr_verdict put_from(uint16_t src_port, uint32_t seq, bool syn, const char *text)
{
    seg = (struct slr_tcpseg_segment){
        .src = {.ip = {1}, .port = src_port, .family = 4},
        .dst = {.ip = {2}, .port = dst_port, .family = 4},
        .tcp = {.seq = seq,
                .syn = syn,
                .payload = slr_slice_str(text),
                .length_bytes = (uint32_t)strlen(text)},
        .wall = {now_ns},
    };
    return slr_tcpseg_put(table, &seg, (slr_mono){now_ns});
}

static enum slr_verdict put(uint32_t seq, const char *text)
{
    return put_from(9000, seq, false, text);
}

static bool take(void)
{
    return slr_tcpseg_take(table, &seg);
}

static void check(const char *text, bool gap)
{
    cr_assert(slr_slice_eq(seg.tcp.payload, text), "got %.*s", (int)seg.tcp.payload.len_bytes,
              (const char *)seg.tcp.payload.at);
    cr_assert_eq(seg.gap, gap);
}

Test(tcpseg, in_order_from_syn)
{
    cr_assert_eq(put_from(9000, 99, true, ""), SLR_VERDICT_TRANSPORT);
    cr_assert_eq(put(100, "abc"), SLR_VERDICT_TAKEN);
    check("abc", true);
    cr_assert_eq(put(103, ""), SLR_VERDICT_TRANSPORT);
    cr_assert_eq(put(103, "de"), SLR_VERDICT_TAKEN);
    check("de", false);
    cr_assert_not(take());
}

Test(tcpseg, first_segment_late)
{
    cr_assert_eq(put_from(9000, 99, true, ""), SLR_VERDICT_TRANSPORT);
    cr_assert_eq(put(103, "de"), SLR_VERDICT_HELD);
    cr_assert_not(take());
    cr_assert_eq(put(100, "abc"), SLR_VERDICT_TAKEN);
    check("abc", true);
    cr_assert(take());
    check("de", false);
    cr_assert_not(take());
}

Test(tcpseg, mid_stream_start_and_repetition)
{
    cr_assert_eq(put(100, "abc"), SLR_VERDICT_TAKEN);
    check("abc", true);
    cr_assert_eq(put(100, "abc"), SLR_VERDICT_TRANSPORT);
    cr_assert_eq(put(102, "c"), SLR_VERDICT_TRANSPORT);
    cr_assert_eq(put(101, "bcde"), SLR_VERDICT_TAKEN);
    check("de", false);
    cr_assert_eq(seg.tcp.seq, 103);
}

Test(tcpseg, out_of_order_over_the_wrap)
{
    cr_assert_eq(put(0xfffffffeu, "ab"), SLR_VERDICT_TAKEN);
    cr_assert_eq(put(4, "gh"), SLR_VERDICT_HELD);
    cr_assert_eq(put(2, "ef"), SLR_VERDICT_HELD);
    cr_assert_eq(put(2, "ef"), SLR_VERDICT_TRANSPORT);
    cr_assert_eq(put(0, "cd"), SLR_VERDICT_TAKEN);
    check("cd", false);
    cr_assert(take());
    check("ef", false);
    cr_assert(take());
    check("gh", false);
    cr_assert_not(take());
    cr_assert_eq(slr_tcpseg_held(table), 0);
    cr_assert_eq(slr_tcpseg_dropped(table), 0);
}

Test(tcpseg, held_segments_are_trimmed_and_dropped)
{
    cr_assert_eq(put(100, "ab"), SLR_VERDICT_TAKEN);
    cr_assert_eq(put(104, "efg"), SLR_VERDICT_HELD);
    cr_assert_eq(put(105, "f"), SLR_VERDICT_HELD);
    cr_assert_eq(put(102, "cde"), SLR_VERDICT_TAKEN);
    check("cde", false);
    cr_assert(take());
    check("fg", false);
    cr_assert_not(take());
    cr_assert_eq(slr_tcpseg_dropped(table), 1);
    cr_assert_eq(slr_tcpseg_held(table), 0);
}

Test(tcpseg, hole_is_skipped_at_the_limit)
{
    cr_assert_eq(put(100, "ab"), SLR_VERDICT_TAKEN);
    cr_assert_eq(put(110, "1"), SLR_VERDICT_HELD);
    cr_assert_eq(put(111, "2"), SLR_VERDICT_HELD);
    cr_assert_eq(put(120, "3"), SLR_VERDICT_HELD);
    cr_assert_not(take());
    cr_assert_eq(put(121, "4"), SLR_VERDICT_HELD);
    cr_assert(take());
    check("1", true);
    cr_assert(take());
    check("2", false);
    cr_assert_not(take(), "the second hole is still waited for");
    cr_assert_eq(slr_tcpseg_held(table), 2);
}

Test(tcpseg, hole_times_out)
{
    cr_assert_eq(put(100, "ab"), SLR_VERDICT_TAKEN);
    cr_assert_eq(put(110, "1"), SLR_VERDICT_HELD);
    now_ns += 2 * SLR_NS_PER_S;
    slr_tcpseg_expire(table, (slr_mono){now_ns});
    cr_assert_not(take());
    now_ns += SLR_NS_PER_S;
    slr_tcpseg_expire(table, (slr_mono){now_ns});
    cr_assert(take());
    check("1", true);
    cr_assert_eq(put(111, "2"), SLR_VERDICT_TAKEN);
    check("2", false);
}

Test(tcpseg, flush_skips_all_holes)
{
    cr_assert_eq(put(100, "ab"), SLR_VERDICT_TAKEN);
    cr_assert_eq(put(110, "1"), SLR_VERDICT_HELD);
    cr_assert_eq(put(120, "2"), SLR_VERDICT_HELD);
    cr_assert_eq(put_from(9001, 100, false, "x"), SLR_VERDICT_TAKEN);
    cr_assert_eq(put_from(9001, 110, false, "y"), SLR_VERDICT_HELD);
    slr_tcpseg_flush(table);
    cr_assert(take());
    check("1", true);
    cr_assert(take());
    check("2", true);
    cr_assert(take());
    check("y", true);
    cr_assert_eq(seg.src.port, 9001);
    cr_assert_not(take());
    cr_assert_eq(slr_tcpseg_held(table), 0);
}

Test(tcpseg, new_connection_on_the_same_ports)
{
    cr_assert_eq(put_from(9000, 99, true, ""), SLR_VERDICT_TRANSPORT);
    cr_assert_eq(put(100, "abc"), SLR_VERDICT_TAKEN);
    cr_assert_eq(put_from(9000, 99, true, ""), SLR_VERDICT_TRANSPORT, "repeated SYN");
    cr_assert_eq(put(103, "d"), SLR_VERDICT_TAKEN);
    check("d", false);
    cr_assert_eq(put(110, "held"), SLR_VERDICT_HELD);
    cr_assert_eq(put_from(9000, 5000, true, ""), SLR_VERDICT_TRANSPORT);
    cr_assert_eq(slr_tcpseg_dropped(table), 1);
    cr_assert_eq(put(5001, "new"), SLR_VERDICT_TAKEN);
    check("new", true);
    cr_assert_eq(put(0x70000000u, "far"), SLR_VERDICT_TAKEN, "a jump without SYN");
    check("far", true);
}

Test(tcpseg, only_sip)
{
    dst_port = 80;
    cr_assert_eq(put(100, "GET / HTTP/1.1\r\n"), SLR_VERDICT_TRANSPORT);
    cr_assert_eq(put(100, "OPTIONS * HTTP/1.1\r\n"), SLR_VERDICT_TRANSPORT);
    cr_assert_eq(put_from(9000, 99, true, ""), SLR_VERDICT_TRANSPORT);
    cr_assert_eq(put(100, "INVITE SIPS:a@b SIP/2.0\r\n"), SLR_VERDICT_TAKEN);
    cr_assert_eq(put(125, "more"), SLR_VERDICT_TAKEN, "the flow is known now");
    cr_assert_eq(put_from(9001, 1, false, "SIP/2.0 200 OK\r\n"), SLR_VERDICT_TAKEN);
}

Test(tcpseg, segment_cut_by_snap_length)
{
    cr_assert_eq(put(100, "ab"), SLR_VERDICT_TAKEN);
    cr_assert_eq(put(112, "later"), SLR_VERDICT_HELD);
    seg.tcp =
        (struct slr_ip_transport){.seq = 102, .payload = slr_slice_str("cut"), .length_bytes = 10};
    cr_assert_eq(slr_tcpseg_put(table, &seg, (slr_mono){now_ns}), SLR_VERDICT_TRUNCATED);
    cr_assert(take());
    check("later", true);
}

Test(tcpseg, quietest_flow_gives_way)
{
    for (uint16_t port = 9001; port <= 9003; port++) {
        now_ns++;
        cr_assert_eq(put_from(port, 100, false, "a"), SLR_VERDICT_TAKEN);
    }
    cr_assert_eq(put_from(9001, 200, false, "held"), SLR_VERDICT_HELD);
    now_ns++;
    cr_assert_eq(put_from(9002, 101, false, "b"), SLR_VERDICT_TAKEN);
    cr_assert_eq(put_from(9003, 101, false, "b"), SLR_VERDICT_TAKEN);
    now_ns++;
    cr_assert_eq(put_from(9004, 100, false, "a"), SLR_VERDICT_TAKEN);
    cr_assert_eq(slr_tcpseg_dropped(table), 1);
    cr_assert_eq(put_from(9002, 102, false, "c"), SLR_VERDICT_TAKEN);
    check("c", false);
    cr_assert_eq(slr_tcpseg_held(table), 0);
}

Test(tcpseg, rows_run_out_over_flows)
{
    for (uint16_t port = 9001; port <= 9002; port++) {
        cr_assert_eq(put_from(port, 100, false, "a"), SLR_VERDICT_TAKEN);
        for (uint32_t i = 0; i < 3; i++) {
            cr_assert_eq(put_from(port, 110 + i * 10, false, "h"), SLR_VERDICT_HELD);
        }
    }
    cr_assert(take(), "the last row is given back at once");
    cr_assert_eq(seg.src.port, 9002);
    check("h", true);
    cr_assert_not(take());
    cr_assert_eq(slr_tcpseg_held(table), 5);
}

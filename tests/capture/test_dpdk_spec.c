/* What may stand behind `--capture dpdk:`, and what DPDK's EAL is told. */
#include "capture/dpdk_spec.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct slr_dpdk_spec spec;
static struct slr_dpdk_args args;
static char line[4096];

static bool good(const char *text)
{
    return slr_dpdk_spec_parse(text, &spec) == SLR_OK;
}

/* The arguments as one line. */
static const char *told(const char *text, bool huge_pages)
{
    const struct slr_dpdk_host host = {.huge_pages = huge_pages, .cpus = "0-1"};
    cr_assert(good(text), "%s", text);
    cr_assert_eq(slr_dpdk_args_make(&spec, &host, &args), SLR_OK);
    line[0] = '\0';
    for (uint32_t i = 0; i < args.count; i++) {
        size_t used = strlen(line);
        snprintf(line + used, sizeof line - used, "%s%s", i ? " " : "", args.argv[i]);
    }
    cr_assert_null(args.argv[args.count]);
    return line;
}

Test(dpdk_spec, a_device_alone)
{
    cr_assert(good("0000:3b:00.1"));
    cr_assert_str_eq(spec.device, "0000:3b:00.1");
    cr_assert_not(slr_dpdk_spec_is_virtual(&spec));
    cr_assert_eq(spec.queues, 1);
    cr_assert_eq(spec.mbufs, 4 * SLR_DPDK_RING);
    cr_assert_eq(spec.ring, SLR_DPDK_RING);
    cr_assert_eq(spec.memory_mb, 0);
    cr_assert_eq(spec.tcp_lo, 5060);
    cr_assert_eq(spec.tcp_hi, 5060);
    cr_assert_eq(spec.eal_count, 0);
    cr_assert_not(spec.spin);
}

Test(dpdk_spec, a_device_keeps_its_commas)
{
    cr_assert(good("net_pcap0,rx_pcap=a\\b.pcap,infinite_rx=1,spin"));
    cr_assert_str_eq(spec.device, "net_pcap0,rx_pcap=a\\b.pcap,infinite_rx=1,spin");
    cr_assert(slr_dpdk_spec_is_virtual(&spec));
    cr_assert_not(spec.spin, "that is the device's own");
}

Test(dpdk_spec, options_come_first)
{
    cr_assert(good("tcp=5060-5090,spin,queues=4,mem=512,mbufs=65536,ring=512,"
                   "eal=--socket-mem=512\\,0,eal=-d,eal=a\\\\b,3b:00.1,mprq_en=1"));
    cr_assert_str_eq(spec.device, "3b:00.1,mprq_en=1");
    cr_assert_eq(spec.tcp_lo, 5060);
    cr_assert_eq(spec.tcp_hi, 5090);
    cr_assert_eq(spec.queues, 4);
    cr_assert_eq(spec.memory_mb, 512);
    cr_assert_eq(spec.mbufs, 65536);
    cr_assert_eq(spec.ring, 512);
    cr_assert(spec.spin);
    cr_assert_eq(spec.eal_count, 3);
    cr_assert_str_eq(spec.eal[0], "--socket-mem=512,0");
    cr_assert_str_eq(spec.eal[1], "-d");
    cr_assert_str_eq(spec.eal[2], "a\\b");
}

Test(dpdk_spec, frames_for_all_rings)
{
    cr_assert(good("queues=3,ring=1024,a:b"));
    cr_assert_eq(spec.mbufs, 4 * 3 * 1024);
    cr_assert(good("queues=2,ring=256,mbufs=1024,a:b"));
}

Test(dpdk_spec, anything_else_is_refused)
{
    static const char *const bad[] = {"",
                                      "spin",
                                      "spin,",
                                      ",net_ring0",
                                      "spinn,0000:3b:00.1",
                                      "eth1",
                                      "net_",
                                      "net_,iface=x",
                                      "queues=0,a:b.c",
                                      "queues=17,a:b.c",
                                      "mem=1,a:b",
                                      "mbufs=10,a:b",
                                      "mbufs=4200,a:b",
                                      "ring=65536,a:b",
                                      "tcp=0,a:b",
                                      "tcp=9-8,a:b",
                                      "tcp=-,a:b",
                                      "eal=,a:b",
                                      "eal=--no-huge",
                                      "queues=x,a:b",
                                      "qeues=2,a:b",
                                      "tcp,a:b",
                                      "spin=1,a:b",
                                      "queues,a:b",
                                      "mem=1048577,a:b"};
    static char long_text[SLR_DPDK_TEXT_SIZE + 16];
    cr_assert_not(good(NULL));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_not(good(bad[i]), "%s", bad[i]);
    }
    memset(long_text, 'x', sizeof long_text - 1);
    memcpy(long_text, "net_", 4);
    cr_assert_not(good(long_text));
    long_text[SLR_DPDK_TEXT_SIZE - 1] = '\0';
    cr_assert(good(long_text));
}

Test(dpdk_spec, no_more_words_than_there_is_room_for)
{
    char text[SLR_DPDK_TEXT_SIZE] = "";
    for (uint32_t i = 0; i < SLR_DPDK_EAL_MAX; i++) {
        memcpy(text + strlen(text), "eal=-v,", 8);
    }
    memcpy(text + strlen(text), "net_ring0", 10);
    cr_assert(good(text));
    cr_assert_not_null(told(text, false));
    memmove(text + 7, text, strlen(text) + 1);
    cr_assert_not(good(text));
}

Test(dpdk_spec, nothing_is_asked_of_a_machine_without_huge_pages)
{
    cr_assert_str_eq(told("net_ring0", false),
                     "slr --lcores=0@(0-1) --no-telemetry --no-shconf --no-huge -m 132 --no-pci "
                     "--vdev=net_ring0");
    cr_assert_str_eq(told("mem=99,net_ring0", false),
                     "slr --lcores=0@(0-1) --no-telemetry --no-shconf --no-huge -m 99 --no-pci "
                     "--vdev=net_ring0");
}

Test(dpdk_spec, huge_pages_are_taken_as_they_are_needed)
{
    cr_assert_str_eq(told("3b:00.1,a=b", true),
                     "slr --lcores=0@(0-1) --no-telemetry --in-memory --allow=3b:00.1,a=b");
    cr_assert_str_eq(told("mem=256,3b:00.1", true),
                     "slr --lcores=0@(0-1) --no-telemetry --in-memory -m 256 --allow=3b:00.1");
}

Test(dpdk_spec, what_the_operator_says_himself_stands)
{
    cr_assert_str_eq(told("eal=-l,eal=1,eal=--no-huge,eal=-m64,eal=--telemetry,net_null0", true),
                     "slr --no-shconf --no-pci --vdev=net_null0 -l 1 --no-huge -m64 --telemetry");
    cr_assert_str_eq(told("eal=--lcores=0@3,eal=--file-prefix=x,eal=--socket-mem=9\\,9,eal=-a,"
                          "eal=1:2.3,net_null0",
                          false),
                     "slr --no-telemetry --no-huge --vdev=net_null0 --lcores=0@3 --file-prefix=x "
                     "--socket-mem=9,9 -a 1:2.3");
}

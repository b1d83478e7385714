/* What may stand behind `--capture packet:`. */
#include "capture/packet_spec.h"

#include <criterion/criterion.h>
#include <string.h>

static struct slr_packet_spec spec;

static bool good(const char *text)
{
    return slr_packet_spec_parse(text, &spec) == SLR_OK;
}

Test(packet_spec, an_interface_alone)
{
    cr_assert(good("eth1"));
    cr_assert_str_eq(spec.interface, "eth1");
    cr_assert_eq(spec.ring_mb, SLR_PACKET_RING_MB);
    cr_assert_eq(spec.tcp_lo, 5060);
    cr_assert_eq(spec.tcp_hi, 5060);
    cr_assert_not(spec.own);
}

Test(packet_spec, options_in_any_order)
{
    cr_assert(good("br-span.100,own,tcp=5060-5090,ring=512"));
    cr_assert_str_eq(spec.interface, "br-span.100");
    cr_assert_eq(spec.ring_mb, 512);
    cr_assert_eq(spec.tcp_lo, 5060);
    cr_assert_eq(spec.tcp_hi, 5090);
    cr_assert(spec.own);
    cr_assert(good("eth1,tcp=80"));
    cr_assert_eq(spec.tcp_lo, 80);
    cr_assert_eq(spec.tcp_hi, 80);
}

Test(packet_spec, anything_else_is_refused)
{
    static const char *const bad[] = {"",
                                      ",own",
                                      "sixteen-letters-",
                                      "eth1,ring",
                                      "eth1,ring=",
                                      "eth1,ring=0",
                                      "eth1,ring=4096",
                                      "eth1,tcp=0",
                                      "eth1,tcp=65536",
                                      "eth1,tcp=9-8",
                                      "eth1,tcp=-",
                                      "eth1,owner",
                                      "eth1,own=1",
                                      "eth1,,own",
                                      "eth1,own ",
                                      "eth1,ring=1x"};
    cr_assert_not(good(NULL));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_not(good(bad[i]), "%s", bad[i]);
    }
    cr_assert(good("fifteen-letters"));
    cr_assert_eq(strlen(spec.interface), 15);
}

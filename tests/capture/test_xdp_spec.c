/* The words behind --capture xdp: */
#include <criterion/criterion.h>

#include "capture/xdp_spec.h"

Test(xdp_spec, good)
{
    struct slr_xdp_spec s;
    cr_assert_eq(slr_xdp_spec_parse(NULL, &s), SLR_OK);
    cr_assert_eq(s.interface_count, 0u);
    cr_assert_eq(s.attach, SLR_XDP_EITHER);
    cr_assert_eq(s.slots, SLR_XDP_SLOTS);
    cr_assert_eq(slr_xdp_spec_parse("", &s), SLR_OK);
    cr_assert_eq(slr_xdp_spec_parse("eth0,bond0.100,skb,slots=64", &s), SLR_OK);
    cr_assert_eq(s.interface_count, 2u);
    cr_assert_str_eq(s.interface[0], "eth0");
    cr_assert_str_eq(s.interface[1], "bond0.100");
    cr_assert_eq(s.attach, SLR_XDP_SKB);
    cr_assert_eq(s.slots, 64u);
    cr_assert_eq(slr_xdp_spec_parse("native", &s), SLR_OK);
    cr_assert_eq(s.attach, SLR_XDP_NATIVE);
    cr_assert_eq(s.interface_count, 0u);
    cr_assert_eq(slr_xdp_spec_parse("a,b,c,d,e,f,g,h", &s), SLR_OK);
    cr_assert_eq(s.interface_count, SLR_XDP_INTERFACES);
}

Test(xdp_spec, bad)
{
    static const char *const bad[] = {
        ",",        "eth0,",           ",eth0",    "eth0,,eth1",
        "slots=",   "slots=4",         "slots=33", "slots=1024",
        "slots=x",  "ring=5",          "skb=1",    "a,b,c,d,e,f,g,h,i",
        "slots=-8", "slots=8 ",        "slots=0",  "an-interface-too-long",
        "slots=8x", "slots=4294967304"};
    struct slr_xdp_spec s;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_eq(slr_xdp_spec_parse(bad[i], &s), SLR_INVAL, "%s", bad[i]);
    }
}

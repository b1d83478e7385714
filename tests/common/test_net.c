/* net: address text in and out, sockaddr, CIDR. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#include "common/net.h"

static struct slr_addr addr(const char *text)
{
    struct slr_addr a = {0};
    cr_assert_eq(slr_addr_parse(text, &a), SLR_OK, "%s", text);
    return a;
}

static void check_text(const char *in, const char *with_port, const char *ip)
{
    char out[SLR_ADDR_TEXT_SIZE];
    struct slr_addr a = addr(in);

    slr_addr_format(&a, out);
    cr_assert_str_eq(out, with_port);
    slr_addr_format_ip(&a, out);
    cr_assert_str_eq(out, ip);
}

Test(net, text_both_ways)
{
    check_text("192.0.2.1:5060", "192.0.2.1:5060", "192.0.2.1");
    check_text("192.0.2.1", "192.0.2.1", "192.0.2.1");
    check_text("[2001:db8::1]:5060", "[2001:db8::1]:5060", "2001:db8::1");
    check_text("2001:db8::1", "2001:db8::1", "2001:db8::1");
    check_text("[::1]", "::1", "::1");
    check_text("[::ffff:192.0.2.1]:7", "192.0.2.1:7", "192.0.2.1");
    check_text("[1111:2222:3333:4444:5555:6666:7777:8888]:65535",
               "[1111:2222:3333:4444:5555:6666:7777:8888]:65535",
               "1111:2222:3333:4444:5555:6666:7777:8888");
}

Test(net, none_is_empty_text)
{
    struct slr_addr none = {.port = 7};
    char out[SLR_ADDR_TEXT_SIZE] = "x";

    slr_addr_format(&none, out);
    cr_assert_str_eq(out, "");
}

Test(net, refuses_what_is_no_literal)
{
    const char *bad[] = {"",           "localhost",     "192.0.2.1:",      "192.0.2.1:65536",
                         "192.0.2",    "192.0.2.1:+1",  "[192.0.2.1]:1",   "[::1",
                         "[::1]x",     "[::1]:",        ":5060",           "::1]:3",
                         "192.0.2.1 ", "192.0.2.256:1", "fe80::1%eth0",    "1:2:3:4:5:6:7:8:9",
                         "[]:1",       "192.0.2.1:1x",  "192.0.2.1:00001x"};
    struct slr_addr a = {.port = 9};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_eq(slr_addr_parse(bad[i], &a), SLR_FORMAT, "%s", bad[i]);
        cr_assert_eq(slr_addr_parse_port(bad[i], &a), SLR_FORMAT, "%s", bad[i]);
    }
    cr_assert_eq(slr_addr_parse(NULL, &a), SLR_INVAL);
    cr_assert_eq(a.port, 9, "a failure leaves the result as it was");
}

Test(net, where_a_port_is_needed)
{
    const char *bad[] = {"192.0.2.1", "[::1]", "::1"};
    struct slr_addr a = {.port = 9};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_eq(slr_addr_parse_port(bad[i], &a), SLR_FORMAT, "%s", bad[i]);
    }
    cr_assert_eq(slr_addr_parse_port("192.0.2.1:5060", &a), SLR_OK);
    cr_assert_eq(a.port, 5060);
    cr_assert_eq(slr_addr_parse_port("[::1]:0", &a), SLR_OK);
    cr_assert_eq(a.port, 0);
}

Test(net, comparison)
{
    struct slr_addr a = addr("192.0.2.1:5060"), b = addr("192.0.2.1:5061");

    cr_assert(slr_addr_eq(&a, &a));
    cr_assert_not(slr_addr_eq(&a, &b));
    cr_assert(slr_addr_eq_ip(&a, &b));
    struct slr_addr six = addr("c000:201::"); /* the same first bytes as 192.0.2.1 */
    cr_assert_not(slr_addr_eq_ip(&a, &six));
}

Test(net, kinds)
{
    struct slr_addr a;

    a = addr("127.9.9.9");
    cr_assert(slr_addr_is_loopback(&a));
    a = addr("::1");
    cr_assert(slr_addr_is_loopback(&a));
    a = addr("::2");
    cr_assert_not(slr_addr_is_loopback(&a));
    a = addr("0.0.0.0:5060");
    cr_assert(slr_addr_is_any(&a));
    a = addr("::");
    cr_assert(slr_addr_is_any(&a));
    a = addr("128.0.0.0");
    cr_assert_not(slr_addr_is_any(&a));
    a = (struct slr_addr){0};
    cr_assert_not(slr_addr_is_any(&a));
    cr_assert_not(slr_addr_is_loopback(&a));
}

static void check_sockaddr(const char *text, socklen_t want)
{
    struct slr_addr a = addr(text), b;
    struct sockaddr_storage ss;

    cr_assert_eq(slr_addr_to_sockaddr(&a, &ss), want);
    cr_assert(slr_addr_from_sockaddr((struct sockaddr *)&ss, &b));
    cr_assert(slr_addr_eq(&a, &b), "%s", text);
}

Test(net, sockaddr_both_ways)
{
    check_sockaddr("192.0.2.1:5060", sizeof(struct sockaddr_in));
    check_sockaddr("[2001:db8::1]:5060", sizeof(struct sockaddr_in6));
}

Test(net, sockaddr_details)
{
    struct slr_addr a = addr("192.0.2.1:258");
    struct sockaddr_storage ss;

    slr_addr_to_sockaddr(&a, &ss);
    const struct sockaddr_in *in = (const struct sockaddr_in *)&ss;
    cr_assert_eq(in->sin_port, htons(258));
    cr_assert_eq(in->sin_addr.s_addr, htonl(0xc0000201));

    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(1)};
    cr_assert_eq(inet_pton(AF_INET6, "::ffff:10.1.2.3", &in6.sin6_addr), 1);
    cr_assert(slr_addr_from_sockaddr((struct sockaddr *)&in6, &a));
    struct slr_addr want = addr("10.1.2.3:1");
    cr_assert(slr_addr_eq(&a, &want), "a mapped address is the IPv4 address");

    struct sockaddr_un un = {.sun_family = AF_UNIX};
    cr_assert_not(slr_addr_from_sockaddr((struct sockaddr *)&un, &a));
    a = (struct slr_addr){0};
    cr_assert_eq(slr_addr_to_sockaddr(&a, &ss), 0);
}

static bool has(const char *cidr, const char *ip)
{
    struct slr_cidr c;
    struct slr_addr a = addr(ip);
    cr_assert_eq(slr_cidr_parse(cidr, &c), SLR_OK, "%s", cidr);
    return slr_cidr_has(&c, &a);
}

Test(net, cidr)
{
    cr_assert(has("10.0.0.0/8", "10.255.1.2:9"));
    cr_assert_not(has("10.0.0.0/8", "11.0.0.0"));
    cr_assert(has("10.1.2.3/8", "10.0.0.0"), "host bits of the base do not count");
    cr_assert(has("192.0.2.128/25", "192.0.2.255"));
    cr_assert_not(has("192.0.2.128/25", "192.0.2.127"));
    cr_assert(has("192.0.2.7", "192.0.2.7"));
    cr_assert_not(has("192.0.2.7", "192.0.2.6"));
    cr_assert(has("0.0.0.0/0", "203.0.113.1"));
    cr_assert_not(has("0.0.0.0/0", "::1"), "families do not mix");
    cr_assert(has("::1/128", "::1"));
    cr_assert(has("2001:db8::/33", "2001:db8:7fff::1"));
    cr_assert_not(has("2001:db8::/33", "2001:db8:8000::1"));
    cr_assert(has("::ffff:10.0.0.0/104", "10.9.9.9"));
}

Test(net, cidr_refuses)
{
    const char *bad[] = {"",        "10.0.0.0/33",       "10.0.0.0/", "10.0.0/8",
                         "::1/129", "10.0.0.0/8/8",      "/8",        "10.0.0.0/-1",
                         "x/8",     "::ffff:10.0.0.0/95"};
    struct slr_cidr c;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_eq(slr_cidr_parse(bad[i], &c), SLR_FORMAT, "%s", bad[i]);
    }
}

/*
 * net: socket addresses as text and as sockaddr, CIDR lists. Pure, any thread, allocates nothing.
 */
#include "common/net.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "common/slice.h"

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/* One form for one host: ::ffff:192.0.2.1 is 192.0.2.1. */
static void set_ip6(struct slr_addr *a, const uint8_t ip[static 16])
{
    if (memcmp(ip, mapped_prefix, sizeof mapped_prefix) == 0) {
        a->family = 4;
        memset(a->ip, 0, sizeof a->ip);
        memcpy(a->ip, ip + 12, 4);
    } else {
        a->family = 6;
        memcpy(a->ip, ip, 16);
    }
}

static bool parse_ip(struct slr_slice s, bool v6, struct slr_addr *out)
{
    char text[INET6_ADDRSTRLEN];
    uint8_t ip[16];

    if (!slr_slice_to_str(s, text, sizeof text)) {
        return false;
    }
    *out = (struct slr_addr){.family = 4};
    if (!v6) {
        return inet_pton(AF_INET, text, out->ip) == 1;
    }
    if (inet_pton(AF_INET6, text, ip) != 1) {
        return false;
    }
    set_ip6(out, ip);
    return true;
}

static bool parse_port(struct slr_slice s, uint16_t *port)
{
    uint64_t value;
    if (s.len_bytes > 5 || !slr_slice_to_u64(s, UINT16_MAX, &value)) {
        return false;
    }
    *port = (uint16_t)value;
    return true;
}

static enum slr_err parse(const char *text, bool with_port, struct slr_addr *out)
{
    struct slr_slice ip, port = {NULL, 0}, s;
    struct slr_addr a;
    bool v6 = false, has_port = false;

    if (!text) {
        return SLR_INVAL;
    }
    s = slr_slice_str(text);
    if (text[0] == '[') {
        v6 = true;
        if (!slr_slice_skip(&s, 1) || !memchr(s.at, ']', s.len_bytes) ||
            !slr_slice_take_token(&s, ']', &ip)) {
            return SLR_FORMAT;
        }
        has_port = s.len_bytes > 0;
        if (has_port && s.at[0] != ':') {
            return SLR_FORMAT;
        }
        port = has_port ? slr_slice_of(s.at + 1, s.len_bytes - 1) : s;
    } else if (strchr(text, ':') != strrchr(text, ':')) {
        v6 = true;
        ip = s;
    } else {
        has_port = strchr(text, ':') != NULL;
        if (!slr_slice_take_token(&s, ':', &ip)) {
            return SLR_FORMAT;
        }
        port = s;
    }
    if (!parse_ip(ip, v6, &a) || (has_port ? !parse_port(port, &a.port) : with_port)) {
        return SLR_FORMAT;
    }
    *out = a;
    return SLR_OK;
}

enum slr_err slr_addr_parse(const char *text, struct slr_addr *out)
{
    return parse(text, false, out);
}

enum slr_err slr_addr_parse_port(const char *text, struct slr_addr *out)
{
    return parse(text, true, out);
}

void slr_addr_format_ip(const struct slr_addr *a, char out[static SLR_ADDR_TEXT_SIZE])
{
    out[0] = '\0';
    if (a->family == 4) {
        inet_ntop(AF_INET, a->ip, out, SLR_ADDR_TEXT_SIZE);
    } else if (a->family == 6) {
        inet_ntop(AF_INET6, a->ip, out, SLR_ADDR_TEXT_SIZE);
    }
}

void slr_addr_format(const struct slr_addr *a, char out[static SLR_ADDR_TEXT_SIZE])
{
    char ip[SLR_ADDR_TEXT_SIZE];

    slr_addr_format_ip(a, ip);
    if (a->port == 0 || a->family == 0) {
        memcpy(out, ip, sizeof ip);
        return;
    }
    struct slr_put p = slr_put_of(out, SLR_ADDR_TEXT_SIZE);
    slr_put_fmt(&p, a->family == 6 ? "[%s]:%u" : "%s:%u", ip, (unsigned)a->port);
    out[p.len_bytes] = '\0';
}

bool slr_addr_is_loopback(const struct slr_addr *a)
{
    static const uint8_t loopback6[16] = {[15] = 1};
    if (a->family == 4) {
        return a->ip[0] == 127;
    }
    return a->family == 6 && memcmp(a->ip, loopback6, 16) == 0;
}

bool slr_addr_is_any(const struct slr_addr *a)
{
    static const uint8_t zero[16];
    return a->family != 0 && memcmp(a->ip, zero, a->family == 4 ? 4 : 16) == 0;
}

socklen_t slr_addr_to_sockaddr(const struct slr_addr *a, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof *out);
    if (a->family == 4) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(a->port)};
        memcpy(&in.sin_addr, a->ip, 4);
        memcpy(out, &in, sizeof in);
        return sizeof in;
    }
    if (a->family == 6) {
        struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(a->port)};
        memcpy(&in6.sin6_addr, a->ip, 16);
        memcpy(out, &in6, sizeof in6);
        return sizeof in6;
    }
    return 0;
}

bool slr_addr_from_sockaddr(const struct sockaddr *sa, struct slr_addr *out)
{
    /* Copies rather than casts: the caller's sockaddr may be aligned for bytes only. */
    sa_family_t family;
    memcpy(&family, &sa->sa_family, sizeof family);
    if (family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof in);
        *out = (struct slr_addr){.family = 4, .port = ntohs(in.sin_port)};
        memcpy(out->ip, &in.sin_addr, 4);
        return true;
    }
    if (family == AF_INET6) {
        struct sockaddr_in6 in6;
        uint8_t ip[16];
        memcpy(&in6, sa, sizeof in6);
        memcpy(ip, &in6.sin6_addr, sizeof ip);
        *out = (struct slr_addr){.port = ntohs(in6.sin6_port)};
        set_ip6(out, ip);
        return true;
    }
    return false;
}

static void mask_ip(uint8_t ip[static 16], unsigned prefix_bits)
{
    for (unsigned i = 0; i < 16; i++) {
        if (prefix_bits >= 8) {
            prefix_bits -= 8;
        } else {
            ip[i] &= (uint8_t)(0xff00U >> prefix_bits);
            prefix_bits = 0;
        }
    }
}

enum slr_err slr_cidr_parse(const char *text, struct slr_cidr *out)
{
    struct slr_cidr c = {0};
    struct slr_slice s, ip;
    uint64_t bits;

    if (!text) {
        return SLR_INVAL;
    }
    bool v6 = strchr(text, ':') != NULL, has_bits = strchr(text, '/') != NULL;
    s = slr_slice_str(text);
    if (!slr_slice_take_token(&s, '/', &ip) || !parse_ip(ip, v6, &c.base)) {
        return SLR_FORMAT;
    }
    bits = v6 ? 128 : 32;
    if (has_bits && (s.len_bytes > 3 || !slr_slice_to_u64(s, bits, &bits))) {
        return SLR_FORMAT;
    }
    if (v6 && c.base.family == 4) { /* an IPv4-mapped base: the first 96 bits are the mapping */
        if (bits < 96) {
            return SLR_FORMAT;
        }
        bits -= 96;
    }
    c.prefix_bits = (uint8_t)bits;
    mask_ip(c.base.ip, c.prefix_bits);
    *out = c;
    return SLR_OK;
}

bool slr_cidr_has(const struct slr_cidr *c, const struct slr_addr *a)
{
    uint8_t ip[16];
    if (a->family == 0 || c->base.family != a->family) {
        return false;
    }
    memcpy(ip, a->ip, sizeof ip);
    mask_ip(ip, c->prefix_bits);
    return memcmp(ip, c->base.ip, sizeof ip) == 0;
}

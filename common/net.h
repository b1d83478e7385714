/*
 * net: one socket address type for IPv4 and IPv6, text in and out, and CIDR lists.
 * Pure, any thread, allocates nothing.
 */
#ifndef SLR_COMMON_NET_H
#define SLR_COMMON_NET_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "common/err.h"

/* family: 4, 6 or 0 (none). ip: network order, IPv4 in the first four bytes, rest zero. */
struct slr_addr {
    uint8_t ip[16];
    uint16_t port; /* host order */
    uint8_t family;
    uint8_t pad;
};

#define SLR_ADDR_TEXT_SIZE 64

/* "192.0.2.1:5060", "[2001:db8::1]:5060"; also without a port (port 0). IP literals only. */
enum slr_err slr_addr_parse(const char *text, struct slr_addr *out) SLR_CHECKED;
/* The same where a port has to be named, be it 0. */
enum slr_err slr_addr_parse_port(const char *text, struct slr_addr *out) SLR_CHECKED;
/* With port unless it is 0. */
void slr_addr_format(const struct slr_addr *a, char out[static SLR_ADDR_TEXT_SIZE]);
/* IP only, never brackets or port. */
void slr_addr_format_ip(const struct slr_addr *a, char out[static SLR_ADDR_TEXT_SIZE]);
/* Are asked for every packet. */
static inline bool slr_addr_eq_ip(const struct slr_addr *a, const struct slr_addr *b)
{
    uint64_t x[2];
    uint64_t y[2];
    memcpy(x, a->ip, sizeof x);
    memcpy(y, b->ip, sizeof y);
    return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0 && a->family == b->family;
}

static inline bool slr_addr_eq(const struct slr_addr *a, const struct slr_addr *b)
{
    return a->port == b->port && slr_addr_eq_ip(a, b);
}

bool slr_addr_is_loopback(const struct slr_addr *a);
bool slr_addr_is_any(const struct slr_addr *a);

socklen_t slr_addr_to_sockaddr(const struct slr_addr *a, struct sockaddr_storage *out);
/* False for any family but AF_INET and AF_INET6. IPv4-mapped IPv6 becomes IPv4. */
bool slr_addr_from_sockaddr(const struct sockaddr *sa, struct slr_addr *out);

struct slr_cidr {
    struct slr_addr base;
    uint8_t prefix_bits;
};
/* "10.0.0.0/8", "::1/128", "192.0.2.7" (a single host). */
enum slr_err slr_cidr_parse(const char *text, struct slr_cidr *out) SLR_CHECKED;
bool slr_cidr_has(const struct slr_cidr *c, const struct slr_addr *a);

#endif

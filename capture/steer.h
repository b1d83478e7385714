/*
 * steer: a BPF program of type sk_lookup that hands the datagrams of single UDP ports to a few
 * sockets, in this network namespace.
 *
 * It asks a table of 65,536 bytes for each local address that names the socket of every port, 0:
 * none, which this process maps and writes; a datagram to any other address or port goes its usual
 * way. It is attached by a link that ends with its descriptor: whatever happens to the process,
 * nothing is steered after its death. The program is some forty instructions, put together here for
 * the addresses given, so that neither a BPF compiler nor a loader is needed.
 * Needs CAP_BPF and CAP_NET_ADMIN, and Linux 5.9. Owned by one thread; allocates at open only.
 */
#ifndef SLR_CAPTURE_STEER_H
#define SLR_CAPTURE_STEER_H

#include <stdint.h>

#include "common/err.h"
#include "common/net.h"

#define SLR_STEER_IPS 8u
#define SLR_STEER_SOCKETS 8u
#define SLR_STEER_NONE UINT32_MAX

struct slr_steer; /* opaque */

/*
 * ip: local addresses, ports ignored, no wildcards. fd: bound UDP sockets, numbered as given; one
 * must be of the family of what it is to receive. Nothing is steered yet. SLR_UNSUPPORTED with a
 * log event: this machine refuses it. SLR_INVAL: too many of them, or a wildcard.
 */
enum slr_err slr_steer_open(const struct slr_addr *ip, uint32_t ip_count, const int *fd,
                            uint32_t fd_count, struct slr_steer **out) SLR_CHECKED;
/* NULL is allowed. */
void slr_steer_close(struct slr_steer *s);

/* Which of the addresses it is, SLR_STEER_NONE: none. */
uint32_t slr_steer_ip(const struct slr_steer *s, const struct slr_addr *ip);

/* From now on datagrams to this port of address number `ip` go to the socket; SLR_STEER_NONE: to
 * nobody of ours. Those on their way still go where they went before. */
void slr_steer_port(struct slr_steer *s, uint32_t ip, uint16_t port, uint32_t socket);

#endif

/*
 * xdp_plane: the maps that the XDP programs (xdp_program.h) of all workers of this process share,
 * and the programs on their interfaces.
 *
 * The first worker's backend makes it, the others join; each has a list and rings of its own. A
 * program is attached by a link, which ends with its descriptor: whatever happens to the process,
 * after its death packets go their usual way. Opened, joined and left by one thread at a time;
 * its memory is the backends' as said below. Allocates at open only.
 */
#ifndef SLR_CAPTURE_XDP_PLANE_H
#define SLR_CAPTURE_XDP_PLANE_H

#include <stdbool.h>
#include <stdint.h>

#include "capture/xdp_program.h"
#include "capture/xdp_spec.h"
#include "common/err.h"

struct slr_xdp_plane; /* opaque */

/* One program, for an interface that there need not be. */
struct slr_xdp_test {
    uint8_t mac[6];
    uint16_t vlan[SLR_XDP_IPS]; /* by address */
};

struct slr_xdp_plane_config {
    const struct slr_addr *ip; /* local addresses, no wildcards */
    uint32_t ip_count;
    uint32_t readers;                /* that will join, the first included */
    uint32_t rings;                  /* for each of them */
    const char *spec;                /* xdp_spec.h, may be NULL */
    const struct slr_xdp_test *test; /* not NULL: attached to nothing */
};

/* What a reader works on. */
struct slr_xdp_view {
    _Atomic uint32_t *table;          /* of all readers: SLR_XDP_PORTS owners for each address */
    struct slr_xdp_head *heads;       /* of all rings */
    const struct slr_xdp_slot *slots; /* slots_a_ring of each ring, behind each other */
    struct slr_xdp_list *list;        /* its own */
    _Atomic uint32_t *place;          /* of the list */
    uint32_t slots_a_ring, places;    /* powers of two */
    uint32_t first_ring, rings;       /* its own */
};

/* SLR_UNSUPPORTED with a log event: this machine refuses it, there is no such interface, or a
 * wildcard or too many addresses. SLR_INVAL: spec. The opener is the first reader. */
enum slr_err slr_xdp_plane_open(const struct slr_xdp_plane_config *cfg, struct slr_xdp_plane **out,
                                struct slr_xdp_view *view) SLR_CHECKED;
/* SLR_FULL: all readers have. */
enum slr_err slr_xdp_plane_join(struct slr_xdp_plane *p, struct slr_xdp_view *view) SLR_CHECKED;
/* Whoever joined leaves; with the last one it ends. NULL is allowed. */
void slr_xdp_plane_leave(struct slr_xdp_plane *p);

#define SLR_XDP_NO_IP UINT32_MAX
/* Number of this address, port ignored; SLR_XDP_NO_IP: it is none of them. */
uint32_t slr_xdp_plane_ip(const struct slr_xdp_plane *p, const struct slr_addr *ip);
/* Descriptor of the program of the first interface. */
int slr_xdp_plane_program(const struct slr_xdp_plane *p);

#endif

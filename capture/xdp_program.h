/*
 * xdp_program: the BPF program of type xdp that takes the packets of recorded streams from an
 * interface and puts them into rings that the engine maps, and the layout of what they share.
 *
 * A ring belongs to a stream. The table names the ring of each port: its owner, which is the ring's
 * number and a generation, so that what was on its way to a port's last owner is never the next
 * one's. The program takes what is ordinary: Ethernet to the interface's own address, with or
 * without one VLAN tag as the address wants it, IPv4 without options or IPv6 without extension
 * headers, no fragment, UDP with a payload that fits a slot. All else goes its usual way to the
 * sockets, also where a ring is full: then the ring closes, and everything of this stream goes
 * to its socket until the reader has emptied that and opens the ring again, so that the order of a
 * stream is kept. Several of the kernel's cores may run the program for one stream at once.
 * Pure, any thread, allocates nothing. Needs Linux 5.18 (bpf_xdp_load_bytes).
 */
#ifndef SLR_CAPTURE_XDP_PROGRAM_H
#define SLR_CAPTURE_XDP_PROGRAM_H

#include <stdatomic.h>
#include <stdint.h>

#include "common/bpf.h"
#include "common/net.h"

#define SLR_XDP_IPS 8u
#define SLR_XDP_PORTS 65536u
#define SLR_XDP_PAYLOAD_BYTES 216u /* G.711 of 20 ms with SRTP and header extensions is 190 */
#define SLR_XDP_RING_BITS 20u      /* of an owner; the rest is the generation */
#define SLR_XDP_RING_MASK ((1u << SLR_XDP_RING_BITS) - 1)

/* Why a ring is closed. */
enum slr_xdp_mode { SLR_XDP_OPEN, SLR_XDP_FULL, SLR_XDP_LONG };

/* A packet, complete when `number` is one more than that of the ring's packet before it. */
struct slr_xdp_slot {
    uint64_t arrival_ns; /* CLOCK_MONOTONIC */
    uint32_t owner;      /* as the table said */
    _Atomic uint32_t number;
    uint8_t src_ip[16];
    uint16_t src_port;
    uint8_t family;
    uint8_t pad;
    uint16_t len_bytes; /* 0: not to be had */
    uint16_t pad2;
    uint8_t payload[SLR_XDP_PAYLOAD_BYTES];
};
_Static_assert(sizeof(struct slr_xdp_slot) == 256, "as the program computes it");

/* The changing part of a ring, a cache line each. */
struct slr_xdp_head {
    _Atomic uint32_t head;   /* number of the newest slot taken by the program, from 1 on */
    _Atomic uint32_t tail;   /* number of the newest slot that may be written again */
    _Atomic uint32_t listed; /* it is in a list, or will be in a moment */
    _Atomic uint32_t mode;   /* enum slr_xdp_mode */
    uint32_t list;           /* number of its reader's list */
    uint32_t pad[11];
};
_Static_assert(sizeof(struct slr_xdp_head) == 64, "a cache line");

/* Rings that have something new for one reader, each in it once at most. Behind it: 1 + number of
 * the ring (0: not written yet) at place `head` before it was raised. */
struct slr_xdp_list {
    _Atomic uint32_t head;
    uint32_t pad[15];
};
_Static_assert(sizeof(struct slr_xdp_list) == 64, "as the program computes it");

/* What one interface's program is made for. */
struct slr_xdp_program {
    struct slr_addr ip[SLR_XDP_IPS];
    uint16_t vlan[SLR_XDP_IPS]; /* that packets to this address have here, 0: no tag */
    uint32_t ip_count;
    uint8_t mac[6];
    /* maps: by address SLR_XDP_PORTS owners (uint32_t); by ring its head and its slots; lists */
    int table_fd, heads_fd, slots_fd, lists_fd;
    uint32_t slots, places; /* of a ring, of a list: powers of two */
};

void slr_xdp_assemble(const struct slr_xdp_program *p, struct slr_bpf_code *out);

#endif

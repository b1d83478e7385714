/*
 * packet_spec: the words behind `--capture packet:`: which interface, and how.
 * Pure functions, any thread, allocate nothing.
 */
#ifndef SLR_CAPTURE_PACKET_SPEC_H
#define SLR_CAPTURE_PACKET_SPEC_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

#define SLR_PACKET_INTERFACE_SIZE 16u /* IFNAMSIZ */
#define SLR_PACKET_RING_MB 64u
#define SLR_PACKET_RING_MAX_MB 4095u
#define SLR_PACKET_SPEC_HELP "INTERFACE[,ring=MB][,tcp=PORT[-PORT]][,own]"

struct slr_packet_spec {
    char interface[SLR_PACKET_INTERFACE_SIZE]; /* NUL padded to its end */
    uint32_t ring_mb;                          /* memory for frames not read yet */
    uint32_t tcp_lo, tcp_hi;                   /* TCP of these ports is signalling, other is not */
    bool own;                                  /* also what this host sends on the interface */
};

/* SLR_INVAL: not of that form, or a number out of range. text may be NULL (invalid). */
enum slr_err slr_packet_spec_parse(const char *text, struct slr_packet_spec *out) SLR_CHECKED;

#endif

/*
 * xdp_spec: the words behind `--capture xdp:`: which interfaces, and how.
 * Pure functions, any thread, allocate nothing.
 */
#ifndef SLR_CAPTURE_XDP_SPEC_H
#define SLR_CAPTURE_XDP_SPEC_H

#include <stdint.h>

#include "common/err.h"

#define SLR_XDP_INTERFACE_SIZE 16u /* IFNAMSIZ */
#define SLR_XDP_INTERFACES 8u
#define SLR_XDP_SLOTS 32u
#define SLR_XDP_SLOTS_MIN 8u
#define SLR_XDP_SLOTS_MAX 512u
#define SLR_XDP_SPEC_HELP "[INTERFACE[,INTERFACE]...][,native|skb][,slots=N]"

enum slr_xdp_attach { SLR_XDP_EITHER, SLR_XDP_NATIVE, SLR_XDP_SKB };

struct slr_xdp_spec {
    char interface[SLR_XDP_INTERFACES][SLR_XDP_INTERFACE_SIZE]; /* NUL padded to its end */
    uint32_t interface_count; /* 0: those that have the media addresses */
    enum slr_xdp_attach attach;
    uint32_t slots; /* packets a stream, a power of two */
};

/* SLR_INVAL: not of that form. text may be NULL or empty: the defaults. */
enum slr_err slr_xdp_spec_parse(const char *text, struct slr_xdp_spec *out) SLR_CHECKED;

#endif

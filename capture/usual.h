/*
 * usual: the frame that nearly all are, read at fixed places: Ethernet without tags, IPv4 without
 * options and fragments, UDP of just its length. Pure function, any thread, allocates nothing.
 */
#ifndef SLR_CAPTURE_USUAL_H
#define SLR_CAPTURE_USUAL_H

#include <stdbool.h>

#include "capture/capture.h"
#include "common/slice.h"

/* True: *out is the packet, but for vlan, arrival and wall (0). It is what frame.c finds on its
 * long way. False: nothing is known, *out is as it was. bytes: a whole Ethernet frame, not cut. */
bool slr_usual_read(struct slr_slice bytes, struct slr_packet *out);

#endif

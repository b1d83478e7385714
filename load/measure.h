/*
 * measure: how many packets a second the sender makes on this machine: a thread that sends as fast
 * as it can to sockets of this process, which another thread empties.
 */
#ifndef SLR_LOAD_MEASURE_H
#define SLR_LOAD_MEASURE_H

#include <stdio.h>

#include "load/config.h"

/* Prints one JSON line. 0: at least 500,000 packets/s, 1: fewer, 2: it could not be tried. */
int slr_measure_sender(const struct slr_load_config *cfg, FILE *out);

#endif

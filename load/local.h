/*
 * local: which of our addresses the way to another one begins at. No state, any thread.
 */
#ifndef SLR_LOAD_LOCAL_H
#define SLR_LOAD_LOCAL_H

#include <stdint.h>

#include "common/err.h"

/* IPv4 literals. SLR_INVAL: ip is none; else from errno. */
enum slr_err slr_local_ip_towards(const char *ip, uint16_t port, char out[static 64]) SLR_CHECKED;

#endif

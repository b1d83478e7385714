/*
 * park: keeps sockets that only hold their ports, outside the process's open files.
 *
 * They lie in tables of rings that do nothing else (direct descriptors, RLIMIT_NOFILE of them a
 * ring); where the kernel refuses that, they stay open files. Owned by one thread; allocates at
 * open and put.
 */
#ifndef SLR_CAPTURE_PARK_H
#define SLR_CAPTURE_PARK_H

#include <stdint.h>

#include "common/err.h"

struct slr_park; /* opaque */

/* Room for `sockets` of them. SLR_NOMEM. */
enum slr_err slr_park_open(uint32_t sockets, struct slr_park **out) SLR_CHECKED;
/* Closes what is parked, too. NULL is allowed. */
void slr_park_close(struct slr_park *p);

/* fd is parked from now on and closed as such. Returns its place. */
uint32_t slr_park_put(struct slr_park *p, int fd);

/* Closes the socket: its port is free (before Linux 6.4 up to a second later). */
void slr_park_drop(struct slr_park *p, uint32_t place);

#endif

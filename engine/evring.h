/*
 * evring: the newest events in a MAP_SHARED file, so that they survive the death of the process.
 *
 * Records are numbered without holes; a put takes the room of the oldest ones. A record counts once
 * the head behind it is stored, and carries a CRC. One thread puts; others may read while the
 * owner's lock keeps puts away. Allocates at open only.
 */
#ifndef SLR_ENGINE_EVRING_H
#define SLR_ENGINE_EVRING_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/slice.h"

struct slr_evring;

/*
 * Maps `path`, made with mode 0600 where it is missing. bytes: 64 KiB to 1 GiB. Records that
 * another process of the same `owner` (a text below 64 bytes) left are kept; a file of another
 * owner, size or version starts empty. Errors: SLR_IO and its like, SLR_NOMEM, SLR_INVAL.
 */
enum slr_err slr_evring_open(const char *path, size_t bytes, const char *owner,
                             struct slr_evring **out) SLR_CHECKED;
/* The file and its records stay. */
void slr_evring_close(struct slr_evring *r);

/* Numbers of the oldest and newest record; both 0 when empty. */
uint64_t slr_evring_first(const struct slr_evring *r);
uint64_t slr_evring_last(const struct slr_evring *r);

/* The longest text that a put takes: an eighth of the ring. */
size_t slr_evring_text_max(const struct slr_evring *r);

/* n must be last + 1, or anything when empty. SLR_TOOLONG; SLR_INVAL for a wrong n. */
enum slr_err slr_evring_put(struct slr_evring *r, uint64_t n, struct slr_slice text) SLR_CHECKED;

/* Borrowed until the next put. SLR_NOTFOUND: not in the ring. */
enum slr_err slr_evring_get(const struct slr_evring *r, uint64_t n,
                            struct slr_slice *text) SLR_CHECKED;

void slr_evring_reset(struct slr_evring *r);

#endif

/*
 * nofile: how many descriptors the engine needs and may have. At start, one thread.
 */
#ifndef SLR_ENGINE_NOFILE_H
#define SLR_ENGINE_NOFILE_H

#include <stdint.h>

/* Of recordings: beyond this the writers open and close files for each block. */
#define SLR_NOFILE_FILES 8000u

/* What `streams` streams at once can take: RTP and RTCP socket of each, files, and the rest.
 * tables: so many tables of direct descriptors (uring: one a worker) have room for as many sockets
 * each as the limit says and count for nothing themselves. */
uint64_t slr_nofile_needed(uint32_t streams, uint32_t tables);

/* Raises the soft limit to the hard one, and the hard one where that is allowed and needed. Where
 * the limit stays below `needed` a log event says what to raise. Returns the limit. */
uint64_t slr_nofile_raise(uint64_t needed);

#endif

/*
 * prefetch: asks for memory that is going to be written. Any thread; a wrong address does no harm.
 */
#ifndef SLR_COMMON_PREFETCH_H
#define SLR_COMMON_PREFETCH_H

#include <stddef.h>
#include <stdint.h>

#define SLR_CACHE_LINE_BYTES 64u

static inline void slr_prefetch(const void *at, size_t len_bytes)
{
    const char *line = (const char *)((uintptr_t)at & ~(uintptr_t)(SLR_CACHE_LINE_BYTES - 1));
    for (; line < (const char *)at + len_bytes; line += SLR_CACHE_LINE_BYTES) {
        __builtin_prefetch(line, 1);
    }
}

#endif

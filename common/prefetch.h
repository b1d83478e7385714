/*
 * prefetch: asks for memory that is going to be needed. Any thread; a wrong address does no harm.
 */
#ifndef SLR_COMMON_PREFETCH_H
#define SLR_COMMON_PREFETCH_H

#include <stddef.h>
#include <stdint.h>

#define SLR_CACHE_LINE_BYTES 64u

/* To be written, or both. */
static inline void slr_prefetch(uintptr_t at, size_t len_bytes)
{
    uintptr_t line = at & ~(uintptr_t)(SLR_CACHE_LINE_BYTES - 1);
    for (; line < at + len_bytes; line += SLR_CACHE_LINE_BYTES) {
        __builtin_prefetch((const void *)line, 1);
    }
}

/* To be read. */
static inline void slr_prefetch_read(uintptr_t at, size_t len_bytes)
{
    uintptr_t line = at & ~(uintptr_t)(SLR_CACHE_LINE_BYTES - 1);
    for (; line < at + len_bytes; line += SLR_CACHE_LINE_BYTES) {
        __builtin_prefetch((const void *)line, 0);
    }
}

#endif

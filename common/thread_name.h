/*
 * thread_name: what a thread is called in top, perf and gdb. Any thread, of itself; allocates
 * nothing.
 */
#ifndef SLR_COMMON_THREAD_NAME_H
#define SLR_COMMON_THREAD_NAME_H

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>

/* "slr-KIND-NUMBER"; the kernel keeps 15 characters. */
static inline void slr_thread_name(const char *kind, uint32_t number)
{
    char name[16];
    (void)snprintf(name, sizeof name, "slr-%.7s-%u", kind, number % 100u);
    (void)pthread_setname_np(pthread_self(), name);
}

#endif

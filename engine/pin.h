/*
 * pin: binds the engine's threads to processors, where an option says to which. Control thread, at
 * start; no state, allocates nothing.
 */
#ifndef SLR_ENGINE_PIN_H
#define SLR_ENGINE_PIN_H

#include <pthread.h>
#include <stdint.h>

#include "common/err.h"

#define SLR_PIN_CPUS 256u

struct slr_pin {
    uint16_t cpu[SLR_PIN_CPUS];
    uint32_t count; /* 0: threads run where the kernel likes */
};

/* "0,2-3": numbers and ranges, in the order in which threads take them. NULL: none. SLR_INVAL: not
 * such a list, or more than SLR_PIN_CPUS. */
enum slr_err slr_pin_parse(const char *list, struct slr_pin *out) SLR_CHECKED;

/* The `number`-th thread of a kind gets the list's processor of that number (from the beginning
 * again when there are more threads); memory that it asks for first comes from that processor's
 * node then. SLR_INVAL: this machine has no such processor, or we may not use it. */
enum slr_err slr_pin_thread(const struct slr_pin *pin, uint32_t number,
                            pthread_t thread) SLR_CHECKED;

#define SLR_NUMA_ROOT "/sys/devices/system/node"

/* All threads that this one starts from now on run on the node's processors (slr_pin_thread can
 * still say which), and their memory is taken there as long as the node has some. root: where the
 * kernel shows the nodes. SLR_INVAL: no number; SLR_NOTFOUND: no such node here, or none of its
 * processors is ours; SLR_UNSUPPORTED: this kernel has no such thing. */
enum slr_err slr_numa_bind(const char *root, const char *node) SLR_CHECKED;

#endif

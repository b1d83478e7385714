/*
 * usage: what processes, processors and the kernel's receive path have used, from /proc. Reading
 * allocates nothing; one thread.
 */
#ifndef SLR_LOAD_USAGE_H
#define SLR_LOAD_USAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "load/config.h"

#define SLR_USAGE_THREADS 24u
#define SLR_USAGE_CPUS 64u

struct slr_usage_thread {
    char name[24];
    uint32_t id;
    uint64_t user_ms, system_ms;
};

struct slr_usage_process {
    uint32_t pid;
    char name[24];
    bool there;
    uint64_t user_ms, system_ms;
    uint64_t rss_kib, pss_kib;
    uint32_t thread_count;
    struct slr_usage_thread thread[SLR_USAGE_THREADS];
};

struct slr_usage_cpu { /* of a core, in ms */
    uint64_t user, system, softirq, irq, idle, steal;
    uint64_t backlog_drops; /* of its receive queue, /proc/net/softnet_stat */
};

struct slr_usage_udp { /* of a process's network namespace, /proc/PID/net/snmp */
    uint64_t in, no_ports, in_errors, receive_buffer_errors;
    uint64_t socket_drops; /* of the sockets that are open, since each was; net/udp, net/udp6 */
    uint64_t socket_drops_most; /* of one of them */
    uint32_t sockets_dropping;
};

struct slr_usage {
    int64_t at_ns;
    uint32_t process_count, cpu_count;
    struct slr_usage_process process[SLR_LOAD_PIDS];
    struct slr_usage_cpu cpu[SLR_USAGE_CPUS];
    struct slr_usage_udp udp; /* of the first process */
    uint64_t state_kib;       /* blocks of the files below --state */
};

/* Everything as it is now. What can't be read stays 0. */
void slr_usage_take(const struct slr_load_config *cfg, struct slr_usage *out);

#endif

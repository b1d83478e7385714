/*
 * calls_left: how many more calls this host can take, and what limits that.
 *
 * Plain arithmetic on what the caller measured: processor and disk time that calls took, and what
 * is left of each. One thread has each struct. Allocates nothing.
 */
#ifndef SLR_ENGINE_CALLS_LEFT_H
#define SLR_ENGINE_CALLS_LEFT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"

/* A call costs this much of a thread until there is something to measure: milliseconds of processor
 * a second of a receiving and of a writing thread, and of the disk. Several times what is measured
 * of G.711 on a slow machine, so that the first measurements raise the figure. */
#define SLR_COST_WORKER_MS 0.5
#define SLR_COST_WRITER_MS 0.5
#define SLR_COST_DISK_MS 0.5
/* The default counts as much as a measurement of so many calls. */
#define SLR_COST_PRIOR_CALLS 20.0
/* Packet memory is to last so long for all calls besides. */
#define SLR_CALL_RESERVE_NS SLR_NS_PER_S
/* Of a thread's, a core's, a disk's time: no more than this is given away. */
#define SLR_COST_MOST 0.95

enum slr_limit {
    SLR_LIMIT_STREAMS, /* -S */
    SLR_LIMIT_CPU,
    SLR_LIMIT_MEMORY,
    SLR_LIMIT_DISK,
    SLR_LIMIT_PORTS,
    SLR_LIMIT_SLOTS, /* ended calls that are not sealed yet hold them */
    SLR_LIMITS
};
/* "-S", "cpu" and so on; static. */
const char *slr_limit_name(enum slr_limit limit);

/* Measured since the last time; all threads of a kind together. */
struct slr_cost_sample {
    slr_mono now;
    int64_t worker_cpu_ns, writer_cpu_ns; /* since the start */
    int64_t disk_ns;                      /* that writers were at the disk, since the start */
    uint32_t writers; /* no more than all their time counts, whatever a stall added at once */
    double calls;     /* that run now */
};

/* Filtered measurements; zeroed before use. */
struct slr_cost {
    struct slr_cost_sample last; /* now.ns 0: none */
    double worker, writer, disk; /* of one thread's time, now */
    double calls;
};

/* Each second or so. */
void slr_cost_note(struct slr_cost *c, const struct slr_cost_sample *sample);

/* Of a thread's time that one more call takes of a kind, with the default of so many milliseconds.
 */
double slr_cost_of_call(double used, double calls, double default_ms);

/* What there is. */
struct slr_room {
    uint32_t workers, writers, cores;
    uint32_t streams_free;           /* of -S */
    uint32_t ports_free, slots_free; /* pairs of ports; slots of legs */
    uint64_t free_bytes;             /* packet memory */
    double bytes_s;                  /* at which it is taken now */
    int64_t usual_ns;                /* of it a call always has so much */
};

struct slr_calls_left {
    uint32_t calls;
    enum slr_limit limit;
    uint32_t by[SLR_LIMITS];
};

void slr_calls_left(const struct slr_cost *c, const struct slr_room *room,
                    struct slr_calls_left *left);

/* Whether a call is refused for it: with none left; what is a measurement has to say two, or one in
 * a hundred, before the next is taken. */
bool slr_calls_left_refuse(const struct slr_calls_left *left, double calls, bool refused_before);

#endif

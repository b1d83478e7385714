/*
 * calls_left: see the header.
 */
#include "engine/calls_left.h"

#include <stdbool.h>

#include "engine/stall_budget.h"

#define NEW 0.3 /* of the newest second in the filtered figures */
#define MOST 1000000.0
#define LEGS 2u

const char *slr_limit_name(enum slr_limit limit)
{
    static const char *const names[SLR_LIMITS] = {"-S", "cpu", "memory", "disk", "ports", "slots"};
    return names[limit];
}

static double least(double a, double b)
{
    return a < b ? a : b;
}

static void filter(double *value, double now)
{
    *value += (now - *value) * NEW;
}

void slr_cost_note(struct slr_cost *c, const struct slr_cost_sample *sample)
{
    const struct slr_cost_sample *last = &c->last;
    double span_ns = (double)(sample->now.ns - last->now.ns);
    if (last->now.ns != 0 && span_ns > 0) {
        filter(&c->worker, (double)(sample->worker_cpu_ns - last->worker_cpu_ns) / span_ns);
        filter(&c->writer, (double)(sample->writer_cpu_ns - last->writer_cpu_ns) / span_ns);
        double disk = (double)(sample->disk_ns - last->disk_ns) / span_ns;
        filter(&c->disk, least(disk, sample->writers));
        filter(&c->calls, (sample->calls + last->calls) / 2);
    }
    c->last = *sample;
}

double slr_cost_of_call(double used, double calls, double default_ms)
{
    double prior = default_ms / 1000 * SLR_COST_PRIOR_CALLS;
    return (used + prior) / (calls + SLR_COST_PRIOR_CALLS);
}

/* So many calls fit into what is left of `have` threads' time. */
static double by_time(double have, double used, double cost)
{
    return (have * SLR_COST_MOST - used) / cost;
}

static double by_cpu(const struct slr_cost *c, const struct slr_room *room)
{
    double worker = slr_cost_of_call(c->worker, c->calls, SLR_COST_WORKER_MS);
    double writer = slr_cost_of_call(c->writer, c->calls, SLR_COST_WRITER_MS);
    double threads =
        least(by_time(room->workers, c->worker, worker), by_time(room->writers, c->writer, writer));
    return least(threads, by_time(room->cores, c->worker + c->writer, worker + writer));
}

/* What is free has to hold window and block of the new calls, and the reserve of all. */
static double by_memory(const struct slr_cost *c, const struct slr_room *room)
{
    double second = 1.0 / (double)SLR_NS_PER_S;
    double prior = LEGS * SLR_STALL_LEAST_BYTES_S * SLR_COST_PRIOR_CALLS;
    double call_bytes_s = (room->bytes_s + prior) / (c->calls + SLR_COST_PRIOR_CALLS);
    double reserve_s = (double)SLR_CALL_RESERVE_NS * second;
    double free_bytes = (double)room->free_bytes - room->bytes_s * reserve_s;
    return free_bytes / (call_bytes_s * (reserve_s + (double)room->usual_ns * second));
}

static uint32_t whole(double calls)
{
    return calls <= 0 ? 0 : (calls < MOST ? (uint32_t)calls : (uint32_t)MOST);
}

void slr_calls_left(const struct slr_cost *c, const struct slr_room *room,
                    struct slr_calls_left *left)
{
    double disk = slr_cost_of_call(c->disk, c->calls, SLR_COST_DISK_MS);
    left->by[SLR_LIMIT_STREAMS] = room->streams_free / LEGS;
    left->by[SLR_LIMIT_CPU] = whole(by_cpu(c, room));
    left->by[SLR_LIMIT_MEMORY] = whole(by_memory(c, room));
    left->by[SLR_LIMIT_DISK] = whole(by_time(room->writers, c->disk, disk));
    left->by[SLR_LIMIT_PORTS] = room->ports_free / LEGS;
    left->by[SLR_LIMIT_SLOTS] = room->slots_free / LEGS;
    left->limit = SLR_LIMIT_STREAMS;
    for (uint32_t i = 0; i < SLR_LIMITS; i++) {
        left->limit = left->by[i] < left->by[left->limit] ? (enum slr_limit)i : left->limit;
    }
    left->calls = left->by[left->limit];
}

bool slr_calls_left_refuse(const struct slr_calls_left *left, double calls, bool refused_before)
{
    bool measured = left->by[SLR_LIMIT_CPU] == left->calls ||
                    left->by[SLR_LIMIT_MEMORY] == left->calls ||
                    left->by[SLR_LIMIT_DISK] == left->calls;
    uint32_t again = measured ? whole(calls / 100) + 2 : 1;
    return left->calls < (refused_before ? again : 1);
}

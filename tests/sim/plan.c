/*
 * plan: when the session ends, and its commands in order of time. Writes *m only.
 */
#include <stdlib.h>

#include "tests/sim/rng.h"
#include "tests/sim/sim.h"

/* A command that falls into the engine's absence is given after it, in order. */
static int64_t outside_hole(const struct sim *m, int64_t ns, int64_t turn)
{
    return ns >= m->hole_from_ns && ns <= m->hole_to_ns ? m->hole_to_ns + 1001 + turn * 1000 : ns;
}

static void add(struct sim *m, int64_t ns, enum sim_command_kind kind, uint32_t leg,
                uint32_t number)
{
    if (m->command_count == SIM_COMMANDS) {
        abort();
    }
    m->command[m->command_count++] =
        (struct sim_command){ns, (uint8_t)kind, (uint8_t)leg, (uint8_t)number};
}

static int by_time(const void *a, const void *b)
{
    const struct sim_command *p = a;
    const struct sim_command *q = b;
    return (p->ns > q->ns) - (p->ns < q->ns);
}

static void plan_end(struct sim *m)
{
    uint64_t x = rng_fork(m->seed, 5);
    for (uint32_t n = 0; n < m->legs; n++) {
        const struct sim_leg *leg = &m->leg[n];
        for (uint32_t i = 0; i < leg->arrival_count; i++) {
            m->end_ns = leg->arrival[i].ns > m->end_ns ? leg->arrival[i].ns : m->end_ns;
        }
        m->end_ns = leg->join_ns > m->end_ns ? leg->join_ns : m->end_ns;
        for (uint32_t i = 0; i < leg->hold_count; i++) {
            m->end_ns = leg->hold[i].to > m->end_ns ? leg->hold[i].to : m->end_ns;
        }
    }
    m->end_ns += rng_in(&x, 0, rng_odds(&x, 20) ? 3000 : 300) * SIM_MS + 901;
    m->end_ns = outside_hole(m, m->end_ns, 100);
}

static void plan_pauses(struct sim *m)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < m->pause_count; i++) {
        struct sim_interval p = m->pause[i];
        p.from = outside_hole(m, p.from, 2 * i);
        p.to = outside_hole(m, p.to, 2 * i + 1);
        if (p.from >= m->end_ns) {
            break;
        }
        p.to = p.to < m->end_ns ? p.to : SIM_NEVER;
        m->pause[kept] = p;
        add(m, p.from, SIM_CMD_PAUSE, 0, kept);
        if (p.to != SIM_NEVER) {
            add(m, p.to, SIM_CMD_RESUME, 0, kept);
        }
        kept++;
    }
    m->pause_count = kept;
}

/* Nobody can join while the engine is away. */
static void plan_joins(struct sim *m)
{
    for (uint32_t n = 0; n < m->legs; n++) {
        int64_t *ns = &m->leg[n].join_ns;
        *ns = *ns >= m->hole_from_ns && *ns < m->hole_to_ns ? m->hole_to_ns : *ns;
    }
}

static void plan_holds(struct sim *m, uint32_t n)
{
    struct sim_leg *leg = &m->leg[n];
    for (uint32_t i = 0; i < leg->hold_count; i++) {
        struct sim_interval *h = &leg->hold[i];
        h->from = outside_hole(m, h->from, 20 + 2 * i + 40 * n);
        h->to = outside_hole(m, h->to, 21 + 2 * i + 40 * n);
        add(m, h->from, SIM_CMD_HOLD, n, i);
        add(m, h->to, SIM_CMD_UNHOLD, n, i);
    }
}

void sim_plan(struct sim *m)
{
    plan_joins(m);
    plan_end(m);
    plan_pauses(m);
    for (uint32_t n = 0; n < m->legs; n++) {
        plan_holds(m, n);
    }
    qsort(m->command, m->command_count, sizeof m->command[0], by_time);
}

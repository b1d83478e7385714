/*
 * srv: counters of the control thread's servers (srv.def). One array, written by that thread (the
 * mailbox counter by any); anyone reads.
 */
#ifndef SLR_ENGINE_SRV_H
#define SLR_ENGINE_SRV_H

#include <jansson.h>

#include "common/metrics.h"

enum slr_srv_counter {
#define SRV(name, kind, metric, help) SLR_SRV_##name,
#include "engine/srv.def"
#undef SRV
    SLR_SRV_COUNT
};

struct slr_srv_counters {
    slr_counter at[SLR_SRV_COUNT];
};

/* Descriptions, SLR_SRV_COUNT rows. */
const struct slr_metric *slr_srv_table(void);

/* Adds all as members to an object. */
void slr_srv_to_json(const struct slr_srv_counters *c, json_t *object);

static inline void slr_srv_add(struct slr_srv_counters *c, enum slr_srv_counter id, uint64_t n)
{
    slr_count(&c->at[id], n);
}

static inline void slr_srv_set(struct slr_srv_counters *c, enum slr_srv_counter id, uint64_t n)
{
    atomic_store_explicit(&c->at[id], n, memory_order_relaxed);
}

#endif

/*
 * srv: the table of the servers' counters. No state.
 */
#include "engine/srv.h"

static const struct slr_metric table[] = {
#define SRV(name, kind, metric, help) {metric, help, kind},
#include "engine/srv.def"
#undef SRV
};

const struct slr_metric *slr_srv_table(void)
{
    return table;
}

void slr_srv_to_json(const struct slr_srv_counters *c, json_t *object)
{
    for (size_t i = 0; i < SLR_SRV_COUNT; i++) {
        /* without memory a counter is missing from one answer */
        (void)json_object_set_new(object, table[i].name,
                                  json_integer((json_int_t)slr_count_get(&c->at[i])));
    }
}

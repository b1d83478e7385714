/*
 * encode_load: see the header.
 */
#include "engine/encode_load.h"

void slr_encode_load_init(struct slr_encode_load *l, uint32_t limit_percent)
{
    *l = (struct slr_encode_load){.limit_percent = limit_percent, .busy = limit_percent == 0};
}

bool slr_encode_load_judge(struct slr_encode_load *l, int64_t cpu_ns, int64_t wall_ns,
                           uint32_t cpus, int64_t late_ms, bool starved)
{
    int64_t whole_ns = wall_ns * (int64_t)cpus;
    l->used_percent = whole_ns > 0 && cpu_ns > 0 ? (uint32_t)(cpu_ns * 100 / whole_ns) : 0;
    l->late_ms = late_ms;
    if (l->limit_percent == 0) {
        return l->busy;
    }
    bool load =
        l->used_percent >= l->limit_percent || late_ms >= SLR_ENCODE_LOAD_LATE_MS || starved;
    bool calm = !load && l->used_percent * 5 <= l->limit_percent * 4 &&
                late_ms < SLR_ENCODE_LOAD_LATE_MS / 2;
    l->calm = calm ? l->calm + 1 : 0;
    if (load) {
        l->busy = true;
    } else if (l->calm >= SLR_ENCODE_LOAD_CALM_S) {
        l->busy = false;
    }
    return l->busy;
}

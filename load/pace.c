/*
 * pace: see the header.
 */
#include "load/pace.h"

#include <string.h>

void slr_pace_init(struct slr_pace *p, int64_t t0_ns)
{
    memset(p, 0, sizeof *p);
    p->t0_ns = t0_ns;
    p->began_ns = t0_ns - SLR_PACE_SLOT_NS;
}

int64_t slr_pace_time(const struct slr_pace *p, int64_t slot)
{
    return p->t0_ns + slot * SLR_PACE_SLOT_NS;
}

int64_t slr_pace_slot(const struct slr_pace *p, int64_t at_ns)
{
    int64_t since = at_ns - p->t0_ns;
    return since <= 0 ? 0 : (since + SLR_PACE_SLOT_NS - 1) / SLR_PACE_SLOT_NS;
}

int64_t slr_pace_due(const struct slr_pace *p)
{
    int64_t nominal = slr_pace_time(p, p->slot);
    int64_t soonest = p->began_ns + SLR_PACE_SLOT_NS / 4;
    return nominal > soonest ? nominal : soonest;
}

int64_t slr_pace_next(struct slr_pace *p, int64_t now_ns)
{
    p->began_ns = now_ns;
    return p->slot++;
}

int64_t slr_pace_join(struct slr_pace *p, int64_t from)
{
    int64_t best = from;
    for (int64_t s = from + 1; s < from + SLR_PACE_PHASES; s++) {
        if (p->load[s % SLR_PACE_PHASES] < p->load[best % SLR_PACE_PHASES]) {
            best = s;
        }
    }
    p->load[best % SLR_PACE_PHASES]++;
    return best;
}

void slr_pace_leave(struct slr_pace *p, int64_t slot)
{
    p->load[slot % SLR_PACE_PHASES]--;
}

int64_t slr_pace_frame(int64_t start_ns, uint32_t n, int32_t ppm)
{
    int64_t nominal = (int64_t)n * SLR_PACE_FRAME_NS;
    /* frames of 20 ms: a clock that is 1 ppm fast gains 20 ns in each */
    return start_ns + nominal - (int64_t)n * (SLR_PACE_FRAME_NS / 1000000) * ppm;
}

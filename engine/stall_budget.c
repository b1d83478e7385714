/*
 * stall_budget: see the header.
 */
#include "engine/stall_budget.h"

#define UP 0.6   /* of the newest second in the rate, when that is more */
#define DOWN 0.1 /* ... less */
/* Much more than window and block is held: the disk is slow, even if it moves. */
#define HELD_MORE_NS (3 * SLR_NS_PER_S)
#define MOST_NS (86400 * SLR_NS_PER_S)

void slr_stall_budget_note(struct slr_stall_budget *b, slr_mono now, uint64_t taken_bytes)
{
    int64_t since_ns = now.ns - b->at_ns;
    if (b->at_ns != 0 && since_ns < SLR_NS_PER_S) {
        return;
    }
    if (b->at_ns != 0) {
        double bytes_s =
            (double)(taken_bytes - b->taken_bytes) * (double)SLR_NS_PER_S / (double)since_ns;
        b->bytes_s += (bytes_s - b->bytes_s) * (bytes_s > b->bytes_s ? UP : DOWN);
    }
    b->at_ns = now.ns;
    b->taken_bytes = taken_bytes;
}

static int64_t time_of(const struct slr_stall_budget *b, uint64_t bytes)
{
    double rate = b->bytes_s > SLR_STALL_LEAST_BYTES_S ? b->bytes_s : SLR_STALL_LEAST_BYTES_S;
    double ns = (double)bytes / rate * (double)SLR_NS_PER_S;
    return ns < (double)MOST_NS ? (int64_t)ns : MOST_NS;
}

int64_t slr_stall_budget_ns(const struct slr_stall_budget *b, uint64_t free_bytes)
{
    return time_of(b, free_bytes);
}

int64_t slr_stall_held_ns(const struct slr_stall_budget *b, uint64_t used_bytes)
{
    return time_of(b, used_bytes);
}

int64_t slr_stall_wait_ns(int64_t budget_ns, int64_t most_ns)
{
    int64_t wait_ns = budget_ns / 2;
    return wait_ns < most_ns ? wait_ns : most_ns;
}

static bool wants_second(const struct slr_storage_seen *seen)
{
    /* half of what there was is gone, or little is left */
    return (seen->stalled_ns[0] > 0 && seen->stalled_ns[0] >= seen->budget_ns) ||
           seen->budget_ns < SLR_STALL_RESERVE_NS;
}

static bool is_well_again(const struct slr_storage_seen *seen, struct slr_storage_plan *plan)
{
    if (seen->stalled_ns[0] > 0) {
        plan->well_ns = 0;
        return false;
    }
    plan->well_ns = plan->well_ns != 0 ? plan->well_ns : seen->now.ns;
    return seen->now.ns - plan->well_ns >= SLR_STALL_WELL_NS;
}

void slr_storage_decide(const struct slr_storage_seen *seen, struct slr_storage_plan *plan)
{
    bool slow = seen->held_ns > seen->usual_ns + HELD_MORE_NS;
    bool second_well = seen->has_second && seen->stalled_ns[1] == 0;
    plan->trouble = seen->stalled_ns[0] > 0 || slow;
    if (plan->second) {
        plan->second = !is_well_again(seen, plan);
    } else if (plan->trouble && second_well && wants_second(seen)) {
        plan->second = true;
        plan->well_ns = 0;
    }
    /* the second volume is to have its time before anybody is turned away */
    int64_t least_ns = second_well ? SLR_STALL_RESERVE_NS / 2 : SLR_STALL_RESERVE_NS;
    least_ns *= plan->refuse ? 2 : 1;
    plan->refuse = (plan->trouble || plan->second) && seen->budget_ns < least_ns;
}

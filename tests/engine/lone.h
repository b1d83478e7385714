/* lone: a leg without a state file, with what few legs need behind it. For tests of one module. */
#ifndef SLR_TESTS_ENGINE_LONE_H
#define SLR_TESTS_ENGINE_LONE_H

#include <string.h>

#include "engine/rare.h"

struct lone_leg {
    struct slr_leg leg;
    struct slr_leg_rare rare;
};

/* Empty. */
static inline struct slr_leg *lone_leg(struct lone_leg *at)
{
    memset(at, 0, sizeof *at);
    at->leg.rare_bytes = offsetof(struct lone_leg, rare);
    slr_leg_rare_join(&at->leg);
    return &at->leg;
}

#endif

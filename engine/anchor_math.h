/*
 * anchor_math: ticks, the RTP clock's grid, and where an anchor puts a timestamp. Pure.
 */
#ifndef SLR_ENGINE_ANCHOR_MATH_H
#define SLR_ENGINE_ANCHOR_MATH_H

#include "engine/place.h"

static inline int64_t slr_most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Rounded down to a whole unit of the RTP clock: positions of all samples are then exact. */
static inline int64_t slr_clock_down(int64_t ticks, uint32_t clock_hz)
{
    int64_t unit = SLR_TICKS_HZ / (int64_t)clock_hz;
    int64_t over = ticks % unit;
    return ticks - (over < 0 ? over + unit : over);
}

/* Rounded up, so that what begins there lies over nothing. */
static inline int64_t slr_clock_up(int64_t ticks, uint32_t clock_hz)
{
    return -slr_clock_down(-ticks, clock_hz);
}

/* 0: positions of that clock are no whole ticks. */
static inline uint16_t slr_clock_unit(uint32_t clock_hz)
{
    uint32_t unit = (uint32_t)SLR_TICKS_HZ / clock_hz;
    return SLR_TICKS_HZ % clock_hz == 0 && unit <= UINT16_MAX ? (uint16_t)unit : 0;
}

/* Of the sample with that timestamp, unwrapped, in its segment. */
static inline int64_t slr_anchor_position(const struct slr_anchor *a, int64_t ts_ext)
{
    int64_t units = ts_ext - a->ts_ext;
    return a->ticks +
           (a->unit_ticks ? units * a->unit_ticks : slr_ticks_from_rtp(units, a->clock_hz));
}

#endif

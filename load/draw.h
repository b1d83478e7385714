/*
 * draw: everything that looks random in a run, as a function of the run and of what it is for. So
 * sender and checker need not tell each other what they drew. Pure, any thread.
 */
#ifndef SLR_LOAD_DRAW_H
#define SLR_LOAD_DRAW_H

#include <stdint.h>

/* What a number is drawn for. */
enum slr_draw_what {
    SLR_DRAW_STREAM, /* SSRC, first sequence number and timestamp */
    SLR_DRAW_LOSS,
    SLR_DRAW_BURST,
    SLR_DRAW_REORDER,
    SLR_DRAW_DUPLICATE,
    SLR_DRAW_JITTER,
    SLR_DRAW_TALK,
    SLR_DRAW_CODEC,
    SLR_DRAW_HOLD,
    SLR_DRAW_KEY
};

/* A bijection of 64 bits that leaves no pattern (the finisher of splitmix64). */
static inline uint64_t slr_draw_mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* 64 random bits for the n-th thing of a leg. */
static inline uint64_t slr_draw(uint64_t seed, enum slr_draw_what what, uint32_t call, uint32_t leg,
                                uint32_t n)
{
    uint64_t x = slr_draw_mix(seed + 0x9e3779b97f4a7c15u * ((uint64_t)what + 1));
    x = slr_draw_mix(x ^ ((uint64_t)call << 8 | leg));
    return slr_draw_mix(x + 0x9e3779b97f4a7c15u * ((uint64_t)n + 1));
}

/* A number in 0..below-1 out of drawn bits; below 0 gives 0. */
static inline uint32_t slr_draw_below(uint64_t bits, uint32_t below)
{
    return (uint32_t)(((bits >> 32) * below) >> 32);
}

/* True in ppm of a million cases. */
static inline int slr_draw_chance(uint64_t bits, uint32_t ppm)
{
    return slr_draw_below(bits, 1000000u) < ppm;
}

#endif

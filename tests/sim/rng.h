/*
 * rng: random numbers that are the same everywhere (splitmix64). Pure.
 */
#ifndef SLR_TESTS_SIM_RNG_H
#define SLR_TESTS_SIM_RNG_H

#include <stdbool.h>
#include <stdint.h>

static inline uint64_t rng_mix(uint64_t z)
{
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static inline uint64_t rng_next(uint64_t *x)
{
    return rng_mix(*x += 0x9e3779b97f4a7c15u);
}

/* A generator for one purpose, so that what one draws moves nothing elsewhere. */
static inline uint64_t rng_fork(uint64_t seed, uint64_t purpose)
{
    return rng_mix(seed * 0x9e3779b97f4a7c15u + rng_mix(purpose + 1));
}

/* In [lo, hi]. */
static inline int64_t rng_in(uint64_t *x, int64_t lo, int64_t hi)
{
    return lo + (int64_t)(rng_next(x) % (uint64_t)(hi - lo + 1));
}

static inline bool rng_odds(uint64_t *x, uint32_t percent)
{
    return rng_next(x) % 100 < percent;
}

static inline bool rng_permille(uint64_t *x, uint32_t permille)
{
    return rng_next(x) % 1000 < permille;
}

#endif

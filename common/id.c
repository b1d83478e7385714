/*
 * id: unique ids, time first. The generator is its owner's; one thread; allocates nothing.
 */
#include "common/id.h"

#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define TIME_MASK ((1ULL << 48) - 1)

/* splitmix64 (Vigna, public domain): spreads a seed over the state. */
static uint64_t spread(uint64_t *seed)
{
    uint64_t z = (*seed += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

static uint64_t rotate(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

/* xoroshiro128++ (Blackman and Vigna, public domain). */
static uint64_t draw(struct slr_idgen *g)
{
    uint64_t s0 = g->state[0], s1 = g->state[1];
    uint64_t result = rotate(s0 + s1, 17) + s0;
    s1 ^= s0;
    g->state[0] = rotate(s0, 49) ^ s1 ^ (s1 << 21);
    g->state[1] = rotate(s1, 28);
    return result;
}

void slr_idgen_init_seeded(struct slr_idgen *g, uint64_t seed)
{
    g->state[0] = spread(&seed);
    g->state[1] = spread(&seed);
    g->seeded = true;
}

void slr_idgen_init(struct slr_idgen *g)
{
    /* The state only stands in where getrandom is missing (before Linux 3.17, odd sandboxes). */
    uint64_t seed = (uint64_t)slr_clock_wall(slr_clock_real()).ns ^ ((uint64_t)getpid() << 40);
    slr_idgen_init_seeded(g, seed);
    g->seeded = false;
}

void slr_idgen_next(struct slr_idgen *g, slr_wall now, char out[static SLR_ID_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    uint64_t word[2] = {draw(g), draw(g)};
    uint64_t ms = now.ns > 0 ? (uint64_t)(now.ns / SLR_NS_PER_MS) & TIME_MASK : 0;

    if (!g->seeded) {
        uint64_t fresh[2];
        if (getrandom(fresh, sizeof fresh, 0) == (ssize_t)sizeof fresh) {
            memcpy(word, fresh, sizeof word);
        }
    }
    word[0] = (ms << 16) | (word[0] & 0xffff);
    for (int i = 0; i < 32; i++) {
        out[i] = digits[(word[i / 16] >> (60 - 4 * (i % 16))) & 0xf];
    }
    out[32] = '\0';
}

bool slr_id_valid(const char *text)
{
    return text && strlen(text) == 32 && strspn(text, "0123456789abcdef") == 32;
}

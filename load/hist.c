/*
 * hist: see the header.
 */
#include "load/hist.h"

#define SUB 8u

static uint32_t bucket_of(uint64_t ns)
{
    if (ns < SUB) {
        return (uint32_t)ns;
    }
    uint32_t octave = 63u - (uint32_t)__builtin_clzll(ns);
    uint32_t sub = (uint32_t)(ns >> (octave - 3u)) & (SUB - 1);
    uint32_t at = (octave - 2u) * SUB + sub;
    return at < SLR_HIST_BUCKETS ? at : SLR_HIST_BUCKETS - 1;
}

/* The highest time that falls into a bucket. */
static int64_t top_of(uint32_t bucket)
{
    if (bucket < SUB) {
        return bucket;
    }
    uint32_t octave = bucket / SUB + 2u;
    uint64_t width = 1ull << (octave - 3u);
    return (int64_t)((SUB + bucket % SUB + 1) * width - 1);
}

void slr_hist_add(struct slr_hist *h, int64_t ns, uint64_t times)
{
    ns = ns > 0 ? ns : 0;
    h->count += times;
    h->max_ns = times > 0 && ns > h->max_ns ? ns : h->max_ns;
    h->bucket[bucket_of((uint64_t)ns)] += times;
}

int64_t slr_hist_at(const struct slr_hist *h, double percent)
{
    double want = percent / 100.0 * (double)h->count;
    uint64_t seen = 0;
    for (uint32_t i = 0; i < SLR_HIST_BUCKETS; i++) {
        seen += h->bucket[i];
        if (h->bucket[i] > 0 && (double)seen >= want) {
            int64_t top = top_of(i);
            return top < h->max_ns ? top : h->max_ns;
        }
    }
    return h->count > 0 ? h->max_ns : 0;
}

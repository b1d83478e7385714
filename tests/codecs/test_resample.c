/*
 * The resampler: what comes out stands where it went in, in the exact number, whatever the pieces.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "codecs/resample.h"

#define SEED 20261121u
#define PI 3.14159265358979323846

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTS_ALLOCATIONS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
#define COUNTS_ALLOCATIONS 0
#endif
#endif
#ifndef COUNTS_ALLOCATIONS
#define COUNTS_ALLOCATIONS 1
#endif

static unsigned allocations;

#if COUNTS_ALLOCATIONS
/* The C library's own, by the names under which these three find it. */
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *old, size_t bytes);

void *malloc(size_t bytes)
{
    allocations++;
    return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    allocations++;
    return __libc_calloc(count, bytes);
}

void *realloc(void *old, size_t bytes)
{
    allocations++;
    return __libc_realloc(old, bytes);
}
#endif

struct pair {
    uint32_t in_hz, out_hz;
};

static const struct pair pairs[] = {
    {8000, 16000},  {16000, 8000}, {8000, 48000},  {48000, 8000},  {16000, 48000}, {48000, 16000},
    {11025, 48000}, {11025, 8000}, {44100, 8000},  {44100, 48000}, {8000, 44100},  {12000, 16000},
    {24000, 8000},  {32000, 8000}, {22050, 16000}, {8000, 8000},   {48000, 48000}, {44100, 11025},
};
#define PAIRS (sizeof pairs / sizeof pairs[0])

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* A burst of 500 Hz, 10 ms wide, in the middle of `at` seconds: known at every instant. */
static double burst(double t, double at)
{
    double x = (t - at) / 0.01;
    return 16000.0 * exp(-x * x) * cos(2 * PI * 500.0 * (t - at));
}

static struct slr_resample *opened(uint32_t in_hz, uint32_t out_hz)
{
    struct slr_resample *r = NULL;
    cr_assert_eq(slr_resample_open(in_hz, out_hz, &r), SLR_OK, "%u to %u", in_hz, out_hz);
    return r;
}

/* A whole run in pieces that `seed` draws (0: one piece). Returns the samples; out has room. */
static uint32_t whole_run(struct slr_resample *r, const int16_t *in, uint32_t samples, int16_t *out,
                          uint32_t out_max, uint32_t seed)
{
    uint32_t total = 0, n = 0;
    for (uint32_t at = 0; at < samples;) {
        uint32_t piece = seed ? next_random(&seed) % 700 : samples;
        if (piece > samples - at) {
            piece = samples - at;
        }
        cr_assert_leq(total + slr_resample_bound(r, piece), out_max);
        cr_assert_eq(slr_resample_run(r, in + at, piece, out + total, out_max - total, &n), SLR_OK);
        cr_assert_leq(n, slr_resample_bound(r, piece));
        at += piece;
        total += n;
    }
    cr_assert_eq(slr_resample_flush(r, out + total, out_max - total, &n), SLR_OK);
    cr_assert_leq(n, slr_resample_bound(r, 0));
    return total + n;
}

Test(resample, nothing_moves_in_time)
{
    for (size_t i = 0; i < PAIRS; i++) {
        const struct pair *p = &pairs[i];
        struct slr_resample *r = opened(p->in_hz, p->out_hz);
        uint32_t in_samples = p->in_hz / 4, room = p->out_hz / 2;
        int16_t *in = malloc(in_samples * sizeof *in), *out = malloc(room * sizeof *out);
        /* In the middle, and so near to both ends that the edges of the run are in it. */
        static const double places[] = {0.125, 0.0, 0.25};
        for (size_t place = 0; place < 3; place++) {
            for (uint32_t k = 0; k < in_samples; k++) {
                in[k] = (int16_t)lrint(burst((double)k / p->in_hz, places[place]));
            }
            uint32_t n = whole_run(r, in, in_samples, out, room, 0);
            cr_assert_eq(n, (uint32_t)llround((double)in_samples * p->out_hz / p->in_hz));
            /* The cut edge of a sounding run rings: there only the middle of it counts. */
            double tolerance = place == 0 ? 60 : 400;
            uint32_t edge = place == 0 ? 0 : p->out_hz / 200;
            for (uint32_t k = edge; k + edge < n; k++) {
                double want = burst((double)k / p->out_hz, places[place]);
                cr_assert(fabs(out[k] - want) <= tolerance, "%u to %u, sample %u of %u: %d, not %f",
                          p->in_hz, p->out_hz, k, n, out[k], want);
            }
        }
        free(in);
        free(out);
        slr_resample_close(r);
    }
}

/* An impulse upwards: the largest sample is the one at its time. */
Test(resample, impulse_stays_at_its_place)
{
    static const uint32_t factors[] = {2, 3, 6};
    for (size_t i = 0; i < 3; i++) {
        uint32_t factor = factors[i];
        struct slr_resample *r = opened(8000, 8000 * factor);
        int16_t in[400] = {0}, out[400 * 6 + 64];
        in[137] = 20000;
        uint32_t n = whole_run(r, in, 400, out, sizeof out / 2, 0), largest = 0;
        cr_assert_eq(n, 400 * factor);
        for (uint32_t k = 0; k < n; k++) {
            largest = out[k] > out[largest] ? k : largest;
        }
        cr_assert_eq(largest, 137 * factor, "%u, not %u", largest, 137 * factor);
        slr_resample_close(r);
    }
}

Test(resample, counts_are_exact_and_pieces_do_not_matter)
{
    enum { LONGEST = 9000 };
    uint32_t seed = SEED;
    int16_t *in = malloc(LONGEST * sizeof *in);
    for (uint32_t k = 0; k < LONGEST; k++) {
        in[k] = (int16_t)next_random(&seed);
    }
    for (size_t i = 0; i < PAIRS; i++) {
        const struct pair *p = &pairs[i];
        struct slr_resample *r = opened(p->in_hz, p->out_hz);
        uint32_t room = (uint32_t)((uint64_t)LONGEST * p->out_hz / p->in_hz) + 2000;
        int16_t *one = malloc(room * sizeof *one), *more = malloc(room * sizeof *more);
        for (int trial = 0; trial < 12; trial++) {
            uint32_t samples = trial < 6 ? (uint32_t)trial : next_random(&seed) % LONGEST;
            uint64_t want = ((uint64_t)samples * p->out_hz + p->in_hz / 2) / p->in_hz;
            uint32_t n = whole_run(r, in, samples, one, room, 0);
            cr_assert_eq(n, want, "%u samples of %u to %u: %u", samples, p->in_hz, p->out_hz, n);
            uint32_t pieces = next_random(&seed) | 1u;
            cr_assert_eq(whole_run(r, in, samples, more, room, pieces), want);
            cr_assert(memcmp(one, more, n * sizeof *one) == 0, "pieces by seed %u", pieces);
        }
        free(one);
        free(more);
        slr_resample_close(r);
    }
    free(in);
}

/* Sample by sample, as an impatient caller would. */
Test(resample, single_samples)
{
    struct slr_resample *r = opened(11025, 48000);
    int16_t in[300], one[1400], more[1400];
    uint32_t seed = SEED, total = 0, n = 0;
    for (uint32_t k = 0; k < 300; k++) {
        in[k] = (int16_t)next_random(&seed);
    }
    uint32_t want = whole_run(r, in, 300, one, 1400 + 0, 0);
    for (uint32_t k = 0; k < 300; k++) {
        cr_assert_eq(slr_resample_run(r, in + k, 1, more + total, 1400 - total, &n), SLR_OK);
        total += n;
    }
    /* What has come by now is no longer ago than what flush may hold. */
    cr_assert_leq(want - total, slr_resample_bound(r, 0));
    cr_assert_eq(slr_resample_flush(r, more + total, slr_resample_bound(r, 0), &n), SLR_OK);
    cr_assert_eq(total + n, want);
    cr_assert(memcmp(one, more, want * sizeof *one) == 0);
    slr_resample_close(r);
}

Test(resample, reset_drops_what_is_held)
{
    struct slr_resample *r = opened(8000, 16000);
    int16_t in[800], noise[800], fresh[2000], after[2000];
    uint32_t seed = SEED, n = 0;
    for (uint32_t k = 0; k < 800; k++) {
        in[k] = (int16_t)next_random(&seed);
        noise[k] = (int16_t)next_random(&seed);
    }
    uint32_t want = whole_run(r, in, 800, fresh, 2000, 0);
    cr_assert_eq(slr_resample_run(r, noise, 777, after, 2000, &n), SLR_OK);
    slr_resample_reset(r);
    cr_assert_eq(slr_resample_flush(r, after, 2000, &n), SLR_OK);
    cr_assert_eq(n, 0u, "nothing is held after a reset");
    cr_assert_eq(whole_run(r, in, 800, after, 2000, 0), want);
    cr_assert(memcmp(fresh, after, want * sizeof *after) == 0);
    slr_resample_close(r);
}

Test(resample, equal_rates_copy)
{
    struct slr_resample *r = opened(16000, 16000);
    int16_t in[500], out[500];
    uint32_t seed = SEED, n = 0;
    for (uint32_t k = 0; k < 500; k++) {
        in[k] = (int16_t)next_random(&seed);
    }
    cr_assert_eq(slr_resample_run(r, in, 500, out, 500, &n), SLR_OK);
    cr_assert_eq(n, 500u);
    cr_assert(memcmp(in, out, sizeof in) == 0);
    cr_assert_eq(slr_resample_flush(r, out, 0, &n), SLR_OK);
    cr_assert_eq(n, 0u);
    slr_resample_close(r);
}

Test(resample, loud_samples_do_not_wrap)
{
    struct slr_resample *r = opened(8000, 48000);
    int16_t in[400], out[3000];
    for (uint32_t k = 0; k < 400; k++) {
        in[k] = k / 20 % 2 ? INT16_MIN : INT16_MAX; /* overshoots between the samples */
    }
    uint32_t n = whole_run(r, in, 400, out, 3000, 0);
    for (uint32_t k = 24; k + 24 < n; k++) {
        uint32_t half = k / 120 % 2, edge = k % 120;
        if (edge >= 12 && edge < 108) {
            cr_assert(half ? out[k] < -28000 : out[k] > 28000, "sample %u is %d", k, out[k]);
        }
    }
    slr_resample_close(r);
}

/* What the lower rate can't hold is gone, not folded down. */
Test(resample, no_aliases)
{
    struct slr_resample *r = opened(48000, 8000);
    int16_t in[9600], out[2000];
    for (uint32_t k = 0; k < 9600; k++) {
        in[k] = (int16_t)lrint(16000 * sin(2 * PI * 5000.0 * k / 48000));
    }
    uint32_t n = whole_run(r, in, 9600, out, 2000, 0);
    for (uint32_t k = 200; k + 200 < n; k++) {
        cr_assert_leq(abs(out[k]), 16, "sample %u is %d", k, out[k]);
    }
    slr_resample_close(r);
}

Test(resample, wrong_arguments)
{
    struct slr_resample *r = NULL;
    int16_t in[160] = {0}, out[400];
    uint32_t n = 7;
    cr_assert_eq(slr_resample_open(0, 8000, &r), SLR_INVAL);
    cr_assert_eq(slr_resample_open(8000, 0, &r), SLR_INVAL);
    cr_assert_eq(slr_resample_open(8000, SLR_RESAMPLE_MAX_HZ + 1, &r), SLR_INVAL);
    cr_assert_null(r);
    slr_resample_close(NULL);
    r = opened(8000, 16000);
    cr_assert_eq(slr_resample_run(r, in, 160, out, 300, &n), SLR_TRUNCATED);
    cr_assert_eq(slr_resample_flush(r, out, 3, &n), SLR_TRUNCATED);
    cr_assert_eq(n, 7u);
    slr_resample_close(r);
}

Test(resample, no_allocation_on_the_path)
{
    struct slr_resample *r = opened(11025, 48000);
    static int16_t in[20000], out[100000];
    uint32_t n = 0;
    unsigned before = allocations;
    if (COUNTS_ALLOCATIONS) {
        cr_assert_gt(before, 0u, "open allocates, and the count sees it");
    }
    for (int k = 0; k < 5; k++) {
        bool ok = slr_resample_run(r, in, 20000, out, 100000, &n) == SLR_OK;
        ok = ok && slr_resample_flush(r, out, 100000, &n) == SLR_OK;
        slr_resample_reset(r);
        if (!ok || allocations != before) {
            cr_assert(ok);
            cr_assert_eq(allocations, before);
        }
    }
    slr_resample_close(r);
}

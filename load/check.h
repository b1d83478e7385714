/*
 * check: one leg's channel of a recording against what was sent: each frame at its exact place,
 * silence everywhere else, nothing of anybody else. Pure but for memory during the call; any
 * thread.
 */
#ifndef SLR_LOAD_CHECK_H
#define SLR_LOAD_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "load/impair.h"
#include "load/voice.h"

/* Kinds of ledger spans, in the order of storage/span.def. */
enum slr_check_kind {
#define SPAN(name, text) SLR_KIND_##name,
#include "storage/span.def"
#undef SPAN
    SLR_KIND_COUNT
};

/* Where a stretch of the channel comes from, as the ledger says. Samples. */
struct slr_check_span {
    int64_t start, len;
    uint32_t kind; /* SLR_KIND_COUNT: unknown */
};

struct slr_check_leg {
    const struct slr_voice *voice;
    const struct slr_impair *impair;
    uint32_t run_id, call, leg;
    uint32_t frames; /* that were due */
    int64_t expect;  /* sample at which frame 0 should lie, by the clocks */
    int64_t search;  /* how far from it it is looked for */
};

struct slr_check_track {
    const uint8_t *at; /* one channel, in the file's format */
    size_t samples;
    enum slr_sample_format format;
    const struct slr_check_span *span;
    size_t span_count;
};

struct slr_check_result {
    uint64_t expected; /* frames that left */
    uint64_t found;    /* at their place, to the sample */
    uint64_t lost, misplaced, damaged;
    uint64_t leaked;                  /* frames of other legs or calls */
    uint64_t lost_by[SLR_KIND_COUNT]; /* what the ledger says of the place of a lost one */
    uint64_t lost_unsaid;             /* the ledger says that it is there, or nothing */
    int64_t anchor;                   /* where frame 0 lies */
    uint32_t first_bad;               /* frame at which something is amiss, else frames */
    bool anchored;                    /* one frame at least was found */
};

/* Adds to *r nothing of before: it is set. SLR_NOMEM; SLR_UNSUPPORTED: the file's format can't hold
 * that voice. */
enum slr_err slr_check_leg(const struct slr_check_leg *c, const struct slr_check_track *t,
                           struct slr_check_result *r) SLR_CHECKED;

/* Frames of a leg that left (and were not lost by us). */
uint64_t slr_check_expected(const struct slr_check_leg *c);

#endif

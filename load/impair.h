/*
 * impair: what the sender makes of each frame: talk or a pause in it, lost, late, twice. A function
 * of the seed, the leg and the frame's number alone, so that the checker knows it, too, and a run
 * is repeated by its seed. Pure, any thread, allocates nothing.
 *
 * A frame is a packet's time (20 ms) of a leg, counted from its first. The first
 * SLR_IMPAIR_GRACE frames of a leg know jitter, nothing else: what becomes of a stream that is not
 * believed yet is not what a load test is about.
 */
#ifndef SLR_LOAD_IMPAIR_H
#define SLR_LOAD_IMPAIR_H

#include <stdbool.h>
#include <stdint.h>

#define SLR_IMPAIR_GRACE 50u
#define SLR_IMPAIR_DELAY_MAX_US 800000u /* less than the least placement window */
#define SLR_FATE_NO_COPY UINT32_MAX

struct slr_impair {
    uint64_t seed;
    uint32_t loss_ppm;      /* single packets */
    uint32_t burst_ppm;     /* chance that a burst of losses begins at a packet */
    uint32_t burst_pkts;    /* longest burst, 2..64 */
    uint32_t reorder_ppm;   /* packets that come 1..reorder_pkts packets later */
    uint32_t reorder_pkts;  /* 1..32 */
    uint32_t duplicate_ppm; /* packets that come twice */
    uint32_t jitter_us;     /* every packet is delayed by 0..jitter_us */
    int32_t skew_ppm;       /* how much the second leg's clock is fast */
    bool dtx;               /* talk and pauses: 2.4 s and 1.6 s, with comfort noise packets */
};

struct slr_fate {
    bool talk;         /* sound in it; else nothing is sent, but for: */
    bool comfort;      /* a comfort noise packet */
    bool marker;       /* first of a talk spurt */
    bool dropped;      /* lost on the way, by us: has its sequence number, is never sent */
    uint32_t delay_us; /* later than due, at most SLR_IMPAIR_DELAY_MAX_US */
    uint32_t copy_us;  /* when its copy follows after the due time; SLR_FATE_NO_COPY */
    uint32_t seq;      /* packets (lost ones, too) before this one in the leg */
};

/* comfort: whether comfort noise packets are sent in pauses. */
void slr_impair_fate(const struct slr_impair *im, bool comfort, uint32_t call, uint32_t leg,
                     uint32_t frame, struct slr_fate *out);

/* How much a leg's clock is fast, ppm: the first one is right. */
int32_t slr_impair_skew_ppm(const struct slr_impair *im, uint32_t leg);

/* The longest delay that fates can have. */
uint32_t slr_impair_delay_max_us(const struct slr_impair *im);

#endif

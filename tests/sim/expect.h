/*
 * expect: what a channel's frames are to be, and what the ledger may call them. Made from the
 * truth (truth.c) for one leg; memory belongs to struct sim_expect.
 */
#ifndef SLR_TESTS_SIM_EXPECT_H
#define SLR_TESTS_SIM_EXPECT_H

#include <jansson.h>

#include "tests/sim/sim.h"

#define SIM_ANY_SAMPLE INT32_MAX

/* A gap whose loss is known exactly. */
struct sim_gap {
    int64_t from, to; /* ticks */
    uint32_t missing;
    bool concealed;
};

struct sim_expect {
    int64_t frames, len_ticks;
    int32_t *sample;
    uint16_t *kinds;
    struct sim_gap *gap;
    uint32_t gap_count, gap_size;
};

struct sim_channel;

void sim_expect_make(const struct sim *m, uint32_t leg, int64_t frames, int64_t len_ticks,
                     struct sim_expect *e);
void sim_expect_free(struct sim_expect *e);
/* Where the ledger says that a loss was concealed, any sound may be. */
void sim_expect_hear(const struct sim_channel *c, struct sim_expect *e);

/* Ends the process, naming the seed. */
void sim_fail(const struct sim *m, const char *format, ...)
    __attribute__((format(printf, 2, 3), noreturn));
/* -1 where it is missing. */
int64_t sim_number(json_t *o, const char *key);

/* Where the packet begins and ends in the file, in ticks; at the earliest. */
int64_t sim_place(const struct sim_leg *leg, const struct sim_packet *p);
int64_t sim_place_end(const struct sim *m, const struct sim_leg *leg, const struct sim_packet *p);

/* account.c: the ledger of a leg. */
void sim_check_spans(const struct sim *m, uint32_t n, const struct sim_channel *c,
                     const struct sim_expect *e);
/* clock.c: what it says of its clock. */
void sim_check_clock(const struct sim *m, uint32_t n, const struct sim_channel *c);
void sim_check_streams(const struct sim *m, uint32_t n, json_t *leg);
/* c: a channel for each leg. */
void sim_check_digits(const struct sim *m, json_t *ledger, const struct sim_channel *c);

#endif

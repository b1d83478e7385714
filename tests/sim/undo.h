/*
 * undo: one leg's channel of a recording in the leg's own time: corrections for clock skew are
 * taken back as docs/ledger.md says. Memory belongs to struct sim_channel.
 */
#ifndef SLR_TESTS_SIM_UNDO_H
#define SLR_TESTS_SIM_UNDO_H

#include "tests/sim/result.h"
#include "tests/sim/sim.h"

struct sim_span {
    const char *kind, *cause; /* of the ledger, borrowed; cause may be NULL */
    int64_t from, len, packets;
};

struct sim_channel {
    int64_t frames, len_ticks, tpf;
    int32_t *sample;
    struct sim_span *span;
    uint32_t span_count;
    int64_t corrected_ticks; /* leg time is file time less that, at the end */
    int64_t most_ticks;      /* the most that it ever was, either way */
    json_t *ledger;          /* the leg's object, borrowed */
};

/* Ends the process where spans have holes, or a correction says nothing. */
void sim_undo(const struct sim *m, const struct sim_result *r, uint32_t channel, json_t *leg,
              struct sim_channel *c);
void sim_undo_free(struct sim_channel *c);

/* Leg time of a place in the file. */
int64_t sim_undo_place(const struct sim_channel *c, int64_t file_ticks);

#endif

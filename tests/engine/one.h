/*
 * one: a session in its fixture, with one leg whose peer sends A-law, and what came of it. Only
 * for tests of engine/; see fixture.h.
 */
#ifndef SLR_TESTS_ENGINE_ONE_H
#define SLR_TESTS_ENGINE_ONE_H

#include "tests/engine/outcome.h"

struct one {
    struct fx f;
    struct slr_session *s;
    struct slr_leg *leg;
    uint32_t slot; /* of the leg */
    char id[SLR_ID_SIZE];
    int64_t written_ms; /* for tests in which the writer runs along */
    struct fx_result r;
};

/* The leg has channel 0 of so many. */
static inline void begin_one(struct one *o, uint32_t channels)
{
    fx_open(&o->f);
    o->s = fx_session(&o->f, channels);
    o->slot = fx_leg(&o->f, o->s, 0, 8);
    o->leg = &o->f.e.state->leg[o->slot];
    memcpy(o->id, o->s->id, sizeof o->id);
    o->written_ms = 0;
}

/* The session ends; its file and its ledger are in o->r. */
static inline void end_one(struct one *o, int64_t at_ms)
{
    fx_end(&o->f, o->s, at_ms);
    fx_result(&o->f, o->id, &o->r);
}

/* After end_one. */
static inline void done_one(struct one *o)
{
    fx_result_free(&o->r);
    fx_close(&o->f);
}

#endif

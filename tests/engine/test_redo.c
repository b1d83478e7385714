/*
 * Redo: what a block changes of its legs counts exactly when the block does, wherever the process
 * dies.
 */
#include "tests/engine/drive.h"

enum { LEGS = 2, WRITER = 63 };

struct one {
    struct fx f;
    struct slr_session *s;
    uint32_t slot[LEGS];
    char id[SLR_ID_SIZE];
};

static void begin(struct one *o)
{
    memset(o, 0, sizeof *o);
    fx_open(&o->f);
    o->s = fx_session(&o->f, LEGS);
    memcpy(o->id, o->s->id, sizeof o->id);
    for (uint32_t i = 0; i < LEGS; i++) {
        o->slot[i] = fx_leg(&o->f, o->s, i, 8);
        o->f.e.state->leg[o->slot[i]].cursor.at_ticks = 10 + i;
        o->f.e.state->leg[o->slot[i]].skew.note_count = 1 + i;
    }
}

static struct slr_redo *make_block(struct one *o)
{
    struct slr_state *s = o->f.e.state;
    struct slr_redo *r = slr_redo_begin(s, WRITER, (uint32_t)(o->s - s->session), LEGS);
    for (uint32_t i = 0; i < LEGS; i++) {
        cr_assert_eq(r->leg[i].slot, o->slot[i]);
        cr_assert_eq(r->leg[i].cursor.at_ticks, 10 + i);
        cr_assert_eq(r->leg[i].skew.note_count, 1 + i);
        r->leg[i].cursor.at_ticks = 20 + i;
        r->leg[i].skew.note_count = 3 + i;
    }
    return r;
}

static void check(const struct one *o, bool counts)
{
    for (uint32_t i = 0; i < LEGS; i++) {
        const struct slr_leg *leg = &o->f.e.state->leg[o->slot[i]];
        cr_assert_eq(leg->cursor.at_ticks, (counts ? 20 : 10) + i);
        cr_assert_eq(leg->skew.note_count, (counts ? 3u : 1u) + i);
    }
}

Test(redo, counts_with_the_block)
{
    struct one o;
    begin(&o);
    uint32_t before = atomic_load(&o.s->commit_index);
    (void)make_block(&o);
    check(&o, false);
    slr_redo_commit(o.f.e.state, WRITER);
    check(&o, true);
    cr_assert_eq(atomic_load(&o.s->commit_index), !before);
    cr_assert_eq(atomic_load(&o.f.e.state->header->redo[WRITER]), 0u);
    fx_close(&o.f);
}

/* What slr_redo_commit stores, one after the other; the next process goes on from there. */
Test(redo, a_death_after_any_store)
{
    for (uint32_t stores = 0; stores <= 7; stores++) {
        struct one o;
        begin(&o);
        struct slr_redo *r = make_block(&o);
        struct slr_state *s = o.f.e.state;
        if (stores > 0) {
            atomic_store(&s->header->redo[WRITER], !atomic_load(&o.s->commit_index) + 1);
        }
        if (stores > 1) {
            atomic_store(&o.s->commit_index, !atomic_load(&o.s->commit_index));
        }
        for (uint32_t i = 0; i < LEGS; i++) {
            if (stores > 2 + 2 * i) {
                s->leg[o.slot[i]].cursor = r->leg[i].cursor;
            }
            if (stores > 3 + 2 * i) {
                s->leg[o.slot[i]].skew = r->leg[i].skew;
            }
        }
        if (stores > 6) {
            atomic_store(&s->header->redo[WRITER], 0);
        }
        fx_die(&o.f);
        fx_boot(&o.f);
        o.s = slr_engine_session_find(&o.f.e, o.id);
        cr_assert_not_null(o.s);
        check(&o, stores > 1);
        cr_assert_eq(atomic_load(&o.f.e.state->header->redo[WRITER]), 0u);
        fx_close(&o.f);
    }
}

/* A block that was refused by the disk leaves nothing, and the next one begins with what holds. */
Test(redo, a_block_that_does_not_count)
{
    struct one o;
    begin(&o);
    (void)make_block(&o);
    (void)make_block(&o);
    slr_redo_commit(o.f.e.state, WRITER);
    check(&o, true);
    fx_close(&o.f);
}

/* While one writer waits for its disk, its twin has blocks of other sessions. */
Test(redo, two_at_once)
{
    struct one o;
    begin(&o);
    struct slr_state *s = o.f.e.state;
    struct slr_session *other = fx_session(&o.f, 1);
    uint32_t slot = fx_leg(&o.f, other, 0, 8);
    (void)make_block(&o);
    struct slr_redo *r = slr_redo_begin(s, SLR_REDOS - 1, (uint32_t)(other - s->session), 1);
    r->leg[0].cursor.at_ticks = 5;
    slr_redo_commit(s, SLR_REDOS - 1);
    cr_assert_eq(s->leg[slot].cursor.at_ticks, 5);
    check(&o, false);
    slr_redo_commit(s, WRITER);
    check(&o, true);
    fx_close(&o.f);
}

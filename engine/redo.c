/*
 * redo: see the header.
 */
#include "engine/redo.h"

#include "engine/state.h"

struct slr_redo *slr_redo_begin(struct slr_state *s, uint32_t writer, uint32_t session,
                                uint32_t count)
{
    struct slr_redo *r = &s->redo[writer % SLR_REDOS];
    r->session = session;
    r->count = count < SLR_REDO_LEGS ? count : SLR_REDO_LEGS;
    for (uint32_t i = 0; i < r->count; i++) {
        r->leg[i].slot = atomic_load(&s->session[session].leg[i]);
        r->leg[i].cursor = s->leg[r->leg[i].slot].cursor;
        r->leg[i].skew = s->leg[r->leg[i].slot].skew;
    }
    return r;
}

/* Right however often it is done. */
static void copy(struct slr_state *s, const struct slr_redo *r)
{
    for (uint32_t i = 0; i < r->count && i < SLR_REDO_LEGS; i++) {
        if (r->leg[i].slot < s->leg_max) {
            s->leg[r->leg[i].slot].cursor = r->leg[i].cursor;
            s->leg[r->leg[i].slot].skew = r->leg[i].skew;
        }
    }
}

void slr_redo_commit(struct slr_state *s, uint32_t writer)
{
    const struct slr_redo *r = &s->redo[writer % SLR_REDOS];
    slr_redo_mark *mark = &s->header->redo[writer % SLR_REDOS];
    _Atomic uint32_t *index = &s->session[r->session].commit_index;
    uint32_t flipped = !(atomic_load(index) & 1);
    atomic_store_explicit(mark, flipped + 1, memory_order_seq_cst);
    atomic_store_explicit(index, flipped, memory_order_seq_cst);
    copy(s, r);
    atomic_store_explicit(mark, 0, memory_order_release);
}

void slr_redo_settle(struct slr_state *s)
{
    for (uint32_t i = 0; i < SLR_REDOS; i++) {
        uint32_t mark = atomic_load(&s->header->redo[i]);
        if (mark != 0 && s->redo[i].session < slr_state_sessions(s) &&
            (atomic_load(&s->session[s->redo[i].session].commit_index) & 1) == mark - 1) {
            copy(s, &s->redo[i]);
        }
        atomic_store(&s->header->redo[i], 0);
    }
}

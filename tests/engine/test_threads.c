/*
 * What one thread of the engine may find while another one works on the same session or leg. The
 * races themselves are looked for by ThreadSanitizer (tests/soak/test_tsan.py).
 */
#include "tests/engine/outcome.h"

/* What is sealed is read by the sealer: nothing changes it any more. */
Test(threads, a_leg_of_a_closing_session_is_not_updated)
{
    struct fx f;
    fx_open(&f);
    struct slr_session *s = fx_session(&f, 2);
    uint32_t slot = fx_leg(&f, s, 0, 8);
    struct slr_leg_params p = {
        .session = s->id, .leg = "leg-0", .dn = "7000", .has = SLR_LEG_HAS_DN};
    cr_assert_eq(slr_engine_leg_update(&f.e, &p), SLR_OK);
    cr_assert_str_eq(f.e.state->leg[slot].dn, "7000");
    cr_assert_eq(slr_engine_session_end(&f.e, s, "bye", INT64_MIN), SLR_OK);
    p.dn = "7001";
    cr_assert_eq(slr_engine_leg_update(&f.e, &p), SLR_STATE);
    cr_assert_str_eq(f.e.state->leg[slot].dn, "7000");
    fx_close(&f);
}

/* The writer reads the rows that are resolved while the worker adds one. */
Test(threads, rows_that_are_resolved_are_not_written_again)
{
    struct fx f;
    fx_open(&f);
    struct slr_session *s = fx_session(&f, 1);
    uint32_t slot = fx_leg(&f, s, 0, 8);
    struct slr_leg_codecs *c = &f.e.codecs[slot];
    cr_assert_eq(atomic_load(&c->rows), 3u);
    c->use[0].codec = NULL; /* stays so: it is not looked up a second time */
    struct slr_leg_params p = {
        .session = s->id, .leg = "leg-0", .pt_count = 1, .has = SLR_LEG_HAS_CODECS};
    fx_row(&p.pt[0], 0, "PCMU");
    cr_assert_eq(slr_engine_leg_update(&f.e, &p), SLR_OK);
    cr_assert_eq(atomic_load(&c->rows), 4u);
    cr_assert_null(c->use[0].codec);
    cr_assert_eq(c->use[3].codec->static_pt, 0);
    slr_engine_leg_reset(&f.e, slot);
    cr_assert_eq(atomic_load(&c->rows), 0u);
    fx_close(&f);
}

/* The worker chose the end while the writer wrote media that came ahead of time. */
Test(threads, an_end_before_what_is_written_moves_there)
{
    struct fx f;
    struct fx_result r;
    char id[SLR_ID_SIZE];
    fx_open(&f);
    struct slr_session *s = fx_session(&f, 1);
    uint32_t slot = fx_leg(&f, s, 0, 8);
    memcpy(id, s->id, sizeof id);
    fx_stream(&f, slot, 0, 7, 0, 200);
    fx_write(&f, 4000);
    int64_t written = slr_session_written_ticks(s);
    cr_assert_gt(written, SLR_TICKS_HZ);
    cr_assert_eq(slr_engine_session_end(&f.e, s, "bye", SLR_TICKS_HZ), SLR_OK);
    atomic_store(&s->end_ticks, SLR_TICKS_HZ);
    fx_write(&f, 4000);
    cr_assert_eq(atomic_load(&s->end_ticks), written);
    cr_assert_eq(slr_sealer_step(&f.e.sealer), 0u);
    fx_result(&f, id, &r); /* spans add up to the length, frames too */
    fx_result_free(&r);
    fx_close(&f);
}

/* A disk that stands still does not make the list of deletions grow without end. */
Test(threads, deletions_that_wait_are_bounded)
{
    struct fx f;
    fx_open(&f);
    const char *id = "0123456789ab00000000000000000000";
    for (uint32_t i = 0; i < SLR_SEALER_DELETES; i++) {
        cr_assert_eq(slr_sealer_delete(&f.e.sealer, id), SLR_OK);
    }
    cr_assert_eq(slr_sealer_delete(&f.e.sealer, id), SLR_FULL);
    cr_assert_eq(slr_sealer_step(&f.e.sealer), 0u);
    cr_assert_eq(slr_sealer_delete(&f.e.sealer, id), SLR_OK);
    fx_close(&f);
}

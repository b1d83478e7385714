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
    c->codec[0] = NULL; /* stays so: it is not looked up a second time */
    struct slr_leg_params p = {
        .session = s->id, .leg = "leg-0", .pt_count = 1, .has = SLR_LEG_HAS_CODECS};
    fx_row(&p.pt[0], 0, "PCMU");
    cr_assert_eq(slr_engine_leg_update(&f.e, &p), SLR_OK);
    cr_assert_eq(atomic_load(&c->rows), 4u);
    cr_assert_null(c->codec[0]);
    cr_assert_eq(c->codec[3]->static_pt, 0);
    slr_engine_leg_reset(&f.e, slot);
    cr_assert_eq(atomic_load(&c->rows), 0u);
    fx_close(&f);
}

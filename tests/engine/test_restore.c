/*
 * Restore: the process dies between any two steps and starts again: same recording, same bytes as
 * without the death, and the time in between is accounted for.
 */
#include "engine/queue.h"
#include "tests/engine/outcome.h"

#define A 0xaaaa0001u
#define B 0xbbbb0002u

struct two {
    struct fx f;
    struct slr_session *s;
    uint32_t slot[2];
    char id[SLR_ID_SIZE];
    struct fx_result r;
};

static void begin(struct two *t)
{
    fx_open(&t->f);
    t->s = fx_session(&t->f, 2);
    t->slot[0] = fx_leg(&t->f, t->s, 0, 8);
    t->slot[1] = fx_leg(&t->f, t->s, 1, 8);
    memcpy(t->id, t->s->id, sizeof t->id);
}

static void restart(struct two *t)
{
    fx_die(&t->f);
    fx_boot(&t->f);
    t->s = slr_engine_session_find(&t->f.e, t->id);
    cr_assert_not_null(t->s);
}

static void end(struct two *t, int64_t at_ms)
{
    fx_end(&t->f, t->s, at_ms);
    fx_result(&t->f, t->id, &t->r);
}

static void done(struct two *t)
{
    fx_result_free(&t->r);
    fx_close(&t->f);
}

enum death { NONE, AFTER_PUT, AFTER_WRITE, BETWEEN, BEFORE_COMMIT };

/* What a death between the file's append and the commit leaves: bytes of a block in the file and
 * spans in the journal that no commit names. */
static void leave_uncommitted(struct two *t, int64_t at_ms)
{
    size_t n = t->f.e.state->map_bytes;
    uint8_t *before = malloc(n);
    cr_assert_not_null(before);
    memcpy(before, t->f.e.state->header, n);
    fx_write(&t->f, at_ms);
    memcpy((void *)t->f.e.state->header, before, n);
    free(before);
}

/* A call with losses, jitter and a change of SSRC; dies `every` so many packets. */
static void call(struct two *t, enum death death, uint32_t every)
{
    static const int64_t jitter_ms[] = {0, 9, 3, 15, 7, 1, 12};
    begin(t);
    for (uint32_t k = 0; k < 400; k++) {
        /* not while a new SSRC waits: what a restart hears anew, it must hear for 100 ms */
        bool dies = every && k % every == every / 2 && (k < 250 || k >= 256);
        uint32_t ssrc = k < 250 ? A : B;
        if (k % 31 != 30) {
            int64_t at = k * 20 + (k > 240 && k < 260 ? 0 : jitter_ms[k % 7]);
            struct fx_packet p = fx_audio(ssrc, k, 100, 5000);
            cr_assert_eq(fx_kept(fx_rtp(&t->f, t->slot[0], at, p)), SLR_VERDICT_TAKEN);
        }
        struct fx_packet p = fx_audio(B, k, 65000, 1);
        cr_assert_eq(fx_rtp(&t->f, t->slot[1], k * 20 + 15, p), SLR_VERDICT_TAKEN);
        if (dies && death == BEFORE_COMMIT) {
            leave_uncommitted(t, k * 20 + 16);
        }
        if (dies && death != AFTER_WRITE) {
            restart(t);
        }
        fx_write(&t->f, k * 20 + 16);
        if (dies && (death == AFTER_WRITE || death == BETWEEN)) {
            restart(t);
        }
    }
    fx_clock(&t->f, 8000);
    cr_assert_eq(slr_engine_session_end(&t->f.e, t->s, "bye", INT64_MIN), SLR_OK);
    if (every) {
        restart(t);
    }
    fx_write(&t->f, 8000);
    if (every) {
        restart(t);
        fx_write(&t->f, 8000);
    }
    cr_assert_eq(slr_sealer_step(&t->f.e.sealer), 0u);
    fx_result(&t->f, t->id, &t->r);
}

/* Spans but for the engine's absences, which are of no length here. */
static void same(const struct two *a, const struct two *b)
{
    cr_assert_eq(a->r.len_bytes, b->r.len_bytes);
    for (size_t i = 0; i < a->r.len_bytes; i++) {
        cr_assert_eq(a->r.file[i], b->r.file[i], "byte %zu", i);
    }
    json_t *la = json_object_get(fx_leg_json(&a->r, 0), "streams");
    json_t *lb = json_object_get(fx_leg_json(&b->r, 0), "streams");
    cr_assert(json_equal(la, lb));
}

static void dies(enum death death, uint32_t every)
{
    struct two a;
    struct two b;
    call(&a, NONE, 0);
    call(&b, death, every);
    same(&a, &b);
    done(&a);
    done(&b);
}

Test(restore, after_a_packet_was_kept)
{
    dies(AFTER_PUT, 1);
}

Test(restore, after_a_block_was_written)
{
    dies(AFTER_WRITE, 1);
    dies(AFTER_WRITE, 7);
}

Test(restore, twice_in_a_row)
{
    dies(BETWEEN, 3);
}

Test(restore, between_the_file_and_the_commit)
{
    dies(BEFORE_COMMIT, 1);
}

/* The hole is the engine's, in both channels, and what waited at its start is there. */
Test(restore, the_hole_is_accounted_for)
{
    struct two t;
    begin(&t);
    for (uint32_t k = 0; k < 400; k++) {
        if (k == 150) {
            fx_clock(&t.f, 2995);
            fx_die(&t.f);
            int64_t back = FX_START_NS + 5000 * SLR_NS_PER_MS;
            slr_clock_advance(t.f.e.virtual_clock, (slr_wall){back});
            fx_boot(&t.f);
            t.s = slr_engine_session_find(&t.f.e, t.id);
            k = 250;
        }
        struct fx_packet p = fx_audio(A, k, 100, 5000);
        cr_assert_eq(fx_rtp(&t.f, t.slot[0], k * 20, p), SLR_VERDICT_TAKEN);
        if (k < 50) {
            cr_assert_eq(fx_rtp(&t.f, t.slot[1], k * 20, fx_audio(B, k, 100, 5000)),
                         SLR_VERDICT_TAKEN);
        }
        fx_write(&t.f, k * 20);
    }
    end(&t, 8000);
    fx_assert_audio(&t.r, 0, 0, 24000, A, 0);
    fx_assert_silence(&t.r, 0, 24000, 16000);
    fx_assert_audio(&t.r, 0, 40000, 24000, A, 40000);
    fx_assert_spans(&t.r, 0, "received 0+3000, engine-down 3000+2000, received 5000+3000");
    fx_assert_spans(&t.r, 1,
                    "received 0+1000, ended 1000+1745, engine-down 2745+2505, ended "
                    "5250+2750");
    done(&t);
}

Test(restore, a_pause_goes_on)
{
    struct two t;
    begin(&t);
    for (uint32_t k = 0; k < 300; k++) {
        if (k == 50) {
            fx_pause(&t.f, t.s, 999, true);
        } else if (k == 100) {
            restart(&t);
        } else if (k == 200) {
            fx_pause(&t.f, t.s, 3995, false);
            restart(&t);
        }
        struct fx_packet p = fx_audio(A, k, 100, 5000);
        enum slr_verdict v = fx_rtp(&t.f, t.slot[0], k * 20, p);
        cr_assert_eq(v, k >= 50 && k < 200 ? SLR_VERDICT_SUPPRESSED : SLR_VERDICT_TAKEN);
        fx_write(&t.f, k * 20);
    }
    end(&t, 6000);
    fx_assert_silence(&t.r, 0, 8000, 24000);
    fx_assert_audio(&t.r, 0, 32000, 16000, A, 32000);
    fx_assert_spans(&t.r, 0, "received 0+1000, paused 1000+3000, received 4000+2000");
    done(&t);
}

/* It died with the flag set and the lists not yet written: paused it is, on all legs. */
Test(restore, half_a_pause_is_a_pause)
{
    struct two t;
    begin(&t);
    for (uint32_t k = 0; k < 50; k++) {
        cr_assert_eq(fx_rtp(&t.f, t.slot[0], k * 20, fx_audio(A, k, 100, 5000)), SLR_VERDICT_TAKEN);
    }
    atomic_store(&t.s->paused, 1);
    restart(&t);
    cr_assert_eq(fx_rtp(&t.f, t.slot[0], 1000, fx_audio(A, 50, 100, 5000)), SLR_VERDICT_SUPPRESSED);
    fx_pause(&t.f, t.s, 1500, false);
    /* said in the pause, came after it */
    cr_assert_eq(fx_rtp(&t.f, t.slot[0], 1510, fx_audio(A, 60, 100, 5000)), SLR_VERDICT_SUPPRESSED);
    cr_assert_eq(fx_rtp(&t.f, t.slot[0], 1520, fx_audio(A, 76, 100, 5000)), SLR_VERDICT_TAKEN);
    end(&t, 1540);
    fx_assert_silence(&t.r, 0, 8000, 4160);
    done(&t);
}

/* Joined, but not yet open. */
Test(restore, half_a_join_is_a_leg)
{
    struct two t;
    begin(&t);
    atomic_store(&t.f.e.state->leg[t.slot[1]].state, SLR_LEG_SETUP);
    uint32_t before = t.f.sockets_added;
    restart(&t);
    cr_assert_eq(atomic_load(&t.f.e.state->leg[t.slot[1]].state), (uint32_t)SLR_LEG_OPEN);
    cr_assert_geq(t.f.sockets_added, before + 2);
    end(&t, 100);
    done(&t);
}

/* A leg that was being set up for nobody, and a session likewise. */
Test(restore, what_was_never_finished_is_freed)
{
    struct two t;
    begin(&t);
    uint32_t slot = slr_engine_leg_slot(&t.f.e);
    slr_engine_leg_reset(&t.f.e, slot);
    atomic_store(&t.f.e.state->session[5].state, SLR_SESSION_SETUP);
    restart(&t);
    cr_assert_eq(atomic_load(&t.f.e.state->leg[slot].state), (uint32_t)SLR_LEG_FREE);
    cr_assert_eq(atomic_load(&t.f.e.state->session[5].state), (uint32_t)SLR_SESSION_FREE);
    end(&t, 100);
    done(&t);
}

/* After a reboot the monotonic clock began anew: sealed with what is there. */
Test(restore, a_reboot_ends_it)
{
    struct two t;
    begin(&t);
    for (uint32_t k = 0; k < 100; k++) {
        cr_assert_eq(fx_rtp(&t.f, t.slot[0], k * 20, fx_audio(A, k, 100, 5000)), SLR_VERDICT_TAKEN);
        fx_write(&t.f, k * 20);
    }
    snprintf(t.f.e.state->header->boot_id, sizeof t.f.e.state->header->boot_id, "another");
    restart(&t);
    fx_write(&t.f, 3000);
    cr_assert_eq(slr_sealer_step(&t.f.e.sealer), 0u);
    fx_result(&t.f, t.id, &t.r);
    fx_assert_audio(&t.r, 0, 0, 16000, A, 0);
    cr_assert_str_eq(json_string_value(json_object_get(t.r.ledger, "state")), "partial");
    cr_assert_eq(json_integer_value(json_object_get(t.r.ledger, "len_ticks")), 2000 * FX_MS);
    cr_assert_eq(fx_stream_count(&t.r, 0, 0, "packets"), 100, "those on the short way, too");
    cr_assert_eq(fx_stream_count(&t.r, 0, 0, "placed"), 100);
    done(&t);
}

/* More deaths than a session can list. */
Test(restore, a_hundred_deaths)
{
    struct two t;
    begin(&t);
    for (uint32_t k = 0; k < 1000; k++) {
        if (k % 10 == 9) {
            restart(&t);
        }
        cr_assert_eq(fx_rtp(&t.f, t.slot[0], k * 20, fx_audio(A, k, 100, 5000)), SLR_VERDICT_TAKEN);
        fx_write(&t.f, k * 20);
    }
    end(&t, 20000);
    fx_assert_audio(&t.r, 0, 0, 160000, A, 0);
    fx_assert_spans(&t.r, 0, "received 0+20000");
    done(&t);
}

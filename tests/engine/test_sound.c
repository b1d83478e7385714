/*
 * The alarm of a silent leg for each of its causes, when it has to keep still, and the quality that
 * stands in the ledger.
 */
#include <math.h>

#include "tests/engine/silent.h"

Test(sound, each_cause_within_its_time_once_and_its_end)
{
    static const struct {
        enum fade what;
        const char *cause;
    } row[] = {{NOTHING, "no-packets"},
               {DIGITAL_SILENCE, "no-audio"},
               {COMFORT_NOISE, "comfort-only"},
               {UNKNOWN_TYPE, "undecodable"}};
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct silent t;
        silent_begin(&t, 10);
        silent_run(&t, 5000, TALKS);
        (void)silent_expect(&t, 10000, row[i].what, row[i].cause);
        silent_recovers(&t);
        cr_assert_eq(fx_counted(&t.f, SLR_CTR_SILENT_LEGS), 1u);
        silent_end(&t);
    }
}

Test(sound, a_leg_that_never_said_anything)
{
    static const struct {
        enum fade what;
        const char *cause;
    } row[] = {
        {NOTHING, "no-packets"}, {DIGITAL_SILENCE, "no-audio"}, {UNKNOWN_TYPE, "undecodable"}};
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct silent t;
        silent_begin(&t, 10);
        (void)silent_expect(&t, 10000, row[i].what, row[i].cause);
        silent_recovers(&t);
        silent_end(&t);
    }
}

Test(sound, a_call_in_which_nobody_is_heard)
{
    struct silent t;
    silent_begin(&t, 10);
    for (t.now_ms = 0; t.now_ms < 30000; t.now_ms += 125) {
        fx_write(&t.f, t.now_ms);
        bool due = t.now_ms >= 9750;
        cr_assert_eq(silent_event(&t, "leg_silent", 1) != NULL, due, "%lld", (long long)t.now_ms);
    }
    cr_assert_null(silent_event(&t, "leg_silent", 2), "one a leg");
    silent_end(&t);
}

Test(sound, shorter_silence_is_no_alarm)
{
    struct silent t;
    silent_begin(&t, 10);
    for (int turn = 0; turn < 4; turn++) {
        for (enum fade what = NOTHING; what <= UNKNOWN_TYPE; what++) {
            silent_run(&t, 1000, TALKS);
            silent_run(&t, 8000, what);
        }
    }
    cr_assert_null(silent_event(&t, "leg_silent", 0));
    silent_end(&t);
}

Test(sound, other_times_and_off)
{
    for (uint32_t alarm_s = 0; alarm_s <= 30; alarm_s += 5) {
        struct silent t;
        silent_begin(&t, alarm_s);
        silent_run(&t, 3000, TALKS);
        if (alarm_s > 0) {
            (void)silent_expect(&t, alarm_s * 1000, DIGITAL_SILENCE, "no-audio");
        } else {
            silent_run(&t, 60000, DIGITAL_SILENCE);
            cr_assert_null(silent_event(&t, "leg_silent", 0));
        }
        silent_end(&t);
    }
}

/* Neither hold nor pause is silence, and what was silent before them does not count after them. */
Test(sound, hold_and_pause_are_no_silence)
{
    for (int paused = 0; paused < 2; paused++) {
        struct silent t;
        silent_begin(&t, 10);
        struct slr_leg *leg = &t.f.e.state->leg[t.slot[1]];
        silent_run(&t, 5000, TALKS);
        silent_run(&t, 7000, NOTHING);
        if (paused) {
            fx_pause(&t.f, t.s, t.now_ms, true);
        } else {
            slr_placement_hold(t.s, leg, true, fx_time(t.now_ms * SLR_NS_PER_MS));
        }
        silent_run(&t, 40000, NOTHING);
        cr_assert_null(silent_event(&t, "leg_silent", 0));
        if (paused) {
            fx_pause(&t.f, t.s, t.now_ms, false);
        } else {
            slr_placement_hold(t.s, leg, false, fx_time(t.now_ms * SLR_NS_PER_MS));
        }
        (void)silent_expect(&t, 10000, NOTHING, "no-packets");
        silent_end(&t);
    }
}

/* Keys that are pressed are a sign of life. */
Test(sound, telephone_events_are_heard)
{
    struct silent t;
    silent_begin(&t, 10);
    silent_run(&t, 3000, TALKS);
    for (int i = 0; i < 6; i++) {
        uint32_t k = (uint32_t)(t.now_ms / 20);
        (void)fx_rtp(&t.f, t.slot[1], t.now_ms,
                     fx_event(FADING, (uint16_t)(100 + k), 5000 + k * 160, 5, 160, true));
        t.now_ms += 20;
        silent_run(&t, 8000, NOTHING);
    }
    cr_assert_null(silent_event(&t, "leg_silent", 0));
    silent_end(&t);
}

static void restart(struct silent *t, int64_t down_ms)
{
    fx_die(&t->f);
    t->now_ms += down_ms;
    slr_clock_advance(t->f.e.virtual_clock, (slr_wall){FX_START_NS + t->now_ms * SLR_NS_PER_MS});
    fx_boot(&t->f);
    t->s = slr_engine_session_find(&t->f.e, t->id);
    cr_assert_not_null(t->s);
}

/* What the alarm knows survives the process: it is neither repeated nor forgotten. */
Test(sound, a_death_does_not_repeat_the_alarm)
{
    struct silent t;
    silent_begin(&t, 10);
    silent_run(&t, 5000, TALKS);
    silent_run(&t, 11000, DIGITAL_SILENCE);
    cr_assert_not_null(silent_event(&t, "leg_silent", 0));
    restart(&t, 2000);
    silent_run(&t, 30000, DIGITAL_SILENCE);
    cr_assert_null(silent_event(&t, "leg_silent", 1));
    silent_recovers(&t);
    silent_end(&t);
}

static json_t *quality_of(const struct fx_result *r, size_t leg)
{
    json_t *l = json_array_get(json_object_get(r->ledger, "legs"), leg);
    json_t *q = json_object_get(l, "quality");
    cr_assert(json_is_object(q));
    return q;
}

static void check(const json_t *o, const char *key, double want, double margin)
{
    json_t *v = json_object_get(o, key);
    cr_assert(json_is_number(v), "%s is missing", key);
    cr_assert(fabs(json_number_value(v) - want) <= margin, "%s: %g, not %g", key,
              json_number_value(v), want);
}

/* 1 packet in 100 lost, at random places of blocks; then ten in a row. */
Test(sound, quality_in_the_ledger)
{
    struct silent t;
    struct fx_result r;
    silent_begin(&t, 10);
    while (t.now_ms < 40000) {
        uint32_t k = (uint32_t)(t.now_ms / 20);
        bool lost = k % 100 == 50 || (k >= 1520 && k < 1530);
        silent_run(&t, 20, lost ? NOTHING : TALKS);
    }
    fx_end(&t.f, t.s, t.now_ms);
    fx_result(&t.f, t.id, &r);
    json_t *q = quality_of(&r, 1);
    cr_assert_str_eq(json_string_value(json_object_get(q, "codec")), "PCMA");
    check(q, "expected", 2000, 0);
    check(q, "lost", 30, 0);
    check(q, "loss_pct", 1.5, 1e-9);
    check(q, "bursts", 1, 0);
    check(q, "burst_ms", 200, 1e-9);
    check(q, "burst_density_pct", 100, 1e-9);
    check(q, "gap_density_pct", 1.01, 0.001);
    check(q, "burst_r", 1.41, 0.001); /* 30 lost in 21 runs, at 1.5 percent */
    check(q, "r", 66.7, 0.1);
    check(q, "mos", 3.44, 0.01);
    check(q, "jitter_max_ms", 0, 1e-9);
    json_t *clean = quality_of(&r, 0);
    check(clean, "mos", 4.41, 1e-9);
    check(clean, "r", 93.2, 1e-9);
    check(clean, "lost", 0, 0);
    json_t *level = json_object_get(clean, "level");
    check(level, "digital_silence_pct", 0, 0);
    check(level, "active_dbov", -10, 3); /* random A-law: loud */
    cr_assert_gt(json_number_value(json_object_get(level, "clipped_pct")), 0);
    fx_result_free(&r);
    silent_end(&t);
}

/* The end of an event is sent three times, the last one after the next audio, as gateways do; of
 * the second event a packet in its midst and one of the audio around are missing. */
Test(sound, events_are_neither_loss_nor_jitter)
{
    struct silent t;
    struct fx_result r;
    silent_begin(&t, 0);
    uint16_t seq = 100;
    for (uint32_t k = 0; k < 200; k++, t.now_ms += 20) {
        bool pressed = k == 50 || k == 120;
        for (uint32_t n = 0; pressed && n < 5; n++, seq++) {
            bool sent = k == 50 || n != 1;
            if (sent) {
                (void)fx_rtp(&t.f, t.slot[1], t.now_ms + 4 * n,
                             fx_event(FADING, seq, 5000 + k * 160, 5,
                                      (uint16_t)(n < 3 ? 80 * n + 1 : 160), n >= 3));
            }
        }
        if (!pressed) {
            struct fx_packet p = fx_audio(FADING, k, 0, 5000);
            p.seq = seq++;
            if (k != 122) {
                (void)fx_rtp(&t.f, t.slot[1], t.now_ms, p);
            }
        }
        if (k == 51 || k == 121) {
            (void)fx_rtp(&t.f, t.slot[1], t.now_ms + 3,
                         fx_event(FADING, seq++, 5000 + (k - 1) * 160, 5, 160, true));
        }
        fx_write(&t.f, t.now_ms);
    }
    fx_end(&t.f, t.s, t.now_ms);
    fx_result(&t.f, t.id, &r);
    json_t *q = quality_of(&r, 1);
    check(q, "lost", 2, 0);
    check(q, "expected", 198 + 12, 0);
    check(q, "jitter_max_ms", 0, 1e-9);
    fx_result_free(&r);
    silent_end(&t);
}

/* The level says nothing of stretches without a packet, whatever fills them. */
Test(sound, level_is_of_what_was_received)
{
    struct silent t;
    struct fx_result r;
    silent_begin(&t, 0);
    silent_run(&t, 4000, TALKS);
    silent_run(&t, 12000, NOTHING);
    silent_run(&t, 4000, DIGITAL_SILENCE);
    fx_end(&t.f, t.s, t.now_ms);
    fx_result(&t.f, t.id, &r);
    json_t *q = quality_of(&r, 1);
    check(json_object_get(q, "level"), "digital_silence_pct", 50, 0.01);
    check(q, "lost", 600, 0);
    fx_result_free(&r);
    silent_end(&t);
}

/* Counted once, whatever the process did in between; the engine's own absence is no loss. */
Test(sound, quality_survives_the_process)
{
    struct silent t;
    struct fx_result r;
    silent_begin(&t, 10);
    for (int turn = 0; turn < 3; turn++) {
        silent_run(&t, 5010, TALKS);
        restart(&t, 1000);
    }
    silent_run(&t, 5000, TALKS);
    fx_end(&t.f, t.s, t.now_ms);
    fx_result(&t.f, t.id, &r);
    for (size_t leg = 0; leg < 2; leg++) {
        check(quality_of(&r, leg), "lost", 0, 0);
        check(quality_of(&r, leg), "expected", 1003, 0);
        check(quality_of(&r, leg), "mos", 4.41, 1e-9);
    }
    fx_result_free(&r);
    silent_end(&t);
}

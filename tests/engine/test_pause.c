/*
 * Pause and hold: nothing that was said during a pause is ever written, by whatever way it comes;
 * everything before and after it is.
 */
#include "tests/engine/one.h"

#define SSRC 0x0badcafeu

static enum slr_verdict feed(struct one *o, int64_t at_ms, uint32_t k)
{
    return fx_rtp(&o->f, o->slot, at_ms, fx_audio(SSRC, k, 100, 5000));
}

/* Packets [from, to), each at its time. */
static void run(struct one *o, uint32_t from, uint32_t to, enum slr_verdict want)
{
    for (uint32_t k = from; k < to; k++) {
        cr_assert_eq(feed(o, k * 20, k), want, "packet %u", k);
    }
}

Test(pause, what_arrives_in_it_is_suppressed)
{
    struct one o;
    begin_one(&o, 2);
    run(&o, 0, 50, SLR_VERDICT_TAKEN);
    fx_pause(&o.f, o.s, 985, true);
    run(&o, 50, 100, SLR_VERDICT_SUPPRESSED);
    fx_pause(&o.f, o.s, 1990, false);
    run(&o, 100, 150, SLR_VERDICT_TAKEN);
    end_one(&o, 3000);
    fx_assert_audio(&o.r, 0, 0, 8000, SSRC, 0);
    fx_assert_silence(&o.r, 0, 8000, 8000);
    fx_assert_audio(&o.r, 0, 16000, 8000, SSRC, 16000);
    fx_assert_spans(&o.r, 0, "received 0+1000, paused 1000+1000, received 2000+1000");
    cr_assert_eq(fx_stream_count(&o.r, 0, 0, "suppressed"), 50);
    cr_assert_eq(fx_stream_count(&o.r, 0, 0, "lost"), 0);
    done_one(&o);
}

/* The network keeps what was said in the pause until after it. */
Test(pause, what_belongs_into_it_is_suppressed_whenever_it_comes)
{
    struct one o;
    begin_one(&o, 2);
    run(&o, 0, 50, SLR_VERDICT_TAKEN);
    fx_pause(&o.f, o.s, 1000, true);
    run(&o, 50, 90, SLR_VERDICT_SUPPRESSED);
    fx_pause(&o.f, o.s, 2000, false);
    for (uint32_t k = 90; k < 100; k++) {
        cr_assert_eq(feed(&o, 2001, k), SLR_VERDICT_SUPPRESSED);
    }
    run(&o, 101, 150, SLR_VERDICT_TAKEN);
    cr_assert_eq(feed(&o, 3000, 100), SLR_VERDICT_TAKEN); /* late, but said after it */
    end_one(&o, 3000);
    fx_assert_silence(&o.r, 0, 8000, 8000);
    fx_assert_audio(&o.r, 0, 16000, 8000, SSRC, 16000);
    done_one(&o);
}

/* The worker takes them only after the resume, but the kernel had them before. */
Test(pause, what_lay_in_the_socket_is_suppressed)
{
    struct one o;
    begin_one(&o, 2);
    fx_pause(&o.f, o.s, 1000, true);
    fx_pause(&o.f, o.s, 2000, false);
    for (uint32_t k = 0; k < 10; k++) { /* the leg's first ones: no position tells anything */
        cr_assert_eq(feed(&o, 1500 + k * 20, k), SLR_VERDICT_SUPPRESSED);
    }
    for (uint32_t k = 40; k < 90; k++) {
        cr_assert_eq(feed(&o, 1500 + k * 20, k), SLR_VERDICT_TAKEN);
    }
    end_one(&o, 3300);
    fx_assert_silence(&o.r, 0, 0, 16000);
    done_one(&o);
}

/* What was said before it and comes while it lasts is not written either: arrival counts too. */
Test(pause, a_packet_across_the_bound_is_suppressed_whole)
{
    struct one o;
    begin_one(&o, 2);
    run(&o, 0, 50, SLR_VERDICT_TAKEN);
    fx_pause(&o.f, o.s, 1000, true);
    run(&o, 50, 60, SLR_VERDICT_SUPPRESSED);
    fx_pause(&o.f, o.s, 1207, false); /* in the middle of packet 60 */
    cr_assert_eq(feed(&o, 1212, 60), SLR_VERDICT_SUPPRESSED);
    run(&o, 61, 100, SLR_VERDICT_TAKEN);
    end_one(&o, 2000);
    fx_assert_silence(&o.r, 0, 8000, 11 * 160);
    fx_assert_audio(&o.r, 0, 61 * 160, 39 * 160, SSRC, 61 * 160);
    fx_assert_spans(&o.r, 0, "received 0+1000, paused 1000+220, received 1220+780");
    done_one(&o);
}

/* Losses right after a pause are losses. */
Test(pause, losses_beside_it_are_counted_as_such)
{
    struct one o;
    begin_one(&o, 2);
    run(&o, 0, 50, SLR_VERDICT_TAKEN);
    fx_pause(&o.f, o.s, 1000, true);
    run(&o, 50, 100, SLR_VERDICT_SUPPRESSED);
    fx_pause(&o.f, o.s, 1995, false);
    run(&o, 103, 150, SLR_VERDICT_TAKEN);
    end_one(&o, 3000);
    fx_assert_spans(&o.r, 0,
                    "received 0+1000, paused 1000+1000, lost-network 2000+60 (3), received "
                    "2060+940");
    cr_assert_eq(fx_stream_count(&o.r, 0, 0, "lost"), 3);
    done_one(&o);
}

/* Jitter: the highest position received bounds the pause, not the moment of the command. */
Test(pause, its_start_is_one_past_what_was_received)
{
    struct one o;
    begin_one(&o, 2);
    run(&o, 0, 50, SLR_VERDICT_TAKEN);
    fx_pause(&o.f, o.s, 1070, true); /* three packets under way */
    for (uint32_t k = 50; k < 60; k++) {
        cr_assert_eq(feed(&o, 1080 + k, k), SLR_VERDICT_SUPPRESSED);
    }
    fx_pause(&o.f, o.s, 1195, false);
    run(&o, 60, 100, SLR_VERDICT_TAKEN);
    end_one(&o, 2000);
    fx_assert_spans(&o.r, 0, "received 0+1000, paused 1000+200, received 1200+800");
    done_one(&o);
}

Test(pause, a_new_stream_in_it_stays_out_until_its_end)
{
    struct one o;
    begin_one(&o, 2);
    run(&o, 0, 50, SLR_VERDICT_TAKEN);
    fx_pause(&o.f, o.s, 1000, true);
    for (uint32_t k = 0; k < 100; k++) {
        if (k == 50) {
            fx_pause(&o.f, o.s, 1995, false);
        }
        struct fx_packet p = fx_audio(0x77, k, 9, 9);
        enum slr_verdict v = fx_rtp(&o.f, o.slot, 1000 + k * 20, p);
        cr_assert_eq(v, k < 50 ? SLR_VERDICT_SUPPRESSED : SLR_VERDICT_TAKEN);
    }
    end_one(&o, 3000);
    fx_assert_silence(&o.r, 0, 8000, 8000);
    fx_assert_audio(&o.r, 0, 16000, 8000, 0x77, 8000);
    fx_assert_spans(&o.r, 0, "received 0+1000, paused 1000+1000, received 2000+1000");
    done_one(&o);
}

Test(pause, holds_for_a_leg_that_joins_in_it)
{
    struct one o;
    begin_one(&o, 2);
    run(&o, 0, 50, SLR_VERDICT_TAKEN);
    fx_pause(&o.f, o.s, 1000, true);
    fx_clock(&o.f, 1200);
    uint32_t other = fx_leg(&o.f, o.s, 1, 8);
    for (uint32_t k = 0; k < 100; k++) {
        if (k == 35) {
            fx_pause(&o.f, o.s, 1995, false);
        }
        enum slr_verdict v = fx_rtp(&o.f, other, 1300 + k * 20, fx_audio(0x88, k, 9, 9));
        cr_assert_eq(v, k < 35 ? SLR_VERDICT_SUPPRESSED : SLR_VERDICT_TAKEN);
    }
    end_one(&o, 3300);
    fx_assert_silence(&o.r, 1, 0, 16000);
    fx_assert_audio(&o.r, 1, 16000, 65 * 160, 0x88, 35 * 160);
    fx_assert_spans(&o.r, 1, "absent 0+1200, paused 1200+800, received 2000+1300");
    done_one(&o);
}

Test(pause, digits_in_it_are_not_recorded)
{
    struct one o;
    begin_one(&o, 2);
    run(&o, 0, 50, SLR_VERDICT_TAKEN);
    cr_assert_eq(fx_rtp(&o.f, o.slot, 1000, fx_event(SSRC, 150, 13000, 1, 160, false)),
                 SLR_VERDICT_EVENT);
    fx_pause(&o.f, o.s, 1100, true);
    cr_assert_eq(fx_rtp(&o.f, o.slot, 1200, fx_event(SSRC, 151, 14600, 2, 160, false)),
                 SLR_VERDICT_SUPPRESSED);
    fx_pause(&o.f, o.s, 1300, false);
    /* still the key that was pressed in the pause */
    cr_assert_eq(fx_rtp(&o.f, o.slot, 1310, fx_event(SSRC, 152, 14600, 2, 960, true)),
                 SLR_VERDICT_SUPPRESSED);
    cr_assert_eq(fx_rtp(&o.f, o.slot, 1400, fx_event(SSRC, 153, 16200, 3, 160, false)),
                 SLR_VERDICT_EVENT);
    end_one(&o, 1500);
    json_t *items = json_object_get(json_object_get(o.r.ledger, "digits"), "items");
    cr_assert_eq(json_array_size(items), 2u);
    for (size_t i = 0; i < 2; i++) {
        const char *digit = json_string_value(json_object_get(json_array_get(items, i), "digit"));
        cr_assert_str_eq(digit, i == 0 ? "1" : "3");
    }
    done_one(&o);
}

/* More pauses than a leg can list: the last entry widens, nothing of a pause comes through. */
Test(pause, more_than_can_be_listed)
{
    struct one o;
    begin_one(&o, 2);
    for (uint32_t n = 0; n < 100; n++) {
        uint32_t k = n * 10;
        for (uint32_t i = 0; i < 5; i++, k++) {
            cr_assert_eq(feed(&o, k * 20, k), SLR_VERDICT_TAKEN, "pause %u packet %u", n, i);
        }
        fx_pause(&o.f, o.s, k * 20, true);
        for (uint32_t i = 0; i < 5; i++, k++) {
            cr_assert_eq(feed(&o, k * 20, k), SLR_VERDICT_SUPPRESSED);
        }
        fx_pause(&o.f, o.s, k * 20 - 5, false);
        fx_write(&o.f, k * 20);
    }
    end_one(&o, 20000);
    cr_assert_gt(fx_counted(&o.f, SLR_CTR_INTERVALS_FULL), 0u);
    for (uint32_t n = 0; n < 100; n++) {
        fx_assert_audio(&o.r, 0, n * 1600, 800, SSRC, n * 1600);
        fx_assert_silence(&o.r, 0, n * 1600 + 800, 800);
    }
    cr_assert_eq(fx_stream_count(&o.r, 0, 0, "suppressed"), 500);
    done_one(&o);
}

Test(pause, twice_is_once)
{
    struct one o;
    int64_t first = 0;
    int64_t again = 0;
    begin_one(&o, 2);
    run(&o, 0, 10, SLR_VERDICT_TAKEN);
    fx_clock(&o.f, 200);
    cr_assert_eq(slr_engine_pause(&o.f.e, o.id, true, 0, &first), SLR_OK);
    fx_clock(&o.f, 300);
    cr_assert_eq(slr_engine_pause(&o.f.e, o.id, true, 0, &again), SLR_OK);
    cr_assert_eq(first, again);
    cr_assert_eq(first, 200 * FX_MS);
    fx_pause(&o.f, o.s, 395, false);
    fx_pause(&o.f, o.s, 500, false);
    run(&o, 20, 50, SLR_VERDICT_TAKEN);
    end_one(&o, 1000);
    fx_assert_spans(&o.r, 0, "received 0+200, paused 200+200, received 400+600");
    done_one(&o);
}

/* The worker's look at the time, as it comes every 100 ms. */
static void look(struct one *o, int64_t at_ms)
{
    fx_clock(&o->f, at_ms);
    slr_worker_housekeeping(&o->f.worker, slr_clock_mono(o->f.e.clock));
}

static void pause_for(struct one *o, int64_t at_ms, uint32_t max_ms)
{
    int64_t at_ticks = 0;
    fx_clock(&o->f, at_ms);
    cr_assert_eq(slr_engine_pause(&o->f.e, o->id, true, max_ms, &at_ticks), SLR_OK);
}

/* Nobody says that it is over: its own time does, before and after a death of the process. */
Test(pause, ends_by_itself)
{
    struct one o;
    begin_one(&o, 2);
    run(&o, 0, 50, SLR_VERDICT_TAKEN);
    pause_for(&o, 1000, 1000);
    run(&o, 50, 75, SLR_VERDICT_SUPPRESSED);
    fx_die(&o.f);
    fx_boot(&o.f);
    o.s = slr_engine_session_find(&o.f.e, o.id);
    look(&o, 1500);
    run(&o, 75, 100, SLR_VERDICT_SUPPRESSED);
    look(&o, 1999);
    cr_assert_eq(atomic_load(&o.s->paused), 1u);
    look(&o, 2100);
    cr_assert_eq(atomic_load(&o.s->paused), 0u);
    cr_assert_eq(fx_counted(&o.f, SLR_CTR_PAUSES_TIMED_OUT), 1u);
    look(&o, 2300);
    run(&o, 120, 150, SLR_VERDICT_TAKEN);
    end_one(&o, 3000);
    fx_assert_spans(&o.r, 0,
                    "received 0+1000, paused 1000+1100, lost-network 2100+300 (15), "
                    "received 2400+600");
    fx_assert_silence(&o.r, 0, 8000, 8800);
    cr_assert_eq(fx_counted(&o.f, SLR_CTR_PAUSES_TIMED_OUT), 1u);
    done_one(&o);
}

/* Its time is the last one that was given; a resume takes it back. */
Test(pause, its_time_can_be_set_anew_and_taken_back)
{
    struct one o;
    begin_one(&o, 2);
    run(&o, 0, 10, SLR_VERDICT_TAKEN);
    pause_for(&o, 200, 500);
    pause_for(&o, 400, 2000);
    look(&o, 1000);
    cr_assert_eq(atomic_load(&o.s->paused), 1u);
    fx_pause(&o.f, o.s, 1200, false);
    pause_for(&o, 1500, 0);
    look(&o, 2600);
    cr_assert_eq(atomic_load(&o.s->paused), 1u, "the time of an earlier pause is no longer valid");
    fx_pause(&o.f, o.s, 3000, false);
    end_one(&o, 3200);
    cr_assert_eq(fx_counted(&o.f, SLR_CTR_PAUSES_TIMED_OUT), 0u);
    done_one(&o);
}

/* Another codec is answered meanwhile: what comes in it stays out as well. */
Test(pause, a_codec_change_in_it_lets_nothing_through)
{
    struct one o;
    begin_one(&o, 2);
    run(&o, 0, 50, SLR_VERDICT_TAKEN);
    fx_pause(&o.f, o.s, 1000, true);
    run(&o, 50, 60, SLR_VERDICT_SUPPRESSED);
    struct slr_leg_params p = {
        .session = o.id, .leg = "leg-0", .pt_count = 2, .has = SLR_LEG_HAS_CODECS};
    fx_row(&p.pt[0], 0, "PCMU");
    fx_row(&p.pt[1], 8, "PCMA");
    cr_assert_eq(slr_engine_leg_update(&o.f.e, &p), SLR_OK);
    for (uint32_t k = 60; k < 100; k++) {
        struct fx_packet u = fx_audio(SSRC, k, 100, 5000);
        u.pt = 0;
        cr_assert_eq(fx_rtp(&o.f, o.slot, k * 20, u), SLR_VERDICT_SUPPRESSED);
    }
    fx_pause(&o.f, o.s, 1990, false);
    run(&o, 100, 150, SLR_VERDICT_TAKEN);
    end_one(&o, 3000);
    fx_assert_spans(&o.r, 0, "received 0+1000, paused 1000+1000, received 2000+1000");
    done_one(&o);
}

Test(pause, a_session_may_end_in_it)
{
    struct one o;
    begin_one(&o, 2);
    run(&o, 0, 50, SLR_VERDICT_TAKEN);
    fx_pause(&o.f, o.s, 1000, true);
    run(&o, 50, 100, SLR_VERDICT_SUPPRESSED);
    end_one(&o, 2000);
    fx_assert_spans(&o.r, 0, "received 0+1000, paused 1000+1000");
    fx_assert_silence(&o.r, 0, 8000, 8000);
    done_one(&o);
}

static void hold(struct one *o, int64_t at_ms, bool on)
{
    char leg[] = "leg-0";
    struct slr_leg_params p = {.session = o->id, .leg = leg, .hold = on, .has = SLR_LEG_HAS_HOLD};
    fx_clock(&o->f, at_ms);
    cr_assert_eq(slr_engine_leg_update(&o->f.e, &p), SLR_OK);
}

Test(pause, hold_names_the_silence_and_drops_nothing)
{
    struct one o;
    begin_one(&o, 2);
    run(&o, 0, 50, SLR_VERDICT_TAKEN);
    hold(&o, 1000, true);
    run(&o, 60, 70, SLR_VERDICT_TAKEN); /* music */
    hold(&o, 2000, false);
    run(&o, 100, 150, SLR_VERDICT_TAKEN);
    end_one(&o, 3000);
    fx_assert_audio(&o.r, 0, 9600, 1600, SSRC, 9600);
    fx_assert_spans(&o.r, 0,
                    "received 0+1000, hold 1000+200, received 1200+200, hold 1400+600, received "
                    "2000+1000");
    done_one(&o);
}

Test(pause, outranks_hold)
{
    struct one o;
    begin_one(&o, 2);
    run(&o, 0, 50, SLR_VERDICT_TAKEN);
    hold(&o, 1000, true);
    fx_pause(&o.f, o.s, 1500, true);
    fx_pause(&o.f, o.s, 2000, false);
    hold(&o, 3000, false);
    end_one(&o, 4000);
    /* the pause begins one past what was received, that is with the hold */
    fx_assert_spans(&o.r, 0, "received 0+1000, paused 1000+1000, hold 2000+1000, ended 3000+1000");
    done_one(&o);
}

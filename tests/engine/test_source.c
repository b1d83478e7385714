/*
 * Source: which address and SSRC a leg listens to. Strays are never heard while the leg hears its
 * party, a new stream is kept while it is on probation, and what was not believed leaves no trace.
 */
#include "tests/engine/one.h"

#define OLD 0x11111111u
#define NEW 0x22222222u
#define STRAY "198.51.100.7:7000"

static enum slr_verdict feed(struct one *o, int64_t at_ms, uint32_t ssrc, uint32_t k,
                             const char *src)
{
    struct fx_packet p = fx_audio(ssrc, k, (uint16_t)ssrc, ssrc);
    p.src = src;
    return fx_kept(fx_rtp(&o->f, o->slot, at_ms, p));
}

static size_t events(const struct one *o, const char *name)
{
    size_t i = 0;
    size_t n = 0;
    json_t *ev = NULL;
    json_array_foreach(o->f.events, i, ev)
    {
        n += strcmp(json_string_value(json_object_get(ev, "ev")), name) == 0;
    }
    return n;
}

Test(source, another_port_of_the_signalled_host_is_latched)
{
    struct one o;
    begin_one(&o, 1);
    for (uint32_t k = 0; k < 50; k++) {
        cr_assert_eq(feed(&o, k * 20, OLD, k, "192.0.2.1:9999"), SLR_VERDICT_TAKEN);
    }
    end_one(&o, 1000);
    fx_assert_audio(&o.r, 0, 0, 8000, OLD, 0);
    cr_assert_eq(events(&o, "leg_heard"), 1u);
    done_one(&o);
}

/* A new SSRC without a word about it: its first packets wait, and are heard when it is taken. */
Test(source, an_ssrc_change_loses_nothing)
{
    struct one o;
    begin_one(&o, 1);
    for (uint32_t k = 0; k < 100; k++) {
        uint32_t ssrc = k < 50 ? OLD : NEW;
        cr_assert_eq(feed(&o, k * 20, ssrc, k % 50, NULL), SLR_VERDICT_TAKEN);
        fx_write(&o.f, k * 20);
        cr_assert_eq(o.leg->current, k < 54 ? 0u : 1u, "packet %u", k);
    }
    end_one(&o, 2000);
    fx_assert_audio(&o.r, 0, 0, 8000, OLD, 0);
    fx_assert_audio(&o.r, 0, 8000, 8000, NEW, 0);
    fx_assert_spans(&o.r, 0, "received 0+2000");
    cr_assert_eq(fx_stream_count(&o.r, 0, 1, "packets"), 50);
    cr_assert_eq(events(&o, "leg_heard"), 2u);
    done_one(&o);
}

/* A fifth is lost, neighbours are exchanged, and each packet comes twice: believed all the same,
 * and nothing that came is missing. */
Test(source, an_ssrc_change_on_a_bad_path_loses_only_what_the_path_lost)
{
    struct one o;
    begin_one(&o, 1);
    for (uint32_t k = 0; k < 50; k++) {
        cr_assert_eq(feed(&o, k * 20, OLD, k, NULL), SLR_VERDICT_TAKEN);
        fx_write(&o.f, k * 20);
    }
    for (uint32_t k = 0; k < 100; k++) {
        uint32_t n = k ^ 1u;
        if (n % 5 == 3) {
            continue;
        }
        cr_assert_eq(fx_kept(feed(&o, 1020 + k * 20, NEW, n, NULL)), SLR_VERDICT_TAKEN);
        cr_assert_eq(feed(&o, 1021 + k * 20, NEW, n, NULL), SLR_VERDICT_DUPLICATE);
        fx_write(&o.f, 1021 + k * 20);
        cr_assert_eq(o.leg->current, k < 6 ? o.leg->current : 1u, "packet %u", k);
    }
    end_one(&o, 3020);
    json_t *st = json_array_get(json_object_get(fx_leg_json(&o.r, 0), "streams"), 1);
    cr_assert_eq(json_integer_value(json_object_get(st, "placed")), 80);
    cr_assert_eq(json_integer_value(json_object_get(st, "lost")), 20);
    done_one(&o);
}

Test(source, a_signalled_ssrc_is_taken_at_once)
{
    struct one o;
    begin_one(&o, 1);
    o.leg->ssrc_signalled[0] = NEW;
    o.leg->ssrc_signalled_count = 1;
    cr_assert_eq(feed(&o, 0, OLD, 0, NULL), SLR_VERDICT_TAKEN);
    cr_assert_eq(feed(&o, 20, NEW, 0, NULL), SLR_VERDICT_TAKEN);
    cr_assert_eq(o.leg->current, 1u);
    cr_assert_eq(feed(&o, 40, OLD, 2, NULL), SLR_VERDICT_FOREIGN_SSRC);
    end_one(&o, 40);
    fx_assert_audio(&o.r, 0, 160, 160, NEW, 0);
    done_one(&o);
}

/* It never lies over what was said before it, though its first packet was quick. */
Test(source, a_new_stream_begins_after_the_old_one)
{
    struct one o;
    begin_one(&o, 1);
    for (uint32_t k = 0; k < 50; k++) {
        cr_assert_eq(feed(&o, k * 20, OLD, k, NULL), SLR_VERDICT_TAKEN);
    }
    for (uint32_t k = 0; k < 50; k++) {
        cr_assert_eq(feed(&o, 985 + k * 20, NEW, k, NULL), SLR_VERDICT_TAKEN);
    }
    end_one(&o, 2000);
    fx_assert_audio(&o.r, 0, 0, 8000, OLD, 0);
    fx_assert_audio(&o.r, 0, 8000, 8000, NEW, 0);
    done_one(&o);
}

/* A party is heard, then another SSRC, then the first one again (music on hold): what is said while
 * nobody knows yet who is heard is there, and nothing of one that goes on below the other. */
Test(source, an_ssrc_that_comes_back_loses_nothing)
{
    for (uint32_t turn = 0; turn < 2; turn++) {
        struct one o;
        begin_one(&o, 1);
        for (uint32_t k = 0; k < 150; k++) {
            bool other = k >= 50 && k < 100;
            (void)feed(&o, k * 20, other ? NEW : OLD, k, NULL);
            if (turn == 1 && k >= 60 && k < 100) {
                (void)feed(&o, k * 20 + 1, OLD, k, NULL);
            }
            fx_write(&o.f, k * 20 + 2);
        }
        end_one(&o, 3000);
        fx_assert_audio(&o.r, 0, 0, 8000, OLD, 0);
        fx_assert_audio(&o.r, 0, 8000, turn ? 7840 : 8000, NEW, 8000);
        fx_assert_audio(&o.r, 0, 16000, 8000, OLD, 16000);
        fx_assert_spans(&o.r, 0, "received 0+3000");
        cr_assert_eq(fx_stream_count(&o.r, 0, 0, "reordered"), 0);
        cr_assert_eq(fx_stream_count(&o.r, 0, 1, "placed"), 50);
        done_one(&o);
    }
}

/* However long it went on below the other one: what is held of it is always its newest. */
Test(source, an_ssrc_that_went_on_below_another_one_for_any_time)
{
    for (uint32_t below = 1; below < 60; below++) {
        struct one o;
        begin_one(&o, 1);
        for (uint32_t k = 0; k < 200; k++) {
            bool other = k >= 50 && k < 120;
            (void)feed(&o, k * 20, other ? NEW : OLD, k, NULL);
            if (other && k >= 120 - below) {
                (void)feed(&o, k * 20 + 1, OLD, k, NULL);
            }
            fx_write(&o.f, k * 20 + 2);
        }
        end_one(&o, 4000);
        fx_assert_audio(&o.r, 0, 120 * 160, 80 * 160, OLD, 120 * 160);
        fx_assert_spans(&o.r, 0, "received 0+4000");
        done_one(&o);
    }
}

/* A second SSRC from the same host, while the first goes on, is not believed and not heard. */
Test(source, an_ssrc_beside_the_one_that_is_heard_is_dropped)
{
    struct one o;
    begin_one(&o, 1);
    for (uint32_t k = 0; k < 200; k++) {
        cr_assert_eq(feed(&o, k * 20, OLD, k, NULL), SLR_VERDICT_TAKEN);
        if (k >= 20 && k < 150) {
            (void)feed(&o, k * 20 + 5, NEW, k, NULL);
        }
        fx_write(&o.f, k * 20 + 6);
    }
    end_one(&o, 4000);
    fx_assert_audio(&o.r, 0, 0, 32000, OLD, 0);
    fx_assert_spans(&o.r, 0, "received 0+4000");
    cr_assert_eq(json_array_size(json_object_get(fx_leg_json(&o.r, 0), "streams")), 1u);
    cr_assert_gt(fx_counted(&o.f, SLR_CTR_PROBATION_DROPPED), 0u);
    done_one(&o);
}

Test(source, strays_of_another_host_are_dropped_while_the_leg_hears)
{
    struct one o;
    begin_one(&o, 1);
    for (uint32_t k = 0; k < 200; k++) {
        cr_assert_eq(feed(&o, k * 20, OLD, k, NULL), SLR_VERDICT_TAKEN);
        cr_assert_eq(feed(&o, k * 20 + 3, NEW, k, STRAY), SLR_VERDICT_FOREIGN_SOURCE);
        cr_assert_eq(feed(&o, k * 20 + 4, OLD, k + 1, STRAY), SLR_VERDICT_FOREIGN_SOURCE);
        fx_write(&o.f, k * 20 + 5);
    }
    end_one(&o, 4000);
    fx_assert_audio(&o.r, 0, 0, 32000, OLD, 0);
    cr_assert_eq(json_integer_value(json_object_get(fx_leg_json(&o.r, 0), "foreign")), 400);
    cr_assert_eq(events(&o, "leg_source"), 0u);
    done_one(&o);
}

/* Alone for 500 ms on a leg that hears nothing: taken, with what it said in that time. */
Test(source, another_host_alone_is_taken_and_nothing_of_it_lost)
{
    struct one o;
    begin_one(&o, 1);
    for (uint32_t k = 0; k < 100; k++) {
        cr_assert_eq(feed(&o, 300 + k * 20, NEW, k, STRAY), SLR_VERDICT_TAKEN);
        fx_write(&o.f, 300 + k * 20);
        cr_assert_eq(o.leg->current, k < 25 ? SLR_NONE : 0u, "packet %u", k);
    }
    end_one(&o, 2300);
    fx_assert_silence(&o.r, 0, 0, 2400);
    fx_assert_audio(&o.r, 0, 2400, 16000, NEW, 0);
    fx_assert_spans(&o.r, 0, "absent 0+300, received 300+2000");
    cr_assert_eq(events(&o, "leg_source"), 1u);
    done_one(&o);
}

/* Fewer than 500 ms of a stray, then the party: not a sample of the stray is left. */
Test(source, a_stray_before_the_party_leaves_no_trace)
{
    struct one o;
    begin_one(&o, 1);
    for (uint32_t k = 0; k < 20; k++) {
        cr_assert_eq(feed(&o, k * 20, NEW, k, STRAY), SLR_VERDICT_TAKEN);
    }
    static const int64_t jitter_ms[] = {60, 44, 30, 16, 0, 12};
    for (uint32_t k = 0; k < 100; k++) {
        int64_t at = 400 + k * 20 + jitter_ms[k % 6];
        cr_assert_eq(feed(&o, at, OLD, k, NULL), SLR_VERDICT_TAKEN);
    }
    end_one(&o, 2500);
    fx_assert_silence(&o.r, 0, 0, 3200);
    fx_assert_audio(&o.r, 0, 3200, 16000, OLD, 0);
    fx_assert_silence(&o.r, 0, 19200, 800);
    done_one(&o);
}

/* A stray that was taken in a long silence gives way when the party speaks again. */
Test(source, the_signalled_host_wins_over_a_stray)
{
    struct one o;
    begin_one(&o, 1);
    cr_assert_eq(feed(&o, 0, OLD, 0, NULL), SLR_VERDICT_TAKEN);
    for (uint32_t k = 0; k < 100; k++) {
        (void)feed(&o, 1000 + k * 20, NEW, k, STRAY);
    }
    cr_assert_eq(o.leg->current, 1u);
    for (uint32_t k = 150; k < 200; k++) {
        cr_assert_eq(feed(&o, k * 20, OLD, k, NULL), SLR_VERDICT_TAKEN);
        cr_assert_eq(feed(&o, k * 20 + 1, NEW, k - 50, STRAY), SLR_VERDICT_FOREIGN_SSRC);
    }
    end_one(&o, 4000);
    fx_assert_audio(&o.r, 0, 24000, 8000, OLD, 24000);
    cr_assert_eq(events(&o, "leg_heard"), 1u);
    done_one(&o);
}

/* The same with a new SSRC of the party. */
Test(source, a_new_ssrc_of_the_signalled_host_wins_over_a_stray)
{
    struct one o;
    begin_one(&o, 1);
    for (uint32_t k = 0; k < 100; k++) {
        cr_assert_eq(feed(&o, k * 20, NEW, k, STRAY), SLR_VERDICT_TAKEN);
    }
    cr_assert_eq(feed(&o, 2005, OLD, 0, NULL), SLR_VERDICT_TAKEN);
    cr_assert_eq(o.leg->current, 1u);
    cr_assert_eq(feed(&o, 2020, NEW, 101, STRAY), SLR_VERDICT_FOREIGN_SSRC);
    end_one(&o, 2030);
    done_one(&o);
}

/* What a stray on probation claims about time must not move anything of the leg. */
Test(source, a_stray_on_probation_moves_nothing)
{
    struct one o;
    begin_one(&o, 1);
    for (uint32_t k = 0; k < 50; k++) {
        cr_assert_eq(feed(&o, k * 20, OLD, k, NULL), SLR_VERDICT_TAKEN);
        struct fx_packet p = fx_audio(NEW, k, 7, k * 15000u); /* 1.9 s a packet */
        (void)fx_rtp(&o.f, o.slot, k * 20 + 1, p);
        struct fx_packet digit = fx_event(NEW, (uint16_t)(1000 + k), 7000, 5, 800, false);
        (void)fx_rtp(&o.f, o.slot, k * 20 + 2, digit);
    }
    cr_assert_eq(atomic_load(&slr_leg_run(o.leg)->highest_ticks), 1000 * FX_MS);
    cr_assert_eq(o.leg->digit_count, 0u);
    for (uint32_t k = 0; k < 50; k++) { /* and the next stream comes to lie where it should */
        cr_assert_eq(feed(&o, 1000 + k * 20, 0x33333333u, k, NULL), SLR_VERDICT_TAKEN);
    }
    end_one(&o, 2000);
    fx_assert_audio(&o.r, 0, 0, 8000, OLD, 0);
    fx_assert_audio(&o.r, 0, 8000, 8000, 0x33333333u, 0);
    done_one(&o);
}

/* Strays of other hosts in a short silence don't use up the places of the party's next stream. */
Test(source, strays_dont_keep_the_party_out)
{
    struct one o;
    begin_one(&o, 1);
    cr_assert_eq(feed(&o, 0, OLD, 0, NULL), SLR_VERDICT_TAKEN);
    cr_assert_eq(feed(&o, 150, 0x91u, 0, "198.51.100.7:1"), SLR_VERDICT_TAKEN);
    cr_assert_eq(feed(&o, 160, 0x92u, 0, "198.51.100.7:2"), SLR_VERDICT_TAKEN);
    cr_assert_eq(feed(&o, 170, 0x93u, 0, "198.51.100.7:3"), SLR_VERDICT_FOREIGN_SOURCE);
    for (uint32_t k = 0; k < 10; k++) {
        cr_assert_eq(feed(&o, 200 + k * 20, NEW, k, NULL), SLR_VERDICT_TAKEN);
    }
    end_one(&o, 400);
    fx_assert_audio(&o.r, 0, 1600, 1600, NEW, 0);
    done_one(&o);
}

/* More streams in turn than there are slots: each is heard, packets of one never pass as those of
 * another that had its slot before. */
/* Two that began and said nothing more, a packet each, keep nobody else of the host out. */
Test(source, streams_that_were_left_on_probation_dont_keep_the_party_out)
{
    struct one o;
    begin_one(&o, 1);
    for (uint32_t k = 0; k < 50; k++) {
        cr_assert_eq(feed(&o, k * 20, OLD, k, NULL), SLR_VERDICT_TAKEN);
    }
    cr_assert_eq(feed(&o, 1200, 0x3333u, 0, NULL), SLR_VERDICT_TAKEN);
    cr_assert_eq(feed(&o, 1220, 0x4444u, 0, NULL), SLR_VERDICT_TAKEN);
    cr_assert_eq(feed(&o, 1240, 0x5555u, 0, NULL), SLR_VERDICT_FOREIGN_SSRC);
    for (uint32_t k = 0; k < 50; k++) {
        cr_assert_eq(feed(&o, 2000 + k * 20, NEW, k, NULL), SLR_VERDICT_TAKEN, "packet %u", k);
    }
    end_one(&o, 3000);
    fx_assert_audio(&o.r, 0, 16000, 8000, NEW, 0);
    fx_assert_silence(&o.r, 0, 8000, 8000);
    done_one(&o);
}

Test(source, slots_are_used_again)
{
    struct one o;
    begin_one(&o, 1);
    int64_t at = 0;
    for (uint32_t n = 0; n < 40; n++) {
        for (uint32_t k = 0; k < 100; k++, at += 20) {
            cr_assert_eq(feed(&o, at, 0x1000 + n, k, NULL), SLR_VERDICT_TAKEN, "%u/%u", n, k);
            fx_write(&o.f, at);
        }
        at += 3000;
    }
    end_one(&o, at);
    for (uint32_t n = 0; n < 40; n++) {
        fx_assert_audio(&o.r, 0, (int64_t)n * 5000 * 8, 16000, 0x1000 + n, 0);
        fx_assert_silence(&o.r, 0, (int64_t)n * 5000 * 8 + 16000, 24000);
    }
    done_one(&o);
}

/* The disk stood still since the first of them spoke: it waits in the queue, so its slot does. */
Test(source, slots_are_not_used_again_before_the_file_has_it_all)
{
    struct one o;
    begin_one(&o, 1);
    int64_t at = 0;
    for (uint32_t n = 0; n < SLR_LEG_STREAMS; n++, at += 3000) {
        for (uint32_t k = 0; k < 5; k++, at += 20) {
            cr_assert_eq(feed(&o, at, 0x1000 + n, k, NULL), SLR_VERDICT_TAKEN, "%u/%u", n, k);
        }
    }
    cr_assert_eq(feed(&o, at, 0x2000, 0, NULL), SLR_VERDICT_FOREIGN_SSRC);
    fx_write(&o.f, at);
    for (uint32_t k = 0; k < 5; k++, at += 20) {
        cr_assert_eq(feed(&o, at, 0x2000, k, NULL), SLR_VERDICT_TAKEN, "%u", k);
    }
    end_one(&o, at);
    for (uint32_t n = 0; n < SLR_LEG_STREAMS; n++) {
        fx_assert_audio(&o.r, 0, (int64_t)n * 3100 * 8, 800, 0x1000 + n, 0);
    }
    fx_assert_audio(&o.r, 0, (int64_t)SLR_LEG_STREAMS * 3100 * 8, 800, 0x2000, 0);
    done_one(&o);
}

/* Same SSRC, same host, another port (NAT): a new stream that is taken over. */
Test(source, a_port_that_changes_is_followed)
{
    struct one o;
    begin_one(&o, 1);
    for (uint32_t k = 0; k < 100; k++) {
        const char *src = k < 50 ? FX_PEER : "192.0.2.1:4444";
        cr_assert_eq(feed(&o, k * 20, OLD, k, src), SLR_VERDICT_TAKEN);
    }
    end_one(&o, 2000);
    fx_assert_audio(&o.r, 0, 0, 16000, OLD, 0);
    done_one(&o);
}

Test(source, strict_wants_the_port_and_any_wants_nothing)
{
    struct one o;
    begin_one(&o, 1);
    o.leg->policy = SLR_SOURCE_STRICT;
    cr_assert_eq(feed(&o, 0, OLD, 0, "192.0.2.1:4002"), SLR_VERDICT_TAKEN);
    cr_assert_eq(o.leg->current, SLR_NONE); /* on probation */
    cr_assert_eq(feed(&o, 10, OLD, 0, NULL), SLR_VERDICT_TAKEN);
    cr_assert_neq(o.leg->current, SLR_NONE);
    end_one(&o, 30);
    fx_result_free(&o.r);
    fx_close(&o.f);
    begin_one(&o, 1);
    o.leg->policy = SLR_SOURCE_ANY;
    cr_assert_eq(feed(&o, 0, OLD, 0, STRAY), SLR_VERDICT_TAKEN);
    cr_assert_eq(o.leg->current, 0u);
    end_one(&o, 20);
    done_one(&o);
}

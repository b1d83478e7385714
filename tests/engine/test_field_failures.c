/*
 * What recorders are known for to get wrong in the field, one test each, by its name. Each failed
 * when the code that guards against it was broken.
 */
#include "tests/engine/silent.h"

#define OLD 0x11111111u
#define NEW 0x22222222u

struct one {
    struct fx f;
    struct slr_session *s;
    uint32_t leg;
    char id[SLR_ID_SIZE];
    int64_t written_ms;
    struct fx_result r;
};

static void begin(struct one *o)
{
    fx_open(&o->f);
    o->s = fx_session(&o->f, 1);
    o->leg = fx_leg(&o->f, o->s, 0, 8);
    memcpy(o->id, o->s->id, sizeof o->id);
    o->written_ms = 0;
}

static void end(struct one *o, int64_t at_ms)
{
    fx_end(&o->f, o->s, at_ms);
    fx_result(&o->f, o->id, &o->r);
}

static void done(struct one *o)
{
    fx_result_free(&o->r);
    fx_close(&o->f);
}

/* Packet k of a stream that began at k = 0, seq and ts as it gives them; the writer runs along. */
static enum slr_verdict feed(struct one *o, int64_t at_ms, uint32_t ssrc, uint32_t k, uint32_t ts0)
{
    for (; o->written_ms < at_ms; o->written_ms += 20) {
        fx_write(&o->f, o->written_ms);
    }
    return fx_kept(fx_rtp(&o->f, o->leg, at_ms, fx_audio(ssrc, k, 100, ts0)));
}

/* "kind winner at_ms, ..." */
static const char *clock_text(const struct one *o, char out[static 1024])
{
    size_t i = 0;
    size_t n = 0;
    json_t *item = NULL;
    out[0] = '\0';
    json_array_foreach(json_object_get(fx_leg_json(&o->r, 0), "clock"), i, item)
    {
        n += (size_t)snprintf(out + n, 1024 - n, "%s%s %s %g", i ? ", " : "",
                              json_string_value(json_object_get(item, "kind")),
                              json_string_value(json_object_get(item, "winner")),
                              json_real_value(json_object_get(item, "at_ms")));
        cr_assert_lt(n, 1000u);
    }
    return out;
}

#define assert_clock(o, want)                                                                      \
    do {                                                                                           \
        char clock_list[1024];                                                                     \
        cr_assert_str_eq(clock_text((o), clock_list), (want), "clock: %s", clock_list);            \
    } while (0)

/* A deterministic delay of 0 to 79 ms that keeps the order of 20 ms packets by chance only. */
static int64_t jitter(uint32_t k)
{
    return (int64_t)((k * 2654435761u >> 16) % 80u);
}

/* The old stream's last packets and the new one's first are delayed by different times: what was
 * said lies where it was said all the same, to the sample. */
Test(field_failures, ssrc_change_on_reinvite)
{
    for (uint32_t turn = 0; turn < 2; turn++) {
        struct one o;
        begin(&o);
        for (uint32_t k = 0; k < 100; k++) {
            int64_t late = k >= 98 ? (turn ? 70 : 0) : jitter(k);
            cr_assert_eq(feed(&o, k * 20 + late, OLD, k, 5000), SLR_VERDICT_TAKEN);
        }
        for (uint32_t k = 0; k < 100; k++) {
            int64_t late = k < 3 ? (turn ? 0 : 90) : jitter(k + 7);
            late = k == 20 ? 0 : late; /* at least one of them is quick */
            cr_assert_eq(feed(&o, 3000 + k * 20 + late, NEW, k, 777), SLR_VERDICT_TAKEN);
        }
        end(&o, 5100);
        fx_assert_audio(&o.r, 0, 0, 16000, OLD, 0);
        fx_assert_silence(&o.r, 0, 16000, 8000);
        fx_assert_audio(&o.r, 0, 24000, 16000, NEW, 0);
        fx_assert_spans(&o.r, 0,
                        "received 0+2000, absent 2000+1000, received 3000+2000, ended 5000+100");
        done(&o);
    }
}

/* Timestamps jump by a day, up or down, and no time passes: what follows is where it was said. */
Test(field_failures, timestamp_jump_of_24h)
{
    static const uint32_t by[] = {8000u * 86400u, 0u - 8000u * 86400u};
    for (uint32_t turn = 0; turn < 2; turn++) {
        struct one o;
        begin(&o);
        for (uint32_t k = 0; k < 200; k++) {
            int64_t late = k == 100 ? 60 : k > 100 && k < 104 ? 40 : 0;
            cr_assert_eq(feed(&o, k * 20 + late, OLD, k, k < 100 ? 5000 : 5000 + by[turn]),
                         SLR_VERDICT_TAKEN);
        }
        end(&o, 4000);
        fx_assert_audio(&o.r, 0, 0, 32000, OLD, 0);
        fx_assert_spans(&o.r, 0, "received 0+4000");
        assert_clock(&o, "ts-jump arrival 2000");
        done(&o);
    }
}

/* The network holds everything back for 3 s and then gives it at once. What comes after that is
 * where it was said; of what was held back, that whose place was written is late. */
Test(field_failures, network_stall)
{
    struct one o;
    begin(&o);
    for (uint32_t k = 0; k < 400; k++) {
        int64_t at = k >= 100 && k < 250 ? 5000 : k * 20;
        enum slr_verdict v = feed(&o, at, OLD, k, 5000);
        cr_assert(v == SLR_VERDICT_TAKEN || v == SLR_VERDICT_LATE);
    }
    end(&o, 8000);
    int64_t late = fx_stream_count(&o.r, 0, 0, "late");
    cr_assert(late >= 75 && late <= 101, "%lld late", (long long)late);
    cr_assert_eq(fx_stream_count(&o.r, 0, 0, "placed"), 400 - late);
    cr_assert_eq(fx_stream_count(&o.r, 0, 0, "lost"), 0);
    fx_assert_audio(&o.r, 0, 0, 16000, OLD, 0);
    fx_assert_silence(&o.r, 0, 16000, late * 160);
    fx_assert_audio(&o.r, 0, 16000 + late * 160, 64000 - 16000 - late * 160, OLD,
                    16000 + late * 160);
    assert_clock(&o, "burst rtp 2000");
    json_t *spans = json_object_get(fx_leg_json(&o.r, 0), "spans");
    cr_assert_eq(json_array_size(spans), 3u);
    json_t *gap = json_array_get(spans, 1);
    cr_assert_str_eq(json_string_value(json_object_get(gap, "kind")), "lost-network");
    cr_assert_eq(json_integer_value(json_object_get(gap, "packets")), late);
    cr_assert_eq(json_integer_value(json_object_get(gap, "late")), late);
    done(&o);
}

/* The sender stands still: for less than the bound its clock is believed, beyond it time is. */
Test(field_failures, sender_stall)
{
    static const int64_t still_ms[] = {560, 1900, 3000};
    for (uint32_t turn = 0; turn < 3; turn++) {
        struct one o;
        begin(&o);
        for (uint32_t k = 0; k < 300; k++) {
            int64_t at = k * 20 + (k >= 100 ? still_ms[turn] : 0) + (k == 100 ? 50 : 0);
            cr_assert_eq(feed(&o, at, OLD, k, 5000), SLR_VERDICT_TAKEN, "%u: %u", turn, k);
        }
        end(&o, 10000);
        int64_t from = turn == 0 ? 16000 : 16000 + still_ms[turn] * 8;
        fx_assert_audio(&o.r, 0, 0, 16000, OLD, 0);
        fx_assert_audio(&o.r, 0, from, 32000, OLD, 16000);
        cr_assert_eq(fx_stream_count(&o.r, 0, 0, "late"), 0);
        assert_clock(&o, turn == 0   ? "step rtp 4060"
                         : turn == 1 ? "ts-still arrival 3900"
                                     : "ts-still arrival 5000");
        done(&o);
    }
}

/* Media that is sent three times as fast lies by its own clock, from its first packet on. */
Test(field_failures, faster_than_real_time)
{
    struct one o;
    begin(&o);
    for (uint32_t k = 0; k < 600; k++) {
        cr_assert_eq(feed(&o, 2000 + k * 20 / 3, OLD, k, 5000), SLR_VERDICT_TAKEN);
    }
    end(&o, 6100);
    fx_assert_silence(&o.r, 0, 0, 16000);
    fx_assert_audio(&o.r, 0, 16000, 96000, OLD, 0);
    cr_assert_eq(json_array_size(json_object_get(fx_leg_json(&o.r, 0), "clock")), 1u);
    done(&o);
}

/* The transport of a leg is alive and sends comfort noise for ever: nobody is heard any more, and
 * nobody noticed. */
Test(field_failures, comfort_noise_hiding_a_dead_leg)
{
    struct silent t;
    struct fx_result r;
    silent_begin(&t, 10);
    silent_run(&t, 5000, TALKS);
    (void)silent_expect(&t, 10000, COMFORT_NOISE, "comfort-only");
    silent_recovers(&t);
    fx_end(&t.f, t.s, t.now_ms);
    fx_result(&t.f, t.id, &r);
    json_t *leg = json_array_get(json_object_get(r.ledger, "legs"), 1);
    json_t *quality = json_object_get(leg, "quality");
    cr_assert_eq(json_integer_value(json_object_get(quality, "silent_alarms")), 1);
    fx_result_free(&r);
    silent_end(&t);
}

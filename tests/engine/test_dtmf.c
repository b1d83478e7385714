/* Telephone events (RFC 4733): one digit for each, however often and in what order it is told. */
#include "engine/dtmf.h"
#include "tests/engine/outcome.h"

#define SSRC 0x5555u

Test(dtmf, payload)
{
    static const uint8_t key[] = {11, 0x8a, 0x03, 0x20, 1, 2, 3, 4};
    struct slr_dtmf ev;
    cr_assert_eq(slr_dtmf_parse(slr_slice_of(key, 4), &ev), SLR_OK);
    cr_assert(ev.end);
    cr_assert_eq(ev.digit, '#');
    cr_assert_eq(ev.duration_units, 800);
    cr_assert_eq(slr_dtmf_parse(slr_slice_of(key, 8), &ev), SLR_OK);
    cr_assert_eq(slr_dtmf_parse(slr_slice_of(key, 3), &ev), SLR_TRUNCATED);
    cr_assert_eq(slr_dtmf_parse(slr_slice_of(key, 0), &ev), SLR_TRUNCATED);
    cr_assert_eq(slr_dtmf_parse(slr_slice_of(key, 6), &ev), SLR_FORMAT);
}

Test(dtmf, names)
{
    struct slr_dtmf ev;
    static const char want[] = "0123456789*#ABCDF";
    for (unsigned i = 0; i < 256; i++) {
        uint8_t at[4] = {(uint8_t)i, 0, 0, 0};
        cr_assert_eq(slr_dtmf_parse(slr_slice_of(at, 4), &ev), SLR_OK);
        cr_assert_eq(ev.digit, i < 17 ? want[i] : '\0', "event %u", i);
        cr_assert_not(ev.end);
    }
}

static json_t *digits(const struct fx_result *r)
{
    return json_object_get(json_object_get(r->ledger, "digits"), "items");
}

static void assert_digit(const struct fx_result *r, size_t i, const char *digit, int64_t start_ms,
                         int64_t duration_ms, int64_t leg)
{
    json_t *d = json_array_get(digits(r), i);
    cr_assert_str_eq(json_string_value(json_object_get(d, "digit")), digit);
    cr_assert_eq(json_integer_value(json_object_get(d, "start_ticks")), start_ms * FX_MS);
    cr_assert_eq(json_integer_value(json_object_get(d, "duration_ms")), duration_ms);
    cr_assert_eq(json_integer_value(json_object_get(d, "leg")), leg);
}

/* As a phone sends them: the same timestamp, growing duration, the end three times. */
static uint16_t key(struct fx *f, uint32_t leg, int64_t at_ms, uint16_t seq, uint32_t ts,
                    uint8_t event)
{
    for (uint16_t n = 1; n <= 5; n++, seq++) {
        struct fx_packet p = fx_event(SSRC, seq, ts, event, (uint16_t)(n * 160), false);
        cr_assert_eq(fx_rtp(f, leg, at_ms + n * 20, p), SLR_VERDICT_EVENT);
    }
    for (uint16_t n = 0; n < 3; n++, seq++) {
        struct fx_packet p = fx_event(SSRC, seq, ts, event, 960, true);
        cr_assert_eq(fx_rtp(f, leg, at_ms + 120 + n, p), SLR_VERDICT_EVENT);
    }
    return seq;
}

Test(dtmf, keys_between_audio)
{
    struct fx f;
    struct fx_result r;
    char id[SLR_ID_SIZE];
    fx_open(&f);
    struct slr_session *s = fx_session(&f, 2);
    (void)fx_leg(&f, s, 1, 8);
    uint32_t leg = fx_leg(&f, s, 0, 8); /* second leg, first channel */
    memcpy(id, s->id, sizeof id);
    for (uint32_t k = 0; k < 50; k++) {
        cr_assert_eq(fx_rtp(&f, leg, k * 20, fx_audio(SSRC, k, 0, 0)), SLR_VERDICT_TAKEN);
    }
    uint16_t seq = key(&f, leg, 980, 50, 8000, 1);
    seq = key(&f, leg, 1180, seq, 9600, 1); /* the same key again */
    for (uint32_t k = 70; k < 100; k++) {
        struct fx_packet p = fx_audio(SSRC, k, (uint16_t)(seq - 70), 0);
        cr_assert_eq(fx_rtp(&f, leg, k * 20, p), SLR_VERDICT_TAKEN);
    }
    fx_end(&f, s, 2000);
    fx_result(&f, id, &r);
    cr_assert_eq(json_array_size(digits(&r)), 2u);
    assert_digit(&r, 0, "1", 1000, 120, 1);
    assert_digit(&r, 1, "1", 1200, 120, 1);
    fx_assert_silence(&r, 0, 8000, 3200); /* no tones are made up */
    fx_assert_spans(&r, 1,
                    "received 0+1000, event 1000+120, comfort 1120+80, event 1200+120, comfort "
                    "1320+80, received 1400+600");
    cr_assert_eq(fx_stream_count(&r, 1, 0, "lost"), 0);
    fx_result_free(&r);
    fx_close(&f);
}

Test(dtmf, lost_and_reordered_packets_of_a_key)
{
    struct fx f;
    struct fx_result r;
    char id[SLR_ID_SIZE];
    fx_open(&f);
    struct slr_session *s = fx_session(&f, 1);
    uint32_t leg = fx_leg(&f, s, 0, 8);
    memcpy(id, s->id, sizeof id);
    cr_assert_eq(fx_rtp(&f, leg, 0, fx_audio(SSRC, 0, 0, 0)), SLR_VERDICT_TAKEN);
    (void)fx_rtp(&f, leg, 80, fx_event(SSRC, 4, 160, 7, 480, false));
    (void)fx_rtp(&f, leg, 81, fx_event(SSRC, 3, 160, 7, 320, false));
    (void)fx_rtp(&f, leg, 220, fx_event(SSRC, 9, 1600, 8, 160, false));
    (void)fx_rtp(&f, leg, 221, fx_event(SSRC, 8, 160, 7, 960, true)); /* the end, overtaken */
    (void)fx_rtp(&f, leg, 260, fx_event(SSRC, 11, 1600, 8, 640, true));
    fx_end(&f, s, 400);
    fx_result(&f, id, &r);
    cr_assert_eq(json_array_size(digits(&r)), 2u);
    cr_assert_str_eq(json_string_value(json_object_get(json_array_get(digits(&r), 0), "digit")),
                     "7");
    assert_digit(&r, 1, "8", 200, 80, 0);
    fx_result_free(&r);
    fx_close(&f);
}

/* The sender's clock jumps back: digits after it are no stragglers of those before. */
Test(dtmf, keys_after_a_jump_of_the_clock)
{
    struct fx f;
    fx_open(&f);
    struct slr_session *s = fx_session(&f, 1);
    uint32_t leg = fx_leg(&f, s, 0, 8);
    cr_assert_eq(fx_rtp(&f, leg, 0, fx_audio(SSRC, 0, 0, 90000000)), SLR_VERDICT_TAKEN);
    (void)key(&f, leg, 100, 1, 90000960, 1);
    (void)key(&f, leg, 1100, 9, 1000, 2);
    (void)key(&f, leg, 2100, 17, 9000, 3);
    cr_assert_eq(f.e.state->leg[leg].digit_count, 3u);
    fx_end(&f, s, 3000);
    fx_close(&f);
}

/* A digit of the ledger names its leg; in the leg's slot it names the segment it lies under. */
Test(dtmf, leg_and_segment_of_a_key)
{
    struct fx f;
    struct fx_result r;
    char id[SLR_ID_SIZE];
    fx_open(&f);
    struct slr_session *s = fx_session(&f, 2);
    memcpy(id, s->id, sizeof id);
    uint32_t leg = fx_leg(&f, s, 0, 8);
    (void)fx_leg(&f, s, 1, 8);
    cr_assert_eq(fx_rtp(&f, leg, 0, fx_audio(SSRC, 0, 0, 90000000)), SLR_VERDICT_TAKEN);
    (void)key(&f, leg, 100, 1, 90000960, 1);
    (void)key(&f, leg, 1100, 9, 1000, 2); /* the clock jumped: another segment */
    const struct slr_leg_digit *d = slr_leg_rare(&f.e.state->leg[leg])->digit;
    cr_assert_eq(f.e.state->leg[leg].digit_count, 2u);
    cr_assert_neq(d[0].segment, d[1].segment);
    fx_end(&f, s, 3000);
    fx_result(&f, id, &r);
    cr_assert_eq(json_array_size(digits(&r)), 2u);
    for (size_t i = 0; i < 2; i++) {
        json_t *leg_of = json_object_get(json_array_get(digits(&r), i), "leg");
        cr_assert_eq(json_integer_value(leg_of), 0);
    }
    fx_result_free(&r);
    fx_close(&f);
}

/* Another SSRC begins beside the one that dials, its first packet delayed by 100 ms: where that one
 * is moved to is nothing to the key. */
Test(dtmf, a_key_stays_where_another_stream_is_moved)
{
    struct fx f;
    struct fx_result r;
    char id[SLR_ID_SIZE];
    fx_open(&f);
    struct slr_session *s = fx_session(&f, 1);
    uint32_t leg = fx_leg(&f, s, 0, 8);
    memcpy(id, s->id, sizeof id);
    for (uint32_t k = 0; k < 50; k++) {
        cr_assert_eq(fx_rtp(&f, leg, k * 20, fx_audio(SSRC, k, 0, 0)), SLR_VERDICT_TAKEN);
    }
    (void)fx_rtp(&f, leg, 1130, fx_audio(SSRC + 1, 0, 0, 0));
    (void)key(&f, leg, 1140, 50, 1140 * 8, 5);
    for (uint32_t k = 1; k < 10; k++) {
        (void)fx_rtp(&f, leg, 1030 + k * 20 + 250, fx_audio(SSRC + 1, k + 12, 0, 0));
    }
    fx_end(&f, s, 2000);
    fx_result(&f, id, &r);
    cr_assert_eq(json_array_size(digits(&r)), 1u);
    assert_digit(&r, 0, "5", 1140, 120, 0);
    fx_result_free(&r);
    fx_close(&f);
}

Test(dtmf, the_list_is_bounded)
{
    struct fx f;
    fx_open(&f);
    struct slr_session *s = fx_session(&f, 1);
    uint32_t leg = fx_leg(&f, s, 0, 8);
    for (uint32_t k = 0; k < 400; k++) {
        struct fx_packet p = fx_event(SSRC, (uint16_t)k, k * 160, 1, 160, true);
        cr_assert_eq(fx_rtp(&f, leg, k * 20, p), SLR_VERDICT_EVENT);
    }
    cr_assert_eq(f.e.state->leg[leg].digit_count, SLR_LEG_DIGITS);
    fx_end(&f, s, 8000);
    fx_close(&f);
}

/* A key is held for 11 s: two events, as a duration cannot say more than 8.2 s; or one whose
 * duration stops growing. What follows it lies where it was said, and it is one digit. */
Test(dtmf, a_key_that_is_held_for_long)
{
    for (uint32_t turn = 0; turn < 2; turn++) {
        struct fx f;
        struct fx_result r;
        char id[SLR_ID_SIZE];
        fx_open(&f);
        struct slr_session *s = fx_session(&f, 1);
        uint32_t leg = fx_leg(&f, s, 0, 8);
        memcpy(id, s->id, sizeof id);
        for (uint32_t k = 0; k < 650; k++) {
            uint32_t units = (k - 50 + 1) * 160;
            bool second = turn == 0 && units > 0xffff;
            uint32_t ts = 8000 + (second ? 0xffff : 0);
            units -= second ? 0xffff : 0;
            bool held = k >= 50 && k < 600;
            struct fx_packet p =
                held ? fx_event(SSRC, (uint16_t)k, ts, 9,
                                (uint16_t)(units < 0xffff ? units : 0xffff), k >= 597)
                     : fx_audio(SSRC, k, 0, 0);
            enum slr_verdict v = fx_rtp(&f, leg, k * 20, p);
            cr_assert_eq(v, held ? SLR_VERDICT_EVENT : SLR_VERDICT_TAKEN, "%u", k);
            fx_write(&f, k * 20);
        }
        fx_end(&f, s, 13000);
        fx_result(&f, id, &r);
        cr_assert_eq(json_array_size(digits(&r)), 1u);
        assert_digit(&r, 0, "9", 1000, turn ? 8191 : 11000, 0);
        fx_assert_audio(&r, 0, 0, 8000, SSRC, 0);
        fx_assert_silence(&r, 0, 8000, 88000);
        fx_assert_audio(&r, 0, 96000, 8000, SSRC, 96000);
        cr_assert_eq(r.wav.frames, 104000u);
        size_t notes = json_array_size(json_object_get(fx_leg_json(&r, 0), "clock"));
        cr_assert_eq(notes, turn ? 1u : 0u); /* a clock that stops has to be corrected */
        fx_result_free(&r);
        fx_close(&f);
    }
}

/* Old senders let the timestamp go on with each packet of a key: it is one key all the same, and
 * when it is pressed again it is two. */
Test(dtmf, timestamps_that_move_on_during_a_key)
{
    struct fx f;
    fx_open(&f);
    struct slr_session *s = fx_session(&f, 1);
    uint32_t leg = fx_leg(&f, s, 0, 8);
    cr_assert_eq(fx_rtp(&f, leg, 0, fx_audio(SSRC, 0, 0, 0)), SLR_VERDICT_TAKEN);
    static const uint8_t order[] = {0, 2, 1, 3, 4, 5, 5, 5}; /* the second one comes late */
    for (uint32_t press = 0; press < 2; press++) {
        for (uint32_t i = 0; i < sizeof order; i++) {
            uint32_t k = order[i];
            uint16_t seq = (uint16_t)(1 + press * 8 + (i < 5 ? k : i));
            struct fx_packet p = fx_event(SSRC, seq, 160 + press * 3200 + k * 160, 4,
                                          (uint16_t)((k + 1) * 160), i >= 5);
            cr_assert_eq(fx_rtp(&f, leg, 20 + press * 400 + i * 20, p), SLR_VERDICT_EVENT);
        }
    }
    const struct slr_leg *l = &f.e.state->leg[leg];
    cr_assert_eq(l->digit_count, 2u);
    cr_assert_eq(slr_leg_rare(l)->digit[0].duration_ms, 120u);
    cr_assert_eq(slr_leg_rare(l)->digit[1].duration_ms, 120u);
    cr_assert_eq(slr_leg_rare(l)->digit[0].start_ticks, 20 * FX_MS);
    cr_assert_eq(slr_leg_rare(l)->digit[1].start_ticks, 420 * FX_MS);
    fx_end(&f, s, 3000);
    fx_close(&f);
}

/* The clock of the events is theirs, also beside audio with another one. */
Test(dtmf, events_have_a_clock_of_their_own)
{
    struct fx f;
    fx_open(&f);
    struct slr_session *s = fx_session(&f, 1);
    uint32_t slot = fx_leg(&f, s, 0, 8);
    struct slr_leg *leg = &f.e.state->leg[slot];
    struct slr_pt_map rows[2];
    fx_row(&rows[0], 96, "L16");
    rows[0].clock_hz = 16000;
    fx_row(&rows[1], 101, "telephone-event");
    cr_assert_eq(slr_leg_codecs_set(leg, rows, 2), SLR_OK);
    slr_leg_codecs_build(&f.e.codecs[slot], leg);
    struct fx_packet p = fx_audio(SSRC, 0, 0, 0);
    p.pt = 96;
    cr_assert_eq(fx_rtp(&f, slot, 0, p), SLR_VERDICT_TAKEN);
    (void)key(&f, slot, 0, 1, 320, 1);
    cr_assert_eq(leg->digit_count, 1u);
    cr_assert_eq(slr_leg_rare(leg)->digit[0].duration_ms, 120u);
    fx_end(&f, s, 1000);
    fx_close(&f);
}

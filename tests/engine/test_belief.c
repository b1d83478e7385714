/*
 * Belief: what becomes of packets that came while their SSRC was on probation. Those whose place
 * was written by then are late, whether they are still in the queue or not; the digits among the
 * others are entered, once.
 */
#include "engine/anchor.h"
#include "engine/belief.h"
#include "tests/engine/one.h"

#define OLD 0x11111111u
#define NEW 0x22222222u

/* A second of the SSRC that was there first. */
static void begin(struct one *o)
{
    begin_one(o, 1);
    fx_stream(&o->f, o->slot, 0, OLD, 0, 50);
    fx_write(&o->f, 1000);
}

/* From number `from` on each packet is 40 after the one before it, which nobody believes. */
static struct fx_packet leaping(uint32_t k, uint32_t until)
{
    struct fx_packet p = fx_audio(NEW, k, 0, 0);
    p.seq = (uint16_t)(k < until ? 40 * k : 40 * until + k - until);
    return p;
}

static int64_t written_ms(const struct one *o)
{
    return slr_session_written_ticks(o->s) / FX_MS;
}

/* Packets from 1 s on, believed with the third that follows number `until`; returns what was
 * written then. */
static int64_t believe_after(struct one *o, uint32_t until, uint32_t count)
{
    int64_t written = 0;
    for (uint32_t k = 0; k < count; k++) {
        int64_t at = 1000 + 20 * (int64_t)k;
        bool before = o->leg->current == 0;
        cr_assert_eq(fx_kept(fx_rtp(&o->f, o->slot, at, leaping(k, until))), SLR_VERDICT_TAKEN);
        written = before ? written_ms(o) : written;
        cr_assert_eq(o->leg->current, k < until + 3 ? 0u : 1u, "packet %u", k);
        fx_write(&o->f, at);
    }
    return written;
}

static json_t *late_of(const struct one *o, size_t span)
{
    json_t *spans = json_object_get(fx_leg_json(&o->r, 0), "spans");
    return json_object_get(json_array_get(spans, span), "late");
}

Test(belief, what_was_not_believed_in_time_is_late)
{
    struct one o;
    char want[128];
    begin(&o);
    int64_t written = believe_after(&o, 100, 110);
    cr_assert_geq(written, 1500); /* more than a chunk holds is gone from the queue */
    end_one(&o, 3200);
    int64_t late = (written - 1000) / 20;
    cr_assert_eq(fx_stream_count(&o.r, 0, 1, "packets"), 110);
    cr_assert_eq(fx_stream_count(&o.r, 0, 1, "late"), late);
    cr_assert_eq(fx_stream_count(&o.r, 0, 1, "placed"), 110 - late);
    cr_assert_eq(fx_stream_count(&o.r, 0, 1, "first_ticks"), written * FX_MS);
    cr_assert_eq(fx_stream_count(&o.r, 0, 1, "last_ticks"), 3200 * FX_MS);
    snprintf(want, sizeof want, "received 0+1000, absent 1000+%lld, received %lld+%lld",
             (long long)(written - 1000), (long long)written, (long long)(3200 - written));
    fx_assert_spans(&o.r, 0, want);
    cr_assert_eq(json_integer_value(late_of(&o, 1)), late);
    fx_assert_silence(&o.r, 0, 8000, (written - 1000) * 8);
    fx_assert_audio(&o.r, 0, written * 8, (3200 - written) * 8, NEW, (written - 1000) * 8);
    done_one(&o);
}

Test(belief, all_of_it_is_placed_where_nothing_was_written)
{
    struct one o;
    begin(&o);
    (void)believe_after(&o, 20, 50);
    end_one(&o, 2000);
    cr_assert_eq(fx_stream_count(&o.r, 0, 1, "placed"), 50);
    cr_assert_eq(fx_stream_count(&o.r, 0, 1, "late"), 0);
    cr_assert_eq(fx_stream_count(&o.r, 0, 1, "first_ticks"), 1000 * FX_MS);
    fx_assert_spans(&o.r, 0, "received 0+2000");
    done_one(&o);
}

/* Longer than a record may be (placement.c): so many packets, whatever they were cut into. */
Test(belief, a_packet_of_several_records_is_one)
{
    static uint8_t payload[5000];
    struct one o;
    begin(&o);
    memset(payload, 0x2a, sizeof payload);
    for (uint16_t k = 0; k < 3; k++) {
        struct slr_packet pkt = {.arrival = fx_time((1000 + k * 625) * SLR_NS_PER_MS)};
        struct slr_rtp rtp = {.pt = 8, .seq = k, .ts = k * 5000u, .ssrc = NEW};
        rtp.payload = slr_slice_of(payload, sizeof payload);
        cr_assert_eq(slr_addr_parse(FX_PEER, &pkt.src), SLR_OK);
        enum slr_verdict v = slr_placement_rtp(&o.f.worker.place, o.slot, &pkt, &rtp);
        cr_assert_eq(fx_kept(v), SLR_VERDICT_TAKEN);
    }
    cr_assert_eq(o.leg->current, 1u);
    end_one(&o, 2875);
    cr_assert_eq(fx_stream_count(&o.r, 0, 1, "placed"), 3);
    cr_assert_eq(fx_stream_count(&o.r, 0, 1, "late"), 0);
    cr_assert_eq(fx_stream_count(&o.r, 0, 1, "first_ticks"), 1000 * FX_MS);
    fx_assert_spans(&o.r, 0, "received 0+2875");
    done_one(&o);
}

/* Key 1 before its SSRC is believed, which is with the third packet of key 2. */
static void dial(struct one *o)
{
    uint16_t seq = 0;
    (void)fx_rtp(&o->f, o->slot, 1010, fx_audio(OLD, 50, 100, 5000));
    (void)fx_rtp(&o->f, o->slot, 1020, fx_audio(NEW, 0, seq++, 0));
    for (uint16_t n = 1; n <= 2; n++) {
        (void)fx_rtp(&o->f, o->slot, 1040 + n * 10,
                     fx_event(NEW, seq++, 160, 1, (uint16_t)(n * 80), n == 2));
    }
    for (uint16_t n = 1; n <= 5; n++) {
        (void)fx_rtp(&o->f, o->slot, 1060 + n * 20,
                     fx_event(NEW, seq++, 320, 2, (uint16_t)(n * 160), n == 5));
        cr_assert_eq(o->leg->current, n < 3 ? 0u : 1u, "packet %u", n);
    }
}

static void assert_digit(const struct one *o, size_t i, const char *digit, double start_ms,
                         int64_t duration_ms)
{
    json_t *items = json_object_get(json_object_get(o->r.ledger, "digits"), "items");
    json_t *d = json_array_get(items, i);
    cr_assert_str_eq(json_string_value(json_object_get(d, "digit")), digit);
    cr_assert_float_eq(json_real_value(json_object_get(d, "start_ms")), start_ms, 0.01);
    cr_assert_eq(json_integer_value(json_object_get(d, "duration_ms")), duration_ms);
}

static int64_t digit_count(const struct one *o)
{
    return json_integer_value(json_object_get(json_object_get(o->r.ledger, "digits"), "count"));
}

Test(belief, digits_dialled_on_probation_are_entered)
{
    for (uint8_t policy = SLR_DIGITS_KEEP; policy <= SLR_DIGITS_DROP; policy++) {
        struct one o;
        begin(&o);
        o.s->digit_policy = policy;
        dial(&o);
        end_one(&o, 2000);
        cr_assert_eq(digit_count(&o), 2, "policy %u", policy);
        if (policy != SLR_DIGITS_DROP) {
            assert_digit(&o, 0, policy == SLR_DIGITS_KEEP ? "1" : "x", 1040, 20);
            assert_digit(&o, 1, policy == SLR_DIGITS_KEEP ? "2" : "x", 1060, 100);
        }
        done_one(&o);
    }
}

Test(belief, digits_of_an_ssrc_that_is_never_believed_are_not_entered)
{
    struct one o;
    begin(&o);
    for (uint32_t k = 0; k < 100; k++) {
        int64_t at = 1000 + 20 * (int64_t)k;
        struct fx_packet p = fx_event(NEW, (uint16_t)k, 0, 5, (uint16_t)(k * 160), k == 99);
        cr_assert_eq(fx_rtp(&o.f, o.slot, at, fx_audio(OLD, 50 + k, 100, 5000)), SLR_VERDICT_TAKEN);
        cr_assert_eq(fx_rtp(&o.f, o.slot, at, p), SLR_VERDICT_EVENT);
        fx_write(&o.f, at);
    }
    end_one(&o, 3000);
    cr_assert_eq(digit_count(&o), 0);
    fx_assert_spans(&o.r, 0, "received 0+3000");
    done_one(&o);
}

Test(belief, digits_whose_place_was_written_are_not_entered)
{
    struct one o;
    begin(&o);
    for (uint32_t k = 0; k < 110; k++) {
        struct fx_packet p = leaping(k, 100);
        bool dials = k == 1 || k == 95;
        if (dials) {
            p = fx_event(NEW, p.seq, p.ts, k == 1 ? 1 : 2, 160, true);
        }
        cr_assert_geq(fx_rtp(&o.f, o.slot, 1000 + 20 * (int64_t)k, p), 0);
        fx_write(&o.f, 1000 + 20 * (int64_t)k);
    }
    end_one(&o, 3200);
    cr_assert_eq(digit_count(&o), 1);
    assert_digit(&o, 0, "2", 1000 + 95 * 20, 20);
    cr_assert_eq(fx_stream_count(&o.r, 0, 1, "placed") + fx_stream_count(&o.r, 0, 1, "late"), 110);
    done_one(&o);
}

/* The writer is giving back packets when it would be: the next packet does it. */
Test(belief, a_stream_is_believed_with_the_next_packet)
{
    struct one o;
    begin(&o);
    for (uint32_t k = 0; k < 20; k++) {
        atomic_store(&o.f.e.state->leg_freed[o.slot], k == 13);
        (void)fx_rtp(&o.f, o.slot, 1000 + 20 * (int64_t)k, leaping(k, 10));
        cr_assert_eq(o.leg->current, k < 14 ? 0u : 1u, "packet %u", k);
    }
    end_one(&o, 1400);
    cr_assert_eq(fx_stream_count(&o.r, 0, 1, "placed"), 20);
    fx_assert_audio(&o.r, 0, 8000, 3200, NEW, 0);
    done_one(&o);
}

static uint32_t queued(const struct one *o, uint32_t slot)
{
    struct slr_queue_walk walk = {0};
    uint32_t n = 0;
    const struct slr_rec *rec = slr_queue_next(o->f.e.state, o->slot, &walk);
    for (; rec; rec = slr_queue_next(o->f.e.state, o->slot, &walk)) {
        n += rec->stream == slot;
    }
    return n;
}

/* A process may die when that was done, and before the SSRC is taken. */
Test(belief, settled_twice_is_settled)
{
    struct one o;
    begin(&o);
    for (uint32_t k = 0; k < 80; k++) {
        struct fx_packet p = leaping(k, 100);
        p = k == 70 || k == 72 ? fx_event(NEW, p.seq, p.ts, 3, 160, true) : p;
        (void)fx_rtp(&o.f, o.slot, 1000 + 20 * (int64_t)k, p);
        fx_write(&o.f, 1000 + 20 * (int64_t)k);
    }
    struct slr_stream *st = slr_leg_stream(o.leg, 1);
    for (int i = 0; i < 2; i++) {
        struct slr_place x = {.p = &o.f.worker.place,
                              .session = o.s,
                              .leg = o.leg,
                              .st = st,
                              .leg_index = o.slot,
                              .written_ticks = slr_session_written_ticks(o.s)};
        slr_belief_settle(&x);
        cr_assert_gt(st->late, 0u); /* what is gone from the queue; the writer tells the rest */
        cr_assert_eq(st->late, 80 - queued(&o, 1), "%u of 80", (unsigned)st->late);
        cr_assert_eq(st->placed, queued(&o, 1));
        cr_assert_eq(o.leg->digit_count, 2u);
    }
    end_one(&o, 3000);
    done_one(&o);
}

/* Clocks that divide a second's ticks and one that does not. */
Test(belief, the_timestamp_of_a_record)
{
    static const uint32_t hz[] = {8000, 16000, 44100, 48000, 90000};
    for (size_t i = 0; i < sizeof hz / sizeof hz[0]; i++) {
        struct slr_stream st = {.anchor = {{.ts_ext = 1LL << 40, .ticks = 12345, .segment = 1}}};
        bool whole = SLR_TICKS_HZ % hz[i] == 0;
        st.anchor[0].clock_hz = hz[i];
        st.anchor[0].unit_ticks = (uint16_t)(whole ? SLR_TICKS_HZ / hz[i] : 0);
        for (int64_t units = -200000; units < 200000; units += 37) {
            struct slr_rec rec = {.pos_ticks = 12345 + slr_ticks_from_rtp(units, hz[i]),
                                  .segment = 1};
            cr_assert_eq(slr_anchor_timestamp(&st, &rec), (1LL << 40) + units, "%u Hz: %lld", hz[i],
                         (long long)units);
        }
    }
}

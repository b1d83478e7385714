/* Spans: every moment of a channel has one cause, and they add up to the session. */
#include "engine/stream.h"
#include "tests/engine/outcome.h"

#define SSRC 0x600du

struct one {
    struct fx f;
    struct slr_session *s;
    uint32_t slot;
    char id[SLR_ID_SIZE];
    struct fx_result r;
};

static void begin(struct one *o, uint32_t chunks)
{
    fx_open_sized(&o->f, 8, chunks);
    o->s = fx_session(&o->f, 1);
    o->slot = fx_leg(&o->f, o->s, 0, 8);
    memcpy(o->id, o->s->id, sizeof o->id);
}

static void end(struct one *o, int64_t at_ms, const char *spans)
{
    fx_end(&o->f, o->s, at_ms);
    fx_result(&o->f, o->id, &o->r);
    fx_assert_spans(&o->r, 0, spans);
    fx_result_free(&o->r);
    fx_close(&o->f);
}

static enum slr_verdict feed(struct one *o, int64_t at_ms, struct fx_packet p)
{
    return fx_kept(fx_rtp(&o->f, o->slot, at_ms, p));
}

static void audio(struct one *o, uint32_t from, uint32_t to, uint32_t seq_less)
{
    for (uint32_t k = from; k < to; k++) {
        struct fx_packet p = fx_audio(SSRC, k, (uint16_t)(100 - seq_less), 5000);
        cr_assert_eq(feed(o, k * 20, p), SLR_VERDICT_TAKEN);
    }
}

Test(spans, nothing_ever_came)
{
    struct one o;
    begin(&o, 64);
    end(&o, 12345, "absent 0+12345");
}

Test(spans, the_kernel_dropped_packets)
{
    struct one o;
    begin(&o, 64);
    audio(&o, 0, 10, 0);
    struct fx_packet p = fx_audio(SSRC, 13, 100, 5000);
    p.kernel_drops = 3;
    cr_assert_eq(feed(&o, 260, p), SLR_VERDICT_TAKEN);
    audio(&o, 14, 20, 0);
    audio(&o, 21, 30, 0); /* and the network one, later */
    cr_assert_eq(fx_counted(&o.f, SLR_CTR_KERNEL_DROPS), 3u);
    end(&o, 600,
        "received 0+200, lost-kernel 200+60 (3), received 260+140, lost-network 400+20 (1), "
        "received 420+180");
}

Test(spans, a_strangers_packet_brings_the_word_of_a_drop)
{
    struct one o;
    begin(&o, 64);
    audio(&o, 0, 10, 0);
    struct fx_packet p = fx_audio(SSRC + 1, 1, 100, 5000);
    p.kernel_drops = 40;
    p.src = "203.0.113.9:4000";
    cr_assert_eq(feed(&o, 250, p), SLR_VERDICT_FOREIGN_SOURCE);
    audio(&o, 13, 20, 0);
    cr_assert_eq(fx_counted(&o.f, SLR_CTR_KERNEL_DROPS), 40u);
    end(&o, 400, "received 0+200, lost-kernel 200+60 (3), received 260+140");
}

/* As the worker gets it from a backend that receives for several legs at once. */
static void wire(struct one *o, uint32_t leg, int64_t at_ms, uint32_t k, uint32_t drops)
{
    struct fx_packet p = fx_audio(SSRC, k, 100, 5000);
    uint8_t at[12 + sizeof p.at] = {0x80,
                                    p.pt,
                                    (uint8_t)(p.seq >> 8),
                                    (uint8_t)p.seq,
                                    (uint8_t)(p.ts >> 24),
                                    (uint8_t)(p.ts >> 16),
                                    (uint8_t)(p.ts >> 8),
                                    (uint8_t)p.ts,
                                    0,
                                    0,
                                    SSRC >> 8,
                                    SSRC & 0xff};
    struct slr_packet pkt = {.at = at,
                             .len_bytes = 12 + p.len_bytes,
                             .kernel_drops = drops,
                             .drops_anywhere = true,
                             .arrival = fx_time(at_ms * SLR_NS_PER_MS)};
    memcpy(at + 12, p.at, p.len_bytes);
    cr_assert_eq(slr_addr_parse(FX_PEER, &pkt.src), SLR_OK);
    slr_clock_advance(o->f.e.virtual_clock, (slr_wall){FX_START_NS + at_ms * SLR_NS_PER_MS});
    slr_worker_packet(&o->f.worker, leg, false, &pkt);
}

/* Nobody knows whose packets were dropped: a gap of any leg that ends after it may be of that. */
Test(spans, the_kernel_dropped_packets_of_some_leg)
{
    struct one o;
    uint32_t seen[8] = {0};
    begin(&o, 64);
    uint32_t other = fx_leg(&o.f, o.s, 0, 8);
    o.f.worker.drops_seen = seen;
    for (uint32_t k = 0; k < 40; k++) {
        wire(&o, other, k * 20, k, k == 12 ? 3 : 0);
        if ((k < 10 || k > 12) && k != 20) { /* one with, one without a drop before it */
            wire(&o, o.slot, k * 20 + 1, k, 0);
        }
    }
    cr_assert_eq(fx_counted(&o.f, SLR_CTR_KERNEL_DROPS), 3u);
    fx_end(&o.f, o.s, 801);
    fx_result(&o.f, o.id, &o.r);
    fx_assert_spans(&o.r, 0,
                    "absent 0+1, received 1+200, lost-kernel 201+60 (3), received 261+140, "
                    "lost-network 401+20 (1), received 421+380");
    fx_assert_spans(&o.r, 1, "received 0+800, ended 800+1");
    fx_result_free(&o.r);
    fx_close(&o.f);
}

/* The disk stalls until packet memory is used up; then it works again. */
Test(spans, packet_memory_was_exhausted)
{
    struct one o;
    uint32_t refused = 0;
    begin(&o, 16);
    for (uint32_t k = 0; k < 600; k++) {
        enum slr_verdict v = feed(&o, k * 20, fx_audio(SSRC, k, 100, 5000));
        cr_assert(v == SLR_VERDICT_TAKEN || v == SLR_VERDICT_NO_MEMORY);
        refused += v == SLR_VERDICT_NO_MEMORY;
        if (k == 499) {
            fx_write(&o.f, k * 20);
        }
    }
    uint32_t kept = 500 - refused;
    cr_assert_gt(kept, 300u);
    char want[200];
    snprintf(want, sizeof want, "received 0+%u, lost-queue %u+%u (%u), received 10000+2000",
             kept * 20, kept * 20, refused * 20, refused);
    end(&o, 12000, want);
}

/* It never came back before the end: still said. */
Test(spans, packet_memory_was_exhausted_at_the_end)
{
    struct one o;
    uint32_t kept = 0;
    begin(&o, 16);
    for (uint32_t k = 0; k < 500; k++) {
        kept += feed(&o, k * 20, fx_audio(SSRC, k, 100, 5000)) == SLR_VERDICT_TAKEN;
    }
    char want[200];
    snprintf(want, sizeof want, "received 0+%u, lost-queue %u+%u (0)", kept * 20, kept * 20,
             10000 - kept * 20);
    end(&o, 10000, want);
}

/* Comfort noise packets (RFC 3389) and plain silence of a sender that goes on counting. */
Test(spans, discontinuous_transmission)
{
    struct one o;
    begin(&o, 64);
    audio(&o, 0, 10, 0);
    struct fx_packet cn = {.pt = 13, .seq = 110, .ts = 5000 + 1600, .ssrc = SSRC, .len_bytes = 1};
    cr_assert_eq(feed(&o, 200, cn), SLR_VERDICT_COMFORT);
    for (uint32_t k = 40; k < 50; k++) {
        struct fx_packet p = fx_audio(SSRC, k, 71, 5000);
        cr_assert_eq(feed(&o, k * 20, p), SLR_VERDICT_TAKEN);
    }
    for (uint32_t k = 90; k < 100; k++) {
        struct fx_packet p = fx_audio(SSRC, k, 31, 5000);
        cr_assert_eq(feed(&o, k * 20, p), SLR_VERDICT_TAKEN);
    }
    end(&o, 2000,
        "received 0+200, comfort 200+600, received 800+200, comfort 1000+800, received "
        "1800+200");
}

/* Noise exactly where a block ends: the next block knows of it. */
Test(spans, comfort_noise_at_the_bound_of_a_block)
{
    struct one o;
    begin(&o, 64);
    audio(&o, 0, 25, 0);
    struct fx_packet cn = {.pt = 13, .seq = 125, .ts = 5000 + 4000, .ssrc = SSRC, .len_bytes = 1};
    cr_assert_eq(feed(&o, 500, cn), SLR_VERDICT_COMFORT);
    fx_write(&o.f, 1500); /* up to 500 exactly */
    cr_assert_eq(slr_session_written_ticks(o.s), 500 * FX_MS);
    for (uint32_t k = 75; k < 150; k++) {
        struct fx_packet p = fx_audio(SSRC, k, 51, 5000);
        cr_assert_eq(feed(&o, k * 20, p), SLR_VERDICT_TAKEN);
        fx_write(&o.f, k * 20);
    }
    end(&o, 3000, "received 0+500, comfort 500+1000, received 1500+1500");
}

/* Types that were never negotiated, on the stream that is heard: no audio, but no loss either. */
Test(spans, unknown_payload_types)
{
    struct one o;
    begin(&o, 64);
    audio(&o, 0, 10, 0);
    for (uint32_t k = 10; k < 20; k++) {
        struct fx_packet p = fx_audio(SSRC, k, 100, 5000);
        p.pt = 97;
        cr_assert_eq(feed(&o, k * 20, p), SLR_VERDICT_UNKNOWN_PT);
    }
    audio(&o, 20, 30, 0);
    end(&o, 600, "received 0+200, concealed 200+200, received 400+200");
}

/* A talk pause after such a packet is a talk pause: it did not hold seconds of speech. */
Test(spans, a_talk_pause_after_an_unknown_payload_type)
{
    struct one o;
    begin(&o, 64);
    audio(&o, 0, 10, 0);
    struct fx_packet p = fx_audio(SSRC, 10, 100, 5000);
    p.pt = 97;
    cr_assert_eq(feed(&o, 200, p), SLR_VERDICT_UNKNOWN_PT);
    for (uint32_t k = 60; k < 70; k++) {
        struct fx_packet after = fx_audio(SSRC, k, 51, 5000); /* the next number */
        cr_assert_eq(feed(&o, k * 20, after), SLR_VERDICT_TAKEN);
    }
    end(&o, 1400, "received 0+200, concealed 200+120, comfort 320+880, received 1200+200");
}

Test(spans, payload_that_cannot_be_decoded)
{
    struct one o;
    begin(&o, 64);
    audio(&o, 0, 10, 0);
    struct fx_packet p = fx_audio(SSRC, 10, 100, 5000);
    p.len_bytes = 0;
    cr_assert_eq(feed(&o, 200, p), SLR_VERDICT_BAD_PAYLOAD);
    audio(&o, 11, 20, 0);
    cr_assert_eq(slr_stream_lost(slr_leg_stream(&o.f.e.state->leg[o.slot], 0)), 0u);
    end(&o, 400, "received 0+200, concealed 200+20, received 220+180");
}

/* The sender's clock jumped: what lies between is of the clock. */
Test(spans, a_new_anchor)
{
    struct one o;
    begin(&o, 64);
    audio(&o, 0, 10, 0);
    for (uint32_t k = 10; k < 20; k++) {
        struct fx_packet p = fx_audio(SSRC, k, 100, 5000);
        cr_assert_eq(feed(&o, k * 20 + 5000, p), SLR_VERDICT_TAKEN);
    }
    end(&o, 5400, "received 0+200, clock 200+5000, received 5200+200");
}

/* The first packet to come of a stream overtook others: what is missing before it was lost, no
 * clock parted there. */
Test(spans, a_stream_whose_first_packets_come_in_disorder)
{
    static const uint32_t order[] = {14, 10, 11, 15, 16, 17, 18, 19};
    struct one o;
    begin(&o, 64);
    struct slr_leg *leg = &o.f.e.state->leg[o.slot];
    leg->ssrc_signalled[leg->ssrc_signalled_count++] = SSRC + 1;
    audio(&o, 0, 10, 0);
    for (uint32_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        int64_t at = 400 + (order[i] > 14 ? order[i] - 14 : 0) * 20;
        struct fx_packet p = fx_audio(SSRC + 1, order[i], 100, 5000);
        cr_assert_eq(feed(&o, at, p), SLR_VERDICT_TAKEN);
    }
    end(&o, 520,
        "received 0+200, absent 200+120, received 320+40, lost-network 360+40 (2), "
        "received 400+120");
}

/* Its clock stands still in every pause, each time for less than a jump: in the end the stream
 * would be too late for good. */
Test(spans, a_clock_that_falls_behind_again_and_again)
{
    struct one o;
    uint32_t taken = 0;
    int64_t at = 0;
    begin(&o, 512);
    for (uint32_t k = 0; k < 1000; k++, at += 20) {
        at += k % 100 == 99 ? 1500 : 0;
        enum slr_verdict v = feed(&o, at, fx_audio(SSRC, k, 100, 5000));
        cr_assert(v == SLR_VERDICT_TAKEN || v == SLR_VERDICT_LATE);
        taken += v == SLR_VERDICT_TAKEN;
        fx_write(&o.f, at);
    }
    cr_assert_gt(taken, 750u, "%u",
                 taken); /* half a second at most is lost each time it falls out */
    cr_assert_gt(fx_counted(&o.f, SLR_CTR_ANCHORS), 0u);
    fx_end(&o.f, o.s, at);
    fx_result(&o.f, o.id, &o.r);
    fx_result_free(&o.r);
    fx_close(&o.f);
}

/* Two streams in turn with a silence between. */
Test(spans, nobody_between_two_streams)
{
    struct one o;
    begin(&o, 64);
    audio(&o, 0, 10, 0);
    for (uint32_t k = 0; k < 10; k++) {
        cr_assert_eq(feed(&o, 700 + k * 20, fx_audio(0x99, k, 1, 1)), SLR_VERDICT_TAKEN);
    }
    end(&o, 900, "received 0+200, absent 200+500, received 700+200");
}

/* What came in a burst, ahead of its time, is in the recording although the session ends before. */
Test(spans, end_after_what_was_received)
{
    struct one o;
    begin(&o, 64);
    audio(&o, 0, 10, 0);
    for (uint32_t k = 10; k < 120; k++) {
        cr_assert_eq(feed(&o, 201, fx_audio(SSRC, k, 100, 5000)), SLR_VERDICT_TAKEN);
    }
    end(&o, 300, "received 0+2400");
}

/* The end does not fall on a sample. */
Test(spans, end_where_the_session_ends)
{
    struct one o;
    begin(&o, 64);
    audio(&o, 0, 10, 0);
    slr_clock_advance(o.f.e.virtual_clock, (slr_wall){FX_START_NS + 300033333});
    cr_assert_eq(slr_engine_session_end(&o.f.e, o.s, "bye", INT64_MIN), SLR_OK);
    fx_write(&o.f, 301);
    cr_assert_eq(slr_sealer_step(&o.f.e.sealer), 0u);
    fx_result(&o.f, o.id, &o.r); /* checks the sum */
    cr_assert_eq(json_integer_value(json_object_get(o.r.ledger, "len_ticks")) % 1764, 470);
    fx_result_free(&o.r);
    fx_close(&o.f);
}

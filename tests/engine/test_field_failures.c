/*
 * What recorders are known for to get wrong in the field, one test each, by its name. Each failed
 * when the code that guards against it was broken.
 */
#include "tests/engine/one.h"
#include "tests/engine/silent.h"

#define OLD 0x11111111u
#define NEW 0x22222222u

/* Packet k of a stream that began at k = 0, seq and ts as it gives them; the writer runs along. */
static enum slr_verdict feed(struct one *o, int64_t at_ms, uint32_t ssrc, uint32_t k, uint32_t ts0)
{
    for (; o->written_ms < at_ms; o->written_ms += 20) {
        fx_write(&o->f, o->written_ms);
    }
    return fx_kept(fx_rtp(&o->f, o->slot, at_ms, fx_audio(ssrc, k, 100, ts0)));
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
        begin_one(&o, 1);
        for (uint32_t k = 0; k < 100; k++) {
            int64_t late = k >= 98 ? (turn ? 70 : 0) : jitter(k);
            cr_assert_eq(feed(&o, k * 20 + late, OLD, k, 5000), SLR_VERDICT_TAKEN);
        }
        for (uint32_t k = 0; k < 100; k++) {
            int64_t late = k < 3 ? (turn ? 0 : 90) : jitter(k + 7);
            late = k == 20 ? 0 : late; /* at least one of them is quick */
            cr_assert_eq(feed(&o, 3000 + k * 20 + late, NEW, k, 777), SLR_VERDICT_TAKEN);
        }
        end_one(&o, 5100);
        fx_assert_audio(&o.r, 0, 0, 16000, OLD, 0);
        fx_assert_silence(&o.r, 0, 16000, 8000);
        fx_assert_audio(&o.r, 0, 24000, 16000, NEW, 0);
        fx_assert_spans(&o.r, 0,
                        "received 0+2000, absent 2000+1000, received 3000+2000, ended 5000+100");
        done_one(&o);
    }
}

/* Timestamps jump by a day, up or down, and no time passes: what follows is where it was said. */
Test(field_failures, timestamp_jump_of_24h)
{
    static const uint32_t by[] = {8000u * 86400u, 0u - 8000u * 86400u};
    for (uint32_t turn = 0; turn < 2; turn++) {
        struct one o;
        begin_one(&o, 1);
        for (uint32_t k = 0; k < 200; k++) {
            int64_t late = k == 100 ? 60 : k > 100 && k < 104 ? 40 : 0;
            cr_assert_eq(feed(&o, k * 20 + late, OLD, k, k < 100 ? 5000 : 5000 + by[turn]),
                         SLR_VERDICT_TAKEN);
        }
        end_one(&o, 4000);
        fx_assert_audio(&o.r, 0, 0, 32000, OLD, 0);
        fx_assert_spans(&o.r, 0, "received 0+4000");
        assert_clock(&o, "ts-jump arrival 2000");
        done_one(&o);
    }
}

/* The network holds everything back for 3 s and then gives it at once. What comes after that is
 * where it was said; of what was held back, that whose place was written is late. */
Test(field_failures, network_stall)
{
    struct one o;
    begin_one(&o, 1);
    for (uint32_t k = 0; k < 400; k++) {
        int64_t at = k >= 100 && k < 250 ? 5000 : k * 20;
        enum slr_verdict v = feed(&o, at, OLD, k, 5000);
        cr_assert(v == SLR_VERDICT_TAKEN || v == SLR_VERDICT_LATE);
    }
    end_one(&o, 8000);
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
    done_one(&o);
}

/* The sender stands still: for less than the bound its clock is believed, beyond it time is. */
Test(field_failures, sender_stall)
{
    static const int64_t still_ms[] = {560, 1900, 3000};
    for (uint32_t turn = 0; turn < 3; turn++) {
        struct one o;
        begin_one(&o, 1);
        for (uint32_t k = 0; k < 300; k++) {
            int64_t at = k * 20 + (k >= 100 ? still_ms[turn] : 0) + (k == 100 ? 50 : 0);
            cr_assert_eq(feed(&o, at, OLD, k, 5000), SLR_VERDICT_TAKEN, "%u: %u", turn, k);
        }
        end_one(&o, 10000);
        int64_t from = turn == 0 ? 16000 : 16000 + still_ms[turn] * 8;
        fx_assert_audio(&o.r, 0, 0, 16000, OLD, 0);
        fx_assert_audio(&o.r, 0, from, 32000, OLD, 16000);
        cr_assert_eq(fx_stream_count(&o.r, 0, 0, "late"), 0);
        assert_clock(&o, turn == 0   ? "step rtp 4060"
                         : turn == 1 ? "ts-still arrival 3900"
                                     : "ts-still arrival 5000");
        done_one(&o);
    }
}

/* Media that is sent three times as fast lies by its own clock, from its first packet on. */
Test(field_failures, faster_than_real_time)
{
    struct one o;
    begin_one(&o, 1);
    for (uint32_t k = 0; k < 600; k++) {
        cr_assert_eq(feed(&o, 2000 + k * 20 / 3, OLD, k, 5000), SLR_VERDICT_TAKEN);
    }
    end_one(&o, 6100);
    fx_assert_silence(&o.r, 0, 0, 16000);
    fx_assert_audio(&o.r, 0, 16000, 96000, OLD, 0);
    cr_assert_eq(json_array_size(json_object_get(fx_leg_json(&o.r, 0), "clock")), 1u);
    done_one(&o);
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

/* A first packet that is not the party's: of a stranger, of another SSRC, with another timestamp.
 * It neither holds the leg nor sets the time for what follows. */
Test(field_failures, first_packet_poisoning)
{
    static const char *const from[] = {"198.51.100.7:7000", NULL, NULL, NULL};
    static const uint32_t ssrc[] = {NEW, NEW, OLD, OLD};
    static const uint32_t ts[] = {77, 77, 5000 + 8000, 0x90000000u};
    for (uint32_t turn = 0; turn < 4; turn++) {
        struct one o;
        begin_one(&o, 1);
        struct fx_packet stray = fx_audio(ssrc[turn], 0, 99, ts[turn]);
        stray.src = from[turn];
        (void)fx_rtp(&o.f, o.slot, 500, stray);
        for (uint32_t k = 0; k < 200; k++) {
            int64_t at = 2000 + k * 20 + (k < 4 ? 30 : 0);
            cr_assert_eq(feed(&o, at, OLD, k, 5000), SLR_VERDICT_TAKEN, "%u: %u", turn, k);
        }
        end_one(&o, 6000);
        fx_assert_audio(&o.r, 0, 16000, 32000, OLD, 0);
        fx_assert_silence(&o.r, 0, turn == 0 ? 0 : 4160, turn == 0 ? 16000 : 16000 - 4160);
        done_one(&o);
    }
}

/* The same leg is opened on the port of one that was closed, and the call before still sends. */
/* False: somebody else on this host took the port in between. */
static bool recycle_a_port(void)
{
    struct fx f;
    struct fx_result r;
    char id[SLR_ID_SIZE];
    char name[] = "a";
    struct slr_leg_answer answer;
    fx_open(&f);
    f.e.port_past = calloc(SLR_PORT_PAIRS, sizeof *f.e.port_past);
    cr_assert_not_null(f.e.port_past);
    cr_assert_eq(slr_addr_parse("127.0.0.1", &f.e.media_ip[0]), SLR_OK);
    f.e.media_ip_count = 1;
    uint16_t port = 0;
    for (uint32_t turn = 0; turn < 2; turn++) {
        int64_t base = turn * 5000;
        fx_clock(&f, base);
        struct slr_session *s = fx_session(&f, 1);
        struct slr_leg_params p = {.session = s->id, .leg = name, .pt_count = 1};
        memcpy(id, s->id, sizeof id);
        fx_row(&p.pt[0], 8, "PCMA");
        cr_assert_eq(slr_addr_parse(FX_PEER, &p.source), SLR_OK);
        f.e.port_cursor[0] = turn ? port : f.e.port_cursor[0];
        cr_assert_eq(slr_engine_leg_open(&f.e, &p, &answer), SLR_OK);
        if (turn == 1 && answer.rtp.port != port) {
            fx_end(&f, s, base + 1);
            free(f.e.port_past);
            fx_close(&f);
            return false;
        }
        port = answer.rtp.port;
        uint32_t leg = slr_engine_leg_find(&f.e, s, name);
        for (uint32_t k = 0; k < 100; k++) {
            if (turn == 0 || k < 20) {
                (void)fx_rtp(&f, leg, base + k * 20, fx_audio(OLD, k + turn * 250, 100, 5000));
            }
            if (turn == 1 && k >= 10) {
                enum slr_verdict v = fx_rtp(&f, leg, base + k * 20 + 5, fx_audio(NEW, k, 1, 1));
                cr_assert_eq(fx_kept(v), SLR_VERDICT_TAKEN, "%u", k);
            }
        }
        fx_end(&f, s, base + 2100);
    }
    fx_result(&f, id, &r);
    fx_assert_silence(&r, 0, 0, 1640);
    fx_assert_audio(&r, 0, 1640, 90 * 160, NEW, 1600);
    cr_assert_eq(json_array_size(json_object_get(fx_leg_json(&r, 0), "streams")), 1u);
    fx_result_free(&r);
    free(f.e.port_past);
    fx_close(&f);
    return true;
}

Test(field_failures, stale_packets_on_recycled_port)
{
    bool done = false;
    for (int turn = 0; turn < 20 && !done; turn++) {
        done = recycle_a_port();
    }
    cr_assert(done, "the port was taken each time");
}

/* Talk pauses are as long as they were, with or without a word of noise, marker or not. */
Test(field_failures, dtx_concatenated)
{
    struct one o;
    begin_one(&o, 1);
    uint32_t seq = 100;
    for (uint32_t turn = 0; turn < 20; turn++) {
        uint32_t first = turn * 150; /* 1 s of speech in 3 s */
        for (uint32_t k = first; k < first + 50; k++, seq++) {
            struct fx_packet p = fx_audio(OLD, k, (uint16_t)(seq - k), 5000);
            cr_assert_eq(fx_rtp(&o.f, o.slot, k * 20, p), SLR_VERDICT_TAKEN);
            fx_write(&o.f, k * 20);
        }
        if (turn % 2 == 0) {
            struct fx_packet noise = {.pt = 13,
                                      .ssrc = OLD,
                                      .seq = (uint16_t)seq++,
                                      .ts = 5000 + (first + 50) * 160,
                                      .len_bytes = 1,
                                      .at = {70}};
            cr_assert_eq(fx_rtp(&o.f, o.slot, (first + 50) * 20, noise), SLR_VERDICT_COMFORT);
        }
    }
    end_one(&o, 60000);
    for (int64_t turn = 0; turn < 20; turn++) {
        fx_assert_audio(&o.r, 0, turn * 24000, 8000, OLD, turn * 24000);
        fx_assert_silence(&o.r, 0, turn * 24000 + 8000, 16000);
    }
    cr_assert_eq(fx_stream_count(&o.r, 0, 0, "lost"), 0);
    cr_assert_null(json_object_get(fx_leg_json(&o.r, 0), "clock"));
    done_one(&o);
}

/* Hold is a span of its true length, whether the sender's clock goes on meanwhile or not. */
Test(field_failures, hold_dropped)
{
    for (uint32_t turn = 0; turn < 2; turn++) {
        struct one o;
        begin_one(&o, 1);
        struct slr_leg *leg = &o.f.e.state->leg[o.slot];
        for (uint32_t k = 0; k < 100; k++) {
            cr_assert_eq(feed(&o, k * 20, OLD, k, 5000), SLR_VERDICT_TAKEN);
        }
        slr_placement_hold(o.s, leg, true, fx_time(2000 * SLR_NS_PER_MS));
        slr_placement_hold(o.s, leg, false, fx_time(32000 * SLR_NS_PER_MS));
        for (uint32_t k = 100; k < 200; k++) {
            uint32_t ts0 = turn ? 5000 : 5000 + 30000 * 8;
            cr_assert_eq(feed(&o, k * 20 + 30000, OLD, k, ts0), SLR_VERDICT_TAKEN);
        }
        end_one(&o, 34000);
        fx_assert_audio(&o.r, 0, 0, 16000, OLD, 0);
        fx_assert_audio(&o.r, 0, 256000, 16000, OLD, 16000);
        fx_assert_spans(&o.r, 0, "received 0+2000, hold 2000+30000, received 32000+2000");
        done_one(&o);
    }
}

/* Media that comes ahead of its time was said before the hold: what of it is lost is lost, and the
 * hold is where the leg is silent, with its true length. */
Test(field_failures, hold_of_media_ahead_of_time)
{
    for (uint32_t turn = 0; turn < 2; turn++) {
        struct one o;
        begin_one(&o, 1);
        struct slr_leg *leg = &o.f.e.state->leg[o.slot];
        for (uint32_t k = 0; k < 400; k++) {
            if (k != 350) {
                (void)feed(&o, k * 10, OLD, k, 5000); /* twice as fast */
            }
            fx_write(&o.f, k * 10);
        }
        slr_placement_hold(o.s, leg, true, fx_time(4000 * SLR_NS_PER_MS));
        slr_placement_hold(o.s, leg, false, fx_time(34000 * SLR_NS_PER_MS));
        for (uint32_t k = 400; k < 500; k++) {
            uint32_t ts0 = turn ? 5000 : 5000 + 30000 * 8;
            (void)feed(&o, k * 20 - 8000 + 34000, OLD, k, ts0);
        }
        end_one(&o, 36000);
        /* a clock that stood still keeps the distance of the last packet's first sample */
        fx_assert_spans(&o.r, 0,
                        turn ? "received 0+7000, lost-network 7000+20 (1), received 7020+980, "
                               "hold 8000+29990, received 37990+2000"
                             : "received 0+7000, lost-network 7000+20 (1), received 7020+980, "
                               "hold 8000+30000, received 38000+2000");
        done_one(&o);
    }
}

/* One leg sends 20 ms of one law, the other 30 ms of another: both keep their time. */
Test(field_failures, legs_of_different_codec_and_packet_time)
{
    struct fx f;
    struct fx_result r;
    char id[SLR_ID_SIZE];
    fx_open(&f);
    struct slr_session *s = fx_session(&f, 2);
    uint32_t a = fx_leg(&f, s, 0, 8);
    uint32_t b = fx_leg(&f, s, 1, 0);
    memcpy(id, s->id, sizeof id);
    for (uint32_t ms = 0; ms < 6000; ms += 10) {
        if (ms % 20 == 0) {
            (void)fx_rtp(&f, a, ms, fx_audio(OLD, ms / 20, 1, 1));
        }
        if (ms % 30 == 0) {
            struct fx_packet p = {.pt = 0,
                                  .ssrc = NEW,
                                  .seq = (uint16_t)(ms / 30),
                                  .ts = 9 + ms * 8,
                                  .len_bytes = 240};
            for (uint32_t i = 0; i < 240; i++) {
                p.at[i] = fx_sample(NEW, ms * 8 + i);
            }
            (void)fx_rtp(&f, b, ms, p);
        }
        fx_write(&f, ms);
    }
    fx_end(&f, s, 6000);
    fx_result(&f, id, &r);
    cr_assert_eq(r.wav.shape.format, SLR_SAMPLE_S16);
    cr_assert_eq(r.wav.frames, 48000u);
    for (int64_t i = 0; i < 48000; i++) {
        int16_t both[2];
        memcpy(both, r.data + i * 4, sizeof both);
        cr_assert_eq(both[0], slr_g711_alaw_to_s16(fx_sample(OLD, i)), "frame %lld", (long long)i);
        cr_assert_eq(both[1], slr_g711_ulaw_to_s16(fx_sample(NEW, i)), "frame %lld", (long long)i);
    }
    fx_assert_spans(&r, 0, "received 0+6000");
    fx_assert_spans(&r, 1, "received 0+6000");
    fx_result_free(&r);
    fx_close(&f);
}

/* Media that ends in the middle of a block, of a frame, of a packet time: the last sample is the
 * last one sent, and what fills up to the end is silence. */
Test(field_failures, end_of_file_click)
{
    for (uint32_t turn = 0; turn < 40; turn++) {
        struct one o;
        begin_one(&o, 1);
        for (uint32_t k = 0; k < 10 + turn; k++) {
            cr_assert_eq(feed(&o, k * 20, OLD, k, 5000), SLR_VERDICT_TAKEN);
        }
        int64_t ms = 20 * (10 + turn) + turn * 7 % 23;
        end_one(&o, ms);
        cr_assert_eq(o.r.wav.frames, (uint64_t)ms * 8);
        fx_assert_audio(&o.r, 0, 0, (10 + turn) * 160, OLD, 0);
        fx_assert_silence(&o.r, 0, (10 + turn) * 160, turn * 7 % 23 * 8);
        cr_assert_eq(o.r.wav.data_offset_bytes + o.r.wav.frames, o.r.len_bytes & ~1ull);
        done_one(&o);
    }
}

/* More SSRCs in turn than a leg remembers: the ledger lists the last and sums up the others. */
Test(field_failures, more_streams_than_a_leg_remembers)
{
    struct one o;
    int64_t packets = 0;
    int64_t placed = 0;
    begin_one(&o, 1);
    for (uint32_t n = 0; n < 30; n++) {
        for (uint32_t k = 0; k < 50; k++) {
            int64_t at = n * 5000 + k * 20;
            cr_assert_eq(feed(&o, at, 0x1000 + n, k, 5000), SLR_VERDICT_TAKEN, "%u/%u", n, k);
        }
    }
    end_one(&o, 150000);
    for (int64_t n = 0; n < 30; n++) {
        fx_assert_audio(&o.r, 0, n * 40000, 8000, 0x1000 + (uint32_t)n, 0);
    }
    json_t *leg = fx_leg_json(&o.r, 0);
    json_t *others = json_object_get(leg, "others");
    json_t *streams = json_object_get(leg, "streams");
    for (size_t i = 0; i < json_array_size(streams); i++) {
        packets += fx_stream_count(&o.r, 0, i, "packets");
        placed += fx_stream_count(&o.r, 0, i, "placed");
    }
    cr_assert_eq(json_integer_value(json_object_get(others, "streams")), 30 - 16);
    cr_assert_eq(packets + json_integer_value(json_object_get(others, "packets")), 1500);
    cr_assert_eq(placed + json_integer_value(json_object_get(others, "placed")), 1500);
    done_one(&o);
}

/* The clock rate changes in mid stream, the SSRC does not: what follows begins where it was said,
 * however its first packets were delayed. */
Test(field_failures, clock_rate_change_in_mid_stream)
{
    static const uint32_t hz[] = {8000, 16000, 48000, 8000};
    struct fx f;
    struct fx_result r;
    char id[SLR_ID_SIZE];
    fx_open(&f);
    struct slr_session *s = fx_session(&f, 1);
    uint32_t slot = fx_leg(&f, s, 0, 8);
    struct slr_leg *leg = &f.e.state->leg[slot];
    struct slr_pt_map rows[3];
    for (uint32_t i = 0; i < 3; i++) {
        fx_row(&rows[i], (uint8_t)(96 + i), "L16");
        rows[i].clock_hz = hz[i];
    }
    cr_assert_eq(slr_leg_codecs_set(leg, rows, 3), SLR_OK);
    slr_leg_codecs_build(&f.e.codecs[slot], leg);
    memcpy(id, s->id, sizeof id);
    uint16_t seq = 7;
    for (uint32_t part = 0; part < 4; part++) {
        uint32_t samples = hz[part] / 200; /* 5 ms */
        for (uint32_t k = 0; k < 400; k++, seq++) {
            struct fx_packet p = {.pt = (uint8_t)(96 + part % 3),
                                  .seq = seq,
                                  .ts = 12345 * part + k * samples,
                                  .ssrc = OLD,
                                  .len_bytes = samples * 2 < 400 ? samples * 2 : 0};
            int64_t at = part * 2000 + k * 5 + (k < 8 ? 35 - k : 0);
            if (p.len_bytes == 0) {
                p.len_bytes = 400; /* 200 samples at 48 kHz */
                p.ts = 12345 * part + k * 200;
                at = part * 2000 + k * 200 / 48;
            }
            cr_assert_eq(fx_rtp(&f, slot, at, p), SLR_VERDICT_TAKEN, "%u/%u", part, k);
        }
        cr_assert_geq(atomic_load(&slr_leg_run(leg)->highest_ticks), (part * 2000 + 1600) * FX_MS);
        cr_assert_leq(atomic_load(&slr_leg_run(leg)->highest_ticks), (part * 2000 + 2006) * FX_MS);
    }
    fx_end(&f, s, 8000);
    fx_result(&f, id, &r);
    json_t *clock = json_object_get(fx_leg_json(&r, 0), "clock");
    cr_assert_eq(json_array_size(clock), 3u);
    for (size_t i = 0; i < 3; i++) {
        double at = json_real_value(json_object_get(json_array_get(clock, i), "at_ms"));
        cr_assert_float_eq(at, 2000.0 * (double)(i + 1), 1.0, "%g", at);
    }
    cr_assert_eq(fx_stream_count(&r, 0, 0, "placed"), 1600);
    fx_result_free(&r);
    fx_close(&f);
}

/* A payload longer than a record may be (L16 in stereo at 48 kHz, 40 ms) is there to the last
 * sample. */
Test(field_failures, a_payload_longer_than_a_record)
{
    static uint8_t bytes[7680];
    struct fx f;
    struct fx_result r;
    char id[SLR_ID_SIZE];
    fx_open(&f);
    struct slr_session *s = fx_session(&f, 1);
    uint32_t slot = fx_leg(&f, s, 0, 8);
    struct slr_leg *leg = &f.e.state->leg[slot];
    struct slr_pt_map row;
    fx_row(&row, 96, "L16");
    row.clock_hz = 48000;
    row.channels = 2;
    cr_assert_eq(slr_leg_codecs_set(leg, &row, 1), SLR_OK);
    slr_leg_codecs_build(&f.e.codecs[slot], leg);
    memcpy(id, s->id, sizeof id);
    for (uint32_t k = 0; k < 50; k++) {
        struct slr_packet pkt = {.at = bytes, .len_bytes = sizeof bytes};
        struct slr_rtp rtp = {.pt = 96, .seq = (uint16_t)k, .ts = k * 1920, .ssrc = OLD};
        for (uint32_t i = 0; i < 1920; i++) {
            uint16_t v = (uint16_t)(k * 1920 + i);
            bytes[4 * i] = bytes[4 * i + 2] = (uint8_t)(v >> 8);
            bytes[4 * i + 1] = bytes[4 * i + 3] = (uint8_t)v;
        }
        rtp.payload = slr_slice_of(bytes, sizeof bytes);
        pkt.arrival = fx_time(k * 40 * SLR_NS_PER_MS);
        cr_assert_eq(slr_addr_parse(FX_PEER, &pkt.src), SLR_OK);
        cr_assert_eq(slr_placement_rtp(&f.worker.place, slot, &pkt, &rtp), SLR_VERDICT_TAKEN);
        fx_write(&f, k * 40);
    }
    fx_end(&f, s, 2000);
    fx_result(&f, id, &r);
    cr_assert_eq(r.wav.shape.sample_hz, 48000u);
    cr_assert_eq(r.wav.frames, 96000u);
    for (uint32_t i = 0; i < 96000; i++) {
        int16_t is = 0;
        memcpy(&is, r.data + i * 2, 2);
        cr_assert_eq(is, (int16_t)i, "sample %u", i);
    }
    fx_assert_spans(&r, 0, "received 0+2000");
    cr_assert_eq(fx_stream_count(&r, 0, 0, "placed"), 50);
    fx_result_free(&r);
    fx_close(&f);
}

/* A leg of a codec that remembers, and what comes after which packet: `other` speaks in between. */
static void two_decoders(bool alone, struct fx_result *r)
{
    static _Alignas(16) uint8_t coder[2][65536];
    const struct slr_codec *g722 = slr_codec_by_name("G722", 8000);
    struct slr_codec_use use;
    struct fx f;
    char id[SLR_ID_SIZE];
    uint32_t slot[2];
    fx_open(&f);
    cr_assert_not_null(g722);
    cr_assert_leq(g722->encoder_bytes, sizeof coder[0]);
    cr_assert_eq(slr_codec_bind(g722, &(struct slr_codec_params){0}, &use), SLR_OK);
    struct slr_session *s = fx_session(&f, 2);
    memcpy(id, s->id, sizeof id);
    for (uint32_t n = 0; n < 2; n++) {
        struct slr_pt_map row;
        fx_row(&row, 9, "G722");
        slot[n] = fx_leg(&f, s, n, 8);
        cr_assert_eq(slr_leg_codecs_set(&f.e.state->leg[slot[n]], &row, 1), SLR_OK);
        slr_leg_codecs_build(&f.e.codecs[slot[n]], &f.e.state->leg[slot[n]]);
        cr_assert_eq(g722->encoder_init(coder[n], &use, 0), SLR_OK);
    }
    for (uint32_t k = 0; k < 100; k++) {
        for (uint32_t n = 0; n < (alone ? 1u : 2u); n++) {
            int16_t pcm[320];
            size_t len = 0;
            struct fx_packet p = {
                .pt = 9, .seq = (uint16_t)k, .ts = k * 160, .ssrc = n ? NEW : OLD};
            for (uint32_t i = 0; i < 320; i++) { /* a triangle and a rectangle */
                uint32_t t = k * 320 + i;
                pcm[i] = (int16_t)(n ? (t / 20 % 2 ? 9000 : -9000) : (int)(t % 64) * 400 - 12800);
            }
            cr_assert_eq(g722->encode(coder[n], &use, pcm, 320, p.at, sizeof p.at, &len), SLR_OK);
            p.len_bytes = (uint32_t)len;
            cr_assert_eq(fx_rtp(&f, slot[n], k * 20, p), SLR_VERDICT_TAKEN);
        }
        fx_write(&f, k * 20);
    }
    for (uint32_t n = 0; n < 2; n++) {
        g722->encoder_fini(coder[n]);
    }
    fx_end(&f, s, 2000);
    fx_result(&f, id, r);
    fx_close(&f);
}

/* What one leg says is decoded as if there were no other. */
Test(field_failures, shared_decoder_state)
{
    struct fx_result both;
    struct fx_result one;
    int64_t loud = 0;
    two_decoders(false, &both);
    two_decoders(true, &one);
    cr_assert_eq(both.wav.shape.format, SLR_SAMPLE_S16);
    cr_assert_eq(both.wav.frames, one.wav.frames);
    for (uint64_t i = 0; i < both.wav.frames; i++) {
        cr_assert_eq(memcmp(both.data + i * 4, one.data + i * 4, 2), 0, "frame %d", (int)i);
        loud += one.data[i * 4 + 1] != 0;
    }
    cr_assert_gt(loud, (int64_t)both.wav.frames / 2);
    fx_result_free(&both);
    fx_result_free(&one);
}

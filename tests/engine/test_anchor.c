/*
 * Anchors: what sets the place of a stream when its clock is new or leaps, and which packets lie
 * under which clock. The writer runs along, so that what is placed too early or late is missed.
 */
#include "tests/engine/outcome.h"

#define OLD 0x11111111u
#define NEW 0x22222222u
#define TS0 5000u
#define DAY (8000u * 86400u)

struct one {
    struct fx f;
    struct slr_session *s;
    uint32_t leg;
    char id[SLR_ID_SIZE];
    int64_t written_ms;
    struct fx_result r;
};

static void begin_of(struct one *o, uint32_t channels)
{
    fx_open(&o->f);
    o->s = fx_session(&o->f, channels);
    o->leg = fx_leg(&o->f, o->s, 0, 8);
    memcpy(o->id, o->s->id, sizeof o->id);
    o->f.writer.block_ticks = SLR_TICKS_HZ / 50; /* it writes what it may at once */
    o->written_ms = 0;
}

static void begin(struct one *o)
{
    begin_of(o, 1);
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

/* In microseconds, since media that is sent fast comes more than once a millisecond. */
static enum slr_verdict give(struct one *o, int64_t at_us, const struct fx_packet *p)
{
    for (; o->written_ms < at_us / 1000; o->written_ms += 20) {
        fx_write(&o->f, o->written_ms);
    }
    return fx_kept(fx_rtp_ns(&o->f, o->leg, at_us * 1000, p));
}

static enum slr_verdict feed(struct one *o, int64_t at_us, uint32_t ssrc, uint32_t k, uint32_t ts0)
{
    struct fx_packet p = fx_audio(ssrc, k, 100, ts0);
    return give(o, at_us, &p);
}

/* Packet k of such as last 40 ms. */
static struct fx_packet long_audio(uint32_t k)
{
    struct fx_packet p = {
        .pt = 8, .seq = (uint16_t)(150 + k), .ts = TS0 + k * 320u, .ssrc = OLD, .len_bytes = 320};
    for (uint32_t i = 0; i < 320; i++) {
        p.at[i] = fx_sample(OLD, (int64_t)k * 320 + i);
    }
    return p;
}

/* 0 to 39 ms. */
static int64_t jitter_us(uint32_t k)
{
    return (int64_t)((k * 2654435761u >> 16) % 40u) * 1000;
}

/* The first packets of a call lie in a queue that runs empty. Each comes a little less late than
 * the one before, for a while: the sender is no faster for that, and the call lies where the least
 * delayed one has it. */
Test(anchor, a_queue_that_runs_empty_is_not_a_fast_sender)
{
    static const int64_t held_ms[] = {60, 150, 300};
    for (uint32_t turn = 0; turn < 3; turn++) {
        struct one o;
        begin(&o);
        for (uint32_t k = 0; k < 200; k++) {
            int64_t sent_ms = 1000 + k * 20;
            int64_t late_ms = held_ms[turn] - held_ms[turn] * (k * 20) / 700;
            late_ms = late_ms > 0 ? late_ms : 0;
            cr_assert_eq(feed(&o, (sent_ms + late_ms) * 1000, OLD, k, TS0), SLR_VERDICT_TAKEN);
        }
        end(&o, 5000);
        fx_assert_silence(&o.r, 0, 0, 8000);
        fx_assert_audio(&o.r, 0, 8000, 32000, OLD, 0);
        done(&o);
    }
}

/* The least delay falls by chance, packet by packet, to the end: still no fast sender. */
Test(anchor, jitter_is_not_a_fast_sender)
{
    static const uint8_t late_ms[] = {80, 75, 78, 70, 74, 69, 65, 68, 60, 61, 58, 55,
                                      56, 52, 54, 50, 48, 49, 45, 46, 42, 43, 39, 41,
                                      35, 30, 33, 25, 28, 20, 22, 15, 10, 12, 5,  0};
    struct one o;
    begin(&o);
    for (uint32_t k = 0; k < 200; k++) {
        int64_t late = k < sizeof late_ms ? late_ms[k] : k % 7 * 8;
        cr_assert_eq(feed(&o, (1000 + k * 20 + late) * 1000, OLD, k, TS0), SLR_VERDICT_TAKEN);
    }
    end(&o, 5000);
    fx_assert_silence(&o.r, 0, 0, 8000);
    fx_assert_audio(&o.r, 0, 8000, 32000, OLD, 0);
    done(&o);
}

/* A media server that sends two, three, ten times as fast, over a network with jitter: it begins
 * where its first packet came, and nothing of it is lost. */
Test(anchor, a_fast_sender_begins_where_its_first_packet_came)
{
    static const int64_t speed[] = {2, 3, 10};
    for (uint32_t turn = 0; turn < 3; turn++) {
        struct one o;
        begin(&o);
        for (uint32_t k = 0; k < 1000; k++) {
            int64_t at_us = 2000000 + k * 20000 / speed[turn] + (k > 0 ? jitter_us(k) : 0);
            cr_assert_eq(feed(&o, at_us, OLD, k, TS0), SLR_VERDICT_TAKEN, "packet %u", k);
        }
        end(&o, 22000);
        fx_assert_silence(&o.r, 0, 0, 16000);
        fx_assert_audio(&o.r, 0, 16000, 160000, OLD, 0);
        done(&o);
    }
}

/* Ten times as fast; a pause begins and ends before the recorder knows that. What was said in it
 * and comes when the stream has been put back where it began is suppressed all the same. */
Test(anchor, a_fast_sender_takes_the_end_of_a_pause_with_it)
{
    struct one o;
    begin(&o);
    for (uint32_t k = 0; k < 500; k++) {
        int64_t at_us = 2000000 + k * 2000;
        if (k == 150 || k == 200) {
            fx_pause(&o.f, o.s, at_us / 1000 - 1, k == 150);
        }
        if (k == 190) {
            continue;
        }
        bool paused = k >= 150 && k < 200;
        cr_assert_eq(feed(&o, at_us, OLD, k, TS0),
                     paused ? SLR_VERDICT_SUPPRESSED : SLR_VERDICT_TAKEN, "packet %u", k);
    }
    cr_assert_eq(feed(&o, 3000000, OLD, 190, TS0), SLR_VERDICT_SUPPRESSED);
    end(&o, 12000);
    fx_assert_spans(&o.r, 0,
                    "absent 0+2000, received 2000+3000, paused 5000+1000, "
                    "received 6000+6000");
    done(&o);
}

/* The clock jumps at packet 100; 101 brings the word of it, 99 and 100 come after it: one of them
 * lies under the old clock, one under the new one. Numbers alone do not tell which. */
Test(anchor, stragglers_lie_under_the_clock_that_sent_them)
{
    for (uint32_t turn = 0; turn < 2; turn++) {
        uint32_t by = turn ? 0u - DAY : DAY;
        struct one o;
        begin(&o);
        for (uint32_t k = 0; k < 200; k++) {
            if (k == 99 || k == 100) {
                continue;
            }
            cr_assert_eq(feed(&o, k * 20000, OLD, k, k < 100 ? TS0 : TS0 + by), SLR_VERDICT_TAKEN);
            if (k == 102) {
                cr_assert_eq(feed(&o, 2045000, OLD, 99, TS0), SLR_VERDICT_TAKEN);
                cr_assert_eq(feed(&o, 2050000, OLD, 100, TS0 + by), SLR_VERDICT_TAKEN);
            }
        }
        end(&o, 4000);
        fx_assert_audio(&o.r, 0, 0, 32000, OLD, 0);
        fx_assert_spans(&o.r, 0, "received 0+4000");
        cr_assert_eq(fx_stream_count(&o.r, 0, 0, "placed"), 200);
        done(&o);
    }
}

/* The same after three seconds in which the recorder was away: the newest that was heard of the old
 * clock is long ago, and what 251 overtook goes by it all the same. */
Test(anchor, what_overtook_at_a_jump_unheard_lies_under_the_clock_that_sent_it)
{
    for (uint32_t turn = 0; turn < 2; turn++) {
        static const uint32_t order[] = {251, 249, 250, 248};
        uint32_t by = turn ? 0u - DAY : DAY;
        struct one o;
        begin(&o);
        for (uint32_t k = 0; k < 350; k++) {
            if (k >= 100 && k < 248) {
                continue;
            }
            uint32_t n = k >= 248 && k < 252 ? order[k - 248] : k;
            int64_t at_us = (k == 248 ? 251 : k > 248 && k < 252 ? 252 : k) * 20000;
            cr_assert_eq(feed(&o, at_us, OLD, n, n < 250 ? TS0 : TS0 + by), SLR_VERDICT_TAKEN,
                         "packet %u", n);
        }
        end(&o, 7000);
        fx_assert_audio(&o.r, 0, 0, 16000, OLD, 0);
        fx_assert_audio(&o.r, 0, 248 * 160, 102 * 160, OLD, 248 * 160);
        cr_assert_eq(fx_stream_count(&o.r, 0, 0, "placed"), 202);
        cr_assert_eq(fx_stream_count(&o.r, 0, 0, "rejected"), 0);
        done(&o);
    }
}

/* The same where nothing had been heard yet: of the clock before the jump only numbers tell. */
Test(anchor, what_the_first_packet_overtook_at_a_jump_lies_before_it)
{
    for (uint32_t turn = 0; turn < 2; turn++) {
        static const uint32_t order[] = {5, 1, 3, 0, 6, 4, 2};
        uint32_t by = turn ? 0u - DAY : DAY;
        struct one o;
        begin(&o);
        for (uint32_t k = 0; k < 100; k++) {
            uint32_t n = k < 7 ? order[k] : k;
            uint32_t ts0 = n < 5 ? TS0 : TS0 + by;
            cr_assert_eq(feed(&o, (1100 + k * 20) * 1000, OLD, n, ts0), SLR_VERDICT_TAKEN);
        }
        end(&o, 4000);
        fx_assert_silence(&o.r, 0, 0, 8000);
        fx_assert_audio(&o.r, 0, 8000, 16000, OLD, 0);
        cr_assert_eq(fx_stream_count(&o.r, 0, 0, "placed"), 100);
        cr_assert_eq(fx_stream_count(&o.r, 0, 0, "late"), 0);
        done(&o);
    }
}

/* Media at twenty times its speed, and a network that lets a packet overtake 2.4 s of it: what is
 * missing between them is known by its numbers, so that no clock jumped. (The other party may still
 * come, so that the file does not run ahead of time.) */
Test(anchor, what_is_missing_by_number_is_no_jump_of_the_clock)
{
    struct one o;
    begin_of(&o, 2);
    for (uint32_t k = 0; k < 200; k++) {
        uint32_t n = k == 100 ? 160 : k > 100 && k <= 160 ? k - 1 : k;
        struct fx_packet p = long_audio(n);
        int64_t at_us = k < 50 ? k * 40000 : 2000000 + (k - 50) * 2000;
        cr_assert_eq(give(&o, at_us, &p), SLR_VERDICT_TAKEN, "packet %u", n);
    }
    end(&o, 8000);
    fx_assert_audio(&o.r, 0, 0, 64000, OLD, 0);
    fx_assert_spans(&o.r, 0, "received 0+8000");
    json_t *clock = json_object_get(fx_leg_json(&o.r, 0), "clock");
    for (size_t i = 0; i < json_array_size(clock); i++) {
        const char *kind = json_string_value(json_object_get(json_array_get(clock, i), "kind"));
        cr_assert_str_neq(kind, "ts-jump");
    }
    done(&o);
}

/* A leg lies half a second behind arrival, for its sender stood still. Another SSRC follows and
 * soon is sent many times as fast, which moves it back as far as an anchor may be: nothing of it
 * lies where the file was written meanwhile. */
Test(anchor, what_is_moved_back_behind_a_slow_leg_was_not_written)
{
    struct one o;
    begin(&o);
    for (uint32_t k = 0; k < 200; k++) {
        int64_t still_us = k >= 50 ? 500000 : 0;
        cr_assert_eq(feed(&o, k * 20000 + still_us, OLD, k, TS0), SLR_VERDICT_TAKEN);
    }
    for (uint32_t k = 0; k < 200; k++) {
        int64_t at_us = 8500000 + (k < 15 ? k * 20000 : 300000 + (k - 15) * 1000);
        cr_assert_eq(feed(&o, at_us, NEW, k, TS0), SLR_VERDICT_TAKEN, "packet %u", k);
    }
    end(&o, 13000);
    cr_assert_eq(fx_stream_count(&o.r, 0, 1, "placed"), 200);
    int64_t frame = fx_stream_count(&o.r, 0, 1, "first_ticks") / FX_MS * 8;
    cr_assert(frame >= 32000 && frame <= 64000, "begins at frame %lld", (long long)frame);
    fx_assert_audio(&o.r, 0, 0, 32000, OLD, 0);
    fx_assert_audio(&o.r, 0, frame, 32000, NEW, 0);
    done(&o);
}

/* The leg's codecs are these, PCMA at number 8 and L16 of that clock at 97, and comfort noise. */
static struct slr_leg *agree(struct one *o, const char *first, const char *second, uint32_t l16_hz)
{
    const char *const names[2] = {first, second};
    struct slr_leg *leg = &o->f.e.state->leg[o->leg];
    struct slr_pt_map rows[3];
    uint32_t n = 0;
    for (uint32_t i = 0; i < 2 && names[i]; i++) {
        bool l16 = strcmp(names[i], "L16") == 0;
        fx_row(&rows[n], l16 ? 97 : 8, names[i]);
        rows[n].clock_hz = l16 ? l16_hz : rows[n].clock_hz;
        n++;
    }
    fx_row(&rows[n++], 13, "CN");
    cr_assert_eq(slr_leg_codecs_set(leg, rows, n), SLR_OK);
    slr_leg_codecs_build(&o->f.e.codecs[o->leg], leg);
    return leg;
}

/* The codec goes from 8 to 48 kHz while nothing of it is heard; comfort noise comes first, and
 * counts by the new clock. Read by the old one it runs ahead of time: the sound that follows does
 * not. */
Test(anchor, noise_that_counts_by_a_clock_not_yet_heard_moves_nothing)
{
    struct one o;
    begin(&o);
    struct slr_leg *leg = agree(&o, "PCMA", "L16", 48000);
    for (uint32_t k = 0; k < 50; k++) {
        cr_assert_eq(feed(&o, k * 20000, OLD, k, TS0), SLR_VERDICT_TAKEN);
    }
    uint32_t ts = TS0 + 50 * 160 + 96000;
    for (uint32_t k = 0; k < 6; k++) { /* from 3 s on */
        struct fx_packet p = {
            .pt = 13, .seq = (uint16_t)(150 + k), .ts = ts + k * 9600, .ssrc = OLD, .len_bytes = 1};
        cr_assert_eq(give(&o, 3000000 + k * 200000, &p), SLR_VERDICT_COMFORT);
    }
    for (uint32_t k = 0; k < 240; k++) { /* from 4.2 s on, 4 ms each */
        struct fx_packet p = {.pt = 97,
                              .seq = (uint16_t)(156 + k),
                              .ts = ts + 6 * 9600 + k * 192,
                              .ssrc = OLD,
                              .len_bytes = 384};
        cr_assert_eq(give(&o, 4200000 + k * 4000, &p), SLR_VERDICT_TAKEN, "packet %u", k);
    }
    int64_t highest = atomic_load(&slr_leg_run(leg)->highest_ticks) / FX_MS;
    cr_assert(highest >= 5150 && highest <= 5170, "heard until %lld ms", (long long)highest);
    end(&o, 5200);
    done(&o);
}

/* A stream of a codec at 16 kHz begins with comfort noise, which has no clock of its own. */
Test(anchor, noise_before_any_sound_counts_by_the_clock_of_the_sound_to_come)
{
    struct one o;
    begin(&o);
    struct slr_leg *leg = agree(&o, "L16", NULL, 16000);
    for (uint32_t k = 0; k < 5; k++) {
        struct fx_packet p = {
            .pt = 13, .seq = (uint16_t)k, .ts = TS0 + k * 3200, .ssrc = OLD, .len_bytes = 1};
        cr_assert_eq(give(&o, k * 200000, &p), SLR_VERDICT_COMFORT);
    }
    struct fx_packet p = {.pt = 97, .seq = 5, .ts = TS0 + 15400, .ssrc = OLD, .len_bytes = 320};
    cr_assert_eq(give(&o, 1000000, &p), SLR_VERDICT_TAKEN);
    int64_t highest = atomic_load(&slr_leg_run(leg)->highest_ticks);
    cr_assert_eq(highest, 9725 * FX_MS / 10, "%.3f ms", (double)highest / FX_MS);
    cr_assert_eq(leg->clock_notes.count, 0u);
    end(&o, 1100);
    done(&o);
}

/* Both clocks are agreed on, and the timestamps leap by less than a jump: noise is believed like
 * sound. */
Test(anchor, noise_of_the_same_clock_that_leaps_is_believed)
{
    struct one o;
    begin(&o);
    struct slr_leg *leg = agree(&o, "PCMA", "L16", 48000);
    for (uint32_t k = 0; k < 50; k++) {
        cr_assert_eq(feed(&o, k * 20000, OLD, k, TS0), SLR_VERDICT_TAKEN);
    }
    for (uint32_t k = 0; k < 3; k++) {
        struct fx_packet p = {.pt = 13,
                              .seq = (uint16_t)(150 + k),
                              .ts = TS0 + (2400 + k * 200) * 8,
                              .ssrc = OLD,
                              .len_bytes = 1};
        cr_assert_eq(give(&o, 2000000 + k * 200000, &p), SLR_VERDICT_COMFORT);
    }
    int64_t highest = atomic_load(&slr_leg_run(leg)->highest_ticks);
    cr_assert_eq(highest, 2800 * FX_MS, "%.3f ms", (double)highest / FX_MS);
    end(&o, 3000);
    done(&o);
}

/* A new SSRC that was signalled begins with noise: it counts by the clock of the one before, not by
 * that of a codec that was never heard. */
Test(anchor, noise_of_a_new_stream_counts_by_the_clock_of_the_stream_before)
{
    struct one o;
    begin(&o);
    struct slr_leg *leg = agree(&o, "L16", "PCMA", 16000);
    leg->ssrc_signalled[0] = NEW;
    leg->ssrc_signalled_count = 1;
    for (uint32_t k = 0; k < 50; k++) {
        cr_assert_eq(feed(&o, k * 20000, OLD, k, TS0), SLR_VERDICT_TAKEN);
    }
    for (uint32_t k = 0; k < 5; k++) {
        struct fx_packet p = {
            .pt = 13, .seq = (uint16_t)(95 + k), .ts = DAY + k * 1600, .ssrc = NEW, .len_bytes = 1};
        (void)give(&o, 2000000 + k * 200000, &p);
    }
    for (uint32_t k = 0; k < 10; k++) {
        cr_assert_eq(feed(&o, 3000000 + k * 20000, NEW, k, DAY + 8000), SLR_VERDICT_TAKEN);
    }
    cr_assert_eq(leg->clock_notes.count, 0u);
    end(&o, 3300);
    done(&o);
}

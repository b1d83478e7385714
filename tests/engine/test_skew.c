/*
 * Skew: the estimate of a leg's clock over synthetic streams whose truth is known, and the rule by
 * which legs are corrected. Corrections are applied at once here, as in endless silence.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/skew.h"

#define MS (SLR_TICKS_HZ / 1000)
#define SAMPLE (SLR_TICKS_HZ / 8000)
#define PACKET_MS 20

enum jitter { NONE, UNIFORM, BURSTY };

/* A sender, its path, and what the engine sees of them. */
struct sender {
    double ppm;
    double base_ms, jitter_ms;
    enum jitter jitter;
    double step_ms, step_at_s;             /* of the path */
    double clock_step_ms, clock_step_at_s; /* of the media clock */
    double ramp_ms, ramp_from_s, ramp_to_s;
    double report_s; /* sender reports each so many seconds; 0: none */
    double talk_s, pause_s;
    uint64_t seed;
    /* own */
    struct slr_skew skew;
    int64_t corr_ticks, anchor_ticks;
    bool anchored;
    uint32_t burst_left, steps, clock_steps, rates;
    uint32_t corrections;
    double next_report_s;
    double true_ms; /* deviation of the newest packet */
};

static uint64_t draw(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

static double uniform(struct sender *s)
{
    return (double)(draw(&s->seed) >> 11) / 9007199254740992.0;
}

static double jitter_of(struct sender *s)
{
    switch (s->jitter) {
    case NONE:
        break;
    case UNIFORM:
        return uniform(s) * s->jitter_ms;
    case BURSTY: /* seconds in which everything is late, and calm between */
        if (s->burst_left == 0 && uniform(s) < 0.002) {
            s->burst_left = 50 + (uint32_t)(uniform(s) * 200.0);
        }
        if (s->burst_left > 0) {
            s->burst_left--;
            return s->jitter_ms * (0.6 + 0.4 * uniform(s));
        }
        return uniform(s) * s->jitter_ms * 0.2;
    }
    return 0.0;
}

static double path_ms(const struct sender *s, double t_s)
{
    double ms = s->base_ms + (s->step_ms != 0.0 && t_s >= s->step_at_s ? s->step_ms : 0.0);
    if (s->ramp_ms != 0.0 && t_s > s->ramp_from_s) {
        double part = (t_s - s->ramp_from_s) / (s->ramp_to_s - s->ramp_from_s);
        ms += s->ramp_ms * (part < 1.0 ? part : 1.0);
    }
    return ms;
}

/* Media time of packet k on the sender's clock; true time runs at 1 / (1 + ppm). */
static double true_s(const struct sender *s, uint32_t k)
{
    double t = (double)k * PACKET_MS / 1000.0 / (1.0 + s->ppm * 1e-6);
    if (s->clock_step_ms != 0.0 && t >= s->clock_step_at_s) {
        t += s->clock_step_ms / 1000.0; /* it stood still so long */
    }
    return t;
}

static int64_t ticks_of(double seconds)
{
    return (int64_t)llround(seconds * (double)SLR_TICKS_HZ);
}

/* Where the engine's placement puts packet 0: by the least delayed one of the first 0.75 s. */
static void anchor(struct sender *s)
{
    struct sender copy = *s;
    int64_t least = INT64_MAX;
    for (uint32_t k = 0; k < 37; k++) {
        double t = true_s(&copy, k);
        int64_t arrival = ticks_of(t + (path_ms(&copy, t) + jitter_of(&copy)) / 1000.0);
        int64_t at = arrival - (int64_t)k * PACKET_MS * MS;
        least = at < least ? at : least;
    }
    s->anchor_ticks = least / SAMPLE * SAMPLE;
    s->anchored = true;
}

static void send_packet(struct sender *s, uint32_t k)
{
    double t = true_s(s, k);
    if (!s->anchored) {
        anchor(s);
    }
    bool silent = s->pause_s > 0.0 && fmod(t, s->talk_s + s->pause_s) >= s->talk_s;
    double arrival_s = t + (path_ms(s, t) + jitter_of(s)) / 1000.0;
    int64_t start = s->anchor_ticks + (int64_t)k * PACKET_MS * MS;
    s->true_ms = (double)(start + s->corr_ticks) / (double)MS - t * 1000.0 - s->base_ms;
    if (s->report_s > 0.0 && t >= s->next_report_s) {
        s->next_report_s += s->report_s;
        slr_skew_report(&s->skew, ticks_of(4e9 + t), start);
    }
    if (silent) {
        return;
    }
    struct slr_skew_packet p = {
        .start_ticks = start, .dur_ticks = PACKET_MS * MS, .arrival_ticks = ticks_of(arrival_s)};
    enum slr_skew_event e = slr_skew_packet(&s->skew, &p);
    s->steps += e == SLR_SKEW_STEP;
    s->clock_steps += e == SLR_SKEW_CLOCK_STEP;
    s->rates += e == SLR_SKEW_RATE;
}

/* All that is wanted is done, in whole samples. */
static void correct(struct sender *s)
{
    int64_t frames = s->skew.want_ticks / SAMPLE;
    s->corr_ticks += frames * SAMPLE;
    s->corrections += frames != 0;
}

struct worst {
    double ms; /* of any leg from the sender's time */
    double apart_ms;
};

/* Runs the senders side by side; what is worst from `from_s` on. */
static struct worst run(struct sender *s, uint32_t count, double seconds, double from_s)
{
    struct worst w = {0.0, 0.0};
    struct slr_skew_party party[4];
    uint32_t packets = (uint32_t)(seconds * 1000.0 / PACKET_MS);
    for (uint32_t i = 0; i < count; i++) {
        s[i].seed = s[i].seed ? s[i].seed : 0x9e3779b97f4a7c15u + i;
    }
    for (uint32_t k = 0; k < packets; k++) {
        for (uint32_t i = 0; i < count; i++) {
            send_packet(&s[i], k);
            party[i] = (struct slr_skew_party){&s[i].skew, s[i].corr_ticks};
        }
        if (k % 25 == 24) {
            slr_skew_decide(party, count, (int64_t)k * PACKET_MS * MS);
            for (uint32_t i = 0; i < count; i++) {
                correct(&s[i]);
            }
        }
        for (uint32_t i = 0; i < count && k * (double)PACKET_MS >= from_s * 1000.0; i++) {
            double off = fabs(s[i].true_ms);
            double apart = fabs(s[i].true_ms - s[0].true_ms);
            w.ms = off > w.ms ? off : w.ms;
            w.apart_ms = apart > w.apart_ms ? apart : w.apart_ms;
        }
    }
    return w;
}

#define HOURS_4 14400.0
#define MINUTES_20 1200.0

/* A leg on a clock of its own, and one to compare with. */
static void expect_within(struct sender *s, uint32_t count, double seconds, const char *what)
{
    struct worst w = run(s, count, seconds, 120.0);
    cr_expect_lt(w.ms, 9.0, "%s: %.2f ms", what, w.ms);
    cr_expect_lt(w.apart_ms, 9.0, "%s: %.2f ms apart", what, w.apart_ms);
}

static void expect_untouched(struct sender *s, uint32_t count, double seconds, const char *what)
{
    (void)run(s, count, seconds, 0.0);
    for (uint32_t i = 0; i < count; i++) {
        cr_expect_eq(s[i].corrections, 0u, "%s: leg %u was corrected %u times", what, i,
                     s[i].corrections);
    }
}

Test(skew, four_hours_at_200_ppm_and_50_ms_of_jitter)
{
    static const double ppm[][2] = {{200, -200}, {-200, 0}, {200, 190}, {-200, -100}, {3, -120}};
    for (uint64_t seed = 1; seed <= 3; seed++) {
        for (enum jitter j = UNIFORM; j <= BURSTY; j++) {
            for (uint32_t c = 0; c < sizeof ppm / sizeof ppm[0]; c++) {
                char what[64];
                struct sender s[2] = {{.ppm = ppm[c][0], .base_ms = 10},
                                      {.ppm = ppm[c][1], .base_ms = 35}};
                for (int i = 0; i < 2; i++) {
                    s[i].jitter = j;
                    s[i].jitter_ms = 50;
                    s[i].seed = (seed * 2 + (uint64_t)i) * 0x9e3779b97f4a7c15u;
                }
                snprintf(what, sizeof what, "%.0f and %.0f ppm, seed %u, jitter %d", ppm[c][0],
                         ppm[c][1], (unsigned)seed, (int)j);
                bool settled_late = fabs(ppm[c][0] - ppm[c][1]) < 50.0;
                struct worst w =
                    run(s, 2, seed == 1 ? HOURS_4 : MINUTES_20, settled_late ? 800.0 : 120.0);
                cr_expect_lt(w.ms, 9.0, "%s: %.2f ms", what, w.ms);
                cr_expect_lt(w.apart_ms, 9.0, "%s: %.2f ms apart", what, w.apart_ms);
                cr_expect_eq(s[0].steps + s[1].steps, 0u, "%s: %u steps", what,
                             s[0].steps + s[1].steps);
                cr_expect(fabs(slr_skew_ppm(&s[0].skew) - ppm[c][0]) < 10.0, "%s: %.1f ppm", what,
                          slr_skew_ppm(&s[0].skew));
            }
        }
    }
}

Test(skew, one_clock_for_both_legs_is_never_corrected)
{
    for (enum jitter j = NONE; j <= BURSTY; j++) {
        struct sender s[2] = {{.ppm = -200, .base_ms = 20, .jitter_ms = 50, .jitter = j},
                              {.ppm = -200, .base_ms = 20, .jitter_ms = 50, .jitter = j}};
        for (int i = 0; i < 2; i++) { /* calm first, so that both are placed right */
            s[i].seed = 0x9e3779b97f4a7c15u * (uint64_t)(i + 7);
        }
        expect_untouched(s, 2, HOURS_4, "one clock");
    }
}

Test(skew, a_single_leg_is_never_corrected)
{
    struct sender s[1] = {{.ppm = -200, .base_ms = 20, .jitter_ms = 50, .jitter = UNIFORM}};
    expect_untouched(s, 1, HOURS_4, "single");
    cr_assert(fabs(slr_skew_ppm(&s[0].skew) + 200.0) < 3.0);
}

Test(skew, a_step_of_the_path_without_reports_is_told_and_not_corrected)
{
    static const double step[] = {40.0, -8.0, 6.0, 300.0, -20.0};
    for (uint32_t i = 0; i < sizeof step / sizeof step[0]; i++) {
        struct sender s[2] = {{.base_ms = 30,
                               .jitter_ms = 20,
                               .jitter = UNIFORM,
                               .step_ms = step[i],
                               .step_at_s = 300},
                              {.base_ms = 30, .jitter_ms = 20, .jitter = UNIFORM}};
        expect_untouched(s, 2, MINUTES_20, "step");
        cr_expect_eq(s[0].steps, 1u, "step of %.0f ms: told %u times", step[i], s[0].steps);
        cr_expect_eq(s[1].steps, 0u);
        double told_ms = (double)s[0].skew.step_ticks / MS;
        cr_expect(fabs(told_ms - step[i]) < 2.0, "%.2f ms", told_ms);
    }
}

/* The step is left alone, the drift round it is not. */
Test(skew, a_step_of_the_path_while_clocks_drift)
{
    for (int reports = 0; reports < 2; reports++) {
        struct sender s[2] = {{.ppm = 200,
                               .base_ms = 30,
                               .jitter_ms = 20,
                               .jitter = UNIFORM,
                               .step_ms = 50,
                               .step_at_s = 300},
                              {.ppm = -200, .base_ms = 30, .jitter_ms = 20, .jitter = UNIFORM}};
        s[0].report_s = s[1].report_s = reports ? 5.0 : 0.0;
        expect_within(s, 2, 3600.0, reports ? "with reports" : "without");
        cr_expect_eq(s[0].steps, 1u);
        cr_expect_eq(s[0].clock_steps, 0u);
    }
}

/* The sender's clock stood still for 30 ms: with reports that is seen, and made good. */
Test(skew, a_step_of_the_media_clock_is_told_apart_by_sender_reports)
{
    struct sender s[2] = {{.base_ms = 30,
                           .jitter_ms = 20,
                           .jitter = UNIFORM,
                           .clock_step_ms = 30,
                           .clock_step_at_s = 300,
                           .report_s = 5},
                          {.base_ms = 30, .jitter_ms = 20, .jitter = UNIFORM, .report_s = 5}};
    struct worst w = run(s, 2, MINUTES_20, 345.0);
    cr_assert_lt(w.ms, 6.0, "%.2f ms", w.ms);
    cr_assert_eq(s[0].clock_steps, 1u);
    cr_assert_eq(s[0].steps, 0u);
}

/* A path that slowly fills up is no clock, if reports say so. */
Test(skew, a_path_that_grows_slowly_under_sender_reports)
{
    struct sender s[2] = {{.base_ms = 30,
                           .jitter_ms = 10,
                           .jitter = UNIFORM,
                           .ramp_ms = 15,
                           .ramp_from_s = 200,
                           .ramp_to_s = 500,
                           .report_s = 5},
                          {.base_ms = 30, .jitter_ms = 10, .jitter = UNIFORM, .report_s = 5}};
    expect_untouched(s, 2, 900.0, "ramp");
}

Test(skew, sender_reports_and_drift)
{
    for (enum jitter j = UNIFORM; j <= BURSTY; j++) {
        struct sender s[2] = {
            {.ppm = 200, .base_ms = 10, .jitter_ms = 50, .jitter = j, .report_s = 5},
            {.ppm = -200, .base_ms = 35, .jitter_ms = 50, .jitter = j, .report_s = 5}};
        s[0].seed = 0x1234567890abcdefu;
        s[1].seed = 0xfedcba0987654321u;
        expect_within(s, 2, HOURS_4, "reports");
        cr_expect(s[0].skew.trusted && s[1].skew.trusted);
    }
}

/* Talk and long pauses: the clocks drift on in silence. */
Test(skew, pauses_of_a_minute)
{
    struct sender s[2] = {{.ppm = 200,
                           .base_ms = 10,
                           .jitter_ms = 50,
                           .jitter = UNIFORM,
                           .talk_s = 40,
                           .pause_s = 60},
                          {.ppm = -200,
                           .base_ms = 35,
                           .jitter_ms = 50,
                           .jitter = UNIFORM,
                           .talk_s = 7,
                           .pause_s = 13}};
    expect_within(s, 2, HOURS_4, "pauses");
}

/* Beyond 1,000 ppm it is no skew: nothing is corrected, and it is told once. */
Test(skew, too_far_off_is_no_skew)
{
    static const double ppm[] = {1500, -1500, 1e6, -275000, 12000, 2e6};
    for (uint32_t i = 0; i < sizeof ppm / sizeof ppm[0]; i++) {
        struct sender s[2] = {{.ppm = ppm[i], .base_ms = 10, .jitter_ms = 20, .jitter = UNIFORM},
                              {.base_ms = 35, .jitter_ms = 20, .jitter = UNIFORM}};
        expect_untouched(s, 2, MINUTES_20, "rate");
        cr_expect_eq(s[0].rates, 1u, "%.0f ppm: told %u times", ppm[i], s[0].rates);
        cr_expect(s[0].skew.rate_off);
        cr_expect_not(s[1].skew.rate_off);
    }
    struct sender near[2] = {{.ppm = 800, .base_ms = 10, .jitter_ms = 20, .jitter = UNIFORM},
                             {.base_ms = 35, .jitter_ms = 20, .jitter = UNIFORM}};
    expect_within(near, 2, MINUTES_20, "800 ppm");
}

/* Another stream takes over: what was corrected stays, and the estimate begins anew. */
Test(skew, a_new_segment_begins_anew)
{
    struct sender s[2] = {{.ppm = 200, .base_ms = 10, .jitter_ms = 20, .jitter = UNIFORM},
                          {.ppm = -200, .base_ms = 35, .jitter_ms = 20, .jitter = UNIFORM}};
    (void)run(s, 2, MINUTES_20, 60.0);
    int64_t corr = s[0].corr_ticks;
    int64_t e = 0;
    struct slr_skew_packet p = {.stream = 7, .new_segment = true, .dur_ticks = PACKET_MS * MS};
    p.arrival_ticks = s[0].skew.last_ticks + PACKET_MS * MS;
    p.start_ticks = p.arrival_ticks - p.dur_ticks - s[0].corr_ticks;
    cr_assert(slr_skew_error(&s[0].skew, corr, s[0].skew.last_ticks, &e));
    (void)slr_skew_packet(&s[0].skew, &p);
    cr_assert_not(slr_skew_error(&s[0].skew, corr, s[0].skew.last_ticks, &e));
    struct slr_skew_party party[2] = {{&s[0].skew, corr}, {&s[1].skew, s[1].corr_ticks}};
    slr_skew_decide(party, 2, s[0].skew.last_ticks);
    cr_assert_eq(s[0].skew.want_ticks, 0);
    cr_assert_eq(s[1].skew.want_ticks, 0);
}

/* Soon after the beginning, when few points are known: a step is no rate. */
Test(skew, an_early_step_is_no_rate)
{
    static const double at_s[] = {4.0, 7.0, 10.0, 13.0, 17.0};
    for (uint32_t i = 0; i < sizeof at_s / sizeof at_s[0]; i++) {
        struct sender s[2] = {{.base_ms = 10,
                               .jitter_ms = 20,
                               .jitter = UNIFORM,
                               .clock_step_ms = 1200,
                               .clock_step_at_s = at_s[i]},
                              {.base_ms = 35, .jitter_ms = 20, .jitter = UNIFORM}};
        (void)run(s, 2, 120.0, 0.0);
        cr_expect_eq(s[0].rates, 0u, "at %.0f s", at_s[i]);
        cr_expect_not(s[0].skew.rate_off);
    }
}

/* Least delays of three windows that happen to lie on a line are no rate: jitter, packets of
 * another length. */
Test(skew, jitter_of_few_windows_is_no_rate)
{
    static const int64_t least_ms[] = {200, 243, 270, 244, 232, 261};
    struct slr_skew k = {0};
    for (uint32_t i = 0; i < 450; i++) { /* 3 s each */
        int64_t at = (int64_t)i * 40 * SLR_TICKS_HZ / 1000;
        int64_t delay = least_ms[i / 75];
        struct slr_skew_packet p = {.start_ticks = at,
                                    .dur_ticks = (uint32_t)(SLR_TICKS_HZ / 25),
                                    .arrival_ticks = at + delay * SLR_TICKS_HZ / 1000,
                                    .stream = 3};
        (void)slr_skew_packet(&k, &p);
    }
    cr_expect_eq(k.rates, 0u);
    cr_expect_not(k.rate_off);
}

/* Two legs, one without jitter; of the other the least delay of each window is given, and how far
 * above it the next ones lie. Is anything ever to be corrected? */
static bool wants_correction(const double *least_ms, uint32_t windows, double edge_ms)
{
    struct slr_skew k[2];
    struct slr_skew_party party[2] = {{.skew = &k[0]}, {.skew = &k[1]}};
    bool wants = false;
    memset(k, 0, sizeof k);
    for (uint32_t i = 0; i < windows * 75; i++) { /* 3 s each */
        int64_t at = (int64_t)i * 40 * SLR_TICKS_HZ / 1000;
        double ms[2] = {0.0, least_ms[i / 75] + i % 75 * 29 % 75 * edge_ms};
        for (uint32_t n = 0; n < 2; n++) {
            struct slr_skew_packet p = {.start_ticks = at,
                                        .dur_ticks = (uint32_t)(SLR_TICKS_HZ / 25),
                                        .arrival_ticks = at + ticks_of(ms[n] / 1000.0),
                                        .stream = 3};
            (void)slr_skew_packet(&k[n], &p);
        }
        slr_skew_decide(party, 2, at);
        wants |= k[1].want_ticks != 0;
    }
    return wants;
}

/* Least delays that rise by chance for a few windows are no drift where delays lie thin: jitter of
 * 300 ms, packets of 40 ms. The same is one where all packets say it. */
Test(skew, thin_jitter_is_no_drift)
{
    static const double least_ms[] = {0.0, 3.0, 3.0, 6.6, 6.6, 9.0};
    cr_expect(wants_correction(least_ms, 6, 0.0));
    cr_expect_not(wants_correction(least_ms, 6, 4.0));
}

/* What a sender of packets of changing length has said so far. by_end: they are sent when they are
 * over; then the first one's length is in every delay. */
struct talk {
    struct sender path;
    struct slr_skew skew;
    bool by_end;
    int64_t slow_ppm;
    uint32_t first_ms, at_ms, packets;
};

/* So long, packets of these lengths in turn. */
static void talk(struct talk *t, const uint32_t *packet_ms, uint32_t lengths, uint32_t seconds)
{
    uint32_t until_ms = t->at_ms + seconds * 1000;
    while (t->at_ms < until_ms) {
        uint32_t ms = packet_ms[t->packets++ % lengths];
        t->first_ms = t->first_ms ? t->first_ms : ms;
        int64_t late_ms = t->by_end ? (int64_t)ms - (int64_t)t->first_ms : 0;
        int64_t start = (int64_t)t->at_ms * MS;
        int64_t arrival = start + start / 1000000 * t->slow_ppm + late_ms * MS +
                          ticks_of(jitter_of(&t->path) / 1000.0);
        struct slr_skew_packet p = {
            .start_ticks = start, .dur_ticks = ms * (uint32_t)MS, .arrival_ticks = arrival};
        (void)slr_skew_packet(&t->skew, &p);
        t->at_ms += ms;
    }
}

/* Longer or shorter packets are neither a drift nor a step, whatever the sender's habit. */
Test(skew, another_packet_length_is_no_drift)
{
    static const uint32_t ms[][3] = {{40, 60, 40}, {60, 100, 20}, {20, 10, 30}, {20, 120, 60}};
    static const uint32_t first_s[] = {2, 5, 8, 20, 90};
    static const int64_t slow_ppm[] = {0, 700, -700};
    for (uint32_t i = 0; i < 240; i++) {
        const uint32_t *length = ms[i / 2 % 4];
        struct talk t = {.by_end = i % 2, .slow_ppm = slow_ppm[i / 80]};
        int64_t e = 0;
        t.path =
            (struct sender){.seed = 0x9e3779b97f4a7c15u + i, .jitter_ms = 5, .jitter = UNIFORM};
        talk(&t, length, 1, first_s[i / 8 % 5]);
        if (i % 80 < 40) { /* one length after the other */
            talk(&t, length + 1, 1, 40);
            talk(&t, length + 2, 1, 40);
        } else {
            talk(&t, length, 3, 80);
        }
        cr_expect(slr_skew_error(&t.skew, 0, t.skew.last_ticks, &e), "row %u", i);
        e += (int64_t)t.at_ms * MS / 1000000 * t.slow_ppm;
        cr_expect(llabs(e) < 2 * MS, "row %u: %.2f ms", i, (double)e / MS);
        cr_expect_eq(t.skew.steps + t.skew.rates, 0u, "row %u", i);
    }
}

/* Nor are packets of any length, though a longer one than the first comes in the first window,
 * along with ones that are much shorter. */
Test(skew, packets_of_any_length_are_no_drift)
{
    static const uint32_t ms[][6] = {
        {50, 10, 60, 30, 20, 40}, {20, 60, 40, 10, 30, 50}, {30, 10, 40, 20, 10, 40}};
    static const int64_t slow_ppm[] = {0, 700, -700};
    for (uint32_t i = 0; i < 36; i++) {
        struct talk t = {.by_end = i % 2, .slow_ppm = slow_ppm[i / 2 % 3]};
        int64_t e = 0;
        t.path = (struct sender){
            .seed = 0x5851f42d4c957f2du + i, .jitter_ms = i < 18 ? 0 : 2, .jitter = UNIFORM};
        talk(&t, ms[i / 6 % 3], 6, 80);
        cr_expect(slr_skew_error(&t.skew, 0, t.skew.last_ticks, &e), "row %u", i);
        e += (int64_t)t.at_ms * MS / 1000000 * t.slow_ppm;
        cr_expect(llabs(e) < 2 * MS, "row %u: %.2f ms", i, (double)e / MS);
        cr_expect_eq(t.skew.steps + t.skew.rates, 0u, "row %u", i);
    }
}

/* Nor where none is longer than the first, and jitter hides in the few that are as long: the least
 * delay by end is theirs, and thin. */
Test(skew, few_packets_as_long_as_the_first_are_no_drift)
{
    static const uint32_t ms[] = {60, 10, 30, 20, 50, 10, 40, 20, 10, 30, 20};
    uint32_t lengths = sizeof ms / sizeof ms[0];
    for (uint32_t i = 0; i < 80; i++) {
        struct talk t = {.by_end = i % 2};
        double worst_ms = 0.0;
        t.path = (struct sender){.seed = 0x2545f4914f6cdd1du + i * 0x9e3779b97f4a7c15u,
                                 .jitter_ms = i < 40 ? 40 : 100,
                                 .jitter = UNIFORM};
        for (uint32_t s = 0; s < 80; s++) {
            int64_t e = 0;
            talk(&t, ms, lengths, 1);
            if (slr_skew_error(&t.skew, 0, t.skew.last_ticks, &e)) {
                double off_ms = fabs((double)e / MS);
                worst_ms = off_ms > worst_ms ? off_ms : worst_ms;
            }
        }
        cr_expect_eq(t.skew.pace, t.by_end ? SLR_SKEW_BY_END : SLR_SKEW_BY_START, "row %u", i);
        cr_expect_lt(worst_ms, i < 40 ? 4.0 : 9.0, "row %u: %.2f ms", i, worst_ms);
    }
}

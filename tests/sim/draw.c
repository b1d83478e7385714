/*
 * draw: a session from a seed: legs, networks, scripts, commands. Everything is drawn whether it is
 * wanted or not, so that leaving a feature out changes nothing else. Pure but for *m.
 */
#include <string.h>

#include "tests/sim/bank.h"
#include "tests/sim/rng.h"
#include "tests/sim/sim.h"

enum {
    FOR_SESSION,
    FOR_PAUSES,
    FOR_LOSSY,
    FOR_LEG = 16,
    FOR_NET = 32,
    FOR_SCRIPT = 48,
    FOR_MENU = 64
};

/* Draws first, then asks whether it is wanted. */
static bool chance(struct sim *m, uint64_t *x, uint32_t percent, enum sim_feature f)
{
    bool yes = rng_odds(x, percent);
    if (yes && sim_has(m, f)) {
        m->present |= 1ULL << f;
        return true;
    }
    return false;
}

static void draw_network(struct sim *m, struct sim_network *net, uint64_t x)
{
    static const uint32_t loss[] = {5, 10, 30, 100, 300};
    static const int64_t jitter[] = {2, 10, 20, 50, 100, 300};
    uint32_t lost = loss[rng_in(&x, 0, 4)];
    int64_t jitter_ms = jitter[rng_in(&x, 0, 5)];
    uint32_t burst_in = (uint32_t)rng_in(&x, 1, 20);
    uint32_t burst_out = (uint32_t)rng_in(&x, 30, 500);
    uint32_t reorder = (uint32_t)rng_in(&x, 5, 80);
    int64_t reorder_ns = rng_in(&x, 40, 550) * SIM_MS;
    uint32_t twice = (uint32_t)rng_in(&x, 1, 30);
    net->base_ns = rng_in(&x, 0, 150) * SIM_MS;
    net->jitter_kind = (uint32_t)rng_in(&x, 0, 1);
    net->lost_permille = chance(m, &x, 40, SIM_HAS_LOSS) ? lost : 0;
    net->burst_in_permille = chance(m, &x, 20, SIM_HAS_BURST) ? burst_in : 0;
    net->burst_out_permille = m->lazy ? 5 + burst_out / 20 : burst_out;
    net->jitter_ns = chance(m, &x, 70, SIM_HAS_JITTER) ? jitter_ms * SIM_MS : 0;
    net->reorder_permille = chance(m, &x, 20, SIM_HAS_REORDER) ? reorder : 0;
    net->reorder_ns = reorder_ns;
    net->twice_percent = chance(m, &x, 20, SIM_HAS_TWICE) ? twice : 0;
    net->doubled = chance(m, &x, 8, SIM_HAS_DOUBLED);
}

static void add_phase(struct sim_leg *leg, enum sim_phase_kind kind, int64_t ms, int64_t a,
                      int64_t b)
{
    if (leg->phase_count < SIM_PHASES) {
        leg->phase[leg->phase_count++] = (struct sim_phase){(uint8_t)kind, ms, a, b};
    }
}

/* What comes between two stretches of talk. */
static void draw_change(struct sim *m, struct sim_leg *leg, uint64_t *x)
{
    static const enum sim_feature feature[] = {
        [SIM_SILENCE] = SIM_HAS_DTX,     [SIM_NEW_PTIME] = SIM_HAS_PTIME,
        [SIM_NEW_CODEC] = SIM_HAS_CODEC, [SIM_NEW_SSRC] = SIM_HAS_SSRC,
        [SIM_NEW_SEQ] = SIM_HAS_SEQ,     [SIM_JUMPS] = SIM_HAS_JUMP,
        [SIM_STALLS] = SIM_HAS_STALL,    [SIM_STANDS_STILL] = SIM_HAS_STILL,
        [SIM_FASTER] = SIM_HAS_FAST,     [SIM_HOLDS_CALL] = SIM_HAS_HOLD,
        [SIM_DIALS] = SIM_HAS_DIGIT};
    static const uint8_t weight[] = {
        [SIM_SILENCE] = 25, [SIM_NEW_PTIME] = 12, [SIM_NEW_CODEC] = 12, [SIM_NEW_SSRC] = 10,
        [SIM_NEW_SEQ] = 4,  [SIM_JUMPS] = 6,      [SIM_STALLS] = 7,     [SIM_STANDS_STILL] = 4,
        [SIM_FASTER] = 4,   [SIM_HOLDS_CALL] = 6, [SIM_DIALS] = 10};
    int64_t pick = rng_in(x, 0, 99);
    int kind = SIM_SILENCE;
    while (kind < SIM_DIALS && pick >= weight[kind]) {
        pick -= weight[kind++];
    }
    int64_t a = (int64_t)(rng_next(x) >> 1);
    int64_t b = (int64_t)(rng_next(x) >> 1);
    int64_t ms = rng_odds(x, 70) ? rng_in(x, 0, 900) : rng_in(x, 900, 5000);
    if (kind == SIM_NEW_CODEC && !m->mixed) {
        return;
    }
    if (sim_has(m, feature[kind])) {
        m->present |= 1ULL << feature[kind];
        add_phase(leg, (enum sim_phase_kind)kind, ms, a, b);
    }
}

static void draw_script(struct sim *m, struct sim_leg *leg, uint64_t x, int64_t total_ms)
{
    uint32_t busy = (uint32_t)rng_in(&x, 0, 3);
    int64_t at = 0;
    while (at < total_ms) {
        int64_t ms = rng_odds(&x, 70) ? rng_in(&x, 100, 1500) : rng_in(&x, 1500, 6000);
        ms = ms < total_ms - at ? ms : total_ms - at + 20;
        add_phase(leg, SIM_TALK, ms, 0, 0);
        at += ms;
        if (busy > 0) {
            draw_change(m, leg, &x);
        }
    }
}

/* The file is PCM at the highest rate that the first leg answers: there from the start. */
static void draw_menu(const struct sim *m, uint32_t n, struct sim_leg *leg, uint64_t x)
{
    uint32_t want = (uint32_t)rng_in(&x, 1, SIM_MENU);
    while (leg->menu_count < want || (n == 0 && leg->menu_count == 0)) {
        uint8_t codec = (uint8_t)rng_in(&x, 0, SIM_LINES - 1);
        const struct sim_line *l = sim_line((enum sim_codec)codec);
        bool first = n == 0 && leg->menu_count == 0;
        bool pcm = codec != SIM_PCMA && codec != SIM_PCMU;
        if (l->name && l->sample_hz <= m->hz && (!first || (pcm && l->sample_hz == m->hz))) {
            leg->menu[leg->menu_count++] = codec;
        }
    }
    leg->codec = leg->menu[rng_in(&x, 0, leg->menu_count - 1)];
}

static void draw_lossy(struct sim *m, uint64_t x)
{
    static const uint32_t hz[] = {8000, 8000, 8000, 16000, 16000, 48000, 48000};
    uint32_t at = hz[rng_in(&x, 0, 6)];
    if (chance(m, &x, 30, SIM_HAS_LOSSY)) {
        m->lossy = m->mixed = true;
        m->lazy = rng_odds(&x, 20);
        m->uneven = rng_odds(&x, 20);
        m->format = SIM_FILE_S16;
        m->hz = at;
    }
}

static void draw_leg(struct sim *m, uint32_t n, int64_t total_ms)
{
    static const uint32_t ptime[] = {20, 20, 20, 20, 10, 30, 40, 60, 80, 100, 120};
    struct sim_leg *leg = &m->leg[n];
    uint64_t x = rng_fork(m->seed, FOR_LEG + n);
    uint32_t other = ptime[rng_in(&x, 0, 10)];
    int64_t most_ppm = rng_odds(&x, 70) ? 200 : 900;
    int32_t skew = (int32_t)rng_in(&x, -most_ppm, most_ppm);
    int64_t join = rng_in(&x, 0, 3000);
    leg->key = rng_fork(m->seed, 1000 + n);
    leg->join_ns = n > 0 && chance(m, &x, 40, SIM_HAS_JOIN) ? join * SIM_MS + 1 : 0;
    leg->start_ns = leg->join_ns + rng_in(&x, 1, rng_odds(&x, 60) ? 200 : 3000) * SIM_MS;
    leg->ptime_ms = chance(m, &x, 50, SIM_HAS_PTIME) ? other : 20;
    leg->skew_ppm = chance(m, &x, 40, SIM_HAS_SKEW) ? skew : 0;
    leg->signalled = rng_odds(&x, 50);
    leg->codec = m->format == SIM_FILE_ULAW ? SIM_PCMU : SIM_PCMA;
    if (m->lossy) {
        draw_menu(m, n, leg, rng_fork(m->seed, FOR_MENU + n));
    } else if (m->mixed) {
        leg->codec = (uint8_t)rng_in(&x, SIM_PCMA, SIM_L16);
    } else if (m->format == SIM_FILE_S16) {
        leg->codec = SIM_L16;
    }
    leg->strays = (uint32_t)rng_in(&x, 1, 4);
    if (!chance(m, &x, 20, SIM_HAS_STRAY)) {
        leg->strays = 0;
    }
    draw_network(m, &leg->net, rng_fork(m->seed, FOR_NET + n));
    draw_script(m, leg, rng_fork(m->seed, FOR_SCRIPT + n), total_ms);
}

static void draw_pauses(struct sim *m)
{
    uint64_t x = rng_fork(m->seed, FOR_PAUSES);
    int64_t at = rng_in(&x, 500, 3000);
    uint32_t want = (uint32_t)rng_in(&x, 1, 4);
    bool wanted = chance(m, &x, 30, SIM_HAS_PAUSE);
    for (uint32_t i = 0; i < want && wanted; i++) {
        int64_t on = at + rng_in(&x, 0, 4000);
        int64_t off = on + rng_in(&x, 1, 3000);
        m->pause[m->pause_count++] = (struct sim_interval){on * SIM_MS + 501, off * SIM_MS + 501};
        at = off + rng_in(&x, 1, 1500);
    }
}

void sim_draw(struct sim *m, uint64_t seed, uint64_t without)
{
    uint64_t x = rng_fork(seed, FOR_SESSION);
    memset(m, 0, sizeof *m);
    m->seed = seed;
    m->without = without;
    int64_t total_ms = rng_odds(&x, 80) ? rng_in(&x, 1500, 9000) : rng_in(&x, 9000, 20000);
    uint32_t class = (uint32_t)rng_in(&x, 0, 99);
    uint32_t legs = (uint32_t)rng_in(&x, 0, 99);
    int64_t hole = rng_in(&x, 2500, 9000) * SIM_MS + 701;
    int64_t hole_ns = rng_in(&x, 1, 3000) * SIM_MS;
    m->legs = legs < 8 ? 1 : (legs < 92 ? 2 : 3);
    m->hz = class < 88 ? 8000 : (class < 96 ? 16000 : 48000);
    m->format = class < 35 ? SIM_FILE_ALAW : (class < 60 ? SIM_FILE_ULAW : SIM_FILE_S16);
    m->mixed = m->format == SIM_FILE_S16 && m->hz == 8000;
    draw_lossy(m, rng_fork(seed, FOR_LOSSY));
    m->hole_from_ns = m->hole_to_ns = SIM_NEVER;
    if (chance(m, &x, 12, SIM_HAS_HOLE)) {
        m->hole_from_ns = hole;
        m->hole_to_ns = hole + hole_ns;
    }
    m->dies = chance(m, &x, 30, SIM_HAS_KILL);
    m->disk_fails = chance(m, &x, 15, SIM_HAS_DISK);
    draw_pauses(m);
    for (uint32_t i = 0; i < m->legs; i++) {
        draw_leg(m, i, total_ms);
    }
}

/*
 * silent: a call of two legs of which one is about to fall silent, step by step in virtual time,
 * and what the engine tells of it. Leg 0 talks all the time. Only for tests of engine/.
 */
#ifndef SLR_TESTS_ENGINE_SILENT_H
#define SLR_TESTS_ENGINE_SILENT_H

#include "engine/sound.h"
#include "tests/engine/outcome.h"

#define TALKER 0xaaaa0001u
#define FADING 0xbbbb0002u

struct silent {
    struct fx f;
    struct slr_session *s;
    uint32_t slot[2];
    char id[SLR_ID_SIZE];
    int64_t now_ms; /* a multiple of 20: both legs' next packet */
};

/* What the fading leg sends in a packet of 20 ms. */
enum fade { TALKS, NOTHING, DIGITAL_SILENCE, COMFORT_NOISE, UNKNOWN_TYPE };

static inline void silent_begin(struct silent *t, uint32_t alarm_s)
{
    fx_open(&t->f);
    t->f.cfg.silent_alarm_s = alarm_s;
    t->f.writer.watch.alarm_ns = (int64_t)alarm_s * SLR_NS_PER_S;
    t->s = fx_session(&t->f, 2);
    t->slot[0] = fx_leg(&t->f, t->s, 0, 8);
    t->slot[1] = fx_leg(&t->f, t->s, 1, 8);
    memcpy(t->id, t->s->id, sizeof t->id);
    t->now_ms = 0;
}

static inline void silent_packet(struct silent *t, enum fade what)
{
    uint32_t k = (uint32_t)(t->now_ms / 20);
    struct fx_packet p = fx_audio(FADING, k, 100, 5000);
    switch (what) {
    case NOTHING:
        return;
    case DIGITAL_SILENCE:
        memset(p.at, 0xd5, 160);
        break;
    case COMFORT_NOISE:
        p.pt = 13;
        p.len_bytes = 1;
        p.at[0] = 60;
        break;
    case UNKNOWN_TYPE:
        p.pt = 77;
        break;
    case TALKS:
        break;
    }
    (void)fx_rtp(&t->f, t->slot[1], t->now_ms, p);
}

/* So long; the writer steps each 125 ms as it does alone. */
static inline void silent_run(struct silent *t, int64_t ms, enum fade what)
{
    for (int64_t end = t->now_ms + ms; t->now_ms < end; t->now_ms += 20) {
        (void)fx_rtp(&t->f, t->slot[0], t->now_ms,
                     fx_audio(TALKER, (uint32_t)(t->now_ms / 20), 100, 5000));
        silent_packet(t, what);
        if (t->now_ms / 125 != (t->now_ms + 20) / 125) {
            fx_write(&t->f, t->now_ms + 19);
        }
    }
}

/* The n-th event of that name; NULL: there are fewer. */
static inline json_t *silent_event(const struct silent *t, const char *name, size_t n)
{
    size_t i = 0;
    json_t *ev = NULL;
    json_array_foreach(t->f.events, i, ev)
    {
        if (strcmp(json_string_value(json_object_get(ev, "ev")), name) == 0 && n-- == 0) {
            return ev;
        }
    }
    return NULL;
}

/* Nothing yet by that time, then within `alarm_ms` of falling silent exactly one alarm. */
static inline json_t *silent_expect(struct silent *t, int64_t alarm_ms, enum fade what,
                                    const char *cause)
{
    int64_t from_ms = t->now_ms;
    silent_run(t, alarm_ms - 1500, what);
    cr_assert_null(silent_event(t, "leg_silent", 0), "%s: too soon", cause);
    silent_run(t, 1500, what);
    json_t *ev = silent_event(t, "leg_silent", 0);
    cr_assert_not_null(ev, "%s: no alarm in time", cause);
    cr_assert_str_eq(json_string_value(json_object_get(ev, "cause")), cause);
    cr_assert_str_eq(json_string_value(json_object_get(ev, "leg")), "leg-1");
    cr_assert_str_eq(json_string_value(json_object_get(ev, "session")), t->id);
    int64_t since = json_integer_value(json_object_get(ev, "since_ms"));
    cr_assert(since >= from_ms - 40 && since <= from_ms + 40, "%s: since %lld, not %lld", cause,
              (long long)since, (long long)from_ms);
    silent_run(t, 2 * alarm_ms, what);
    cr_assert_null(silent_event(t, "leg_silent", 1), "%s: told twice", cause);
    cr_assert_null(silent_event(t, "leg_audible", 0), "%s: it is not", cause);
    return ev;
}

/* It talks again: told once, and soon. */
static inline void silent_recovers(struct silent *t)
{
    silent_run(t, 2000, TALKS);
    json_t *ev = silent_event(t, "leg_audible", 0);
    cr_assert_not_null(ev, "not told that it is over");
    cr_assert_str_eq(json_string_value(json_object_get(ev, "leg")), "leg-1");
    cr_assert_gt(json_integer_value(json_object_get(ev, "silent_ms")), 9000);
    json_t *began = silent_event(t, "leg_silent", 0);
    cr_assert(json_equal(json_object_get(ev, "since_ms"), json_object_get(began, "since_ms")));
    silent_run(t, 5000, TALKS);
    cr_assert_null(silent_event(t, "leg_audible", 1));
    cr_assert_null(silent_event(t, "leg_silent", 1));
}

static inline void silent_end(struct silent *t)
{
    fx_close(&t->f);
}

#endif

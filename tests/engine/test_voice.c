/*
 * Voice: decoders and resamplers over the bounds of pieces and packets: the recording holds what
 * the payload decodes to when it is decoded at once and in order, at its place.
 */
#include "tests/engine/speech.h"
#include "tests/engine/tones.h"

/* All that we have an encoder for. */
static const struct {
    const char *name;
    uint32_t clock_hz;
    uint8_t channels;
    uint32_t ptime_ms[4];
} codecs[] = {
    {"PCMA", 8000, 1, {20, 10, 30, 120}}, {"PCMU", 8000, 1, {20, 60, 10, 40}},
    {"GSM", 8000, 1, {20, 40, 60, 120}},  {"G722", 8000, 1, {20, 10, 30, 120}},
    {"L16", 44100, 2, {20, 10, 20, 10}},  {"L16", 11025, 1, {40, 80, 40, 80}},
#ifdef SLR_HAVE_G729
    {"G729", 8000, 1, {20, 10, 30, 120}},
#endif
    {"opus", 48000, 1, {20, 10, 60, 40}}, {"AMR", 8000, 1, {20, 20, 40, 100}},
};
#define CODECS (sizeof codecs / sizeof codecs[0])

struct call {
    struct fx f;
    struct slr_session *s;
    char id[SLR_ID_SIZE];
    struct fx_result r;
};

static void begin(struct call *c, uint32_t channels)
{
    fx_open_sized(&c->f, 8, 2048);
    c->s = fx_session(&c->f, channels);
    memcpy(c->id, c->s->id, sizeof c->id);
}

static void finish(struct call *c, int64_t at_ms)
{
    fx_end(&c->f, c->s, at_ms);
    fx_result(&c->f, c->id, &c->r);
    for (uint32_t i = 0; i < 8; i++) {
        cr_assert_null(c->f.writer.voices[i]);
    }
}

static void done(struct call *c)
{
    fx_result_free(&c->r);
    fx_close(&c->f);
}

static void row_of(struct slr_pt_map *row, size_t i)
{
    sp_row(row, (uint8_t)(96 + i), codecs[i].name, codecs[i].clock_hz, codecs[i].channels);
}

/* Frames [from, to) are the reference from `sample` on. */
static void same(const struct fx_result *r, const struct sp_party *p, uint32_t channel,
                 int64_t from, int64_t count, int64_t sample)
{
    cr_assert_eq(r->wav.shape.sample_hz, p->use.sample_hz);
    for (int64_t i = 0; i < count; i++) {
        int16_t is = sp_sample(r, channel, from + i);
        int16_t want = p->ref[sample + i];
        cr_assert_eq(is, want, "%s frame %lld: %d, not %d", p->name, (long long)(from + i), is,
                     want);
    }
}

/* Each codec alone, its packets cut by the bounds of blocks, their length changing: every sample is
 * the reference's. */
Test(voice, decoded_once_and_in_order)
{
    for (size_t i = 0; i < CODECS; i++) {
        struct call c;
        struct sp_party p;
        struct slr_pt_map rows[2];
        int64_t at = 0;
        begin(&c, 1);
        row_of(&rows[0], i);
        sp_row(&rows[1], 95, "PCMA", 8000, 1); /* so that no law is kept */
        uint32_t leg = sp_leg(&c.f, c.s, 0, rows, 2);
        sp_begin(&p, &rows[0], 7, 500);
        for (uint32_t k = 0; k < 4; k++) {
            sp_talk(&c.f, leg, &p, &at, at + 1200, codecs[i].ptime_ms[k]);
        }
        finish(&c, at);
        if (c.r.wav.shape.format == SLR_SAMPLE_S16) {
            same(&c.r, &p, 0, 0, p.sent_samples, 0);
        }
        char want[64];
        snprintf(want, sizeof want, "received 0+%lld", (long long)at);
        fx_assert_spans(&c.r, 0, want);
        sp_end(&p);
        done(&c);
    }
}

/* From every codec to every other in the middle of a call, and back: right speed and pitch. */
Test(voice, any_change_of_codec, .timeout = 120)
{
    for (size_t i = 0; i < CODECS; i++) {
        for (size_t k = 0; k < CODECS; k++) {
            struct call c;
            struct sp_party a, b;
            struct slr_pt_map rows[2];
            char what[64];
            int64_t at = 0;
            if (i == k) {
                continue;
            }
            begin(&c, 1);
            row_of(&rows[0], i);
            row_of(&rows[1], k);
            uint32_t leg = sp_leg(&c.f, c.s, 0, rows, 2);
            sp_begin(&a, &rows[0], 7, 500);
            sp_begin(&b, &rows[1], 7, 700);
            sp_talk(&c.f, leg, &a, &at, 1200, codecs[i].ptime_ms[0]);
            b.seq = a.seq;
            b.ts = a.use.clock_hz == b.use.clock_hz ? a.ts : b.ts;
            sp_talk(&c.f, leg, &b, &at, 2400, codecs[k].ptime_ms[0]);
            sp_restart(&a);
            a.seq = b.seq;
            a.ts = a.use.clock_hz == b.use.clock_hz ? b.ts : a.ts + a.use.clock_hz * 12 / 10;
            sp_talk(&c.f, leg, &a, &at, 3600, codecs[i].ptime_ms[0]);
            finish(&c, at);
            snprintf(what, sizeof what, "%s to %s", a.name, b.name);
            if (c.r.wav.shape.format == SLR_SAMPLE_S16) {
                sp_assert_tone(&c.r, 0, 500, 200, 1180, what);
                sp_assert_tone(&c.r, 0, 700, 1400, 2380, what);
                sp_assert_tone(&c.r, 0, 500, 2600, 3580, what);
            }
            cr_assert_eq(json_integer_value(json_object_get(c.r.ledger, "len_ticks")),
                         3600 * FX_MS);
            sp_end(&a);
            sp_end(&b);
            done(&c);
        }
    }
}

/* L16 at any rate: the file has the next usual one, and all there is keeps its pitch. */
Test(voice, odd_rates)
{
    static const uint32_t rate[][2] = {{8000, 8000},   {9600, 11025},  {11025, 11025},
                                       {15000, 16000}, {22050, 22050}, {30000, 32000},
                                       {44100, 44100}, {48000, 48000}};
    for (size_t i = 0; i < sizeof rate / sizeof rate[0]; i++) {
        struct call c;
        struct sp_party p;
        struct slr_pt_map row;
        int64_t at = 0;
        begin(&c, 1);
        sp_row(&row, 96, "L16", rate[i][0], 1);
        uint32_t leg = sp_leg(&c.f, c.s, 0, &row, 1);
        sp_begin(&p, &row, 7, 500);
        sp_talk(&c.f, leg, &p, &at, 1600, 40);
        finish(&c, at);
        cr_assert_eq(c.r.wav.shape.sample_hz, rate[i][1]);
        sp_assert_tone(&c.r, 0, 500, 100, 1500, "L16");
        sp_end(&p);
        done(&c);
    }
}

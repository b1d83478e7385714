/* Sounds that are made on request: tones of telephone events, comfort noise. */
#include <math.h>

#include "tests/engine/outcome.h"

#define SSRC 0x50f7u

struct call {
    struct fx f;
    struct slr_session *s;
    char id[SLR_ID_SIZE];
    uint32_t leg;
    struct fx_result r;
};

static void begin(struct call *c)
{
    fx_open(&c->f);
    c->s = fx_session(&c->f, 1);
    memcpy(c->id, c->s->id, sizeof c->id);
    c->leg = fx_leg(&c->f, c->s, 0, 8);
}

static void feed(struct call *c, int64_t at_ms, struct fx_packet p)
{
    enum slr_verdict v = fx_rtp(&c->f, c->leg, at_ms, p);
    cr_assert(v == SLR_VERDICT_TAKEN || v == SLR_VERDICT_EVENT || v == SLR_VERDICT_COMFORT, "%d",
              (int)v);
    fx_write(&c->f, at_ms);
}

static void audio(struct call *c, uint32_t from, uint32_t to, uint32_t seq_less)
{
    for (uint32_t k = from; k < to; k++) {
        feed(c, k * 20, fx_audio(SSRC, k, (uint16_t)(100 - seq_less), 5000));
    }
}

static double power(const struct call *c, int64_t from_ms, int64_t to_ms)
{
    double sum = 0;
    for (int64_t i = from_ms * 8; i < to_ms * 8; i++) {
        double x = slr_g711_alaw_to_s16(fx_byte(&c->r, 0, i));
        sum += x * x;
    }
    return sqrt(sum / (double)(to_ms - from_ms) / 8);
}

static void finish(struct call *c, int64_t at_ms)
{
    fx_end(&c->f, c->s, at_ms);
    fx_result(&c->f, c->id, &c->r);
}

static void done(struct call *c)
{
    fx_result_free(&c->r);
    fx_close(&c->f);
}

/* A digit across the bound of a block, told by many packets. */
static void digit(struct call *c, bool tones, enum slr_digit_policy policy)
{
    begin(c);
    c->f.writer.event_tones = tones;
    c->s->digit_policy = (uint8_t)policy;
    audio(c, 0, 22, 0);
    for (uint32_t k = 22; k < 30; k++) {
        struct fx_packet p = fx_event(SSRC, (uint16_t)(100 + k), 5000 + 22 * 160, 5,
                                      (uint16_t)((k - 21) * 160), k == 29);
        feed(c, k * 20, p);
    }
    audio(c, 30, 100, 0);
    finish(c, 2000);
    fx_assert_spans(&c->r, 0, "received 0+440, event 440+160, received 600+1400");
    fx_assert_audio(&c->r, 0, 0, 440 * 8, SSRC, 0);
    fx_assert_audio(&c->r, 0, 600 * 8, 1400 * 8, SSRC, 600 * 8);
}

Test(render_sounds, an_event_is_a_tone)
{
    struct call c;
    digit(&c, true, SLR_DIGITS_KEEP);
    cr_assert_gt(power(&c, 442, 598), 5000);
    for (int64_t ms = 442; ms < 598; ms += 12) {
        cr_assert_gt(power(&c, ms, ms + 12), 4000, "at %lld ms", (long long)ms);
    }
    done(&c);
}

Test(render_sounds, an_event_is_silent_unless_asked_for)
{
    struct call c;
    digit(&c, false, SLR_DIGITS_KEEP);
    fx_assert_silence(&c.r, 0, 440 * 8, 160 * 8);
    done(&c);
}

Test(render_sounds, no_tone_tells_a_masked_digit)
{
    struct call c;
    digit(&c, true, SLR_DIGITS_MASK);
    fx_assert_silence(&c.r, 0, 440 * 8, 160 * 8);
    done(&c);
    digit(&c, true, SLR_DIGITS_DROP);
    fx_assert_silence(&c.r, 0, 440 * 8, 160 * 8);
    done(&c);
}

/* Comfort noise payload at 440 ms, speech again at 900. */
static void talk_pause(struct call *c, bool noise)
{
    begin(c);
    c->f.writer.comfort_noise = noise;
    audio(c, 0, 22, 0);
    struct fx_packet p = {.pt = 13, .seq = 122, .ts = 5000 + 22 * 160, .ssrc = SSRC};
    p.at[0] = 40; /* -40 dBov */
    p.len_bytes = 1;
    feed(c, 440, p);
    audio(c, 45, 100, 22);
    finish(c, 2000);
    fx_assert_spans(&c->r, 0, "received 0+440, comfort 440+460, received 900+1100");
    fx_assert_audio(&c->r, 0, 0, 440 * 8, SSRC, 0);
    fx_assert_audio(&c->r, 0, 900 * 8, 1100 * 8, SSRC, 900 * 8);
}

Test(render_sounds, comfort_noise_is_silent_unless_asked_for)
{
    struct call c;
    talk_pause(&c, false);
    fx_assert_silence(&c.r, 0, 440 * 8, 460 * 8);
    done(&c);
}

Test(render_sounds, comfort_noise_fills_the_pause)
{
    struct call c;
    talk_pause(&c, true);
    for (int64_t ms = 440; ms < 900; ms += 20) {
        double is = power(&c, ms, ms + 20); /* 327 is -40 dB of full scale */
        cr_assert(is > 200 && is < 500, "at %lld ms: %.0f", (long long)ms, is);
    }
    done(&c);
}

/* Nothing follows: no noise pretends that the leg is alive. */
Test(render_sounds, comfort_noise_hides_no_dead_leg)
{
    struct call c;
    begin(&c);
    c.f.writer.comfort_noise = true;
    audio(&c, 0, 22, 0);
    struct fx_packet p = {.pt = 13, .seq = 122, .ts = 5000 + 22 * 160, .ssrc = SSRC};
    p.at[0] = 40;
    p.len_bytes = 1;
    feed(&c, 440, p);
    fx_write(&c.f, 3000);
    finish(&c, 4000);
    fx_assert_silence(&c.r, 0, 440 * 8, 3560 * 8);
    done(&c);
}

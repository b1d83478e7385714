/* Levels of signals whose level is known; frames run over the borders of what is put in. */
#include <criterion/criterion.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "codecs/codec.h"
#include "engine/meter.h"

#define HZ 8000u
#define SECOND HZ

static void near(double got, double want, double margin, const char *what)
{
    cr_assert(fabs(got - want) <= margin, "%s: %.3f, not %.3f", what, got, want);
}

static void tone(int16_t *pcm, uint32_t samples, double amplitude)
{
    for (uint32_t i = 0; i < samples; i++) {
        pcm[i] = (int16_t)lrint(amplitude * sin(6.283185307179586 * 400 * i / HZ));
    }
}

Test(meter, a_tone)
{
    static int16_t pcm[SECOND];
    struct slr_meter m = {0};
    struct slr_level l;
    slr_meter_level(&m, &l);
    cr_assert_not(l.known);
    tone(pcm, SECOND, 3276.8); /* peak -20 dBov, RMS 3.01 dB below it */
    cr_assert(slr_meter_put(&m, pcm, SECOND, HZ));
    slr_meter_level(&m, &l);
    cr_assert(l.known);
    near(l.peak_dbov, -20, 0.01, "peak");
    near(l.rms_dbov, -23.01, 0.5, "RMS, within half a bin");
    near(l.active_dbov, -23.01, 0.5, "active level");
    near(l.silence_pct, 0, 0, "silence");
    near(l.dead_pct, 0, 0, "digital silence");
    near(l.clipped_pct, 0, 0, "clipped");
    near(l.dc_pct, 0, 0.01, "offset");
    cr_assert_eq(m.frames, 50u);
}

Test(meter, speech_and_pauses)
{
    static int16_t pcm[SECOND];
    static int16_t quiet[SECOND];
    struct slr_meter m = {0};
    struct slr_level l;
    tone(pcm, SECOND, 3276.8);
    tone(quiet, SECOND, 20); /* -67 dBov: noise of a line, not dead */
    (void)slr_meter_put(&m, pcm, SECOND, HZ);
    for (int i = 0; i < 3; i++) {
        cr_assert(slr_meter_put(&m, quiet, SECOND, HZ));
    }
    slr_meter_level(&m, &l);
    near(l.silence_pct, 75, 1e-9, "silence");
    near(l.active_dbov, -23.01, 0.5, "active level leaves pauses out");
    near(l.rms_dbov, -29.03, 0.5, "RMS does not");
    near(l.dead_pct, 0, 0, "digital silence");
}

Test(meter, digital_silence_of_every_law_is_dead)
{
    static int16_t pcm[SECOND];
    struct slr_level l;
    const int16_t value[] = {0, slr_g711_alaw_to_s16(0xd5), slr_g711_ulaw_to_s16(0xff), -1000};
    for (size_t k = 0; k < sizeof value / sizeof value[0]; k++) {
        struct slr_meter m = {0};
        for (uint32_t i = 0; i < SECOND; i++) {
            pcm[i] = value[k];
        }
        cr_assert_not(slr_meter_put(&m, pcm, SECOND, HZ), "%d", value[k]);
        slr_meter_level(&m, &l);
        near(l.dead_pct, 100, 0, "dead");
        near(l.dc_pct, value[k] / 327.68, 1e-6, "offset");
    }
    /* A-law's two smallest values in turn are its silence as well */
    struct slr_meter m = {0};
    for (uint32_t i = 0; i < SECOND; i++) {
        pcm[i] = slr_g711_alaw_to_s16(i % 2 ? 0xd5 : 0x55);
    }
    cr_assert_not(slr_meter_put(&m, pcm, SECOND, HZ));
    pcm[100] = 40;
    cr_assert(slr_meter_put(&m, pcm, SECOND, HZ), "one sample brings it to life");
    /* what AMR-WB at 6.60 kbit/s makes of zeros, at its worst */
    for (uint32_t i = 0; i < SECOND; i++) {
        pcm[i] = i % 2 ? 14 : -14;
    }
    cr_assert_not(slr_meter_put(&m, pcm, SECOND, HZ));
}

Test(meter, clipping)
{
    static int16_t pcm[SECOND];
    const int16_t most[] = {32767, -32768, slr_g711_alaw_to_s16(0xaa), slr_g711_ulaw_to_s16(0x80)};
    for (size_t k = 0; k < sizeof most / sizeof most[0]; k++) {
        struct slr_meter m = {0};
        struct slr_level l;
        tone(pcm, SECOND, 3000);
        for (uint32_t i = 0; i < SECOND / 100; i++) {
            pcm[i * 100] = most[k];
        }
        (void)slr_meter_put(&m, pcm, SECOND, HZ);
        slr_meter_level(&m, &l);
        near(l.clipped_pct, 1, 1e-9, "clipped");
        cr_assert(l.peak_dbov <= 0 && l.peak_dbov > -0.2);
    }
}

Test(meter, pieces_of_any_size_come_to_the_same)
{
    static int16_t pcm[SECOND];
    struct slr_meter whole = {0};
    tone(pcm, SECOND, 12000);
    (void)slr_meter_put(&whole, pcm, SECOND, HZ);
    for (uint32_t piece = 1; piece < 700; piece += 33) {
        struct slr_meter m = {0};
        for (uint32_t at = 0; at < SECOND; at += piece) {
            (void)slr_meter_put(&m, pcm + at, SECOND - at < piece ? SECOND - at : piece, HZ);
        }
        cr_assert_eq(memcmp(&m, &whole, sizeof m), 0, "pieces of %u", piece);
    }
}

/* Silence that went through a codec and back is dead, whatever the codec leaves of it. */
Test(meter, silence_through_each_codec_is_dead)
{
    const struct slr_codec *const *all = slr_codec_all();
    uint32_t gone_through = 0;
    for (size_t i = 0; all[i]; i++) {
        static max_align_t encoder[32768];
        static max_align_t decoder[32768];
        static int16_t zeros[2 * SLR_CODEC_MAX_SAMPLES];
        static int16_t pcm[2 * SLR_CODEC_MAX_SAMPLES];
        struct slr_codec_params params = {all[i]->clock_hz ? all[i]->clock_hz : 16000, 1, NULL};
        struct slr_codec_use use;
        struct slr_meter m = {0};
        bool alive = false;
        if (!all[i]->encode || slr_codec_bind(all[i], &params, &use) != SLR_OK) {
            continue;
        }
        cr_assert_leq(all[i]->encoder_bytes, sizeof encoder);
        cr_assert_leq(all[i]->decoder_bytes, sizeof decoder);
        cr_assert(!all[i]->encoder_init || all[i]->encoder_init(encoder, &use, 0) == SLR_OK);
        cr_assert(!all[i]->decoder_init || all[i]->decoder_init(decoder, &use) == SLR_OK);
        for (int k = 0; k < 100; k++) {
            uint8_t payload[4096];
            size_t n = 0;
            uint32_t samples = 0;
            cr_assert_eq(all[i]->encode(encoder, &use, zeros, use.sample_hz / 50, payload,
                                        sizeof payload, &n),
                         SLR_OK);
            cr_assert_eq(all[i]->decode(decoder, &use, slr_slice_of(payload, n), pcm,
                                        SLR_CODEC_MAX_SAMPLES, &samples),
                         SLR_OK, "%s", all[i]->name);
            alive = slr_meter_put(&m, pcm, samples * use.channels, use.sample_hz);
            cr_assert(k < 25 || !alive, "%s is alive: %d to %d", all[i]->name, m.frame_min,
                      m.frame_max);
        }
        gone_through++;
        if (all[i]->encoder_fini) {
            all[i]->encoder_fini(encoder);
        }
        if (all[i]->decoder_fini) {
            all[i]->decoder_fini(decoder);
        }
    }
    cr_assert_geq(gone_through, 7u);
}

/* Frames of any power fall into the bin that their level has, at its edges too. */
Test(meter, bins_are_those_of_the_logarithm)
{
    for (uint32_t k = 0; k < 40000; k++) {
        int16_t pcm[2] = {(int16_t)(k % 32769 - 32768), (int16_t)(k / 3)};
        struct slr_meter m = {0};
        if (k < 200) { /* two samples at a time are a frame */
            pcm[0] = (int16_t)lrint(32768 * pow(10, -(double)k / 2 / 20));
            pcm[1] = pcm[0];
        }
        (void)slr_meter_put(&m, pcm, 2, 100);
        cr_assert_eq(m.frames, 1u);
        double power = ((double)pcm[0] * pcm[0] + (double)pcm[1] * pcm[1]) / 2;
        double level = power > 0 ? 10 * log10(power / (32768.0 * 32768.0)) : -100;
        uint32_t bin = level >= 0 ? 0 : (uint32_t)-level;
        bin = bin < SLR_METER_BINS ? bin : SLR_METER_BINS - 1;
        cr_assert_eq(m.bin[bin], 1u, "%d %d: %f", pcm[0], pcm[1], level);
    }
}

/* The table that it uses instead. */
Test(meter, edges_of_the_bins)
{
    static const double edge[] = {
#define EDGE(power) power,
#include "engine/meter_edges.def"
#undef EDGE
    };
    cr_assert_eq(sizeof edge / sizeof edge[0], SLR_METER_BINS);
    for (uint32_t n = 0; n < SLR_METER_BINS; n++) {
        double want = 32768.0 * 32768.0 * pow(10, -(double)n / 10);
        cr_assert(fabs(edge[n] - want) < want * 1e-12, "%u", n);
    }
}

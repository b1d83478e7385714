/*
 * What single codecs do in losses and silence: GSM's muting, G.729's and AMR's noise after a
 * silence descriptor, Opus' redundancy and DTX, AMR-WB speech by another encoder.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <opus/opus.h>
#include <stdlib.h>
#include <vo-amrwbenc/enc_if.h>

#include "codecs/amr_payload.h"

#define PI 3.14159265358979323846

struct peer {
    const struct slr_codec *codec;
    struct slr_codec_use use;
    void *state;
};

static struct peer peer_of(const struct slr_codec *c, const char *fmtp)
{
    struct peer p = {.codec = c};
    struct slr_codec_params params = {
        .clock_hz = c->clock_hz, .channels = c->channels, .fmtp = fmtp};
    cr_assert_eq(slr_codec_bind(c, &params, &p.use), SLR_OK);
    cr_assert_eq(posix_memalign(&p.state, 16, c->decoder_bytes), 0);
    cr_assert_eq(c->decoder_init(p.state, &p.use), SLR_OK);
    return p;
}

static void peer_free(struct peer *p)
{
    p->codec->decoder_fini(p->state);
    free(p->state);
}

static uint32_t decode(struct peer *p, const uint8_t *payload, size_t len_bytes, int16_t *out)
{
    uint32_t n = 0;
    cr_assert_eq(p->codec->decode(p->state, &p->use, slr_slice_of(payload, len_bytes), out,
                                  SLR_CODEC_MAX_SAMPLES, &n),
                 SLR_OK);
    return n;
}

static double rms(const int16_t *at, uint32_t samples)
{
    double power = 0;
    for (uint32_t i = 0; i < samples; i++) {
        power += (double)at[i] * at[i];
    }
    return sqrt(power / samples);
}

/* Something like a voice: a pitch with harmonics that moves slowly. */
static void voice(int16_t *out, uint32_t samples, uint32_t hz, uint32_t at)
{
    for (uint32_t i = 0; i < samples; i++) {
        double t = (double)(at + i) / hz, v = 0, pitch = 140 * t + 10 * sin(2 * PI * 0.7 * t);
        for (int h = 1; h <= 8; h++) {
            v += sin(2 * PI * h * pitch) / h;
        }
        out[i] = (int16_t)lrint(5000 * v);
    }
}

/* GSM 06.11: the first substitute repeats, then it fades, after 320 ms there is silence. */
Test(lossy, gsm_mutes)
{
    struct peer p = peer_of(&slr_codec_gsm, NULL);
    int16_t in[160], out[SLR_CODEC_MAX_SAMPLES], lost[160 * 20];
    uint8_t payload[33];
    size_t len = 0;
    void *enc = malloc(slr_codec_gsm.encoder_bytes);
    cr_assert_eq(slr_codec_gsm.encoder_init(enc, &p.use, 0), SLR_OK);
    cr_assert_eq(slr_codec_gsm.conceal(p.state, &p.use, lost, 160), SLR_OK);
    cr_assert_eq(rms(lost, 160), 0.0, "nothing was heard yet");
    for (uint32_t i = 0; i < 20; i++) {
        voice(in, 160, 8000, i * 160);
        cr_assert_eq(slr_codec_gsm.encode(enc, &p.use, in, 160, payload, 33, &len), SLR_OK);
        (void)decode(&p, payload, len, out);
    }
    cr_assert_eq(slr_codec_gsm.conceal(p.state, &p.use, lost, 160 * 20), SLR_OK);
    double before = rms(out, 160);
    cr_assert(rms(lost, 160) > before / 2 && rms(lost, 160) < before * 2);
    cr_assert_lt(rms(lost + 160 * 10, 160), before / 3);
    cr_assert_eq(rms(lost + 160 * 16, 160 * 4), 0.0);
    slr_codec_gsm.encoder_fini(enc);
    free(enc);
    peer_free(&p);
}

#ifdef SLR_HAVE_G729
/* Annex B: speech, a silence descriptor in its last place, then frames that are not sent. */
Test(lossy, g729_noise_after_a_descriptor)
{
    struct peer p = peer_of(&slr_codec_g729, NULL);
    struct slr_payload_info info;
    int16_t out[SLR_CODEC_MAX_SAMPLES];
    uint8_t payload[22] = {0};
    payload[20] = 0x35; /* some spectrum, */
    payload[21] = 0x50; /* some energy */
    struct slr_slice sid = slr_slice_of(payload + 20, 2), both = slr_slice_of(payload, 22);
    cr_assert_eq(slr_codec_g729.inspect(&p.use, both, &info), SLR_OK);
    cr_assert(info.samples == 240 && !info.comfort);
    cr_assert_eq(slr_codec_g729.inspect(&p.use, sid, &info), SLR_OK);
    cr_assert(info.samples == 80 && info.comfort);
    cr_assert_eq(decode(&p, payload, 22, out), 240u);
    for (int i = 0; i < 20; i++) {
        cr_assert_eq(slr_codec_g729.conceal(p.state, &p.use, out, 160), SLR_OK);
    }
    double one = rms(out, 160);
    for (int i = 0; i < 20; i++) {
        cr_assert_eq(slr_codec_g729.conceal(p.state, &p.use, out, 160), SLR_OK);
    }
    double two = rms(out, 160);
    cr_assert(one > 0.5 && two > one / 2 && two < one * 2, "%f, later %f: it goes on", one, two);
    peer_free(&p);
}
#endif

static OpusEncoder *opus_peer(int hz, int channels, int bps)
{
    int err = 0;
    OpusEncoder *e = opus_encoder_create(hz, channels, OPUS_APPLICATION_VOIP, &err);
    cr_assert_eq(err, OPUS_OK);
    opus_encoder_ctl(e, OPUS_SET_BITRATE(bps));
    opus_encoder_ctl(e, OPUS_SET_SIGNAL(OPUS_SIGNAL_VOICE));
    return e;
}

/* How far two stretches are apart, relative to the first. */
static double distance(const int16_t *a, const int16_t *b, uint32_t samples)
{
    double error = 0;
    for (uint32_t i = 0; i < samples; i++) {
        error += (double)(a[i] - b[i]) * (a[i] - b[i]);
    }
    return sqrt(error / samples) / (rms(a, samples) + 1);
}

/* Each tenth packet is lost. What its successor knows of it is nearer to the truth than a guess. */
Test(lossy, opus_recovers_from_the_next_packet)
{
    OpusEncoder *e = opus_peer(48000, 1, 24000);
    opus_encoder_ctl(e, OPUS_SET_INBAND_FEC(1));
    opus_encoder_ctl(e, OPUS_SET_PACKET_LOSS_PERC(20));
    struct peer whole = peer_of(&slr_codec_opus, NULL), guess = peer_of(&slr_codec_opus, NULL),
                knows = peer_of(&slr_codec_opus, NULL);
    static int16_t in[960], truth[960], guessed[960], known[960], out[SLR_CODEC_MAX_SAMPLES];
    uint8_t packet[2][1500];
    int len[2] = {0};
    double guess_error = 0, known_error = 0;
    uint32_t recovered = 0;
    for (uint32_t i = 0; i < 200; i++) {
        uint32_t now = i & 1;
        voice(in, 960, 48000, i * 960);
        len[now] = opus_encode(e, in, 960, packet[now], 1500);
        cr_assert_gt(len[now], 2);
        if (i % 10 == 9) {
            (void)decode(&whole, packet[now], (size_t)len[now], truth);
            continue; /* lost to the other two */
        }
        if (i > 20 && i % 10 == 0) {
            struct slr_slice next = slr_slice_of(packet[now], (size_t)len[now]);
            cr_assert_eq(slr_codec_opus.conceal(guess.state, &guess.use, guessed, 960), SLR_OK);
            enum slr_err err = slr_codec_opus.recover(knows.state, &knows.use, next, known, 960);
            if (err == SLR_OK) {
                recovered++;
                guess_error += distance(truth, guessed, 960);
                known_error += distance(truth, known, 960);
            } else {
                cr_assert_eq(slr_codec_opus.conceal(knows.state, &knows.use, known, 960), SLR_OK);
            }
        }
        (void)decode(&whole, packet[now], (size_t)len[now], out);
        (void)decode(&guess, packet[now], (size_t)len[now], out);
        (void)decode(&knows, packet[now], (size_t)len[now], out);
    }
    cr_assert_geq(recovered, 10u);
    cr_assert_lt(known_error, guess_error * 0.7, "%f of %f", known_error, guess_error);
    opus_encoder_destroy(e);
    peer_free(&whole);
    peer_free(&guess);
    peer_free(&knows);
}

/* Without redundancy in it, or not of a speech mode, the next packet is no help. */
Test(lossy, opus_packets_without_a_copy)
{
    struct peer p = peer_of(&slr_codec_opus, NULL);
    int16_t in[960], out[1000];
    uint8_t packet[1500];
    out[0] = 0x5a5a;
    for (int celt = 0; celt < 2; celt++) {
        OpusEncoder *e = opus_peer(48000, 1, celt ? 96000 : 20000);
        if (celt) {
            opus_encoder_ctl(e, OPUS_SET_SIGNAL(OPUS_SIGNAL_MUSIC));
        }
        for (uint32_t i = 0; i < 10; i++) {
            voice(in, 960, 48000, i * 960);
            int len = opus_encode(e, in, 960, packet, 1500);
            struct slr_slice next = slr_slice_of(packet, (size_t)len);
            cr_assert_eq(slr_codec_opus.recover(p.state, &p.use, next, out, 960), SLR_FORMAT);
        }
        opus_encoder_destroy(e);
    }
    cr_assert_eq(out[0], 0x5a5a);
    cr_assert_eq(slr_codec_opus.recover(p.state, &p.use, slr_slice_of(NULL, 0), out, 960),
                 SLR_FORMAT);
    peer_free(&p);
}

/* More and less than the packet's own 20 ms. */
Test(lossy, opus_recovers_any_length)
{
    OpusEncoder *e = opus_peer(16000, 1, 24000);
    opus_encoder_ctl(e, OPUS_SET_INBAND_FEC(1));
    opus_encoder_ctl(e, OPUS_SET_PACKET_LOSS_PERC(30));
    struct peer p = peer_of(&slr_codec_opus, NULL);
    static int16_t in[320], out[SLR_CODEC_MAX_SAMPLES + 1];
    uint8_t packet[1500];
    uint32_t tried = 0;
    for (uint32_t i = 0; i < 300; i++) {
        voice(in, 320, 16000, i * 320);
        int len = opus_encode(e, in, 320, packet, 1500);
        if (i > 20 && i % 8 == 0) {
            static const uint32_t lengths[] = {1, 480, 960, 1440, SLR_CODEC_MAX_SAMPLES};
            uint32_t samples = lengths[tried % 5];
            out[samples] = 0x5a5a;
            enum slr_err err = slr_codec_opus.recover(
                p.state, &p.use, slr_slice_of(packet, (size_t)len), out, samples);
            cr_assert_eq(out[samples], 0x5a5a);
            tried += err == SLR_OK;
        }
        (void)decode(&p, packet, (size_t)len, out);
    }
    cr_assert_geq(tried, 5u);
    opus_encoder_destroy(e);
    peer_free(&p);
}

/* DTX and the forms of a packet: durations and what is comfort. */
Test(lossy, opus_packets)
{
    static const struct {
        uint8_t bytes[6];
        size_t len;
        enum slr_err err;
        uint32_t samples;
        bool comfort;
    } row[] = {
        {{0}, 0, SLR_OK, 0, true},
        {{0x08}, 1, SLR_OK, 960, true},        /* SILK 20 ms, DTX */
        {{0x18, 0x00}, 2, SLR_OK, 2880, true}, /* SILK 60 ms */
        {{0x08, 1, 2, 3}, 4, SLR_OK, 960, false},
        {{0xe0, 1, 2, 3}, 4, SLR_OK, 120, false},     /* CELT 2.5 ms */
        {{0x09, 1, 2, 3, 4}, 5, SLR_OK, 1920, false}, /* two frames of equal size */
        {{0x09, 1, 2, 3}, 4, SLR_FORMAT, 0, false},   /* of an odd number of bytes */
        {{0x0a, 1, 2, 3, 4}, 5, SLR_OK, 1920, false}, /* of different sizes */
        {{0x0a, 200, 2}, 3, SLR_FORMAT, 0, false},
        {{0x0b, 0x06, 1, 2, 3, 4}, 6, SLR_FORMAT, 0, false}, /* six of the rest, which is four */
        {{0x0b, 0x04, 1, 2, 3, 4}, 6, SLR_OK, 3840, true},   /* a byte each */
        {{0x0b, 0x00}, 2, SLR_FORMAT, 0, false},             /* no frame */
        {{0x0b, 0x07}, 2, SLR_FORMAT, 0, false},             /* 140 ms */
        {{0x1b, 0x02}, 2, SLR_OK, 5760, true},               /* 120 ms */
    };
    struct peer p = peer_of(&slr_codec_opus, NULL);
    static int16_t out[SLR_CODEC_MAX_SAMPLES];
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct slr_payload_info info = {0};
        struct slr_slice s = slr_slice_of(row[i].bytes, row[i].len);
        uint32_t n = 0;
        cr_assert_eq(slr_codec_opus.inspect(&p.use, s, &info), row[i].err, "row %zu", i);
        cr_assert_eq(slr_codec_opus.decode(p.state, &p.use, s, out, SLR_CODEC_MAX_SAMPLES, &n),
                     row[i].err, "row %zu", i);
        if (row[i].err == SLR_OK) {
            cr_assert(info.samples == row[i].samples && n == row[i].samples, "row %zu: %u", i, n);
            cr_assert_eq(info.comfort, row[i].comfort, "row %zu", i);
        }
    }
    peer_free(&p);
}

/* A stereo stream comes out as one channel with both parties in it. */
Test(lossy, opus_stereo_is_mixed_down)
{
    OpusEncoder *e = opus_peer(48000, 2, 96000);
    struct peer p = peer_of(&slr_codec_opus, NULL);
    int16_t in[1920], out[SLR_CODEC_MAX_SAMPLES];
    uint8_t packet[1500];
    double left = 0, right = 0, count = 0;
    for (uint32_t i = 0; i < 50; i++) {
        double re[2] = {0}, im[2] = {0};
        for (uint32_t k = 0; k < 960; k++) {
            double t = (i * 960 + k) / 48000.0;
            in[2 * k] = (int16_t)(6000 * sin(2 * PI * 500 * t));
            in[2 * k + 1] = (int16_t)(6000 * sin(2 * PI * 1200 * t));
        }
        int len = opus_encode(e, in, 960, packet, 1500);
        cr_assert_eq(decode(&p, packet, (size_t)len, out), 960u);
        for (uint32_t k = 0; i > 10 && k < 960; k++) {
            for (int c = 0; c < 2; c++) {
                double phase = 2 * PI * (c ? 1200 : 500) * k / 48000.0;
                re[c] += out[k] * cos(phase) / 480;
                im[c] += out[k] * sin(phase) / 480;
            }
        }
        left += hypot(re[0], im[0]);
        right += hypot(re[1], im[1]);
        count += i > 10;
    }
    cr_assert(left / count > 2000 && right / count > 2000, "%f %f", left / count, right / count);
    opus_encoder_destroy(e);
    peer_free(&p);
}

/* AMR-WB by VisualOn's encoder: speech as loud as it went in, bad frames concealed, silence
 * descriptors and what is not sent as noise. */
Test(lossy, amr_wide)
{
    struct peer p = peer_of(&slr_codec_amrwb, "octet-align=1");
    void *e = E_IF_init();
    int16_t in[320], out[SLR_CODEC_MAX_SAMPLES];
    uint8_t frame[SLR_AMR_FRAME_BYTES], payload[100];
    double speech = 0, said = 0, noise = 0, bad = 0;
    uint32_t sids = 0, silent = 0, seed = 1;
    for (uint32_t i = 0; i < 160; i++) {
        struct slr_payload_info info;
        size_t len = 0;
        voice(in, 320, 16000, i * 320);
        for (uint32_t k = 0; k < 320 && i >= 60; k++) {
            seed = seed * 1664525u + 1013904223u;
            in[k] = (int16_t)((int)(seed >> 24) - 128);
        }
        memset(frame, 0, sizeof frame);
        E_IF_encode(e, i < 30 ? 8 : 2, in, frame, 1);
        if (i == 40) {
            frame[0] &= (uint8_t)~4u; /* damaged on the air */
        }
        cr_assert_eq(slr_amr_write(&slr_amr_wide, &p.use, frame, 1, payload, 100, &len), SLR_OK);
        struct slr_slice s = slr_slice_of(payload, len);
        cr_assert_eq(slr_codec_amrwb.inspect(&p.use, s, &info), SLR_OK);
        cr_assert_eq(decode(&p, payload, len, out), 320u);
        said += i >= 20 && i < 40 ? rms(in, 320) : 0;
        speech += i >= 20 && i < 40 ? rms(out, 320) : 0;
        bad += i == 40 ? rms(out, 320) : 0;
        sids += info.comfort && frame[0] >> 3 == 9;
        silent += info.comfort && i >= 140;
        noise += info.comfort && i >= 140 ? rms(out, 320) : 0;
    }
    cr_assert(speech > said * 0.8 && speech < said * 1.25, "%f of %f", speech / 20, said / 20);
    cr_assert_gt(bad, speech / 20 / 3, "a bad frame is concealed, not silent");
    cr_assert(sids > 2 && silent > 5, "%u %u", sids, silent);
    noise /= silent;
    cr_assert(noise > 15 && noise < 150, "%f, 74 went in", noise);
    E_IF_exit(e);
    peer_free(&p);
}

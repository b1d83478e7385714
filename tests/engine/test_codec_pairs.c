/*
 * Each codec after each other one in a running leg, by payload type and by a new answer: what is
 * heard before and after the change has its pitch and its loudness, and the time is exact.
 *
 * A tone of 600 Hz for two seconds in one codec, then of 1000 Hz for two seconds in the other.
 */
#include <math.h>
#include <vo-amrwbenc/enc_if.h>

#include "codecs/amr_payload.h"
#include "tests/engine/outcome.h"

#define PI 3.14159265358979323846
#define SSRC 0x5eedu
#define PACKETS 100u
#define PACKET_BYTES 2000u
#define BEFORE_HZ 600.0
#define AFTER_HZ 1000.0
#define AMPLITUDE 8000.0

struct line {
    const char *name;
    uint32_t clock_hz, channels;
    const char *fmtp;
};

static const struct line lines[] = {
    {"PCMU", 8000, 1, ""},
    {"PCMA", 8000, 1, ""},
    {"GSM", 8000, 1, ""},
    {"G722", 8000, 1, ""},
    {"L16", 8000, 1, ""},
    {"L16", 16000, 2, ""},
    {"L16", 44100, 1, ""},
#ifdef SLR_HAVE_G729
    {"G729", 8000, 1, "annexb=no"},
#endif
    {"OPUS", 48000, 2, "useinbandfec=1"},
    {"AMR", 8000, 1, ""},
    {"AMR", 8000, 1, "octet-align=1"},
    {"AMR-WB", 16000, 1, "octet-align=1"},
};
#define LINES (sizeof lines / sizeof lines[0])

/* Two seconds of a tone in a codec, made once. */
struct tone {
    uint8_t at[PACKETS][PACKET_BYTES];
    size_t len_bytes[PACKETS];
};

static struct tone *tones[LINES][2];

static struct slr_codec_use use_of(const struct line *l)
{
    const struct slr_codec *c = slr_codec_by_name(l->name, l->clock_hz);
    struct slr_codec_params p = {l->clock_hz, l->channels, l->fmtp};
    struct slr_codec_use use;
    cr_assert_not_null(c, "%s", l->name);
    cr_assert_eq(slr_codec_bind(c, &p, &use), SLR_OK, "%s", l->name);
    return use;
}

static void encode_wide(struct tone *t, uint32_t k, void *state, const struct slr_codec_use *use,
                        const int16_t *in)
{
    uint8_t frame[SLR_AMR_FRAME_BYTES] = {0};
    E_IF_encode(state, 8, in, frame, 0);
    cr_assert_eq(
        slr_amr_write(&slr_amr_wide, use, frame, 1, t->at[k], PACKET_BYTES, &t->len_bytes[k]),
        SLR_OK);
}

static struct tone *make_tone(const struct line *l, double hz)
{
    struct slr_codec_use use = use_of(l);
    const struct slr_codec *c = use.codec;
    struct tone *t = calloc(1, sizeof *t);
    void *state = NULL, *wide = c->encode ? NULL : E_IF_init();
    int16_t in[SLR_CODEC_MAX_SAMPLES * 2];
    uint32_t n = use.sample_hz / 50;
    cr_assert_not_null(t);
    cr_assert_eq(posix_memalign(&state, 16, c->encoder_bytes + 1), 0);
    cr_assert(!c->encoder_init || c->encoder_init(state, &use, 0) == SLR_OK);
    for (uint32_t k = 0; k < PACKETS; k++) {
        for (uint32_t i = 0; i < n * use.channels; i++) {
            double at = (double)(k * n + i / use.channels) / use.sample_hz;
            in[i] = (int16_t)lrint(AMPLITUDE * sin(2 * PI * hz * at));
        }
        if (wide) {
            encode_wide(t, k, wide, &use, in);
        } else {
            cr_assert_eq(c->encode(state, &use, in, n, t->at[k], PACKET_BYTES, &t->len_bytes[k]),
                         SLR_OK, "%s", l->name);
        }
    }
    if (c->encoder_fini) {
        c->encoder_fini(state);
    }
    if (wide) {
        E_IF_exit(wide);
    }
    free(state);
    return t;
}

static const struct tone *tone_of(size_t line, int after)
{
    if (!tones[line][after]) {
        tones[line][after] = make_tone(&lines[line], after ? AFTER_HZ : BEFORE_HZ);
    }
    return tones[line][after];
}

static void free_tones(void)
{
    for (size_t i = 0; i < LINES; i++) {
        free(tones[i][0]);
        free(tones[i][1]);
    }
}

static struct slr_pt_map row_of(uint8_t pt, const struct line *l)
{
    struct slr_pt_map row = {.pt = pt, .clock_hz = l->clock_hz, .channels = (uint8_t)l->channels};
    snprintf(row.name, sizeof row.name, "%s", l->name);
    snprintf(row.fmtp, sizeof row.fmtp, "%s", l->fmtp);
    return row;
}

static void answer(struct fx *f, uint32_t leg, const struct slr_pt_map *rows, uint32_t count)
{
    struct slr_leg *l = &f->e.state->leg[leg];
    cr_assert_eq(slr_leg_codecs_set(l, rows, count), SLR_OK);
    slr_leg_codecs_build(&f->e.codecs[leg], l);
}

struct send {
    uint16_t seq;
    uint32_t ts;
    int64_t at_ms;
};

static void send_tone(struct fx *f, uint32_t leg, uint8_t pt, size_t line, int after,
                      struct send *s)
{
    const struct tone *t = tone_of(line, after);
    for (uint32_t k = 0; k < PACKETS; k++) {
        struct slr_packet pkt = {.at = t->at[k], .len_bytes = (uint32_t)t->len_bytes[k]};
        struct slr_rtp rtp = {.pt = pt, .seq = s->seq++, .ts = s->ts, .ssrc = SSRC};
        rtp.payload = slr_slice_of(t->at[k], t->len_bytes[k]);
        pkt.arrival = fx_time(s->at_ms * SLR_NS_PER_MS);
        cr_assert_eq(slr_addr_parse(FX_PEER, &pkt.src), SLR_OK);
        fx_clock(f, s->at_ms);
        enum slr_verdict v = slr_placement_rtp(&f->worker.place, leg, &pkt, &rtp);
        cr_assert_eq(fx_kept(v), SLR_VERDICT_TAKEN, "%s packet %u: %d", lines[line].name, k,
                     (int)v);
        s->ts += lines[line].clock_hz / 50;
        s->at_ms += 20;
        if (k % 25 == 24) {
            fx_write(f, s->at_ms);
        }
    }
}

static double sample_of(const struct fx_result *r, uint32_t i)
{
    int16_t s;
    switch (r->wav.shape.format) {
    case SLR_SAMPLE_ALAW:
        return slr_g711_alaw_to_s16(r->data[i]);
    case SLR_SAMPLE_ULAW:
        return slr_g711_ulaw_to_s16(r->data[i]);
    case SLR_SAMPLE_S16:
        break;
    }
    memcpy(&s, r->data + 2 * i, 2);
    return s;
}

/* The second from `from_ms` on is a tone of that pitch, loudness and nothing else. */
static void check_tone(const struct fx_result *r, uint32_t from_ms, double hz, const char *what)
{
    double re = 0, im = 0, power = 0;
    uint32_t rate = r->wav.shape.sample_hz, from = rate / 1000 * from_ms;
    for (uint32_t i = from; i < from + rate; i++) {
        double v = sample_of(r, i), phase = 2 * PI * hz * i / rate;
        re += v * cos(phase);
        im += v * sin(phase);
        power += v * v;
    }
    double tone = 2 * (re * re + im * im) / ((double)rate * rate);
    double loud_db = 10 * log10(power / rate / (AMPLITUDE * AMPLITUDE / 2));
    cr_assert(fabs(loud_db) < 1.5, "%s: %f dB louder than it was sent", what, loud_db);
    cr_assert_gt(tone, 0.9 * power / rate, "%s: %f of it has %f Hz", what, tone * rate / power, hz);
}

static void check_pair(size_t a, size_t b, bool by_answer)
{
    struct fx f;
    struct fx_result r;
    char what[128], id[SLR_ID_SIZE], spans[4096];
    struct send send = {.seq = 65500, .ts = 0xffff0000u, .at_ms = 0};
    struct slr_pt_map rows[2] = {row_of(96, &lines[a]), row_of(97, &lines[b])};
    snprintf(what, sizeof what, "%s/%u%s then %s/%u%s %s", lines[a].name, lines[a].clock_hz,
             lines[a].fmtp, lines[b].name, lines[b].clock_hz, lines[b].fmtp,
             by_answer ? "by a new answer" : "by payload type");
    fx_open(&f);
    struct slr_session *s = fx_session(&f, 1);
    memcpy(id, s->id, sizeof id);
    uint32_t leg = fx_leg(&f, s, 0, 8);
    answer(&f, leg, rows, by_answer ? 1 : 2);
    send_tone(&f, leg, 96, a, 0, &send);
    if (by_answer) {
        rows[1].pt = 96; /* the same number means something else now */
        answer(&f, leg, &rows[1], 1);
    }
    send_tone(&f, leg, by_answer ? 96 : 97, b, 1, &send);
    fx_end(&f, s, 4000);
    fx_result(&f, id, &r);
    cr_assert_str_eq(fx_spans(&r, 0, spans), "received 0+4000", "%s: %s", what, spans);
    cr_assert_eq(r.wav.frames, 4u * r.wav.shape.sample_hz, "%s", what);
    check_tone(&r, 500, BEFORE_HZ, what);
    check_tone(&r, 2500, AFTER_HZ, what);
    fx_result_free(&r);
    fx_close(&f);
}

static void check_all(bool by_answer)
{
    for (size_t a = 0; a < LINES; a++) {
        for (size_t b = 0; b < LINES; b++) {
            if (a != b) {
                check_pair(a, b, by_answer);
            }
        }
    }
    free_tones();
}

Test(codec_pairs, by_payload_type)
{
    check_all(false);
}

Test(codec_pairs, by_a_new_answer)
{
    check_all(true);
}

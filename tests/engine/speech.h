/*
 * speech: parties that send tones through any codec that we have an encoder for, legs with any
 * payload types, and what their payload decodes to when it is decoded at once and in order. Only
 * for tests of the writer's path; see fixture.h.
 */
#ifndef SLR_TESTS_ENGINE_SPEECH_H
#define SLR_TESTS_ENGINE_SPEECH_H

#include <math.h>

#include "tests/engine/outcome.h"

#define SP_MAX_SAMPLES 5760u
#define SP_SECONDS 12u

/* One sender with one codec. */
struct sp_party {
    const char *name;
    uint8_t pt;
    uint32_t ssrc, ts;
    uint16_t seq;
    double tone_hz;
    struct slr_codec_use use;
    void *encoder, *decoder;
    int64_t sent_samples; /* at use.sample_hz */
    int16_t *ref;         /* what was sent, decoded in order; mono at use.sample_hz */
    uint8_t payload[4000];
    size_t len_bytes;
    uint32_t samples; /* of the payload */
};

static inline void sp_row(struct slr_pt_map *row, uint8_t pt, const char *name, uint32_t clock_hz,
                          uint8_t channels)
{
    memset(row, 0, sizeof *row);
    row->pt = pt;
    row->clock_hz = clock_hz;
    row->channels = channels;
    snprintf(row->name, sizeof row->name, "%s", name);
}

static inline uint32_t sp_leg(struct fx *f, struct slr_session *s, uint32_t channel,
                              const struct slr_pt_map *rows, uint32_t count)
{
    uint32_t slot = fx_leg(f, s, channel, 8);
    struct slr_leg *leg = &f->e.state->leg[slot];
    cr_assert_eq(slr_leg_codecs_set(leg, rows, count), SLR_OK);
    slr_leg_codecs_build(&f->e.codecs[slot], leg);
    return slot;
}

static inline void *sp_state(size_t bytes)
{
    void *at = aligned_alloc(16, (bytes + 31u) & ~(size_t)15u);
    cr_assert_not_null(at);
    memset(at, 0, bytes);
    return at;
}

static inline void sp_begin(struct sp_party *p, const struct slr_pt_map *row, uint32_t ssrc,
                            double tone_hz)
{
    struct slr_codec_params params = {row->clock_hz, row->channels, row->fmtp};
    const struct slr_codec *codec = slr_codec_by_name(row->name, row->clock_hz);
    memset(p, 0, sizeof *p);
    cr_assert_not_null(codec, "%s", row->name);
    cr_assert_eq(slr_codec_bind(codec, &params, &p->use), SLR_OK);
    p->name = codec->name;
    p->pt = row->pt;
    p->ssrc = ssrc;
    p->seq = 65500;
    p->ts = 0xffff0000u;
    p->tone_hz = tone_hz;
    p->encoder = sp_state(codec->encoder_bytes);
    p->decoder = sp_state(codec->decoder_bytes);
    if (codec->encoder_init) {
        cr_assert_eq(codec->encoder_init(p->encoder, &p->use, 0), SLR_OK);
    }
    if (codec->decoder_init) {
        cr_assert_eq(codec->decoder_init(p->decoder, &p->use), SLR_OK);
    }
    p->ref = calloc(p->use.sample_hz * SP_SECONDS + SP_MAX_SAMPLES * 2, sizeof *p->ref);
    cr_assert_not_null(p->ref);
}

static inline void sp_end(struct sp_party *p)
{
    if (p->use.codec->encoder_fini) {
        p->use.codec->encoder_fini(p->encoder);
    }
    if (p->use.codec->decoder_fini) {
        p->use.codec->decoder_fini(p->decoder);
    }
    free(p->encoder);
    free(p->decoder);
    free(p->ref);
}

/* Its codec begins anew, as where a call's codec changes and changes back. */
static inline void sp_restart(struct sp_party *p)
{
    const struct slr_codec *codec = p->use.codec;
    if (codec->encoder_fini) {
        codec->encoder_fini(p->encoder);
    }
    if (codec->decoder_fini) {
        codec->decoder_fini(p->decoder);
    }
    if (codec->encoder_init) {
        cr_assert_eq(codec->encoder_init(p->encoder, &p->use, 0), SLR_OK);
    }
    if (codec->decoder_init) {
        cr_assert_eq(codec->decoder_init(p->decoder, &p->use), SLR_OK);
    }
}

/* The next so many milliseconds, encoded (and decoded again, for reference). */
static inline void sp_say(struct sp_party *p, uint32_t ms)
{
    int16_t pcm[SP_MAX_SAMPLES * 2];
    uint32_t n = ms * p->use.sample_hz / 1000, made = 0, ch = p->use.channels;
    for (uint32_t i = 0; i < n * ch; i++) {
        double t = (double)(p->sent_samples + i / ch) / p->use.sample_hz;
        pcm[i] = (int16_t)lrint(8000.0 * sin(2 * M_PI * p->tone_hz * t));
    }
    cr_assert_eq(p->use.codec->encode(p->encoder, &p->use, pcm, n, p->payload, sizeof p->payload,
                                      &p->len_bytes),
                 SLR_OK, "%s %u ms", p->name, ms);
    cr_assert_eq(p->use.codec->decode(p->decoder, &p->use, slr_slice_of(p->payload, p->len_bytes),
                                      pcm, SP_MAX_SAMPLES, &made),
                 SLR_OK, "%s", p->name);
    cr_assert_eq(made, n);
    for (uint32_t i = 0; i < n; i++) {
        p->ref[p->sent_samples + i] =
            ch == 2 ? (int16_t)((pcm[2 * i] + pcm[2 * i + 1]) / 2) : pcm[i];
    }
    p->samples = n;
    p->sent_samples += n;
}

/* What was said last leaves; the numbers go on whether it arrives or not. */
static inline enum slr_verdict sp_send(struct fx *f, uint32_t leg, struct sp_party *p,
                                       int64_t at_ns, bool arrives)
{
    struct slr_packet pkt = {.at = p->payload, .len_bytes = (uint32_t)p->len_bytes};
    struct slr_rtp rtp = {.pt = p->pt, .seq = p->seq, .ts = p->ts, .ssrc = p->ssrc};
    enum slr_verdict v = SLR_VERDICT_TAKEN;
    rtp.payload = slr_slice_of(p->payload, p->len_bytes);
    pkt.arrival = fx_time(at_ns);
    cr_assert_eq(slr_addr_parse(FX_PEER, &pkt.src), SLR_OK);
    slr_clock_advance(f->e.virtual_clock, (slr_wall){FX_START_NS + at_ns});
    atomic_store(&f->e.state->header->alive_ns, FX_START_NS + at_ns);
    if (arrives) {
        v = fx_kept(slr_placement_rtp(&f->worker.place, leg, &pkt, &rtp));
    }
    p->seq++;
    p->ts += (uint32_t)((uint64_t)p->samples * p->use.clock_hz / p->use.sample_hz);
    return v;
}

/* Says and sends packets of `ms` each, on time, up to the time until_ms; the writer takes turns. */
static inline void sp_talk(struct fx *f, uint32_t leg, struct sp_party *p, int64_t *at_ms,
                           int64_t until_ms, uint32_t ms)
{
    while (*at_ms < until_ms) {
        sp_say(p, ms);
        cr_assert_eq(sp_send(f, leg, p, *at_ms * SLR_NS_PER_MS, true), SLR_VERDICT_TAKEN);
        *at_ms += ms;
        fx_write(f, *at_ms);
    }
}

#endif

/*
 * codec: the one contract by which payload becomes samples and samples become payload.
 *
 * Each codec is a const struct in a file of its own and one row in codec.def; the contract test
 * runs over every row. State is memory of the caller (state_bytes, 16-byte aligned), so a codec
 * never allocates on the path; libraries that allocate do it in decoder_init / encoder_init and
 * free in the fini. Not shared between threads; different states are independent.
 */
#ifndef SLR_CODECS_CODEC_H
#define SLR_CODECS_CODEC_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/slice.h"

/* Samples per channel that one packet may decode to: 120 ms at 48 kHz. */
#define SLR_CODEC_MAX_SAMPLES 5760

struct slr_codec {
    const char *name;      /* RTP encoding name as in SDP, compared without case: "PCMA" */
    int static_pt;         /* RFC 3551 static payload type, -1: dynamic only */
    uint32_t clock_hz;     /* RTP clock */
    uint32_t sample_hz;    /* rate of decoded audio */
    uint32_t channels;     /* 1 or 2 */
    uint32_t silence_byte; /* payload byte that decodes to silence where it makes sense (G.711),
                              else 0 */
    size_t decoder_bytes;  /* 0: stateless */
    size_t encoder_bytes;  /* 0: stateless */

    /* SLR_OK or SLR_NOMEM. NULL where stateless. fmtp: the SDP fmtp text, may be NULL. */
    enum slr_err (*decoder_init)(void *state, const char *fmtp);
    void (*decoder_fini)(void *state);
    /*
     * Samples per channel in the payload without decoding it; SLR_FORMAT when it cannot be valid.
     * The RTP timestamp advance is samples * clock_hz / sample_hz.
     */
    enum slr_err (*samples)(struct slr_slice payload, uint32_t *samples);
    /*
     * Decodes one whole payload to interleaved S16 host order; out holds max_samples per channel.
     * On SLR_FORMAT nothing was written and the state is as before; the same for SLR_TRUNCATED,
     * when the payload holds more than max_samples. An empty payload decodes to 0 samples or is
     * SLR_FORMAT, as the codec has it.
     */
    enum slr_err (*decode)(void *state, struct slr_slice payload, int16_t *out,
                           uint32_t max_samples, uint32_t *samples);
    /* Fills a gap of `samples` per channel after a loss. NULL: the caller uses silence. */
    enum slr_err (*conceal)(void *state, int16_t *out, uint32_t samples);

    enum slr_err (*encoder_init)(void *state, uint32_t bitrate_bps);
    void (*encoder_fini)(void *state);
    /* in: interleaved S16, samples per channel. NULL: no encoder. SLR_TRUNCATED: out too small. */
    enum slr_err (*encode)(void *state, const int16_t *in, uint32_t samples, uint8_t *out,
                           size_t out_bytes, size_t *len_bytes);
};

/* The rows themselves, each in its file. */
#define CODEC(name) extern const struct slr_codec slr_codec_##name;
#include "codecs/codec.def"
#undef CODEC

/* By RTP encoding name and clock (0: any); NULL: unknown. */
const struct slr_codec *slr_codec_by_name(const char *name, uint32_t clock_hz);
/* By static payload type; NULL: none. */
const struct slr_codec *slr_codec_by_pt(uint8_t pt);
/* All rows, ended by NULL. */
const struct slr_codec *const *slr_codec_all(void);

/* G.711 tables, also used by the writer's direct path and by the WAV reader (codecs/g711.c). */
int16_t slr_g711_alaw_to_s16(uint8_t a);
int16_t slr_g711_ulaw_to_s16(uint8_t u);
uint8_t slr_g711_s16_to_alaw(int16_t s);
uint8_t slr_g711_s16_to_ulaw(int16_t s);

#endif

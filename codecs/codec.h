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

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/slice.h"

/* Samples per channel that one packet may decode to: 120 ms at 48 kHz. */
#define SLR_CODEC_MAX_SAMPLES 5760

struct slr_codec;

/* A payload type as it was answered in SDP. */
struct slr_codec_params {
    uint32_t clock_hz; /* 0: the codec's own */
    uint32_t channels; /* 0: the codec's own */
    const char *fmtp;  /* SDP fmtp text, NULL or "": none. Borrowed for the call */
};

/* A codec as one payload type uses it: made by slr_codec_bind, plain data, kept by value. */
struct slr_codec_use {
    const struct slr_codec *codec;
    uint32_t clock_hz;  /* RTP clock */
    uint32_t sample_hz; /* rate of decoded audio */
    uint32_t channels;  /* of decoded audio, 1 or 2 */
    uint32_t mode;      /* the codec's own: packing and the like, as its bind read it from fmtp */
};

/* What is known of a payload without decoding it. */
struct slr_payload_info {
    uint32_t samples; /* per channel at use->sample_hz; 0: a payload that says only that nothing is
                         said (AMR NO_DATA has 160 all the same) */
    bool comfort;     /* silence descriptor or DTX: no speech in it */
};

struct slr_codec {
    const char *name;      /* RTP encoding name as in SDP, compared without case: "PCMA" */
    int static_pt;         /* RFC 3551 static payload type, -1: dynamic only */
    uint32_t clock_hz;     /* RTP clock; 0: any (L16) */
    uint32_t sample_hz;    /* rate of decoded audio; 0: the RTP clock */
    uint32_t channels;     /* 1 or 2 of decoded audio; 0: as in SDP */
    uint32_t silence_byte; /* payload byte that decodes to silence where it makes sense (G.711),
                              else 0 */
    size_t decoder_bytes;  /* 0: stateless */
    size_t encoder_bytes;  /* 0: stateless */

    /* Reads fmtp into use->mode; the rest of *use is filled in. NULL: nothing to read.
     * SLR_UNSUPPORTED: a variant that can't be decoded. */
    enum slr_err (*bind)(const struct slr_codec_params *p, struct slr_codec_use *use);
    /* SLR_OK or SLR_NOMEM. NULL where stateless. After SLR_OK comes one fini. */
    enum slr_err (*decoder_init)(void *state, const struct slr_codec_use *use);
    void (*decoder_fini)(void *state);
    /*
     * SLR_FORMAT when the payload cannot be valid. The RTP timestamp advance is
     * samples * clock_hz / sample_hz. Reads only the payload: worker thread, per packet.
     */
    enum slr_err (*inspect)(const struct slr_codec_use *use, struct slr_slice payload,
                            struct slr_payload_info *info);
    /*
     * Decodes one whole payload to interleaved S16 host order; out holds max_samples per channel.
     * *samples is what inspect says. On SLR_FORMAT nothing was written and the state is as before;
     * the same for SLR_TRUNCATED, when the payload holds more than max_samples. An empty payload
     * decodes to 0 samples or is SLR_FORMAT, as the codec has it.
     */
    enum slr_err (*decode)(void *state, const struct slr_codec_use *use, struct slr_slice payload,
                           int16_t *out, uint32_t max_samples, uint32_t *samples);
    /* Makes `samples` per channel (at most SLR_CODEC_MAX_SAMPLES) for a time without payload: after
     * a loss the codec's concealment, after a silence descriptor its comfort noise. NULL: the
     * caller uses silence. */
    enum slr_err (*conceal)(void *state, const struct slr_codec_use *use, int16_t *out,
                            uint32_t samples);
    /* As conceal, for the `samples` directly before the packet `next`, which carries redundancy of
     * them (Opus in-band FEC); next itself is decoded afterwards. NULL: no such thing. SLR_FORMAT:
     * next holds none; nothing was written, use conceal. */
    enum slr_err (*recover)(void *state, const struct slr_codec_use *use, struct slr_slice next,
                            int16_t *out, uint32_t samples);

    /* use: rate and channels of what encode will be given. bitrate_bps 0: the codec's default. */
    enum slr_err (*encoder_init)(void *state, const struct slr_codec_use *use,
                                 uint32_t bitrate_bps);
    void (*encoder_fini)(void *state);
    /* Samples per channel, at the encoder's rate, by which what is decoded from it comes late for
     * want of a look ahead. NULL: 0, or nobody needs to know. */
    uint32_t (*encoder_delay)(void *state);
    /* in: interleaved S16, samples per channel, whole frames of the codec (otherwise SLR_INVAL).
     * NULL: no encoder. SLR_TRUNCATED: out too small; the state may have moved on. */
    enum slr_err (*encode)(void *state, const struct slr_codec_use *use, const int16_t *in,
                           uint32_t samples, uint8_t *out, size_t out_bytes, size_t *len_bytes);
};

/* The rows themselves, each in its file. */
#define CODEC(name) extern const struct slr_codec slr_codec_##name;
#include "codecs/codec.def"
#undef CODEC

/* By RTP encoding name and clock (0: any); NULL: unknown. */
const struct slr_codec *slr_codec_by_name(const char *name, uint32_t clock_hz);
/* Fills in *use for a codec and what SDP says of it. SLR_UNSUPPORTED: another clock than the
 * codec's, more than two channels, or a variant that it can't decode. */
enum slr_err slr_codec_bind(const struct slr_codec *codec, const struct slr_codec_params *p,
                            struct slr_codec_use *use) SLR_CHECKED;
/* By static payload type (RFC 3551 table 4); NULL: none. */
const struct slr_codec *slr_codec_by_pt(uint8_t pt);
/* As above, and *p is what SDP would say of it (L16 has two types at 44100 Hz). */
const struct slr_codec *slr_codec_static(uint8_t pt, struct slr_codec_params *p);
/* All rows, ended by NULL. */
const struct slr_codec *const *slr_codec_all(void);

/* G.711 tables, also used by the writer's direct path and by the WAV reader (codecs/g711.c). */
int16_t slr_g711_alaw_to_s16(uint8_t a);
int16_t slr_g711_ulaw_to_s16(uint8_t u);
uint8_t slr_g711_s16_to_alaw(int16_t s);
uint8_t slr_g711_s16_to_ulaw(int16_t s);

#endif

/*
 * amr_payload: what the rows AMR and AMR-WB share: payloads of RFC 4867 in both packings, and the
 * parameters of its SDP. Pure, any thread, allocates nothing.
 */
#ifndef SLR_CODECS_AMR_PAYLOAD_H
#define SLR_CODECS_AMR_PAYLOAD_H

#include "codecs/codec.h"

/* 240 ms, the most that maxptime asks for in practice. */
#define SLR_AMR_MAX_FRAMES 12
/* One header byte and 477 bits of AMR-WB. */
#define SLR_AMR_FRAME_BYTES 61

/* Frame types 14 and 15 of both codecs: lost speech (AMR-WB only), nothing sent. */
#define SLR_AMR_SPEECH_LOST 14
#define SLR_AMR_NO_DATA 15

/* A codec's frame types: bits of each, -1: a type that must not occur. */
struct slr_amr_kind {
    int16_t bits[16];
    uint8_t sid_type;  /* lower types are speech */
    uint8_t lost_sids; /* this many types after sid_type are silence of other codecs */
    uint16_t samples;  /* of a frame */
};

extern const struct slr_amr_kind slr_amr_narrow, slr_amr_wide;

struct slr_amr_payload {
    uint32_t frames;
    struct {
        uint8_t type;
        bool good;       /* the Q bit */
        uint32_t bit_at; /* in the payload */
    } frame[SLR_AMR_MAX_FRAMES];
};

/* As slr_codec.bind: use->mode becomes 1 for octet-align=1, else 0 (bandwidth efficient).
 * SLR_UNSUPPORTED: crc, interleaving, robust-sorting, more than one channel. */
enum slr_err slr_amr_bind(const struct slr_codec_params *p, struct slr_codec_use *use);

/* Finds the frames of a payload. SLR_FORMAT: a length or a frame type that can't be. */
enum slr_err slr_amr_read(const struct slr_amr_kind *kind, const struct slr_codec_use *use,
                          struct slr_slice payload, struct slr_amr_payload *out);

/* As slr_codec.inspect. */
enum slr_err slr_amr_inspect(const struct slr_amr_kind *kind, const struct slr_codec_use *use,
                             struct slr_slice payload, struct slr_payload_info *info);

/* Copies frame i as storage has it (RFC 4867 section 5.3): header byte, bits, padding. */
void slr_amr_frame(const struct slr_amr_kind *kind, struct slr_slice payload,
                   const struct slr_amr_payload *parsed, uint32_t i,
                   uint8_t out[static SLR_AMR_FRAME_BYTES]);

/* Makes a payload of frames as storage has them, each SLR_AMR_FRAME_BYTES after the other, without
 * a mode request. SLR_TRUNCATED: out is too small; SLR_INVAL: no frame or too many. */
enum slr_err slr_amr_write(const struct slr_amr_kind *kind, const struct slr_codec_use *use,
                           const uint8_t *frame, uint32_t frames, uint8_t *out, size_t out_bytes,
                           size_t *len_bytes);

#endif

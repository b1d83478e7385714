/*
 * g711: what the PCMU and PCMA rows share: one byte is one sample, no state. Any thread, allocates
 * nothing. The single-sample functions are declared in codec.h.
 */
#ifndef SLR_CODECS_G711_H
#define SLR_CODECS_G711_H

#include "codecs/codec.h"

/* S16 of each code (ITU-T G.711 tables 1 and 2, scaled to 16 bits). */
extern const int16_t slr_g711_alaw_table[256];
extern const int16_t slr_g711_ulaw_table[256];

/* As slr_codec.inspect: SLR_FORMAT above SLR_CODEC_MAX_SAMPLES. An empty payload has 0 samples. */
enum slr_err slr_g711_inspect(const struct slr_codec_use *use, struct slr_slice payload,
                              struct slr_payload_info *info);

/* As slr_codec.decode; SLR_TRUNCATED when out is too small (nothing is written then). */
enum slr_err slr_g711_decode(const int16_t table[static 256], struct slr_slice payload,
                             int16_t *out, uint32_t max_samples, uint32_t *samples);

#endif

/*
 * bank: ten seconds of noise, encoded once, and what a decoder makes of it that has heard it all.
 * A leg of a codec that loses something plays it in a loop from a place of its own. Const once
 * open. Allocates at open.
 */
#ifndef SLR_LOAD_BANK_H
#define SLR_LOAD_BANK_H

#include <stddef.h>
#include <stdint.h>

#include "codecs/codec.h"
#include "common/err.h"

#define SLR_BANK_FRAMES 512u
#define SLR_BANK_PAYLOAD_BYTES 320u

struct slr_bank {
    uint32_t frame_samples;
    size_t len[SLR_BANK_FRAMES];
    uint8_t payload[SLR_BANK_FRAMES][SLR_BANK_PAYLOAD_BYTES];
    int16_t *sound; /* SLR_BANK_FRAMES frames */
};

/* SLR_UNSUPPORTED: the codec has no encoder, or frames of 20 ms don't suit it; SLR_NOMEM. */
enum slr_err slr_bank_open(const struct slr_codec_use *use, struct slr_bank **out) SLR_CHECKED;
void slr_bank_close(struct slr_bank *b);

#endif

/*
 * voice: what a leg says: the codecs that can be sent, the payload of each frame, and what a
 * recording holds of it. G.711 and L16 carry the watermark itself and come back to the sample.
 *
 * A voice is const once open and read by sender and checker threads alike. Allocates at open.
 */
#ifndef SLR_LOAD_VOICE_H
#define SLR_LOAD_VOICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codecs/codec.h"
#include "common/err.h"
#include "load/bank.h"
#include "load/mark.h"
#include "storage/container.h"

#define SLR_VOICE_MAX_BYTES SLR_MARK_MAX_BYTES
#define SLR_VOICE_MAX_SAMPLES 960u /* a frame of 20 ms at 48 kHz */

/* One row of voice.def. */
struct slr_voice_row {
    const char *name; /* as in SDP */
    uint8_t pt;
    uint32_t clock_hz;
    uint32_t sdp_channels;
    const char *fmtp;
    bool exact;   /* comes back to the sample, watermark and all */
    bool comfort; /* comfort noise packets (payload type 13) go with it */
};

struct slr_voice {
    const struct slr_voice_row *row;
    struct slr_codec_use use;
    uint32_t frame_ticks;   /* RTP clock, 20 ms */
    uint32_t frame_samples; /* decoded */
    size_t payload_bytes;   /* the most; exact ones: always this many */
    struct slr_bank *bank;  /* of those that are not exact */
};

/* By name, without case. SLR_NOTFOUND, SLR_NOMEM, SLR_UNSUPPORTED (not in this build). */
enum slr_err slr_voice_open(const char *name, struct slr_voice **out) SLR_CHECKED;
void slr_voice_close(struct slr_voice *v);
/* The names that slr_voice_open takes, for messages. */
const char *slr_voice_names(void);

/* Others than exact ones: which place of the loop a frame is, what a place sounds like
 * (frame_samples), and how many there are. */
uint32_t slr_voice_place(const struct slr_voice *v, const struct slr_mark *m);
const int16_t *slr_voice_sound(const struct slr_voice *v, uint32_t place);
uint32_t slr_voice_places(const struct slr_voice *v);

/* The payload of a frame; `at` holds SLR_VOICE_MAX_BYTES. Gives its length. */
size_t slr_voice_payload(const struct slr_voice *v, const struct slr_mark *m, uint8_t *at);

/* Exact voices: what a file of that format holds of the frame, frame_samples of it; `at` holds
 * SLR_VOICE_MAX_SAMPLES of two bytes. False: such a file can't hold this voice as it is. */
bool slr_voice_want(const struct slr_voice *v, const struct slr_mark *m,
                    enum slr_sample_format format, uint8_t *at);

/* Exact voices: undoes the above for the first bytes of a frame, to look for a mark. `at` is in the
 * file's format and has `samples` samples; false where there are too few. */
bool slr_voice_mark_at(const struct slr_voice *v, enum slr_sample_format format, const uint8_t *at,
                       size_t samples, uint8_t mark[static SLR_MARK_BYTES]);

#endif

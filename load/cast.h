/*
 * cast: which call speaks with which voice. Const once open, any thread. Allocates at open.
 */
#ifndef SLR_LOAD_CAST_H
#define SLR_LOAD_CAST_H

#include <stdint.h>

#include "common/err.h"
#include "common/options.h"
#include "load/voice.h"

#define SLR_CAST_VOICES 8u

struct slr_cast {
    struct slr_voice *voice[SLR_CAST_VOICES];
    uint32_t weight[SLR_CAST_VOICES];
    uint32_t count, total;
    uint64_t seed;
};

/* codecs: "NAME" or "NAME:WEIGHT" each; none: those of `otherwise`, parted by blanks, or PCMA. A
 * message goes to standard error before SLR_INVAL. */
enum slr_err slr_cast_open(struct slr_cast *c, const struct slr_option_list *codecs,
                           const char *otherwise, uint64_t seed) SLR_CHECKED;
void slr_cast_close(struct slr_cast *c);

/* Both legs of a call have the same. */
const struct slr_voice *slr_cast_voice(const struct slr_cast *c, uint32_t call);

/* The longest payload of all of them. */
size_t slr_cast_payload_max(const struct slr_cast *c);

#endif

/*
 * codec: the list of codecs, made from codec.def, and the two look-ups over it.
 * Const data; any thread, allocates nothing.
 */
#include "codecs/codec.h"

#include <stddef.h>

static const struct slr_codec *const all_codecs[] = {
#define CODEC(name) &slr_codec_##name,
#include "codecs/codec.def"
#undef CODEC
    NULL,
};

const struct slr_codec *slr_codec_by_name(const char *name, uint32_t clock_hz)
{
    if (!name) {
        return NULL;
    }
    for (size_t i = 0; all_codecs[i]; i++) {
        if (slr_slice_eq_nocase(slr_slice_str(all_codecs[i]->name), name) &&
            (clock_hz == 0 || clock_hz == all_codecs[i]->clock_hz)) {
            return all_codecs[i];
        }
    }
    return NULL;
}

const struct slr_codec *slr_codec_by_pt(uint8_t pt)
{
    for (size_t i = 0; all_codecs[i]; i++) {
        if (all_codecs[i]->static_pt == (int)pt) {
            return all_codecs[i];
        }
    }
    return NULL;
}

const struct slr_codec *const *slr_codec_all(void)
{
    return all_codecs;
}

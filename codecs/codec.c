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
            (clock_hz == 0 || all_codecs[i]->clock_hz == 0 ||
             clock_hz == all_codecs[i]->clock_hz)) {
            return all_codecs[i];
        }
    }
    return NULL;
}

enum slr_err slr_codec_bind(const struct slr_codec *codec, const struct slr_codec_params *p,
                            struct slr_codec_use *use)
{
    uint32_t clock_hz = codec->clock_hz ? codec->clock_hz : p->clock_hz;
    uint32_t channels = codec->channels ? codec->channels : p->channels;
    *use = (struct slr_codec_use){
        .codec = codec,
        .clock_hz = clock_hz,
        .sample_hz = codec->sample_hz ? codec->sample_hz : clock_hz,
        .channels = channels ? channels : 1,
    };
    if (clock_hz == 0 || use->channels > 2 || (p->clock_hz != 0 && p->clock_hz != clock_hz)) {
        return SLR_UNSUPPORTED;
    }
    return codec->bind ? codec->bind(p, use) : SLR_OK;
}

const struct slr_codec *slr_codec_static(uint8_t pt, struct slr_codec_params *p)
{
    *p = (struct slr_codec_params){0};
    if (pt == 10 || pt == 11) {
        *p = (struct slr_codec_params){.clock_hz = 44100, .channels = pt == 10 ? 2 : 1};
        return &slr_codec_l16;
    }
    for (size_t i = 0; all_codecs[i]; i++) {
        if (all_codecs[i]->static_pt == (int)pt) {
            p->clock_hz = all_codecs[i]->clock_hz;
            p->channels = all_codecs[i]->channels;
            return all_codecs[i];
        }
    }
    return NULL;
}

const struct slr_codec *slr_codec_by_pt(uint8_t pt)
{
    struct slr_codec_params p;
    return slr_codec_static(pt, &p);
}

const struct slr_codec *const *slr_codec_all(void)
{
    return all_codecs;
}

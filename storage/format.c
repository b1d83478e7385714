/*
 * format: see the header. Const data, pure functions.
 */
#include "storage/format.h"

#include <string.h>

#include "common/slice.h"

#define AS_RECORDED (-1)
#define TYPE_SIZE 96

static const struct row {
    const char *name, *container;
    int samples; /* enum slr_sample_format or AS_RECORDED */
    const char *types;
} rows[SLR_FORMAT_COUNT] = {
#define FORMAT(id, name, container, samples, types)                                                \
    [SLR_FORMAT_##id] = {name, container, samples, types},
#include "storage/format.def"
#undef FORMAT
};

static const char *const layouts[] = {"default", "channels", "mix", "legs"};
#define LAYOUTS (sizeof layouts / sizeof layouts[0])

/* Rates that a tick divides; what the containers take of them is asked of each. */
#define NO_RATE                                                                                    \
    "no file has this rate: 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100 or 48000"
static const uint32_t rates_hz[] = {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000};
#define RATES (sizeof rates_hz / sizeof rates_hz[0])

/* Without blanks and quotes, which mime parameters may have. False: too long for any of ours. */
static bool squeeze(const char *text, char out[static TYPE_SIZE])
{
    size_t n = 0;
    for (; *text; text++) {
        if (*text != ' ' && *text != '\t' && *text != '"') {
            if (n + 1 == TYPE_SIZE) {
                return false;
            }
            out[n++] = *text;
        }
    }
    out[n] = '\0';
    return n > 0;
}

static bool asks_for(const struct row *row, const char *text)
{
    struct slr_slice types = slr_slice_str(row->types), type;
    if (slr_slice_eq_nocase(slr_slice_str(row->name), text)) {
        return true;
    }
    while (slr_slice_take_token(&types, ',', &type)) {
        if (slr_slice_eq_nocase(type, text)) {
            return true;
        }
    }
    return false;
}

enum slr_err slr_format_find(const char *text, uint8_t *format)
{
    char squeezed[TYPE_SIZE];
    if (!text || !squeeze(text, squeezed)) {
        return SLR_UNSUPPORTED;
    }
    for (uint8_t i = 0; i < SLR_FORMAT_COUNT; i++) {
        if (asks_for(&rows[i], squeezed)) {
            *format = i;
            return SLR_OK;
        }
    }
    return SLR_UNSUPPORTED;
}

enum slr_err slr_layout_find(const char *text, uint8_t *layout)
{
    for (uint8_t i = 0; text && i < LAYOUTS; i++) {
        if (strcmp(text, layouts[i]) == 0) {
            *layout = i;
            return SLR_OK;
        }
    }
    if (text && strcmp(text, "stereo") == 0) {
        *layout = SLR_LAYOUT_CHANNELS;
        return SLR_OK;
    }
    return SLR_UNSUPPORTED;
}

const char *slr_format_name(uint8_t format)
{
    return format < SLR_FORMAT_COUNT ? rows[format].name : "?";
}

const char *slr_layout_name(uint8_t layout)
{
    return layout < LAYOUTS ? layouts[layout] : "?";
}

static enum slr_sample_format samples_of(const struct row *row, const struct slr_audio_shape *as)
{
    return row->samples == AS_RECORDED ? as->format : (enum slr_sample_format)row->samples;
}

static bool takes(const struct row *row, uint32_t channels, uint32_t sample_hz)
{
    struct slr_audio_shape s16 = {SLR_SAMPLE_S16, channels, sample_hz};
    struct slr_audio_shape shape = {samples_of(row, &s16), channels, sample_hz};
    return slr_container_by_name(row->container)->check(&shape) == SLR_OK;
}

enum slr_err slr_output_check(const struct slr_output *o, const char **why)
{
    bool known = o->sample_hz == 0;
    *why = "unknown format or layout";
    if (o->format >= SLR_FORMAT_COUNT || o->layout >= LAYOUTS) {
        return SLR_UNSUPPORTED;
    }
    const struct row *row = &rows[o->format];
    for (size_t i = 0; i < RATES; i++) {
        known |= o->sample_hz == rates_hz[i];
    }
    *why = NO_RATE;
    if (!known) {
        return SLR_UNSUPPORTED;
    }
    *why = "this format does not have that rate";
    if (o->sample_hz != 0 && !takes(row, 1, o->sample_hz)) {
        return SLR_UNSUPPORTED;
    }
    *why = "this format has one channel only: layout mix or legs";
    if (o->layout == SLR_LAYOUT_CHANNELS && !takes(row, 2, 8000)) {
        return SLR_UNSUPPORTED;
    }
    *why = "";
    return SLR_OK;
}

enum slr_err slr_output_of_words(const char *type, const char *layout, uint32_t sample_hz,
                                 bool cut_pauses, struct slr_output *out, const char **why)
{
    *out = (struct slr_output){.sample_hz = sample_hz, .cut_pauses = cut_pauses};
    *why = "unknown format: wav, wav-pcm, wav-alaw, wav-ulaw, gsm, opus, flac or a mime type";
    if (type && type[0] && slr_format_find(type, &out->format) != SLR_OK) {
        return SLR_UNSUPPORTED;
    }
    *why = "unknown layout: channels, mix or legs";
    if (layout && layout[0] && slr_layout_find(layout, &out->layout) != SLR_OK) {
        return SLR_UNSUPPORTED;
    }
    return slr_output_check(out, why);
}

/* The lowest rate of the format that keeps what was recorded, else its highest. */
static uint32_t rate_for(const struct row *row, uint32_t recorded_hz)
{
    uint32_t best = 0;
    for (size_t i = 0; i < RATES; i++) {
        if (takes(row, 1, rates_hz[i]) && (best == 0 || best < recorded_hz)) {
            best = rates_hz[i];
        }
    }
    return takes(row, 1, recorded_hz) ? recorded_hz : best;
}

void slr_output_apply(const struct slr_output *o, const struct slr_audio_shape *recorded, bool cuts,
                      struct slr_output_plan *plan)
{
    const struct row *row = &rows[o->format < SLR_FORMAT_COUNT ? o->format : SLR_FORMAT_WAV];
    uint32_t sample_hz = o->sample_hz ? o->sample_hz : rate_for(row, recorded->sample_hz);
    enum slr_layout layout = (enum slr_layout)o->layout;

    if (layout == SLR_LAYOUT_DEFAULT) {
        layout = takes(row, 2, sample_hz) ? SLR_LAYOUT_CHANNELS : SLR_LAYOUT_MIX;
    }
    if (layout == SLR_LAYOUT_CHANNELS && !takes(row, recorded->channels, sample_hz)) {
        layout = SLR_LAYOUT_LEGS;
    }
    bool whole = layout == SLR_LAYOUT_CHANNELS || recorded->channels == 1;
    *plan = (struct slr_output_plan){
        .container = slr_container_by_name(row->container),
        .shape = {samples_of(row, recorded), layout == SLR_LAYOUT_CHANNELS ? recorded->channels : 1,
                  sample_hz},
        .layout = layout,
        .files = layout == SLR_LAYOUT_LEGS ? recorded->channels : 1,
    };
    plan->is_plain = !cuts && whole && strcmp(row->container, "wav") == 0 &&
                     plan->shape.format == recorded->format && sample_hz == recorded->sample_hz;
}

/*
 * format: what the final files of a recording are to be: format, layout of the channels, rate.
 *
 * The working file is always WAV in the session's shape; the policy here says what is made of it
 * when it is sealed. Rows of format.def. Pure; any thread, allocates nothing.
 */
#ifndef SLR_STORAGE_FORMAT_H
#define SLR_STORAGE_FORMAT_H

#include "storage/container.h"

enum slr_format {
#define FORMAT(id, name, container, samples, types) SLR_FORMAT_##id,
#include "storage/format.def"
#undef FORMAT
    SLR_FORMAT_COUNT
};

enum slr_layout {
    SLR_LAYOUT_DEFAULT,  /* channels; mix where the format has one channel only */
    SLR_LAYOUT_CHANNELS, /* one file with all channels */
    SLR_LAYOUT_MIX,      /* one channel: their sum, limited to what 16 bits hold */
    SLR_LAYOUT_LEGS      /* a file for each channel */
};

/* The policy of one session; plain data, all zeros is WAV as recorded. Lies in the state file. */
struct slr_output {
    uint8_t format; /* enum slr_format */
    uint8_t layout; /* enum slr_layout */
    bool cut_pauses;
    uint8_t pad;
    uint32_t sample_hz; /* 0: as recorded, or the next one that the format has */
};

/* What a policy means for a recording of a known shape. */
struct slr_output_plan {
    const struct slr_container *container;
    struct slr_audio_shape shape; /* of each file */
    enum slr_layout layout;       /* never the default */
    uint32_t files;
    bool is_plain; /* the working file as it is */
};

/* By name ("opus") or mime type ("audio/ogg; codecs=opus"), without case and blanks.
 * SLR_UNSUPPORTED: unknown. */
enum slr_err slr_format_find(const char *text, uint8_t *format) SLR_CHECKED;
/* By name: "channels", "mix", "legs"; "stereo" is channels. SLR_UNSUPPORTED: unknown. */
enum slr_err slr_layout_find(const char *text, uint8_t *layout) SLR_CHECKED;
/* Static texts; "?" where there is no such thing. */
const char *slr_format_name(uint8_t format);
const char *slr_layout_name(uint8_t layout);

/* SLR_UNSUPPORTED: what no file can be, and *why says so (static). */
enum slr_err slr_output_check(const struct slr_output *o, const char **why) SLR_CHECKED;

/* A checked policy from what people and other programs write; NULL or "" is the default. Errors as
 * above, *why then says what is wrong. */
enum slr_err slr_output_of_words(const char *type, const char *layout, uint32_t sample_hz,
                                 bool cut_pauses, struct slr_output *out,
                                 const char **why) SLR_CHECKED;

/*
 * The plan for a recording of shape `recorded`. A policy that passed slr_output_check always has
 * one: where a format has too few channels for this recording, each channel gets a file of its own.
 * cuts: some pause is to be cut out, so that the working file is not what is wanted.
 */
void slr_output_apply(const struct slr_output *o, const struct slr_audio_shape *recorded, bool cuts,
                      struct slr_output_plan *plan);

#endif

/*
 * leg_codecs: what each payload type of a leg means, resolved for the packet path.
 *
 * Process memory beside the leg slot, rebuilt from it after a restart. Rows grow only (queued
 * records name them), written by the worker, read by worker and writer.
 */
#ifndef SLR_ENGINE_LEG_CODECS_H
#define SLR_ENGINE_LEG_CODECS_H

#include "codecs/codec.h"
#include "engine/state.h"

enum slr_pt_kind { SLR_PT_UNKNOWN, SLR_PT_AUDIO, SLR_PT_EVENT, SLR_PT_COMFORT };

struct slr_leg_codecs {
    _Atomic uint32_t rows; /* resolved ones; use and kind of a row are never written again */
    struct slr_codec_use use[SLR_LEG_PTS]; /* codec NULL unless AUDIO */
    uint8_t kind[SLR_LEG_PTS];
    uint8_t row_of_pt[128]; /* row in force, 0xff: none; the worker's */
};

/* Resolves the rows that are new (all of them: set rows to 0 before, while nobody reads). Worker,
 * or control thread while the leg is in SETUP. */
void slr_leg_codecs_build(struct slr_leg_codecs *c, const struct slr_leg *leg);

/*
 * Puts a new set of payload types in force; equal rows are used again, others appended. SLR_FULL:
 * no room, SLR_NOMEM (nothing changed). Same thread as above; call build afterwards.
 */
enum slr_err slr_leg_codecs_set(struct slr_leg *leg, const struct slr_pt_map *pt,
                                uint32_t count) SLR_CHECKED;

/*
 * As set and build, for what signalling named. Comfort noise needs no word of it (RFC 3551 section
 * 6: 13, and 19 of old): it comes along where sound goes by its clock, unless the number is another
 * one's, or `accept` (128 flags, NULL: all) refuses it. Errors and thread of set.
 */
enum slr_err slr_leg_codecs_signalled(struct slr_leg_codecs *c, struct slr_leg *leg,
                                      const struct slr_pt_map *pt, uint32_t count,
                                      const uint8_t *accept) SLR_CHECKED;

/* Is the row a codec of sound that is in force? row: below leg->pt_count. */
bool slr_leg_codecs_is_sound(const struct slr_leg_codecs *c, const struct slr_leg *leg,
                             uint32_t row);

/* The RTP clock of the leg's first codec in force; 0: there is none. */
uint32_t slr_leg_codecs_clock(const struct slr_leg_codecs *c, const struct slr_leg *leg);

/* Fills in the static payload types (RFC 3551) that a codec of ours decodes and, where `accept`
 * (128 flags) is not NULL, that are allowed. 101 is taken as telephone-event. Returns the count. */
uint32_t slr_leg_codecs_static(struct slr_pt_map out[static SLR_MAX_PTS], const uint8_t *accept);

/* Adds a payload type as option --pt has it, "PT=NAME/CLOCK[/CHANNELS][;PARAMETERS]", or puts it in
 * the place of the same number. SLR_INVAL: not of that form, or nothing that we decode. SLR_FULL.
 */
enum slr_err slr_leg_codecs_add(struct slr_pt_map pt[static SLR_MAX_PTS], uint32_t *count,
                                const char *text) SLR_CHECKED;

#endif

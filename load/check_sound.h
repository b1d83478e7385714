/*
 * check_sound: one leg's channel of a recording where the codec loses something: each frame is
 * compared with what a decoder makes of it that heard all. Pure but for memory; any thread.
 *
 * For SLR_SOUND_SETTLE frames after the beginning and after each hole a decoder may sound
 * otherwise; there it only may not be silent. Holes themselves are not looked at: codecs fill them.
 */
#ifndef SLR_LOAD_CHECK_SOUND_H
#define SLR_LOAD_CHECK_SOUND_H

#include "common/err.h"
#include "load/check.h"

#define SLR_SOUND_SETTLE 6u
/* A frame is the one that was sent when no more than this share of its power is different. */
#define SLR_SOUND_DIFFERENT_PERCENT 35

/* As slr_check_leg. SLR_UNSUPPORTED: the file is not PCM at the codec's rate. */
enum slr_err slr_check_sound(const struct slr_check_leg *c, const struct slr_check_track *t,
                             struct slr_check_result *r) SLR_CHECKED;

#endif

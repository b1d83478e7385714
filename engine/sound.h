/*
 * sound: measures what a leg's track sounds like, and raises the alarm of a leg that has none.
 *
 * A leg is silent when it sends no packets, or packets without living audio: digital silence,
 * comfort noise only, payload that can't be decoded. The writer knows the audio a window and a
 * block late: the alarm comes in time all the same, on what is known by then (at least half of it).
 * Writer thread; works on the leg's slot; allocates only the event.
 */
#ifndef SLR_ENGINE_SOUND_H
#define SLR_ENGINE_SOUND_H

#include "engine/counters.h"
#include "engine/state.h"
#include "engine/track.h"

enum slr_silence_cause {
    SLR_SILENCE_NONE,
    SLR_SILENCE_NO_PACKETS,
    SLR_SILENCE_NO_AUDIO,
    SLR_SILENCE_COMFORT_ONLY,
    SLR_SILENCE_UNDECODABLE
};
/* As events and docs have it. */
const char *slr_silence_name(enum slr_silence_cause cause);

/* Adds a rendered track, before anything is corrected in it, to what is known of the leg. */
void slr_sound_track(struct slr_sound *sound, const struct slr_session *s, struct slr_track *track);

struct slr_sound_watch {
    struct slr_state *state;
    const struct slr_event_sink *sink;
    struct slr_counters *counters;
    int64_t alarm_ns; /* --silent-alarm; 0: off */
};

/* Looks at each leg of a running session; an alarm begins and ends once. Returns before when no
 * other look is needed, unless a block is written. */
int64_t slr_sound_watch(const struct slr_sound_watch *w, struct slr_session *s, slr_mono now);

#endif

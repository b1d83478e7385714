/*
 * alarms: the alarms of silent legs that a recording had, as kept in its record of the catalogue:
 * "alarms": [{"leg","cause","since_ms","silent_ms"}], silent_ms only where it was heard again.
 * Pure; any thread; allocates JSON. Events may come from another host and may come twice.
 */
#ifndef SLR_CTL_ALARMS_H
#define SLR_CTL_ALARMS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* More of one recording are counted only ("alarms_more"). */
#define SLR_ALARMS_MAX 64u

/* Causes as the seam has them; the last one is what we do not know. */
#define SLR_ALARM_CAUSES 5
const char *slr_alarm_cause(size_t index);
/* Index of a cause, SLR_ALARM_CAUSES - 1 when it is none of them; text may be NULL. */
size_t slr_alarm_cause_index(const char *text);

/* What of a `leg_silent` or `leg_audible` event is kept. New object; NULL: another event, or one
 * that lacks what it must have, or out of memory. */
json_t *slr_alarm_of_event(const json_t *event);

/* Takes such an object into a recording's record. False: it was there already, there was nothing
 * to end, or out of memory. */
bool slr_alarms_take(json_t *record, const json_t *alarm);

#endif

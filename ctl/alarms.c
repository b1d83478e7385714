/*
 * alarms: see alarms.h. Pure.
 */
#include "ctl/alarms.h"

#include <stdint.h>
#include <string.h>

#include "common/json.h"

#define LEG_BYTES_MAX 63u

const char *slr_alarm_cause(size_t index)
{
    static const char *const name[SLR_ALARM_CAUSES] = {"no-packets", "no-audio", "comfort-only",
                                                       "undecodable", "unknown"};
    return name[index < SLR_ALARM_CAUSES ? index : SLR_ALARM_CAUSES - 1];
}

size_t slr_alarm_cause_index(const char *text)
{
    size_t i = 0;
    while (i < SLR_ALARM_CAUSES - 1 && (!text || strcmp(text, slr_alarm_cause(i)) != 0)) {
        i++;
    }
    return i;
}

json_t *slr_alarm_of_event(const json_t *event)
{
    const char *name = slr_json_str(event, "ev");
    const char *leg = slr_json_str(event, "leg");
    bool begins = name && strcmp(name, "leg_silent") == 0;
    if (!name || !leg || strlen(leg) > LEG_BYTES_MAX) {
        return NULL;
    }
    if (!begins && strcmp(name, "leg_audible") != 0) {
        return NULL;
    }
    int64_t since_ms = slr_json_i64(event, "since_ms", -1);
    int64_t silent_ms = slr_json_i64(event, "silent_ms", -1);
    if (since_ms < 0 || (!begins && silent_ms < 0)) {
        return NULL;
    }
    size_t cause = slr_alarm_cause_index(slr_json_str(event, "cause"));
    return begins ? json_pack("{s:s,s:s,s:I}", "leg", leg, "cause", slr_alarm_cause(cause),
                              "since_ms", (json_int_t)since_ms)
                  : json_pack("{s:s,s:I,s:I}", "leg", leg, "since_ms", (json_int_t)since_ms,
                              "silent_ms", (json_int_t)silent_ms);
}

/* The one of this leg that began there, or NULL. */
static json_t *find(const json_t *list, const char *leg, int64_t since_ms)
{
    for (size_t i = json_array_size(list); i-- > 0;) {
        json_t *one = json_array_get(list, i);
        const char *id = slr_json_str(one, "leg");
        if (id && strcmp(id, leg) == 0 && slr_json_i64(one, "since_ms", -1) == since_ms) {
            return one;
        }
    }
    return NULL;
}

static bool add(json_t *record, json_t *list, const json_t *alarm)
{
    if (json_array_size(list) < SLR_ALARMS_MAX) {
        return json_array_append_new(list, json_deep_copy(alarm)) == 0;
    }
    int64_t more = slr_json_i64(record, "alarms_more", 0);
    return json_object_set_new(record, "alarms_more", json_integer(more + 1)) == 0;
}

bool slr_alarms_take(json_t *record, const json_t *alarm)
{
    const char *leg = slr_json_str(alarm, "leg");
    json_t *list = json_object_get(record, "alarms");
    json_t *known = leg ? find(list, leg, slr_json_i64(alarm, "since_ms", 0)) : NULL;
    json_t *silent_ms = json_object_get(alarm, "silent_ms");
    if (silent_ms && known && !json_object_get(known, "silent_ms")) {
        return json_object_set(known, "silent_ms", silent_ms) == 0;
    }
    if (!leg || silent_ms || known) {
        return false;
    }
    if (!json_is_array(list)) {
        list = json_array();
        if (!list || json_object_set_new(record, "alarms", list) != 0) {
            return false;
        }
    }
    return add(record, list, alarm);
}

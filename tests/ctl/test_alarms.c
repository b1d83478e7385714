/* Alarms of silent legs: what is kept of an event, and how a recording's record collects them. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "ctl/alarms.h"

static json_t *of(const char *text)
{
    json_t *event = json_loads(text, 0, NULL);
    cr_assert_not_null(event, "%s", text);
    json_t *alarm = slr_alarm_of_event(event);
    json_decref(event);
    return alarm;
}

static bool take(json_t *record, const char *text)
{
    json_t *alarm = of(text);
    cr_assert_not_null(alarm, "%s", text);
    bool taken = slr_alarms_take(record, alarm);
    json_decref(alarm);
    return taken;
}

#define SILENT(leg, cause, since)                                                                  \
    "{\"ev\":\"leg_silent\",\"n\":7,\"leg\":\"" leg "\",\"cause\":\"" cause                        \
    "\",\"since_ms\":" since "}"
#define AUDIBLE(leg, since, ms)                                                                    \
    "{\"ev\":\"leg_audible\",\"leg\":\"" leg "\",\"since_ms\":" since ",\"silent_ms\":" ms "}"

static void check(const json_t *record, const char *want)
{
    char *text = json_dumps(json_object_get(record, "alarms"), JSON_COMPACT);
    cr_assert_str_eq(text ? text : "none", want);
    free(text);
}

Test(alarms, each_leg_has_its_own_and_they_end)
{
    json_t *record = json_object();
    cr_assert(take(record, SILENT("l1", "no-packets", "100")));
    cr_assert(take(record, SILENT("l2", "no-audio", "100")));
    cr_assert(take(record, AUDIBLE("l1", "100", "5000")));
    cr_assert(take(record, SILENT("l1", "comfort-only", "9000")));
    check(record, "[{\"leg\":\"l1\",\"cause\":\"no-packets\",\"since_ms\":100,\"silent_ms\":5000},"
                  "{\"leg\":\"l2\",\"cause\":\"no-audio\",\"since_ms\":100},"
                  "{\"leg\":\"l1\",\"cause\":\"comfort-only\",\"since_ms\":9000}]");
    json_decref(record);
}

/* After a crash the engine tells everything since the last acknowledgement again. */
Test(alarms, told_again_they_change_nothing)
{
    static const char *const event[] = {
        SILENT("l1", "no-packets", "100"), AUDIBLE("l1", "100", "5000"),
        SILENT("l1", "undecodable", "9000"), AUDIBLE("l1", "9000", "1000"),
        SILENT("l1", "no-audio", "20000")};
    size_t count = sizeof event / sizeof event[0];
    json_t *record = json_object();
    for (size_t i = 0; i < count; i++) {
        cr_assert(take(record, event[i]), "%zu", i);
        json_t *before = json_deep_copy(record);
        for (size_t k = 0; k <= i; k++) {
            cr_assert_not(take(record, event[k]), "%zu again after %zu", k, i);
        }
        cr_assert(json_equal(before, record));
        json_decref(before);
    }
    json_decref(record);
}

Test(alarms, an_end_without_a_beginning_is_nothing)
{
    json_t *record = json_object();
    cr_assert_not(take(record, AUDIBLE("l1", "100", "5000")));
    cr_assert_eq(json_object_size(record), 0);
    json_decref(record);
}

Test(alarms, beyond_the_limit_they_are_counted)
{
    json_t *record = json_object();
    for (unsigned i = 0; i < SLR_ALARMS_MAX + 3; i++) {
        char text[128];
        snprintf(text, sizeof text, SILENT("l1", "no-packets", "%u"), i * 1000);
        cr_assert(take(record, text));
    }
    cr_assert_eq(json_array_size(json_object_get(record, "alarms")), SLR_ALARMS_MAX);
    cr_assert_eq(slr_json_i64(record, "alarms_more", 0), 3);
    json_decref(record);
}

Test(alarms, what_is_no_alarm_is_not_taken)
{
    static const char *const text[] = {
        "{}",
        "{\"ev\":\"leg_heard\",\"leg\":\"l1\",\"since_ms\":1}",
        "{\"ev\":\"leg_silent\",\"since_ms\":1,\"cause\":\"no-audio\"}",
        "{\"ev\":\"leg_silent\",\"leg\":7,\"since_ms\":1}",
        "{\"ev\":\"leg_silent\",\"leg\":\"l1\"}",
        "{\"ev\":\"leg_silent\",\"leg\":\"l1\",\"since_ms\":-1}",
        "{\"ev\":\"leg_audible\",\"leg\":\"l1\",\"since_ms\":1}",
        "{\"ev\":\"leg_audible\",\"leg\":\"l1\",\"silent_ms\":1}",
    };
    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++) {
        cr_assert_null(of(text[i]), "%s", text[i]);
    }
    json_t *record = json_pack("{s:s}", "alarms", "not a list");
    cr_assert(take(record, SILENT("l1", "of another version", "5")));
    check(record, "[{\"leg\":\"l1\",\"cause\":\"unknown\",\"since_ms\":5}]");
    cr_assert_not(slr_alarms_take(record, NULL));
    json_decref(record);
}

Test(alarms, causes_have_an_index)
{
    for (size_t i = 0; i < SLR_ALARM_CAUSES; i++) {
        cr_assert_eq(slr_alarm_cause_index(slr_alarm_cause(i)), i);
    }
    cr_assert_eq(slr_alarm_cause_index(NULL), SLR_ALARM_CAUSES - 1);
    cr_assert_str_eq(slr_alarm_cause(99), "unknown");
}

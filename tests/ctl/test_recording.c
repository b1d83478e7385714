/* Records for the catalogue out of what engines say, here and elsewhere. */
#include <criterion/criterion.h>

#include "common/json.h"
#include "ctl/recording.h"

#define ID "0123456789abcdef0123456789abcdef"

static json_t *of(const char *text)
{
    json_t *event = json_loads(text, 0, NULL);
    cr_assert_not_null(event);
    json_t *record = slr_recording_of_event(event, "e1");
    json_decref(event);
    return record;
}

Test(recording, opened_and_sealed)
{
    json_t *r = of("{\"ev\":\"session_open\",\"session\":\"" ID "\",\"call\":\"\",\"wall_ns\":7}");
    cr_assert_str_eq(slr_json_str(r, "call"), ID, "a recording without a conversation is its own");
    cr_assert_str_eq(slr_json_str(r, "state"), "open");
    cr_assert_str_eq(slr_json_str(r, "engine"), "e1");
    cr_assert_eq(slr_json_i64(r, "start_wall_ns", 0), 7);
    json_decref(r);
    r = of("{\"ev\":\"sealed\",\"session\":\"" ID "\",\"call\":\"c\",\"state\":\"partial\","
           "\"file\":\"f\",\"bytes\":9,\"legs\":[{\"dn\":\"1\"},{\"dn\":\"\"},{\"dn\":\"2\"}]}");
    cr_assert_str_eq(slr_json_str(r, "state"), "partial");
    cr_assert_str_eq(slr_json_str(r, "file"), "f");
    cr_assert_eq(slr_json_i64(r, "bytes", 0), 9);
    cr_assert_eq(json_array_size(json_object_get(r, "dns")), 2);
    json_decref(r);
}

/* The record is merged into the stored one, which knows the parties. */
Test(recording, a_rescued_one_says_nothing_of_parties)
{
    json_t *r = of("{\"ev\":\"sealed\",\"session\":\"" ID "\",\"call\":\"\",\"state\":\"partial\","
                   "\"file\":\"f\",\"end_reason\":\"state-lost\",\"meta\":{},\"legs\":[]}");
    cr_assert_str_eq(slr_json_str(r, "file"), "f");
    cr_assert_null(json_object_get(r, "call"));
    cr_assert_null(json_object_get(r, "dns"));
    cr_assert_null(json_object_get(r, "legs"));
    cr_assert_null(json_object_get(r, "meta"));
    json_decref(r);
}

Test(recording, failed_and_deleted)
{
    json_t *r = of("{\"ev\":\"failed\",\"session\":\"" ID "\",\"err\":\"IO\"}");
    cr_assert_str_eq(slr_json_str(r, "state"), "failed");
    cr_assert_str_eq(slr_json_str(r, "end_reason"), "IO");
    json_decref(r);
    r = of("{\"ev\":\"deleted\",\"session\":\"" ID "\"}");
    cr_assert_str_eq(slr_json_str(r, "state"), "deleted");
    json_decref(r);
}

Test(recording, what_is_not_as_it_should_be_is_left_out)
{
    cr_assert_null(of("{\"ev\":\"ping\"}"));
    cr_assert_null(of("{\"ev\":\"sealed\",\"session\":\"../x\",\"state\":\"sealed\"}"));
    cr_assert_null(of("{\"ev\":\"sealed\",\"session\":\"" ID "\",\"state\":\"open\"}"));
    cr_assert_null(of("{\"ev\":\"sealed\",\"session\":\"" ID "\",\"state\":5}"));
    json_t *r = of("{\"ev\":\"sealed\",\"session\":\"" ID "\",\"state\":\"sealed\",\"file\":5,"
                   "\"bytes\":\"9\",\"legs\":{},\"meta\":[]}");
    cr_assert_null(json_object_get(r, "file"));
    cr_assert_null(json_object_get(r, "bytes"));
    cr_assert_null(json_object_get(r, "legs"));
    cr_assert_null(json_object_get(r, "meta"));
    json_decref(r);
}

Test(recording, of_a_snapshot)
{
    json_t *s = json_pack("{s:s, s:s, s:s}", "session", ID, "call", "c", "state", "sealing");
    json_t *r = slr_recording_of_session(s, "e1");
    cr_assert_str_eq(slr_json_str(r, "state"), "sealing");
    json_decref(r);
    json_object_set_new(s, "state", json_string("sealed"));
    cr_assert_null(slr_recording_of_session(s, "e1"));
    cr_assert_null(slr_recording_of_session(NULL, "e1"));
    json_decref(s);
}

/* Sealed as WAV for now: what is told later changes what was made, and nothing else. */
Test(recording, encoded_later)
{
    json_t *r = of("{\"ev\":\"sealed\",\"session\":\"" ID "\",\"call\":\"c\",\"state\":\"sealed\","
                   "\"file\":\"encode/" ID ".wav\",\"encoding\":\"pending\"}");
    cr_assert_str_eq(json_string_value(json_object_get(r, "encoding")), "pending");
    json_decref(r);
    r = of("{\"ev\":\"encode_failed\",\"session\":\"" ID "\",\"err\":\"NOSPACE\"}");
    cr_assert_str_eq(json_string_value(json_object_get(r, "encoding")), "failed");
    cr_assert_eq(json_object_size(r), 2u);
    json_decref(r);
    r = of("{\"ev\":\"encoded\",\"session\":\"" ID "\",\"file\":\"20260101/" ID ".opus\","
           "\"container\":\"opus\",\"bytes\":77,\"frames\":\"x\",\"call\":\"other\"}");
    cr_assert_str_eq(json_string_value(json_object_get(r, "encoding")), "done");
    cr_assert_str_eq(json_string_value(json_object_get(r, "file")), "20260101/" ID ".opus");
    cr_assert_str_eq(json_string_value(json_object_get(r, "container")), "opus");
    cr_assert_eq(json_integer_value(json_object_get(r, "bytes")), 77);
    cr_assert_null(json_object_get(r, "frames"));
    cr_assert_null(json_object_get(r, "call"));
    cr_assert_null(json_object_get(r, "state"));
    json_decref(r);
}

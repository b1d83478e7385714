/*
 * recording: see recording.h. Pure; the events may come from another host, so that nothing in them
 * is taken for granted.
 */
#include "ctl/recording.h"

#include <stddef.h>
#include <string.h>

#include "common/id.h"
#include "common/json.h"

static bool is_one_of(const char *text, const char *const *list, size_t count)
{
    for (size_t i = 0; text && i < count; i++) {
        if (strcmp(text, list[i]) == 0) {
            return true;
        }
    }
    return false;
}

static json_t *opened(const json_t *from, const char *session, const char *engine,
                      const char *state)
{
    const char *call = slr_json_str(from, "call");
    json_t *record =
        json_pack("{s:s, s:s, s:s, s:I, s:s}", "id", session, "call",
                  call && call[0] ? call : session, "state", state, "start_wall_ns",
                  (json_int_t)slr_json_i64(from, "start_wall_ns", slr_json_i64(from, "wall_ns", 0)),
                  "engine", engine);
    json_t *meta = json_object_get(from, "meta");
    if (record && json_is_object(meta)) {
        json_object_set(record, "meta", meta);
    }
    return record;
}

/* Members as they came, if they have the type that they should have. */
static void copy(json_t *record, const json_t *ev, const char *const *names, size_t count,
                 bool (*fits)(const json_t *))
{
    for (size_t i = 0; i < count; i++) {
        json_t *value = json_object_get(ev, names[i]);
        if (value && fits(value)) {
            json_object_set(record, names[i], value);
        }
    }
}

static bool is_text(const json_t *v)
{
    return json_is_string(v);
}

static bool is_number(const json_t *v)
{
    return json_is_integer(v);
}

static bool is_list(const json_t *v)
{
    return json_is_array(v);
}

static json_t *dns_of(const json_t *legs)
{
    json_t *dns = json_array(), *leg;
    size_t i;
    json_array_foreach(legs, i, leg)
    {
        const char *dn = slr_json_str(leg, "dn");
        if (dns && dn && dn[0]) {
            (void)json_array_append_new(dns, json_string(dn));
        }
    }
    return dns;
}

/* Who spoke with whom. An engine that lost its state knows nothing of that: what is stored stays.
 */
static void copy_parties(json_t *record, const json_t *ev, const char *session)
{
    const char *call = slr_json_str(ev, "call");
    json_t *meta = json_object_get(ev, "meta"), *legs = json_object_get(ev, "legs");
    json_object_set_new(record, "call", json_string(call && call[0] ? call : session));
    json_object_set_new(record, "dns", dns_of(legs));
    if (json_is_object(meta)) {
        json_object_set(record, "meta", meta);
    }
    if (json_is_array(legs)) {
        json_object_set(record, "legs", legs);
    }
}

static json_t *sealed(const json_t *ev, const char *session, const char *engine)
{
    static const char *const texts[] = {"file",   "ledger",     "container", "mime",
                                        "format", "media_hash", "end_reason"};
    static const char *const numbers[] = {"channels", "sample_hz",     "frames",     "len_ms",
                                          "bytes",    "start_wall_ns", "end_wall_ns"};
    static const char *const states[] = {"sealed", "partial", "orphan"};
    const char *state = slr_json_str(ev, "state"), *reason = slr_json_str(ev, "end_reason");
    if (!is_one_of(state, states, sizeof states / sizeof states[0])) {
        return NULL;
    }
    json_t *record = json_pack("{s:s, s:s, s:s}", "id", session, "engine", engine, "state", state);
    if (!record) {
        return NULL;
    }
    copy(record, ev, texts, sizeof texts / sizeof texts[0], is_text);
    copy(record, ev, numbers, sizeof numbers / sizeof numbers[0], is_number);
    copy(record, ev, &(const char *){"files"}, 1, is_list);
    copy(record, ev, &(const char *){"encoding"}, 1, is_text);
    if (!reason || strcmp(reason, "state-lost") != 0) {
        copy_parties(record, ev, session);
    }
    return record;
}

/* What was sealed as WAV has its final files now. */
static json_t *encoded(const json_t *ev, const char *session)
{
    static const char *const texts[] = {"file", "ledger", "container",
                                        "mime", "format", "media_hash"};
    static const char *const numbers[] = {"channels", "sample_hz", "frames", "bytes"};
    json_t *record = json_pack("{s:s, s:s}", "id", session, "encoding", "done");
    if (record) {
        copy(record, ev, texts, sizeof texts / sizeof texts[0], is_text);
        copy(record, ev, numbers, sizeof numbers / sizeof numbers[0], is_number);
        copy(record, ev, &(const char *){"files"}, 1, is_list);
    }
    return record;
}

json_t *slr_recording_of_event(const json_t *event, const char *engine)
{
    const char *name = slr_json_str(event, "ev");
    const char *session = slr_json_str(event, "session");
    if (!name || !session || !slr_id_valid(session)) {
        return NULL;
    }
    if (strcmp(name, "session_open") == 0) {
        return opened(event, session, engine, "open");
    }
    if (strcmp(name, "sealed") == 0) {
        return sealed(event, session, engine);
    }
    if (strcmp(name, "encoded") == 0) {
        return encoded(event, session);
    }
    if (strcmp(name, "encode_failed") == 0) {
        return json_pack("{s:s, s:s}", "id", session, "encoding", "failed");
    }
    if (strcmp(name, "failed") == 0) {
        const char *err = slr_json_str(event, "err");
        return json_pack("{s:s, s:s, s:s, s:I}", "id", session, "state", "failed", "end_reason",
                         err ? err : "failed", "end_wall_ns",
                         (json_int_t)slr_json_i64(event, "wall_ns", 0));
    }
    if (strcmp(name, "deleted") == 0) {
        return json_pack("{s:s, s:s}", "id", session, "state", "deleted");
    }
    return NULL;
}

json_t *slr_recording_of_session(const json_t *session, const char *engine)
{
    static const char *const states[] = {"open", "sealing"};
    const char *id = slr_json_str(session, "session"), *state = slr_json_str(session, "state");
    if (!id || !slr_id_valid(id) || !is_one_of(state, states, 2)) {
        return NULL;
    }
    return opened(session, id, engine, state);
}

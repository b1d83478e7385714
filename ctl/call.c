/*
 * call: see call.h. Owned by the signalling thread.
 */
#include "ctl/call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "ctl/alarms.h"

static void copy_text(char *out, size_t size_bytes, const char *text)
{
    (void)snprintf(out, size_bytes, "%s", text ? text : "");
}

struct slr_call *slr_call_new(const char *key, const char *session)
{
    struct slr_call *c = calloc(1, sizeof(*c));
    if (!c) {
        return NULL;
    }
    c->meta = json_object();
    if (!c->meta) {
        free(c);
        return NULL;
    }
    copy_text(c->key, sizeof c->key, key);
    copy_text(c->session, sizeof c->session, session);
    c->segment = 1;
    c->channels = 2;
    return c;
}

void slr_call_free(struct slr_call *c)
{
    if (c) {
        json_decref(c->meta);
        free(c);
    }
}

enum slr_call_wish slr_call_wish_of(const struct slr_recuri *r, const char *record_dn,
                                    const char *dn)
{
    if (record_dn[0] && dn[0]) {
        return strcmp(record_dn, dn) == 0 ? SLR_CALL_RECORDED : SLR_CALL_OTHER;
    }
    if (r && r->side == SLR_RECURI_NEAR) {
        return SLR_CALL_RECORDED;
    }
    if (r && r->side == SLR_RECURI_FAR) {
        return SLR_CALL_OTHER;
    }
    return SLR_CALL_ANY;
}

static uint8_t used_channels(const struct slr_call *c)
{
    uint8_t used = 0;
    for (uint8_t i = 0; i < c->leg_count; i++) {
        used = (uint8_t)(used | (1U << (c->leg[i].channel & 7U)));
    }
    return used;
}

uint8_t slr_call_channels(const struct slr_call *c)
{
    uint8_t channels = c->channels;
    for (uint8_t i = 0; i < c->leg_count; i++) {
        if (c->leg[i].channel >= channels) {
            channels = (uint8_t)(c->leg[i].channel + 1);
        }
    }
    return channels;
}

bool slr_call_grows(const struct slr_call *c, slr_wall now)
{
    return !c->fixed && slr_call_channels(c) < SLR_CALL_CHANNELS_MAX &&
           (c->heard.ns == 0 || now.ns - c->heard.ns < SLR_CALL_GROWS_MS * SLR_NS_PER_MS);
}

uint32_t slr_call_room(const struct slr_call *c, slr_wall now)
{
    uint8_t channels = slr_call_channels(c);
    uint32_t room = slr_call_grows(c, now) ? (uint32_t)(SLR_CALL_CHANNELS_MAX - channels) : 0;
    for (uint8_t i = 0; i < channels; i++) {
        room += used_channels(c) & (1U << i) ? 0 : 1;
    }
    return room;
}

/* A party beyond the channels of a file gets a recording of its own in the same conversation, never
 * a place in another party's channel. */
static bool has_room(const struct slr_call *c, slr_wall now)
{
    return c->leg_count < SLR_CALL_LEGS_MAX && slr_call_room(c, now) > 0;
}

static bool joins(const struct slr_call *c, const char *dn, slr_wall now)
{
    if (c->state == SLR_CALL_SEALING || !has_room(c, now)) {
        return false;
    }
    if (!dn[0]) {
        return c->leg_count < 2;
    }
    for (uint8_t i = 0; i < c->leg_count; i++) {
        if (strcmp(c->leg[i].dn, dn) == 0) {
            return false;
        }
    }
    return true;
}

struct slr_call *slr_call_match(struct slr_call *newest, const char *dn, slr_wall now)
{
    for (struct slr_call *c = newest; c; c = c->older) {
        if (joins(c, dn, now)) {
            return c;
        }
    }
    return NULL;
}

uint8_t slr_call_place(const struct slr_call *c, enum slr_call_wish wish, slr_wall now)
{
    uint8_t used = used_channels(c), channels = slr_call_channels(c);
    if (wish == SLR_CALL_RECORDED && !(used & 1U)) {
        return 0;
    }
    for (uint8_t i = wish == SLR_CALL_ANY ? 0 : 1; i < channels; i++) {
        if (!(used & (1U << i))) {
            return i;
        }
    }
    if (slr_call_grows(c, now)) {
        return channels;
    }
    /* the recorded party's own channel stays free for it as long as there is another choice */
    return used & 1U ? SLR_CALL_NO_CHANNEL : 0;
}

struct slr_call_leg *slr_call_add_leg(struct slr_call *c, const char *dn, uint8_t channel)
{
    if (c->leg_count == SLR_CALL_LEGS_MAX || channel >= SLR_CALL_CHANNELS_MAX) {
        return NULL;
    }
    struct slr_call_leg *leg = &c->leg[c->leg_count++];
    *leg = (struct slr_call_leg){.channel = channel, .state = SLR_LEG_OPENING};
    copy_text(leg->dn, sizeof leg->dn, dn);
    (void)snprintf(leg->id, sizeof leg->id, "l%u", ++c->leg_seq);
    return leg;
}

struct slr_call_leg *slr_call_leg_by_id(struct slr_call *c, const char *id)
{
    for (uint8_t i = 0; id && i < c->leg_count; i++) {
        if (strcmp(c->leg[i].id, id) == 0) {
            return &c->leg[i];
        }
    }
    return NULL;
}

void slr_call_remove_leg(struct slr_call *c, const char *id)
{
    struct slr_call_leg *leg = slr_call_leg_by_id(c, id);
    if (leg) {
        size_t behind = (size_t)(&c->leg[c->leg_count] - leg) - 1;
        memmove(leg, leg + 1, behind * sizeof(*leg));
        c->leg_count--;
    }
}

bool slr_call_note_silence(struct slr_call *c, const char *id, const char *cause, int64_t since_ms)
{
    struct slr_call_leg *leg = slr_call_leg_by_id(c, id);
    const char *now = cause ? slr_alarm_cause(slr_alarm_cause_index(cause)) : "";
    if (!leg || strcmp(leg->silent, now) == 0) {
        return false;
    }
    copy_text(leg->silent, sizeof leg->silent, now);
    leg->silent_since_ms = cause ? since_ms : 0;
    return true;
}

bool slr_call_has_open_leg(const struct slr_call *c)
{
    for (uint8_t i = 0; i < c->leg_count; i++) {
        if (c->leg[i].state != SLR_LEG_CLOSED) {
            return true;
        }
    }
    return false;
}

const char *slr_call_state_name(enum slr_call_state state)
{
    switch (state) {
    case SLR_CALL_OPENING:
    case SLR_CALL_OPEN:
        return "open";
    case SLR_CALL_SEALING:
        return "sealing";
    }
    return "?";
}

static json_t *legs_to_json(const struct slr_call *c)
{
    json_t *legs = json_array();
    for (uint8_t i = 0; legs && i < c->leg_count; i++) {
        const struct slr_call_leg *leg = &c->leg[i];
        json_t *one = json_pack("{s:s, s:s, s:i, s:b}", "leg", leg->id, "dn", leg->dn, "channel",
                                (int)leg->channel, "open", leg->state != SLR_LEG_CLOSED);
        if (one && leg->silent[0] && leg->state != SLR_LEG_CLOSED) {
            json_object_set_new(one, "silent", json_string(leg->silent));
            json_object_set_new(one, "silent_since_ms", json_integer(leg->silent_since_ms));
        }
        if (!one || json_array_append_new(legs, one) != 0) {
            json_decref(legs);
            return NULL;
        }
    }
    return legs;
}

json_t *slr_call_to_json(const struct slr_call *c)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:i, s:b, s:I, s:o, s:O}", "key",
                     c->key, "call", c->id, "session", c->session, "record_dn", c->record_dn,
                     "end_reason", c->end_reason, "state", slr_call_state_name(c->state), "segment",
                     (json_int_t)c->segment, "leg_seq", (json_int_t)c->leg_seq, "channels",
                     (int)c->channels, "paused", c->paused, "start_wall_ns",
                     (json_int_t)c->start.ns, "legs", legs_to_json(c), "meta", c->meta);
}

json_t *slr_call_describe(const struct slr_call *c)
{
    char start[32];
    slr_wall_format(c->start, start);
    /* a copy: the description goes to another thread */
    return json_pack("{s:s, s:s, s:s, s:b, s:s, s:i, s:I, s:o, s:o}", "id", c->session, "call",
                     c->id, "state", slr_call_state_name(c->state), "paused", c->paused, "start",
                     start, "channels", (int)slr_call_channels(c), "segment",
                     (json_int_t)c->segment, "legs", legs_to_json(c), "meta",
                     json_deep_copy(c->meta));
}

static void legs_from_json(struct slr_call *c, const json_t *legs)
{
    size_t i;
    json_t *one;
    json_array_foreach(legs, i, one)
    {
        uint64_t channel = slr_json_u64(one, "channel", SLR_CALL_CHANNELS_MAX);
        if (c->leg_count == SLR_CALL_LEGS_MAX || channel >= SLR_CALL_CHANNELS_MAX) {
            continue;
        }
        struct slr_call_leg *leg = &c->leg[c->leg_count++];
        copy_text(leg->id, sizeof leg->id, slr_json_str(one, "leg"));
        copy_text(leg->dn, sizeof leg->dn, slr_json_str(one, "dn"));
        leg->channel = (uint8_t)channel;
        leg->state = slr_json_bool(one, "open", true) ? SLR_LEG_OPEN : SLR_LEG_CLOSED;
        const char *silent = slr_json_str(one, "silent");
        if (silent) {
            (void)slr_call_note_silence(c, leg->id, silent,
                                        slr_json_i64(one, "silent_since_ms", 0));
        }
    }
}

struct slr_call *slr_call_from_json(const json_t *record)
{
    const char *session = slr_json_str(record, "session");
    const char *key = slr_json_str(record, "key");
    const char *state = slr_json_str(record, "state");
    if (!session || !slr_id_valid(session) || !key || !state) {
        return NULL;
    }
    struct slr_call *c = slr_call_new(key, session);
    if (!c) {
        return NULL;
    }
    copy_text(c->id, sizeof c->id, slr_json_str(record, "call"));
    copy_text(c->record_dn, sizeof c->record_dn, slr_json_str(record, "record_dn"));
    copy_text(c->end_reason, sizeof c->end_reason, slr_json_str(record, "end_reason"));
    c->state = strcmp(state, "sealing") == 0 ? SLR_CALL_SEALING : SLR_CALL_OPEN;
    c->segment = (uint32_t)slr_json_u64(record, "segment", 1);
    c->leg_seq = (uint32_t)slr_json_u64(record, "leg_seq", SLR_CALL_LEGS_MAX);
    c->channels = (uint8_t)slr_json_u64(record, "channels", 2);
    c->stored = true;
    c->paused = slr_json_bool(record, "paused", false);
    c->start.ns = slr_json_i64(record, "start_wall_ns", 0);
    json_t *meta = json_object_get(record, "meta");
    if (json_is_object(meta)) {
        json_decref(c->meta);
        c->meta = json_deep_copy(meta);
    }
    legs_from_json(c, json_object_get(record, "legs"));
    if (!c->meta) {
        slr_call_free(c);
        return NULL;
    }
    return c;
}

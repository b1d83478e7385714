/*
 * calls: see calls.h. Owned by the signalling thread; allocates per command and call.
 */
#include "ctl/calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "storage/format.h"

struct slr_call *slr_calls_newest(const struct slr_core *core, const char *key)
{
    return key[0] ? slr_table_get(&core->keys, key) : NULL;
}

struct slr_call *slr_calls_get(const struct slr_core *core, const char *session)
{
    return session ? slr_table_get(&core->sessions, session) : NULL;
}

enum slr_err slr_calls_adopt(struct slr_core *core, struct slr_call *call)
{
    if (slr_table_get(&core->sessions, call->session)) {
        return SLR_EXISTS;
    }
    struct slr_call *older = slr_calls_newest(core, call->key);
    if (call->key[0] && slr_table_put(&core->keys, call->key, call) != SLR_OK) {
        return SLR_NOMEM;
    }
    if (slr_table_put(&core->sessions, call->session, call) != SLR_OK) {
        if (older) {
            (void)!slr_table_put(&core->keys, call->key, older); /* the key is there: no memory */
        } else {
            (void)slr_table_take(&core->keys, call->key);
        }
        return SLR_NOMEM;
    }
    call->older = older;
    return SLR_OK;
}

struct slr_call *slr_calls_new(struct slr_core *core, const char *key)
{
    char session[SLR_ID_SIZE];
    slr_idgen_next(&core->idgen, slr_core_now(core), session);
    struct slr_call *call = slr_call_new(key, session);
    if (!call) {
        return NULL;
    }
    struct slr_call *older = slr_calls_newest(core, key);
    call->segment = older ? older->segment + 1 : 1;
    call->start = slr_core_now(core);
    if (slr_calls_adopt(core, call) != SLR_OK) {
        slr_call_free(call);
        return NULL;
    }
    if (older) {
        slr_core_count(core, SLR_CORE_M_SEGMENTS);
    }
    slr_core_count(core, SLR_CORE_M_SESSIONS);
    return call;
}

/* Takes a call out of the chain of its key. */
static void unchain(struct slr_core *core, struct slr_call *call)
{
    struct slr_call *newest = slr_calls_newest(core, call->key);
    if (newest == call) {
        if (call->older) {
            (void)!slr_table_put(&core->keys, call->key, call->older); /* replaces: no memory */
        } else {
            (void)slr_table_take(&core->keys, call->key);
        }
        return;
    }
    for (struct slr_call *c = newest; c; c = c->older) {
        if (c->older == call) {
            c->older = call->older;
            return;
        }
    }
}

void slr_calls_forget(struct slr_core *core, struct slr_call *call)
{
    unchain(core, call);
    (void)slr_table_take(&core->sessions, call->session);
    if (call->stored) {
        slr_core_stored(core, slr_store_delete_call(core->store, call->session, NULL, NULL),
                        "delete_call");
    }
    slr_call_free(call);
}

static json_t *dns_of(const struct slr_call *call)
{
    json_t *dns = json_array();
    for (uint8_t i = 0; dns && i < call->leg_count; i++) {
        if (call->leg[i].dn[0]) {
            (void)json_array_append_new(dns, json_string(call->leg[i].dn));
        }
    }
    return dns;
}

void slr_calls_store(struct slr_core *core, struct slr_call *call)
{
    json_t *record = slr_call_to_json(call);
    json_t *recording =
        json_pack("{s:s, s:s, s:s, s:i, s:I, s:o, s:O, s:s}", "id", call->session, "call", call->id,
                  "state", slr_call_state_name(call->state), "channels",
                  (int)slr_call_channels(call), "start_wall_ns", (json_int_t)call->start.ns, "dns",
                  dns_of(call), "meta", call->meta, "engine", core->engine_id);
    if (!record || !recording) {
        json_decref(record);
        json_decref(recording);
        slr_core_stored(core, SLR_NOMEM, "call");
        return;
    }
    call->stored = true;
    slr_core_stored(core, slr_store_put_recording(core->store, recording, NULL, NULL), "recording");
    slr_core_stored(core, slr_store_put_call(core->store, call->session, record, NULL, NULL),
                    "call");
}

static const char *type_of(const struct slr_core_config *cfg)
{
    bool none = !cfg->compression || strcmp(cfg->compression, "none") == 0;
    return none ? cfg->mime_type_default : cfg->compression;
}

enum slr_err slr_calls_output_check(const struct slr_core_config *cfg, const char **why)
{
    static const char *const words[] = {"none", "opus", "gsm", "flac"};
    struct slr_output output;
    bool known = !cfg->compression;
    for (size_t i = 0; cfg->compression && i < sizeof words / sizeof words[0]; i++) {
        known |= strcmp(cfg->compression, words[i]) == 0;
    }
    *why = "compression is none, opus, gsm or flac";
    return known ? slr_output_of_words(type_of(cfg), cfg->layout, cfg->rate_hz, cfg->cut_pauses,
                                       &output, why)
                 : SLR_UNSUPPORTED;
}

void slr_calls_put_output(const struct slr_core_config *cfg, json_t *cmd)
{
    const char *type = type_of(cfg);
    json_t *output = json_object();
    bool ok = output != NULL;
    ok = ok && (!type || !type[0] || json_object_set_new(output, "type", json_string(type)) == 0);
    ok = ok &&
         (!cfg->layout || json_object_set_new(output, "layout", json_string(cfg->layout)) == 0);
    ok = ok &&
         (!cfg->rate_hz || json_object_set_new(output, "rate", json_integer(cfg->rate_hz)) == 0);
    ok = ok && (!cfg->cut_pauses || json_object_set_new(output, "cut_pauses", json_true()) == 0);
    if (ok && json_object_size(output) > 0) {
        (void)json_object_set(cmd, "output", output);
    }
    json_decref(output);
}

enum slr_err slr_calls_open_session(struct slr_core *core, struct slr_call *call, uint32_t reserve,
                                    slr_link_done done, void *ctx)
{
    json_t *cmd = json_pack("{s:s, s:s, s:s, s:i, s:I, s:O}", "cmd", "session_open", "session",
                            call->session, "call", call->id, "channels", (int)call->channels,
                            "reserve", (json_int_t)reserve, "meta", call->meta);
    if (cmd) {
        slr_calls_put_output(core->cfg, cmd);
    }
    if (cmd && core->passive) {
        json_object_set_new(cmd, "start_wall_ns", json_integer((json_int_t)call->start.ns));
    }
    return slr_link_send(core->link, cmd, SLR_LINK_ONCE, SLR_CORE_ANSWER_MS, done, ctx);
}

json_t *slr_calls_codec(const struct slr_sdp_codec *c)
{
    const char *name;
    uint32_t clock_hz;
    slr_sdp_codec_meant(c, &name, &clock_hz);
    return json_pack("{s:i, s:s, s:I, s:i, s:s}", "pt", (int)c->pt, "name", name, "clock",
                     (json_int_t)clock_hz, "ch", (int)c->channels, "fmtp", c->fmtp);
}

json_t *slr_calls_codecs(const struct slr_sdp_media *media)
{
    json_t *list = json_array();
    for (uint8_t i = 0; list && i < media->codec_count; i++) {
        const struct slr_sdp_codec *c = &media->codec[i];
        if (!slr_sdp_codec_taken(c) || json_array_size(list) >= SLR_CALLS_CODECS_MAX) {
            continue;
        }
        (void)json_array_append_new(list, slr_calls_codec(c));
    }
    return list;
}

/* The fields that leg_open and leg_update share. */
static void set_media(json_t *cmd, const struct slr_sdp_media *media)
{
    char ip[SLR_ADDR_TEXT_SIZE] = "";
    if (media->addr.family != 0) {
        slr_addr_format_ip(&media->addr, ip);
    }
    json_t *ssrc = json_array();
    for (uint8_t i = 0; i < media->ssrc_count; i++) {
        (void)json_array_append_new(ssrc, json_integer((json_int_t)media->ssrc[i]));
    }
    json_object_set_new(cmd, "codecs", slr_calls_codecs(media));
    json_object_set_new(cmd, "source_ip", json_string(ip));
    json_object_set_new(cmd, "source_port", json_integer(media->addr.family ? media->port : 0));
    json_object_set_new(cmd, "hold", json_boolean(slr_sdp_media_held(media)));
    json_object_set_new(cmd, "ssrc", ssrc);
    json_object_set_new(cmd, "srtp", slr_sdp_crypto_json(slr_sdp_media_crypto(media)));
}

enum slr_err slr_calls_open_leg(struct slr_core *core, struct slr_call *call,
                                const struct slr_call_leg *leg, const struct slr_sdp_media *media,
                                slr_link_done done, void *ctx)
{
    json_t *cmd =
        json_pack("{s:s, s:s, s:s, s:i, s:s, s:i, s:i}", "cmd", "leg_open", "session",
                  call->session, "leg", leg->id, "channel", (int)leg->channel, "dn", leg->dn,
                  "family", media->addr.family == 6 ? 6 : 4, "ptime_ms", (int)media->ptime_ms);
    if (cmd) {
        set_media(cmd, media);
    }
    return slr_link_send(core->link, cmd, SLR_LINK_ONCE, SLR_CORE_ANSWER_MS, done, ctx);
}

/* Kept commands can only fail for want of memory or with 100,000 of them waiting. */
static void keep(struct slr_core *core, json_t *cmd, const char *what)
{
    enum slr_err err = slr_link_send(core->link, cmd, SLR_LINK_KEEP, 0, NULL, NULL);
    if (err != SLR_OK) {
        SLR_ERROR("command_lost", "cmd=%s err=%s", what, slr_err_name(err));
    }
}

void slr_calls_update_leg(struct slr_core *core, struct slr_call *call,
                          const struct slr_call_leg *leg, const struct slr_sdp_media *media)
{
    json_t *cmd =
        json_pack("{s:s, s:s, s:s}", "cmd", "leg_update", "session", call->session, "leg", leg->id);
    if (cmd) {
        set_media(cmd, media);
    }
    keep(core, cmd, "leg_update");
}

void slr_calls_close_leg(struct slr_core *core, struct slr_call *call, struct slr_call_leg *leg,
                         const char *reason)
{
    if (leg->state == SLR_LEG_CLOSED) {
        return;
    }
    leg->state = SLR_LEG_CLOSED;
    keep(core,
         json_pack("{s:s, s:s, s:s, s:s}", "cmd", "leg_close", "session", call->session, "leg",
                   leg->id, "reason", reason),
         "leg_close");
}

void slr_calls_send_meta(struct slr_core *core, struct slr_call *call)
{
    keep(core,
         json_pack("{s:s, s:s, s:O}", "cmd", "session_meta", "session", call->session, "meta",
                   call->meta),
         "session_meta");
}

/* Which call a session_close was for; the call itself may be gone when the answer comes. */
struct closing {
    struct slr_core *core;
    char session[SLR_ID_SIZE];
};

void slr_calls_lost(struct slr_core *core, struct slr_call *call, const char *reason)
{
    if (call->stored) {
        json_t *record =
            json_pack("{s:s, s:s, s:s, s:I}", "id", call->session, "state", "failed", "end_reason",
                      reason, "end_wall_ns", (json_int_t)slr_core_now(core).ns);
        slr_core_stored(core, slr_store_put_recording(core->store, record, NULL, NULL),
                        "recording");
    }
    slr_calls_forget(core, call);
}

/* A session that the engine does not know has nothing to seal: its opening never arrived. */
static void on_closed(void *ctx, enum slr_err result, const json_t *answer)
{
    struct closing *c = ctx;
    struct slr_call *call = slr_calls_get(c->core, c->session);
    (void)answer;
    if (result == SLR_NOTFOUND && call && call->state == SLR_CALL_SEALING && call->dialogs == 0) {
        slr_calls_lost(c->core, call, "not_opened");
    }
    free(c);
}

static void send_close(struct slr_core *core, const struct slr_call *call, const char *reason)
{
    struct closing *c = malloc(sizeof(*c));
    if (c) {
        c->core = core;
        memcpy(c->session, call->session, sizeof c->session);
    }
    enum slr_err err = slr_link_send(core->link,
                                     json_pack("{s:s, s:s, s:s}", "cmd", "session_close", "session",
                                               call->session, "reason", reason),
                                     SLR_LINK_KEEP, 0, c ? on_closed : NULL, c);
    if (err != SLR_OK) {
        SLR_ERROR("command_lost", "cmd=session_close err=%s", slr_err_name(err));
        free(c);
    }
}

void slr_calls_close(struct slr_core *core, struct slr_call *call, const char *reason)
{
    if (call->state == SLR_CALL_SEALING) {
        return;
    }
    call->state = SLR_CALL_SEALING;
    (void)snprintf(call->end_reason, sizeof call->end_reason, "%s", reason);
    for (uint8_t i = 0; i < call->leg_count; i++) {
        call->leg[i].state = SLR_LEG_CLOSED;
    }
    send_close(core, call, reason);
    SLR_INFO("call_closed", "recording=%s call=%s reason=%s", call->session, SLR_Q(call->id),
             reason);
    if (call->stored) {
        slr_calls_store(core, call);
    }
}

void slr_calls_close_again(struct slr_core *core, struct slr_call *call)
{
    send_close(core, call, call->end_reason[0] ? call->end_reason : "bye");
}

/*
 * seam_cmd: one function a command, in the order of seam_cmd.def. No state of its own.
 */
#include "engine/seam_cmd.h"

#include <string.h>

#include "engine/seam_fields.h"
#include "storage/ledger.h"

struct run {
    const struct slr_seam_cmd_env *env;
    struct slr_fields f;
    json_t *answer;
};

struct slr_seam_cmd {
    const char *name;
    enum slr_err (*run)(struct run *r);
    bool changes;
};

static const char *read_session(struct run *r)
{
    const char *id = slr_fields_text(&r->f, "session", SLR_FIELD_REQUIRED, SLR_ID_SIZE - 1, "");
    if (!slr_id_valid(id)) {
        slr_fields_fail(&r->f, SLR_INVAL, "session: must be 32 lower-case hex digits");
    }
    return id;
}

static const char *read_leg(struct run *r)
{
    return slr_fields_text(&r->f, "leg", SLR_FIELD_REQUIRED, SLR_LEG_ID_SIZE - 1, "");
}

static json_t *read_meta(struct run *r, int need)
{
    json_t *meta = slr_fields_object(&r->f, "meta", need);
    if (meta && json_dumpb(meta, NULL, 0, JSON_COMPACT) >= SLR_META_SIZE) {
        slr_fields_fail(&r->f, SLR_TOOLONG, "meta: longer than %d bytes", SLR_META_SIZE - 1);
    }
    return meta;
}

static enum slr_source_policy default_policy(const struct run *r)
{
    const char *word = r->env->cfg->media_source;
    if (word && strcmp(word, "strict") == 0) {
        return SLR_SOURCE_STRICT;
    }
    return word && strcmp(word, "any") == 0 ? SLR_SOURCE_ANY : SLR_SOURCE_HOST;
}

static int default_digits(const struct run *r)
{
    const char *word = r->env->cfg->digits;
    if (word && strcmp(word, "mask") == 0) {
        return SLR_DIGITS_MASK;
    }
    return word && strcmp(word, "drop") == 0 ? SLR_DIGITS_DROP : SLR_DIGITS_KEEP;
}

/* What the final files are to be. What is absent is as the engine's options say, unless no file can
 * be both: what was asked for counts then, since no recording at all is worse. */
static void read_output(struct run *r, struct slr_session_params *p)
{
    const struct slr_engine_config *cfg = r->env->cfg;
    json_t *output = slr_fields_object(&r->f, "output", SLR_FIELD_OPTIONAL);
    const char *why = "";
    if (!output) {
        return;
    }
    struct slr_fields in = {output, r->f.err, r->f.text, r->f.text_size};
    const char *type = slr_fields_text(&in, "type", SLR_FIELD_OPTIONAL, 95, "");
    const char *layout = slr_fields_text(&in, "layout", SLR_FIELD_OPTIONAL, 15, "");
    int64_t rate = slr_fields_int(&in, "rate", SLR_FIELD_OPTIONAL, 0, 48000, -1);
    bool cut = slr_fields_bool(&in, "cut_pauses", SLR_FIELD_OPTIONAL, cfg->cut_pauses);
    r->f.err = in.err;
    if (r->f.err == SLR_OK &&
        slr_output_of_words(type[0] ? type : cfg->format, layout[0] ? layout : cfg->layout,
                            rate >= 0 ? (uint32_t)rate : cfg->rate_hz, cut, &p->output,
                            &why) != SLR_OK &&
        slr_output_of_words(type, layout, rate >= 0 ? (uint32_t)rate : 0, cut, &p->output, &why) !=
            SLR_OK) {
        slr_fields_fail(&r->f, SLR_UNSUPPORTED, "output: %s", why);
    }
    p->has_output = true;
}

static enum slr_err run_session_open(struct run *r)
{
    static const char *const digits[] = {"keep", "mask", "drop"};
    struct slr_session_params p = {.session = read_session(r)};
    slr_wall start = {0};

    p.call = slr_fields_text(&r->f, "call", SLR_FIELD_OPTIONAL, SLR_CALL_ID_SIZE - 1, "");
    p.channels =
        (uint32_t)slr_fields_int(&r->f, "channels", SLR_FIELD_REQUIRED, 1, SLR_MAX_CHANNELS, 1);
    p.reserve_streams =
        (uint32_t)slr_fields_int(&r->f, "reserve", SLR_FIELD_OPTIONAL, 0, SLR_MAX_CHANNELS * 2, 2);
    p.digit_policy = (uint8_t)slr_fields_word(&r->f, "digits", digits, 3, default_digits(r));
    p.meta = read_meta(r, SLR_FIELD_OPTIONAL);
    read_output(r, &p);
    p.start_wall.ns = slr_fields_int(&r->f, "start_wall_ns", SLR_FIELD_OPTIONAL, 0, INT64_MAX, 0);
    if (r->f.err != SLR_OK) {
        return r->f.err;
    }
    enum slr_err err = r->env->api->session_open(r->env->engine, &p, &start);
    if (err == SLR_OK || err == SLR_EXISTS) {
        r->answer = json_pack("{s:I}", "start_wall_ns", (json_int_t)start.ns);
    }
    const char *why = err == SLR_FULL && r->env->api->refusal_text
                          ? r->env->api->refusal_text(r->env->engine)
                          : NULL;
    if (why) {
        slr_fields_fail(&r->f, err, "%s", why);
    }
    return err;
}

/* Where the leg's media comes from, in either kind of run. */
static void read_source(struct run *r, struct slr_leg_params *p, bool opening)
{
    static const char *const policies[] = {"host", "strict", "any"};
    const struct slr_fields *f = &r->f;

    p->policy = (enum slr_source_policy)slr_fields_word(&r->f, "source_policy", policies, 3,
                                                        (int)default_policy(r));
    slr_fields_addr(&r->f, "source_ip", SLR_FIELD_OPTIONAL, false, &p->source);
    int64_t port = slr_fields_int(&r->f, "source_port", SLR_FIELD_OPTIONAL, 0, 65535, 0);
    p->source.port = p->source.family ? (uint16_t)port : 0;
    if (opening || slr_fields_has(f, "source_ip") || slr_fields_has(f, "source_policy")) {
        p->has |= SLR_LEG_HAS_SOURCE;
    }
    json_t *passive = slr_fields_object(&r->f, "passive", SLR_FIELD_OPTIONAL);
    if (passive) {
        struct slr_fields in = {passive, r->f.err, r->f.text, r->f.text_size};
        slr_fields_addr(&in, "dst", SLR_FIELD_REQUIRED, true, &p->passive_dst);
        slr_fields_addr(&in, "src_ip", SLR_FIELD_OPTIONAL, false, &p->passive_src);
        r->f.err = in.err;
        p->passive = true;
        p->has |= SLR_LEG_HAS_PASSIVE;
    }
    if ((opening && r->env->passive && !passive) || (passive && !r->env->passive)) {
        slr_fields_fail(&r->f, SLR_INVAL, "passive: only and always where the engine reads a file");
    }
}

static void read_leg_params(struct run *r, struct slr_leg_params *p, bool opening)
{
    p->session = read_session(r);
    p->leg = read_leg(r);
    p->dn = slr_fields_text(&r->f, "dn", SLR_FIELD_OPTIONAL, SLR_DN_SIZE - 1, opening ? "" : NULL);
    slr_fields_codecs(&r->f, p);
    slr_fields_ssrc(&r->f, p);
    slr_fields_srtp(&r->f, p);
    read_source(r, p, opening);
    p->hold = slr_fields_bool(&r->f, "hold", SLR_FIELD_OPTIONAL, false);
    p->has |= slr_fields_has(&r->f, "hold") ? SLR_LEG_HAS_HOLD : 0u;
    p->has |= p->dn ? SLR_LEG_HAS_DN : 0u;
}

static enum slr_err run_leg_open(struct run *r)
{
    struct slr_leg_params p = {.session = NULL};
    struct slr_leg_answer a = {.rtcp_port = 0};
    char ip[SLR_ADDR_TEXT_SIZE];

    read_leg_params(r, &p, true);
    p.channel =
        (uint32_t)slr_fields_int(&r->f, "channel", SLR_FIELD_REQUIRED, 0, SLR_MAX_CHANNELS - 1, 0);
    p.family = (uint8_t)slr_fields_int(&r->f, "family", SLR_FIELD_OPTIONAL, 0, 6, 0);
    if (p.family != 0 && p.family != 4 && p.family != 6) {
        slr_fields_fail(&r->f, SLR_INVAL, "family: must be 4 or 6");
    }
    (void)slr_fields_int(&r->f, "ptime_ms", SLR_FIELD_OPTIONAL, 0, 1000, 0);
    enum slr_err err = r->f.err;
    if (err == SLR_OK) {
        err = r->env->api->leg_open(r->env->engine, &p, &a);
    }
    explicit_bzero(p.srtp, sizeof p.srtp);
    if (err == SLR_OK && a.rtp.family != 0) {
        slr_addr_format_ip(&a.rtp, ip);
        r->answer = json_pack("{s:s,s:i,s:i}", "ip", ip, "port", (int)a.rtp.port, "rtcp_port",
                              (int)a.rtcp_port);
    }
    return err;
}

static enum slr_err run_leg_update(struct run *r)
{
    struct slr_leg_params p = {.session = NULL};
    read_leg_params(r, &p, false);
    enum slr_err err = r->f.err == SLR_OK ? r->env->api->leg_update(r->env->engine, &p) : r->f.err;
    explicit_bzero(p.srtp, sizeof p.srtp);
    return err;
}

static const char *read_reason(struct run *r)
{
    return slr_fields_text(&r->f, "reason", SLR_FIELD_OPTIONAL, 31, "");
}

static enum slr_err run_leg_close(struct run *r)
{
    const char *session = read_session(r), *leg = read_leg(r), *reason = read_reason(r);
    return r->f.err == SLR_OK ? r->env->api->leg_close(r->env->engine, session, leg, reason)
                              : r->f.err;
}

static enum slr_err pause_or_resume(struct run *r, bool on)
{
    const char *session = read_session(r);
    int64_t at_ticks = 0;
    int64_t max_ms =
        on ? slr_fields_int(&r->f, "max_ms", SLR_FIELD_OPTIONAL, 0, SLR_PAUSE_MAX_MS, 0) : 0;
    enum slr_err err = r->f.err;
    if (err == SLR_OK) {
        err = r->env->api->pause(r->env->engine, session, on, (uint32_t)max_ms, &at_ticks);
    }
    if (err == SLR_OK) {
        r->answer = json_pack("{s:I,s:b}", "at_ticks", (json_int_t)at_ticks, "paused", (int)on);
        if (r->answer && max_ms > 0) {
            json_object_set_new(r->answer, "max_ms", json_integer(max_ms));
        }
    }
    return err;
}

static enum slr_err run_session_pause(struct run *r)
{
    return pause_or_resume(r, true);
}

static enum slr_err run_session_resume(struct run *r)
{
    return pause_or_resume(r, false);
}

static enum slr_err run_session_meta(struct run *r)
{
    const char *session = read_session(r);
    json_t *meta = read_meta(r, SLR_FIELD_REQUIRED);
    return r->f.err == SLR_OK ? r->env->api->session_meta(r->env->engine, session, meta) : r->f.err;
}

static enum slr_err run_session_close(struct run *r)
{
    const char *session = read_session(r), *reason = read_reason(r);
    return r->f.err == SLR_OK ? r->env->api->session_close(r->env->engine, session, reason)
                              : r->f.err;
}

static enum slr_err run_recording_delete(struct run *r)
{
    const char *session = read_session(r);
    json_t *removed = NULL;
    enum slr_err err = r->f.err;
    if (err == SLR_OK) {
        err = r->env->api->recording_delete(r->env->engine, session, &removed);
    }
    if (err == SLR_OK) {
        r->answer = json_pack("{s:o}", "removed", removed ? removed : json_array());
    }
    return err;
}

static enum slr_err run_sip_data(struct run *r)
{
    int64_t n = slr_fields_int(&r->f, "n", SLR_FIELD_REQUIRED, 1, INT64_MAX, 0);
    const struct slr_seam_sip *sip = r->env->sip;
    if (r->f.err == SLR_OK && (!sip || !sip->data || sip->n != (uint64_t)n)) {
        return SLR_NOTFOUND;
    }
    if (r->f.err == SLR_OK) {
        r->answer = json_pack("{s:s}", "data", sip->data);
    }
    return r->f.err;
}

static enum slr_err run_drain(struct run *r)
{
    bool on = slr_fields_bool(&r->f, "on", SLR_FIELD_REQUIRED, false);
    if (r->f.err == SLR_OK) {
        r->env->api->drain(r->env->engine, on);
    }
    return r->f.err;
}

static enum slr_err run_snapshot(struct run *r)
{
    json_t *sessions = r->env->api->snapshot(r->env->engine);
    r->answer = sessions ? json_pack("{s:o}", "sessions", sessions) : NULL;
    return r->answer ? SLR_OK : SLR_NOMEM;
}

static enum slr_err run_stats(struct run *r)
{
    r->answer = r->env->api->stats(r->env->engine);
    if (!r->answer) {
        return SLR_NOMEM;
    }
    if (r->env->add_counters) {
        json_t *counters = json_object_get(r->answer, "counters");
        if (!counters) {
            counters = json_object();
            json_object_set_new(r->answer, "counters", counters);
        }
        r->env->add_counters(r->env->ctx, counters);
    }
    return SLR_OK;
}

static const struct slr_seam_cmd commands[] = {
#define CMD(cmd, is_change) {.name = #cmd, .run = run_##cmd, .changes = is_change},
#include "engine/seam_cmd.def"
#undef CMD
};

const struct slr_seam_cmd *slr_seam_cmd_find(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

bool slr_seam_cmd_changes(const struct slr_seam_cmd *cmd)
{
    return cmd->changes;
}

void slr_seam_cmd_run(const struct slr_seam_cmd *cmd, const struct slr_seam_cmd_env *env,
                      const json_t *msg, struct slr_seam_result *result)
{
    struct run r = {
        .env = env,
        .f = {.obj = msg, .err = SLR_OK, .text = result->text, .text_size = sizeof result->text}};
    result->text[0] = '\0';
    result->err = cmd->run(&r);
    result->answer = r.answer;
}

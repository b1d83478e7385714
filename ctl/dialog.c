/*
 * dialog: see dialog.h. Owned by the signalling thread; allocates texts.
 */
#include "ctl/dialog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "ctl/text.h"

struct slr_dialog *slr_dialog_new(void)
{
    struct slr_dialog *d = calloc(1, sizeof(*d));
    if (!d) {
        return NULL;
    }
    char **const text[] = {&d->call_id, &d->local, &d->remote,  &d->local_tag, &d->remote_tag,
                           &d->target,  &d->route, &d->contact, &d->answer};
    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++) {
        *text[i] = strdup("");
        if (!*text[i]) {
            slr_dialog_free(d);
            return NULL;
        }
    }
    return d;
}

static void wipe(char *text)
{
    if (text) {
        explicit_bzero(text, strlen(text));
    }
}

void slr_dialog_free(struct slr_dialog *d)
{
    if (!d) {
        return;
    }
    free(d->call_id);
    free(d->local);
    free(d->remote);
    free(d->local_tag);
    free(d->remote_tag);
    free(d->target);
    free(d->route);
    free(d->contact);
    wipe(d->answer);
    explicit_bzero(d->line, sizeof d->line);
    free(d->answer);
    free(d);
}

enum slr_err slr_dialog_set(char **field, const char *text)
{
    if (strlen(text) > SLR_SDP_MAX_BYTES) {
        return SLR_TOOLONG;
    }
    char *copy = strdup(text);
    if (!copy) {
        return SLR_NOMEM;
    }
    slr_text_clean(copy);
    wipe(*field); /* an answer has keys in it */
    free(*field);
    *field = copy;
    return SLR_OK;
}

enum slr_err slr_dialog_make_key(struct slr_dialog *d)
{
    int n = snprintf(d->key, sizeof d->key, "%s;%s", d->call_id, d->local_tag);
    return n > 0 && (size_t)n < sizeof d->key ? SLR_OK : SLR_TOOLONG;
}

enum slr_err slr_dialog_origin(const char *call_id, const char *from_tag,
                               char out[static SLR_DIALOG_KEY_SIZE])
{
    int n = snprintf(out, SLR_DIALOG_KEY_SIZE, "%s;%s", call_id, from_tag);
    return n > 0 && n < SLR_DIALOG_KEY_SIZE ? SLR_OK : SLR_TOOLONG;
}

static json_t *lines_to_json(const struct slr_dialog *d)
{
    json_t *lines = json_array();
    for (uint8_t i = 0; lines && i < d->line_count; i++) {
        const struct slr_dialog_line *l = &d->line[i];
        json_t *one = json_pack("{s:b, s:s, s:s, s:i, s:i, s:i}", "taken", l->taken, "leg", l->leg,
                                "ip", l->local.ip, "family", (int)l->local.family, "port",
                                (int)l->local.port, "rtcp_port", (int)l->local.rtcp_port);
        if (one && l->local.own.suite != SLR_SRTP_NONE) {
            enum slr_srtp_suite suite = (enum slr_srtp_suite)l->local.own.suite;
            json_object_set_new(one, "srtp", json_string(slr_srtp_suite_row(suite)->name));
        }
        if (!one || json_array_append_new(lines, one) != 0) {
            json_decref(lines);
            return NULL;
        }
    }
    return lines;
}

json_t *slr_dialog_to_json(const struct slr_dialog *d)
{
    char *answer = strdup(d->answer);
    if (!answer) {
        return NULL;
    }
    slr_sdp_crypto_mask(answer);
    json_t *record =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, "
                  "s:I, s:b, s:s, s:o}",
                  "call_id", d->call_id, "local", d->local, "remote", d->remote, "local_tag",
                  d->local_tag, "remote_tag", d->remote_tag, "target", d->target, "route", d->route,
                  "contact", d->contact, "answer", answer, "local_seq", (json_int_t)d->local_seq,
                  "remote_seq", (json_int_t)d->remote_seq, "sdp_id", (json_int_t)d->sdp_id,
                  "sdp_version", (json_int_t)d->sdp_version, "expires_s", (json_int_t)d->expires_s,
                  "expires_wall_ns", (json_int_t)d->expires_wall_ns, "siprec", d->siprec, "session",
                  d->session, "lines", lines_to_json(d));
    free(answer);
    return record;
}

/* What is stored has no keys: our own are made anew. The peer may see another one than before,
 * which is all the same, since we send nothing under it. */
static bool renew_keys(struct slr_dialog *d)
{
    struct slr_srtp_key key[SLR_SDP_MEDIA_MAX] = {{.suite = SLR_SRTP_NONE}};
    bool secure = false;
    for (uint8_t i = 0; i < d->line_count; i++) {
        key[i] = d->line[i].local.own;
        secure = secure || key[i].suite != SLR_SRTP_NONE;
    }
    char *text = secure ? malloc(SLR_SDP_MAX_BYTES) : NULL;
    struct slr_put put = slr_put_of(text, text ? SLR_SDP_MAX_BYTES : 0);
    bool good = !secure || (text && slr_sdp_crypto_unmask(slr_slice_str(d->answer), key,
                                                          d->line_count, &put) == SLR_OK);
    if (good && secure) {
        slr_put_u8(&put, 0);
        good = !put.overflow && slr_dialog_set(&d->answer, text) == SLR_OK;
    }
    explicit_bzero(key, sizeof key);
    if (text) {
        explicit_bzero(text, SLR_SDP_MAX_BYTES);
    }
    free(text);
    return good;
}

static bool text_from(const json_t *record, const char *name, char **field)
{
    const char *text = slr_json_str(record, name);
    return text && slr_dialog_set(field, text) == SLR_OK;
}

static void lines_from_json(struct slr_dialog *d, const json_t *lines)
{
    size_t i;
    json_t *one;
    json_array_foreach(lines, i, one)
    {
        const char *leg = slr_json_str(one, "leg"), *ip = slr_json_str(one, "ip");
        if (d->line_count == SLR_SDP_MEDIA_MAX) {
            return;
        }
        struct slr_dialog_line *l = &d->line[d->line_count++];
        l->taken = l->local.taken = slr_json_bool(one, "taken", false);
        (void)snprintf(l->leg, sizeof l->leg, "%s", leg ? leg : "");
        (void)snprintf(l->local.ip, sizeof l->local.ip, "%s", ip ? ip : "");
        l->local.family = (uint8_t)slr_json_u64(one, "family", 4);
        l->local.port = (uint16_t)slr_json_u64(one, "port", 0);
        l->local.rtcp_port = (uint16_t)slr_json_u64(one, "rtcp_port", 0);
        const char *suite = slr_json_str(one, "srtp");
        if (suite &&
            !slr_sdp_crypto_make(slr_srtp_suite_find(slr_slice_str(suite)), &l->local.own)) {
            l->local.own.suite = SLR_SRTP_NONE;
        }
    }
}

struct slr_dialog *slr_dialog_from_json(const json_t *record)
{
    struct slr_dialog *d = slr_dialog_new();
    const char *session = slr_json_str(record, "session");
    if (!d) {
        return NULL;
    }
    bool good = session && slr_id_valid(session) && text_from(record, "call_id", &d->call_id) &&
                text_from(record, "local", &d->local) && text_from(record, "remote", &d->remote) &&
                text_from(record, "local_tag", &d->local_tag) &&
                text_from(record, "remote_tag", &d->remote_tag) &&
                text_from(record, "target", &d->target) && text_from(record, "route", &d->route) &&
                text_from(record, "contact", &d->contact) &&
                text_from(record, "answer", &d->answer) && slr_dialog_make_key(d) == SLR_OK;
    if (!good) {
        slr_dialog_free(d);
        return NULL;
    }
    (void)snprintf(d->session, sizeof d->session, "%s", session);
    d->local_seq = (uint32_t)slr_json_u64(record, "local_seq", 0);
    d->remote_seq = (uint32_t)slr_json_u64(record, "remote_seq", 0);
    d->sdp_id = slr_json_u64(record, "sdp_id", 1);
    d->sdp_version = slr_json_u64(record, "sdp_version", 1);
    d->expires_s = (uint32_t)slr_json_u64(record, "expires_s", 0);
    d->expires_wall_ns = slr_json_i64(record, "expires_wall_ns", 0);
    d->siprec = slr_json_bool(record, "siprec", false);
    d->stored = true;
    lines_from_json(d, json_object_get(record, "lines"));
    if (!renew_keys(d)) {
        slr_dialog_free(d);
        return NULL;
    }
    return d;
}

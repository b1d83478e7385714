/*
 * seam_fields: see seam_fields.h. No state of its own.
 */
#include "engine/seam_fields.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void slr_fields_fail(struct slr_fields *f, enum slr_err err, const char *fmt, ...)
{
    va_list args;
    if (f->err != SLR_OK) {
        return;
    }
    f->err = err;
    va_start(args, fmt);
    vsnprintf(f->text, f->text_size, fmt, args);
    va_end(args);
}

bool slr_fields_has(const struct slr_fields *f, const char *key)
{
    const json_t *v = json_object_get(f->obj, key);
    return v && !json_is_null(v);
}

/* The member, NULL where absent; an absent one that is needed fails. */
static json_t *get(struct slr_fields *f, const char *key, int need)
{
    json_t *v = f->err == SLR_OK ? json_object_get(f->obj, key) : NULL;
    if (json_is_null(v)) {
        v = NULL;
    }
    if (!v && need == SLR_FIELD_REQUIRED) {
        slr_fields_fail(f, SLR_INVAL, "%s: missing", key);
    }
    return v;
}

static bool is_plain(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x20 || c == 0x7f) {
            return false;
        }
    }
    return true;
}

const char *slr_fields_text(struct slr_fields *f, const char *key, int need, size_t max_bytes,
                            const char *def)
{
    const json_t *v = get(f, key, need);
    if (!v) {
        return def;
    }
    if (!json_is_string(v)) {
        slr_fields_fail(f, SLR_INVAL, "%s: must be a text", key);
        return def;
    }
    size_t len = json_string_length(v);
    const char *text = json_string_value(v);
    if (len > max_bytes) {
        slr_fields_fail(f, SLR_TOOLONG, "%s: longer than %zu bytes", key, max_bytes);
        return def;
    }
    if (!is_plain(text, len) || (need == SLR_FIELD_REQUIRED && len == 0)) {
        slr_fields_fail(f, SLR_INVAL, "%s: empty, or holds control characters", key);
        return def;
    }
    return text;
}

int64_t slr_fields_int(struct slr_fields *f, const char *key, int need, int64_t min, int64_t max,
                       int64_t def)
{
    const json_t *v = get(f, key, need);
    if (!v) {
        return def;
    }
    if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max) {
        slr_fields_fail(f, SLR_INVAL, "%s: must be a whole number from %" PRId64 " to %" PRId64,
                        key, min, max);
        return def;
    }
    return (int64_t)json_integer_value(v);
}

bool slr_fields_bool(struct slr_fields *f, const char *key, int need, bool def)
{
    const json_t *v = get(f, key, need);
    if (!v) {
        return def;
    }
    if (!json_is_boolean(v)) {
        slr_fields_fail(f, SLR_INVAL, "%s: must be true or false", key);
        return def;
    }
    return json_is_true(v);
}

json_t *slr_fields_object(struct slr_fields *f, const char *key, int need)
{
    json_t *v = get(f, key, need);
    if (v && !json_is_object(v)) {
        slr_fields_fail(f, SLR_INVAL, "%s: must be an object", key);
        return NULL;
    }
    return v;
}

int slr_fields_word(struct slr_fields *f, const char *key, const char *const *words, int count,
                    int def)
{
    const char *text = slr_fields_text(f, key, SLR_FIELD_OPTIONAL, 32, NULL);
    if (!text) {
        return def;
    }
    for (int i = 0; i < count; i++) {
        if (strcmp(text, words[i]) == 0) {
            return i;
        }
    }
    slr_fields_fail(f, SLR_INVAL, "%s: unknown value", key);
    return def;
}

void slr_fields_addr(struct slr_fields *f, const char *key, int need, bool with_port,
                     struct slr_addr *out)
{
    const char *text = slr_fields_text(f, key, need, SLR_ADDR_TEXT_SIZE - 1, NULL);
    *out = (struct slr_addr){.family = 0};
    if (!text || text[0] == '\0') {
        return;
    }
    if (slr_addr_parse(text, out) != SLR_OK || (out->port != 0) != with_port) {
        slr_fields_fail(f, SLR_INVAL, "%s: must be an IP address%s", key,
                        with_port ? " with a port" : "");
        *out = (struct slr_addr){.family = 0};
    }
}

/* Does this parameter change how payload is read? Those of AMR do (RFC 4867 section 8.1). */
static bool is_vital(struct slr_slice item)
{
    static const char *const vital[] = {"octet-align", "crc", "robust-sorting", "interleaving"};
    struct slr_slice name;
    bool found = false;
    if (slr_slice_take_token(&item, '=', &name)) {
        for (size_t i = 0; i < sizeof vital / sizeof vital[0]; i++) {
            found |= slr_slice_eq_nocase(slr_slice_trim(name), vital[i]);
        }
    }
    return found;
}

/* Where they do not fit, whole parameters are left out, and last those without which the payload
 * can't be read: a codec's first parameters are better than no recording. */
static void set_fmtp(struct slr_pt_map *pt, const char *fmtp)
{
    struct slr_put put = slr_put_of(pt->fmtp, sizeof pt->fmtp - 1);
    struct slr_slice rest, item;
    if (strlen(fmtp) < sizeof pt->fmtp) {
        memcpy(pt->fmtp, fmtp, strlen(fmtp) + 1);
        return;
    }
    for (int vital = 1; vital >= 0; vital--) {
        rest = slr_slice_str(fmtp);
        while (slr_slice_take_token(&rest, ';', &item)) {
            item = slr_slice_trim(item);
            size_t room = put.size_bytes - put.len_bytes;
            if (is_vital(item) == (vital == 1) && item.len_bytes > 0 && item.len_bytes < room) {
                slr_put_bytes(&put, ";", put.len_bytes > 0);
                slr_put_bytes(&put, item.at, item.len_bytes);
            }
        }
    }
    pt->fmtp[put.len_bytes] = '\0';
}

static void read_codec(struct slr_fields *f, const json_t *row, struct slr_pt_map *pt)
{
    struct slr_fields in = {row, f->err, f->text, f->text_size};
    if (!json_is_object(row)) {
        slr_fields_fail(f, SLR_INVAL, "codecs: must be a list of objects");
        return;
    }
    *pt = (struct slr_pt_map){.clock_hz = 0};
    pt->pt = (uint8_t)slr_fields_int(&in, "pt", SLR_FIELD_REQUIRED, 0, 127, 0);
    const char *name = slr_fields_text(&in, "name", SLR_FIELD_REQUIRED, sizeof pt->name - 1, "");
    for (size_t i = 0; name[i] != '\0'; i++) {
        pt->name[i] = (char)toupper((unsigned char)name[i]);
    }
    pt->clock_hz = (uint32_t)slr_fields_int(&in, "clock", SLR_FIELD_REQUIRED, 1000, 192000, 0);
    pt->channels = (uint8_t)slr_fields_int(&in, "ch", SLR_FIELD_OPTIONAL, 1, 8, 1);
    set_fmtp(pt, slr_fields_text(&in, "fmtp", SLR_FIELD_OPTIONAL, 4096, ""));
    f->err = in.err;
}

void slr_fields_codecs(struct slr_fields *f, struct slr_leg_params *p)
{
    const json_t *list = get(f, "codecs", SLR_FIELD_OPTIONAL);
    if (!list) {
        return;
    }
    if (!json_is_array(list) || json_array_size(list) > SLR_MAX_PTS) {
        slr_fields_fail(f, SLR_INVAL, "codecs: must be a list of at most %d", SLR_MAX_PTS);
        return;
    }
    p->has |= SLR_LEG_HAS_CODECS;
    p->pt_count = (uint32_t)json_array_size(list);
    for (uint32_t i = 0; i < p->pt_count && f->err == SLR_OK; i++) {
        read_codec(f, json_array_get(list, i), &p->pt[i]);
    }
}

void slr_fields_ssrc(struct slr_fields *f, struct slr_leg_params *p)
{
    const json_t *list = get(f, "ssrc", SLR_FIELD_OPTIONAL);
    size_t max = sizeof p->ssrc / sizeof p->ssrc[0];
    if (!list) {
        return;
    }
    if (!json_is_array(list)) {
        slr_fields_fail(f, SLR_INVAL, "ssrc: must be a list");
        return;
    }
    p->has |= SLR_LEG_HAS_SSRC;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *v = json_array_get(list, i);
        if (!json_is_integer(v) || json_integer_value(v) < 0 ||
            json_integer_value(v) > UINT32_MAX) {
            slr_fields_fail(f, SLR_INVAL, "ssrc: must be numbers of 32 bits");
            return;
        }
        if (i < max) { /* the list is a help for latching; more are found by probation */
            p->ssrc[i] = (uint32_t)json_integer_value(v);
            p->ssrc_count = (uint32_t)i + 1;
        }
    }
}

static void read_srtp_key(struct slr_fields *f, const json_t *row, struct slr_srtp_key *key)
{
    struct slr_fields in = {row, f->err, f->text, f->text_size};
    if (!json_is_object(row)) {
        slr_fields_fail(f, SLR_INVAL, "srtp: must be a list of objects");
        return;
    }
    *key = (struct slr_srtp_key){.suite = SLR_SRTP_NONE};
    const char *suite = slr_fields_text(&in, "suite", SLR_FIELD_REQUIRED, 64, "");
    const char *text =
        slr_fields_text(&in, "key", SLR_FIELD_REQUIRED, SLR_SRTP_KEY_TEXT_SIZE - 1, "");
    key->mki_len =
        (uint8_t)slr_fields_int(&in, "mki_len", SLR_FIELD_OPTIONAL, 0, SLR_SRTP_MKI_BYTES, 0);
    key->mki = (uint64_t)slr_fields_int(&in, "mki", SLR_FIELD_OPTIONAL, 0, INT64_MAX, 0);
    key->suite = (uint8_t)slr_srtp_suite_find(slr_slice_str(suite));
    if (in.err == SLR_OK && key->suite == SLR_SRTP_NONE) {
        slr_fields_fail(&in, SLR_UNSUPPORTED, "srtp: unknown suite");
    } else if (in.err == SLR_OK && slr_srtp_key_text(slr_slice_str(text), key) != SLR_OK) {
        slr_fields_fail(&in, SLR_INVAL, "srtp: a key of the wrong length, or no base64");
    }
    json_t *string = json_object_get(row, "key");
    if (json_is_string(string)) {
        explicit_bzero((char *)(uintptr_t)json_string_value(string), json_string_length(string));
    }
    f->err = in.err;
}

void slr_fields_srtp(struct slr_fields *f, struct slr_leg_params *p)
{
    const json_t *list = get(f, "srtp", SLR_FIELD_OPTIONAL);
    p->srtp_unknown = slr_fields_bool(f, "srtp_unknown", SLR_FIELD_OPTIONAL, false);
    if (!list) {
        return;
    }
    if (!json_is_array(list) || json_array_size(list) > SLR_SRTP_KEYS) {
        slr_fields_fail(f, SLR_INVAL, "srtp: must be a list of at most %u", SLR_SRTP_KEYS);
        return;
    }
    p->has |= SLR_LEG_HAS_SRTP;
    p->srtp_count = (uint32_t)json_array_size(list);
    for (uint32_t i = 0; i < p->srtp_count && f->err == SLR_OK; i++) {
        read_srtp_key(f, json_array_get(list, i), &p->srtp[i]);
    }
}

/*
 * recuri: see recuri.h. Owns no state, runs on any thread, allocates nothing.
 */
#include "ctl/recuri.h"

#include <stdio.h>
#include <string.h>

#include "ctl/text.h"

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (uint8_t)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Copies with %XX decoded; false (and "") when too long or when a control character is in it. */
static bool unescape(struct slr_slice from, char *out, size_t size_bytes)
{
    size_t n = 0;
    for (size_t i = 0; i < from.len_bytes; i++) {
        uint8_t c = from.at[i];
        if (c == '%' && i + 2 < from.len_bytes && hex_digit(from.at[i + 1]) >= 0 &&
            hex_digit(from.at[i + 2]) >= 0) {
            c = (uint8_t)(hex_digit(from.at[i + 1]) * 16 + hex_digit(from.at[i + 2]));
            i += 2;
        }
        if (n + 1 >= size_bytes || c < 0x20 || c == 0x7f) {
            out[0] = '\0';
            return false;
        }
        out[n++] = (char)c;
    }
    out[n] = '\0';
    slr_text_clean(out);
    return true;
}

static void fill(struct slr_slice value, char *out, size_t size_bytes)
{
    if (out[0] == '\0') {
        (void)unescape(value, out, size_bytes); /* too long counts as absent */
    }
}

static void keep_extra(struct slr_recuri *r, struct slr_slice name, struct slr_slice value)
{
    if (r->extra_count == SLR_RECURI_EXTRA_MAX || name.len_bytes == 0) {
        return;
    }
    struct slr_recuri_pair *e = &r->extra[r->extra_count];
    if (unescape(name, e->name, sizeof e->name) && unescape(value, e->value, sizeof e->value)) {
        r->extra_count++;
    }
}

/* One "name=value" of the request-URI. */
static void take_param(struct slr_recuri *r, struct slr_slice name, struct slr_slice value,
                       bool in_user)
{
    static const char *const plain[] = {"transport", "lr", "maddr", "ttl", "user", "method", "ob"};
    if (slr_slice_eq_nocase(name, "record")) {
        if (in_user) {
            fill(value, r->record_id, sizeof r->record_id);
        } else {
            /* sip:record@host;record=DN names the party, not the recording */
            r->dn_by_record = r->dn[0] == '\0';
            fill(value, r->dn, sizeof r->dn);
        }
    } else if (slr_slice_eq_nocase(name, "calluuid")) {
        fill(value, r->call_uuid, sizeof r->call_uuid);
    } else if (slr_slice_eq_nocase(name, "dn")) {
        if (r->dn_by_record) {
            r->dn[0] = '\0'; /* said outright, wherever it stands */
            r->dn_by_record = false;
        }
        fill(value, r->dn, sizeof r->dn);
    } else if (slr_slice_eq_nocase(name, "otherDN")) {
        fill(value, r->other_dn, sizeof r->other_dn);
    } else if (slr_slice_eq_nocase(name, "recordDN")) {
        fill(value, r->record_dn, sizeof r->record_dn);
    } else {
        for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
            if (slr_slice_eq_nocase(name, plain[i])) {
                return;
            }
        }
        keep_extra(r, name, value);
    }
}

static void take_params(struct slr_recuri *r, struct slr_slice list, bool in_user)
{
    struct slr_slice param, name;
    for (bool first = true; slr_slice_take_token(&list, ';', &param); first = false) {
        bool valued = param.len_bytes > 0 && memchr(param.at, '=', param.len_bytes);
        if (slr_slice_take_token(&param, '=', &name) && (valued || !(in_user && first))) {
            take_param(r, slr_slice_trim(name), slr_slice_trim(param), in_user);
        }
    }
}

/* Splits "sip:user@host;params?headers" into user (may be empty) and parameters. */
static bool split_uri(struct slr_slice uri, struct slr_slice *user, struct slr_slice *params)
{
    struct slr_slice scheme, host, rest = slr_slice_trim(uri);
    if (rest.len_bytes > 0 && rest.at[0] == '<') {
        (void)slr_slice_skip(&rest, 1);
        struct slr_slice inner;
        if (!slr_slice_take_token(&rest, '>', &inner)) {
            return false;
        }
        rest = inner;
    }
    if (rest.len_bytes == 0 || !memchr(rest.at, ':', rest.len_bytes) ||
        !slr_slice_take_token(&rest, ':', &scheme)) {
        return false;
    }
    bool tel = slr_slice_eq_nocase(scheme, "tel");
    if (!tel && !slr_slice_eq_nocase(scheme, "sip") && !slr_slice_eq_nocase(scheme, "sips")) {
        return false;
    }
    *user = slr_slice_of(rest.at, 0);
    if (tel) {
        (void)slr_slice_take_token(&rest, ';', user);
    } else {
        if (rest.len_bytes > 0 && memchr(rest.at, '@', rest.len_bytes)) {
            (void)slr_slice_take_token(&rest, '@', user);
        }
        (void)slr_slice_take_token(&rest, ';', &host);
    }
    struct slr_slice before;
    *params = rest;
    if (rest.len_bytes > 0 && slr_slice_take_token(&rest, '?', &before)) {
        *params = before;
    }
    return true;
}

enum slr_err slr_recuri_read(struct slr_slice uri, struct slr_recuri *out)
{
    struct slr_slice user, params;
    if (!split_uri(uri, &user, &params)) {
        return SLR_FORMAT;
    }
    take_params(out, user, true);
    take_params(out, params, false);
    return SLR_OK;
}

void slr_recuri_to(struct slr_recuri *r, struct slr_slice uri)
{
    struct slr_recuri to;
    memset(&to, 0, sizeof to);
    if (slr_recuri_read(uri, &to) != SLR_OK) {
        return;
    }
    fill(slr_slice_str(to.record_id), r->record_id, sizeof r->record_id);
    fill(slr_slice_str(to.call_uuid), r->call_uuid, sizeof r->call_uuid);
    fill(slr_slice_str(to.dn), r->dn, sizeof r->dn);
    fill(slr_slice_str(to.other_dn), r->other_dn, sizeof r->other_dn);
    fill(slr_slice_str(to.record_dn), r->record_dn, sizeof r->record_dn);
}

/* A user part that names a person or device, not a function of the media server. */
static bool user_is_party(struct slr_slice user)
{
    static const char *const machines[] = {"Genesys", "GVP", "record", "msml", "anonymous"};
    for (size_t i = 0; i < sizeof machines / sizeof machines[0]; i++) {
        if (slr_slice_eq_nocase(user, machines[i])) {
            return false;
        }
    }
    return user.len_bytes > 0 && !memchr(user.at, '=', user.len_bytes);
}

static void take_cisco(struct slr_recuri *r, struct slr_slice name, struct slr_slice value)
{
    if (slr_slice_eq_nocase(name, "x-refci")) {
        fill(value, r->refci, sizeof r->refci);
    } else if (slr_slice_eq_nocase(name, "x-nearend")) {
        r->side = SLR_RECURI_NEAR;
    } else if (slr_slice_eq_nocase(name, "x-farend")) {
        r->side = SLR_RECURI_FAR;
    } else if (name.len_bytes > 2 && slr_slice_eq_nocase(slr_slice_of(name.at, 2), "x-")) {
        keep_extra(r, name, value);
    }
}

static const char *extra_value(const struct slr_recuri *r, const char *name)
{
    for (uint8_t i = 0; i < r->extra_count; i++) {
        if (slr_slice_eq_nocase(slr_slice_str(r->extra[i].name), name)) {
            return r->extra[i].value;
        }
    }
    return "";
}

void slr_recuri_from(struct slr_recuri *r, struct slr_slice uri)
{
    struct slr_slice user, params, param, name, bare;
    if (!split_uri(uri, &user, &params)) {
        return;
    }
    while (slr_slice_take_token(&params, ';', &param)) {
        if (slr_slice_take_token(&param, '=', &name)) {
            take_cisco(r, slr_slice_trim(name), slr_slice_trim(param));
        }
    }
    if (r->side != SLR_RECURI_SIDE_NONE) {
        const char *near_dn = extra_value(r, "x-nearendaddr");
        const char *far_dn = extra_value(r, "x-farendaddr");
        fill(slr_slice_str(near_dn), r->record_dn, sizeof r->record_dn);
        fill(slr_slice_str(r->side == SLR_RECURI_NEAR ? near_dn : far_dn), r->dn, sizeof r->dn);
    }
    if (slr_slice_take_token(&user, ';', &bare) && user_is_party(bare)) {
        fill(bare, r->dn, sizeof r->dn);
    }
}

void slr_recuri_header(struct slr_recuri *r, struct slr_slice name, struct slr_slice value)
{
    value = slr_slice_trim(value);
    if (slr_slice_eq_nocase(name, "X-Genesys-CallUUID")) {
        fill(value, r->call_uuid, sizeof r->call_uuid);
    } else if (slr_slice_eq_nocase(name, "X-Genesys-GVP-Session-ID")) {
        struct slr_slice guid;
        if (slr_slice_take_token(&value, ';', &guid)) {
            fill(slr_slice_trim(guid), r->gvp_guid, sizeof r->gvp_guid);
        }
    } else if (name.len_bytes > 9 && slr_slice_eq_nocase(slr_slice_of(name.at, 9), "X-Genesys")) {
        keep_extra(r, name, value);
    } else if (slr_slice_eq_nocase(name, "Cisco-Guid") ||
               slr_slice_eq_nocase(name, "X-Cisco-Recording-Participant") ||
               slr_slice_eq_nocase(name, "X-BroadWorks-Correlation-Info") ||
               slr_slice_eq_nocase(name, "User-to-User") ||
               slr_slice_eq_nocase(name, "P-Asserted-Identity")) {
        keep_extra(r, name, value);
    }
}

bool slr_recuri_pair_key(const struct slr_recuri *r, const char *siprec_session,
                         char out[static SLR_RECURI_KEY_SIZE])
{
    const struct {
        char kind;
        const char *value;
    } all[] = {{'r', r->record_id}, {'g', r->gvp_guid}, {'c', r->refci}, {'s', siprec_session}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (all[i].value[0]) {
            (void)snprintf(out, SLR_RECURI_KEY_SIZE, "%c:%s", all[i].kind, all[i].value);
            return true;
        }
    }
    out[0] = '\0';
    return false;
}

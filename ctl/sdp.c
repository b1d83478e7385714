/*
 * sdp: see sdp.h. Owns no state, runs on any thread, allocates nothing.
 */
#include "ctl/sdp.h"

#include <stdlib.h>
#include <string.h>

#include "ctl/sdp_int.h"

void slr_sdp_repair(struct slr_sdp *s, enum slr_sdp_repair what)
{
    s->repairs |= (uint32_t)what;
    s->repair_count++;
}

bool slr_sdp_word(struct slr_slice *s, struct slr_slice *word)
{
    struct slr_slice token;
    while (slr_slice_take_token(s, ' ', &token)) {
        token = slr_slice_trim(token);
        if (token.len_bytes > 0) {
            *word = token;
            return true;
        }
    }
    return false;
}

/* Copies, and counts a value that was too long. */
static void keep_text(struct slr_sdp *s, struct slr_slice from, char *out, size_t size_bytes)
{
    if (!slr_slice_to_str(from, out, size_bytes)) {
        slr_sdp_repair(s, SLR_SDP_FIX_CUT);
    }
}

bool slr_sdp_read_connection(struct slr_sdp *s, struct slr_slice value, struct slr_addr *addr,
                             bool *zero)
{
    struct slr_slice net, family, host, bare;
    char text[64];
    *addr = (struct slr_addr){.family = 0};
    *zero = false;
    if (!slr_sdp_word(&value, &net) || !slr_sdp_word(&value, &family) ||
        !slr_sdp_word(&value, &host) || !slr_slice_eq_nocase(net, "IN")) {
        return false;
    }
    bool v4 = slr_slice_eq_nocase(family, "IP4");
    if (!v4 && !slr_slice_eq_nocase(family, "IP6")) {
        return false;
    }
    if (!slr_slice_take_token(&host, '/', &bare) || !slr_slice_to_str(bare, text, sizeof text)) {
        return false;
    }
    struct slr_addr parsed;
    if (slr_addr_parse(text, &parsed) != SLR_OK || parsed.family != (v4 ? 4 : 6) ||
        parsed.port != 0) {
        slr_sdp_repair(s, SLR_SDP_FIX_C_NAME);
        return true;
    }
    if (slr_addr_is_any(&parsed)) {
        *zero = true;
        return true;
    }
    *addr = parsed;
    return true;
}

static void read_origin(struct slr_sdp *s, struct slr_slice value)
{
    struct slr_slice user, id, version;
    if (!slr_sdp_word(&value, &user) || !slr_sdp_word(&value, &id) ||
        !slr_sdp_word(&value, &version) || !slr_slice_to_u64(id, UINT64_MAX, &s->origin_id) ||
        !slr_slice_to_u64(version, UINT64_MAX, &s->origin_version)) {
        slr_sdp_repair(s, SLR_SDP_FIX_NO_O);
        return;
    }
    keep_text(s, user, s->origin_user, sizeof s->origin_user);
}

/* One format of an RTP m-line; others are only kept in `formats`. */
static void add_format(struct slr_sdp *s, struct slr_sdp_media *m, struct slr_slice word)
{
    uint64_t pt;
    if (!slr_slice_to_u64(word, 127, &pt)) {
        slr_sdp_repair(s, SLR_SDP_FIX_FORMAT);
        return;
    }
    for (uint8_t i = 0; i < m->codec_count; i++) {
        if (m->codec[i].pt == pt) {
            slr_sdp_repair(s, SLR_SDP_FIX_DUPLICATE);
            return;
        }
    }
    if (m->codec_count == SLR_SDP_CODECS_MAX) {
        slr_sdp_repair(s, SLR_SDP_FIX_CUT);
        return;
    }
    m->codec[m->codec_count++] = (struct slr_sdp_codec){.pt = (uint8_t)pt};
}

/* "audio 49170[/2] RTP/AVP 0 8 101" */
static enum slr_err read_media(struct slr_sdp_reading *r, struct slr_slice value)
{
    struct slr_sdp *s = r->out;
    struct slr_slice kind, port, proto, word;
    uint64_t port_number;
    if (s->media_count == SLR_SDP_MEDIA_MAX) {
        return SLR_FULL;
    }
    struct slr_sdp_media *m = &s->media[s->media_count];
    if (!slr_sdp_word(&value, &kind) || !slr_sdp_word(&value, &port) ||
        !slr_sdp_word(&value, &proto)) {
        return SLR_FORMAT;
    }
    if (!slr_slice_take_token(&port, '/', &word) || !slr_slice_to_u64(word, 65535, &port_number)) {
        return SLR_FORMAT;
    }
    if (!slr_slice_to_str(kind, m->kind, sizeof m->kind) ||
        !slr_slice_to_str(proto, m->proto, sizeof m->proto)) {
        return SLR_FORMAT;
    }
    m->port = (uint16_t)port_number;
    value = slr_slice_trim(value);
    if (value.len_bytes == 0) {
        return SLR_FORMAT;
    }
    keep_text(s, value, m->formats, sizeof m->formats);
    bool rtp = proto.len_bytes >= 4 && memcmp(proto.at, "RTP/", 4) == 0;
    while (rtp && slr_sdp_word(&value, &word)) {
        add_format(s, m, word);
    }
    s->media_count++;
    r->media = m;
    r->media_seen_c = r->media_seen_a = false;
    return SLR_OK;
}

static void read_c(struct slr_sdp_reading *r, struct slr_slice value)
{
    struct slr_addr addr;
    bool zero;
    if (!slr_sdp_read_connection(r->out, value, &addr, &zero)) {
        slr_sdp_repair(r->out, SLR_SDP_FIX_NO_C);
        return;
    }
    if (!r->media) {
        if (r->seen_c) {
            slr_sdp_repair(r->out, SLR_SDP_FIX_DUPLICATE);
            return;
        }
        r->seen_c = true;
        r->session_addr = addr;
        r->session_zero = zero;
        return;
    }
    if (r->media_seen_c) { /* RFC 4566 allows several for multicast layers: the first counts */
        slr_sdp_repair(r->out, SLR_SDP_FIX_DUPLICATE);
        return;
    }
    if (r->media_seen_a) {
        slr_sdp_repair(r->out, SLR_SDP_FIX_ORDER);
    }
    r->media_seen_c = true;
    r->media->addr = addr;
    r->media->zero_addr = zero;
}

/* v=, o=, s=, t= and the rest of the session level. */
static void read_session_line(struct slr_sdp_reading *r, char type, struct slr_slice value)
{
    struct slr_sdp *s = r->out;
    if (r->media) {
        slr_sdp_repair(s, SLR_SDP_FIX_ORDER);
    }
    if (type == 'v') {
        if (r->seen_o || r->seen_s) {
            slr_sdp_repair(s, SLR_SDP_FIX_NO_V);
        }
        r->seen_v = true;
    } else if (type == 'o' && !r->seen_o) {
        r->seen_o = true;
        read_origin(s, value);
    } else if (type == 's' && !r->seen_s) {
        value = slr_slice_trim(value);
        r->seen_s = true;
        if (value.len_bytes == 0) {
            slr_sdp_repair(s, SLR_SDP_FIX_NO_S);
        }
        keep_text(s, value, s->session_name, sizeof s->session_name);
    } else if (type == 't') {
        r->seen_t = true;
    } else {
        slr_sdp_repair(s, SLR_SDP_FIX_DUPLICATE);
    }
}

static enum slr_err read_line(struct slr_sdp_reading *r, struct slr_slice line)
{
    bool lone_cr = line.len_bytes > 0 && memchr(line.at, '\r', line.len_bytes);
    if (line.len_bytes < 2 || line.at[1] != '=' || lone_cr) {
        if (slr_slice_trim(line).len_bytes > 0) {
            slr_sdp_repair(r->out, SLR_SDP_FIX_JUNK);
        }
        return SLR_OK;
    }
    char type = (char)line.at[0];
    struct slr_slice value = slr_slice_of(line.at + 2, line.len_bytes - 2);
    if (type == 'm') {
        return read_media(r, value);
    }
    if (type == 'c') {
        read_c(r, value);
    } else if (type == 'a') {
        r->media_seen_a = true;
        slr_sdp_attribute(r, value);
    } else if (strchr("vost", type)) {
        read_session_line(r, type, value);
    }
    /* i u e p b z k r: known, of no use here */
    return SLR_OK;
}

/* Session-level values reach down into lines that have none of their own. */
static void inherit(struct slr_sdp_reading *r, const bool *own_c)
{
    struct slr_sdp *s = r->out;
    for (uint8_t i = 0; i < s->media_count; i++) {
        struct slr_sdp_media *m = &s->media[i];
        if (!own_c[i]) {
            m->addr = r->session_addr;
            m->zero_addr = r->session_zero;
            if (!r->seen_c && m->port != 0) {
                slr_sdp_repair(s, SLR_SDP_FIX_NO_C);
            }
        }
        m->addr.port = m->addr.family ? m->port : 0;
        if (m->dir == SLR_SDP_DIR_UNSET) {
            m->dir = r->session_dir;
        }
        if (m->ptime_ms == 0) {
            m->ptime_ms = r->session_ptime_ms;
        }
        m->rtcp_mux = m->rtcp_mux || r->session_mux;
        if (m->rtcp.port != 0 && m->rtcp.family == 0 && m->addr.family != 0) {
            uint16_t port = m->rtcp.port;
            m->rtcp = m->addr;
            m->rtcp.port = port;
        }
    }
}

static void note_missing(struct slr_sdp_reading *r)
{
    if (!r->seen_v) {
        slr_sdp_repair(r->out, SLR_SDP_FIX_NO_V);
    }
    if (!r->seen_o) {
        slr_sdp_repair(r->out, SLR_SDP_FIX_NO_O);
    }
    if (!r->seen_s) {
        slr_sdp_repair(r->out, SLR_SDP_FIX_NO_S);
    }
    if (!r->seen_t) {
        slr_sdp_repair(r->out, SLR_SDP_FIX_NO_T);
    }
}

enum slr_err slr_sdp_read(struct slr_slice text, struct slr_sdp *out)
{
    struct slr_sdp_reading r = {.out = out};
    bool own_c[SLR_SDP_MEDIA_MAX] = {false};
    struct slr_slice line;
    memset(out, 0, sizeof *out);
    if (text.len_bytes > SLR_SDP_MAX_BYTES) {
        return SLR_TOOLONG;
    }
    if (text.len_bytes > 0 && memchr(text.at, 0, text.len_bytes)) {
        return SLR_FORMAT;
    }
    if (text.len_bytes > 0 && !memchr(text.at, '\r', text.len_bytes)) {
        slr_sdp_repair(out, SLR_SDP_FIX_LF);
    }
    while (slr_slice_take_line(&text, &line)) {
        enum slr_err err = read_line(&r, line);
        if (err != SLR_OK) {
            return err;
        }
        if (r.media) {
            own_c[out->media_count - 1] = r.media_seen_c;
        }
    }
    if (out->media_count == 0) {
        return SLR_NOTFOUND;
    }
    slr_sdp_finish_media(out);
    inherit(&r, own_c);
    note_missing(&r);
    return SLR_OK;
}

void slr_sdp_free(struct slr_sdp *s)
{
    if (s) {
        explicit_bzero(s, sizeof *s);
        free(s);
    }
}

static bool is_key_line(struct slr_slice line)
{
    static const char *const secret[] = {"a=crypto:", "a=key-mgmt:", "a=3ge2ae:", "k="};
    for (size_t i = 0; i < sizeof secret / sizeof secret[0]; i++) {
        size_t n = strlen(secret[i]);
        if (line.len_bytes >= n && slr_slice_eq_nocase(slr_slice_of(line.at, n), secret[i])) {
            return true;
        }
    }
    return false;
}

enum slr_err slr_sdp_cut_keys(struct slr_slice text, char *out, size_t size_bytes)
{
    struct slr_put put = slr_put_of(out, size_bytes);
    struct slr_slice line;
    while (slr_slice_take_line(&text, &line)) {
        if (is_key_line(slr_slice_trim(line))) {
            continue;
        }
        slr_put_bytes(&put, line.at, line.len_bytes);
        slr_put_str(&put, "\r\n");
    }
    slr_put_u8(&put, 0);
    if (put.overflow) {
        if (size_bytes > 0) {
            out[0] = '\0';
        }
        return SLR_TOOLONG;
    }
    return SLR_OK;
}

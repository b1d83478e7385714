/*
 * sdp_attr: the attributes of a session description, and which media lines and codecs this
 * recorder takes. Owns no state, runs on any thread, allocates nothing.
 */
#include <string.h>
#include <strings.h>

#include "ctl/sdp.h"
#include "ctl/sdp_int.h"
#include "ctl/text.h"

/* RFC 3551 payload types that need no rtpmap. */
static const struct {
    uint8_t pt;
    const char *name;
    uint32_t clock_hz;
    uint8_t channels;
} static_types[] = {{0, "PCMU", 8000, 1},  {3, "GSM", 8000, 1},  {4, "G723", 8000, 1},
                    {8, "PCMA", 8000, 1},  {9, "G722", 8000, 1}, {10, "L16", 44100, 2},
                    {11, "L16", 44100, 1}, {13, "CN", 8000, 1},  {18, "G729", 8000, 1},
                    {19, "CN", 8000, 1}};

static const struct {
    const char *name;
    uint32_t clock_hz;
    uint8_t channels;
    bool audio;
} taken[] = {
#define SDP_CODEC(name, clock_hz, channels, audio) {name, clock_hz, channels, audio},
#include "ctl/sdp_codecs.def"
#undef SDP_CODEC
};

static const struct {
    const char *name;
    uint32_t clock_hz;
    const char *meant;
    uint32_t meant_hz;
} aliases[] = {
#define SDP_ALIAS(name, clock_hz, meant, meant_hz) {name, clock_hz, meant, meant_hz},
#include "ctl/sdp_codecs.def"
#undef SDP_ALIAS
};

/* The engine's limits, as positions are divided by the clock. */
#define CLOCK_MIN_HZ 8000u
#define CLOCK_MAX_HZ 192000u

/* Is a parameter of the codec on? "name=1" or "name" alone. */
static bool param_on(const struct slr_sdp_codec *c, const char *name)
{
    struct slr_slice rest = slr_slice_str(c->fmtp), item, key;
    while (slr_slice_take_token(&rest, ';', &item)) {
        item = slr_slice_trim(item);
        if (slr_slice_take_token(&item, '=', &key) &&
            slr_slice_eq_nocase(slr_slice_trim(key), name)) {
            return !slr_slice_eq(slr_slice_trim(item), "0");
        }
    }
    return false;
}

/* AMR with checksums, interleaving or sorted bits is not decoded (RFC 4867 section 4.4). */
static bool variant_taken(const struct slr_sdp_codec *c)
{
    bool amr = strcasecmp(c->name, "AMR") == 0 || strcasecmp(c->name, "AMR-WB") == 0;
    return !amr ||
           !(param_on(c, "crc") || param_on(c, "interleaving") || param_on(c, "robust-sorting"));
}

void slr_sdp_codec_meant(const struct slr_sdp_codec *c, const char **name, uint32_t *clock_hz)
{
    *name = c->name;
    *clock_hz = c->clock_hz;
    for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++) {
        if (strcasecmp(aliases[i].name, c->name) == 0 && aliases[i].clock_hz == c->clock_hz) {
            *name = aliases[i].meant;
            *clock_hz = aliases[i].meant_hz;
            return;
        }
    }
}

static int taken_row(const struct slr_sdp_codec *c)
{
    const char *name;
    uint32_t clock_hz;
    slr_sdp_codec_meant(c, &name, &clock_hz);
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) {
        bool clock = taken[i].clock_hz ? taken[i].clock_hz == clock_hz
                                       : clock_hz >= CLOCK_MIN_HZ && clock_hz <= CLOCK_MAX_HZ;
        bool channels = taken[i].channels ? taken[i].channels == c->channels
                                          : c->channels == 1 || c->channels == 2;
        if (strcasecmp(taken[i].name, name) == 0 && clock && channels && variant_taken(c)) {
            return (int)i;
        }
    }
    return -1;
}

bool slr_sdp_codec_taken(const struct slr_sdp_codec *c)
{
    return taken_row(c) >= 0;
}

bool slr_sdp_codec_is_audio(const struct slr_sdp_codec *c)
{
    int row = taken_row(c);
    return row >= 0 && taken[row].audio;
}

bool slr_sdp_media_secure(const struct slr_sdp_media *m)
{
    return strcasecmp(m->proto, "RTP/SAVP") == 0 || strcasecmp(m->proto, "RTP/SAVPF") == 0;
}

const struct slr_sdp_crypto *slr_sdp_media_crypto(const struct slr_sdp_media *m)
{
    return slr_sdp_media_secure(m) ? slr_sdp_crypto_best(m->crypto, m->crypto_count) : NULL;
}

bool slr_sdp_media_usable(const struct slr_sdp_media *m)
{
    if (m->port == 0 || strcasecmp(m->kind, "audio") != 0) {
        return false;
    }
    bool plain = strcasecmp(m->proto, "RTP/AVP") == 0 || strcasecmp(m->proto, "RTP/AVPF") == 0;
    if (!plain && !slr_sdp_media_crypto(m)) {
        return false;
    }
    for (uint8_t i = 0; i < m->codec_count; i++) {
        if (slr_sdp_codec_is_audio(&m->codec[i])) {
            return true;
        }
    }
    return false;
}

void slr_sdp_limit(struct slr_sdp *sdp, const struct slr_sdp_limit *limit)
{
    for (uint8_t i = 0; limit->on && i < sdp->media_count; i++) {
        struct slr_sdp_media *m = &sdp->media[i];
        uint8_t kept = 0;
        for (uint8_t k = 0; k < m->codec_count; k++) {
            uint8_t pt = m->codec[k].pt;
            if (pt >= sizeof limit->pt || limit->pt[pt]) {
                m->codec[kept++] = m->codec[k];
            }
        }
        m->codec_count = kept;
    }
}

bool slr_sdp_media_held(const struct slr_sdp_media *m)
{
    return m->zero_addr || m->dir == SLR_SDP_INACTIVE || m->dir == SLR_SDP_RECVONLY;
}

static struct slr_sdp_codec *find_codec(struct slr_sdp_media *m, uint64_t pt)
{
    for (uint8_t i = 0; i < m->codec_count; i++) {
        if (m->codec[i].pt == pt) {
            return &m->codec[i];
        }
    }
    return NULL;
}

/* "0 PCMU/8000[/1]" */
static bool read_rtpmap(struct slr_sdp_reading *r, struct slr_slice value)
{
    struct slr_slice word, map, name, clock, channels;
    uint64_t pt, clock_hz, n = 1;
    if (!slr_sdp_word(&value, &word) || !slr_slice_to_u64(word, 127, &pt) ||
        !slr_sdp_word(&value, &map) || !slr_slice_take_token(&map, '/', &name) ||
        !slr_slice_take_token(&map, '/', &clock) || !slr_slice_to_u64(clock, 1000000, &clock_hz) ||
        clock_hz == 0) {
        return false;
    }
    if (slr_slice_take_token(&map, '/', &channels) &&
        (!slr_slice_to_u64(channels, 16, &n) || n == 0)) {
        n = 1; /* some put a parameter there */
    }
    struct slr_sdp_codec *c = find_codec(r->media, pt);
    if (!c) {
        return true; /* a map without its format says nothing */
    }
    if (c->mapped) {
        slr_sdp_repair(r->out, SLR_SDP_FIX_DUPLICATE);
        return true;
    }
    if (!slr_slice_to_str(name, c->name, sizeof c->name)) {
        c->name[0] = '\0';
        return false;
    }
    slr_text_clean(c->name);
    c->mapped = true;
    c->clock_hz = (uint32_t)clock_hz;
    c->channels = (uint8_t)n;
    return true;
}

static bool read_fmtp(struct slr_sdp_reading *r, struct slr_slice value)
{
    struct slr_slice word;
    uint64_t pt;
    if (!slr_sdp_word(&value, &word) || !slr_slice_to_u64(word, 127, &pt)) {
        return false;
    }
    struct slr_sdp_codec *c = find_codec(r->media, pt);
    if (c && !slr_slice_to_str(slr_slice_trim(value), c->fmtp, sizeof c->fmtp)) {
        c->fmtp[0] = '\0'; /* half a parameter list is worse than none */
        slr_sdp_repair(r->out, SLR_SDP_FIX_CUT);
    }
    if (c) {
        slr_text_clean(c->fmtp);
    }
    return true;
}

static bool read_ptime(struct slr_sdp_reading *r, struct slr_slice value)
{
    struct slr_slice whole;
    uint64_t ms;
    value = slr_slice_trim(value);
    if (!slr_slice_take_token(&value, '.', &whole) || !slr_slice_to_u64(whole, 1000, &ms)) {
        return false;
    }
    if (r->media) {
        r->media->ptime_ms = (uint16_t)ms;
    } else {
        r->session_ptime_ms = (uint16_t)ms;
    }
    return true;
}

/* "53020 [IN IP4 192.0.2.1]" (RFC 3605) */
static bool read_rtcp(struct slr_sdp_reading *r, struct slr_slice value)
{
    struct slr_slice word;
    uint64_t port;
    if (!slr_sdp_word(&value, &word) || !slr_slice_to_u64(word, 65535, &port)) {
        return false;
    }
    bool zero = false;
    struct slr_addr addr = {.family = 0};
    if (slr_slice_trim(value).len_bytes > 0 &&
        !slr_sdp_read_connection(r->out, value, &addr, &zero)) {
        return false;
    }
    addr.port = (uint16_t)port;
    r->media->rtcp = addr;
    return true;
}

/* "314159 cname:..." (RFC 5576); one entry a source. */
static bool read_ssrc(struct slr_sdp_reading *r, struct slr_slice value)
{
    struct slr_sdp_media *m = r->media;
    struct slr_slice word;
    uint64_t ssrc;
    if (!slr_sdp_word(&value, &word) || !slr_slice_to_u64(word, UINT32_MAX, &ssrc)) {
        return false;
    }
    for (uint8_t i = 0; i < m->ssrc_count; i++) {
        if (m->ssrc[i] == ssrc) {
            return true;
        }
    }
    if (m->ssrc_count < SLR_SDP_SSRC_MAX) {
        m->ssrc[m->ssrc_count++] = (uint32_t)ssrc;
    }
    return true;
}

static bool read_direction(struct slr_sdp_reading *r, struct slr_slice name)
{
    static const struct {
        const char *name;
        enum slr_sdp_dir dir;
    } all[] = {{"sendrecv", SLR_SDP_SENDRECV},
               {"sendonly", SLR_SDP_SENDONLY},
               {"recvonly", SLR_SDP_RECVONLY},
               {"inactive", SLR_SDP_INACTIVE}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (slr_slice_eq_nocase(name, all[i].name)) {
            *(r->media ? &r->media->dir : &r->session_dir) = all[i].dir;
            return true;
        }
    }
    return false;
}

/* A line that cannot be used is left out; the others decide. False: malformed. */
static bool read_crypto(struct slr_sdp_media *m, struct slr_slice value)
{
    m->has_crypto = true;
    if (m->crypto_count == SLR_SDP_CRYPTO_MAX) {
        return true;
    }
    enum slr_err err = slr_sdp_crypto_read(value, &m->crypto[m->crypto_count]);
    if (err == SLR_OK) {
        m->crypto_count++;
    } else if (m->crypto_bad < UINT8_MAX) {
        m->crypto_bad++;
    }
    return err != SLR_FORMAT;
}

static bool media_attribute(struct slr_sdp_reading *r, struct slr_slice name,
                            struct slr_slice value)
{
    if (slr_slice_eq_nocase(name, "rtpmap")) {
        return read_rtpmap(r, value);
    }
    if (slr_slice_eq_nocase(name, "fmtp")) {
        return read_fmtp(r, value);
    }
    if (slr_slice_eq_nocase(name, "rtcp")) {
        return read_rtcp(r, value);
    }
    if (slr_slice_eq_nocase(name, "ssrc")) {
        return read_ssrc(r, value);
    }
    if (slr_slice_eq_nocase(name, "label")) {
        return slr_slice_to_str(slr_slice_trim(value), r->media->label, sizeof r->media->label);
    }
    if (slr_slice_eq_nocase(name, "key-mgmt")) {
        r->media->has_crypto = true;
    }
    return !slr_slice_eq_nocase(name, "crypto") || read_crypto(r->media, value);
}

/* Payload types of RFC 3551 keep their meaning where no rtpmap follows; an rtpmap overwrites. */
static void name_static(struct slr_sdp_media *m)
{
    for (uint8_t i = 0; i < m->codec_count; i++) {
        struct slr_sdp_codec *c = &m->codec[i];
        for (size_t k = 0; !c->mapped && k < sizeof static_types / sizeof static_types[0]; k++) {
            if (static_types[k].pt == c->pt) {
                (void)slr_slice_to_str(slr_slice_str(static_types[k].name), c->name,
                                       sizeof c->name);
                c->clock_hz = static_types[k].clock_hz;
                c->channels = static_types[k].channels;
            }
        }
    }
}

void slr_sdp_finish_media(struct slr_sdp *s)
{
    for (uint8_t i = 0; i < s->media_count; i++) {
        name_static(&s->media[i]);
    }
}

void slr_sdp_attribute(struct slr_sdp_reading *r, struct slr_slice value)
{
    struct slr_slice name;
    if (!slr_slice_take_token(&value, ':', &name)) {
        slr_sdp_repair(r->out, SLR_SDP_FIX_ATTRIBUTE);
        return;
    }
    name = slr_slice_trim(name);
    bool good = true;
    if (read_direction(r, name)) {
        return;
    }
    if (slr_slice_eq_nocase(name, "rtcp-mux")) {
        *(r->media ? &r->media->rtcp_mux : &r->session_mux) = true;
    } else if (slr_slice_eq_nocase(name, "ptime")) {
        good = read_ptime(r, value);
    } else if (r->media) {
        good = media_attribute(r, name, value);
    }
    if (!good) {
        slr_sdp_repair(r->out, SLR_SDP_FIX_ATTRIBUTE);
    }
}

/*
 * srtp: see srtp.h.
 */
#include "engine/srtp.h"

#include <stdlib.h>
#include <string.h>

#include "common/prefetch.h"

#define INDEX_MAX ((INT64_C(1) << 48) - 1)
#define SCAN_TRIES 8u   /* rollover counters tried for one packet */
#define SCAN_UNHEARD 64 /* candidates for an SSRC never heard: it may have run for a day */
#define SCAN_MOST 4096  /* and for one that was away */
#define ROLLOVER_S 100  /* a rollover counter changes no faster: 655 packets a second */
#define RTCP_WORD_BYTES 4u
#define RTCP_CLEAR_BYTES 8u
#define MORE_KEYS (SLR_SRTP_KEYS - 1)

/* A packet as its parts lie; which of them are there depends on the key. */
struct parts {
    struct slr_srtp_aes *aes;
    struct slr_slice packet;
    size_t header_bytes; /* RTP: not encrypted */
    uint32_t ssrc;
    uint16_t seq;
    slr_mono now;
    uint8_t *out;
    size_t out_bytes;
};

const char *slr_srtp_result_name(enum slr_srtp_result result)
{
    static const char *const names[SLR_SRTP_RESULTS] = {"ok",          "plain", "auth",  "replay",
                                                        "unknown_mki", "short", "no_key"};
    return names[result];
}

/* ---- which packets were there ---- */

static bool is_seen(const _Atomic uint64_t *word, uint32_t words, int64_t index)
{
    uint64_t block = (uint64_t)index / 32;
    uint64_t v = atomic_load_explicit(&word[block % words], memory_order_relaxed);
    return v >> 32 == (block & UINT32_MAX) && (v >> (index % 32) & 1u) != 0;
}

static bool is_too_old(uint32_t words, int64_t index, int64_t max)
{
    return index / 32 + (int64_t)words <= max / 32;
}

static void set_seen(_Atomic uint64_t *word, uint32_t words, int64_t index)
{
    uint64_t block = (uint64_t)index / 32;
    uint64_t bit = UINT64_C(1) << (index % 32);
    uint64_t v = atomic_load_explicit(&word[block % words], memory_order_relaxed);
    v = v >> 32 == (block & UINT32_MAX) ? v | bit : block << 32 | bit;
    atomic_store_explicit(&word[block % words], v, memory_order_relaxed);
}

/* ---- contexts of SSRCs ---- */

static struct slr_srtp_ssrc *find_ssrc(struct slr_srtp_group *g, uint32_t ssrc)
{
    for (uint32_t i = 0; i < SLR_SRTP_SSRCS; i++) {
        struct slr_srtp_ssrc *c = &g->ssrc[i];
        if (c->ssrc == ssrc && atomic_load_explicit(&c->used, memory_order_relaxed)) {
            return c;
        }
    }
    return NULL;
}

/* For an SSRC that has just authenticated: a free place, or that of the one unused for longest. */
static struct slr_srtp_ssrc *make_ssrc(struct slr_srtp_group *g, uint32_t ssrc)
{
    struct slr_srtp_ssrc *c = &g->ssrc[0];
    for (uint32_t i = 0; i < SLR_SRTP_SSRCS; i++) {
        struct slr_srtp_ssrc *other = &g->ssrc[i];
        if (!atomic_load_explicit(&other->used, memory_order_relaxed)) {
            c = other;
            break;
        }
        c = other->used_ns < c->used_ns ? other : c;
    }
    atomic_store_explicit(&c->used, 0, memory_order_release);
    memset(c->seen, 0, sizeof c->seen);
    memset(c->rtcp_seen, 0, sizeof c->rtcp_seen);
    atomic_store_explicit(&c->index_max, -1, memory_order_relaxed);
    atomic_store_explicit(&c->rtcp_max, -1, memory_order_relaxed);
    c->ssrc = ssrc;
    return c;
}

static void keep_rtp(struct slr_srtp_group *g, struct slr_srtp_ssrc *c, const struct parts *p,
                     int64_t index)
{
    c = c ? c : make_ssrc(g, p->ssrc);
    set_seen(c->seen, SLR_SRTP_SEEN_WORDS, index);
    if (index > atomic_load_explicit(&c->index_max, memory_order_relaxed)) {
        atomic_store_explicit(&c->index_max, index, memory_order_relaxed);
    }
    c->used_ns = p->now.ns;
    atomic_store_explicit(&c->used, 1, memory_order_release);
}

static void keep_rtcp(struct slr_srtp_group *g, struct slr_srtp_ssrc *c, const struct parts *p,
                      int64_t index)
{
    c = c ? c : make_ssrc(g, p->ssrc);
    set_seen(c->rtcp_seen, SLR_SRTP_RTCP_WORDS, index);
    if (index > atomic_load_explicit(&c->rtcp_max, memory_order_relaxed)) {
        atomic_store_explicit(&c->rtcp_max, index, memory_order_relaxed);
    }
    if (atomic_load_explicit(&c->index_max, memory_order_relaxed) < 0) {
        c->used_ns = p->now.ns;
    }
    atomic_store_explicit(&c->used, 1, memory_order_release);
}

/* ---- one packet under one key ---- */

/* RFC 3711 3.3.1: the index nearest to the highest one. Negative: before the first rollover. */
static int64_t guess_index(int64_t max, uint16_t seq)
{
    int64_t roc = max >> 16;
    int32_t delta = (int32_t)seq - (int32_t)(max & 0xffff);
    if (delta > 32768) {
        roc--;
    } else if (delta < -32768) {
        roc++;
    }
    return roc * 65536 + seq;
}

static bool try_index(const struct slr_srtp_crypt *crypt, struct parts *p, size_t body_bytes,
                      const uint8_t *tag, int64_t index)
{
    return index >= 0 && index <= INDEX_MAX &&
           slr_srtp_crypt_rtp(p->aes, crypt, p->packet.at, p->header_bytes, body_bytes, tag,
                              (uint64_t)index, p->out);
}

/* Rollover counters beyond the expected one, a few for each packet; the next packet goes on where
 * this one stopped. -1: none of them. */
static int64_t scan(struct slr_srtp_box *box, const struct slr_srtp_crypt *crypt, struct parts *p,
                    size_t body_bytes, const uint8_t *tag, int64_t first_roc, int64_t range)
{
    for (uint32_t i = 0; i < SCAN_TRIES && i < range; i++) {
        int64_t index = (first_roc + box->scan++ % range) * 65536 + p->seq;
        if (try_index(crypt, p, body_bytes, tag, index)) {
            return index;
        }
    }
    return -1;
}

/* Where a new group has not heard an SSRC: senders go on counting or begin anew. */
static enum slr_srtp_result take_unheard(struct slr_srtp *s, struct slr_srtp_box *box,
                                         uint32_t which, const struct slr_srtp_crypt *crypt,
                                         struct parts *p, size_t body_bytes, const uint8_t *tag)
{
    struct slr_srtp_group *g = &s->group[which];
    const struct slr_srtp_ssrc *before = find_ssrc(&s->group[1 - which], p->ssrc);
    int64_t max = before ? atomic_load(&before->index_max) : -1;
    int64_t index = -1;
    if (max >= 0 && try_index(crypt, p, body_bytes, tag, guess_index(max, p->seq))) {
        index = guess_index(max, p->seq);
    } else if (try_index(crypt, p, body_bytes, tag, p->seq)) {
        index = p->seq;
    } else {
        index = scan(box, crypt, p, body_bytes, tag, 1, SCAN_UNHEARD + (max > 0 ? max >> 16 : 0));
    }
    if (index < 0) {
        return SLR_SRTP_AUTH;
    }
    keep_rtp(g, find_ssrc(g, p->ssrc), p, index);
    return SLR_SRTP_OK;
}

static enum slr_srtp_result take_heard(struct slr_srtp_box *box, struct slr_srtp_group *g,
                                       struct slr_srtp_ssrc *c, const struct slr_srtp_crypt *crypt,
                                       struct parts *p, size_t body_bytes, const uint8_t *tag)
{
    int64_t max = atomic_load_explicit(&c->index_max, memory_order_relaxed);
    int64_t away_ns = p->now.ns - c->used_ns;
    int64_t index = guess_index(max, p->seq);
    enum slr_srtp_result result = SLR_SRTP_AUTH;
    if (index >= 0 && (is_too_old(SLR_SRTP_SEEN_WORDS, index, max) ||
                       is_seen(c->seen, SLR_SRTP_SEEN_WORDS, index))) {
        result = SLR_SRTP_REPLAY;
    } else if (try_index(crypt, p, body_bytes, tag, index)) {
        keep_rtp(g, c, p, index);
        return SLR_SRTP_OK;
    }
    if (away_ns < SLR_SRTP_AWAY_NS) {
        return result;
    }
    int64_t range = 2 + away_ns / (ROLLOVER_S * SLR_NS_PER_S);
    index = scan(box, crypt, p, body_bytes, tag, (max >> 16) + 1,
                 range < SCAN_MOST ? range : SCAN_MOST);
    if (index < 0) {
        return result;
    }
    keep_rtp(g, c, p, index);
    return SLR_SRTP_OK;
}

/* The MKI stands between body and tag (CM), or last (GCM, RTCP: between word and tag or last). */
static bool mki_is(const struct slr_srtp_key *key, const uint8_t *at)
{
    uint64_t v = 0;
    for (uint32_t i = 0; i < key->mki_len; i++) {
        if (v >> 56 != 0) {
            return false;
        }
        v = v << 8 | at[i];
    }
    return v == key->mki;
}

static const struct slr_srtp_crypt *crypt_of(const struct slr_srtp_box *box, uint32_t which,
                                             uint32_t k)
{
    return k == 0 ? &box->first[which] : &box->more[which][k - 1];
}

static enum slr_srtp_result try_rtp(struct slr_srtp *s, struct slr_srtp_box *box, uint32_t which,
                                    uint32_t k, struct parts *p)
{
    struct slr_srtp_group *g = &s->group[which];
    const struct slr_srtp_key *key = &g->key[k];
    const struct slr_srtp_suite_row *row = slr_srtp_suite_row((enum slr_srtp_suite)key->suite);
    size_t extra = (size_t)row->tag_bytes + key->mki_len;
    if (p->packet.len_bytes < p->header_bytes + extra) {
        return SLR_SRTP_SHORT;
    }
    size_t body_bytes = p->packet.len_bytes - extra;
    const uint8_t *tail = p->packet.at + body_bytes;
    bool gcm = row->cipher == SLR_SRTP_GCM;
    if (key->mki_len > 0 && !mki_is(key, gcm ? tail + row->tag_bytes : tail)) {
        return SLR_SRTP_MKI;
    }
    const uint8_t *tag = gcm ? tail : tail + key->mki_len;
    struct slr_srtp_ssrc *c = find_ssrc(g, p->ssrc);
    p->out_bytes = body_bytes;
    if (c && atomic_load_explicit(&c->index_max, memory_order_relaxed) >= 0) {
        return take_heard(box, g, c, crypt_of(box, which, k), p, body_bytes, tag);
    }
    return take_unheard(s, box, which, crypt_of(box, which, k), p, body_bytes, tag);
}

static enum slr_srtp_result try_rtcp(struct slr_srtp *s, struct slr_srtp_box *box, uint32_t which,
                                     uint32_t k, struct parts *p)
{
    struct slr_srtp_group *g = &s->group[which];
    const struct slr_srtp_key *key = &g->key[k];
    const struct slr_srtp_suite_row *row = slr_srtp_suite_row((enum slr_srtp_suite)key->suite);
    size_t extra = (size_t)row->rtcp_tag_bytes + RTCP_WORD_BYTES + key->mki_len;
    if (p->packet.len_bytes < RTCP_CLEAR_BYTES + extra) {
        return SLR_SRTP_SHORT;
    }
    size_t body_bytes = p->packet.len_bytes - extra;
    bool gcm = row->cipher == SLR_SRTP_GCM;
    const uint8_t *at = p->packet.at + body_bytes + (gcm ? row->rtcp_tag_bytes : 0);
    struct slr_slice word_bytes = slr_slice_of(at, RTCP_WORD_BYTES);
    uint32_t word = 0;
    (void)slr_slice_take_u32(&word_bytes, &word);
    if (key->mki_len > 0 && !mki_is(key, at + RTCP_WORD_BYTES)) {
        return SLR_SRTP_MKI;
    }
    const uint8_t *tag = gcm ? at - row->rtcp_tag_bytes : at + RTCP_WORD_BYTES + key->mki_len;
    int64_t index = (int64_t)(word & INT32_MAX);
    struct slr_srtp_ssrc *c = find_ssrc(g, p->ssrc);
    int64_t max = c ? atomic_load_explicit(&c->rtcp_max, memory_order_relaxed) : -1;
    if (max >= 0 && (is_too_old(SLR_SRTP_RTCP_WORDS, index, max) ||
                     is_seen(c->rtcp_seen, SLR_SRTP_RTCP_WORDS, index))) {
        return SLR_SRTP_REPLAY;
    }
    p->out_bytes = body_bytes;
    if (!slr_srtp_crypt_rtcp(p->aes, crypt_of(box, which, k), p->packet.at, body_bytes, tag, word,
                             p->out)) {
        return SLR_SRTP_AUTH;
    }
    keep_rtcp(g, c, p, index);
    return SLR_SRTP_OK;
}

/* ---- one packet of a leg ---- */

static uint32_t newest(const struct slr_srtp_box *box)
{
    return box->turn[1] > box->turn[0] ? 1 : 0;
}

static void close_keys(struct slr_srtp_crypt *first, struct slr_srtp_crypt **more)
{
    slr_srtp_crypt_wipe(first, sizeof *first);
    if (*more) {
        slr_srtp_crypt_wipe(*more, MORE_KEYS * sizeof **more);
        free(*more);
        *more = NULL;
    }
}

static enum slr_err open_keys(const struct slr_srtp_key *key, uint32_t count,
                              struct slr_srtp_crypt *first, struct slr_srtp_crypt **more)
{
    enum slr_err err = count <= SLR_SRTP_KEYS ? SLR_OK : SLR_INVAL;
    *more = err == SLR_OK && count > 1 ? calloc(MORE_KEYS, sizeof **more) : NULL;
    if (err == SLR_OK && count > 1 && !*more) {
        err = SLR_NOMEM;
    }
    for (uint32_t k = 0; k < count && err == SLR_OK; k++) {
        err = slr_srtp_crypt_open(&key[k], k == 0 ? first : &(*more)[k - 1]);
    }
    if (err != SLR_OK) {
        close_keys(first, more);
    }
    return err;
}

static void close_group(struct slr_srtp_box *box, uint32_t which)
{
    close_keys(&box->first[which], &box->more[which]);
    box->turn[which] = 0;
}

static void forget_group(struct slr_srtp *s, struct slr_srtp_box *box, uint32_t which)
{
    struct slr_srtp_group *g = &s->group[which];
    atomic_store_explicit(&g->turn, 0, memory_order_release);
    slr_srtp_crypt_wipe(g->key, sizeof g->key);
    g->key_count = 0;
    close_group(box, which);
}

/* The newest group was used: what came before it has an end, and so has the wait for it. */
static void note_used(struct slr_srtp *s, const struct slr_srtp_box *box, uint32_t which,
                      slr_mono now)
{
    struct slr_srtp_group *before = &s->group[1 - which];
    if (atomic_load_explicit(&s->plain_until_ns, memory_order_relaxed) != INT64_MAX) {
        atomic_store_explicit(&s->plain_until_ns, 0, memory_order_relaxed);
    }
    if (which == newest(box) && box->turn[1 - which] != 0 &&
        atomic_load_explicit(&before->until_ns, memory_order_relaxed) == INT64_MAX) {
        atomic_store_explicit(&before->until_ns, now.ns + SLR_SRTP_OLD_KEY_NS,
                              memory_order_relaxed);
    }
}

/* How telling a failure is, where several keys were tried. */
static int weight(enum slr_srtp_result result)
{
    static const int weights[SLR_SRTP_RESULTS] = {
        [SLR_SRTP_REPLAY] = 4, [SLR_SRTP_AUTH] = 3, [SLR_SRTP_MKI] = 2, [SLR_SRTP_SHORT] = 1};
    return weights[result];
}

static enum slr_srtp_result try_group(struct slr_srtp *s, struct slr_srtp_box *box, uint32_t which,
                                      bool rtcp, struct parts *p)
{
    const struct slr_srtp_group *g = &s->group[which];
    enum slr_srtp_result worst = SLR_SRTP_NO_KEY;
    for (uint32_t k = 0; k < g->key_count; k++) {
        enum slr_srtp_result r =
            rtcp ? try_rtcp(s, box, which, k, p) : try_rtp(s, box, which, k, p);
        if (r == SLR_SRTP_OK) {
            s->suite = g->key[k].suite;
            note_used(s, box, which, p->now);
            return r;
        }
        worst = weight(r) > weight(worst) ? r : worst;
    }
    return worst;
}

/* Reads what is in the clear. */
static bool read_parts(struct slr_slice packet, bool rtcp, struct parts *p)
{
    struct slr_slice rest = packet;
    uint16_t first = 0, words = 0;
    uint32_t skip = 0;
    p->packet = packet;
    if (rtcp) {
        return slr_slice_take_u32(&rest, &skip) && slr_slice_take_u32(&rest, &p->ssrc);
    }
    if (!slr_slice_take_u16(&rest, &first) || !slr_slice_take_u16(&rest, &p->seq) ||
        !slr_slice_take_u32(&rest, &skip) || !slr_slice_take_u32(&rest, &p->ssrc) ||
        !slr_slice_skip(&rest, 4u * (first >> 8 & 15u))) {
        return false;
    }
    if ((first & 0x1000u) != 0 &&
        (!slr_slice_take_u16(&rest, &words) || !slr_slice_take_u16(&rest, &words) ||
         !slr_slice_skip(&rest, 4u * (size_t)words))) {
        return false;
    }
    p->header_bytes = packet.len_bytes - rest.len_bytes;
    return true;
}

/* Whether a group may be tried; one whose time is over is forgotten. */
static bool is_live(struct slr_srtp *s, struct slr_srtp_box *box, uint32_t which,
                    const struct parts *p)
{
    const struct slr_srtp_group *g = &s->group[which];
    if (box->turn[which] == 0) {
        return false;
    }
    if (atomic_load_explicit(&g->until_ns, memory_order_relaxed) >= p->now.ns) {
        return true;
    }
    forget_group(s, box, which);
    slr_srtp_aes_forget(p->aes);
    return false;
}

static enum slr_srtp_result take(struct slr_srtp *s, struct slr_srtp_box *box, bool rtcp,
                                 struct parts *p)
{
    uint32_t which = newest(box);
    enum slr_srtp_result r =
        is_live(s, box, which, p) ? try_group(s, box, which, rtcp, p) : SLR_SRTP_NO_KEY;
    if (r == SLR_SRTP_OK || !is_live(s, box, 1 - which, p)) {
        return r;
    }
    enum slr_srtp_result old = try_group(s, box, 1 - which, rtcp, p);
    return old == SLR_SRTP_OK || weight(old) > weight(r) ? old : r;
}

enum slr_srtp_result slr_srtp_take(struct slr_srtp *s, struct slr_srtp_box *box,
                                   struct slr_srtp_aes *x, struct slr_slice packet, bool rtcp,
                                   slr_mono now, uint8_t *out, size_t *out_bytes)
{
    struct parts p = {.aes = x, .now = now, .out = out};
    enum slr_srtp_result r = read_parts(packet, rtcp, &p) ? take(s, box, rtcp, &p) : SLR_SRTP_SHORT;
    if (r == SLR_SRTP_OK) {
        slr_count_own(rtcp ? &s->rtcp_opened : &s->opened, 1);
    } else if (now.ns < atomic_load_explicit(&s->plain_until_ns, memory_order_relaxed)) {
        return SLR_SRTP_PLAIN;
    } else {
        slr_count_own(&s->failed[r], 1);
    }
    *out_bytes = r == SLR_SRTP_OK ? p.out_bytes : 0;
    return r;
}

void slr_srtp_fetch_box(const struct slr_srtp *s, const struct slr_srtp_box *box)
{
    slr_prefetch((uintptr_t)s, offsetof(struct slr_srtp, group));
    slr_prefetch_read((uintptr_t)box, offsetof(struct slr_srtp_box, first[0].rtcp));
}

/* As if the first key and the first SSRC were the packet's. */
void slr_srtp_fetch_keys(const struct slr_srtp *s, const struct slr_srtp_box *box,
                         struct slr_slice packet)
{
    uint32_t which = newest(box);
    const struct slr_srtp_group *g = &s->group[which];
    const struct slr_srtp_ssrc *c = &g->ssrc[0];
    uint16_t first = 0, seq = 0;
    if (box->turn[which] == 0 || !slr_slice_take_u16(&packet, &first) ||
        !slr_slice_take_u16(&packet, &seq)) {
        return;
    }
    slr_prefetch_read((uintptr_t)g, offsetof(struct slr_srtp_group, key) + 2);
    slr_prefetch((uintptr_t)c, offsetof(struct slr_srtp_ssrc, seen));
    slr_prefetch((uintptr_t)&c->seen[seq / 32 % SLR_SRTP_SEEN_WORDS], sizeof c->seen[0]);
    if (which == 1) {
        slr_prefetch_read((uintptr_t)&box->first[1], offsetof(struct slr_srtp_crypt, rtcp));
    }
}

/* ---- keys come and go ---- */

static bool is_same(const struct slr_srtp_group *g, const struct slr_srtp_key *key, uint32_t count)
{
    if (!atomic_load(&g->turn) || g->key_count != count) {
        return false;
    }
    for (uint32_t k = 0; k < count; k++) {
        if (g->key[k].suite != key[k].suite || g->key[k].mki_len != key[k].mki_len ||
            g->key[k].mki != key[k].mki || memcmp(g->key[k].key, key[k].key, sizeof key->key) ||
            memcmp(g->key[k].salt, key[k].salt, sizeof key->salt)) {
            return false;
        }
    }
    return true;
}

static void go_plain(struct slr_srtp *s, slr_mono now)
{
    for (int i = 0; i < 2; i++) {
        if (atomic_load(&s->group[i].turn) && atomic_load(&s->group[i].until_ns) == INT64_MAX) {
            atomic_store(&s->group[i].until_ns, now.ns + SLR_SRTP_OLD_KEY_NS);
        }
    }
    atomic_store(&s->plain_until_ns, INT64_MAX);
}

/* Keys that are there already are in force again, with all that is known of their SSRCs. */
static bool renew(struct slr_srtp *s, struct slr_srtp_box *box, const struct slr_srtp_key *key,
                  uint32_t count)
{
    uint32_t last = newest(box);
    uint32_t which = is_same(&s->group[last], key, count) ? last : 1 - last;
    struct slr_srtp_group *g = &s->group[which];
    if (!is_same(g, key, count)) {
        return false;
    }
    atomic_store(&g->until_ns, INT64_MAX);
    s->suite = key[0].suite;
    if (which != last) {
        box->turn[which] = ++s->turn;
        atomic_store_explicit(&g->turn, s->turn, memory_order_release);
    }
    return true;
}

enum slr_err slr_srtp_install(struct slr_srtp *s, struct slr_srtp_box *box,
                              const struct slr_srtp_key *key, uint32_t count, bool running,
                              slr_mono now)
{
    uint32_t last = newest(box);
    bool was_secure =
        atomic_load(&s->group[last].turn) != 0 && atomic_load(&s->plain_until_ns) != INT64_MAX;
    struct slr_srtp_crypt first, *more;
    if (count == 0) {
        go_plain(s, now);
        return SLR_OK;
    }
    int64_t plain_ns = running && !was_secure ? now.ns + SLR_SRTP_CHANGE_NS : 0;
    if (renew(s, box, key, count)) {
        if (!was_secure) {
            atomic_store(&s->plain_until_ns, plain_ns);
        }
        return SLR_OK;
    }
    enum slr_err err = open_keys(key, count, &first, &more);
    if (err != SLR_OK) {
        return err;
    }
    uint32_t which = atomic_load(&s->group[last].turn) ? 1 - last : last;
    struct slr_srtp_group *g = &s->group[which];
    forget_group(s, box, which);
    memset(g->ssrc, 0, sizeof g->ssrc);
    memcpy(g->key, key, count * sizeof *key);
    g->key_count = count;
    atomic_store(&g->until_ns, INT64_MAX);
    box->first[which] = first;
    box->more[which] = more;
    slr_srtp_crypt_wipe(&first, sizeof first);
    box->turn[which] = ++s->turn;
    s->suite = key[0].suite;
    atomic_store(&s->plain_until_ns, plain_ns);
    atomic_store_explicit(&g->turn, s->turn, memory_order_release);
    return SLR_OK;
}

enum slr_err slr_srtp_restore(const struct slr_srtp *s, struct slr_srtp_box *box)
{
    enum slr_err err = SLR_OK;
    for (uint32_t i = 0; i < 2; i++) {
        const struct slr_srtp_group *g = &s->group[i];
        uint32_t turn = atomic_load(&g->turn);
        if (turn != 0 && err == SLR_OK) {
            err = open_keys(g->key, g->key_count, &box->first[i], &box->more[i]);
        }
        box->turn[i] = err == SLR_OK ? turn : 0;
    }
    return err;
}

void slr_srtp_box_close(struct slr_srtp_box *box)
{
    for (uint32_t which = 0; which < 2; which++) {
        if (box->turn[which] != 0) { /* most are as they were given: pages nobody has touched */
            close_group(box, which);
        }
    }
}

void slr_srtp_wipe(struct slr_srtp *s, struct slr_srtp_box *box)
{
    forget_group(s, box, 0);
    forget_group(s, box, 1);
    slr_srtp_crypt_wipe(s->group, sizeof s->group);
}

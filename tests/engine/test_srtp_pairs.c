/*
 * srtp_pairs: our receiver beside libsrtp2's: both get the same packets in every order, state and
 * shape, and must agree on each. Where ours differs on purpose (its window is shorter) the rule is
 * spelled out here.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "engine/srtp.h"
#include "tests/engine/srtp_oracle.h"

#define WIRE_BYTES 4608u
#define SSRCS 6u
#define KEPT 1400u

struct sent {
    uint8_t *at; /* as it went out */
    size_t len;
    int64_t index;
};

struct source {
    uint32_t ssrc;
    int64_t index;  /* of the newest */
    uint32_t count; /* of all that were sent; the newest KEPT of them are there */
    struct sent kept[KEPT];
};

struct pair {
    struct slr_srtp *s;
    struct slr_srtp_box box;
    struct slr_srtp_aes *aes;
    struct slr_srtp_key key[SLR_SRTP_KEYS];
    uint32_t keys;
    struct oracle sender, receiver;
    slr_mono now;
    uint64_t seed;
    uint32_t count[SLR_SRTP_RESULTS];
    uint32_t beyond; /* taken by theirs alone: too late for ours */
    struct source source[SSRCS];
    struct source reports[SSRCS];
};

static uint32_t pick(struct pair *p, uint32_t below)
{
    p->seed ^= p->seed << 13;
    p->seed ^= p->seed >> 7;
    p->seed ^= p->seed << 17;
    return (uint32_t)((p->seed >> 20) % below);
}

static void make_key(struct pair *p, enum slr_srtp_suite suite, uint8_t mki_len,
                     struct slr_srtp_key *key)
{
    *key = (struct slr_srtp_key){.suite = (uint8_t)suite, .mki_len = mki_len};
    for (size_t i = 0; i < sizeof key->key; i++) {
        key->key[i] = (uint8_t)pick(p, 256);
    }
    for (size_t i = 0; i < sizeof key->salt; i++) {
        key->salt[i] = (uint8_t)pick(p, 256);
    }
    key->mki = mki_len ? 1 + pick(p, 250) : 0;
}

static struct pair *pair_open(enum slr_srtp_suite suite, uint8_t mki_len, bool clear_rtcp,
                              uint64_t seed)
{
    struct pair *p = calloc(1, sizeof *p);
    p->s = calloc(1, sizeof *p->s);
    p->seed = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    p->now.ns = SLR_NS_PER_S;
    p->keys = mki_len ? 3 : 1;
    for (uint32_t i = 0; i < p->keys; i++) {
        make_key(p, suite, mki_len, &p->key[i]);
        p->key[i].mki += mki_len ? i * 251u : 0;
        p->key[i].mki &= mki_len == 1 ? 255u : UINT64_MAX;
    }
    cr_assert_eq(slr_srtp_aes_open(&p->aes), SLR_OK);
    cr_assert_eq(slr_srtp_install(p->s, &p->box, p->key, p->keys, false, p->now), SLR_OK);
    for (uint32_t i = 0; i < SSRCS; i++) {
        p->source[i].ssrc = p->reports[i].ssrc = pick(p, UINT32_MAX);
        p->source[i].index = 60000 + pick(p, 5000);
    }
    oracle_open_as(&p->sender, p->key, p->keys, clear_rtcp, true);
    oracle_open_as(&p->receiver, p->key, p->keys, clear_rtcp, false);
    return p;
}

static void forget_sent(struct source *from)
{
    for (uint32_t i = 0; i < KEPT; i++) {
        free(from->kept[i].at);
    }
}

static void pair_close(struct pair *p)
{
    for (uint32_t i = 0; i < SSRCS; i++) {
        forget_sent(&p->source[i]);
        forget_sent(&p->reports[i]);
    }
    oracle_close(&p->sender);
    oracle_close(&p->receiver);
    slr_srtp_wipe(p->s, &p->box);
    slr_srtp_aes_close(p->aes);
    free(p->s);
    free(p);
}

static int64_t index_max(const struct pair *p, const uint8_t *ssrc_at, bool rtcp)
{
    uint32_t ssrc = (uint32_t)ssrc_at[0] << 24 | (uint32_t)ssrc_at[1] << 16 |
                    (uint32_t)ssrc_at[2] << 8 | ssrc_at[3];
    for (uint32_t i = 0; i < SLR_SRTP_SSRCS; i++) {
        const struct slr_srtp_ssrc *c = &p->s->group[0].ssrc[i];
        if (atomic_load(&c->used) && c->ssrc == ssrc) {
            return atomic_load(rtcp ? &c->rtcp_max : &c->index_max);
        }
    }
    return -1;
}

/* Ours keeps blocks of 32 packets: so many of them, that of the newest included. */
static bool is_beyond_ours(int64_t index, int64_t max, bool rtcp)
{
    return max >= 0 && index / 32 + (rtcp ? SLR_SRTP_RTCP_WORDS : SLR_SRTP_SEEN_WORDS) <= max / 32;
}

/* Gives a packet to both; `index` is the one that it was sent with, -1: it is not as it was sent.
 * Returns what ours says. */
static enum slr_srtp_result give(struct pair *p, const uint8_t *at, size_t len, bool rtcp,
                                 int64_t index)
{
    static uint8_t ours[WIRE_BYTES + 256], theirs[WIRE_BYTES + 256];
    size_t out_bytes = 0;
    int n = (int)len;
    uint8_t *exact = malloc(len + 1); /* of its own, at an odd address: ASan sees who goes beyond */
    memcpy(exact + 1, at, len);
    memcpy(theirs, at, len);
    int64_t max = len >= 12 ? index_max(p, at + (rtcp ? 4 : 8), rtcp) : -1;
    p->now.ns += SLR_NS_PER_MS;
    enum slr_srtp_result r = slr_srtp_take(p->s, &p->box, p->aes, slr_slice_of(exact + 1, len),
                                           rtcp, p->now, ours, &out_bytes);
    free(exact);
    srtp_err_status_t their =
        rtcp ? srtp_unprotect_rtcp_mki(p->receiver.session, theirs, &n, p->receiver.with_mki)
             : srtp_unprotect_mki(p->receiver.session, theirs, &n, p->receiver.with_mki);
    enum slr_srtp_result want = SLR_SRTP_REPLAY;
    if (their == srtp_err_status_ok) {
        cr_assert_geq(index, 0, "suite %d: changed, and theirs takes it", p->key[0].suite);
        want = is_beyond_ours(index, max, rtcp) ? SLR_SRTP_REPLAY : SLR_SRTP_OK;
        p->beyond += want != SLR_SRTP_OK;
    } else if (their == srtp_err_status_auth_fail) {
        /* the one that it is taken for, where it comes more than a rollover late */
        int64_t nearest = max + (int16_t)(index - max);
        want = is_beyond_ours(rtcp ? index : nearest, max, rtcp) ? SLR_SRTP_REPLAY : SLR_SRTP_AUTH;
    } else if (their == srtp_err_status_bad_mki) {
        want = SLR_SRTP_MKI;
    }
    p->count[r]++;
    if (index >= 0) {
        cr_assert_eq(r, want, "suite %d, index %lld of %lld: %s, theirs %d", p->key[0].suite,
                     (long long)index, (long long)max, slr_srtp_result_name(r), their);
    } else {
        cr_assert_neq(r, SLR_SRTP_OK, "suite %d", p->key[0].suite);
    }
    if (r == SLR_SRTP_OK) {
        cr_assert_eq(out_bytes, (size_t)n);
        cr_assert_eq(memcmp(ours, theirs, out_bytes), 0);
    }
    return r;
}

static void keep(struct source *from, const uint8_t *at, size_t len, int64_t index)
{
    struct sent *k = &from->kept[from->count++ % KEPT];
    free(k->at);
    k->at = malloc(len);
    memcpy(k->at, at, len);
    k->len = len;
    k->index = index;
}

static void put_header(uint8_t *at, uint16_t seq, uint32_t ssrc)
{
    uint8_t header[12] = {0x80,
                          8,
                          (uint8_t)(seq >> 8),
                          (uint8_t)seq,
                          0,
                          0,
                          0,
                          1,
                          (uint8_t)(ssrc >> 24),
                          (uint8_t)(ssrc >> 16),
                          (uint8_t)(ssrc >> 8),
                          (uint8_t)ssrc};
    memcpy(at, header, sizeof header);
}

/* The source's next packet, `step` numbers on; it is kept. */
static const struct sent *make_rtp(struct pair *p, struct source *from, uint32_t step, size_t body)
{
    uint8_t wire[WIRE_BYTES + 256] = {0};
    size_t len = 12 + body;
    from->index += step;
    put_header(wire, (uint16_t)from->index, from->ssrc);
    for (size_t i = 12; i < len; i++) {
        wire[i] = (uint8_t)pick(p, 256);
    }
    if (body >= 64 && pick(p, 4) == 0) { /* with CSRCs and extension */
        uint32_t cc = pick(p, 10);
        wire[0] = (uint8_t)(0x90 | cc);
        wire[12 + 4 * cc + 2] = 0;
        wire[12 + 4 * cc + 3] = (uint8_t)pick(p, 4);
    }
    len = oracle_rtp(&p->sender, wire, len, pick(p, p->keys));
    keep(from, wire, len, from->index);
    return &from->kept[(from->count - 1) % KEPT];
}

static const struct sent *make_rtcp(struct pair *p, struct source *from, size_t body)
{
    uint8_t wire[1024] = {0x80, 200};
    size_t len = 8 + body;
    wire[3] = (uint8_t)(len / 4 - 1);
    for (int i = 0; i < 4; i++) {
        wire[4 + i] = (uint8_t)(from->ssrc >> (24 - 8 * i));
    }
    for (size_t i = 8; i < len; i++) {
        wire[i] = (uint8_t)pick(p, 256);
    }
    len = oracle_rtcp(&p->sender, wire, len, pick(p, p->keys));
    keep(from, wire, len, ++from->index);
    return &from->kept[(from->count - 1) % KEPT];
}

static const struct sent *some_old(struct pair *p, const struct source *from)
{
    uint32_t have = from->count < KEPT ? from->count : KEPT;
    uint32_t far = pick(p, 4) == 0 ? have : have < 40 ? have : 40;
    return &from->kept[(from->count - 1 - pick(p, far)) % KEPT];
}

static void give_sent(struct pair *p, const struct sent *k, bool rtcp)
{
    (void)give(p, k->at, k->len, rtcp, k->index);
}

/* A bit, the end, or more than there was. */
static void give_changed(struct pair *p, const struct sent *k, bool rtcp)
{
    uint8_t wire[WIRE_BYTES + 256] = {0};
    size_t len = k->len;
    memcpy(wire, k->at, len);
    uint32_t how = pick(p, 4);
    if (how == 0) {
        len = pick(p, (uint32_t)len);
    } else if (how == 1) {
        len += 1 + pick(p, 20);
    } else {
        uint32_t bit = pick(p, (uint32_t)len * 8);
        wire[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    (void)give(p, wire, len, rtcp, -1);
}

/* libsrtp2 2.5 looks for the MKI of SRTCP where the tag of SRTP would have it end. */
static bool no_rtcp(const struct pair *p)
{
    const struct slr_srtp_suite_row *row = slr_srtp_suite_row((enum slr_srtp_suite)p->key->suite);
    return p->keys > 1 && row->tag_bytes != row->rtcp_tag_bytes;
}

static void step(struct pair *p, uint32_t sources)
{
    struct source *from = &p->source[pick(p, sources)];
    struct source *reports = &p->reports[from - p->source];
    uint32_t what = pick(p, no_rtcp(p) ? 900 : 1000);
    if (from->count == 0 || what < 700) {
        uint32_t far = pick(p, 100);
        bool jump = far == 0 && from->count > 0;
        uint32_t on = jump ? 3000 + pick(p, 27000) : far < 6 ? 1 + pick(p, 40) : 1;
        const struct sent *k = make_rtp(p, from, on, pick(p, 50) ? pick(p, 200) : pick(p, 4500));
        if (jump || pick(p, 8) != 0) {
            give_sent(p, k, false);
        }
    } else if (what < 850) {
        give_sent(p, some_old(p, from), false);
    } else if (what < 900) {
        give_changed(p, some_old(p, from), false);
    } else if (reports->count == 0 || what < 950) {
        const struct sent *k = make_rtcp(p, reports, 20 + 4 * pick(p, 20));
        if (pick(p, 3) != 0) {
            give_sent(p, k, true);
        }
    } else if (what < 980) {
        give_sent(p, some_old(p, reports), true);
    } else {
        give_changed(p, some_old(p, reports), true);
    }
}

static void setup(void)
{
    cr_assert_eq(srtp_init(), srtp_err_status_ok);
}

static void teardown(void)
{
    srtp_shutdown();
}

TestSuite(srtp_pairs, .init = setup, .fini = teardown);

#define EACH_SUITE(suite) for (int suite = 1; suite < SLR_SRTP_SUITE_COUNT; suite++)

/* Loss, late and repeated packets, jumps, rollovers, further SSRCs, changed and cut packets, RTP
 * and RTCP of several sources in one leg. */
Test(srtp_pairs, both_say_the_same_of_a_long_and_bad_day)
{
    static const uint8_t mki_lens[] = {0, 1, 4, 128};
    EACH_SUITE(suite)
    {
        for (uint32_t m = 0; m < 4; m++) {
            uint64_t seed = (uint64_t)suite * 10 + m;
            struct pair *p = pair_open((enum slr_srtp_suite)suite, mki_lens[m], m == 1, seed);
            cr_log_info("seed %llu", (unsigned long long)seed);
            for (uint32_t i = 0; i < 6000; i++) {
                step(p, 2 + i / 1500); /* SSRCs come */
            }
            cr_assert_gt(p->count[SLR_SRTP_OK], 3000);
            cr_assert_gt(p->count[SLR_SRTP_REPLAY], 200);
            cr_assert_gt(p->count[SLR_SRTP_AUTH], 50);
            cr_assert_gt(index_max(p, p->source[0].kept[0].at + 8, false) >> 16, 1, "rollovers");
            pair_close(p);
        }
    }
}

Test(srtp_pairs, bodies_of_every_length)
{
    EACH_SUITE(suite)
    {
        struct pair *p = pair_open((enum slr_srtp_suite)suite, 0, false, 5);
        for (size_t body = 0; body <= 4400; body += body == 80 ? 1940 : body == 2120 ? 1940 : 1) {
            uint32_t before = p->count[SLR_SRTP_OK];
            give_sent(p, make_rtp(p, &p->source[0], 1, body), false);
            cr_assert_eq(p->count[SLR_SRTP_OK], before + 1, "suite %d body %zu", suite, body);
        }
        for (size_t body = 0; body <= 900; body += 4) {
            uint32_t before = p->count[SLR_SRTP_OK];
            give_sent(p, make_rtcp(p, &p->reports[0], body), true);
            cr_assert_eq(p->count[SLR_SRTP_OK], before + 1, "suite %d rtcp body %zu", suite, body);
        }
        pair_close(p);
    }
}

Test(srtp_pairs, every_changed_bit_and_every_cut_of_rtp_and_rtcp)
{
    static const uint8_t mki_lens[] = {0, 4};
    EACH_SUITE(suite)
    {
        for (uint32_t m = 0; m < 4; m++) {
            struct pair *p = pair_open((enum slr_srtp_suite)suite, mki_lens[m % 2], m >= 2, 6 + m);
            for (int rtcp = 0; rtcp < (no_rtcp(p) ? 1 : 2); rtcp++) {
                for (int heard = 0; heard < 2; heard++) { /* the source's first packet, or not */
                    const struct sent *k = rtcp ? make_rtcp(p, &p->reports[heard], 20)
                                                : make_rtp(p, &p->source[heard], 1, 33);
                    uint8_t wire[512];
                    memcpy(wire, k->at, k->len);
                    for (size_t bit = 0; bit < k->len * 8; bit++) {
                        wire[bit / 8] ^= (uint8_t)(1u << bit % 8);
                        (void)give(p, wire, k->len, rtcp != 0, -1);
                        wire[bit / 8] ^= (uint8_t)(1u << bit % 8);
                    }
                    for (size_t len = 0; len < k->len; len++) {
                        (void)give(p, wire, len, rtcp != 0, -1);
                    }
                    cr_assert_eq(p->count[SLR_SRTP_OK], (uint32_t)(2 * rtcp + heard));
                    give_sent(p, k, rtcp != 0);
                    cr_assert_eq(p->count[SLR_SRTP_OK], (uint32_t)(2 * rtcp + heard) + 1);
                }
            }
            pair_close(p);
        }
    }
}

/* Around the highest number, before and after a rollover, each distance once and once more. */
Test(srtp_pairs, every_distance_to_the_edge_of_the_window)
{
    static const int64_t highest[] = {1400, 65535, 65536, 65536 + 31, 65536 + 480, 131072 + 1000};
    for (size_t h = 0; h < sizeof highest / sizeof highest[0]; h++) {
        struct pair *p = pair_open(SLR_SRTP_AES_CM_128_80, 0, false, 7);
        struct source *from = &p->source[0];
        from->index = highest[h] - 1300 < 65536 ? 0 : 65000;
        give_sent(p, make_rtp(p, from, 0, 0), false);
        while (from->index < highest[h] - 1300) { /* the sender's counter follows */
            int64_t left = highest[h] - 1300 - from->index;
            give_sent(p, make_rtp(p, from, left < 30000 ? (uint32_t)left : 30000, 0), false);
        }
        while (from->index < highest[h]) {
            (void)make_rtp(p, from, 1, 20);
        }
        uint32_t before = p->count[SLR_SRTP_OK];
        for (uint32_t twice = 0; twice < 2; twice++) {
            for (uint32_t back = 0; back < 1100; back++) {
                give_sent(p, &from->kept[(from->count - 1 - back) % KEPT], false);
            }
        }
        uint32_t taken = p->count[SLR_SRTP_OK] - before;
        cr_assert_gt(p->beyond, 500, "theirs looks back further");
        cr_assert(taken > 480 && taken <= 512, "highest %lld: %u", (long long)highest[h], taken);
        pair_close(p);
    }
    struct pair *p = pair_open(SLR_SRTP_AEAD_AES_128, 0, false, 8);
    while (p->reports[0].count < 600) {
        (void)make_rtcp(p, &p->reports[0], 20);
    }
    for (uint32_t back = 0; back < 300; back++) {
        give_sent(p, &p->reports[0].kept[599 - back], true);
        give_sent(p, &p->reports[0].kept[599 - back], true);
    }
    cr_assert(p->count[SLR_SRTP_OK] > 96 && p->count[SLR_SRTP_OK] <= 128);
    pair_close(p);
}

/* RFC 3711 3.3.1: up to half the numbers away the counter is guessed right, beyond it is wrong. */
Test(srtp_pairs, guesses_of_the_rollover_counter_at_half_the_numbers)
{
    static const uint32_t base[] = {0, 100, 32767, 32768, 32769, 65535};
    static const uint32_t away[] = {32766, 32767, 32768, 32769, 40000, 65535, 65536, 65537};
    for (size_t b = 0; b < sizeof base / sizeof base[0]; b++) {
        for (size_t a = 0; a < sizeof away / sizeof away[0]; a++) {
            struct pair *p = pair_open(SLR_SRTP_AEAD_AES_256, 0, false, 9);
            struct source *from = &p->source[0];
            from->index = 65000;
            give_sent(p, make_rtp(p, from, 0, 0), false);
            while (from->index < 131072 + (int64_t)base[b]) { /* two rollovers on */
                int64_t left = 131072 + (int64_t)base[b] - from->index;
                give_sent(p, make_rtp(p, from, left < 30000 ? (uint32_t)left : 30000, 0), false);
            }
            uint32_t taken = p->count[SLR_SRTP_OK];
            for (uint32_t left = away[a]; left > 0;) { /* unheard */
                uint32_t on = left < 30000 ? left : 30000;
                (void)make_rtp(p, from, on, 10);
                left -= on;
            }
            give_sent(p, &from->kept[(from->count - 1) % KEPT], false);
            bool right = away[a] < 32768 || (away[a] == 32768 && base[b] < 32768);
            cr_assert_eq(p->count[SLR_SRTP_OK] > taken, right, "%u and %u", base[b], away[a]);
            pair_close(p);
        }
    }
}

Test(srtp_pairs, packets_under_another_key)
{
    static const uint8_t mki_lens[] = {0, 4};
    EACH_SUITE(suite)
    {
        for (uint32_t m = 0; m < 2; m++) {
            struct pair *p = pair_open((enum slr_srtp_suite)suite, mki_lens[m], false, 10);
            struct slr_srtp_key key = p->key[0]; /* one bit of salt or key, the same MKI */
            struct oracle other;
            for (int i = 0; i < 2; i++) {
                uint8_t wire[512] = {0};
                (i ? key.salt : key.key)[3] ^= 1;
                oracle_open(&other, &key, 1, false);
                put_header(wire, (uint16_t)(i + 1), 77);
                cr_assert_eq(give(p, wire, oracle_rtp(&other, wire, 100, 0), false, -1),
                             SLR_SRTP_AUTH);
                memcpy(wire, "\x80\xc8\x00\x06\x00\x00\x00\x4d", 8);
                cr_assert_eq(give(p, wire, oracle_rtcp(&other, wire, 28, 0), true, -1),
                             SLR_SRTP_AUTH);
                oracle_close(&other);
            }
            pair_close(p);
        }
    }
}

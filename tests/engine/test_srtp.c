/*
 * srtp: our receiver against libsrtp2 as sender, published vectors, and everything that a peer or
 * an attacker can do to numbers, keys and bytes.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/srtp.h"
#include "engine/srtp_keys.h"
#include "tests/engine/srtp_oracle.h"

#define PAYLOAD 160u
#define SSRC 0x01020304u

struct rig {
    struct slr_srtp *s;
    struct slr_srtp_box box;
    struct slr_srtp_aes *aes;
    struct slr_srtp_key key[SLR_SRTP_KEYS];
    struct oracle peer;
    slr_mono now;
    uint8_t out[2048];
    size_t out_bytes;
};

static uint64_t seed_next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static struct slr_srtp_key some_key(enum slr_srtp_suite suite, uint64_t seed, uint8_t mki_len)
{
    struct slr_srtp_key key = {.suite = (uint8_t)suite, .mki_len = mki_len};
    for (size_t i = 0; i < sizeof key.key; i++) {
        key.key[i] = (uint8_t)(seed_next(&seed) >> 24);
    }
    for (size_t i = 0; i < sizeof key.salt; i++) {
        key.salt[i] = (uint8_t)(seed_next(&seed) >> 24);
    }
    key.mki = mki_len ? seed % 200 + 1 : 0;
    return key;
}

static void rig_open(struct rig *r, enum slr_srtp_suite suite, uint8_t mki_len, uint32_t keys)
{
    memset(r, 0, sizeof *r);
    r->s = calloc(1, sizeof *r->s);
    r->now.ns = SLR_NS_PER_S;
    for (uint32_t i = 0; i < keys; i++) {
        r->key[i] = some_key(suite, 77 + i, mki_len);
    }
    cr_assert_eq(slr_srtp_aes_open(&r->aes), SLR_OK);
    cr_assert_eq(slr_srtp_install(r->s, &r->box, r->key, keys, false, r->now), SLR_OK);
    oracle_open(&r->peer, r->key, keys, false);
}

static void rig_close(struct rig *r)
{
    oracle_close(&r->peer);
    slr_srtp_wipe(r->s, &r->box);
    slr_srtp_aes_close(r->aes);
    free(r->s);
}

static size_t make_rtp(uint8_t *at, uint16_t seq, uint32_t ssrc, size_t payload)
{
    uint8_t header[12] = {0x80,
                          0,
                          (uint8_t)(seq >> 8),
                          (uint8_t)seq,
                          0,
                          0,
                          (uint8_t)(seq >> 4),
                          (uint8_t)(seq << 4),
                          (uint8_t)(ssrc >> 24),
                          (uint8_t)(ssrc >> 16),
                          (uint8_t)(ssrc >> 8),
                          (uint8_t)ssrc};
    memcpy(at, header, sizeof header);
    for (size_t i = 0; i < payload; i++) {
        at[12 + i] = (uint8_t)(seq * 31 + i);
    }
    return 12 + payload;
}

static enum slr_srtp_result give(struct rig *r, const uint8_t *at, size_t len, bool rtcp)
{
    r->now.ns += SLR_NS_PER_MS;
    memset(r->out, 0xee, sizeof r->out);
    return slr_srtp_take(r->s, &r->box, r->aes, slr_slice_of(at, len), rtcp, r->now, r->out,
                         &r->out_bytes);
}

/* Protects and gives one packet, and compares what comes out. */
static enum slr_srtp_result send(struct rig *r, struct oracle *peer, uint16_t seq, uint32_t key)
{
    uint8_t plain[512], wire[1024];
    size_t len = make_rtp(plain, seq, SSRC, PAYLOAD);
    memcpy(wire, plain, len);
    size_t n = oracle_rtp(peer, wire, len, key);
    enum slr_srtp_result result = give(r, wire, n, false);
    if (result == SLR_SRTP_OK) {
        cr_assert_eq(r->out_bytes, len);
        cr_assert_eq(memcmp(r->out, plain, len), 0);
    }
    return result;
}

static void setup(void)
{
    cr_assert_eq(srtp_init(), srtp_err_status_ok);
}

static void teardown(void)
{
    srtp_shutdown();
}

TestSuite(srtp, .init = setup, .fini = teardown);

#define EACH_SUITE(suite) for (int suite = 1; suite < SLR_SRTP_SUITE_COUNT; suite++)

Test(srtp, every_suite_agrees_with_libsrtp_across_a_rollover_with_and_without_mki)
{
    static const uint8_t mki_lens[] = {0, 1, 4, 128};
    EACH_SUITE(suite)
    {
        for (size_t m = 0; m < 4; m++) {
            struct rig r;
            rig_open(&r, (enum slr_srtp_suite)suite, mki_lens[m], mki_lens[m] ? 3 : 1);
            for (uint32_t i = 0; i < 400; i++) {
                cr_assert_eq(send(&r, &r.peer, (uint16_t)(65400 + i), mki_lens[m] ? i % 3 : 0),
                             SLR_SRTP_OK, "suite %d mki %d packet %u", suite, mki_lens[m], i);
            }
            cr_assert_eq(slr_count_get(&r.s->opened), 400);
            rig_close(&r);
        }
    }
}

Test(srtp, headers_with_csrc_extension_and_padding_and_no_payload)
{
    EACH_SUITE(suite)
    {
        struct rig r;
        rig_open(&r, (enum slr_srtp_suite)suite, 0, 1);
        for (uint32_t cc = 0; cc < 16; cc++) {
            uint8_t plain[512] = {0}, wire[1024];
            size_t len = make_rtp(plain, (uint16_t)(cc + 1), SSRC, 0);
            plain[0] = (uint8_t)(0x90 | cc);
            len += 4 * cc;
            memcpy(plain + len, "\xbe\xde\x00\x02xxxxyyyy", 12);
            len += 12;
            memset(plain + len, 0x55, cc * 7);
            len += cc * 7;
            memcpy(wire, plain, len);
            size_t n = oracle_rtp(&r.peer, wire, len, 0);
            cr_assert_eq(give(&r, wire, n, false), SLR_SRTP_OK, "suite %d cc %u", suite, cc);
            cr_assert_eq(r.out_bytes, len);
            cr_assert_eq(memcmp(r.out, plain, len), 0);
        }
        rig_close(&r);
    }
}

Test(srtp, rtcp_of_every_suite_encrypted_and_only_authenticated)
{
    static const uint8_t mki_lens[] = {0, 4};
    EACH_SUITE(suite)
    {
        for (int clear = 0; clear < 2; clear++) {
            for (size_t m = 0; m < 2; m++) {
                struct rig r;
                rig_open(&r, (enum slr_srtp_suite)suite, mki_lens[m], mki_lens[m] ? 2 : 1);
                oracle_close(&r.peer);
                oracle_open(&r.peer, r.key, mki_lens[m] ? 2 : 1, clear != 0);
                for (uint32_t i = 0; i < 5; i++) {
                    uint8_t plain[64] = {0x80, 200, 0, 6, 1, 2, 3, 4, (uint8_t)i}, wire[512];
                    memcpy(wire, plain, 28);
                    size_t n = oracle_rtcp(&r.peer, wire, 28, mki_lens[m] ? i % 2 : 0);
                    cr_assert_eq(give(&r, wire, n, true), SLR_SRTP_OK, "suite %d clear %d mki %d",
                                 suite, clear, mki_lens[m]);
                    cr_assert_eq(r.out_bytes, 28);
                    cr_assert_eq(memcmp(r.out, plain, 28), 0);
                    cr_assert_eq(give(&r, wire, n, true), SLR_SRTP_REPLAY);
                    wire[9] ^= 1;
                    wire[suite >= SLR_SRTP_AEAD_AES_128 ? n - 1 - mki_lens[m] : n - 1] ^= 1;
                    cr_assert_neq(give(&r, wire, n, true), SLR_SRTP_OK);
                }
                rig_close(&r);
            }
        }
    }
}

Test(srtp, every_flipped_bit_is_noticed_and_changes_nothing)
{
    EACH_SUITE(suite)
    {
        struct rig r;
        rig_open(&r, (enum slr_srtp_suite)suite, 2, 1);
        cr_assert_eq(send(&r, &r.peer, 100, 0), SLR_SRTP_OK);
        struct slr_srtp *before = malloc(sizeof *before);
        uint8_t wire[1024];
        size_t n = oracle_rtp(&r.peer, wire, make_rtp(wire, 101, SSRC, 20), 0);
        memcpy(before, r.s, sizeof *before);
        for (size_t bit = 0; bit < n * 8; bit++) {
            wire[bit / 8] ^= (uint8_t)(1u << bit % 8);
            cr_assert_neq(give(&r, wire, n, false), SLR_SRTP_OK, "suite %d bit %zu", suite, bit);
            wire[bit / 8] ^= (uint8_t)(1u << bit % 8);
            cr_assert_eq(memcmp(before->group, r.s->group, sizeof before->group), 0);
        }
        for (size_t len = 0; len < n; len++) {
            cr_assert_neq(give(&r, wire, len, false), SLR_SRTP_OK);
        }
        cr_assert_eq(memcmp(before->group, r.s->group, sizeof before->group), 0);
        cr_assert_eq(give(&r, wire, n, false), SLR_SRTP_OK);
        free(before);
        rig_close(&r);
    }
}

Test(srtp, reordering_and_replays_around_rollovers)
{
    struct rig r;
    rig_open(&r, SLR_SRTP_AES_CM_128_80, 0, 1);
    enum { COUNT = 3000 };
    static uint8_t wire[COUNT][256];
    static size_t len[COUNT];
    uint32_t order[COUNT];
    uint64_t seed = 4711;
    for (uint32_t i = 0; i < COUNT; i++) { /* from 64000 on: one rollover at 1536 */
        len[i] =
            oracle_rtp(&r.peer, wire[i], make_rtp(wire[i], (uint16_t)(64000 + i), SSRC, 40), 0);
        order[i] = i;
    }
    for (uint32_t i = 0; i + 400 <= COUNT; i += 400) { /* within 400 packets any order */
        for (uint32_t k = 399; k > 0; k--) {
            uint32_t j = (uint32_t)(seed_next(&seed) % (k + 1)), swap = order[i + k];
            order[i + k] = order[i + j];
            order[i + j] = swap;
        }
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        uint32_t k = order[i];
        cr_assert_eq(give(&r, wire[k], len[k], false), SLR_SRTP_OK, "packet %u at %u", k, i);
        cr_assert_eq(give(&r, wire[k], len[k], false), SLR_SRTP_REPLAY);
        uint32_t old = order[(uint32_t)(seed_next(&seed) % (i + 1))];
        cr_assert_eq(give(&r, wire[old], len[old], false), SLR_SRTP_REPLAY);
    }
    rig_close(&r);
}

Test(srtp, first_packet_after_a_lost_start_is_beyond_the_rollover)
{
    struct rig r;
    rig_open(&r, SLR_SRTP_AES_CM_128_80, 0, 1);
    uint8_t late[256];
    size_t late_len = oracle_rtp(&r.peer, late, make_rtp(late, 65535, SSRC, 40), 0);
    cr_assert_eq(send(&r, &r.peer, 0, 0), SLR_SRTP_OK, "rollover counter 1 is tried");
    cr_assert_eq(give(&r, late, late_len, false), SLR_SRTP_OK, "and the one before still fits");
    rig_close(&r);
}

/* Makes the peer send `rollovers` times 65536 packets that nobody receives. */
static void let_run(struct rig *r, uint32_t rollovers, uint16_t *seq)
{
    uint8_t wire[256];
    for (uint64_t i = 0; i < (uint64_t)rollovers * 4; i++) { /* every 16384th is enough for it */
        *seq = (uint16_t)(*seq + 16384);
        (void)oracle_rtp(&r->peer, wire, make_rtp(wire, *seq, SSRC, 0), 0);
    }
}

Test(srtp, hours_of_packets_were_missed)
{
    EACH_SUITE(suite)
    {
        struct rig r;
        uint16_t seq = 7;
        rig_open(&r, (enum slr_srtp_suite)suite, 0, 1);
        cr_assert_eq(send(&r, &r.peer, seq, 0), SLR_SRTP_OK);
        let_run(&r, 23, &seq); /* eight hours at 50 packets a second */
        r.now.ns += 8 * 3600 * SLR_NS_PER_S;
        int tries = 0;
        while (send(&r, &r.peer, ++seq, 0) != SLR_SRTP_OK) {
            cr_assert_lt(++tries, 40, "suite %d", suite);
        }
        cr_assert_eq(send(&r, &r.peer, ++seq, 0), SLR_SRTP_OK);
        cr_assert_eq(atomic_load(&r.s->group[0].ssrc[0].index_max) >> 16, 23);
        rig_close(&r);
    }
}

Test(srtp, a_stream_that_ran_before_we_came_is_found)
{
    struct rig r;
    uint16_t seq = 60000;
    rig_open(&r, SLR_SRTP_AES_CM_128_32, 0, 1);
    uint8_t wire[256];
    (void)oracle_rtp(&r.peer, wire, make_rtp(wire, seq, SSRC, 0), 0);
    let_run(&r, 50, &seq);
    int tries = 0;
    while (send(&r, &r.peer, ++seq, 0) != SLR_SRTP_OK) {
        cr_assert_lt(++tries, 9);
    }
    rig_close(&r);
}

Test(srtp, replays_after_a_silence_stay_replays)
{
    struct rig r;
    rig_open(&r, SLR_SRTP_AEAD_AES_128, 0, 1);
    uint8_t wire[256];
    size_t n = oracle_rtp(&r.peer, wire, make_rtp(wire, 9, SSRC, 40), 0);
    cr_assert_eq(give(&r, wire, n, false), SLR_SRTP_OK);
    r.now.ns += 3600 * SLR_NS_PER_S;
    for (int i = 0; i < 100; i++) {
        cr_assert_eq(give(&r, wire, n, false), SLR_SRTP_REPLAY);
    }
    rig_close(&r);
}

Test(srtp, a_restart_at_any_moment_goes_on_with_the_same_counter)
{
    struct rig r;
    rig_open(&r, SLR_SRTP_AES_256_CM_80, 0, 1);
    for (uint32_t i = 0; i < 600; i++) {
        cr_assert_eq(send(&r, &r.peer, (uint16_t)(65236 + i), 0), SLR_SRTP_OK);
        /* the process dies: only the state file's part is left */
        struct slr_srtp_box fresh = {.scan = 0};
        struct slr_srtp *kept = malloc(sizeof *kept);
        memcpy(kept, r.s, sizeof *kept);
        slr_srtp_wipe(r.s, &r.box);
        memcpy(r.s, kept, sizeof *kept);
        free(kept);
        r.box = fresh;
        cr_assert_eq(slr_srtp_restore(r.s, &r.box), SLR_OK);
    }
    cr_assert_eq(atomic_load(&r.s->group[0].ssrc[0].index_max), 65536 + 299);
    rig_close(&r);
}

Test(srtp, a_new_key_is_in_force_at_once_and_the_old_one_for_a_while)
{
    for (int goes_on = 0; goes_on < 2; goes_on++) { /* senders keep their counter, or begin anew */
        struct rig r;
        struct oracle second;
        uint8_t straggler[2][256];
        size_t len[2];
        rig_open(&r, SLR_SRTP_AES_CM_128_80, 0, 1);
        for (uint32_t i = 0; i < 100; i++) {
            cr_assert_eq(send(&r, &r.peer, (uint16_t)(65500 + i), 0), SLR_SRTP_OK);
        }
        for (uint16_t i = 0; i < 2; i++) {
            len[i] = oracle_rtp(&r.peer, straggler[i],
                                make_rtp(straggler[i], (uint16_t)(64 + i), SSRC, 40), 0);
        }
        struct slr_srtp_key key = some_key(SLR_SRTP_AEAD_AES_256, 5, 0);
        cr_assert_eq(slr_srtp_install(r.s, &r.box, &key, 1, true, r.now), SLR_OK);
        oracle_open(&second, &key, 1, false);
        if (goes_on) {
            uint8_t wire[256];
            (void)oracle_rtp(&second, wire, make_rtp(wire, 65535, SSRC, 0), 0);
        }
        r.now.ns += 60 * SLR_NS_PER_S; /* the old one ends with the use of the new one only */
        cr_assert_eq(give(&r, straggler[0], len[0], false), SLR_SRTP_OK);
        cr_assert_eq(send(&r, &second, 66, 0), SLR_SRTP_OK, "goes_on %d", goes_on);
        cr_assert_eq(give(&r, straggler[1], len[1], false), SLR_SRTP_OK);
        cr_assert_eq(give(&r, straggler[0], len[0], false), SLR_SRTP_REPLAY);
        len[0] = oracle_rtp(&r.peer, straggler[0], make_rtp(straggler[0], 67, SSRC, 40), 0);
        r.now.ns += SLR_SRTP_OLD_KEY_NS + 1;
        cr_assert_neq(give(&r, straggler[0], len[0], false), SLR_SRTP_OK);
        static const uint8_t zeros[sizeof r.key];
        cr_assert_eq(memcmp(r.s->group[0].key, zeros, sizeof r.s->group[0].key), 0);
        oracle_close(&second);
        rig_close(&r);
    }
}

Test(srtp, the_same_keys_again_change_nothing)
{
    struct rig r;
    rig_open(&r, SLR_SRTP_AES_CM_128_80, 3, 2);
    cr_assert_eq(send(&r, &r.peer, 1, 0), SLR_SRTP_OK);
    struct slr_srtp before;
    memcpy(&before, r.s, sizeof before);
    cr_assert_eq(slr_srtp_install(r.s, &r.box, r.key, 2, true, r.now), SLR_OK);
    cr_assert_eq(memcmp(&before, r.s, sizeof before), 0);
    rig_close(&r);
}

Test(srtp, a_key_that_comes_back_knows_what_it_had_seen)
{
    struct rig r;
    uint8_t first[256];
    struct slr_srtp_key key = some_key(SLR_SRTP_AES_CM_128_80, 5, 0);
    rig_open(&r, SLR_SRTP_AES_CM_128_80, 0, 1);
    size_t n = oracle_rtp(&r.peer, first, make_rtp(first, 65535, SSRC, 40), 0);
    cr_assert_eq(give(&r, first, n, false), SLR_SRTP_OK);
    cr_assert_eq(send(&r, &r.peer, 0, 0), SLR_SRTP_OK);
    cr_assert_eq(slr_srtp_install(r.s, &r.box, &key, 1, true, r.now), SLR_OK);
    cr_assert_eq(slr_srtp_install(r.s, &r.box, r.key, 1, true, r.now), SLR_OK);
    cr_assert_eq(slr_srtp_install(r.s, &r.box, NULL, 0, true, r.now), SLR_OK);
    cr_assert_eq(slr_srtp_install(r.s, &r.box, r.key, 1, true, r.now), SLR_OK);
    cr_assert_eq(send(&r, &r.peer, 1, 0), SLR_SRTP_OK);
    cr_assert_eq(give(&r, first, n, false), SLR_SRTP_REPLAY);
    r.now.ns += 2 * SLR_SRTP_OLD_KEY_NS;
    cr_assert_eq(send(&r, &r.peer, 2, 0), SLR_SRTP_OK, "its end was called off");
    rig_close(&r);
}

Test(srtp, a_third_key_ends_the_first)
{
    struct rig r;
    uint8_t first[256];
    rig_open(&r, SLR_SRTP_AES_CM_128_80, 0, 1);
    size_t n = oracle_rtp(&r.peer, first, make_rtp(first, 5, SSRC, 40), 0);
    for (uint64_t i = 1; i < 3; i++) {
        struct slr_srtp_key key = some_key(SLR_SRTP_AES_CM_128_80, 100 + i, 0);
        cr_assert_eq(slr_srtp_install(r.s, &r.box, &key, 1, true, r.now), SLR_OK);
    }
    cr_assert_eq(give(&r, first, n, false), SLR_SRTP_AUTH);
    rig_close(&r);
}

Test(srtp, wrong_keys_in_both_directions_and_plain_packets_are_refused_by_reason)
{
    struct rig r;
    struct oracle other;
    uint8_t plain[256], wire[256];
    struct slr_srtp_key key = some_key(SLR_SRTP_AES_CM_128_80, 999, 0);
    rig_open(&r, SLR_SRTP_AES_CM_128_80, 0, 1);
    oracle_open(&other, &key, 1, false);
    cr_assert_eq(send(&r, &other, 1, 0), SLR_SRTP_AUTH);
    cr_assert_eq(give(&r, plain, make_rtp(plain, 2, SSRC, PAYLOAD), false), SLR_SRTP_AUTH);
    cr_assert_eq(give(&r, plain, make_rtp(plain, 2, SSRC, 9), false), SLR_SRTP_SHORT);
    cr_assert_eq(give(&r, plain, 3, false), SLR_SRTP_SHORT);
    /* and a receiver that got the wrong key */
    struct rig wrong;
    rig_open(&wrong, SLR_SRTP_AES_CM_128_80, 0, 1);
    cr_assert_eq(slr_srtp_install(wrong.s, &wrong.box, &key, 1, false, wrong.now), SLR_OK);
    slr_srtp_wipe(wrong.s, &wrong.box);
    size_t n = oracle_rtp(&r.peer, wire, make_rtp(wire, 3, SSRC, 40), 0);
    cr_assert_eq(give(&wrong, wire, n, false), SLR_SRTP_NO_KEY);
    cr_assert_eq(slr_count_get(&r.s->failed[SLR_SRTP_AUTH]), 2);
    cr_assert_eq(slr_count_get(&r.s->failed[SLR_SRTP_SHORT]), 2);
    cr_assert_eq(slr_count_get(&wrong.s->failed[SLR_SRTP_NO_KEY]), 1);
    oracle_close(&other);
    rig_close(&wrong);
    rig_close(&r);
}

Test(srtp, unknown_mki_has_a_reason_of_its_own)
{
    EACH_SUITE(suite)
    {
        struct rig r;
        struct oracle other;
        struct slr_srtp_key key;
        rig_open(&r, (enum slr_srtp_suite)suite, 4, 2);
        key = r.key[0];
        key.mki += 1000;
        oracle_open(&other, &key, 1, false);
        cr_assert_eq(send(&r, &other, 1, 0), SLR_SRTP_MKI);
        oracle_close(&other);
        rig_close(&r);
    }
}

Test(srtp, more_ssrcs_than_places_take_that_of_the_oldest)
{
    struct rig r;
    rig_open(&r, SLR_SRTP_AES_CM_128_80, 0, 1);
    for (uint32_t i = 0; i < 3 * SLR_SRTP_SSRCS; i++) {
        uint8_t wire[256];
        size_t n = oracle_rtp(&r.peer, wire, make_rtp(wire, 10, SSRC + i, 40), 0);
        cr_assert_eq(give(&r, wire, n, false), SLR_SRTP_OK);
        cr_assert_eq(give(&r, wire, n, false), SLR_SRTP_REPLAY);
    }
    rig_close(&r);
}

Test(srtp, a_leg_that_becomes_secure_and_plain_again_loses_nothing_on_the_way)
{
    struct rig r;
    uint8_t plain[256], wire[256];
    size_t len = make_rtp(plain, 1, SSRC, PAYLOAD);
    rig_open(&r, SLR_SRTP_AES_CM_128_80, 0, 1);
    slr_srtp_wipe(r.s, &r.box);
    cr_assert_eq(slr_srtp_install(r.s, &r.box, r.key, 1, true, r.now), SLR_OK);
    cr_assert_eq(give(&r, plain, len, false), SLR_SRTP_PLAIN);
    cr_assert_eq(send(&r, &r.peer, 2, 0), SLR_SRTP_OK);
    cr_assert_eq(give(&r, plain, len, false), SLR_SRTP_AUTH, "from the first secure one on");
    size_t n = oracle_rtp(&r.peer, wire, make_rtp(wire, 3, SSRC, 40), 0);
    cr_assert_eq(slr_srtp_install(r.s, &r.box, NULL, 0, true, r.now), SLR_OK);
    cr_assert_eq(give(&r, wire, n, false), SLR_SRTP_OK);
    cr_assert_eq(give(&r, plain, len, false), SLR_SRTP_PLAIN);
    r.now.ns += SLR_SRTP_OLD_KEY_NS + 1;
    cr_assert_eq(give(&r, plain, len, false), SLR_SRTP_PLAIN);
    cr_assert_eq(atomic_load(&r.s->group[0].turn) + atomic_load(&r.s->group[1].turn), 0);
    rig_close(&r);
}

Test(srtp, wiping_leaves_no_byte_of_a_key)
{
    struct rig r;
    rig_open(&r, SLR_SRTP_AEAD_AES_256, 2, 4);
    cr_assert_eq(send(&r, &r.peer, 1, 0), SLR_SRTP_OK);
    slr_srtp_wipe(r.s, &r.box);
    const uint8_t *at = (const uint8_t *)r.s;
    for (uint32_t k = 0; k < 4; k++) {
        for (size_t i = 0; i + 8 < sizeof *r.s; i++) {
            cr_assert_neq(memcmp(at + i, r.key[k].key, 8), 0);
        }
    }
    cr_assert_eq(slr_count_get(&r.s->opened), 1, "counters stay");
    rig_close(&r);
}

static size_t unhex(const char *text, uint8_t *out)
{
    size_t n = 0;
    for (; text[0] && text[1]; text += 2) {
        char pair[3] = {text[0], text[1], 0};
        out[n++] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return n;
}

/* Packets published with libsrtp, made with the keys of RFC 3711 B.3 and of counting bytes. */
static const struct {
    enum slr_srtp_suite suite;
    const char *key, *salt, *wire, *plain;
} published[] = {
    {SLR_SRTP_AES_CM_128_80, "e1f97a0d3e018be0d64fa32c06de4139", "0ec675ad498afeebb6960b3aabe6",
     "800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb",
     "800f1234decafbadcafebabeabababababababababababababababab"},
    {SLR_SRTP_AEAD_AES_128, "000102030405060708090a0b0c0d0e0f", "a0a1a2a3a4a5a6a7a8a9aaab",
     "800f1234decafbadcafebabec5002ede04cfdd2eb91159e0880aa06ed2976826f796b201df3131a127e8a392",
     "800f1234decafbadcafebabeabababababababababababababababab"},
    /* of no sender: the key is used, and the packet refused */
    {SLR_SRTP_AEAD_AES_256, "000102030405060708090a0b0c0d0e0f0011223344556677ffeeddccbbaa9988",
     "a0a1a2a3a4a5a6a7a8a9aaab", "800f1234decafbadcafebabe00000000000000000000000000000000", NULL},
};

Test(srtp, published_packets_open)
{
    for (size_t i = 0; i < sizeof published / sizeof published[0] && published[i].plain; i++) {
        struct slr_srtp_key key = {.suite = (uint8_t)published[i].suite};
        struct slr_srtp *s = calloc(1, sizeof *s);
        struct slr_srtp_box box = {.scan = 0};
        struct slr_srtp_aes *aes = NULL;
        uint8_t wire[128], plain[128], out[128];
        size_t out_bytes = 0;
        unhex(published[i].key, key.key);
        unhex(published[i].salt, key.salt);
        size_t n = unhex(published[i].wire, wire);
        size_t want = unhex(published[i].plain, plain);
        cr_assert_eq(slr_srtp_install(s, &box, &key, 1, false, (slr_mono){1}), SLR_OK);
        cr_assert_eq(slr_srtp_aes_open(&aes), SLR_OK);
        cr_assert_eq(slr_srtp_take(s, &box, aes, slr_slice_of(wire, n), false, (slr_mono){2}, out,
                                   &out_bytes),
                     SLR_SRTP_OK, "case %zu", i);
        cr_assert_eq(out_bytes, want);
        cr_assert_eq(memcmp(out, plain, want), 0);
        slr_srtp_wipe(s, &box);
        slr_srtp_aes_close(aes);
        free(s);
    }
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SLOW_MEMORY true /* and some of it must not be touched */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SLOW_MEMORY true
#endif
#endif
#ifndef SLOW_MEMORY
#define SLOW_MEMORY false
#endif

/* Of what lies below: the linker saves registers there when it binds a function at its first call,
 * whatever was in them. */
static void clear_stack(void)
{
    uint8_t below[65536];
    slr_srtp_crypt_wipe(below, sizeof below);
}

/* Whether what `kept` is the complement of lies anywhere in what this process can write to. */
static bool is_in_memory(const uint8_t *kept, size_t len)
{
    char line[512];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "re");
    cr_assert(maps != NULL);
    while (!found && fgets(line, sizeof line, maps)) {
        char *mode = NULL;
        const uint8_t *at = (const uint8_t *)(uintptr_t)strtoull(line, &mode, 16);
        const uint8_t *to = (const uint8_t *)(uintptr_t)strtoull(mode + 1, &mode, 16);
        if (strncmp(mode, " rw", 3) != 0) {
            continue;
        }
        for (; !found && at + len <= to; at++) {
            size_t n = 0;
            while (n < len && (at[n] ^ kept[n]) == 0xff) {
                n++;
            }
            found = n == len;
        }
    }
    fclose(maps);
    return found;
}

/* Master, RTP and RTCP cipher and authentication keys, complemented so that they are no copies. */
static void keep_secrets(const struct slr_srtp_key *key, uint8_t kept[5][32], size_t len[5])
{
    const struct slr_srtp_suite_row *row = slr_srtp_suite_row((enum slr_srtp_suite)key->suite);
    for (int i = 0; i < 5; i++) {
        static const int labels[5] = {-1, 0, 1, 3, 4};
        uint8_t secret[32];
        memcpy(secret, key->key, sizeof secret);
        len[i] = i == 2 || i == 4 ? 20 : row->key_bytes;
        if (labels[i] >= 0) {
            cr_assert(slr_srtp_crypt_derive(key, (enum slr_srtp_label)labels[i], secret, len[i]));
        }
        for (size_t k = 0; k < len[i]; k++) {
            kept[i][k] = secret[k] ^ 0xff;
        }
        slr_srtp_crypt_wipe(secret, sizeof secret);
    }
}

Test(srtp, no_key_of_a_leg_that_is_over_is_anywhere_in_memory)
{
    if (SLOW_MEMORY) {
        cr_skip("under a sanitizer");
    }
    for (size_t i = 0; i < sizeof published / sizeof published[0]; i++) {
        static uint8_t kept[5][32];
        size_t len[5];
        uint8_t wire[128], out[128];
        size_t out_bytes = 0;
        struct slr_srtp_key key = {.suite = (uint8_t)published[i].suite};
        struct slr_srtp *s = calloc(1, sizeof *s);
        struct slr_srtp_box box = {.scan = 0};
        struct slr_srtp_aes *aes = NULL;
        unhex(published[i].key, key.key);
        unhex(published[i].salt, key.salt);
        keep_secrets(&key, kept, len);
        cr_assert_eq(slr_srtp_aes_open(&aes), SLR_OK);
        cr_assert_eq(slr_srtp_install(s, &box, &key, 1, false, (slr_mono){1}), SLR_OK);
        slr_srtp_crypt_wipe(&key, sizeof key);
        size_t n = unhex(published[i].wire, wire);
        bool opens = published[i].plain != NULL;
        cr_assert_eq(slr_srtp_take(s, &box, aes, slr_slice_of(wire, n), false, (slr_mono){2}, out,
                                   &out_bytes),
                     opens ? SLR_SRTP_OK : SLR_SRTP_AUTH);
        cr_assert(is_in_memory(kept[0], len[0]), "it is seen while it is there");
        cr_assert(is_in_memory(kept[1], len[1]));
        slr_srtp_wipe(s, &box);
        cr_assert(is_in_memory(kept[1], len[1]), "the thread has it still");
        slr_srtp_aes_forget(aes);
        clear_stack();
        for (int k = 0; k < 5; k++) {
            cr_assert_not(is_in_memory(kept[k], len[k]), "case %zu key %d", i, k);
        }
        slr_srtp_aes_close(aes);
        free(s);
    }
}

/* RFC 3711 B.3 and RFC 6188 7.2. */
Test(srtp, keys_are_derived_as_the_rfcs_list_them)
{
    static const struct {
        enum slr_srtp_suite suite;
        const char *key, *salt;
        const char *derived[3]; /* cipher key, authentication key, salt */
    } cases[] = {
        {SLR_SRTP_AES_CM_128_80,
         "E1F97A0D3E018BE0D64FA32C06DE4139",
         "0EC675AD498AFEEBB6960B3AABE6",
         {"C61E7A93744F39EE10734AFE3FF7A087", "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4",
          "30CBBC08863D8C85D49DB34A9AE1"}},
        {SLR_SRTP_AES_256_CM_80,
         "f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6",
         "3b04803de51ee7c96423ab5b78d2",
         {"5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4",
          "fd9c32d39ed5fbb5a9dc96b30818454d1313dc05", "fa31791685ca444a9e07c6c64e93"}},
    };
    for (size_t i = 0; i < 2; i++) {
        struct slr_srtp_key key = {.suite = (uint8_t)cases[i].suite};
        unhex(cases[i].key, key.key);
        unhex(cases[i].salt, key.salt);
        for (int label = 0; label < 3; label++) {
            uint8_t want[32], got[32];
            size_t n = unhex(cases[i].derived[label], want);
            cr_assert(slr_srtp_crypt_derive(&key, (enum slr_srtp_label)label, got, n));
            cr_assert_eq(memcmp(got, want, n), 0, "case %zu label %d", i, label);
        }
    }
}

Test(srtp_keys, files_of_keys_and_whose_they_are)
{
    static const char text[] = "# ours\n"
                               "aSBrbm93IGFsbCB5b3VyIGxpdHRsZSBzZWNyZXRz@0xdeadbeef\r\n\n"
                               "AES_CM_128_HMAC_SHA1_32:aSBrbm93IGFsbCB5b3VyIGxpdHRsZSBzZWNyZXRz\n";
    struct slr_srtp_keys keys;
    struct slr_srtp_key found[SLR_SRTP_KEYS];
    uint32_t its = 0xdeadbeef, other = 7;
    cr_assert_eq(slr_srtp_keys_read(slr_slice_str(text), &keys), SLR_OK);
    cr_assert_eq(slr_srtp_keys_for(&keys, &its, found), 2u);
    cr_assert_eq(found[0].suite, SLR_SRTP_AES_CM_128_80);
    cr_assert_eq(slr_srtp_keys_for(&keys, &other, found), 1u);
    cr_assert_eq(found[0].suite, SLR_SRTP_AES_CM_128_32);
    cr_assert_eq(slr_srtp_keys_for(&keys, NULL, found), 2u);
    static const char *const bad[] = {"x", "aSBrbm93IGFsbCB5b3VyIGxpdHRsZSBzZWNyZXRz@",
                                      "aSBrbm93IGFsbCB5b3VyIGxpdHRsZSBzZWNyZXRz@x",
                                      "aSBrbm93IGFsbCB5b3VyIGxpdHRsZSBzZWNyZXRz@0x1ffffffff",
                                      "F8:aSBrbm93IGFsbCB5b3VyIGxpdHRsZSBzZWNyZXRz"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_eq(slr_srtp_keys_read(slr_slice_str(bad[i]), &keys), SLR_FORMAT, "%s", bad[i]);
        cr_assert_eq(keys.count, 0u);
    }
}

/*
 * SRTP as libsrtp2 would send it, byte for byte.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "load/secure.h"
#include "tests/engine/srtp_oracle.h"

static const enum slr_srtp_suite suites[] = {SLR_SRTP_AES_CM_128_80, SLR_SRTP_AES_CM_128_32,
                                             SLR_SRTP_AES_256_CM_80, SLR_SRTP_AEAD_AES_128,
                                             SLR_SRTP_AEAD_AES_256};

static void make_packet(uint8_t at[static 172], uint16_t seq)
{
    for (int i = 0; i < 172; i++) {
        at[i] = (uint8_t)(i * 7 + seq);
    }
    at[0] = 0x80;
    at[1] = 8;
    at[2] = (uint8_t)(seq >> 8);
    at[3] = (uint8_t)seq;
    memcpy(at + 8, "\x12\x34\x56\x78", 4);
}

/* Also over a wrap of the sequence number. */
Test(secure, rtp_is_what_libsrtp_sends)
{
    cr_assert_eq(srtp_init(), srtp_err_status_ok);
    for (size_t i = 0; i < sizeof suites / sizeof suites[0]; i++) {
        struct slr_srtp_key key;
        struct slr_secure *s;
        struct oracle o;
        slr_secure_key(&key, suites[i], 1, 2, 3, (uint32_t)i);
        cr_assert_eq(slr_secure_open(&key, &s), SLR_OK);
        oracle_open(&o, &key, 1, false);
        for (uint64_t index = 65500; index < 65600; index++) {
            uint8_t ours[256];
            uint8_t theirs[256];
            make_packet(ours, (uint16_t)index);
            make_packet(theirs, (uint16_t)index);
            size_t n = slr_secure_rtp(s, ours, 172, index);
            cr_assert_eq(n, oracle_rtp(&o, theirs, 172, 0));
            cr_assert_leq(n, 172 + SLR_SECURE_MORE_BYTES);
            cr_assert_eq(memcmp(ours, theirs, n), 0, "suite %zu index %llu", i,
                         (unsigned long long)index);
        }
        oracle_close(&o);
        slr_secure_close(s);
    }
}

/* libsrtp counts its SRTCP packets from 1. */
Test(secure, rtcp_is_what_libsrtp_sends)
{
    cr_assert_eq(srtp_init(), srtp_err_status_ok);
    for (size_t i = 0; i < sizeof suites / sizeof suites[0]; i++) {
        struct slr_srtp_key key;
        struct slr_secure *s;
        struct oracle o;
        slr_secure_key(&key, suites[i], 9, 2, 3, (uint32_t)i);
        cr_assert_eq(slr_secure_open(&key, &s), SLR_OK);
        oracle_open(&o, &key, 1, false);
        for (uint32_t index = 1; index < 20; index++) {
            uint8_t ours[128];
            uint8_t theirs[128];
            memset(ours, (int)index, sizeof ours);
            memcpy(ours, "\x80\xc8\0\6\1\2\3\4", 8);
            memcpy(theirs, ours, sizeof ours);
            size_t n = slr_secure_rtcp(s, ours, 48, index);
            cr_assert_eq(n, oracle_rtcp(&o, theirs, 48, 0));
            cr_assert_eq(memcmp(ours, theirs, n), 0, "suite %zu index %u", i, index);
        }
        oracle_close(&o);
        slr_secure_close(s);
    }
}

Test(secure, every_leg_has_its_own_key)
{
    struct slr_srtp_key a;
    struct slr_srtp_key b;
    slr_secure_key(&a, SLR_SRTP_AEAD_AES_256, 1, 2, 3, 0);
    slr_secure_key(&b, SLR_SRTP_AEAD_AES_256, 1, 2, 3, 1);
    cr_assert_neq(memcmp(a.key, b.key, sizeof a.key), 0);
    slr_secure_key(&b, SLR_SRTP_AEAD_AES_256, 1, 2, 3, 0);
    cr_assert_eq(memcmp(a.key, b.key, sizeof a.key), 0);
    slr_secure_key(&b, SLR_SRTP_AEAD_AES_256, 1, 3, 3, 0);
    cr_assert_neq(memcmp(a.key, b.key, sizeof a.key), 0);
}

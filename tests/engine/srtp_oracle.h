/*
 * srtp_oracle: libsrtp2 as the sender, and as the other receiver, for tests of our receiver.
 */
#ifndef SLR_TEST_ENGINE_SRTP_ORACLE_H
#define SLR_TEST_ENGINE_SRTP_ORACLE_H

#include <criterion/criterion.h>
#include <srtp2/srtp.h>
#include <string.h>

#include "common/srtp_suite.h"

struct oracle {
    srtp_t session;
    uint8_t secret[SLR_SRTP_KEYS][46];
    uint8_t mki[SLR_SRTP_KEYS][128];
    srtp_master_key_t master[SLR_SRTP_KEYS];
    bool with_mki;
};

static inline void oracle_suite(enum slr_srtp_suite suite, srtp_policy_t *policy)
{
    if (suite == SLR_SRTP_AES_CM_128_32) {
        srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32(&policy->rtp);
        srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&policy->rtcp);
    } else if (suite == SLR_SRTP_AES_256_CM_32) {
        srtp_crypto_policy_set_aes_cm_256_hmac_sha1_32(&policy->rtp);
        srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80(&policy->rtcp);
    } else if (suite == SLR_SRTP_AES_256_CM_80) {
        srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80(&policy->rtp);
        srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80(&policy->rtcp);
    } else if (suite == SLR_SRTP_AEAD_AES_128) {
        srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy->rtp);
        srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy->rtcp);
    } else if (suite == SLR_SRTP_AEAD_AES_256) {
        srtp_crypto_policy_set_aes_gcm_256_16_auth(&policy->rtp);
        srtp_crypto_policy_set_aes_gcm_256_16_auth(&policy->rtcp);
    } else {
        srtp_crypto_policy_set_rtp_default(&policy->rtp);
        srtp_crypto_policy_set_rtcp_default(&policy->rtcp);
    }
}

/* A sender or receiver with those keys; SRTCP not encrypted where `clear_rtcp`. */
static inline void oracle_open_as(struct oracle *o, const struct slr_srtp_key *key, uint32_t count,
                                  bool clear_rtcp, bool sends)
{
    srtp_policy_t policy;
    srtp_master_key_t *list[SLR_SRTP_KEYS];
    memset(o, 0, sizeof *o);
    memset(&policy, 0, sizeof policy);
    oracle_suite((enum slr_srtp_suite)key->suite, &policy);
    if (clear_rtcp) {
        policy.rtcp.sec_serv = sec_serv_auth;
    }
    policy.ssrc.type = sends ? ssrc_any_outbound : ssrc_any_inbound;
    policy.window_size = 1024;
    policy.allow_repeat_tx = 1;
    o->with_mki = key->mki_len > 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct slr_srtp_suite_row *row =
            slr_srtp_suite_row((enum slr_srtp_suite)key[i].suite);
        memcpy(o->secret[i], key[i].key, row->key_bytes);
        memcpy(o->secret[i] + row->key_bytes, key[i].salt, row->salt_bytes);
        for (uint32_t k = 0; k < key[i].mki_len && k < 8; k++) {
            o->mki[i][key[i].mki_len - 1 - k] = (uint8_t)(key[i].mki >> (8 * k));
        }
        o->master[i] = (srtp_master_key_t){o->secret[i], o->mki[i], key[i].mki_len};
        list[i] = &o->master[i];
    }
    if (o->with_mki) {
        policy.keys = list;
        policy.num_master_keys = count;
    } else {
        policy.key = o->secret[0];
    }
    cr_assert_eq(srtp_create(&o->session, &policy), srtp_err_status_ok);
}

static inline void oracle_open(struct oracle *o, const struct slr_srtp_key *key, uint32_t count,
                               bool clear_rtcp)
{
    oracle_open_as(o, key, count, clear_rtcp, true);
}

static inline void oracle_close(struct oracle *o)
{
    srtp_dealloc(o->session);
}

/* Protects in place, room for the trailer; the new length. */
static inline size_t oracle_rtp(struct oracle *o, uint8_t *at, size_t len, uint32_t key)
{
    int n = (int)len;
    cr_assert_eq(srtp_protect_mki(o->session, at, &n, o->with_mki, key), srtp_err_status_ok);
    return (size_t)n;
}

static inline size_t oracle_rtcp(struct oracle *o, uint8_t *at, size_t len, uint32_t key)
{
    int n = (int)len;
    cr_assert_eq(srtp_protect_rtcp_mki(o->session, at, &n, o->with_mki, key), srtp_err_status_ok);
    return (size_t)n;
}

#endif

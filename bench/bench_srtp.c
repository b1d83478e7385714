/*
 * bench_srtp: CPU time of opening one SRTP packet of 160 bytes, for each suite, with 1, 2,000 and
 * 20,000 streams in turn (each with keys and contexts of its own), and the same by libsrtp2 (up to
 * 2,000: beyond, it does not finish in minutes). One thread. Prints one JSON line a figure.
 * Usage: bench-srtp [ours]
 */
#include <srtp2/srtp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/rig.h"
#include "engine/srtp.h"

#define PACKETS 40u
#define WIRE_BYTES 256u

struct stream {
    struct slr_srtp *state;
    struct slr_srtp_box box;
    srtp_t peer;
};

static uint8_t wire[PACKETS][WIRE_BYTES];
static size_t wire_len[PACKETS];

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "bench-srtp: %s failed\n", what);
        exit(1);
    }
}

static void open_peer(enum slr_srtp_suite suite, const struct slr_srtp_key *key, bool sends,
                      srtp_t *out)
{
    static void (*const rtp[])(srtp_crypto_policy_t *) = {
        [SLR_SRTP_AES_CM_128_32] = srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32,
        [SLR_SRTP_AES_256_CM_32] = srtp_crypto_policy_set_aes_cm_256_hmac_sha1_32,
        [SLR_SRTP_AES_CM_128_80] = srtp_crypto_policy_set_rtp_default,
        [SLR_SRTP_AES_256_CM_80] = srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80,
        [SLR_SRTP_AEAD_AES_128] = srtp_crypto_policy_set_aes_gcm_128_16_auth,
        [SLR_SRTP_AEAD_AES_256] = srtp_crypto_policy_set_aes_gcm_256_16_auth};
    const struct slr_srtp_suite_row *row = slr_srtp_suite_row(suite);
    uint8_t secret[64];
    srtp_policy_t policy;
    memset(&policy, 0, sizeof policy);
    memcpy(secret, key->key, row->key_bytes);
    memcpy(secret + row->key_bytes, key->salt, row->salt_bytes);
    rtp[suite](&policy.rtp);
    rtp[suite](&policy.rtcp);
    policy.ssrc.type = sends ? ssrc_any_outbound : ssrc_any_inbound;
    policy.key = secret;
    policy.window_size = 1024;
    must(srtp_create(out, &policy) == srtp_err_status_ok, "srtp_create");
}

/* One sender for all: each stream gets the same packets, under the same key in a context of its
 * own, so that only the receivers' memory differs from real life in nothing. */
static void make_packets(enum slr_srtp_suite suite, const struct slr_srtp_key *key)
{
    srtp_t sender;
    open_peer(suite, key, true, &sender);
    for (uint32_t i = 0; i < PACKETS; i++) {
        uint8_t header[12] = {0x80, 8, 0, (uint8_t)i, 0, 0, 0, 0, 1, 2, 3, 4};
        int len = 172;
        memcpy(wire[i], header, sizeof header);
        memset(wire[i] + 12, (int)i, 160);
        must(srtp_protect(sender, wire[i], &len) == srtp_err_status_ok, "srtp_protect");
        wire_len[i] = (size_t)len;
    }
    srtp_dealloc(sender);
}

static void shuffle(uint32_t *order, uint32_t n)
{
    uint64_t x = 88172645463325252u;
    for (uint32_t i = 0; i < n; i++) {
        order[i] = i;
    }
    for (uint32_t i = n - 1; i > 0; i--) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        uint32_t j = (uint32_t)(x % (i + 1));
        uint32_t t = order[i];
        order[i] = order[j];
        order[j] = t;
    }
}

static void print(const char *who, const char *suite, uint32_t streams, int64_t ns,
                  uint64_t packets)
{
    printf("{\"bench\":\"srtp/%s/%s/streams=%u\",\"value\":%.1f,\"unit\":\"ns/packet\"}\n", who,
           suite, streams, (double)ns / (double)packets);
    fflush(stdout);
}

static void run_ours(struct stream *s, const uint32_t *order, uint32_t n, enum slr_srtp_suite suite)
{
    static uint8_t out[WIRE_BYTES];
    uint32_t rounds = n == 1 ? 1 : PACKETS;
    size_t bytes = 0;
    int64_t start = rig_cpu_ns();
    if (n == 1) { /* the same packets again and again: without the list of what was seen */
        rounds = 20000;
    }
    for (uint32_t i = 0; i < rounds; i++) {
        uint32_t k = i % PACKETS;
        if (n == 1 && k == 0) {
            memset(s->state->group[0].ssrc, 0, sizeof s->state->group[0].ssrc);
        }
        for (uint32_t m = 0; m < n; m++) {
            struct stream *at = &s[order[m]];
            must(slr_srtp_take(at->state, &at->box, slr_slice_of(wire[k], wire_len[k]), false,
                               (slr_mono){SLR_NS_PER_S}, out, &bytes) == SLR_SRTP_OK,
                 "take");
        }
    }
    print("ours", slr_srtp_suite_row(suite)->name, n, rig_cpu_ns() - start, (uint64_t)rounds * n);
}

static void run_theirs(struct stream *s, const uint32_t *order, uint32_t n,
                       enum slr_srtp_suite suite)
{
    static uint8_t out[WIRE_BYTES];
    int64_t start = rig_cpu_ns();
    for (uint32_t k = 0; k < PACKETS; k++) {
        for (uint32_t m = 0; m < n; m++) {
            int len = (int)wire_len[k];
            memcpy(out, wire[k], wire_len[k]);
            must(srtp_unprotect(s[order[m]].peer, out, &len) == srtp_err_status_ok, "unprotect");
        }
    }
    print("libsrtp2", slr_srtp_suite_row(suite)->name, n, rig_cpu_ns() - start,
          (uint64_t)PACKETS * n);
}

static void run(enum slr_srtp_suite suite, uint32_t n, bool theirs)
{
    struct slr_srtp_key key = {.suite = (uint8_t)suite};
    struct stream *s = calloc(n, sizeof *s);
    uint32_t *order = calloc(n, sizeof *order);
    must(s && order, "memory");
    memset(key.key, 0x5a, sizeof key.key);
    memset(key.salt, 0xa5, sizeof key.salt);
    make_packets(suite, &key);
    shuffle(order, n);
    for (uint32_t i = 0; i < n; i++) {
        s[i].state = calloc(1, sizeof *s[i].state);
        must(s[i].state &&
                 slr_srtp_install(s[i].state, &s[i].box, &key, 1, false, (slr_mono){1}) == SLR_OK,
             "install");
        if (theirs && n <= 2000) {
            open_peer(suite, &key, false, &s[i].peer);
        }
    }
    run_ours(s, order, n, suite);
    if (theirs && n <= 2000) {
        run_theirs(s, order, n, suite);
    }
    for (uint32_t i = 0; i < n; i++) {
        slr_srtp_wipe(s[i].state, &s[i].box);
        free(s[i].state);
        if (s[i].peer) {
            srtp_dealloc(s[i].peer);
        }
    }
    free(order);
    free(s);
}

int main(int argc, char **argv)
{
    static const uint32_t streams[] = {1, 2000, 20000};
    bool theirs = argc < 2 || strcmp(argv[1], "ours") != 0;
    must(srtp_init() == srtp_err_status_ok, "srtp_init");
    for (int suite = 1; suite < SLR_SRTP_SUITE_COUNT; suite++) {
        for (size_t i = 0; i < sizeof streams / sizeof streams[0]; i++) {
            run((enum slr_srtp_suite)suite, streams[i], theirs);
        }
    }
    srtp_shutdown();
    return 0;
}

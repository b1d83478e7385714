/*
 * bench_srtp: CPU time of opening one SRTP packet of 160 bytes, for each suite, with 1, 2,000 and
 * 20,000 streams, and the same by libsrtp2 (up to 2,000: beyond, it does not finish in minutes).
 * One thread. Prints one JSON line a figure, the least of several batches.
 *
 * Cold as in life: 20,000 packets are made and laid down at random places of 5 MB, as if another
 * core had received them; then they are opened, streams in random order, neighbours never under the
 * same key unless there is only one stream. What is asked for ahead is what slr_worker_burst asks
 * for, as far ahead. {"bench":"srtp/memory"}: process memory for the keys of a leg, besides its
 * slot of struct slr_srtp in the state file.
 * Usage: bench-srtp [ours]
 */
#include <malloc.h>
#include <srtp2/srtp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/rig.h"
#include "common/prefetch.h"
#include "engine/srtp.h"

#define BATCH 20000u
#define BATCHES 12u
#define THEIR_BATCHES 2u /* they take their time */
#define WIRE_BYTES 256u
#define SENDERS 61u /* keys: to be prime to numbers of streams */
#define AHEAD 8u    /* as in worker.c */

struct run {
    enum slr_srtp_suite suite;
    uint32_t n;
    struct slr_srtp_aes *aes;
    struct slr_srtp *state; /* as in the state file */
    struct slr_srtp_box *box;
    srtp_t *peer;
    uint32_t *order; /* of streams; memory was given to them by their numbers */
    uint32_t *who;   /* each one's sender */
    uint32_t *place; /* of packets in wire */
    uint8_t (*wire)[WIRE_BYTES];
    size_t len[BATCH];
    struct slr_srtp_key key[SENDERS];
    srtp_t sender[SENDERS];
};

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

/* Packet i of a batch is of stream order[i % n], whose key is the sender's of i % n. */
static uint32_t sender_of(const struct run *r, uint32_t i)
{
    return i % r->n % SENDERS;
}

static void make_batch(struct run *r, uint32_t batch)
{
    uint8_t made[SENDERS][WIRE_BYTES];
    int len[SENDERS] = {0};
    for (uint32_t i = 0; i < BATCH; i++) {
        uint32_t who = sender_of(r, i);
        if (i % r->n < SENDERS) { /* the sender's next packet, for all of its streams */
            uint16_t seq = (uint16_t)(batch * (BATCH / r->n) + i / r->n);
            uint8_t header[12] = {0x80, 8, (uint8_t)(seq >> 8), (uint8_t)seq, 0, 0, 0, 0, 1, 2,
                                  3,    4};
            memcpy(made[who], header, sizeof header);
            memset(made[who] + 12, (int)who, 160);
            len[who] = 172;
            must(srtp_protect(r->sender[who], made[who], &len[who]) == srtp_err_status_ok,
                 "srtp_protect");
        }
        memcpy(r->wire[r->place[i]], made[who], (size_t)len[who]);
        r->len[i] = (size_t)len[who];
    }
}

static void take_ours(struct run *r)
{
    static uint8_t out[WIRE_BYTES];
    size_t bytes = 0;
    for (uint32_t b = 0; b < BATCH; b += SLR_CAPTURE_BURST) {
        uint32_t count = BATCH - b < SLR_CAPTURE_BURST ? BATCH - b : SLR_CAPTURE_BURST;
        for (uint32_t i = 0; i < count + 3 * AHEAD; i++) {
            if (i < count) {
                slr_prefetch_read((uintptr_t)r->wire[r->place[b + i]], r->len[b + i]);
            }
            if (i >= AHEAD && i - AHEAD < count) {
                uint32_t at = r->order[(b + i - AHEAD) % r->n];
                slr_srtp_fetch_box(&r->state[at], &r->box[at]);
            }
            if (i >= 2 * AHEAD && i - 2 * AHEAD < count) {
                uint32_t k = b + i - 2 * AHEAD;
                uint32_t at = r->order[k % r->n];
                slr_srtp_fetch_keys(&r->state[at], &r->box[at],
                                    slr_slice_of(r->wire[r->place[k]], r->len[k]));
            }
            if (i >= 3 * AHEAD) {
                uint32_t k = b + i - 3 * AHEAD;
                uint32_t at = r->order[k % r->n];
                must(slr_srtp_take(&r->state[at], &r->box[at], r->aes,
                                   slr_slice_of(r->wire[r->place[k]], r->len[k]), false,
                                   (slr_mono){SLR_NS_PER_S}, out, &bytes) == SLR_SRTP_OK,
                     "take");
            }
        }
    }
}

static void take_theirs(struct run *r)
{
    for (uint32_t i = 0; i < BATCH; i++) {
        int len = (int)r->len[i];
        must(srtp_unprotect(r->peer[r->order[i % r->n]], r->wire[r->place[i]], &len) ==
                 srtp_err_status_ok,
             "unprotect");
    }
}

static void measure(struct run *r, const char *who, void (*take)(struct run *r), uint32_t batches)
{
    int64_t least_ns = INT64_MAX;
    for (uint32_t i = 0; i < SENDERS; i++) {
        open_peer(r->suite, &r->key[i], true, &r->sender[i]);
    }
    for (uint32_t batch = 0; batch < batches; batch++) {
        make_batch(r, batch);
        int64_t start_ns = rig_cpu_ns();
        take(r);
        int64_t ns = rig_cpu_ns() - start_ns;
        least_ns = ns < least_ns ? ns : least_ns;
    }
    for (uint32_t i = 0; i < SENDERS; i++) {
        srtp_dealloc(r->sender[i]);
    }
    printf("{\"bench\":\"srtp/%s/%s/streams=%u\",\"value\":%.1f,\"unit\":\"ns/packet\"}\n", who,
           slr_srtp_suite_row(r->suite)->name, r->n, (double)least_ns / BATCH);
    fflush(stdout);
}

static void open_streams(struct run *r)
{
    size_t before = mallinfo2().uordblks;
    for (uint32_t i = 0; i < r->n; i++) {
        must(slr_srtp_install(&r->state[i], &r->box[i], &r->key[r->who[i]], 1, false,
                              (slr_mono){1}) == SLR_OK,
             "install");
    }
    size_t each = (mallinfo2().uordblks - before) / r->n + sizeof r->box[0];
    if (r->n == 20000) {
        printf("{\"bench\":\"srtp/memory/%s\",\"value\":%zu,\"unit\":\"bytes/leg\"}\n",
               slr_srtp_suite_row(r->suite)->name, each);
    }
}

static void run(enum slr_srtp_suite suite, uint32_t n, bool theirs)
{
    static struct run r;
    r.suite = suite;
    r.n = n;
    r.state = calloc(n, sizeof *r.state);
    r.box = calloc(n, sizeof *r.box);
    r.peer = calloc(n, sizeof(srtp_t));
    r.order = calloc(n, sizeof *r.order);
    r.who = calloc(n, sizeof *r.who);
    r.place = calloc(BATCH, sizeof *r.place);
    r.wire = malloc(BATCH * sizeof *r.wire);
    must(r.state && r.box && r.peer && r.order && r.who && r.place && r.wire &&
             slr_srtp_aes_open(&r.aes) == SLR_OK,
         "memory");
    shuffle(r.order, n);
    shuffle(r.place, BATCH);
    for (uint32_t i = 0; i < n; i++) {
        r.who[r.order[i]] = sender_of(&r, i);
    }
    for (uint32_t i = 0; i < SENDERS; i++) {
        r.key[i].suite = (uint8_t)suite;
        memset(r.key[i].key, (int)(i + 1), sizeof r.key[i].key);
        memset(r.key[i].salt, 0xa5, sizeof r.key[i].salt);
    }
    open_streams(&r);
    measure(&r, "ours", take_ours, BATCHES);
    for (uint32_t i = 0; i < n; i++) {
        slr_srtp_wipe(&r.state[i], &r.box[i]);
    }
    if (theirs && n <= 2000) {
        for (uint32_t i = 0; i < n; i++) {
            open_peer(suite, &r.key[r.who[i]], false, &r.peer[i]);
        }
        measure(&r, "libsrtp2", take_theirs, THEIR_BATCHES);
        for (uint32_t i = 0; i < n; i++) {
            srtp_dealloc(r.peer[i]);
        }
    }
    slr_srtp_aes_close(r.aes);
    free(r.wire);
    free(r.place);
    free(r.who);
    free(r.order);
    free(r.peer);
    free(r.box);
    free(r.state);
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

/*
 * srtp: which key a protected packet of a leg is under, its rollover counter, and whether it was
 * there before (RFC 3711 3.3).
 *
 * struct slr_srtp lies in the state file, written by the leg's worker (by the control thread while
 * the leg is in SETUP), so that keys, rollover counters and replay lists outlive the process. Each
 * prefix of its stores is right: a packet counts as seen with one store, before it goes on, and a
 * word of the replay list names the block it speaks of. struct slr_srtp_box is what is derived from
 * it, in process memory, made anew after a restart. Allocates when keys are installed, never for a
 * packet. What does not authenticate changes nothing but a counter.
 */
#ifndef SLR_ENGINE_SRTP_H
#define SLR_ENGINE_SRTP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/err.h"
#include "common/metrics.h"
#include "common/srtp_suite.h"
#include "engine/srtp_crypt.h"

#define SLR_SRTP_SSRCS 8u
#define SLR_SRTP_SEEN_WORDS 16u /* 32 packets each: 480 packets back at least */
#define SLR_SRTP_RTCP_WORDS 4u
/* The key before the newest is good for that long once the newest was used. */
#define SLR_SRTP_OLD_KEY_NS (10 * SLR_NS_PER_S)
/* A leg that becomes secure while it runs takes plain packets for that long, if it has heard no
 * secure ones yet: the peer changes over when it has our answer. */
#define SLR_SRTP_CHANGE_NS (2 * SLR_NS_PER_S)
/* After that long without a packet more rollovers are tried than the next one. */
#define SLR_SRTP_AWAY_NS (30 * SLR_NS_PER_S)

enum slr_srtp_result {
    SLR_SRTP_OK,
    SLR_SRTP_PLAIN, /* not protected, and that is all right for now */
    SLR_SRTP_AUTH,
    SLR_SRTP_REPLAY,
    SLR_SRTP_MKI,
    SLR_SRTP_SHORT,
    SLR_SRTP_NO_KEY,
    SLR_SRTP_RESULTS
};

/* One authenticated SSRC under one group of keys. */
struct slr_srtp_ssrc {
    _Atomic uint32_t used;
    uint32_t ssrc;
    _Atomic int64_t index_max; /* 48 bits: rollover counter and number; -1: no RTP yet */
    _Atomic int64_t rtcp_max;  /* 31 bits; -1: no RTCP yet */
    int64_t used_ns;
    /* block number (index / 32) in the upper half, packets seen of it in the lower */
    _Atomic uint64_t seen[SLR_SRTP_SEEN_WORDS];
    _Atomic uint64_t rtcp_seen[SLR_SRTP_RTCP_WORDS];
};

/* The keys of one offer; they share rollover counters. */
struct slr_srtp_group {
    _Atomic uint32_t turn; /* grows with each group, 0: none */
    uint32_t key_count;
    _Atomic int64_t until_ns; /* INT64_MAX: no end in sight */
    struct slr_srtp_key key[SLR_SRTP_KEYS];
    struct slr_srtp_ssrc ssrc[SLR_SRTP_SSRCS];
};

struct slr_srtp {
    _Atomic int64_t plain_until_ns; /* INT64_MAX: the leg is plain, keys are for stragglers */
    slr_counter opened, rtcp_opened;
    uint32_t turn;
    uint8_t suite;                  /* newest used or installed, for the ledger */
    struct slr_srtp_group group[2]; /* the higher turn is in force */
    slr_counter failed[SLR_SRTP_RESULTS];
};

/* The keys of most legs, one of a group, lie in it: those of all legs in few pages. */
struct slr_srtp_box {
    uint32_t turn[2];               /* as in the groups */
    uint32_t scan;                  /* which rollover counters are tried next */
    struct slr_srtp_crypt *more[2]; /* those after the first, NULL: none */
    struct slr_srtp_crypt first[2];
};

/*
 * The keys that are in force from now on; those before stay good for stragglers. The same keys
 * again change nothing. count 0: the leg is plain from now on. `running`: media may be under way
 * as it was before. SLR_NOMEM, SLR_UNSUPPORTED, SLR_INVAL: nothing has changed. Worker, or control
 * thread while the leg is in SETUP.
 */
enum slr_err slr_srtp_install(struct slr_srtp *s, struct slr_srtp_box *box,
                              const struct slr_srtp_key *key, uint32_t count, bool running,
                              slr_mono now) SLR_CHECKED;

/* Makes the box from what the state file holds. */
enum slr_err slr_srtp_restore(const struct slr_srtp *s, struct slr_srtp_box *box) SLR_CHECKED;

/* Frees the box's part alone: the process ends, the session goes on in another. */
void slr_srtp_box_close(struct slr_srtp_box *box);

/* Forgets all keys, here and there; counters stay for the ledger. */
void slr_srtp_wipe(struct slr_srtp *s, struct slr_srtp_box *box);

/* One packet; out has room for the packet and gets *out_bytes. Anything but OK: out is of no use.
 * `rtcp` as slr_rtp_classify says. Counts the result. Worker; x is its own. */
enum slr_srtp_result slr_srtp_take(struct slr_srtp *s, struct slr_srtp_box *box,
                                   struct slr_srtp_aes *x, struct slr_slice packet, bool rtcp,
                                   slr_mono now, uint8_t *out, size_t *out_bytes);

/* Ask for the memory that slr_srtp_take of a packet of RTP needs, one after the other: what the
 * second reads is what the first asked for. */
void slr_srtp_fetch_box(const struct slr_srtp *s, const struct slr_srtp_box *box);
void slr_srtp_fetch_keys(const struct slr_srtp *s, const struct slr_srtp_box *box,
                         struct slr_slice packet);

/* "auth", "replay" ...: the word for a failure in ledger and metrics. */
const char *slr_srtp_result_name(enum slr_srtp_result result);

#endif

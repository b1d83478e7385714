/*
 * engine: the media engine as the seam sees it: sessions, legs, pause, close, snapshot.
 *
 * All calls come from one thread, the control thread (in a passive run the only thread), and
 * return within milliseconds: nothing here waits for a disk. Events leave through the sink given
 * at open, from any thread of the engine. Text arguments are borrowed for the call only.
 */
#ifndef SLR_ENGINE_ENGINE_H
#define SLR_ENGINE_ENGINE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/err.h"
#include "common/id.h"
#include "common/metrics.h"
#include "common/net.h"
#include "common/srtp_suite.h"
#include "engine/config.h"
#include "storage/format.h"

#define SLR_LEG_ID_SIZE 64
#define SLR_DN_SIZE 64
#define SLR_CALL_ID_SIZE 128
#define SLR_META_SIZE 16384
#define SLR_META_NEAR_SIZE 384 /* so much of it lies in the slot */
#define SLR_MAX_CHANNELS 8
#define SLR_PAUSE_MAX_MS 86400000
#define SLR_MAX_PTS 16

/* One payload type as answered in SDP. */
struct slr_pt_map {
    char name[16]; /* RTP encoding name, upper case */
    uint32_t clock_hz;
    uint8_t pt;
    uint8_t channels;
    char fmtp[96];
};

struct slr_session_params {
    const char *session; /* SLR_ID_SIZE, validated */
    const char *call;
    uint32_t channels; /* 1..SLR_MAX_CHANNELS */
    uint32_t reserve_streams;
    uint8_t digit_policy; /* enum slr_digit_policy */
    json_t *meta;         /* object or NULL, borrowed */
    slr_wall start_wall;  /* ns 0: now */
    bool has_output;      /* else the engine's default */
    struct slr_output output;
    bool is_auto; /* made by the engine itself, from RTP without signalling */
};

enum slr_source_policy { SLR_SOURCE_HOST, SLR_SOURCE_STRICT, SLR_SOURCE_ANY };

/* Which members of slr_leg_params are set in an update. */
enum {
    SLR_LEG_HAS_CODECS = 1,
    SLR_LEG_HAS_SOURCE = 2,
    SLR_LEG_HAS_HOLD = 4,
    SLR_LEG_HAS_SSRC = 8,
    SLR_LEG_HAS_DN = 16,
    SLR_LEG_HAS_PASSIVE = 32,
    SLR_LEG_HAS_SRTP = 64
};

struct slr_leg_params {
    const char *session;
    const char *leg;
    const char *dn;
    uint32_t channel;
    struct slr_pt_map pt[SLR_MAX_PTS];
    uint32_t pt_count;
    struct slr_addr source; /* family 0: any; port 0: unknown */
    enum slr_source_policy policy;
    uint8_t family; /* 4 or 6: which of our addresses; 0: 4 */
    bool hold;
    bool passive;
    struct slr_addr passive_dst; /* passive: RTP's destination */
    struct slr_addr passive_src; /* passive: its source IP, family 0: any */
    uint32_t ssrc[4];
    uint32_t ssrc_count;
    struct slr_srtp_key srtp[SLR_SRTP_KEYS]; /* of the peer; the caller wipes them */
    uint32_t srtp_count;                     /* 0: plain RTP, unless */
    bool srtp_unknown;                       /* the peer's keys are not known: nothing counts */
    uint32_t has;                            /* update: SLR_LEG_HAS_ bits */
};

struct slr_leg_answer {
    struct slr_addr rtp; /* family 0: passive */
    uint16_t rtcp_port;
};

/* Takes ownership of event (an object with "ev" and its fields; number and times are added by the
 * receiver). Called from any engine thread, never blocks. */
struct slr_event_sink {
    void (*emit)(void *ctx, json_t *event);
    void *ctx;
};

struct slr_engine;

/*
 * Maps or makes the state file, restores sessions that were running, binds their ports, starts
 * workers and writers. Errors: SLR_BUSY another engine uses the state; SLR_VERSION, SLR_IO,
 * SLR_NOMEM, SLR_UNSUPPORTED (capture backend) with a log event each.
 */
enum slr_err slr_engine_open(const struct slr_engine_config *cfg, const struct slr_event_sink *sink,
                             struct slr_engine **out) SLR_CHECKED;
/* seal: end and seal every session (SIGTERM); else leave them running in the state file. Waits
 * for the writers. */
void slr_engine_close(struct slr_engine *e, bool seal);

enum slr_err slr_engine_session_open(struct slr_engine *e, const struct slr_session_params *p,
                                     slr_wall *start) SLR_CHECKED;
enum slr_err slr_engine_leg_open(struct slr_engine *e, const struct slr_leg_params *p,
                                 struct slr_leg_answer *answer) SLR_CHECKED;
enum slr_err slr_engine_leg_update(struct slr_engine *e,
                                   const struct slr_leg_params *p) SLR_CHECKED;
enum slr_err slr_engine_leg_close(struct slr_engine *e, const char *session, const char *leg,
                                  const char *reason) SLR_CHECKED;
/* on: pause, else resume. max_ms: the pause ends by itself after that (0: as --pause-max says);
 * pausing again sets that time anew. *at_ticks: p0 or p1, the highest over the legs. */
enum slr_err slr_engine_pause(struct slr_engine *e, const char *session, bool on, uint32_t max_ms,
                              int64_t *at_ticks) SLR_CHECKED;
enum slr_err slr_engine_session_meta(struct slr_engine *e, const char *session,
                                     json_t *meta) SLR_CHECKED;
enum slr_err slr_engine_session_close(struct slr_engine *e, const char *session,
                                      const char *reason) SLR_CHECKED;
/* Removes a sealed recording's files; done on a writer thread, *removed is an array of names
 * (caller owns). SLR_BUSY while open, SLR_NOTFOUND. */
enum slr_err slr_engine_recording_delete(struct slr_engine *e, const char *session,
                                         json_t **removed) SLR_CHECKED;
/* New arrays/objects; caller owns. NULL: out of memory. */
json_t *slr_engine_snapshot(struct slr_engine *e);
json_t *slr_engine_stats(struct slr_engine *e);
void slr_engine_drain(struct slr_engine *e, bool on);
bool slr_engine_draining(const struct slr_engine *e);
uint32_t slr_engine_streams_used(const struct slr_engine *e);
/* How many more calls this host takes; *limit: what is in their way, static. */
uint32_t slr_engine_calls_left_of(const struct slr_engine *e, const char **limit);
/* Why a session of two streams would be refused now; NULL: it would not. */
const char *slr_engine_refusal_text(const struct slr_engine *e);

/*
 * Passive runs only: processes capture until the next SIP message or the end of input.
 * SLR_OK: *sip is a message (borrowed until the next call); SLR_EOF: input is finished, all that
 * is left is slr_engine_close(e, true) or session closes followed by slr_engine_passive_flush.
 * On a live link there is no end of input, but SLR_AGAIN: nothing waits, call again when
 * slr_engine_passive_fd is readable, within 50 ms while slr_engine_passive_busy; and SLR_BUSY: more
 * waits, and the caller may do something else in between. SLR_CLOSED: the interface is gone.
 */
struct slr_passive_sip {
    const uint8_t *at;
    uint32_t len_bytes;
    struct slr_addr src, dst;
    bool tcp;
    slr_wall wall;
};
enum slr_err slr_engine_passive_run(struct slr_engine *e, struct slr_passive_sip *sip) SLR_CHECKED;
/* Readable when a live link has packets; -1: a file. */
int slr_engine_passive_fd(const struct slr_engine *e);
/* Anything that time alone could change. */
bool slr_engine_passive_busy(const struct slr_engine *e);
/* Closes remaining sessions and writes and seals everything; events are emitted before it
 * returns. */
enum slr_err slr_engine_passive_flush(struct slr_engine *e) SLR_CHECKED;

#endif

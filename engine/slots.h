/*
 * slots: sessions, legs and streams as they lie in the state file. Who writes what: state.h.
 */
#ifndef SLR_ENGINE_SLOTS_H
#define SLR_ENGINE_SLOTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/err.h"
#include "common/id.h"
#include "common/net.h"
#include "engine/engine.h"
#include "engine/intervals.h"
#include "engine/rtcp_kept.h"
#include "storage/ledger.h"

#define SLR_NONE UINT32_MAX
#define SLR_LEG_STREAMS 16u
#define SLR_LEG_PTS 32u
#define SLR_LEG_DIGITS 128u
#define SLR_STREAM_PTS 8u
#define SLR_DUP_WORDS 16u /* duplicates are known 1,024 packets back */

enum slr_stream_state { SLR_STREAM_FREE, SLR_STREAM_PROBATION, SLR_STREAM_TAKEN };

/* One SSRC on a leg. Written by W; what comes before `ssrc` is read by others at any time, the rest
 * at sealing. */
struct slr_stream {
    _Atomic uint32_t state;      /* enum slr_stream_state */
    _Atomic uint32_t generation; /* of this slot; records carry it, so a re-used slot never adopts
                                    them */
    _Atomic int64_t first_arrival_ns;
    slr_counter packets;
    uint32_t ssrc;
    bool foreign_ip; /* came from another address than signalled */
    bool seq_bad_valid;
    uint16_t seq_bad; /* next number expected after a jump (RFC 3550 A.1) */
    struct slr_addr src;
    int64_t last_arrival_ns;
    uint32_t in_order; /* consecutive packets in probation */
    int64_t seq_first_ext, seq_max_ext;
    uint64_t dup_seen[SLR_DUP_WORDS]; /* bit i: seq_max_ext - i was received */
    int64_t ts_last_ext;              /* timestamp of the packet with seq_max_ext */
    int64_t anchor_ts_ext;            /* position = anchor_ticks + (ts - anchor_ts) * ticks/clock */
    int64_t anchor_ticks;
    uint32_t clock_hz;
    bool first_segment;  /* leg->shift_ticks applies */
    int64_t seg_seq_ext; /* first packet under this anchor; older ones lie under the one before */
    int64_t prev_ts_ext; /* newest timestamp, and anchor, before it (clock 0: there was none) */
    int64_t prev_anchor_ts_ext, prev_anchor_ticks;
    uint32_t prev_clock_hz;
    int64_t late_since_ns; /* the newest packets have come too late since then; 0: they don't */
    uint8_t pt_used[SLR_STREAM_PTS];
    uint64_t pt_count[SLR_STREAM_PTS];
    uint32_t pt_kinds;
    double jitter; /* RFC 3550 6.4.1, clock units */
    int64_t transit_last;
    bool transit_valid;
    uint64_t bytes, placed, duplicate, reordered, late, suppressed, rejected;
    uint64_t unique_run;      /* unique packets since seq_first_ext */
    uint64_t seq_lost_before; /* lost in sequences that ended by a restart */
    int64_t pos_last_ticks;   /* position of the packet with seq_max_ext */
    int64_t pos_last_arrival_ns;
    int64_t first_ticks, last_ticks;
    int64_t placed_ticks; /* length of what was placed */
    uint64_t sr_ntp;      /* newest RTCP sender report: its clock, and when it came */
    uint32_t sr_rtp_ts, sr_count;
    int64_t sr_arrival_ns;
    struct slr_rtcp_kept rtcp; /* what this sender says of what it hears */
};

/* What the writer knows of a leg's spans; two copies, chosen by the session's commit index. */
struct slr_span_cursor {
    int64_t at_ticks;   /* spans are decided up to here; leg time */
    int64_t corr_ticks; /* file time minus leg time from there on, whole frames */
    int64_t last_seq_ext;
    uint32_t last_stream; /* SLR_NONE: nothing rendered yet */
    bool last_undecoded;
    bool open_valid;
    struct slr_span open; /* last span, may still grow; file time */
};

enum slr_leg_state { SLR_LEG_FREE, SLR_LEG_SETUP, SLR_LEG_OPEN, SLR_LEG_CLOSED };

struct slr_leg {
    _Atomic uint32_t state;   /* C sets SETUP and FREE; W OPEN and CLOSED */
    _Atomic uint32_t session; /* slot number; SLR_NONE: an unclaimed flow of a passive run */
    char id[SLR_LEG_ID_SIZE];
    char dn[SLR_DN_SIZE];
    uint32_t channel;
    bool passive;
    struct slr_addr local; /* RTP; family 0: passive */
    uint16_t rtcp_port;
    uint8_t policy; /* enum slr_source_policy */
    struct slr_addr source;
    struct slr_addr passive_dst, passive_src;
    struct slr_pt_map pt[SLR_LEG_PTS]; /* grows only: queued records name their row */
    uint32_t pt_count;
    _Atomic uint32_t pt_active; /* bit i: row i is in force */
    uint32_t ssrc_signalled[4];
    uint32_t ssrc_signalled_count;

    /* W */
    struct slr_stream stream[SLR_LEG_STREAMS];
    _Atomic uint32_t stream_count;
    uint32_t current;            /* stream that is being heard, SLR_NONE: none */
    _Atomic int64_t shift_ticks; /* correction of the first anchor, until frozen */
    bool shift_frozen;
    _Atomic int64_t heard_ns;      /* arrival of the last taken packet, 0: never */
    _Atomic int64_t highest_ticks; /* one past the highest position received on taken streams,
                                      suppressed or not; INT64_MIN: none */
    int64_t offset_ticks;          /* position minus arrival of the newest packet of those */
    _Atomic int64_t lag_ticks;     /* arrival of that packet minus where it ended */
    bool silent_told;
    _Atomic uint32_t holding;
    struct slr_intervals holds, pauses;
    struct slr_ledger_digit digit[SLR_LEG_DIGITS];
    uint32_t digit_count;
    int64_t digit_ts_ext; /* of the event in progress */
    uint32_t digit_ssrc;
    uint64_t foreign;
    uint8_t loss_flags; /* for the next record: the kernel or the queue dropped packets before it */
    uint32_t queue_tail;
    /* W at the first packet, then F */
    _Atomic uint32_t queue_head;
    /* F */
    struct slr_span_cursor cursor[2];
    _Atomic int64_t corr_ticks; /* of the cursor in force, for W */
};

enum slr_session_state {
    SLR_SESSION_FREE,
    SLR_SESSION_SETUP,   /* C is filling it in */
    SLR_SESSION_OPEN,    /* media is taken */
    SLR_SESSION_CLOSING, /* end_ticks is fixed; the writer renders what is left */
    SLR_SESSION_SEALING  /* all media is in the file; the sealer publishes it */
};

/* What is in the file; the flip of commit_index makes a block valid at once. */
struct slr_commit {
    _Atomic uint64_t frames; /* W asks while F writes the other copy */
    uint64_t spans_bytes;
};

struct slr_session {
    _Atomic uint32_t state;
    char id[SLR_ID_SIZE];
    char call[SLR_CALL_ID_SIZE];
    uint32_t channels, reserve;
    uint8_t digit_policy;
    bool is_auto, passive;
    char meta[SLR_META_SIZE];
    _Atomic uint32_t meta_turn; /* odd while C rewrites meta */
    slr_mono start;
    slr_wall start_wall;
    slr_wall end_wall;
    char end_reason[32];
    /* W */
    _Atomic uint32_t leg[SLR_MAX_CHANNELS * 2]; /* slot numbers in order of opening */
    _Atomic uint32_t leg_count;
    _Atomic uint32_t paused;
    struct slr_intervals pauses_ns; /* when it was paused, by the monotonic clock */
    int64_t paused_at_ticks;
    int64_t resume_at_ns;       /* the pause ends by itself then; 0: it does not */
    _Atomic int64_t end_ticks;  /* INT64_MAX while open */
    struct slr_intervals downs; /* the engine was not running */
    bool silent_told;
    /* F */
    struct slr_audio_shape shape; /* sample_hz 0: not fixed yet */
    char dir[16];                 /* YYYYMMDD of the start */
    _Atomic uint32_t commit_index;
    struct slr_commit commit[2];
    bool damaged; /* the file lost what was in it (removed or cut by somebody) */
};

/* Position on the session's timeline of a moment. */
static inline int64_t slr_session_ticks(const struct slr_session *s, slr_mono at)
{
    return slr_ticks_from_ns(at.ns - s->start.ns);
}

/* The block that counts. Any thread. */
static inline const struct slr_commit *slr_session_commit(const struct slr_session *s)
{
    return &s->commit[atomic_load_explicit(&s->commit_index, memory_order_acquire) & 1];
}

/* One past the last position in the file; 0 before the shape is fixed. Any thread. */
static inline int64_t slr_session_written_ticks(const struct slr_session *s)
{
    uint64_t frames = slr_session_commit(s)->frames;
    return frames ? (int64_t)frames * (SLR_TICKS_HZ / (int64_t)s->shape.sample_hz) : 0;
}

#endif

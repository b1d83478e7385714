/*
 * slots: sessions, legs, streams as they lie in the state file. Who writes what: state.h.
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
#include "engine/clock_note.h"
#include "engine/engine.h"
#include "engine/intervals.h"
#include "engine/leg_run.h"
#include "engine/missed_kept.h"
#include "engine/skew.h"
#include "engine/sound_kept.h"
#include "engine/stream_slot.h"
#include "storage/ledger.h"

#define SLR_LEG_STREAMS 16u
#define SLR_LEG_PTS 32u
#define SLR_LEG_PTS_NEAR 4u
#define SLR_LEG_DIGITS 128u
#define SLR_LEG_SEGMENTS 32u
#define SLR_LEG_SEGMENTS_NEAR 4u
#define SLR_LEG_LATE 64u

/* What the writer knows of a leg's spans, as of the block that counts (redo.h). */
struct slr_span_cursor {
    int64_t at_ticks;   /* spans are decided up to here; leg time */
    int64_t corr_ticks; /* file time minus leg time from there on, whole frames */
    int64_t last_seq_ext;
    uint32_t last_stream; /* SLR_NONE: nothing rendered yet */
    bool last_undecoded;
    uint8_t last_cause; /* of a loss whose beginning was concealed */
    bool open_valid;
    uint8_t last_segment;
    struct slr_sound sound;
    struct slr_span open; /* last span, may still grow; file time */
};

/* Newest RTCP sender report of the stream that is heard. W writes (turn is odd then), F reads. */
struct slr_leg_report {
    _Atomic uint32_t turn;
    _Atomic uint32_t stream;        /* generation << 8 | slot */
    _Atomic int64_t sender_ticks;   /* the sender's wall clock */
    _Atomic int64_t position_ticks; /* of its RTP timestamp, leg time */
};

enum slr_leg_state { SLR_LEG_FREE, SLR_LEG_SETUP, SLR_LEG_OPEN, SLR_LEG_CLOSED };

/* A dialled digit, until the ledger is made. */
struct slr_leg_digit {
    int64_t start_ticks; /* leg time */
    uint32_t duration_ms;
    uint8_t segment; /* of the leg, that it lies under */
    char digit;      /* as in struct slr_ledger_digit */
};

struct slr_leg {
    _Alignas(64) _Atomic uint32_t state; /* C sets SETUP and FREE; W OPEN and CLOSED */
    uint64_t run_back_bytes;             /* so far before it lies its slr_leg_run; never changes */
    uint64_t rare_bytes;                 /* so far behind it what few legs need (rare.h); neither */
    _Atomic uint32_t session; /* slot number; SLR_NONE: an unclaimed flow of a passive run */
    /* W */
    uint32_t current; /* stream that is being heard, SLR_NONE: none */
    _Atomic uint32_t stream_count;
    bool silent_told;
    uint8_t segments;    /* those from there on were never used */
    bool keyed;          /* C, W: its slr_srtp has memory: without that nobody looks at it */
    uint32_t held_chunk; /* packets that may begin a new sequence (held.c), plus 1; 0: none */
    int64_t offset_before_ticks; /* slr_leg_run.offset_ticks of a while before */
    struct slr_pace pace[2];     /* of the sender's clock, by a short and a long measure */
    struct slr_segment segment_near[SLR_LEG_SEGMENTS_NEAR]; /* slr_leg_segment */
    struct slr_stream first;                                /* slr_leg_stream(leg, 0) */
    /* C, before W sees it */
    char id[SLR_LEG_ID_SIZE];
    char dn[SLR_DN_SIZE];
    uint32_t channel;
    bool passive;
    struct slr_addr local; /* RTP; family 0: passive */
    uint16_t rtcp_port;
    uint8_t policy; /* enum slr_source_policy */
    struct slr_addr source;
    struct slr_addr passive_dst, passive_src;
    /* slr_leg_pt: grows only, for queued records name their row */
    struct slr_pt_map pt_near[SLR_LEG_PTS_NEAR];
    uint32_t pt_count;
    _Atomic uint32_t pt_active; /* bit i: row i is in force */
    uint32_t ssrc_signalled[4];
    uint32_t ssrc_signalled_count;
    uint32_t ssrc_stale; /* what the port heard for the leg before, that may still be under way */
    bool has_stale;

    /* W */
    _Atomic int64_t hold_ticks;    /* an anchor is new: nothing beyond this is written */
    _Atomic int64_t hold_until_ns; /* ... until then */
    _Atomic uint32_t holding;
    struct slr_intervals holds, pauses;
    int64_t hold_lead_ticks; /* the newest of the holds lies so far after its time */
    uint32_t digit_count;    /* the lists of these lie apart (rare.h) */
    uint32_t late_count;
    int64_t digit_ts_ext; /* of the event in progress */
    uint32_t digit_ssrc;
    uint64_t foreign;
    struct slr_clock_notes clock_notes;
    struct slr_ledger_others others; /* streams whose slots were used again */
    int64_t joined_ns;               /* when it was opened */
    _Atomic int64_t stray_ns;        /* arrival of the newest one that nobody can decode */
    struct slr_leg_report report;
    /* W at the first packet, then F */
    _Atomic uint32_t queue_head;
    /* F */
    struct slr_span_cursor cursor;
    _Atomic int64_t corr_ticks; /* of the cursor in force, for W */
    struct slr_leg_skew skew;   /* as of the same block */
    struct slr_silence silence;
    struct slr_leg_missed missed;
};

/* Whoever may use the leg. */
static inline struct slr_leg_run *slr_leg_run(const struct slr_leg *leg)
{
    return (struct slr_leg_run *)((uintptr_t)leg - leg->run_back_bytes);
}

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
    uint64_t rare_bytes; /* so far behind it what few sessions need (rare.h); never changes */
    char id[SLR_ID_SIZE];
    char call[SLR_CALL_ID_SIZE];
    uint32_t channels, reserve;
    uint8_t digit_policy;
    struct slr_output output; /* what the final files are to be */
    bool is_auto, passive;
    char meta_near[SLR_META_NEAR_SIZE]; /* slr_session_meta */
    bool meta_far;
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
    _Atomic uint32_t published; /* the files have their final names: may be deleted */
    bool damaged;               /* the file lost what was in it (removed or cut by somebody) */
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

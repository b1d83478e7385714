/*
 * state: the engine's memory that survives the process: one MAP_SHARED file under --state.
 *
 * It holds session and leg slots, their counters, and the packet memory (chunks). Everything in it
 * is position-independent (indices, no pointers). Writers of each member are named beside it:
 * C control thread, W the session's worker, F the session's writer ("file"). Members that another
 * thread reads are atomics or published by one. A process may die between any two stores, so each
 * structure is ordered to be right after every prefix of them.
 */
#ifndef SLR_ENGINE_STATE_H
#define SLR_ENGINE_STATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/err.h"
#include "common/id.h"
#include "common/net.h"
#include "engine/engine.h"
#include "storage/ledger.h"

#define SLR_STATE_VERSION 7u
#define SLR_NONE UINT32_MAX

#define SLR_CHUNK_BYTES 4096u
#define SLR_LEG_STREAMS 16u
#define SLR_LEG_PTS 32u
#define SLR_INTERVALS 64u
#define SLR_LEG_DIGITS 128u
#define SLR_STREAM_PTS 8u
#define SLR_DUP_WORDS 16u /* duplicates are known 1,024 packets back */

/* Half-open [start, end) in ticks; end == INT64_MAX while it goes on. */
struct slr_interval {
    int64_t start_ticks;
    _Atomic int64_t end_ticks;
};

/* A list that only grows; count is stored after the entry. When it is full the last interval is
 * left open or widened, so that a suppression can never be forgotten. */
struct slr_intervals {
    struct slr_interval at[SLR_INTERVALS];
    _Atomic uint32_t count;
};

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
    int64_t first_ticks, last_ticks;
    uint64_t sr_ntp; /* newest RTCP sender report: its clock, and when it came */
    uint32_t sr_rtp_ts, sr_count;
    int64_t sr_arrival_ns;
};

/* What the writer knows of a leg's spans; two copies, chosen by the session's commit index. */
struct slr_span_cursor {
    int64_t at_ticks; /* spans are decided up to here */
    int64_t last_seq_ext;
    uint32_t last_stream; /* SLR_NONE: nothing rendered yet */
    bool last_undecoded;
    bool open_valid;
    struct slr_span open; /* last span, may still grow */
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

struct slr_state_header {
    uint32_t magic, version;
    uint32_t session_max, leg_max, chunk_max;
    uint64_t layout_bytes; /* sizes of all structs, to notice another build */
    char boot_id[40];
    _Atomic int64_t alive_ns; /* last time the engine was seen running */
    uint64_t starts;
};

/* A piece of packet memory: records one after the other. */
struct slr_chunk {
    _Atomic uint32_t next; /* SLR_NONE at the end */
    _Atomic uint32_t used_bytes;
    uint32_t leg;
    uint32_t pad;
    uint8_t at[SLR_CHUNK_BYTES - 16];
};

struct slr_state {
    struct slr_state_header *header;
    struct slr_session *session;
    struct slr_leg *leg;
    struct slr_chunk *chunk;
    uint32_t session_max, leg_max, chunk_max;
    size_t map_bytes;
    int fd;
    bool restored; /* sessions of an earlier process are in it */
    bool rebooted; /* they are of an earlier boot: positions can't go on */
    /* free chunks, in process memory, rebuilt at start */
    pthread_mutex_t chunk_lock;
    uint32_t *chunk_free;
    uint32_t chunk_free_count;
    uint32_t *leg_chunks;   /* taken by each leg */
    uint32_t leg_chunk_max; /* one sender can't take everybody's memory */
};

/*
 * Opens or makes DIR/engine.state for that many legs and that much packet memory, locks it.
 * SLR_BUSY: another process has it. A file of another version or size: its sessions cannot be
 * taken over; it is renamed aside (`.old`) with a log event and a new one is made. Control thread,
 * at start.
 */
enum slr_err slr_state_open(const char *dir, uint32_t leg_max, uint32_t chunk_max,
                            struct slr_state **out) SLR_CHECKED;
/* Unmaps; the file stays (unlink: when no session is left). */
void slr_state_close(struct slr_state *s, bool unlink_file);

/* Any thread. SLR_NONE: none left, or the leg has a quarter of all. The chunk comes with next NONE,
 * used 0. */
uint32_t slr_state_chunk_take(struct slr_state *s, uint32_t leg);
void slr_state_chunk_put(struct slr_state *s, uint32_t chunk);
uint32_t slr_state_chunks_free(struct slr_state *s);

/* Interval lists (pause, hold, down): one thread opens and closes, any thread asks. */
void slr_intervals_open(struct slr_intervals *list, int64_t start_ticks);
void slr_intervals_close(struct slr_intervals *list, int64_t end_ticks);
/* True when [start, end) touches an interval; *hit_start and *hit_end
 * are its bounds. */
bool slr_intervals_touch(const struct slr_intervals *list, int64_t start_ticks, int64_t end_ticks,
                         int64_t *hit_start, int64_t *hit_end);

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

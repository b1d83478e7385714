/*
 * stream_slot: what is known of one RTP source of a leg, as it lies in the leg's slot of the state
 * file. Who writes what: state.h.
 */
#ifndef SLR_ENGINE_STREAM_SLOT_H
#define SLR_ENGINE_STREAM_SLOT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/metrics.h"
#include "common/net.h"
#include "engine/rtcp_kept.h"
#include "engine/sound_kept.h"

#define SLR_NONE UINT32_MAX
#define SLR_STREAM_PTS 8u
#define SLR_DUP_WORDS 16u /* duplicates are known 1,024 packets back */

/* From RTP time to a position: ticks + (ts - ts_ext) * ticks/clock, moved by the segment's shift.
 */
struct slr_anchor {
    int64_t ts_ext, ticks;
    int64_t seq_ext;       /* packets older than that lie under the anchor before */
    int64_t before_ts_ext; /* newest timestamp under that one */
    uint32_t clock_hz;     /* 0: none yet */
    uint16_t unit_ticks;   /* ticks a unit of that clock; 0: not a whole number */
    uint8_t segment;
};

/* What records that name it are moved by; number 0 is never moved. Its place in the leg's table is
 * used again when all that lies under it is in the file. */
struct slr_segment {
    _Atomic int64_t shift_ticks;
    int64_t end_ticks; /* one past the highest position under it, unmoved */
};

/* How the least delay between RTP time and arrival changes: steadily, when a clock is off. */
struct slr_pace {
    int64_t offset_ticks, at_ns;
    int32_t turns; /* so often in turn it was beyond the limit; negative: behind */
};

/* While an anchor that arrival has set is new: the least delayed packet is to set it (anchor.c). */
struct slr_refine {
    int64_t since_ns;        /* arrival of its first packet; 0: it is settled */
    int64_t offset_ticks;    /* position minus arrival of a packet that nothing delays */
    int64_t start_ticks;     /* of its first packet, unmoved */
    int64_t lowest_ticks;    /* that packet may be moved so far back */
    int64_t before_ticks;    /* highest position of the leg before it */
    int64_t line_ticks;      /* where RTP time has that packet; INT64_MIN: it says nothing of it */
    int64_t least_ticks;     /* the shift that the least delayed packet wants */
    int64_t quarter_ticks;   /* the same when this quarter of the time began */
    uint32_t packets, steep; /* so many; quarters but the first in which half of it was gained */
    uint32_t note;           /* number in leg->clock_notes */
    uint32_t chunk, offset_bytes; /* its first queued record that is not late */
    uint32_t quarter;
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
    slr_counter missed; /* F: of those that are `placed`, late after all (missed.h) */
    uint32_t ssrc;
    bool foreign_ip; /* came from another address than signalled, or from the call before */
    bool seq_bad_valid;
    uint16_t seq_bad; /* next number expected after a jump (RFC 3550 A.1) */
    struct slr_addr src;
    int64_t last_arrival_ns;
    uint32_t plausible; /* packets in probation that follow each other within a few numbers */
    int64_t seq_first_ext, seq_max_ext;
    uint64_t dup_seen[SLR_DUP_WORDS]; /* bit n % 1024: extended number n was received */
    int64_t ts_last_ext;              /* timestamp of the packet with seq_max_ext */
    int64_t seq_before_ext;           /* newest of the sequence before this one; 0: there is none */
    uint64_t dup_before[SLR_DUP_WORDS]; /* what was received of that one */
    struct slr_anchor anchor[2]; /* in force and before: another one is in force by one store */
    _Atomic uint32_t anchor_index;
    struct slr_refine refine;
    uint32_t clock_hz; /* of the anchor in force, 0: none yet */
    bool rate_noted;
    uint8_t pt_used[SLR_STREAM_PTS];
    uint64_t pt_count[SLR_STREAM_PTS];
    uint32_t pt_kinds;
    struct slr_jitter jitter;
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

#endif

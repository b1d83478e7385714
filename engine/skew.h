/*
 * skew: how far a leg's clock has drifted from ours, and what the writer shall do about it.
 *
 * A pure module: no I/O, no clock of its own, no allocation; all state is struct slr_skew, which
 * lies in the leg's slot (two copies, chosen by the session's commit index) and is fed by the
 * writer with each record in order of position. Times and positions are ticks of the session;
 * "leg time" and "file time" are those of track.h.
 *
 * The way of the estimate: arrival minus end of packet (or minus its start, for a sender of that
 * habit) is the path's delay plus the clock's deviation. Its minimum over a window of some seconds
 * has little jitter in it; a line through the lowest of up to SLR_SKEW_POINTS windows gives
 * deviation and rate. A minimum that leaves the line for good is a step: of the path, unless sender
 * reports show that the sender's media clock made it. Steps of the path are reported and not
 * corrected. Sender reports that agree with arrival at first are believed afterwards, so that a
 * slowly growing path delay is not taken for a clock.
 */
#ifndef SLR_ENGINE_SKEW_H
#define SLR_ENGINE_SKEW_H

#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"

#define SLR_SKEW_POINTS 32u
#define SLR_SKEW_PENDING 6u

/* Corrections start when two legs are that far apart, end within the second of the target. */
#define SLR_SKEW_START_TICKS (SLR_TICKS_HZ * 5 / 1000)
#define SLR_SKEW_END_TICKS (SLR_TICKS_HZ * 3 / 10000)
/* Beyond that they no longer wait for silence. */
#define SLR_SKEW_URGENT_TICKS (SLR_TICKS_HZ * 7 / 1000)
/* Faster or slower than that is no skew. */
#define SLR_SKEW_RATE_MAX_PPM 1000

/* A robust line through the lowest points of a delay over time. */
struct slr_skew_line {
    uint32_t count, pending;
    bool valid; /* the fit can be relied on */
    bool has_origin;
    int64_t at0_ticks, delay0_ticks; /* origin of what follows */
    /* points in order, then the pending ones that may become a step */
    float at_s[SLR_SKEW_POINTS + SLR_SKEW_PENDING];
    int32_t delay_ticks[SLR_SKEW_POINTS + SLR_SKEW_PENDING];
    double fit_at_s, fit_ticks, rate; /* rate: seconds a second */
    double rms_ticks;
};

enum slr_skew_event {
    SLR_SKEW_NOTHING,
    SLR_SKEW_STEP,       /* the path's delay changed; not corrected */
    SLR_SKEW_CLOCK_STEP, /* the sender's media clock made a step (sender reports say so) */
    SLR_SKEW_RATE,       /* too far off for skew: RTP time is believed from here on */
    SLR_SKEW_RATE_BACK   /* no longer */
};

/* Who records sends a packet when its sound is over, who plays a file when it begins. That matters
 * only where the packets' length changes, and shows only there. */
enum slr_skew_pace { SLR_SKEW_BY_END, SLR_SKEW_BY_START };

struct slr_skew_least {
    int64_t delay_ticks, at_ticks;
    int64_t second_ticks; /* the least but one */
};

struct slr_skew {
    struct slr_skew_line path;   /* arrival minus end of packet, steps taken out */
    struct slr_skew_line report; /* sender's clock minus position, of sender reports */
    /* the window in progress */
    int64_t window_ticks;           /* its first arrival */
    struct slr_skew_least least[2]; /* by enum slr_skew_pace */
    uint32_t window_count;
    uint32_t shortest_ticks, longest_ticks; /* packets of the window */
    uint32_t dur_ticks;                     /* of packets in the windows before */
    uint32_t half_count;                    /* packets of the window no longer than half of that */
    uint8_t pace;                           /* enum slr_skew_pace: what holds for this sender */
    int64_t pace_ticks;                     /* what is added so that a change of it makes no step */
    uint32_t stream;                        /* generation << 8 | slot */
    bool begun;                             /* a packet was seen */
    bool rebase;           /* a new segment began: its first window decides about steps_ticks */
    bool rate_off;         /* no skew, no correction */
    bool trusted, refused; /* sender reports: believed; shown to be wrong */
    bool correcting, urgent;
    bool absolute;        /* the legs' clocks differ: each is kept near ours */
    int8_t starts;        /* corrections begun in one direction (its sign) before that was known */
    int64_t base_ticks;   /* arrival minus end of a packet in its right place */
    int64_t steps_ticks;  /* what the path's delay has grown by since the segment began */
    int64_t trust_ticks;  /* path minus report while trusted */
    int64_t last_ticks;   /* newest arrival */
    int64_t before_ticks; /* deviation when the segment before ended */
    bool before_valid;
    double edge_ticks;     /* between the two least delays of a window, mean of the windows */
    uint32_t edges;        /* windows in it, saturating */
    int64_t want_ticks;    /* to be inserted (removed: < 0) as it was last decided */
    int64_t step_ticks;    /* size of the last event */
    uint32_t steps, rates; /* events so far */
};

/* One packet of audio, taken and in order of position. */
struct slr_skew_packet {
    int64_t start_ticks; /* leg time */
    uint32_t dur_ticks;
    int64_t arrival_ticks;
    uint32_t stream;  /* generation << 8 | slot */
    bool new_segment; /* first one under a new anchor */
};

/* What the leg sounds like: mean size of 10 ms of samples, 0 to 32767. Zeroes: nothing known. */
struct slr_skew_level {
    float noise, speech;
    uint32_t cells; /* heard so far, saturating */
};

/* What was recognised, for the ledger. */
struct slr_skew_note {
    int64_t at_ticks;      /* start of the packet with which it was, leg time */
    int64_t arrival_ticks; /* where its arrival alone puts it */
    uint8_t event;         /* enum slr_skew_event */
};
#define SLR_SKEW_NOTES 8u

/* All that the writer's stage (skew_stage.c) keeps of a leg. */
struct slr_leg_skew {
    struct slr_skew clock;
    struct slr_skew_level level;
    struct slr_skew_note note[SLR_SKEW_NOTES];
    uint32_t note_count;
    uint32_t report_turn; /* of the newest sender report that was taken */
};

/* Zeroes mean: nothing known; no begin is needed. Returns what was recognised with this packet. */
enum slr_skew_event slr_skew_packet(struct slr_skew *k, const struct slr_skew_packet *p);

/* A sender report of the stream that is heard: its clock and the position (leg time) of its RTP
 * timestamp. */
void slr_skew_report(struct slr_skew *k, int64_t sender_ticks, int64_t position_ticks);

/* How far file time (leg time + corr_ticks) is ahead of the sender's time at now_ticks. False: not
 * known, or no skew. */
bool slr_skew_error(const struct slr_skew *k, int64_t corr_ticks, int64_t now_ticks,
                    int64_t *error_ticks);

/* Parts per million that the sender's clock is fast. 0 when not known. */
double slr_skew_ppm(const struct slr_skew *k);

/* A leg of a session, and what it is corrected by already. */
struct slr_skew_party {
    struct slr_skew *skew;
    int64_t corr_ticks;
};

/* Decides want_ticks and urgent of each of a session's open legs for the time now_ticks. A single
 * leg, or legs that drift alike, want nothing. */
void slr_skew_decide(const struct slr_skew_party *party, uint32_t count, int64_t now_ticks);

#endif

/*
 * leg: one leg of a drawn session: script, packets as the sender made them, what the network did to
 * them. See sim.h.
 */
#ifndef SLR_TESTS_SIM_LEG_H
#define SLR_TESTS_SIM_LEG_H

#include <stdbool.h>
#include <stdint.h>

#define SIM_TICKS_HZ 14112000LL
#define SIM_NS 1000000000LL
#define SIM_MS 1000000LL
#define SIM_NEVER INT64_MAX
#define SIM_WINDOW_NS SIM_NS /* the placement window of the rig */
#define SIM_LEGS 3
#define SIM_STREAMS 8
#define SIM_SEGMENTS 24
#define SIM_PHASES 64
#define SIM_COMMANDS 64
#define SIM_PAUSES 6
#define SIM_DIGITS 24
#define SIM_HOLDS 8
#define SIM_RESTARTS 64
#define SIM_MENU 4

/* The first three have samples that are numbers of their own, or the bank's like all others. */
enum sim_codec {
    SIM_PCMA,
    SIM_PCMU,
    SIM_L16,
    SIM_CODECS,
    SIM_L16_STEREO = SIM_CODECS,
    SIM_L16_48,
    SIM_G722,
    SIM_GSM,
    SIM_G729,
    SIM_AMR,
    SIM_AMRWB,
    SIM_OPUS,
    SIM_OPUS_STEREO,
    SIM_LINES
};
enum sim_format { SIM_FILE_ALAW, SIM_FILE_ULAW, SIM_FILE_S16 };
enum sim_kind { SIM_AUDIO, SIM_NOISE, SIM_EVENT };
enum sim_fate { SIM_UNSENT, SIM_PLACED, SIM_EITHER, SIM_GONE };

/* Kinds of spans as sets, so that the truth can say "one of these". */
enum {
    SIM_IS_RECEIVED = 1,
    SIM_IS_COMFORT = 2,
    SIM_IS_EVENT = 4,
    SIM_IS_HOLD = 8,
    SIM_IS_PAUSED = 16,
    SIM_IS_ABSENT = 32,
    SIM_IS_ENDED = 64,
    SIM_IS_LOST = 128,
    SIM_IS_DOWN = 256,
    SIM_IS_CLOCK = 512,
    SIM_IS_CONCEALED = 1024
};

/* One RTP packet as the sender made it, and what the network did to it. */
struct sim_packet {
    int64_t pos_ticks;  /* place of its first sample if the path took no time at all */
    int64_t content;    /* number of its first sample among all that the leg ever says; of the
                           bank's sound: of its first unit */
    int64_t sent_ns;    /* when it left */
    int64_t arrival_ns; /* of its first copy; SIM_NEVER: lost */
    uint32_t samples;   /* of its RTP clock; events: duration so far */
    uint32_t ts;
    uint32_t number; /* within its stream */
    uint16_t seq;
    uint8_t kind, codec, stream, segment, digit;
    uint8_t fate;       /* enum sim_fate */
    bool marker;        /* first of a talkspurt */
    bool restarts;      /* first one of a new sequence */
    bool last;          /* of an event */
    bool paused;        /* where it is missing a pause took it */
    bool late;          /* its place may be written when it comes, or the first part of it */
    uint32_t cut;       /* so many samples of it came too late */
    uint32_t warm_ms;   /* so much of the same codec came right before it */
    bool hint;          /* of a new sequence that need not be believed yet */
    bool doubtful;      /* whether the engine counted it for the stream is its choice */
    int64_t lead_ticks; /* how far its media ran ahead of time */
};

/* A datagram on its way in: a packet's copy, or a stranger's packet (packet < 0). */
struct sim_arrival {
    int64_t ns;
    int32_t packet;
    uint32_t order;
    bool copy;      /* of one that was here before */
    uint32_t stray; /* number of the stranger */
};

/* Packets whose RTP times and places keep one distance. */
struct sim_segment {
    uint32_t first, count; /* packets of the leg */
    uint8_t stream;
    int64_t lo_ticks, hi_ticks; /* how much later than pos_ticks the engine may place it */
    int64_t at_ticks;           /* where it did, as found in the file */
    bool found;
    uint8_t made;       /* by what it began: a phase, SIM_TALK for the first */
    int64_t jump_ticks; /* how far its RTP times are from where the segment's before it had them */
};

struct sim_stream {
    uint32_t ssrc;
    int64_t believed_ns; /* since when it must be */
    bool restarted;      /* the sequence began anew: losses unknown */
};

struct sim_digit {
    int64_t pos_ticks;
    uint8_t event;
    uint8_t segment;
    int64_t samples_lo, samples_hi; /* as received; -1: nothing of it */
};

enum sim_phase_kind {
    SIM_TALK,
    SIM_SILENCE,
    SIM_NEW_PTIME,
    SIM_NEW_CODEC,
    SIM_NEW_SSRC,
    SIM_NEW_SEQ,
    SIM_JUMPS,
    SIM_STALLS,
    SIM_STANDS_STILL,
    SIM_FASTER,
    SIM_HOLDS_CALL,
    SIM_DIALS,
    SIM_PHASE_KINDS
};

struct sim_phase {
    uint8_t kind;
    int64_t ms, a, b;
};

struct sim_network {
    int64_t base_ns, jitter_ns, reorder_ns;
    uint32_t jitter_kind; /* 0 uniform, 1 mostly small with peaks */
    uint32_t lost_permille, burst_in_permille, burst_out_permille, reorder_permille;
    uint32_t twice_percent;
    bool doubled; /* every packet, as a port that mirrors both directions gives it */
};

struct sim_interval {
    int64_t from, to;
};

struct sim_leg {
    uint64_t key; /* of its content */
    int64_t join_ns, start_ns;
    int32_t skew_ppm;
    bool signalled;
    uint8_t codec;
    uint8_t menu[SIM_MENU]; /* what it may change to, in a session with the bank's sound */
    uint32_t menu_count;
    uint32_t ptime_ms;
    struct sim_network net;
    struct sim_phase phase[SIM_PHASES];
    uint32_t phase_count;
    uint32_t did; /* bits of the phases that were played */
    struct sim_packet *packet;
    uint32_t packet_count, packet_size;
    struct sim_arrival *arrival;
    uint32_t arrival_count, arrival_size;
    struct sim_segment segment[SIM_SEGMENTS];
    uint32_t segment_count;
    struct sim_stream stream[SIM_STREAMS];
    uint32_t stream_count;
    struct sim_digit digit[SIM_DIGITS];
    uint32_t digit_count;
    struct sim_interval hold[SIM_HOLDS]; /* ns */
    uint32_t hold_count;
    uint32_t strays;
    struct sim_interval pause[SIM_PAUSES];      /* ticks: what certainly belongs to it */
    struct sim_interval pause_wide[SIM_PAUSES]; /* and what may */
};

#endif

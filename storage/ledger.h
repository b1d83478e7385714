/*
 * ledger: what every millisecond of every channel is, as JSON beside a recording.
 *
 * The engine fills these structs at sealing; this module only renders them. The format is
 * documented in docs/ledger.md. Deterministic: the same input gives the same bytes. Any thread.
 */
#ifndef SLR_STORAGE_LEDGER_H
#define SLR_STORAGE_LEDGER_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/err.h"
#include "common/id.h"
#include "common/net.h"
#include "storage/container.h"
#include "storage/format.h"

#define SLR_LEDGER_VERSION 1

enum slr_span_kind {
#define SPAN(name, text) SLR_SPAN_##name,
#include "storage/span.def"
#undef SPAN
    SLR_SPAN_COUNT
};
const char *slr_span_name(enum slr_span_kind kind);

/* One span of one channel; positions in ticks from the session's start. */
struct slr_span {
    int64_t start_ticks;
    int64_t len_ticks;
    uint8_t kind;  /* enum slr_span_kind */
    uint8_t cause; /* concealed: the kind of loss (SLR_SPAN_LOST_*), 0: a payload that could not be
                      decoded; corrected: the kind of time in which it was done; else 0 */
    uint8_t pad[2];
    uint32_t info; /* lost-*, concealed loss: packets missing; corrected without length: samples
                      that were taken out; else 0 (digits stand in slr_ledger.digit only) */
};

struct slr_ledger_stream {
    uint32_t ssrc;
    struct slr_addr src;
    uint64_t packets; /* received and valid, duplicates included */
    uint64_t bytes;   /* payload bytes of them */
    uint64_t placed;  /* unique and in time */
    uint64_t lost;    /* expected minus unique */
    uint64_t duplicate;
    uint64_t reordered;    /* arrived after a later one */
    uint64_t late;         /* after their place was written: counted, not in the audio */
    uint64_t suppressed;   /* during pause */
    uint64_t rejected;     /* unknown payload type, malformed payload */
    uint32_t jitter_ticks; /* RFC 3550, in RTP clock units */
    uint32_t clock_hz;
    uint64_t pt_packets[128];
    int64_t first_ticks, last_ticks; /* positions: start of the first, end of the last packet */
    json_t *rtcp;                    /* borrowed; NULL: left out */
};

/* Where RTP time and arrival of a leg did not agree, and which of them was believed. */
enum slr_clock_kind {
    SLR_CLOCK_TS_JUMP,  /* timestamps jumped, time did not pass */
    SLR_CLOCK_TS_STILL, /* time passed, timestamps did not follow */
    SLR_CLOCK_RATE,     /* the sender's clock runs at another speed */
    SLR_CLOCK_STEP,     /* a smaller step that RTP time does not show */
    SLR_CLOCK_RESTART,  /* sequence numbers began anew, or the clock rate changed */
    SLR_CLOCK_BURST,    /* the network held packets back, then they came at once */
    SLR_CLOCK_KINDS
};
enum slr_clock_winner { SLR_CLOCK_RTP, SLR_CLOCK_ARRIVAL };

struct slr_clock_note {
    int64_t at_ticks;      /* where the packet came to lie */
    int64_t rtp_ticks;     /* where RTP time alone puts it */
    int64_t arrival_ticks; /* where arrival alone puts it */
    uint8_t kind;          /* enum slr_clock_kind */
    uint8_t winner;        /* enum slr_clock_winner */
};

/* Places that were written when their packets came. */
struct slr_ledger_late {
    int64_t start_ticks, end_ticks;
    uint32_t packets;
};

/* Sum of the streams that a leg had no room to remember one by one. */
struct slr_ledger_others {
    uint32_t streams;
    uint64_t packets, bytes, placed, lost, duplicate, reordered, late, suppressed, rejected;
};

/* A stretch that was left out of the files. */
struct slr_ledger_cut {
    int64_t start_ticks, len_ticks;
};

/* One of several files of a recording: a channel of its own. */
struct slr_ledger_file {
    const char *file;
    uint32_t channel;
    uint64_t media_offset_bytes, media_len_bytes;
    const char *media_hash;
};

struct slr_ledger_digit {
    int64_t start_ticks;
    uint32_t duration_ms;
    uint8_t leg; /* index in slr_ledger.leg */
    char digit;  /* '0'..'9' '*' '#' 'A'..'D', 'F' flash */
};

/* Why packets of a secure leg did not count. */
struct slr_ledger_refusal {
    const char *reason;
    uint64_t packets;
};
#define SLR_LEDGER_REFUSALS 8

struct slr_ledger_leg {
    const char *id; /* leg id given by the core, or "" */
    const char *dn; /* party, or "" */
    uint32_t channel;
    struct slr_addr local; /* our port, family 0 for passive legs */
    const struct slr_ledger_stream *stream;
    uint32_t stream_count;
    const struct slr_span *span; /* ordered, gapless, sums to the session's length */
    uint32_t span_count;
    const int16_t *removed; /* samples of all corrected spans without length, one after the other */
    const struct slr_clock_note *clock;
    uint32_t clock_count;
    uint32_t clock_more; /* corrections beyond those listed */
    const struct slr_ledger_late *late;
    uint32_t late_count;
    struct slr_ledger_others others; /* streams 0: none */
    uint64_t foreign;                /* packets dropped: not from this leg's peer */
    const char *srtp_suite;          /* newest; NULL: plain RTP */
    uint64_t srtp_packets, srtcp_packets;
    struct slr_ledger_refusal srtp_failed[SLR_LEDGER_REFUSALS]; /* up to reason NULL */
    json_t *quality;                                            /* borrowed; NULL: left out */
};

enum slr_digit_policy { SLR_DIGITS_KEEP, SLR_DIGITS_MASK, SLR_DIGITS_DROP };

struct slr_ledger {
    const char *recording; /* id */
    const char *call;      /* conversation id or "" */
    const char *state;     /* "sealed", "partial", "orphan" ... */
    const char *file;      /* published media file name */
    const char *container, *mime_type;
    const char *coding;           /* NULL: the name of shape.format */
    struct slr_audio_shape shape; /* of each file */
    struct slr_audio_shape recorded;
    const struct slr_output *output; /* what was asked for */
    enum slr_layout layout;
    /* sealed as recorded: what `output` asks for is made later, with these; nothing is cut yet */
    bool put_off;
    uint32_t opus_bps, opus_complexity;
    slr_wall start_wall;
    int64_t len_ticks;
    uint64_t frames;
    uint64_t media_offset_bytes, media_len_bytes;
    const char *media_hash;
    const struct slr_ledger_file *files; /* where there are several; the first is `file` */
    uint32_t file_count;
    const struct slr_ledger_cut *cut;
    uint32_t cut_count;
    const char *end_reason; /* "bye", "stop", "eof", "orphan" ... */
    const char *meta_json;  /* JSON object text given by the core, or NULL */
    enum slr_digit_policy digit_policy;
    const struct slr_ledger_leg *leg;
    uint32_t leg_count;
    const struct slr_ledger_digit *digit;
    uint32_t digit_count;
};

/* Renders to malloc'ed text ending in a newline; the caller frees. SLR_NOMEM, SLR_FORMAT when
 * meta_json is no object. */
enum slr_err slr_ledger_render(const struct slr_ledger *ledger, char **text,
                               size_t *len_bytes) SLR_CHECKED;

/*
 * The ledger of a recording that was put off, once its final files are made: `was` with what `now`
 * says of files, shape, layout, frames, media and cuts (nothing else of it is looked at), the same
 * bytes as if it had not been put off. Result and errors as above.
 */
enum slr_err slr_ledger_reform(json_t *was, const struct slr_ledger *now, char **text,
                               size_t *len_bytes) SLR_CHECKED;

#endif

/*
 * sim: a drawn session as its senders know it, and what is to become of it. Nothing of the engine
 * is known here: positions are ticks of the ledger's clock, times are nanoseconds since the
 * session's start, content is numbered samples. One thread; memory belongs to struct sim.
 */
#ifndef SLR_TESTS_SIM_SIM_H
#define SLR_TESTS_SIM_SIM_H

#include "tests/sim/leg.h"

/* What a session may have in it; a failing one is made smaller by leaving features out. */
#define SIM_FEATURES(X)                                                                            \
    X(LOSS, "loss")                                                                                \
    X(BURST, "burst")                                                                              \
    X(JITTER, "jitter")                                                                            \
    X(REORDER, "reorder")                                                                          \
    X(TWICE, "twice")                                                                              \
    X(DOUBLED, "doubled")                                                                          \
    X(SKEW, "skew")                                                                                \
    X(DTX, "dtx")                                                                                  \
    X(CN, "cn")                                                                                    \
    X(PTIME, "ptime")                                                                              \
    X(CODEC, "codec")                                                                              \
    X(SSRC, "ssrc")                                                                                \
    X(SEQ, "seq")                                                                                  \
    X(JUMP, "jump")                                                                                \
    X(STALL, "stall")                                                                              \
    X(STILL, "still")                                                                              \
    X(FAST, "fast")                                                                                \
    X(HOLD, "hold")                                                                                \
    X(PAUSE, "pause")                                                                              \
    X(DIGIT, "digit")                                                                              \
    X(STRAY, "stray")                                                                              \
    X(KILL, "kill")                                                                                \
    X(HOLE, "hole")                                                                                \
    X(DISK, "disk")                                                                                \
    X(JOIN, "join")                                                                                \
    X(LOSSY, "lossy")

enum sim_feature {
#define X(name, text) SIM_HAS_##name,
    SIM_FEATURES(X)
#undef X
        SIM_FEATURE_COUNT
};

enum sim_command_kind { SIM_CMD_PAUSE, SIM_CMD_RESUME, SIM_CMD_HOLD, SIM_CMD_UNHOLD };

struct sim_command {
    int64_t ns;
    uint8_t kind, leg;
    uint8_t number; /* of the pause */
};

struct sim {
    uint64_t seed;
    uint64_t without; /* bits of features left out */
    uint64_t present; /* bits of features that really are in it */
    uint32_t legs;
    uint32_t hz;    /* of the file */
    uint8_t format; /* of the file, enum sim_format */
    bool mixed;     /* its legs change codecs */
    bool lazy;      /* the writer is often slow, and losses are long */
    bool uneven;    /* packets of one codec are of any length */
    bool lossy;     /* they speak the bank's sound (bank.h), by any codec */
    struct sim_leg leg[SIM_LEGS];
    struct sim_command command[SIM_COMMANDS];
    uint32_t command_count;
    struct sim_interval pause[SIM_PAUSES];     /* ns */
    struct sim_interval pause_end[SIM_PAUSES]; /* ticks that may be answered at the resume */
    int64_t pause_answer[SIM_PAUSES][2];       /* and what was */
    uint32_t pause_count;
    int64_t hole_from_ns, hole_to_ns; /* the engine is away; SIM_NEVER: no such time */
    int64_t end_ns;
    bool disk_fails, dies;
    int64_t restart_ns[SIM_RESTARTS]; /* deaths as they happened */
    uint32_t restart_count;
    int64_t corrected_ticks; /* the most that a leg was corrected by */
    /* what was checked, for the summary */
    uint64_t corrections; /* legs that were corrected */
    uint64_t samples_exact, samples_open, packets_open, packets_all;
    uint64_t samples_alike; /* of samples_exact: compared by likeness */
    uint64_t concealed;     /* stretches that had to be */
};

static inline bool sim_has(const struct sim *m, enum sim_feature f)
{
    return !(m->without >> f & 1u);
}

static inline int64_t sim_ticks_of_ns(int64_t ns)
{
    return ns / SIM_NS * SIM_TICKS_HZ + ns % SIM_NS * (SIM_TICKS_HZ / 1000) / SIM_MS;
}

/* Ticks of one sample. */
static inline int64_t sim_unit(uint32_t hz)
{
    return SIM_TICKS_HZ / (int64_t)hz;
}

/* draw.c: everything about a session but its packets, from seed and features. */
void sim_draw(struct sim *m, uint64_t seed, uint64_t without);
/* sender.c: packets and arrivals of a leg, from its script. */
void sim_send(struct sim *m, uint32_t leg);
void sim_free(struct sim *m);

/* plan.c: the end, and the commands in order; after all legs were sent. */
void sim_plan(struct sim *m);

/* content.c: what a sample sounds like. */
uint8_t sim_content_byte(uint64_t key, int64_t i, enum sim_codec codec);
int16_t sim_content_linear(uint64_t key, int64_t i, enum sim_codec codec);
/* As the file holds it: a byte, or 16 bits. */
int32_t sim_content_in_file(const struct sim *m, uint64_t key, int64_t i, enum sim_codec codec);
/* A linear sample as the file holds it. */
int32_t sim_linear_in_file(const struct sim *m, int16_t v);
int32_t sim_silence_in_file(const struct sim *m);
uint32_t sim_codec_hz(const struct sim *m, enum sim_codec codec);
/* Where in the bank a packet's sound begins. */
int64_t sim_first_unit(const struct sim_leg *leg, const struct sim_packet *p);
/* Payload of an audio packet; returns its length. */
uint32_t sim_payload(const struct sim *m, const struct sim_leg *leg, const struct sim_packet *p,
                     uint8_t *out, uint32_t out_bytes);

/* rig.c: runs the session through the engine and leaves the recording in *r. */
struct sim_result;
void sim_run(struct sim *m, struct sim_result *r);

/* truth.c */
/* Where each segment may lie. Before sim_run's result is looked at. */
void sim_truth_anchors(struct sim *m);
/* Earliest and latest place of the packet's first sample. They differ where nothing tells: its
 * segment has no whole packet of audio in the file (all of it in a pause, or digits only). */
struct sim_interval sim_places(const struct sim_leg *leg, const struct sim_packet *p);
/* What becomes of each packet; segments have been found. */
void sim_truth_fates(struct sim *m);

/* check.c: ends the process with a message at the first difference. */
void sim_check(struct sim *m, struct sim_result *r);

#endif

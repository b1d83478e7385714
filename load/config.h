/*
 * config: what a run is to be, from the options. Const after start, read by every thread.
 */
#ifndef SLR_LOAD_CONFIG_H
#define SLR_LOAD_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/options.h"
#include "common/srtp_suite.h"
#include "load/impair.h"

#define SLR_LOAD_LEGS 2u
#define SLR_LOAD_PIDS 16u

/* --send */
enum slr_load_send { SLR_SEND_UDP, SLR_SEND_RAW, SLR_SEND_LIVE, SLR_SEND_LIVE_IN };

struct slr_load_config {
    const char *sip;               /* ADDR:PORT of the recorder's control plane */
    const char *seam;              /* or the engine's control socket */
    const char *plain;             /* ADDR:PORT; neither: streams go to ports from there on */
    const char *stats;             /* with sip: the control socket, for counters */
    const char *data;              /* the recorder's --data directory, to check the recordings */
    const char *state;             /* its --state directory, whose size is told */
    const char *send;              /* how RTP leaves: "udp", "raw:DEVICE" and so on */
    const char *local_ip;          /* where RTP comes from; NULL: the way to the recorder */
    uint32_t calls, seconds, ramp; /* ramp: calls set up a second */
    uint32_t churn;                /* calls that end, and others that begin, a second */
    uint32_t inflight;             /* set-ups and ends at once */
    uint32_t tolerance_ms;         /* of a leg's place against its sender's time */
    uint32_t seal_timeout_s;       /* for recordings after the end */
    bool no_check, delete_files, silent_setup;
    bool passive; /* the recorder is no party of the calls, it watches the link */
    bool find_capacity;
    uint32_t calls_max, steps_max; /* of that */
    const char *profile, *loss, *burst, *reorder, *duplicate;
    uint32_t burst_pkts, reorder_pkts, jitter_ms, skew_ppm;
    bool dtx, rtcp;
    const char *srtp;
    struct slr_option_list codec;
    struct slr_option_list pid; /* processes whose CPU time is reported */
    const char *seed_text, *label;
    bool measure_sender;

    /* derived */
    enum slr_load_send send_by;
    const char *device;        /* of frames; NULL: none */
    enum slr_srtp_suite suite; /* NONE: plain RTP */
    const char *codecs;        /* of the profile */
    uint64_t seed;             /* of what is drawn */
    uint32_t run_id;           /* part of each watermark: other runs' recordings are not ours */
    int64_t wall_offset_ns;    /* wall clock minus monotonic */
    struct slr_impair impair;
};

/* Fills cfg (zeroed) from the command line. SLR_EOF: help was printed; SLR_INVAL: a message was. */
enum slr_err slr_load_options(struct slr_load_config *cfg, int argc, char **argv) SLR_CHECKED;
void slr_load_options_free(struct slr_load_config *cfg);

#endif

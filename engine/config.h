/*
 * config: the engine's start-up options (mission section 2) as one const struct.
 * Filled once by slr_main.c through common/options; const afterwards, read by every thread.
 */
#ifndef SLR_ENGINE_CONFIG_H
#define SLR_ENGINE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/options.h"

struct slr_engine_config {
    uint32_t streams;                 /* -S: streams at once */
    uint32_t sniffer_port;            /* -w */
    uint32_t silence_timeout_s;       /* -t */
    uint32_t silent_alarm_s;          /* a leg without sound for that long is told; 0: never */
    uint32_t window_ms;               /* -m: minimum placement window */
    uint32_t pause_max_s;             /* a pause ends by itself after that; 0: never */
    struct slr_option_list accept_pt; /* -A */
    struct slr_option_list pt;        /* payload types of flows without SDP */
    const char *log_config;           /* -l */
    const char *control;              /* seam socket path, NULL: none */
    struct slr_option_list media_ip;
    const char *media_ports;         /* "LO-HI" */
    const char *media_source;        /* host | strict | any */
    const char *rtcp;                /* auto | always | never: sockets for RTCP */
    const char *data_dir;            /* DIR */
    const char *spill_dir;           /* second volume, NULL: none */
    const char *state_dir;           /* --state */
    const char *capture;             /* NAME[:ARG], a row of capture.def */
    const char *sniffer_bind;        /* address of the sniffer port */
    const char *sniffer_key;         /* file with the reader key */
    struct slr_option_list hep_send; /* udp|tcp:HOST:PORT */
    uint32_t block_ms;               /* how often a session is written */
    uint32_t workers, writers;
    const char *pin_workers, *pin_writers; /* lists of processors, NULL: any */
    const char *numa_node;                 /* its number; NULL: any */
    uint32_t encoders;        /* threads that make final formats, 0: one for each processor */
    const char *pin_encoders; /* list of processors, NULL: any */
    uint32_t encode_load_percent, encode_within_s;
    uint32_t batch_us;
    const char *admission;    /* auto | streams */
    uint32_t stall_memory_mb; /* packet memory pool */
    const char *digits;       /* keep | mask | drop default policy */
    bool event_tones;         /* events are heard as tones where digits are kept */
    const char *comfort;      /* silence | noise: what comfort noise payload is heard as */
    const char *node;         /* name of this engine in events, default host name */
    const char *srtp_keys;    /* passive: file with keys for RTP whose signalling has none */
    const char *render;       /* print what a waveform of this file is drawn from, and end */
    uint32_t peaks;           /* columns of it */
    const char *format;       /* default of final files: name or mime type */
    const char *layout;       /* channels, mix, legs; NULL: as the format has it */
    uint32_t rate_hz;         /* 0: as recorded */
    uint32_t opus_bps;        /* of a channel, 0: by rate */
    uint32_t opus_complexity;
    bool cut_pauses;
    bool wait_core; /* passive: wait for a core on the seam before reading */
};

#endif

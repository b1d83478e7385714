/*
 * slr: the media engine's program: options, limits, signals, then the control thread's loop.
 */
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture/capture.h"
#include "capture/dpdk_spec.h"
#include "capture/packet_spec.h"
#include "capture/xdp_spec.h"
#include "common/json.h"
#include "common/log.h"
#include "common/options.h"
#include "engine/control.h"
#include "engine/leg_codecs.h"
#include "engine/nofile.h"
#include "engine/peaks.h"
#include "engine/pin.h"
#include "engine/state.h"

#define WINDOW_MIN_MS 40u

#define AT(member) offsetof(struct slr_engine_config, member)
#define U32(letter, name, member, min, max, value, def, help)                                      \
    {                                                                                              \
        letter, name, SLR_OPT_U32, AT(member), min, max, value, def, help                          \
    }
#define U32_OR_0(name, member, min, max, value, help)                                              \
    {                                                                                              \
        0, name, SLR_OPT_U32_OR_0, AT(member), min, max, value, "0", help                          \
    }
#define STR(name, member, value, def, help)                                                        \
    {                                                                                              \
        0, name, SLR_OPT_STR, AT(member), 0, 0, value, def, help                                   \
    }

static const struct slr_option options[] = {
    U32('S', "streams", streams, 1, 100000, "N", "600", "streams at once, two a call"),
    U32('w', "sniffer-port", sniffer_port, 0, 65535, "PORT", "30350",
        "virtual sniffer port, 0: none"),
    U32('t', "silence-timeout", silence_timeout_s, 1, 86400, "SEC", "120",
        "end a stream that was silent so long"),
    U32(0, "silent-alarm", silent_alarm_s, 0, 86400, "SEC", "10",
        "tell of a leg without packets or without sound for so long, 0: never"),
    U32('m', "min-window", window_ms, 1, 60000, "MS", "40",
        "least placement window; it is 1000 or more in any case"),
    U32(0, "pause-max", pause_max_s, 0, 86400, "SEC", "0",
        "a pause ends by itself after that, unless the command says otherwise; 0: never"),
    {'A', "accept-pt", SLR_OPT_LIST, AT(accept_pt), 0, 0, "PT", NULL,
     "accept this RTP payload type; none given: any"},
    {0, "pt", SLR_OPT_LIST, AT(pt), 0, 0, "PT=NAME/CLOCK", NULL,
     "payload type of media without SDP; [/CHANNELS][;PARAMETERS] may follow"},
    {'l', "log-config", SLR_OPT_STR, AT(log_config), 0, 0, "FILE", NULL,
     "properties file: level, file, rate"},
    STR("control", control, "PATH", NULL, "Unix socket for control planes"),
    {0, "media-ip", SLR_OPT_LIST, AT(media_ip), 0, 0, "IP", "127.0.0.1",
     "address to receive media on"},
    STR("media-ports", media_ports, "LO-HI", "40000-59998", "ports to receive media on"),
    STR("media-source", media_source, "WHO", "host",
        "whose media is taken: host (as signalled), strict (its port too), any"),
    STR("rtcp", rtcp, "WHEN", "auto",
        "ports for RTCP: always, never, auto (for new legs until 4000 streams run)"),
    STR("data", data_dir, "DIR", "/var/lib/slr", "recordings, event log"),
    STR("spill", spill_dir, "DIR", NULL,
        "on a second volume: recordings go on there while that of --data takes nothing"),
    STR("state", state_dir, "DIR", "/dev/shm/slr", "what survives a crash; on a tmpfs"),
    STR("capture", capture, "HOW", "uring",
        "uring, shared (one socket for many ports), xdp[:" SLR_XDP_SPEC_HELP "], socket, "
        "pcapfile:FILE, "
        "packet:INTERFACE[,ring=MB][,tcp=PORT[-PORT]][,own] or dpdk:[OPTION,]...DEVICE"),
    STR("sniffer-bind", sniffer_bind, "IP", "127.0.0.1",
        "sniffer address; beyond loopback only with --sniffer-key"),
    STR("sniffer-key", sniffer_key, "FILE", NULL, "file with the key sniffer readers must give"),
    {0, "hep-send", SLR_OPT_LIST, AT(hep_send), 0, 0, "udp|tcp:HOST:PORT", NULL,
     "push HEP to HOMER, sngrep"},
    U32(0, "block", block_ms, 20, 60000, "MS", "1000", "how often a recording is written"),
    U32(0, "workers", workers, 1, 64, "N", "1", "receiving threads"),
    U32(0, "writers", writers, 1, 64, "N", "1", "writing threads"),
    STR("pin-workers", pin_workers, "CPUS", NULL,
        "processors of the receiving threads, one each: 0,2-3; none given: any"),
    STR("pin-writers", pin_writers, "CPUS", NULL, "processors of the writing threads"),
    STR("numa-node", numa_node, "N", NULL,
        "processors and memory of this NUMA node; none given: any"),
    U32_OR_0("encoders", encoders, 1, 64, "N",
             "threads of lowest priority for gsm, opus, flac and the like, 0: one a processor"),
    STR("pin-encoders", pin_encoders, "CPUS", NULL, "processors of the encoding threads"),
    U32(0, "encode-load", encode_load_percent, 0, 100, "PERCENT", "75",
        "above this use of its processors by the engine, recordings stay WAV and are encoded "
        "later; "
        "0: always later"),
    U32(0, "encode-within", encode_within_s, 0, 31536000, "SEC", "3600",
        "what waits longer is encoded under load too, one at a time, with an alarm; 0: never"),
    U32(0, "batch-us", batch_us, 0, 100000, "US", "5000", "packets are collected so long"),
    U32_OR_0(
        "packet-memory", stall_memory_mb, 1, 65536, "MB",
        "memory for packets while the disk stands still, taken at start; 0: by -S, when needed"),
    STR("admission", admission, "HOW", "auto",
        "calls are taken by -S and by what the host has left (auto), or by -S alone (streams)"),
    STR("digits", digits, "HOW", "keep", "dialled digits in ledgers: keep, mask or drop"),
    {0, "event-tones", SLR_OPT_FLAG, AT(event_tones), 0, 0, NULL, NULL,
     "where digits are kept, telephone events are heard as tones"},
    STR("comfort", comfort, "HOW", "silence", "comfort noise payload is heard as silence or noise"),
    STR("format", format, "TYPE", "wav",
        "final files: wav (as received), wav-pcm, wav-alaw, wav-ulaw, gsm, opus, flac, or a mime "
        "type"),
    STR("layout", layout, "HOW", "default",
        "channels (one file), mix (one channel), legs (a file each); default: channels, gsm mix"),
    U32_OR_0("rate", rate_hz, 8000, 48000, "HZ", "samples a second of final files, 0: as received"),
    {0, "cut-pauses", SLR_OPT_FLAG, AT(cut_pauses), 0, 0, NULL, NULL,
     "leave pauses out of final files; else they are silence of their length"},
    U32_OR_0("opus-bitrate", opus_bps, 6000, 256000, "BPS", "of each channel, 0: by the rate"),
    U32(0, "opus-complexity", opus_complexity, 0, 10, "N", "5", "10: best and slowest"),
    STR("node", node, "NAME", NULL, "name of this engine in HEP; default: the host's"),
    STR("render", render, "FILE", NULL,
        "print --peaks of a file of a finished recording as JSON, and end"),
    U32(0, "peaks", peaks, 1, 100000, "N", "1000", "columns that --render divides the file into"),
    {0, "wait-core", SLR_OPT_FLAG, AT(wait_core), 0, 0, NULL, NULL,
     "with a capture file: start when a core is connected"},
    STR("srtp-keys", srtp_keys, "FILE", NULL,
        "with a capture file: [SUITE:]BASE64[@SSRC] a line, for RTP without signalled keys"),
    {0, NULL, SLR_OPT_FLAG, 0, 0, 0, NULL, NULL, NULL},
};

static const struct slr_engine_api api = {
    .open = slr_engine_open,
    .close = slr_engine_close,
    .session_open = slr_engine_session_open,
    .leg_open = slr_engine_leg_open,
    .leg_update = slr_engine_leg_update,
    .leg_close = slr_engine_leg_close,
    .pause = slr_engine_pause,
    .session_meta = slr_engine_session_meta,
    .session_close = slr_engine_session_close,
    .recording_delete = slr_engine_recording_delete,
    .snapshot = slr_engine_snapshot,
    .stats = slr_engine_stats,
    .drain = slr_engine_drain,
    .draining = slr_engine_draining,
    .streams_used = slr_engine_streams_used,
    .refusal_text = slr_engine_refusal_text,
    .calls_left = slr_engine_calls_left_of,
    .passive_run = slr_engine_passive_run,
    .passive_flush = slr_engine_passive_flush,
    .passive_fd = slr_engine_passive_fd,
    .passive_busy = slr_engine_passive_busy,
};

/* Two seconds of G.711 for the window and the block that wait in any case, and some. */
#define STREAM_MEMORY_BYTES (8u * SLR_CHUNK_BYTES)

static enum slr_err check_memory(const struct slr_engine_config *cfg)
{
    uint64_t needed_bytes = (uint64_t)cfg->streams * STREAM_MEMORY_BYTES;
    uint64_t needed_mb = (needed_bytes + (1u << 20) - 1) >> 20;
    if (cfg->stall_memory_mb != 0 && cfg->stall_memory_mb < needed_mb) {
        fprintf(stderr,
                "slr: --packet-memory: %u is too little for %u streams: 0, or %llu to 65536\n",
                cfg->stall_memory_mb, cfg->streams, (unsigned long long)needed_mb);
        return SLR_INVAL;
    }
    return SLR_OK;
}

/* The words of a live link. */
static enum slr_err check_link(const struct slr_engine_config *cfg, const char *name,
                               const char *arg)
{
    struct slr_packet_spec packet;
    struct slr_dpdk_spec dpdk;
    bool is_dpdk = strcmp(name, "dpdk") == 0;
    if ((is_dpdk ? slr_dpdk_spec_parse(arg, &dpdk) : slr_packet_spec_parse(arg, &packet)) ==
        SLR_OK) {
        return SLR_OK;
    }
    fprintf(stderr, "slr: --capture: expected %s:%s, not \"%s\"\n", name,
            is_dpdk ? SLR_DPDK_SPEC_HELP : SLR_PACKET_SPEC_HELP, cfg->capture);
    return SLR_INVAL;
}

static enum slr_err check_capture(const struct slr_engine_config *cfg)
{
    const char *arg = NULL;
    const struct slr_capture_ops *ops = slr_capture_named(cfg->capture, &arg);
    if (ops && ops->fd && check_link(cfg, ops->name, arg) != SLR_OK) {
        return SLR_INVAL;
    }
    struct slr_xdp_spec xdp;
    if (ops && !ops->passive && strcmp(ops->name, "xdp") == 0 &&
        slr_xdp_spec_parse(arg, &xdp) != SLR_OK) {
        fprintf(stderr, "slr: --capture: expected xdp:%s, not \"%s\"\n", SLR_XDP_SPEC_HELP,
                cfg->capture);
        return SLR_INVAL;
    }
    if (ops && ops->passive && cfg->workers > 1) {
        fprintf(stderr, "slr: --workers: expected 1 with --capture %s, not %u\n", ops->name,
                cfg->workers);
        return SLR_INVAL;
    }
    return SLR_OK;
}

/* Words that the table can't check. */
static enum slr_err check(struct slr_engine_config *cfg)
{
    const char *d = cfg->digits;
    if (strcmp(d, "keep") != 0 && strcmp(d, "mask") != 0 && strcmp(d, "drop") != 0) {
        fprintf(stderr, "slr: --digits: expected keep, mask or drop, not \"%s\"\n", d);
        return SLR_INVAL;
    }
    if (strcmp(cfg->admission, "auto") != 0 && strcmp(cfg->admission, "streams") != 0) {
        fprintf(stderr, "slr: --admission: expected auto or streams, not \"%s\"\n", cfg->admission);
        return SLR_INVAL;
    }
    const char *rtcp = cfg->rtcp;
    if (strcmp(rtcp, "auto") != 0 && strcmp(rtcp, "always") != 0 && strcmp(rtcp, "never") != 0) {
        fprintf(stderr, "slr: --rtcp: expected auto, always or never, not \"%s\"\n", rtcp);
        return SLR_INVAL;
    }
    if (strcmp(cfg->comfort, "silence") != 0 && strcmp(cfg->comfort, "noise") != 0) {
        fprintf(stderr, "slr: --comfort: expected silence or noise, not \"%s\"\n", cfg->comfort);
        return SLR_INVAL;
    }
    struct slr_output output;
    const char *why = "";
    if (slr_output_of_words(cfg->format, cfg->layout, cfg->rate_hz, cfg->cut_pauses, &output,
                            &why) != SLR_OK) {
        fprintf(stderr, "slr: --format %s --layout %s --rate %u: %s\n", cfg->format, cfg->layout,
                cfg->rate_hz, why);
        return SLR_INVAL;
    }
    for (size_t i = 0; i < cfg->accept_pt.count; i++) {
        uint64_t pt;
        if (!slr_slice_to_u64(slr_slice_str(cfg->accept_pt.item[i]), 127, &pt)) {
            fprintf(stderr, "slr: --accept-pt: expected a number from 0 to 127, not \"%s\"\n",
                    cfg->accept_pt.item[i]);
            return SLR_INVAL;
        }
    }
    if (check_capture(cfg) != SLR_OK) {
        return SLR_INVAL;
    }
    struct slr_pt_map pt[SLR_MAX_PTS];
    uint32_t pt_count = slr_leg_codecs_static(pt, NULL);
    for (size_t i = 0; i < cfg->pt.count; i++) {
        enum slr_err err = slr_leg_codecs_add(pt, &pt_count, cfg->pt.item[i]);
        if (err != SLR_OK) {
            fprintf(stderr, "slr: --pt: %s \"%s\"\n",
                    err == SLR_FULL ? "no room for" : "expected e.g. 118=AMR/8000, not",
                    cfg->pt.item[i]);
            return SLR_INVAL;
        }
    }
    if (cfg->window_ms < WINDOW_MIN_MS) {
        cfg->window_ms = WINDOW_MIN_MS;
    }
    return check_memory(cfg);
}

static int run(struct slr_engine_config *cfg)
{
    char host[256] = "slr";
    const struct slr_capture_ops *ops = slr_capture_named(cfg->capture, NULL);
    bool passive = ops && ops->passive;
    bool file = passive && !ops->fd;
    sigset_t stop;

    if (cfg->log_config) {
        enum slr_err err = slr_log_configure(cfg->log_config);
        if (err == SLR_NOTFOUND) { /* no reason not to record */
            SLR_WARN("log_config_missing", "path=%s", SLR_Q(cfg->log_config));
        } else if (err != SLR_OK) {
            fprintf(stderr, "slr: --log-config %s: %s\n", cfg->log_config, slr_err_text(err));
            return EXIT_FAILURE;
        }
    }
    if (cfg->numa_node) {
        enum slr_err err = slr_numa_bind(SLR_NUMA_ROOT, cfg->numa_node);
        if (err == SLR_UNSUPPORTED) { /* there is but one */
            SLR_WARN("numa_unsupported", "node=%s", SLR_Q(cfg->numa_node));
        } else if (err != SLR_OK) {
            fprintf(stderr,
                    "slr: --numa-node: expected a node of this machine with processors that we may "
                    "use, not \"%s\"\n",
                    cfg->numa_node);
            return EXIT_FAILURE;
        }
    }
    if (gethostname(host, sizeof host - 1) != 0) {
        SLR_WARN("host_name_unknown", "using=%s", host);
    }
    const char *given = cfg->node;
    cfg->node = given ? given : host;
    /* as if there were direct descriptors: the engine looks again where there are none */
    slr_nofile_raise(slr_nofile_needed(cfg->streams, cfg->workers));
    if (!cfg->control && !file) {
        SLR_WARN("no_control", "effect=%s", SLR_Q("no control plane can connect"));
    }
    /* all threads inherit these; a capture run may be ended at any moment by default action */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    if (!file) {
        sigemptyset(&stop);
        sigaddset(&stop, SIGTERM);
        sigaddset(&stop, SIGINT);
        pthread_sigmask(SIG_BLOCK, &stop, NULL);
    }
    struct slr_control_config cc = {.engine = cfg, .api = &api};
    int code = passive ? slr_control_run_passive(&cc) : slr_control_run(&cc);
    cfg->node = given;
    return code;
}

/* --version says what one may do with this build. */
static void tell_licence(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--version") == 0) {
#ifdef SLR_HAVE_G729
            printf("with G.729 by libbcg729: this build is under the GPL-3 as a whole\n");
#else
            printf("without G.729: this build is under the Apache licence 2.0\n");
#endif
            return;
        }
    }
}

int main(int argc, char **argv)
{
    struct slr_engine_config cfg = {.streams = 0};
    slr_log_init("slr", SLR_LOG_INFO);
    slr_json_forget_freed();
    json_object_seed(0); /* before there are threads */
    enum slr_err err = slr_options_parse(
        "slr", "The media engine: takes RTP of recorded calls and writes recordings.", options,
        &cfg, argc, argv, stderr, NULL, NULL);
    if (err == SLR_EOF) {
        tell_licence(argc, argv);
        return EXIT_SUCCESS;
    }
    if (err == SLR_OK) {
        err = check(&cfg);
    }
    int code = 2;
    if (err == SLR_OK) {
        code = cfg.render ? slr_peaks_run(cfg.render, cfg.peaks) : run(&cfg);
    }
    slr_options_free(options, &cfg);
    return code;
}

/*
 * options: the command line of slr-load. Used at start only.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "load/config.h"
#include "load/draw.h"
#include "load/profile.h"

#define AT(field) offsetof(struct slr_load_config, field)

static const struct slr_option table[] = {
    {'s', "sip", SLR_OPT_STR, AT(sip), 0, 0, "ADDR:PORT", NULL,
     "set calls up through SIP: the control plane's address"},
    {0, "seam", SLR_OPT_STR, AT(seam), 0, 0, "PATH", NULL,
     "set calls up on the engine's control socket (slr --control), without a control plane"},
    {0, "passive", SLR_OPT_FLAG, AT(passive), 0, 0, NULL, NULL,
     "calls between others, which the recorder only sees on the link that frames are sent to; "
     "nothing is set up, or, with --seam, it is told their addresses"},
    {0, "plain", SLR_OPT_STR, AT(plain), 0, 0, "ADDR:PORT", NULL,
     "set nothing up: each stream goes to a UDP port of its own, PORT, PORT + 2 and so on"},
    {0, "stats", SLR_OPT_STR, AT(stats), 0, 0, "PATH", NULL,
     "without --seam: the engine's control socket, for its counters"},
    {'d', "data", SLR_OPT_STR, AT(data), 0, 0, "DIR", NULL,
     "the recorder's --data directory, to check the recordings"},
    {0, "state", SLR_OPT_STR, AT(state), 0, 0, "DIR", NULL,
     "the recorder's --state directory: its memory is reported"},
    {0, "local-ip", SLR_OPT_STR, AT(local_ip), 0, 0, "IP", NULL,
     "send from this address (default: as the way to the recorder has it)"},
    {0, "send", SLR_OPT_STR, AT(send), 0, 0, "HOW", "udp",
     "udp: by a socket; as frames to a recorder on that link raw:DEVICE (costs less), live:DEVICE "
     "(by BPF, costs least); live-in:DEVICE: as if it received them, in the recorder's namespace"},
    {'n', "calls", SLR_OPT_U32, AT(calls), 1, 50000, "N", "10", "calls at once"},
    {'t', "seconds", SLR_OPT_U32, AT(seconds), 1, 86400, "SEC", "10",
     "how long all of them send, from when the last is up"},
    {'r', "ramp", SLR_OPT_U32, AT(ramp), 1, 5000, "N", "200", "calls set up a second"},
    {0, "churn", SLR_OPT_U32, AT(churn), 0, 2000, "N", "0",
     "calls that end, and new ones that begin, a second while --calls stay up"},
    {0, "silent-setup", SLR_OPT_FLAG, AT(silent_setup), 0, 0, NULL, NULL,
     "no call sends before all are set up; then --ramp a second begin"},
    {0, "inflight", SLR_OPT_U32, AT(inflight), 1, 4096, "N", "16",
     "calls that are being set up, or ended, at once"},
    {0, "tolerance", SLR_OPT_U32, AT(tolerance_ms), 1, 1000, "MS", "10",
     "how far a leg may lie from its sender's time, and legs from each other"},
    {0, "seal-timeout", SLR_OPT_U32, AT(seal_timeout_s), 1, 3600, "SEC", "60",
     "how long nothing may happen to recordings after the end before they count as missing"},
    {0, "no-check", SLR_OPT_FLAG, AT(no_check), 0, 0, NULL, NULL, "look at no recordings"},
    {0, "delete", SLR_OPT_FLAG, AT(delete_files), 0, 0, NULL, NULL,
     "remove each recording of the run once it was checked"},
    {0, "find-capacity", SLR_OPT_FLAG, AT(find_capacity), 0, 0, NULL, NULL,
     "look for the most calls that lose nothing, from --calls on, --seconds each (with --delete)"},
    {0, "max-calls", SLR_OPT_U32, AT(calls_max), 1, 50000, "N", "20000", "it looks no further"},
    {0, "steps", SLR_OPT_U32, AT(steps_max), 1, 64, "N", "12", "it tries at most so often"},
    {0, "profile", SLR_OPT_STR, AT(profile), 0, 0, "NAME", "clean",
     "what is done to packets: clean, lan, wan, bad, pauses, skew, mix (list: tell of them)"},
    {0, "loss", SLR_OPT_STR, AT(loss), 0, 0, "PERCENT", NULL, "packets that get lost"},
    {0, "burst", SLR_OPT_STR, AT(burst), 0, 0, "PERCENT", NULL,
     "packets at which a burst of losses begins"},
    {0, "burst-len", SLR_OPT_U32, AT(burst_pkts), 0, 64, "N", "0",
     "longest burst; 0: the profile's"},
    {0, "reorder", SLR_OPT_STR, AT(reorder), 0, 0, "PERCENT", NULL,
     "packets that come after ones that were sent later"},
    {0, "reorder-len", SLR_OPT_U32, AT(reorder_pkts), 0, 32, "N", "0",
     "by at most so many packets; 0: the profile's"},
    {0, "duplicate", SLR_OPT_STR, AT(duplicate), 0, 0, "PERCENT", NULL, "packets that come twice"},
    {0, "jitter", SLR_OPT_U32, AT(jitter_ms), 0, 500, "MS", "0",
     "every packet is delayed by 0 to MS; 0: the profile's"},
    {0, "dtx", SLR_OPT_FLAG, AT(dtx), 0, 0, NULL, NULL,
     "talk pauses in which nothing but comfort noise is sent"},
    {0, "skew", SLR_OPT_U32, AT(skew_ppm), 0, 500, "PPM", "0",
     "the second leg's clock is so much fast; 0: the profile's"},
    {0, "srtp", SLR_OPT_STR, AT(srtp), 0, 0, "SUITE", NULL,
     "send SRTP, a key for each leg: AES_CM_128_HMAC_SHA1_80, AEAD_AES_256_GCM and so on"},
    {0, "rtcp", SLR_OPT_FLAG, AT(rtcp), 0, 0, NULL, NULL,
     "send an RTCP sender report each 5 s of each stream"},
    {0, "codec", SLR_OPT_LIST, AT(codec), 0, 0, "NAME[:WEIGHT]", NULL,
     "codec of calls (default: PCMA); several: drawn by weight"},
    {'p', "pid", SLR_OPT_LIST, AT(pid), 0, 0, "PID", NULL,
     "process whose CPU time and memory are reported"},
    {0, "seed", SLR_OPT_STR, AT(seed_text), 0, 0, "N", NULL, "what is drawn (default: the time)"},
    {0, "label", SLR_OPT_STR, AT(label), 0, 0, "TEXT", NULL, "what the names of all rows end with"},
    {0, "measure-sender", SLR_OPT_FLAG, AT(measure_sender), 0, 0, NULL, NULL,
     "only measure how many packets a second this machine's sender makes"},
    {0}};

static enum slr_err fail(const char *text)
{
    fprintf(stderr, "slr-load: %s\n", text);
    return SLR_INVAL;
}

/* A percentage that an option names takes the place of the profile's. */
static bool percent(const char *option, const char *text, uint32_t *ppm)
{
    if (text && !slr_profile_percent(text, ppm)) {
        fprintf(stderr, "slr-load: --%s: not a percentage\n", option);
        return false;
    }
    return true;
}

static enum slr_err impair(struct slr_load_config *cfg)
{
    struct slr_profile p;
    if (slr_profile_find(cfg->profile, &p) != SLR_OK) {
        fprintf(stderr, "slr-load: profiles are\n%s", slr_profile_list());
        return SLR_INVAL;
    }
    struct slr_impair *im = &cfg->impair;
    *im = p.impair;
    im->seed = cfg->seed;
    im->burst_pkts = cfg->burst_pkts > 0 ? cfg->burst_pkts : im->burst_pkts;
    im->reorder_pkts = cfg->reorder_pkts > 0 ? cfg->reorder_pkts : im->reorder_pkts;
    im->jitter_us = cfg->jitter_ms > 0 ? cfg->jitter_ms * 1000u : im->jitter_us;
    im->skew_ppm = cfg->skew_ppm > 0 ? (int32_t)cfg->skew_ppm : im->skew_ppm;
    im->dtx = im->dtx || cfg->dtx;
    cfg->codecs = p.codecs;
    return percent("loss", cfg->loss, &im->loss_ppm) &&
                   percent("burst", cfg->burst, &im->burst_ppm) &&
                   percent("reorder", cfg->reorder, &im->reorder_ppm) &&
                   percent("duplicate", cfg->duplicate, &im->duplicate_ppm)
               ? SLR_OK
               : SLR_INVAL;
}

/* "udp", or a method and a device. */
static enum slr_err send_by(struct slr_load_config *cfg)
{
    static const struct {
        const char *name;
        enum slr_load_send by;
    } frames[] = {{"raw:", SLR_SEND_RAW}, {"live:", SLR_SEND_LIVE}, {"live-in:", SLR_SEND_LIVE_IN}};
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
        size_t n = strlen(frames[i].name);
        if (strncmp(cfg->send, frames[i].name, n) == 0 && cfg->send[n] != '\0') {
            cfg->send_by = frames[i].by;
            cfg->device = cfg->send + n;
        }
    }
    if (!cfg->device && strcmp(cfg->send, "udp") != 0) {
        return fail("--send: udp, raw:DEVICE, live:DEVICE or live-in:DEVICE");
    }
    if (cfg->passive) {
        return cfg->send_by == SLR_SEND_UDP ? fail("--passive: --send frames") : SLR_OK;
    }
    return cfg->send_by == SLR_SEND_LIVE_IN && !cfg->local_ip && !cfg->measure_sender
               ? fail("--send live-in needs --local-ip, an address that is not this machine's")
               : SLR_OK;
}

static enum slr_err derive(struct slr_load_config *cfg)
{
    int64_t mono_ns = slr_clock_mono(slr_clock_real()).ns;
    cfg->wall_offset_ns = slr_clock_wall(slr_clock_real()).ns - mono_ns;
    cfg->run_id = (uint32_t)slr_draw_mix((uint64_t)mono_ns ^ (uint64_t)getpid() << 40);
    cfg->seed = cfg->run_id;
    if (cfg->seed_text) {
        char *end = NULL;
        errno = 0;
        cfg->seed = strtoull(cfg->seed_text, &end, 0);
        if (errno != 0 || end == cfg->seed_text || *end != '\0') {
            return fail("--seed: not a number");
        }
    }
    if (impair(cfg) != SLR_OK || send_by(cfg) != SLR_OK) {
        return SLR_INVAL;
    }
    if (cfg->srtp) {
        cfg->suite = slr_srtp_suite_find(slr_slice_str(cfg->srtp));
        if (cfg->suite == SLR_SRTP_NONE) {
            return fail("--srtp: no such suite");
        }
    }
    cfg->delete_files = cfg->delete_files || cfg->find_capacity;
    if (cfg->measure_sender) {
        return SLR_OK;
    }
    if (cfg->passive && (cfg->sip || (cfg->srtp && !cfg->seam))) {
        return fail("--passive: the recorder is told of calls, and keys, by --seam only");
    }
    int ways = (cfg->sip != NULL) + (cfg->seam != NULL) + (cfg->plain != NULL);
    if (ways != 1 && !(ways == 0 && cfg->passive)) {
        return fail("one of --sip, --seam, --plain and --passive is needed");
    }
    if (cfg->plain && (cfg->passive || cfg->churn > 0 || cfg->srtp)) {
        return fail("--plain: without --passive, --churn and --srtp");
    }
    if (cfg->sip && cfg->send_by == SLR_SEND_LIVE_IN) {
        return fail("--send live-in: calls are set up on the seam only");
    }
    if (!cfg->data && !cfg->no_check) {
        return fail("--data is needed to check the recordings (or --no-check)");
    }
    return cfg->pid.count > SLR_LOAD_PIDS ? fail("too many --pid") : SLR_OK;
}

enum slr_err slr_load_options(struct slr_load_config *cfg, int argc, char **argv)
{
    enum slr_err err = slr_options_parse("slr-load", "traffic generator and capacity test", table,
                                         cfg, argc, argv, stderr, NULL, NULL);
    if (err != SLR_OK) {
        return err;
    }
    err = derive(cfg);
    if (err != SLR_OK) {
        slr_load_options_free(cfg);
    }
    return err;
}

void slr_load_options_free(struct slr_load_config *cfg)
{
    slr_options_free(table, cfg);
}

/*
 * core_main: the program slr-core: options, signals, and the core's life.
 */
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/json.h"
#include "common/log.h"
#include "ctl/calls.h"
#include "ctl/core.h"

#define OPT(field) offsetof(struct slr_core_config, field)

static const struct slr_option options[] = {
    {0, "engine", SLR_OPT_STR, OPT(engine), 0, 0, "PATH", "/run/slr/engine-1.sock",
     "control socket of the engine (slr --control)"},
    {0, "sniffer", SLR_OPT_STR, OPT(sniffer), 0, 0, "HOST:PORT", NULL,
     "follow the recordings of an engine on another host (slr -w)"},
    {0, "sniffer-key", SLR_OPT_STR, OPT(sniffer_key), 0, 0, "FILE", NULL,
     "file with the key that engine wants"},
    {0, "sip-udp", SLR_OPT_STR, OPT(sip_udp), 0, 0, "ADDR:PORT", NULL,
     "take SIP over UDP here (port 0: any)"},
    {0, "sip-tcp", SLR_OPT_STR, OPT(sip_tcp), 0, 0, "ADDR:PORT", NULL,
     "take SIP over TCP here (port 0: any)"},
    {0, "sip-tcp-idle", SLR_OPT_U32_OR_0, OPT(sip_tcp_idle_s), 1, 86400, "SEC", "1800",
     "close a SIP connection that was used and then idle for so long, 0: never"},
    {0, "http", SLR_OPT_STR, OPT(http), 0, 0, "ADDR:PORT", NULL,
     "serve the API here (beyond loopback only with TLS and a token file)"},
    {0, "data", SLR_OPT_STR, OPT(data), 0, 0, "DIR", "/var/lib/slr",
     "database in DIR/core, recordings in DIR/rec"},
    {0, "sip-allow", SLR_OPT_LIST, OPT(sip_allow), 0, 0, "CIDR", NULL,
     "who may send SIP (default: loopback and the listen address's private network)"},
    {0, "api-token-file", SLR_OPT_STR, OPT(api_token_file), 0, 0, "FILE", NULL,
     "bearer tokens of the API"},
    {0, "tls-cert", SLR_OPT_STR, OPT(tls_cert), 0, 0, "FILE", NULL, "certificate of the API"},
    {0, "tls-key", SLR_OPT_STR, OPT(tls_key), 0, 0, "FILE", NULL, "key of the API"},
    {0, "name", SLR_OPT_STR, OPT(name), 0, 0, "NAME", "core", "this core's name"},
    {0, "compression", SLR_OPT_STR, OPT(compression), 0, 0, "HOW", "none",
     "of recordings: none, opus, gsm or flac"},
    {0, "recording-mime-type-default", SLR_OPT_STR, OPT(mime_type_default), 0, 0, "TYPE", NULL,
     "mime type or format name of recordings where compression is none (default: as slr --format)"},
    {0, "layout", SLR_OPT_STR, OPT(layout), 0, 0, "HOW", NULL,
     "of recordings: channels, mix or legs (default: as slr --layout)"},
    {0, "rate", SLR_OPT_U32_OR_0, OPT(rate_hz), 8000, 48000, "HZ", "0",
     "samples a second of recordings, 0: as recorded"},
    {0, "cut-pauses", SLR_OPT_FLAG, OPT(cut_pauses), 0, 0, NULL, NULL,
     "leave pauses out of recordings"},
    {0, "import", SLR_OPT_FLAG, OPT(import), 0, 0, NULL, NULL,
     "the engine reads a capture file: no listeners, end after its end"},
    {0, "supervised", SLR_OPT_FLAG, OPT(supervised), 0, 0, NULL, NULL,
     "end together with the process that started this one"},
    {'l', "log", SLR_OPT_STR, OPT(log), 0, 0, "FILE", NULL, "configuration of the log"},
    {0, NULL, SLR_OPT_FLAG, 0, 0, 0, NULL, NULL, NULL}};

/* Before any thread: threads inherit the mask, the loop reads the signals from a descriptor. */
static void block_signals(void)
{
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    sigaddset(&mask, SIGHUP);
    sigaddset(&mask, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &mask, NULL);
}

static int run(const struct slr_core_config *cfg)
{
    struct slr_core *core = NULL;
    if (cfg->log && slr_log_configure(cfg->log) != SLR_OK) {
        fprintf(stderr, "slr-core: cannot read the log configuration %s\n", cfg->log);
        return 2;
    }
    block_signals();
    if (cfg->supervised) {
        (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    }
    enum slr_err err = slr_core_open(cfg, &core);
    if (err != SLR_OK) {
        fprintf(stderr, "slr-core: cannot start: %s\n", slr_err_text(err));
        return err == SLR_INVAL ? 2 : 1;
    }
    int status = slr_core_run(core);
    slr_core_close(core);
    return status;
}

int main(int argc, char **argv)
{
    struct slr_core_config cfg = {.engine = NULL};
    char **rest;
    int rest_count;
    slr_log_init("slr-core", SLR_LOG_INFO);
    slr_json_forget_freed();
    enum slr_err err =
        slr_options_parse("slr-core", "control plane of the recorder: SIP, calls, catalogue, API",
                          options, &cfg, argc, argv, stderr, &rest, &rest_count);
    if (err == SLR_EOF) {
        return 0;
    }
    if (err != SLR_OK || rest_count > 0) {
        if (rest_count > 0 && err == SLR_OK) {
            fprintf(stderr, "slr-core: unexpected argument %s (see --help)\n", rest[0]);
        }
        return 2;
    }
    const char *why = "";
    if (slr_calls_output_check(&cfg, &why) != SLR_OK) {
        fprintf(stderr,
                "slr-core: --compression, --recording-mime-type-default, --layout, --rate: "
                "%s\n",
                why);
        slr_options_free(options, &cfg);
        return 2;
    }
    int status = run(&cfg);
    slr_options_free(options, &cfg);
    return status;
}

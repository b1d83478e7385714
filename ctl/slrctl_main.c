/*
 * slrctl: the operator's command line. Finds the command, reads its options, runs it.
 * One thread; exit codes are listed in slrctl.h and in the help.
 */
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/options.h"
#include "ctl/slrctl.h"

#define AT(member) offsetof(struct slrctl, member)
#define DEFAULT_API "http://127.0.0.1:8080"
#define END                                                                                        \
    {                                                                                              \
        0, NULL, SLR_OPT_FLAG, 0, 0, 0, NULL, NULL, NULL                                           \
    }
#define ASKING                                                                                     \
    {0, "json", SLR_OPT_FLAG, AT(json), 0, 0, NULL, NULL, "print JSON"},                           \
        {0,       "api", SLR_OPT_STR,                                                              \
         AT(api), 0,     0,                                                                        \
         "URL",   NULL,  "address of the API (or $SLR_API; " DEFAULT_API ")"},                     \
        {0,                                                                                        \
         "token-file",                                                                             \
         SLR_OPT_STR,                                                                              \
         AT(token_file),                                                                           \
         0,                                                                                        \
         0,                                                                                        \
         "FILE",                                                                                   \
         NULL,                                                                                     \
         "file with the API token (or $SLR_TOKEN_FILE)"},                                          \
    {                                                                                              \
        0, "ca-file", SLR_OPT_STR, AT(ca_file), 0, 0, "FILE", NULL, "certificates to trust (PEM)"  \
    }

static const struct slr_option asking[] = {ASKING, END};
static const struct slr_option pausing[] = {
    ASKING,
    {0, "max", SLR_OPT_U32, AT(max_s), 0, 86400, "SEC", "0",
     "it ends by itself after that; 0: as the recorder's --pause-max says"},
    END,
};
static const struct slr_option listing[] = {
    ASKING,
    {0, "from", SLR_OPT_STR, AT(from), 0, 0, "TIME", NULL, "started at or after (RFC 3339)"},
    {0, "to", SLR_OPT_STR, AT(to), 0, 0, "TIME", NULL, "started before"},
    {0, "dn", SLR_OPT_STR, AT(dn), 0, 0, "NUMBER", NULL, "with this number among the parties"},
    {0, "call", SLR_OPT_STR, AT(call), 0, 0, "ID", NULL, "of this conversation"},
    {0, "state", SLR_OPT_STR, AT(state), 0, 0, "STATE", NULL, "open, sealed, partial, failed, ..."},
    {0, "limit", SLR_OPT_U32, AT(limit), 1, 1000000, "N", "100", "so many at most"},
    END};
static const struct slr_option getting[] = {
    ASKING,
    {'o', "output", SLR_OPT_STR, AT(out), 0, 0, "FILE", NULL, "where to; - is standard output"},
    {0, "channel", SLR_OPT_STR, AT(channel), 0, 0, "N", NULL,
     "this one, where each channel has a file of its own (default: all)"},
    END};
static const struct slr_option plotting[] = {
    ASKING,
    {0, "png", SLR_OPT_STR, AT(png), 0, 0, "FILE", NULL, "write a PNG picture"},
    {0, "svg", SLR_OPT_STR, AT(svg), 0, 0, "FILE", NULL, "write an SVG picture"},
    END};
static const struct slr_option doctoring[] = {
    ASKING,
    {0, "data", SLR_OPT_STR, AT(data_dir), 0, 0, "DIR", NULL, "look at the space there too"},
    END};
static const struct slr_option running[] = {
    {0, "demo", SLR_OPT_FLAG, AT(demo), 0, 0, NULL, NULL, "make a first recording"},
    {0, "once", SLR_OPT_FLAG, AT(once), 0, 0, NULL, NULL, "end after the demo"},
    {0, "data", SLR_OPT_STR, AT(data_dir), 0, 0, "DIR", "recordings", "recordings and catalogue"},
    {0, "sip", SLR_OPT_STR, AT(sip), 0, 0, "ADDR:PORT", NULL,
     "SIP, UDP and TCP (127.0.0.1:5060, or any free port)"},
    {0, "http", SLR_OPT_STR, AT(http), 0, 0, "ADDR:PORT", NULL,
     "API (127.0.0.1:8080, or any free port)"},
    {0, "media-ip", SLR_OPT_STR, AT(media_ip), 0, 0, "ADDR", "127.0.0.1", "where RTP comes to"},
    {0, "engine-args", SLR_OPT_STR, AT(engine_args), 0, 0, "ARGS", NULL, "more options for slr"},
    {0, "core-args", SLR_OPT_STR, AT(core_args), 0, 0, "ARGS", NULL, "more options for slr-core"},
    END};
static const struct slr_option importing[] = {
    {0, "out", SLR_OPT_STR, AT(out), 0, 0, "DIR", NULL, "where the recordings go (needed)"},
    {0, "format", SLR_OPT_STR, AT(format), 0, 0, "TYPE", "wav",
     "wav, wav-pcm, wav-alaw, wav-ulaw, gsm, opus, flac, or a mime type"},
    {0, "channels", SLR_OPT_STR, AT(channels), 0, 0, "KIND", "default",
     "stereo (all channels in one file), mix, legs (a file each); default: stereo, gsm mix"},
    {0, "pt", SLR_OPT_LIST, AT(pt), 0, 0, "PT=NAME/CLOCK", NULL,
     "payload type of media without SDP; [/CHANNELS][;PARAMETERS] may follow"},
    {0, "srtp-key", SLR_OPT_LIST, AT(srtp_keys), 0, 0, "KEY", NULL,
     "[SUITE:]BASE64[@SSRC] of SRTP without signalled keys; @FILE: one a line"},
    {0, "json", SLR_OPT_FLAG, AT(json), 0, 0, NULL, NULL, "(always: one object a line)"},
    {0, "engine-args", SLR_OPT_STR, AT(engine_args), 0, 0, "ARGS", NULL, "more options for slr"},
    {0, "core-args", SLR_OPT_STR, AT(core_args), 0, 0, "ARGS", NULL, "more options for slr-core"},
    END};

static const struct command {
    const char *name, *args, *summary;
    const struct slr_option *options;
    enum slrctl_exit (*run)(struct slrctl *c);
    int args_max;
} commands[] = {
    {"status", "", "load, engine, store", asking, slrctl_status, 0},
    {"calls", "", "recordings in progress", asking, slrctl_calls, 0},
    {"recordings", "", "the catalogue, newest first", listing, slrctl_recordings, 0},
    {"get", "ID", "fetch a recording's media", getting, slrctl_get, 1},
    {"explain", "ID|LEDGER", "what happened to a recording, and why", asking, slrctl_explain, 1},
    {"plot", "ID|LEDGER", "draw waveforms over what the ledger says", plotting, slrctl_plot, 1},
    {"delete", "ID", "delete a recording", asking, slrctl_delete, 1},
    {"pause", "ID", "pause a recording", pausing, slrctl_pause, 1},
    {"resume", "ID", "go on with a paused recording", asking, slrctl_resume, 1},
    {"stop", "ID", "end a recording and its dialogs", asking, slrctl_stop, 1},
    {"drain", "[on|off]", "take no new calls and wait for the last one", asking, slrctl_drain, 1},
    {"doctor", "", "what is wrong here, and what to do", doctoring, slrctl_doctor, 0},
    {"metrics", "", "all counters", asking, slrctl_metrics, 0},
    {"run", "", "start engine and control plane, keep them running", running, slrctl_run, 0},
    {"import", "CAPTURE", "make recordings of a pcap or pcapng file", importing, slrctl_import, 1},
};

static int usage(FILE *to)
{
    fprintf(to, "slrctl: the recorder's command line\n\n"
                "  slrctl COMMAND [options]     (slrctl COMMAND --help shows them)\n\n");
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        char head[32];
        snprintf(head, sizeof(head), "%s %s", commands[i].name, commands[i].args);
        fprintf(to, "  %-20s %s\n", head, commands[i].summary);
    }
    fprintf(to, "\nExit codes: 0 done, 1 failed or refused, 2 wrong usage, 3 no answer from the\n"
                "recorder, 4 no such recording or call, 5 not possible in its state.\n");
    return to == stdout ? SLRCTL_OK : SLRCTL_USAGE;
}

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

static void from_environment(struct slrctl *c)
{
    const char *api = getenv("SLR_API");
    const char *token = getenv("SLR_TOKEN_FILE");
    if (c->api == NULL) {
        c->api = api != NULL && api[0] != '\0' ? api : DEFAULT_API;
    }
    if (c->token_file == NULL && token != NULL && token[0] != '\0') {
        c->token_file = token;
    }
}

static int run_command(const struct command *command, int argc, char **argv)
{
    struct slrctl parsed; /* its texts belong to the option parser; c only borrows them */
    char name[32];
    memset(&parsed, 0, sizeof(parsed));
    snprintf(name, sizeof(name), "slrctl %s", command->name);
    enum slr_err err = slr_options_parse(name, command->summary, command->options, &parsed, argc,
                                         argv, stderr, &parsed.arg, &parsed.arg_count);
    if (err == SLR_EOF) {
        return SLRCTL_OK;
    }
    if (err != SLR_OK) {
        return SLRCTL_USAGE;
    }
    struct slrctl c = parsed;
    int code = SLRCTL_USAGE;
    if (c.arg_count > command->args_max) {
        slrctl_say("too many arguments: %s", c.arg[command->args_max]);
    } else {
        from_environment(&c);
        code = (int)command->run(&c);
    }
    slr_options_free(command->options, &parsed);
    return code;
}

int main(int argc, char **argv)
{
    slr_log_init("slrctl", SLR_LOG_WARN);
    if (argc < 2) {
        return usage(stderr);
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        return usage(stdout);
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("slrctl " SLR_VERSION_TEXT "\n");
        return SLRCTL_OK;
    }
    const struct command *command = find(argv[1]);
    if (command == NULL) {
        slrctl_say("no such command: %s", argv[1]);
        return usage(stderr);
    }
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        slrctl_say("cannot initialise");
        return SLRCTL_FAILED;
    }
    int code = run_command(command, argc - 1, argv + 1);
    curl_global_cleanup();
    return code;
}

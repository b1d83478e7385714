/*
 * slrctl: what the files of the operator's command line share. One process, one thread.
 *
 * Exit codes, the same for each command: 0 done; 1 failed or refused; 2 wrong usage; 3 the recorder
 * does not answer; 4 no such recording or call; 5 not possible in its state.
 */
#ifndef SLR_CTL_SLRCTL_H
#define SLR_CTL_SLRCTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/err.h"
#include "common/options.h"

/* How JSON is printed: 4.41 as 4.41, and not as the binary number next to it. */
#define SLRCTL_JSON (JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15))

enum slrctl_exit {
    SLRCTL_OK = 0,
    SLRCTL_FAILED = 1,
    SLRCTL_USAGE = 2,
    SLRCTL_NO_ANSWER = 3,
    SLRCTL_NOT_FOUND = 4,
    SLRCTL_STATE = 5
};

/* All options of all commands; each command fills its own. */
struct slrctl {
    const char *api;        /* base address without a slash at the end */
    const char *token_file; /* NULL: none */
    const char *ca_file;    /* NULL: the system's */
    bool json;
    const char *from, *to, *dn, *call, *state;
    uint32_t limit;
    uint32_t max_s; /* of a pause; 0: as the recorder has it */
    const char *out;
    const char *channel; /* of get */
    const char *data_dir;
    bool demo, once;
    const char *sip, *http, *media_ip;
    const char *engine_args, *core_args;
    const char *format, *channels;
    const char *png, *svg;
    struct slr_option_list srtp_keys;
    struct slr_option_list pt; /* payload types without SDP, for slr */
    char **arg;                /* positional arguments */
    int arg_count;
};

/* Prints one line to standard error, with the program's name in front. */
void slrctl_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Progress on standard error when that is a terminal: replaces the line shown before. An empty
 * text ends it. */
void slrctl_progress(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * One request. *answer (may be NULL when not wanted): parsed JSON, owned by the caller, NULL on
 * failure. Errors are told on standard error and come back as exit codes. body: JSON text or NULL.
 */
enum slrctl_exit slrctl_ask(const struct slrctl *c, const char *method, const char *path,
                            const char *body, json_t **answer);
/* The same for text that is no JSON; malloc'ed. */
enum slrctl_exit slrctl_ask_text(const struct slrctl *c, const char *path, char **answer);
/* Quiet question, for waiting: SLR_OK only with an answer of status 200. */
enum slr_err slrctl_try(const struct slrctl *c, const char *path, json_t **answer) SLR_CHECKED;
/* Writes the body of a GET to a file, with progress. */
enum slrctl_exit slrctl_download(const struct slrctl *c, const char *path, FILE *to);
/* Percent-encodes for a path or query; malloc'ed, NULL: no memory. */
char *slrctl_escape(const char *text);

/* Prints JSON as one line. */
void slrctl_print_json(const json_t *value);

/* The ledger of a recording: what is the path of a file, or the id of a recording of the API.
 * *ledger is the caller's. */
enum slrctl_exit slrctl_ledger(struct slrctl *c, const char *what, json_t **ledger);

/* The commands. */
enum slrctl_exit slrctl_explain(struct slrctl *c);
enum slrctl_exit slrctl_plot(struct slrctl *c);
enum slrctl_exit slrctl_status(struct slrctl *c);
enum slrctl_exit slrctl_calls(struct slrctl *c);
enum slrctl_exit slrctl_recordings(struct slrctl *c);
enum slrctl_exit slrctl_metrics(struct slrctl *c);
enum slrctl_exit slrctl_get(struct slrctl *c);
enum slrctl_exit slrctl_delete(struct slrctl *c);
enum slrctl_exit slrctl_pause(struct slrctl *c);
enum slrctl_exit slrctl_resume(struct slrctl *c);
enum slrctl_exit slrctl_stop(struct slrctl *c);
enum slrctl_exit slrctl_drain(struct slrctl *c);
enum slrctl_exit slrctl_doctor(struct slrctl *c);
enum slrctl_exit slrctl_run(struct slrctl *c);
enum slrctl_exit slrctl_import(struct slrctl *c);

#endif

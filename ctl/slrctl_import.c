/*
 * slrctl_import: a capture file through a private engine and control plane, then one JSON line for
 * each recording. One thread; the work is done by the two processes.
 *
 * They work in a folder of their own inside DIR, so that neither the event log nor the catalogue of
 * an earlier import meets this one; what they made is then taken over into DIR.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "ctl/catalogue.h"
#include "ctl/slrctl.h"
#include "ctl/slrctl_child.h"
#include "ctl/slrctl_merge.h"
#include "ctl/store.h"
#include "storage/format.h"

#define PATH_SIZE 1024
#define POLL_MS 20u
#define PROGRESS_MS 500u
#define LINGER_NS (15 * SLR_NS_PER_S)
/* Calls at once in a file: half of that. Those that never come cost nothing. */
#define STREAMS 40000u
#define LOG_TAIL_BYTES 4000

struct import {
    struct slrctl *ctl;
    char capture[PATH_SIZE]; /* absolute */
    char out[PATH_SIZE];
    char work[PATH_SIZE + 24]; /* below out; empty until made */
    char core_dir[PATH_SIZE + 32];
    char tmp[64]; /* sockets, state and log, in memory */
    int log_fd;
    struct slrctl_child engine, core;
    bool interrupted;
};

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *walk)
{
    (void)st;
    (void)flag;
    (void)walk;
    return remove(path);
}

static bool check_usage(const struct slrctl *c)
{
    if (c->arg_count != 1 || c->out == NULL) {
        slrctl_say("expected: slrctl import CAPTURE --out DIR");
        return false;
    }
    struct slr_output output;
    const char *why = "";
    if (slr_output_of_words(c->format, c->channels, 0, false, &output, &why) != SLR_OK) {
        slrctl_say("--format %s --channels %s: %s", c->format, c->channels, why);
        return false;
    }
    return true;
}

static bool real_path(const char *path, char out[static PATH_SIZE])
{
    char *real = realpath(path, NULL);
    bool ok = real != NULL && strlen(real) < PATH_SIZE;
    if (ok) {
        memcpy(out, real, strlen(real) + 1);
    } else {
        slrctl_say("cannot use %s: %s", path, strerror(errno));
    }
    free(real);
    return ok;
}

static bool make_folders(struct import *im)
{
    if (!real_path(im->ctl->arg[0], im->capture)) {
        return false;
    }
    if (mkdir(im->ctl->out, 0700) != 0 && errno != EEXIST) {
        slrctl_say("cannot make %s: %s", im->ctl->out, strerror(errno));
        return false;
    }
    if (!real_path(im->ctl->out, im->out)) {
        return false;
    }
    char work[sizeof(im->work)];
    snprintf(work, sizeof(work), "%s/.import-XXXXXX", im->out);
    if (mkdtemp(work) == NULL) {
        slrctl_say("cannot make a folder in %s: %s", im->out, strerror(errno));
        return false;
    }
    memcpy(im->work, work, sizeof(work));
    snprintf(im->core_dir, sizeof(im->core_dir), "%s/core", im->work);
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    char name[64];
    snprintf(name, sizeof(name), "%s/slr-import-XXXXXX", base);
    if (mkdtemp(name) == NULL) {
        slrctl_say("cannot make a folder in %s: %s", base, strerror(errno));
        return false;
    }
    memcpy(im->tmp, name, sizeof(name));
    char log[128];
    snprintf(log, sizeof(log), "%s/log", im->tmp);
    im->log_fd = open(log, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    return im->log_fd >= 0;
}

/* The keys as a file in memory, since arguments of a process can be seen by others. */
static bool write_keys(struct import *im)
{
    char path[128];
    const struct slr_option_list *keys = &im->ctl->srtp_keys;
    snprintf(path, sizeof(path), "%s/keys", im->tmp);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool good = fd >= 0;
    for (size_t i = 0; good && i < keys->count; i++) {
        good = dprintf(fd, "%s\n", keys->item[i]) > 0;
    }
    if (fd < 0 || close(fd) != 0 || !good) {
        slrctl_say("cannot write %s: %s", path, strerror(errno));
        return false;
    }
    slrctl_child_add(&im->engine, "--srtp-keys=%s", path);
    return true;
}

static bool add_keys(struct import *im)
{
    const struct slr_option_list *keys = &im->ctl->srtp_keys;
    if (keys->count == 0) {
        return true;
    }
    if (keys->item[0][0] != '@') {
        return write_keys(im);
    }
    slrctl_child_add(&im->engine, "--srtp-keys=%s", keys->item[0] + 1);
    return true;
}

static bool make_commands(struct import *im)
{
    if (slrctl_child_init(&im->engine, "slr") != SLR_OK ||
        slrctl_child_init(&im->core, "slr-core") != SLR_OK) {
        return false;
    }
    struct slrctl_child *e = &im->engine;
    slrctl_child_add(e, "--capture=pcapfile:%s", im->capture);
    slrctl_child_add(e, "--control=%s/seam", im->tmp);
    slrctl_child_add(e, "--data=%s", im->work);
    slrctl_child_add(e, "--state=%s/state", im->tmp);
    slrctl_child_add(e, "--streams=%u", STREAMS);
    slrctl_child_add(e, "--wait-core");
    slrctl_child_add(e, "-w");
    slrctl_child_add(e, "0");
    slrctl_child_add(e, "--format=%s", im->ctl->format);
    slrctl_child_add(e, "--layout=%s", im->ctl->channels);
    for (size_t i = 0; i < im->ctl->pt.count; i++) {
        slrctl_child_add(e, "--pt=%s", im->ctl->pt.item[i]);
    }
    if (!add_keys(im)) {
        return false;
    }
    slrctl_child_add_words(e, im->ctl->engine_args);
    struct slrctl_child *c = &im->core;
    slrctl_child_add(c, "--import");
    slrctl_child_add(c, "--engine=%s/seam", im->tmp);
    slrctl_child_add(c, "--data=%s", im->work);
    slrctl_child_add_words(c, im->ctl->core_args);
    return true;
}

/* All recordings of the catalogue in order of start and id; none where there is no catalogue. */
static enum slr_err read_catalogue(const struct import *im, json_t *list)
{
    struct slr_catalogue *c = NULL;
    struct slr_catalogue_query q = {.from_ns = INT64_MIN,
                                    .to_ns = INT64_MAX,
                                    .limit = SLR_CATALOGUE_MAX_ROWS,
                                    .oldest_first = true};
    enum slr_err err = slr_catalogue_open(im->core_dir, &c);
    bool more = err == SLR_OK;
    while (err == SLR_OK && more) {
        json_t *rows = NULL;
        err = slr_catalogue_recordings(c, &q, &rows, &more, &q.after);
        q.has_after = true;
        if (err == SLR_OK && json_array_extend(list, rows) != 0) {
            err = SLR_NOMEM;
        }
        json_decref(rows);
    }
    slr_catalogue_close(c);
    return err == SLR_NOTFOUND ? SLR_OK : err;
}

static const char *text_of(const json_t *row, const char *name)
{
    const char *text = json_string_value(json_object_get(row, name));
    return text != NULL ? text : "";
}

static void show_progress(const struct import *im, int64_t started_ns)
{
    json_t *list = json_array();
    if (isatty(STDERR_FILENO) && read_catalogue(im, list) == SLR_OK) {
        slrctl_progress("%.0f s, %zu recordings",
                        (double)(slrctl_now_ns() - started_ns) / (double)SLR_NS_PER_S,
                        json_array_size(list));
    }
    json_decref(list);
}

static bool ended_well(const struct slrctl_child *c)
{
    return WIFEXITED(c->status) && WEXITSTATUS(c->status) == 0;
}

/* Waits for both. Where one has ended, the other gets a while, then is told to end. */
static bool wait_both(struct import *im, const sigset_t *signals)
{
    const struct timespec tick = {0, POLL_MS * 1000000L};
    int64_t started_ns = slrctl_now_ns();
    int64_t shown_ns = started_ns;
    int64_t alone_ns = 0;
    while (im->engine.pid > 0 || im->core.pid > 0) {
        int64_t now = slrctl_now_ns();
        (void)slrctl_child_poll(&im->engine, now);
        (void)slrctl_child_poll(&im->core, now);
        bool one = (im->engine.pid > 0) != (im->core.pid > 0);
        const struct slrctl_child *ended = im->engine.pid > 0 ? &im->core : &im->engine;
        alone_ns = one && alone_ns == 0 ? now : alone_ns;
        if (one && (!ended_well(ended) || now - alone_ns > LINGER_NS)) {
            break;
        }
        int sig = sigtimedwait(signals, NULL, &tick);
        if (sig == SIGINT || sig == SIGTERM) {
            im->interrupted = true;
            break;
        }
        if (now - shown_ns > (int64_t)PROGRESS_MS * SLR_NS_PER_MS) {
            show_progress(im, started_ns);
            shown_ns = now;
        }
    }
    slrctl_progress("%s", "");
    bool lingered = im->engine.pid > 0 || im->core.pid > 0;
    struct slrctl_child *const both[] = {&im->engine, &im->core};
    slrctl_child_stop_all(both, 2);
    return !lingered && ended_well(&im->engine) && ended_well(&im->core);
}

static void tell_failure(const struct import *im)
{
    char how[2][32];
    char tail[LOG_TAIL_BYTES];
    slrctl_child_describe(im->engine.status, how[0]);
    slrctl_child_describe(im->core.status, how[1]);
    slrctl_say("the import %s: slr %s, slr-core %s", im->interrupted ? "was interrupted" : "failed",
               how[0], how[1]);
    off_t end = lseek(im->log_fd, 0, SEEK_END);
    off_t from = end > LOG_TAIL_BYTES ? end - LOG_TAIL_BYTES : 0;
    ssize_t n = pread(im->log_fd, tail, sizeof(tail), from);
    if (n > 0) {
        fwrite(tail, 1, (size_t)n, stderr);
    }
}

/* Takes over and prints what was made. False: something of it failed. */
static bool take_over(const struct import *im)
{
    json_t *list = json_array();
    size_t i = 0;
    size_t open = 0;
    json_t *row = NULL;
    bool good = read_catalogue(im, list) == SLR_OK;
    json_array_foreach(list, i, row)
    {
        good = slrctl_merge_files(im->work, im->out, row) && good;
        good = good && strcmp(text_of(row, "state"), "failed") != 0;
        open += strcmp(text_of(row, "state"), "open") == 0;
    }
    if (open > 0) {
        slrctl_say("%zu recordings are not whole", open);
        good = false;
    }
    if (json_array_size(list) == 0) {
        bool keys = im->ctl->srtp_keys.count > 0;
        slrctl_say("%s holds nothing to record%s", im->capture,
                   keys ? ", or nothing that a key which was given opens" : "");
        json_decref(list);
        return good;
    }
    char to[PATH_SIZE + 8];
    snprintf(to, sizeof(to), "%s/core", im->out);
    enum slr_err err = slr_store_merge(to, im->core_dir);
    if (err != SLR_OK) {
        slrctl_say("cannot write the catalogue in %s: %s", to, slr_err_text(err));
        good = false;
    }
    json_array_foreach(list, i, row)
    {
        slrctl_print_json(row);
    }
    json_decref(list);
    return good;
}

static enum slrctl_exit run_import(struct import *im)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &signals, NULL);
    int64_t now = slrctl_now_ns();
    if (slrctl_child_start(&im->engine, im->log_fd, now) != SLR_OK ||
        slrctl_child_start(&im->core, im->log_fd, now) != SLR_OK) {
        struct slrctl_child *const both[] = {&im->engine, &im->core};
        slrctl_child_stop_all(both, 2);
        return SLRCTL_FAILED;
    }
    bool good = wait_both(im, &signals);
    if (!good) {
        tell_failure(im);
    }
    return take_over(im) && good ? SLRCTL_OK : SLRCTL_FAILED;
}

enum slrctl_exit slrctl_import(struct slrctl *c)
{
    struct import im;
    memset(&im, 0, sizeof(im));
    im.ctl = c;
    im.log_fd = -1;
    if (!check_usage(c)) {
        return SLRCTL_USAGE;
    }
    enum slrctl_exit code = SLRCTL_FAILED;
    if (make_folders(&im) && make_commands(&im)) {
        code = run_import(&im);
    }
    slrctl_child_fini(&im.engine);
    slrctl_child_fini(&im.core);
    if (im.log_fd >= 0) {
        close(im.log_fd);
    }
    if (im.work[0] != '\0') {
        (void)nftw(im.work, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    }
    if (im.tmp[0] != '\0') {
        (void)nftw(im.tmp, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    }
    return code;
}

/*
 * slrctl_doctor: looks at this host and at the running recorder and says what is wrong and what to
 * do about it.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <unistd.h>

#include "ctl/slrctl.h"

#define NOFILE_WANTED 10240u
#define RMEM_WANTED (4 << 20)
#define SHM_WANTED_MB 64u
#define DISK_WANTED_MB 1024u

enum verdict { GOOD, WARN, BAD };

static const char *const verdict_name[] = {"ok", "warn", "fail"};

struct exam {
    json_t *list;
    bool failed;
};

static void note(struct exam *e, const char *check, enum verdict v, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static void note(struct exam *e, const char *check, enum verdict v, const char *fmt, ...)
{
    char text[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    e->failed = e->failed || v == BAD;
    json_array_append_new(e->list, json_pack("{s:s,s:s,s:s}", "check", check, "result",
                                             verdict_name[v], "text", text));
}

static void check_nofile(struct exam *e)
{
    struct rlimit lim;
    if (getrlimit(RLIMIT_NOFILE, &lim) != 0) {
        note(e, "open files", WARN, "limit unknown");
        return;
    }
    bool enough = lim.rlim_max >= NOFILE_WANTED;
    note(e, "open files", enough ? GOOD : WARN, "hard limit %llu%s",
         (unsigned long long)lim.rlim_max,
         enough ? "" : "; raise it to 10240 (ulimit -Hn, LimitNOFILE= in the unit)");
}

static void check_rmem(struct exam *e)
{
    long value = 0;
    FILE *f = fopen("/proc/sys/net/core/rmem_max", "re");
    bool known = f != NULL && fscanf(f, "%ld", &value) == 1;
    if (f != NULL) {
        fclose(f);
    }
    if (!known) {
        note(e, "socket buffers", WARN, "net.core.rmem_max cannot be read");
        return;
    }
    note(e, "socket buffers", value >= RMEM_WANTED ? GOOD : WARN, "net.core.rmem_max = %ld%s",
         value, value >= RMEM_WANTED ? "" : "; set it to 4194304 for bursts");
}

static void check_uring(struct exam *e)
{
    /* No parameters: EFAULT where it is allowed, EPERM or ENOSYS where it is refused. */
    long rc = syscall(__NR_io_uring_setup, 1, NULL);
    bool refused = rc < 0 && (errno == EPERM || errno == ENOSYS);
    note(e, "io_uring", refused ? WARN : GOOD, "%s",
         refused ? "refused here (container?); the socket backend is used" : "available");
}

static void check_space(struct exam *e, const char *check, const char *path, unsigned wanted_mb)
{
    struct statvfs st;
    if (statvfs(path, &st) != 0) {
        note(e, check, BAD, "%s: %s", path, strerror(errno));
        return;
    }
    unsigned long long mb = (unsigned long long)st.f_bavail * st.f_frsize >> 20;
    bool writable = access(path, W_OK) == 0;
    note(e, check,
         !writable        ? BAD
         : mb < wanted_mb ? WARN
                          : GOOD,
         "%s: %llu MB free%s", path, mb, !writable ? ", not writable" : "");
}

static void check_clock(struct exam *e)
{
    struct timex tx = {.modes = 0};
    bool in_step = adjtimex(&tx) >= 0 && (tx.status & STA_UNSYNC) == 0;
    note(e, "clock", in_step ? GOOD : WARN, "%s",
         in_step ? "synchronised" : "not synchronised: times of recordings may be off");
}

static void check_recorder(struct exam *e, const struct slrctl *c)
{
    json_t *status = NULL;
    if (slrctl_try(c, "/v1/status", &status) != SLR_OK) {
        note(e, "control plane", BAD, "no good answer from %s (running? token?)", c->api);
        return;
    }
    const char *version = json_string_value(json_object_get(status, "version"));
    note(e, "control plane", GOOD, "answers at %s, version %s", c->api,
         version != NULL ? version : "?");
    json_t *engine = json_object_get(status, "engine");
    bool connected = json_is_object(engine) && !json_is_false(json_object_get(engine, "connected"));
    note(e, "engine", connected ? GOOD : BAD, "%s",
         connected ? "connected" : "not connected: is slr running, is --engine its --control?");
    if (json_is_true(json_object_get(status, "draining"))) {
        note(e, "draining", WARN, "new calls are refused; `slrctl drain off` ends that");
    }
    json_int_t age =
        json_integer_value(json_object_get(json_object_get(status, "store"), "oldest_ms"));
    note(e, "store", age < 1000 ? GOOD : WARN, "oldest waiting job %lld ms old%s", (long long)age,
         age < 1000 ? "" : ": the disk is slow or frozen");
    json_decref(status);
}

enum slrctl_exit slrctl_doctor(struct slrctl *c)
{
    struct exam e = {json_array(), false};
    size_t i = 0;
    json_t *row = NULL;
    check_recorder(&e, c);
    check_nofile(&e);
    check_rmem(&e);
    check_uring(&e);
    check_space(&e, "state", "/dev/shm", SHM_WANTED_MB);
    if (c->data_dir != NULL) {
        check_space(&e, "data", c->data_dir, DISK_WANTED_MB);
    }
    check_clock(&e);
    if (c->json) {
        json_t *answer = json_pack("{s:O}", "checks", e.list);
        slrctl_print_json(answer);
        json_decref(answer);
    } else {
        json_array_foreach(e.list, i, row)
        {
            printf("%-5s %-15s %s\n", json_string_value(json_object_get(row, "result")),
                   json_string_value(json_object_get(row, "check")),
                   json_string_value(json_object_get(row, "text")));
        }
    }
    json_decref(e.list);
    return e.failed ? SLRCTL_FAILED : SLRCTL_OK;
}

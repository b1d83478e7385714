/*
 * slrctl_child: the processes that `slrctl run` and `slrctl import` start, watch and end.
 * One thread; allocates the argument lists.
 */
#ifndef SLR_CTL_SLRCTL_CHILD_H
#define SLR_CTL_SLRCTL_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"

#define SLRCTL_ARGS_MAX 96

struct slrctl_child {
    const char *name;
    char *argv[SLRCTL_ARGS_MAX + 1]; /* owned, NULL at the end */
    size_t argc;
    bool overflow;
    pid_t pid;  /* 0: not running */
    int status; /* of wait, once it ended */
    int64_t started_ns;
    int64_t restart_ns; /* when to start it again */
    uint32_t backoff_ms;
    uint32_t starts;
};

/* First argument: the program `name` beside this one's own file. SLR_NOTFOUND. */
enum slr_err slrctl_child_init(struct slrctl_child *c, const char *name) SLR_CHECKED;
void slrctl_child_fini(struct slrctl_child *c);
/* Adds an argument (printf). Too many or too long ones show in slrctl_child_start. */
void slrctl_child_add(struct slrctl_child *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Adds the words of a text, split at blanks; NULL: none. */
void slrctl_child_add_words(struct slrctl_child *c, const char *words);

/* Starts it in a process group of its own (a Ctrl-C is ours to pass on); the kernel ends it when
 * we die. output_fd: where its output goes, -1: where ours does. SLR_FULL (arguments), SLR_IO. */
enum slr_err slrctl_child_start(struct slrctl_child *c, int output_fd, int64_t now_ns) SLR_CHECKED;
/* Takes note that it ended: when it may start again (at once after a good run, later and later up
 * to 2 s when it keeps dying). */
void slrctl_child_ended(struct slrctl_child *c, int status, int64_t now_ns);
/* Collects it if it ended. True when it did just now. */
bool slrctl_child_poll(struct slrctl_child *c, int64_t now_ns);
/* Did its first run end because it does not like its options? No later one will. */
bool slrctl_child_misused(const struct slrctl_child *c);
/* SIGTERM to all that run, up to 10 s of patience, then SIGKILL. */
void slrctl_child_stop_all(struct slrctl_child *const *list, size_t count);
/* "exit 3", "signal 9". out: 32 bytes. */
void slrctl_child_describe(int status, char out[static 32]);

int64_t slrctl_now_ns(void);
void slrctl_sleep_ms(uint32_t ms);

#endif

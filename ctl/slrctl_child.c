/*
 * slrctl_child: starting, watching and ending the programs beside slrctl.
 * One thread; allocates the argument lists.
 */
#include "ctl/slrctl_child.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "ctl/slrctl.h"

#define PATH_SIZE 4096
#define STOP_PATIENCE_MS 10000u
#define GOOD_RUN_NS (5 * SLR_NS_PER_S)
#define BACKOFF_FIRST_MS 50u
#define BACKOFF_MAX_MS 2000u

int64_t slrctl_now_ns(void)
{
    return slr_clock_mono(slr_clock_real()).ns;
}

void slrctl_sleep_ms(uint32_t ms)
{
    const struct timespec t = {ms / 1000u, (long)(ms % 1000u) * 1000000L};
    (void)nanosleep(&t, NULL);
}

void slrctl_child_add(struct slrctl_child *c, const char *fmt, ...)
{
    char text[PATH_SIZE];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    char *copy = n >= 0 && (size_t)n < sizeof(text) ? strdup(text) : NULL;
    if (copy == NULL || c->argc >= SLRCTL_ARGS_MAX) {
        free(copy);
        c->overflow = true;
        return;
    }
    c->argv[c->argc++] = copy;
}

void slrctl_child_add_words(struct slrctl_child *c, const char *words)
{
    while (words != NULL && *words != '\0') {
        words += strspn(words, " \t");
        size_t n = strcspn(words, " \t");
        if (n > 0) {
            slrctl_child_add(c, "%.*s", (int)n, words);
        }
        words += n;
    }
}

enum slr_err slrctl_child_init(struct slrctl_child *c, const char *name)
{
    char self[PATH_SIZE];
    memset(c, 0, sizeof(*c));
    c->name = name;
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (n <= 0) {
        return SLR_IO;
    }
    self[n] = '\0';
    char *slash = strrchr(self, '/');
    if (slash == NULL) {
        return SLR_IO;
    }
    *slash = '\0';
    slrctl_child_add(c, "%s/%s", self, name);
    if (c->argc == 0 || access(c->argv[0], X_OK) != 0) {
        slrctl_say("the program %s/%s is missing", self, name);
        slrctl_child_fini(c);
        return SLR_NOTFOUND;
    }
    return SLR_OK;
}

void slrctl_child_fini(struct slrctl_child *c)
{
    for (size_t i = 0; i < c->argc; i++) {
        free(c->argv[i]);
    }
    c->argc = 0;
}

/* In the child, between fork and exec. */
static void become(const struct slrctl_child *c, int output_fd, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)setpgid(0, 0);
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || getppid() != parent) {
        _exit(126); /* we died already; nobody would end this child */
    }
    if (output_fd >= 0) {
        (void)dup2(output_fd, STDOUT_FILENO);
        (void)dup2(output_fd, STDERR_FILENO);
    }
    execv(c->argv[0], c->argv);
    _exit(127);
}

enum slr_err slrctl_child_start(struct slrctl_child *c, int output_fd, int64_t now_ns)
{
    if (c->overflow) {
        slrctl_say("too many arguments for %s", c->name);
        return SLR_FULL;
    }
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0) {
        slrctl_say("cannot start %s: %s", c->name, strerror(errno));
        return SLR_IO;
    }
    if (pid == 0) {
        become(c, output_fd, parent);
    }
    c->pid = pid;
    c->started_ns = now_ns;
    c->starts++;
    return SLR_OK;
}

void slrctl_child_ended(struct slrctl_child *c, int status, int64_t now_ns)
{
    c->pid = 0;
    c->status = status;
    if (now_ns - c->started_ns >= GOOD_RUN_NS || c->backoff_ms == 0) {
        c->backoff_ms = BACKOFF_FIRST_MS;
    } else {
        c->backoff_ms = c->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : c->backoff_ms * 2;
    }
    c->restart_ns = now_ns + (int64_t)c->backoff_ms * SLR_NS_PER_MS;
}

bool slrctl_child_misused(const struct slrctl_child *c)
{
    return c->pid == 0 && c->starts == 1 && WIFEXITED(c->status) &&
           WEXITSTATUS(c->status) == SLRCTL_USAGE;
}

bool slrctl_child_poll(struct slrctl_child *c, int64_t now_ns)
{
    int status = 0;
    if (c->pid <= 0) {
        return false;
    }
    pid_t pid = waitpid(c->pid, &status, WNOHANG);
    if (pid == 0 || (pid < 0 && errno != ECHILD)) {
        return false;
    }
    slrctl_child_ended(c, pid > 0 ? status : 0, now_ns);
    return true;
}

void slrctl_child_stop_all(struct slrctl_child *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i]->pid > 0) {
            (void)kill(list[i]->pid, SIGTERM);
        }
    }
    uint32_t waited_ms = 0;
    size_t running = count;
    while (running > 0) {
        running = 0;
        for (size_t i = 0; i < count; i++) {
            (void)slrctl_child_poll(list[i], slrctl_now_ns());
            running += list[i]->pid > 0 ? 1 : 0;
            if (list[i]->pid > 0 && waited_ms == STOP_PATIENCE_MS) {
                slrctl_say("%s does not end: killed", list[i]->name);
                (void)kill(list[i]->pid, SIGKILL);
            }
        }
        if (running > 0) {
            slrctl_sleep_ms(10);
            waited_ms += 10;
        }
    }
}

void slrctl_child_describe(int status, char out[static 32])
{
    if (WIFSIGNALED(status)) {
        snprintf(out, 32, "signal %d", WTERMSIG(status));
    } else {
        snprintf(out, 32, "exit %d", WEXITSTATUS(status));
    }
}

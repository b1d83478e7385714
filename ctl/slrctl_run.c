/*
 * slrctl_run: the small supervisor: starts engine and control plane with defaults that work at
 * once, starts either again when it dies, passes signals on, and runs the demo beside them. One
 * thread; waits for signals with a time limit.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/net.h"
#include "ctl/slrctl.h"
#include "ctl/slrctl_child.h"
#include "ctl/slrctl_demo.h"

#define PATH_SIZE 1024
#define SIP_PORT 5060
#define HTTP_PORT 8080
#define SNIFFER_PORT 30350
#define TICK_NS (50 * SLR_NS_PER_MS)

struct plan {
    struct slrctl *ctl;
    char data[PATH_SIZE];  /* absolute */
    char state[PATH_SIZE]; /* our folder in memory: seam socket, engine state, lock */
    char sip[SLR_ADDR_TEXT_SIZE], http[SLR_ADDR_TEXT_SIZE];
    char api[SLR_ADDR_TEXT_SIZE + 16];
    uint16_t sniffer_port;
    char log[PATH_SIZE + 16];
    int lock_fd, log_fd;
    struct slrctl_child engine, core, demo;
};

/* Can this address be bound? Port 0 gets one, in *addr. */
static bool try_bind(struct slr_addr *addr, int type)
{
    struct sockaddr_storage ss;
    socklen_t len = slr_addr_to_sockaddr(addr, &ss);
    int on = 1;
    int fd = socket(ss.ss_family, type | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    bool ok =
        (type != SOCK_STREAM || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0) &&
        bind(fd, (const struct sockaddr *)&ss, len) == 0 &&
        (type != SOCK_STREAM || listen(fd, 1) == 0);
    len = sizeof(ss);
    ok = ok && getsockname(fd, (struct sockaddr *)&ss, &len) == 0 &&
         slr_addr_from_sockaddr((const struct sockaddr *)&ss, addr);
    close(fd);
    return ok;
}

/* The wanted port of 127.0.0.1 if it is free, else any; with UDP also for UDP. */
static enum slr_err pick_port(uint16_t wanted, bool udp, struct slr_addr *out)
{
    for (int tries = 0; tries < 50; tries++) {
        if (slr_addr_parse("127.0.0.1", out) != SLR_OK) {
            return SLR_INVAL;
        }
        out->port = tries == 0 ? wanted : 0;
        if (try_bind(out, SOCK_STREAM) && (!udp || try_bind(out, SOCK_DGRAM))) {
            return SLR_OK;
        }
    }
    return SLR_BUSY;
}

static enum slr_err pick_address(const char *given, uint16_t wanted, bool udp,
                                 char out[static SLR_ADDR_TEXT_SIZE])
{
    struct slr_addr addr;
    if (given != NULL) {
        snprintf(out, SLR_ADDR_TEXT_SIZE, "%s", given);
        return slr_addr_parse_port(given, &addr);
    }
    enum slr_err err = pick_port(wanted, udp, &addr);
    slr_addr_format(&addr, out);
    return err;
}

static uint64_t hash_text(const char *text)
{
    uint64_t h = 1469598103934665603u; /* FNV-1a */
    for (; *text != '\0'; text++) {
        h = (h ^ (uint8_t)*text) * 1099511628211u;
    }
    return h;
}

/* A folder that is ours alone; in /dev/shm, where other users can write too. */
static bool own_folder(const char *path)
{
    struct stat st;
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        slrctl_say("cannot make %s: %s", path, strerror(errno));
        return false;
    }
    if (lstat(path, &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
        (st.st_mode & 077) != 0) {
        slrctl_say("%s is not a folder of ours alone", path);
        return false;
    }
    return true;
}

static bool make_folders(struct plan *p)
{
    if (mkdir(p->ctl->data_dir, 0700) != 0 && errno != EEXIST) {
        slrctl_say("cannot make %s: %s", p->ctl->data_dir, strerror(errno));
        return false;
    }
    char *real = realpath(p->ctl->data_dir, NULL);
    if (real == NULL || strlen(real) >= sizeof(p->data)) {
        slrctl_say("cannot use %s", p->ctl->data_dir);
        free(real);
        return false;
    }
    snprintf(p->data, sizeof(p->data), "%s", real);
    free(real);
    /* The same data folder finds its running calls again. */
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(p->state, sizeof(p->state), "%s/slr-run-%u-%016llx", base, (unsigned)geteuid(),
             (unsigned long long)hash_text(p->data));
    return own_folder(p->state);
}

static bool take_lock(struct plan *p)
{
    char path[PATH_SIZE + 8];
    snprintf(path, sizeof(path), "%s/lock", p->state);
    p->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (p->lock_fd < 0 || flock(p->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        slrctl_say("a recorder runs on %s already", p->data);
        return false;
    }
    return true;
}

/* With the demo, logs go to a file, so that the screen stays readable. Not on the volume of the
 * recordings: who writes a log must not wait when that one stands still. */
static bool open_log(struct plan *p)
{
    p->log_fd = -1;
    if (!p->ctl->demo) {
        return true;
    }
    snprintf(p->log, sizeof(p->log), "%s/run.log", p->state);
    p->log_fd =
        open(p->log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (p->log_fd < 0) {
        slrctl_say("cannot open %s: %s", p->log, strerror(errno));
        return false;
    }
    return true;
}

static bool pick_addresses(struct plan *p)
{
    struct slr_addr sniffer;
    if (pick_address(p->ctl->sip, SIP_PORT, true, p->sip) != SLR_OK ||
        pick_address(p->ctl->http, HTTP_PORT, false, p->http) != SLR_OK ||
        pick_port(SNIFFER_PORT, false, &sniffer) != SLR_OK) {
        slrctl_say("no usable address: --sip and --http want ADDRESS:PORT");
        return false;
    }
    p->sniffer_port = sniffer.port;
    snprintf(p->api, sizeof(p->api), "http://%s", p->http);
    p->ctl->api = p->api;
    return true;
}

static bool make_commands(struct plan *p)
{
    if (slrctl_child_init(&p->engine, "slr") != SLR_OK ||
        slrctl_child_init(&p->core, "slr-core") != SLR_OK) {
        return false;
    }
    struct slrctl_child *e = &p->engine;
    slrctl_child_add(e, "--control=%s/seam", p->state);
    slrctl_child_add(e, "--state=%s/state", p->state);
    slrctl_child_add(e, "--data=%s", p->data);
    slrctl_child_add(e, "--media-ip=%s", p->ctl->media_ip);
    slrctl_child_add(e, "-w");
    slrctl_child_add(e, "%u", p->sniffer_port);
    slrctl_child_add_words(e, p->ctl->engine_args);
    struct slrctl_child *c = &p->core;
    slrctl_child_add(c, "--engine=%s/seam", p->state);
    slrctl_child_add(c, "--sip-udp=%s", p->sip);
    slrctl_child_add(c, "--sip-tcp=%s", p->sip);
    slrctl_child_add(c, "--http=%s", p->http);
    slrctl_child_add(c, "--data=%s", p->data);
    slrctl_child_add_words(c, p->ctl->core_args);
    return true;
}

static bool prepare(struct plan *p)
{
    return make_folders(p) && take_lock(p) && open_log(p) && pick_addresses(p) && make_commands(p);
}

/* The demo is this program's own code in a process of its own, so that it never holds us up. */
static bool start_demo(struct plan *p)
{
    struct slrctl_demo d = {.ctl = p->ctl, .sip = p->sip, .data_dir = p->data};
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0) {
        slrctl_say("cannot start the demo: %s", strerror(errno));
        return false;
    }
    if (pid == 0) {
        sigset_t none;
        sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        exit((int)slrctl_demo(&d));
    }
    p->demo.name = "demo";
    p->demo.pid = pid;
    return true;
}

/* Takes note of an end, and starts again what is due. False: it cannot be started at all. */
static bool look_after(struct plan *p, struct slrctl_child *c)
{
    char how[32];
    int64_t now = slrctl_now_ns();
    if (slrctl_child_poll(c, now)) {
        if (slrctl_child_misused(c)) {
            slrctl_say("%s cannot start with these options%s%s", c->name,
                       p->log_fd >= 0 ? ": see " : "", p->log_fd >= 0 ? p->log : "");
            return false;
        }
        slrctl_child_describe(c->status, how);
        slrctl_say("%s ended (%s), it starts again", c->name, how);
    }
    if (c->pid == 0 && now >= c->restart_ns && slrctl_child_start(c, p->log_fd, now) == SLR_FULL) {
        return false; /* its arguments do not fit, and never will */
    }
    return true;
}

/* Runs until a signal ends it or, with --once, the demo did. */
static enum slrctl_exit watch(struct plan *p, const sigset_t *signals)
{
    const struct timespec tick = {0, TICK_NS};
    for (;;) {
        if (!look_after(p, &p->engine) || !look_after(p, &p->core)) {
            return SLRCTL_FAILED;
        }
        if (p->demo.pid > 0 && slrctl_child_poll(&p->demo, slrctl_now_ns())) {
            bool good = WIFEXITED(p->demo.status) && WEXITSTATUS(p->demo.status) == 0;
            if (!good) {
                slrctl_say("the demo failed; the logs are in %s", p->log);
            }
            if (p->ctl->once) {
                return good ? SLRCTL_OK : SLRCTL_FAILED;
            }
            printf("The recorder goes on. Logs: %s. Ctrl-C ends it.\n", p->log);
            fflush(stdout);
        }
        int sig = sigtimedwait(signals, NULL, &tick);
        if (sig == SIGINT || sig == SIGTERM || sig == SIGHUP) {
            return SLRCTL_OK;
        }
    }
}

/* The engine first: what it seals on its way out still reaches the catalogue. */
static void stop(struct plan *p)
{
    struct slrctl_child *const demo[] = {&p->demo};
    struct slrctl_child *const engine[] = {&p->engine};
    struct slrctl_child *const core[] = {&p->core};
    slrctl_child_stop_all(demo, 1);
    slrctl_child_stop_all(engine, 1);
    slrctl_child_stop_all(core, 1);
}

static enum slrctl_exit supervise(struct plan *p)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &signals, NULL);
    printf("SIP  %s (udp and tcp)\nAPI  %s\nData %s\n", p->sip, p->api, p->data);
    if (!p->ctl->demo) {
        printf("Ctrl-C ends it.\n");
    }
    fflush(stdout);
    enum slrctl_exit code = SLRCTL_FAILED;
    if (!p->ctl->demo || start_demo(p)) {
        code = watch(p, &signals);
    }
    stop(p);
    return code;
}

enum slrctl_exit slrctl_run(struct slrctl *c)
{
    struct plan p;
    memset(&p, 0, sizeof(p));
    p.ctl = c;
    p.lock_fd = p.log_fd = -1;
    if (c->once && !c->demo) {
        slrctl_say("--once goes with --demo");
        return SLRCTL_USAGE;
    }
    enum slrctl_exit code = prepare(&p) ? supervise(&p) : SLRCTL_FAILED;
    slrctl_child_fini(&p.engine);
    slrctl_child_fini(&p.core);
    if (p.log_fd >= 0) {
        close(p.log_fd);
    }
    if (p.lock_fd >= 0) {
        close(p.lock_fd);
    }
    return code;
}

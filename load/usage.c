/*
 * usage: see the header. The kernel writes these texts; fields that are missing count as 0.
 */
#include "load/usage.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"

static uint64_t ms_of_ticks(uint64_t ticks)
{
    return ticks * 1000u / (uint64_t)sysconf(_SC_CLK_TCK);
}

/* "PID (NAME) S ..." of stat: name, and utime and stime, which are fields 14 and 15. */
static bool read_stat(const char *path, char name[static 24], uint64_t *user_ms,
                      uint64_t *system_ms)
{
    char line[1024];
    FILE *f = fopen(path, "re");
    const char *from = f && fgets(line, sizeof line, f) ? strchr(line, '(') : NULL;
    const char *to = from ? strrchr(line, ')') : NULL;
    if (f) {
        fclose(f);
    }
    if (!to || to < from) {
        return false;
    }
    snprintf(name, 24, "%.*s", (int)(to - from - 1), from + 1);
    uint64_t field[16] = {0};
    char *at = (char *)(uintptr_t)to + 1;
    for (uint32_t i = 2; i < 15 && *at; i++) { /* the state letter is field 3 */
        at += strspn(at, " ");
        field[i] = strtoull(at, NULL, 10);
        at += strcspn(at, " ");
    }
    *user_ms = ms_of_ticks(field[13]);
    *system_ms = ms_of_ticks(field[14]);
    return true;
}

/* "NAME:   N kB" */
static uint64_t kib_of(const char *path, const char *name)
{
    char line[256];
    uint64_t kib = 0;
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f)) {
        size_t n = strlen(name);
        if (strncmp(line, name, n) == 0 && line[n] == ':') {
            kib = strtoull(line + n + 1, NULL, 10);
            break;
        }
    }
    if (f) {
        fclose(f);
    }
    return kib;
}

static void take_threads(struct slr_usage_process *p)
{
    char path[80];
    snprintf(path, sizeof path, "/proc/%u/task", p->pid);
    DIR *d = opendir(path);
    for (struct dirent *e = d ? readdir(d) : NULL; e && p->thread_count < SLR_USAGE_THREADS;
         e = readdir(d)) {
        struct slr_usage_thread *t = &p->thread[p->thread_count];
        t->id = (uint32_t)strtoul(e->d_name, NULL, 10);
        snprintf(path, sizeof path, "/proc/%u/task/%u/stat", p->pid, t->id);
        p->thread_count += t->id > 0 && read_stat(path, t->name, &t->user_ms, &t->system_ms);
    }
    if (d) {
        closedir(d);
    }
}

static void take_process(const char *pid, struct slr_usage_process *p)
{
    char path[80];
    p->pid = (uint32_t)strtoul(pid, NULL, 10);
    snprintf(path, sizeof path, "/proc/%u/stat", p->pid);
    p->there = read_stat(path, p->name, &p->user_ms, &p->system_ms);
    snprintf(path, sizeof path, "/proc/%u/smaps_rollup", p->pid);
    p->rss_kib = kib_of(path, "Rss");
    p->pss_kib = kib_of(path, "Pss");
    take_threads(p);
}

/* "cpuN user nice system idle iowait irq softirq steal ..." */
static void take_cpus(struct slr_usage *u)
{
    char line[512];
    FILE *f = fopen("/proc/stat", "re");
    while (f && fgets(line, sizeof line, f)) {
        char *at = line + 3;
        uint64_t v[8] = {0};
        if (strncmp(line, "cpu", 3) != 0 || *at < '0' || *at > '9') {
            continue;
        }
        unsigned long n = strtoul(at, &at, 10);
        for (uint32_t i = 0; i < 8; i++) {
            v[i] = ms_of_ticks(strtoull(at, &at, 10));
        }
        if (n < SLR_USAGE_CPUS) {
            u->cpu_count = n + 1 > u->cpu_count ? (uint32_t)n + 1 : u->cpu_count;
            u->cpu[n] = (struct slr_usage_cpu){.user = v[0] + v[1],
                                               .system = v[2],
                                               .idle = v[3] + v[4],
                                               .irq = v[5],
                                               .softirq = v[6],
                                               .steal = v[7]};
        }
    }
    if (f) {
        fclose(f);
    }
}

/* One line a core, in hexadecimal; the second number counts drops, the 13th is the core. */
static void take_backlog(struct slr_usage *u)
{
    char line[512];
    uint32_t row = 0;
    FILE *f = fopen("/proc/net/softnet_stat", "re");
    while (f && fgets(line, sizeof line, f)) {
        char *at = line;
        uint64_t v[13] = {0};
        for (uint32_t i = 0; i < 13; i++) {
            v[i] = strtoull(at, &at, 16);
        }
        uint64_t cpu = v[12] > 0 ? v[12] : row;
        if (cpu < SLR_USAGE_CPUS) {
            u->cpu[cpu].backlog_drops = v[1];
        }
        row++;
    }
    if (f) {
        fclose(f);
    }
}

/* "Udp: NAME ..." and "Udp: NUMBER ..." */
static void take_udp(uint32_t pid, struct slr_usage_udp *out)
{
    char path[64];
    char names[512] = "";
    char line[512];
    snprintf(path, sizeof path, "/proc/%u/net/snmp", pid);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f)) {
        if (strncmp(line, "Udp: ", 5) != 0) {
            continue;
        }
        if (names[0] == '\0') {
            memcpy(names, line, sizeof names);
            continue;
        }
        char *name = names + 5;
        char *value = line + 5;
        while (*name && *value) {
            size_t n = strcspn(name, " \n");
            uint64_t v = strtoull(value, &value, 10);
            *(n == 11 && memcmp(name, "InDatagrams", n) == 0    ? &out->in
              : n == 7 && memcmp(name, "NoPorts", n) == 0       ? &out->no_ports
              : n == 8 && memcmp(name, "InErrors", n) == 0      ? &out->in_errors
              : n == 12 && memcmp(name, "RcvbufErrors", n) == 0 ? &out->receive_buffer_errors
                                                                : &(uint64_t){0}) = v;
            name += n;
            name += strspn(name, " \n");
        }
    }
    if (f) {
        fclose(f);
    }
}

/* A line a socket, the last number is what it dropped. */
static void take_sockets(uint32_t pid, const char *table, struct slr_usage_udp *out)
{
    char path[64];
    char line[512];
    snprintf(path, sizeof path, "/proc/%u/net/%s", pid, table);
    FILE *f = fopen(path, "re");
    bool heading = true;
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        for (size_t n = strlen(line); n > 0 && line[n - 1] == ' '; n--) {
            line[n - 1] = '\0';
        }
        const char *last = strrchr(line, ' ');
        uint64_t drops = last && !heading ? strtoull(last + 1, NULL, 10) : 0;
        heading = false;
        out->socket_drops += drops;
        out->sockets_dropping += drops > 0;
        out->socket_drops_most = drops > out->socket_drops_most ? drops : out->socket_drops_most;
    }
    if (f) {
        fclose(f);
    }
}

static uint64_t folder_kib(const char *path)
{
    uint64_t kib = 0;
    DIR *d = path ? opendir(path) : NULL;
    for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
        struct stat st;
        if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode)) {
            kib += (uint64_t)st.st_blocks / 2;
        }
    }
    if (d) {
        closedir(d);
    }
    return kib;
}

void slr_usage_take(const struct slr_load_config *cfg, struct slr_usage *out)
{
    memset(out, 0, sizeof *out);
    out->at_ns = slr_clock_mono(slr_clock_real()).ns;
    take_cpus(out);
    take_backlog(out);
    for (size_t i = 0; i < cfg->pid.count && i < SLR_LOAD_PIDS; i++) {
        take_process(cfg->pid.item[i], &out->process[out->process_count++]);
    }
    uint32_t pid = out->process_count > 0 ? out->process[0].pid : (uint32_t)getpid();
    take_udp(pid, &out->udp);
    take_sockets(pid, "udp", &out->udp);
    take_sockets(pid, "udp6", &out->udp);
    out->state_kib = folder_kib(cfg->state);
}

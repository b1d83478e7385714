/*
 * slr-load: N dual-channel calls through SIP and RTP, then every packet looked for in the
 * recordings. Exit status is the verdict: 0 nothing lost, misplaced, damaged or leaked.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/slr_load.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/net.h"

#define PACE_NS (20 * SLR_NS_PER_MS)
#define SLICES 20u /* calls are spread over the packet time, 1 ms apart */
#define BATCH 128u

static const struct slr_option options[] = {
    {'s', "sip", SLR_OPT_STR, offsetof(struct slr_load_config, sip), 0, 0, "ADDR:PORT",
     "127.0.0.1:5060", "the recorder's SIP address"},
    {'d', "data", SLR_OPT_STR, offsetof(struct slr_load_config, data), 0, 0, "DIR", NULL,
     "the recorder's --data directory (needed to check)"},
    {'n', "calls", SLR_OPT_U32, offsetof(struct slr_load_config, calls), 1, 20000, "N", "10",
     "calls at once"},
    {'t', "seconds", SLR_OPT_U32, offsetof(struct slr_load_config, seconds), 1, 86400, "SEC", "10",
     "how long each call sends"},
    {'r', "ramp", SLR_OPT_U32, offsetof(struct slr_load_config, ramp), 1, 2000, "N", "200",
     "calls set up a second"},
    {'p', "pid", SLR_OPT_LIST, offsetof(struct slr_load_config, pid), 0, 0, "PID", NULL,
     "process whose CPU time is reported, repeatable"},
    {0}};

static int64_t now_ns(void)
{
    return slr_clock_mono(slr_clock_real()).ns;
}

static void sleep_until(int64_t at_ns)
{
    struct timespec t = {at_ns / SLR_NS_PER_S, at_ns % SLR_NS_PER_S};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR) {
    }
}

/* utime + stime of a process in ms; 0 when it is gone. */
static uint64_t cpu_ms(const char *pid)
{
    char path[64];
    char line[1024];
    unsigned long user = 0;
    unsigned long system = 0;
    snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
    FILE *f = fopen(path, "re");
    if (!f) {
        return 0;
    }
    const char *at = fgets(line, sizeof line, f) ? strrchr(line, ')') : NULL;
    if (!at || sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
                      &system) != 2) {
        user = system = 0;
    }
    fclose(f);
    return (user + system) * 1000u / (unsigned long)sysconf(_SC_CLK_TCK);
}

struct batch {
    struct mmsghdr msg[BATCH];
    struct iovec iov[BATCH];
    uint8_t at[BATCH][12 + SLR_LOAD_PACKET_BYTES];
    uint32_t count;
};

static void flush(struct slr_load *l, struct batch *b)
{
    uint32_t done = 0;
    while (done < b->count) {
        int n = sendmmsg(l->rtp_fd, b->msg + done, b->count - done, 0);
        if (n <= 0) {
            l->send_errors++;
            n = 1;
        }
        done += (uint32_t)n;
    }
    b->count = 0;
}

static void put_packet(struct slr_load *l, struct batch *b, uint32_t call, uint32_t leg)
{
    struct slr_load_call *c = &l->call[call];
    uint8_t *at = b->at[b->count];
    uint32_t n = c->sent;
    uint32_t ts = n * SLR_LOAD_PACKET_BYTES;
    uint32_t ssrc = call * SLR_LOAD_LEGS + leg + 1;
    at[0] = 0x80;
    at[1] = 8;
    at[2] = (uint8_t)(n >> 8);
    at[3] = (uint8_t)n;
    for (int i = 0; i < 4; i++) {
        at[4 + i] = (uint8_t)(ts >> (24 - 8 * i));
        at[8 + i] = (uint8_t)(ssrc >> (24 - 8 * i));
    }
    slr_load_mark(at + 12, l->cfg->run_id, call, leg, n);
    b->iov[b->count] = (struct iovec){at, sizeof b->at[0]};
    b->msg[b->count].msg_hdr = (struct msghdr){.msg_name = &c->leg[leg].to,
                                               .msg_namelen = sizeof c->leg[leg].to,
                                               .msg_iov = &b->iov[b->count],
                                               .msg_iovlen = 1};
    if (++b->count == BATCH) {
        flush(l, b);
    }
}

static void send_slice(struct slr_load *l, struct batch *b, uint32_t slice, int64_t until_ns)
{
    for (uint32_t call = slice; call < l->cfg->calls; call += SLICES) {
        struct slr_load_call *c = &l->call[call];
        if (c->start_ns == 0 || until_ns < c->start_ns || c->sent >= l->cfg->seconds * 50u) {
            continue;
        }
        put_packet(l, b, call, 0);
        put_packet(l, b, call, 1);
        c->sent++;
    }
    flush(l, b);
}

/* All calls send for cfg->seconds. The measured stretch is the one in which all are there. */
static void send_all(struct slr_load *l)
{
    static struct batch b;
    int64_t start = now_ns() + 10 * SLR_NS_PER_MS;
    uint32_t turns = l->cfg->seconds * 50u;
    for (uint32_t i = 0; i < l->cfg->calls; i++) {
        l->call[i].start_ns = start;
    }
    for (uint32_t turn = 0; turn < turns; turn++) {
        for (uint32_t slice = 0; slice < SLICES; slice++) {
            int64_t at = start + turn * PACE_NS + slice * (PACE_NS / SLICES);
            sleep_until(at);
            send_slice(l, &b, slice, at);
        }
    }
}

static uint32_t count_sealed(const char *data)
{
    char path[4096];
    uint32_t n = 0;
    snprintf(path, sizeof path, "%s/rec/open", data);
    DIR *d = opendir(path);
    for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
        n += e->d_name[0] != '.';
    }
    if (d) {
        closedir(d);
    }
    return n;
}

/* Working files are gone when all is sealed; 60 s at most. */
static void wait_sealed(const struct slr_load *l)
{
    for (int i = 0; i < 600 && count_sealed(l->cfg->data) > 0; i++) {
        sleep_until(now_ns() + 100 * SLR_NS_PER_MS);
    }
}

static enum slr_err open_sockets(struct slr_load *l)
{
    struct slr_addr sip;
    struct sockaddr_in any = {.sin_family = AF_INET};
    socklen_t len = sizeof any;
    if (slr_addr_parse(l->cfg->sip, &sip) != SLR_OK || sip.family != 4) {
        return SLR_INVAL;
    }
    slr_addr_format_ip(&sip, l->local_ip);
    any.sin_addr.s_addr = inet_addr(l->local_ip);
    l->sip_to = any;
    l->sip_to.sin_port = htons(sip.port);
    l->sip_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    l->rtp_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int big = 8 << 20;
    if (l->sip_fd < 0 || l->rtp_fd < 0 ||
        setsockopt(l->rtp_fd, SOL_SOCKET, SO_SNDBUF, &big, sizeof big) != 0 ||
        bind(l->sip_fd, (struct sockaddr *)&any, sizeof any) != 0 ||
        bind(l->rtp_fd, (struct sockaddr *)&any, sizeof any) != 0 ||
        getsockname(l->sip_fd, (struct sockaddr *)&any, &len) != 0) {
        return SLR_IO;
    }
    l->sip_port = ntohs(any.sin_port);
    return SLR_OK;
}

static enum slr_err set_up_calls(struct slr_load *l)
{
    int64_t start = now_ns();
    for (uint32_t i = 0; i < l->cfg->calls; i++) {
        sleep_until(start + (int64_t)i * SLR_NS_PER_S / l->cfg->ramp);
        enum slr_err err = slr_load_invite(l, i);
        if (err != SLR_OK) {
            fprintf(stderr, "slr-load: call %u could not be set up: %s\n", i, slr_err_name(err));
            return err;
        }
    }
    return SLR_OK;
}

static int report(const struct slr_load *l, const struct slr_load_verdict *v,
                  const uint64_t *cpu_before, double wall_s)
{
    double call_seconds = (double)l->cfg->calls * l->cfg->seconds;
    bool good = v->expected > 0 && v->found >= v->expected && v->lost == 0 && v->misplaced == 0 &&
                v->leaked == 0 && v->damaged == 0 && l->send_errors == 0;
    printf("{\"bench\":\"load/g711-dual/calls=%u\",\"seconds\":%u,\"sent\":%llu,\"found\":%llu,"
           "\"lost\":%llu,\"misplaced\":%llu,\"leaked\":%llu,\"damaged\":%llu,\"recordings\":%u,"
           "\"send_errors\":%llu,\"wall_s\":%.1f,\"ok\":%s}\n",
           l->cfg->calls, l->cfg->seconds, (unsigned long long)v->expected,
           (unsigned long long)v->found, (unsigned long long)v->lost,
           (unsigned long long)v->misplaced, (unsigned long long)v->leaked,
           (unsigned long long)v->damaged, v->recordings, (unsigned long long)l->send_errors,
           wall_s, good ? "true" : "false");
    for (size_t i = 0; i < l->cfg->pid.count; i++) {
        uint64_t used = cpu_ms(l->cfg->pid.item[i]) - cpu_before[i];
        printf("{\"bench\":\"load/cpu/pid=%s/calls=%u\",\"value\":%.4f,"
               "\"unit\":\"CPU ms per call-second\",\"cpu_ms\":%llu}\n",
               l->cfg->pid.item[i], l->cfg->calls, (double)used / call_seconds,
               (unsigned long long)used);
    }
    return good ? 0 : 1;
}

static int run(struct slr_load *l)
{
    uint64_t cpu[16] = {0};
    struct slr_load_verdict v;
    if (open_sockets(l) != SLR_OK || set_up_calls(l) != SLR_OK) {
        return 2;
    }
    for (size_t i = 0; i < l->cfg->pid.count && i < 16; i++) {
        cpu[i] = cpu_ms(l->cfg->pid.item[i]);
    }
    int64_t start = now_ns();
    send_all(l);
    double wall_s = (double)(now_ns() - start) / (double)SLR_NS_PER_S;
    for (uint32_t i = 0; i < l->cfg->calls; i++) {
        if (slr_load_bye(l, i) != SLR_OK) {
            fprintf(stderr, "slr-load: BYE of call %u was not answered\n", i);
        }
    }
    wait_sealed(l);
    if (slr_load_check(l, &v) != SLR_OK) {
        fprintf(stderr, "slr-load: no recordings below %s\n", l->cfg->data);
        return 2;
    }
    return report(l, &v, cpu, wall_s);
}

int main(int argc, char **argv)
{
    static struct slr_load_config cfg;
    struct slr_load l = {.cfg = &cfg};
    slr_log_init("slr-load", SLR_LOG_WARN);
    enum slr_err err = slr_options_parse("slr-load", "traffic generator and capacity test", options,
                                         &cfg, argc, argv, stderr, NULL, NULL);
    if (err != SLR_OK) {
        return err == SLR_EOF ? 0 : 2;
    }
    if (!cfg.data || cfg.pid.count > 16) {
        fprintf(stderr, "slr-load: --data is needed (and at most 16 --pid)\n");
        return 2;
    }
    cfg.run_id = (uint32_t)(now_ns() ^ getpid());
    l.call = calloc(cfg.calls, sizeof *l.call);
    if (!l.call) {
        return 2;
    }
    int status = run(&l);
    free(l.call);
    slr_options_free(options, &cfg);
    return status;
}

/*
 * sim: draws sessions from seeds, runs each through the engine, compares. Sessions run in child
 * processes: whatever one of them does, the others go on. A session that fails is run again with
 * features left out one by one, and named with the command that repeats it.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/bank.h"
#include "tests/sim/result.h"
#include "tests/sim/sim.h"

#define MAX_JOBS 16
#define MAX_FAILED 100
#define SESSION_SECONDS 60 /* longer than that is a hang */

static const char *const feature_name[] = {
#define X(name, text) [SIM_HAS_##name] = text,
    SIM_FEATURES(X)
#undef X
};

/* What a child tells its parent. */
struct shared {
    volatile uint64_t seed; /* the one that runs */
    uint64_t done, samples_exact, samples_open, packets_all, packets_open, corrections;
    uint64_t with[SIM_FEATURE_COUNT];
    bool keep; /* what was recorded, for a person to look at */
    bool stop; /* at the first failure */
};

struct job {
    struct shared *shared;
    pid_t pid;
    uint64_t next, end;
};

/* The recording and the packets as they arrived, below the current folder. */
static void keep(const struct sim *m, const struct sim_result *r)
{
    char name[64];
    snprintf(name, sizeof name, "sim-%llu.json", (unsigned long long)m->seed);
    (void)json_dump_file(r->ledger, name, JSON_INDENT(1));
    snprintf(name, sizeof name, "sim-%llu.wav", (unsigned long long)m->seed);
    FILE *out = fopen(name, "wb");
    if (out) {
        (void)fwrite(r->file, 1, r->len_bytes, out);
        fclose(out);
    }
    for (uint32_t n = 0; n < m->legs; n++) {
        const struct sim_leg *leg = &m->leg[n];
        for (uint32_t i = 0; i < leg->arrival_count; i++) {
            const struct sim_arrival *a = &leg->arrival[i];
            const struct sim_packet *p = &leg->packet[a->packet < 0 ? 0 : a->packet];
            printf("leg %u at %.6f s: %s stream %u segment %u number %u seq %u ts %u +%u for %.6f "
                   "s%s%s\n",
                   n, (double)a->ns / 1e9,
                   a->packet < 0 ? "stray"
                                 : (p->kind == SIM_AUDIO   ? "audio"
                                    : p->kind == SIM_NOISE ? "noise"
                                                           : "event"),
                   p->stream, p->segment, p->number, p->seq, p->ts, p->samples,
                   (double)p->pos_ticks / SIM_TICKS_HZ, a->copy ? " (copy)" : "",
                   p->restarts ? " (restarts)" : "");
        }
    }
    for (uint32_t i = 0; i < m->command_count; i++) {
        static const char *const name_of[] = {"pause", "resume", "hold", "unhold"};
        printf("at %.6f s: %s leg %u\n", (double)m->command[i].ns / 1e9,
               name_of[m->command[i].kind], m->command[i].leg);
    }
    for (uint32_t i = 0; i < m->restart_count; i++) {
        printf("at %.6f s: restart\n", (double)m->restart_ns[i] / 1e9);
    }
    if (m->hole_from_ns != SIM_NEVER) {
        printf("away %.6f to %.6f s\n", (double)m->hole_from_ns / 1e9, (double)m->hole_to_ns / 1e9);
    }
}

static void run_one(uint64_t seed, uint64_t without, struct shared *to)
{
    struct sim *m = calloc(1, sizeof *m);
    struct sim_result r = {0};
    if (!m) {
        abort();
    }
    alarm(SESSION_SECONDS);
    sim_draw(m, seed, without);
    for (uint32_t n = 0; n < m->legs; n++) {
        sim_send(m, n);
    }
    sim_plan(m);
    sim_run(m, &r);
    if (to->keep) {
        keep(m, &r);
    }
    sim_check(m, &r);
    alarm(0);
    to->done++;
    to->samples_exact += m->samples_exact;
    to->samples_open += m->samples_open;
    to->packets_all += m->packets_all;
    to->packets_open += m->packets_open;
    to->corrections += m->corrections;
    for (uint32_t f = 0; f < SIM_FEATURE_COUNT; f++) {
        to->with[f] += m->present >> f & 1u;
    }
    free(r.file);
    json_decref(r.ledger);
    sim_free(m);
    free(m);
}

static void start(struct job *j, uint64_t without, bool quiet)
{
    fflush(NULL);
    j->pid = fork();
    if (j->pid < 0) {
        perror("fork");
        exit(2);
    }
    if (j->pid > 0) {
        return;
    }
    if (quiet) {
        int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
        (void)dup2(fd, STDERR_FILENO);
    }
    for (uint64_t seed = j->next; seed < j->end; seed++) {
        j->shared->seed = seed;
        run_one(seed, without, j->shared);
    }
    exit(0);
}

static struct shared *shared_new(void)
{
    struct shared *s =
        mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (s == MAP_FAILED) {
        perror("mmap");
        exit(2);
    }
    return s;
}

static bool fails(uint64_t seed, uint64_t without)
{
    struct job j = {.shared = shared_new(), .next = seed, .end = seed + 1};
    int status = 0;
    start(&j, without, true);
    while (waitpid(j.pid, &status, 0) < 0 && errno == EINTR) {
    }
    munmap(j.shared, sizeof *j.shared);
    return status != 0;
}

/* Leaves out whatever is not needed for it to fail. */
static uint64_t smaller(uint64_t seed, uint64_t without)
{
    for (uint32_t f = 0; f < SIM_FEATURE_COUNT; f++) {
        uint64_t less = without | 1ULL << f;
        without = less != without && fails(seed, less) ? less : without;
    }
    return without;
}

static void name_failure(const char *program, uint64_t seed, uint64_t without)
{
    const char *comma = "";
    sim_bank_fill();
    without = smaller(seed, without);
    printf("FAILED seed %llu; it needs:", (unsigned long long)seed);
    for (uint32_t f = 0; f < SIM_FEATURE_COUNT; f++) {
        printf("%s%s", without >> f & 1u ? "" : " ", without >> f & 1u ? "" : feature_name[f]);
    }
    printf("\n  repeat it: %s --seed %llu", program, (unsigned long long)seed);
    for (uint32_t f = 0; f < SIM_FEATURE_COUNT; f++) {
        if (without >> f & 1u) {
            printf("%s%s", *comma ? comma : " --without ", feature_name[f]);
            comma = ",";
        }
    }
    printf("\n");
    fflush(stdout);
}

static uint64_t parse_features(const char *text)
{
    uint64_t bits = 0;
    char copy[512];
    snprintf(copy, sizeof copy, "%s", text);
    for (char *word = strtok(copy, ","); word; word = strtok(NULL, ",")) {
        uint32_t f = 0;
        while (f < SIM_FEATURE_COUNT && strcmp(feature_name[f], word) != 0) {
            f++;
        }
        if (f == SIM_FEATURE_COUNT) {
            fprintf(stderr, "no feature %s\n", word);
            exit(2);
        }
        bits |= 1ULL << f;
    }
    return bits;
}

/* Runs all seeds in `jobs` processes; returns the number of failed ones. */
static uint32_t run_all(struct job *job, uint32_t jobs, uint64_t without,
                        uint64_t failed[static MAX_FAILED])
{
    uint32_t failures = 0;
    uint32_t running = 0;
    for (uint32_t i = 0; i < jobs; i++) {
        start(&job[i], without, false);
        running++;
    }
    while (running > 0) {
        int status = 0;
        pid_t pid = wait(&status);
        for (uint32_t i = 0; i < jobs; i++) {
            if (job[i].pid != pid) {
                continue;
            }
            running--;
            if (status != 0 && failures < MAX_FAILED) {
                failed[failures++] = job[i].shared->seed;
                job[i].next = job[i].shared->seed + 1;
                job[i].next = job[i].shared->stop ? job[i].end : job[i].next;
                start(&job[i], without, false);
                running++;
            }
        }
    }
    return failures;
}

static void summary(const struct job *job, uint32_t jobs, uint32_t failures, double seconds)
{
    struct shared t = {0};
    for (uint32_t i = 0; i < jobs; i++) {
        t.done += job[i].shared->done;
        t.samples_exact += job[i].shared->samples_exact;
        t.samples_open += job[i].shared->samples_open;
        t.packets_all += job[i].shared->packets_all;
        t.packets_open += job[i].shared->packets_open;
        t.corrections += job[i].shared->corrections;
        for (uint32_t f = 0; f < SIM_FEATURE_COUNT; f++) {
            t.with[f] += job[i].shared->with[f];
        }
    }
    printf("with:");
    for (uint32_t f = 0; f < SIM_FEATURE_COUNT; f++) {
        printf(" %s %llu", feature_name[f], (unsigned long long)t.with[f]);
    }
    printf("\n%llu frames compared, %llu more claimed twice; %llu packets arrived, the truth left "
           "%llu open, %llu legs were corrected\n",
           (unsigned long long)t.samples_exact, (unsigned long long)t.samples_open,
           (unsigned long long)t.packets_all, (unsigned long long)t.packets_open,
           (unsigned long long)t.corrections);
    printf("%llu sessions without a failure, %u with one, %.1f s\n", (unsigned long long)t.done,
           failures, seconds);
}

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int usage(void)
{
    fprintf(stderr, "sim [--sessions N] [--first SEED] [--seed SEED] [--jobs N] "
                    "[--without FEATURE,...] [--keep] [--stop] [--soak]\n");
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"sessions", required_argument, NULL, 'n'},
                                            {"first", required_argument, NULL, 'f'},
                                            {"seed", required_argument, NULL, 's'},
                                            {"jobs", required_argument, NULL, 'j'},
                                            {"without", required_argument, NULL, 'w'},
                                            {"keep", no_argument, NULL, 'k'},
                                            {"soak", no_argument, NULL, 'l'},
                                            {"stop", no_argument, NULL, 'o'},
                                            {NULL, 0, NULL, 0}};
    const char *env = getenv("SLR_SIM_SESSIONS");
    uint64_t sessions = env ? strtoull(env, NULL, 10) : 1000;
    uint64_t first = 1;
    uint64_t without = 0;
    uint64_t failed[MAX_FAILED];
    uint32_t jobs = 1;
    bool keep_files = false;
    bool stop = false;
    struct job job[MAX_JOBS] = {0};
    int c = 0;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 'n':
            sessions = strtoull(optarg, NULL, 10);
            break;
        case 'f':
        case 's':
            first = strtoull(optarg, NULL, 10);
            sessions = c == 's' ? 1 : sessions;
            break;
        case 'j':
            jobs = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case 'w':
            without |= parse_features(optarg);
            break;
        case 'l':
            sessions = env ? sessions : 100000;
            break;
        case 'k':
            keep_files = true;
            break;
        case 'o':
            stop = true;
            break;
        default:
            return usage();
        }
    }
    if (sessions > 20 && !(without >> SIM_HAS_LOSSY & 1u)) {
        sim_bank_fill();
    }
    jobs = jobs < 1 || jobs > MAX_JOBS || jobs > sessions ? 1 : jobs;
    double begin = seconds_now();
    for (uint32_t i = 0; i < jobs; i++) {
        job[i].shared = shared_new();
        job[i].shared->keep = keep_files;
        job[i].shared->stop = stop;
        job[i].next = first + sessions * i / jobs;
        job[i].end = first + sessions * (i + 1) / jobs;
    }
    printf("sim: %llu sessions from seed %llu\n", (unsigned long long)sessions,
           (unsigned long long)first);
    uint32_t failures = run_all(job, jobs, without, failed);
    summary(job, jobs, failures, seconds_now() - begin);
    for (uint32_t i = 0; i < failures && i < 10 && !stop; i++) {
        name_failure(argv[0], failed[i], without);
    }
    return failures > 0;
}

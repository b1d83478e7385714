/*
 * encode_pool: see the header. Blocks on the disk; allocates for the time of a job.
 */
#include "engine/encode_pool.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/thread_name.h"

/* linux/ioprio.h */
#define IOPRIO_WHO_PROCESS 1
#define IOPRIO_LOWEST (2 << 13 | 7) /* not idle, for the same reason as in the header */

/* Whatever the system refuses of it, encoding goes on. */
static void be_last(void)
{
    struct sched_param none = {.sched_priority = 0};
    long id = syscall(SYS_gettid);
    if (setpriority(PRIO_PROCESS, (id_t)id, 19) != 0 || sched_setscheduler(0, SCHED_BATCH, &none)) {
        SLR_WARN("encoder_priority", "errno=%d", errno);
    }
    if (syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, id, IOPRIO_LOWEST) != 0) {
        SLR_DEBUG("encoder_io_priority", "errno=%d", errno);
    }
}

static void *run(void *arg)
{
    struct slr_encode_slot *s = arg;
    slr_thread_name("encode", s->number);
    be_last();
    while (!atomic_load(&s->end)) {
        if (sem_wait(&s->wake) != 0 ||
            atomic_load_explicit(&s->state, memory_order_acquire) != SLR_ENCODE_GIVEN) {
            continue;
        }
        s->made = slr_finish_run(s->job, s->file, &s->frames);
        atomic_store_explicit(&s->state, SLR_ENCODE_MADE, memory_order_release);
    }
    return NULL;
}

enum slr_err slr_encode_pool_start(struct slr_encode_pool *p, uint32_t wanted,
                                   const struct slr_pin *pin)
{
    p->count = 0;
    p->slot = calloc(wanted, sizeof *p->slot);
    if (!p->slot) {
        return SLR_NOMEM;
    }
    for (uint32_t i = 0; i < wanted; i++) {
        struct slr_encode_slot *s = &p->slot[i];
        s->number = i;
        if (sem_init(&s->wake, 0, 0) != 0 || pthread_create(&s->thread, NULL, run, s) != 0) {
            sem_destroy(&s->wake);
            break;
        }
        s->runs = true;
        p->count++;
        enum slr_err err = slr_pin_thread(pin, i, s->thread);
        if (err != SLR_OK) {
            return err;
        }
    }
    return p->count > 0 ? SLR_OK : SLR_NOMEM;
}

void slr_encode_pool_stop(struct slr_encode_pool *p)
{
    for (uint32_t i = 0; i < p->count; i++) {
        atomic_store(&p->slot[i].stop, true);
        atomic_store(&p->slot[i].end, true);
        sem_post(&p->slot[i].wake);
    }
    for (uint32_t i = 0; i < p->count; i++) {
        if (p->slot[i].runs) {
            pthread_join(p->slot[i].thread, NULL);
            p->slot[i].runs = false;
        }
    }
}

void slr_encode_pool_fini(struct slr_encode_pool *p)
{
    for (uint32_t i = 0; i < p->count; i++) {
        sem_destroy(&p->slot[i].wake);
    }
    free(p->slot);
    *p = (struct slr_encode_pool){0};
}

void slr_encode_pool_give(struct slr_encode_slot *s, struct slr_finish_job *job,
                          struct slr_final_file *file)
{
    atomic_store(&s->stop, false);
    job->stop = &s->stop;
    s->job = job;
    s->file = file;
    s->frames = 0;
    s->made = SLR_AGAIN;
    atomic_store_explicit(&s->state, SLR_ENCODE_GIVEN, memory_order_release);
    sem_post(&s->wake);
}

int64_t slr_encode_slot_cpu_ns(const struct slr_encode_slot *s)
{
    clockid_t id;
    struct timespec t;
    if (!s->runs || pthread_getcpuclockid(s->thread, &id) != 0 || clock_gettime(id, &t) != 0) {
        return 0;
    }
    return t.tv_sec * SLR_NS_PER_S + t.tv_nsec;
}

int64_t slr_encode_pool_cpu_ns(const struct slr_encode_pool *p)
{
    int64_t sum = 0;
    for (uint32_t i = 0; i < p->count; i++) {
        sum += slr_encode_slot_cpu_ns(&p->slot[i]);
    }
    return sum;
}

/*
 * files: see the header.
 */
#include "load/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/json.h"
#include "load/check_sound.h"
#include "load/ledger_view.h"
#include "load/names.h"
#include "load/passive.h"
#include "storage/wav_read.h"

#define LOOK_MS 250
#define TOLD_MAX 8u
#define SEARCH_MS 2000 /* how far from its place a leg is looked for */

struct slr_files {
    const struct slr_load_config *cfg;
    const struct slr_cast *cast;
    struct slr_book *book;
    pthread_t thread;
    _Atomic bool finish;
    struct slr_verdict verdict;
    struct slr_names seen; /* ledgers that were looked at */
    uint8_t *legs;         /* by call: bits of those that were checked */
};

/* A file in memory. False: not there, or empty. */
static bool map_file(int dir_fd, const char *name, struct slr_slice *out)
{
    struct stat st;
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    void *at = MAP_FAILED;
    if (fstat(fd, &st) == 0 && st.st_size > 0) {
        at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    }
    close(fd);
    if (at == MAP_FAILED) {
        return false;
    }
    *out = slr_slice_of(at, (size_t)st.st_size);
    return true;
}

static void unmap(struct slr_slice s)
{
    munmap((void *)(uintptr_t)s.at, s.len_bytes);
}

/* One channel out of `frames` interleaved ones of samples of 1 or 2 bytes. */
static void take_channel(const uint8_t *at, size_t frames, size_t channels, size_t channel,
                         size_t bytes, uint8_t *out)
{
    const uint8_t *from = at + channel * bytes;
    size_t stride = channels * bytes;
    for (size_t i = 0; i < frames && bytes == 1; i++) {
        out[i] = from[i * stride];
    }
    for (size_t i = 0; i < frames && bytes == 2; i++) {
        out[2 * i] = from[i * stride];
        out[2 * i + 1] = from[i * stride + 1];
    }
}

static void add_result(struct slr_verdict *v, const struct slr_check_result *r)
{
    v->expected += r->expected;
    v->found += r->found;
    v->lost += r->lost;
    v->misplaced += r->misplaced;
    v->leaked += r->leaked;
    v->damaged += r->damaged;
    v->lost_unsaid += r->lost_unsaid;
    for (uint32_t i = 0; i < SLR_KIND_COUNT; i++) {
        v->lost_by[i] += r->lost_by[i];
    }
}

struct one { /* recording */
    const struct slr_load_config *cfg;
    const struct slr_cast *cast;
    const struct slr_call *call;
    const struct slr_ledger_view *view;
    struct slr_wav_info info;
    struct slr_slice file;
    struct slr_verdict *v;
    int64_t offset_ns[SLR_LOAD_LEGS]; /* of each leg, INT64_MIN: unknown */
};

/* A jittery leg lies where its least delayed packets say. */
static int64_t tolerance_ns(const struct slr_load_config *cfg)
{
    return (int64_t)cfg->tolerance_ms * SLR_NS_PER_MS + (int64_t)cfg->impair.jitter_us * 1000;
}

static void describe(const struct one *o, uint32_t leg, struct slr_check_leg *out)
{
    const struct slr_voice *voice = slr_cast_voice(o->cast, o->call->index);
    const struct slr_call_leg *l = &o->call->leg[leg];
    int64_t hz = voice->use.sample_hz;
    int64_t since_ns =
        o->view ? l->start_ns + l->late_ns + o->cfg->wall_offset_ns - o->view->start_wall_ns : 0;
    *out = (struct slr_check_leg){.voice = voice,
                                  .impair = &o->cfg->impair,
                                  .run_id = o->cfg->run_id,
                                  .call = o->call->index,
                                  .leg = leg,
                                  .frames = l->frames,
                                  .expect = since_ns / 1000 * hz / 1000000,
                                  .search = SEARCH_MS * hz / 1000};
}

/* A line for people, for the first recordings that are not right. */
static void tell(const struct one *o, uint32_t leg, const struct slr_check_result *r)
{
    if (r->found == r->expected && r->leaked == 0 && r->damaged == 0) {
        return;
    }
    if (++o->v->legs_bad <= TOLD_MAX) {
        fprintf(stderr,
                "slr-load: %s leg %u: %llu of %llu found, %llu lost, %llu misplaced, %llu leaked, "
                "%llu damaged, the first at %.2f s\n",
                o->view->file, leg, (unsigned long long)r->found, (unsigned long long)r->expected,
                (unsigned long long)r->lost, (unsigned long long)r->misplaced,
                (unsigned long long)r->leaked, (unsigned long long)r->damaged,
                (double)r->anchor / (double)o->info.shape.sample_hz +
                    (r->found > 0 ? r->first_bad : 0) * 0.02);
    }
}

/* The channel in its leg's own time; frees `mono` where that is another one. NULL: no memory. */
static uint8_t *undone(uint8_t *mono, size_t *samples, enum slr_sample_format format,
                       const struct slr_view_leg *vl)
{
    if (vl->edit_count == 0) {
        return mono;
    }
    size_t more = slr_undo_size(*samples, vl->edit, vl->edit_count);
    uint8_t *out = malloc(more * slr_sample_bytes(format) + 1);
    if (out) {
        slr_undo(mono, *samples, format, vl->edit, vl->edit_count, out);
        *samples = more;
    }
    free(mono);
    return out;
}

/* False: the channel can't be read. */
static bool check_leg(struct one *o, const struct slr_view_leg *vl, uint32_t leg)
{
    struct slr_check_leg c;
    struct slr_check_result r;
    const struct slr_audio_shape *shape = &o->info.shape;
    describe(o, leg, &c);
    uint8_t *mono = malloc((size_t)o->info.frames * slr_sample_bytes(shape->format) + 1);
    if (!mono || vl->channel >= shape->channels || shape->sample_hz != c.voice->use.sample_hz) {
        free(mono);
        return false;
    }
    take_channel(o->file.at + o->info.data_offset_bytes, (size_t)o->info.frames, shape->channels,
                 vl->channel, slr_sample_bytes(shape->format), mono);
    size_t samples = (size_t)o->info.frames;
    mono = undone(mono, &samples, shape->format, vl);
    struct slr_check_track t = {.at = mono,
                                .samples = samples,
                                .format = shape->format,
                                .span = vl->span,
                                .span_count = vl->span_count};
    enum slr_err err = !mono                 ? SLR_NOMEM
                       : c.voice->row->exact ? slr_check_leg(&c, &t, &r)
                                             : slr_check_sound(&c, &t, &r);
    free(mono);
    if (err != SLR_OK) {
        return false;
    }
    if (r.anchored) {
        o->offset_ns[leg] = (r.anchor - c.expect) * SLR_NS_PER_S / (int64_t)shape->sample_hz;
    }
    int64_t off = llabs(o->offset_ns[leg]);
    if (r.anchored && off > tolerance_ns(o->cfg)) {
        r.misplaced += r.found; /* right among themselves, but not where they belong */
        r.found = 0;
    }
    if (r.anchored && off > o->v->offset_max_ns) {
        o->v->offset_max_ns = off;
    }
    add_result(o->v, &r);
    tell(o, leg, &r);
    return true;
}

static void check_apart(struct one *o)
{
    if (o->offset_ns[0] == INT64_MIN || o->offset_ns[1] == INT64_MIN) {
        return;
    }
    int64_t apart = llabs(o->offset_ns[0] - o->offset_ns[1]);
    o->v->apart_max_ns = apart > o->v->apart_max_ns ? apart : o->v->apart_max_ns;
    if (apart > tolerance_ns(o->cfg)) {
        o->v->misplaced++;
    }
}

/* Bits of the legs that were checked. */
static uint32_t check_legs(struct one *o)
{
    uint32_t done = 0;
    o->offset_ns[0] = o->offset_ns[1] = INT64_MIN;
    for (uint32_t i = 0; i < o->view->leg_count; i++) {
        const struct slr_view_leg *vl = &o->view->leg[i];
        for (uint32_t leg = 0; leg < SLR_LOAD_LEGS; leg++) {
            uint32_t bit = 1u << leg;
            if (vl->dn != slr_book_dn(o->call->index, leg) || (done & bit) ||
                !check_leg(o, vl, leg)) {
                continue;
            }
            done |= bit;
            o->v->legs++;
        }
        o->v->corrections += vl->edit_count;
        o->v->packets += vl->packets;
        o->v->late += vl->late;
        o->v->duplicate += vl->duplicate;
        o->v->reordered += vl->reordered;
        o->v->rejected += vl->rejected;
        o->v->foreign += vl->foreign;
    }
    check_apart(o);
    o->v->unpaired += o->view->leg_count != SLR_LOAD_LEGS;
    return done;
}

enum slr_err slr_files_check(const struct slr_load_config *cfg, const struct slr_cast *cast,
                             const struct slr_book *book, int dir_fd, const char *ledger_name,
                             struct slr_verdict *v, struct slr_call **call, uint32_t *legs)
{
    struct slr_slice text;
    json_t *ledger = NULL;
    struct slr_ledger_view view;
    *call = NULL;
    *legs = 0;
    if (!map_file(dir_fd, ledger_name, &text)) {
        return SLR_NOTFOUND;
    }
    enum slr_err err = slr_json_load(text, &ledger);
    unmap(text);
    err = err == SLR_OK ? slr_ledger_view_open(ledger, &view) : err;
    json_decref(ledger);
    if (err != SLR_OK) {
        return err;
    }
    if (cfg->passive) {
        slr_passive_name(book, &view);
    }
    struct slr_call *c = slr_book_find(book, view.call);
    if (c && atomic_load_explicit(&c->state, memory_order_acquire) < SLR_CALL_ENDED) {
        slr_ledger_view_close(&view);
        return SLR_AGAIN;
    }
    if (c) {
        struct one o = {.cfg = cfg, .cast = cast, .call = c, .view = &view, .v = v};
        if (!map_file(dir_fd, view.file, &o.file)) {
            slr_ledger_view_close(&view);
            return SLR_AGAIN; /* the ledger may be there first */
        }
        *call = c;
        v->recordings++;
        *legs = slr_wav_parse(o.file, &o.info) == SLR_OK ? check_legs(&o) : 0;
        v->unreadable += *legs == 0;
        unmap(o.file);
    }
    slr_ledger_view_close(&view);
    return SLR_OK;
}

/* FNV-1a over folder and name; never 0. */
static uint64_t hash_of(const char *day, const char *name)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (; *day; day++) {
        h = (h ^ (uint8_t)*day) * 0x100000001b3u;
    }
    for (; *name; name++) {
        h = (h ^ (uint8_t)*name) * 0x100000001b3u;
    }
    return h ? h : 1;
}

static void remove_files(int dir_fd, const char *ledger_name)
{
    char media[300];
    size_t n = strlen(ledger_name) - strlen(".json");
    snprintf(media, sizeof media, "%.*s.wav", (int)n, ledger_name);
    unlinkat(dir_fd, media, 0);
    unlinkat(dir_fd, ledger_name, 0);
}

/* True: done with it, whatever came out. */
static bool look_at(struct slr_files *f, int dir_fd, const char *name)
{
    struct slr_call *call;
    uint32_t legs;
    enum slr_err err =
        slr_files_check(f->cfg, f->cast, f->book, dir_fd, name, &f->verdict, &call, &legs);
    if (err == SLR_AGAIN || err == SLR_NOMEM) {
        return false;
    }
    if (call) {
        uint8_t *have = &f->legs[call->index];
        *have = (uint8_t)(*have | legs);
        if (*have == (1u << SLR_LOAD_LEGS) - 1) {
            atomic_store_explicit(&call->state, SLR_CALL_CHECKED, memory_order_release);
        }
        if (f->cfg->delete_files) {
            remove_files(dir_fd, name);
        }
    }
    return true;
}

/* Looks at what is new below rec/DAY. Gives how many. */
static uint32_t look_in(struct slr_files *f, int rec_fd, const char *day)
{
    uint32_t found = 0;
    int fd = openat(rec_fd, day, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    if (!d && fd >= 0) {
        close(fd);
    }
    for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
        size_t n = strlen(e->d_name);
        uint64_t hash = hash_of(day, e->d_name);
        if (n > 5 && strcmp(e->d_name + n - 5, ".json") == 0 && !slr_names_has(&f->seen, hash) &&
            look_at(f, fd, e->d_name)) {
            found++;
            slr_names_add(&f->seen, hash);
        }
    }
    if (d) {
        closedir(d);
    }
    return found;
}

static uint32_t look(struct slr_files *f)
{
    char path[4096];
    uint32_t found = 0;
    snprintf(path, sizeof path, "%s/rec", f->cfg->data);
    DIR *d = opendir(path);
    for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
        if (e->d_name[0] != '.' && strcmp(e->d_name, "open") != 0) {
            found += look_in(f, dirfd(d), e->d_name);
        }
    }
    if (d) {
        closedir(d);
    }
    return found;
}

static uint32_t unchecked(const struct slr_files *f)
{
    uint32_t n = 0;
    uint32_t count = atomic_load_explicit(&f->book->count, memory_order_acquire);
    for (uint32_t i = 0; i < count; i++) {
        n += atomic_load(&f->book->call[i].state) == SLR_CALL_ENDED;
    }
    return n;
}

static void nap(void)
{
    struct timespec t = {0, LOOK_MS * SLR_NS_PER_MS};
    nanosleep(&t, NULL);
}

static void *run(void *ctx)
{
    struct slr_files *f = ctx;
    struct sched_param none = {0};
    prctl(PR_SET_NAME, "load-check");
    (void)sched_setscheduler(0, SCHED_IDLE, &none);
    while (!atomic_load(&f->finish)) {
        (void)look(f);
        nap();
    }
    (void)sched_setscheduler(0, SCHED_OTHER, &none);
    int64_t moved_ns = slr_clock_mono(slr_clock_real()).ns;
    while (unchecked(f) > 0) {
        int64_t now = slr_clock_mono(slr_clock_real()).ns;
        moved_ns = look(f) > 0 ? slr_clock_mono(slr_clock_real()).ns : moved_ns;
        if (now - moved_ns > (int64_t)f->cfg->seal_timeout_s * SLR_NS_PER_S) {
            break;
        }
        nap();
    }
    return NULL;
}

enum slr_err slr_files_open(const struct slr_load_config *cfg, const struct slr_cast *cast,
                            struct slr_book *book, struct slr_files **out)
{
    struct slr_files *f = calloc(1, sizeof *f);
    if (!f) {
        return SLR_NOMEM;
    }
    f->cfg = cfg;
    f->cast = cast;
    f->book = book;
    f->legs = calloc(book->size, 1);
    if (!f->legs || pthread_create(&f->thread, NULL, run, f) != 0) {
        free(f->legs);
        free(f);
        return SLR_NOMEM;
    }
    *out = f;
    return SLR_OK;
}

/* What calls without a whole recording should have held. */
static void count_missing(struct slr_files *f)
{
    uint32_t count = atomic_load(&f->book->count);
    for (uint32_t i = 0; i < count; i++) {
        struct one o = {.cfg = f->cfg, .cast = f->cast, .call = &f->book->call[i]};
        if (atomic_load(&f->book->call[i].state) != SLR_CALL_ENDED) {
            continue;
        }
        f->verdict.missing++;
        for (uint32_t leg = 0; leg < SLR_LOAD_LEGS; leg++) {
            struct slr_check_leg c;
            if (f->legs[i] & 1u << leg) {
                continue;
            }
            describe(&o, leg, &c);
            uint64_t n = slr_check_expected(&c);
            f->verdict.expected += n;
            f->verdict.lost += n;
            f->verdict.lost_whole += n;
        }
    }
}

void slr_files_finish(struct slr_files *f, struct slr_verdict *out)
{
    atomic_store(&f->finish, true);
    pthread_join(f->thread, NULL);
    f->thread = 0;
    count_missing(f);
    *out = f->verdict;
}

void slr_files_close(struct slr_files *f)
{
    if (!f) {
        return;
    }
    if (f->thread) {
        atomic_store(&f->finish, true);
        pthread_join(f->thread, NULL);
    }
    slr_names_close(&f->seen);
    free(f->legs);
    free(f);
}

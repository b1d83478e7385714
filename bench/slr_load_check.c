/*
 * slr_load_check: opens every recording of the run and accounts for every packet that was sent.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/slr_load.h"
#include "storage/wav_read.h"

struct walk {
    const struct slr_load *l;
    struct slr_load_verdict *v;
    uint32_t *found;
};

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* Is there a packet of this run at `at`? */
static bool marked(const struct walk *w, const uint8_t *at, uint32_t *call, uint32_t *leg,
                   uint32_t *n)
{
    uint8_t want[SLR_LOAD_PACKET_BYTES];
    *call = get32(at + 4);
    *leg = get32(at + 8);
    *n = get32(at + 12);
    slr_load_mark(want, w->l->cfg->run_id, *call, *leg, *n);
    return memcmp(want, at, 16) == 0 && *call < w->l->cfg->calls && *leg < SLR_LOAD_LEGS;
}

/* One channel, already apart: packets lie on a grid that the first one sets. */
static void check_channel(struct walk *w, const uint8_t *at, size_t len_bytes, int64_t *owner)
{
    size_t pos = 0;
    size_t first = SIZE_MAX;
    uint32_t first_n = 0;
    while (pos + SLR_LOAD_PACKET_BYTES <= len_bytes) {
        uint8_t want[SLR_LOAD_PACKET_BYTES];
        uint32_t call = 0;
        uint32_t leg = 0;
        uint32_t n = 0;
        if (!marked(w, at + pos, &call, &leg, &n)) {
            pos++;
            continue;
        }
        slr_load_mark(want, w->l->cfg->run_id, call, leg, n);
        if (first == SIZE_MAX) {
            first = pos;
            first_n = n;
        }
        if (*owner < 0) {
            *owner = call;
        }
        w->v->leaked += *owner != (int64_t)call;
        w->v->damaged += memcmp(want, at + pos, sizeof want) != 0;
        int64_t place = (int64_t)first + ((int64_t)n - first_n) * SLR_LOAD_PACKET_BYTES;
        w->v->misplaced += place != (int64_t)pos;
        w->v->found++;
        w->found[call * SLR_LOAD_LEGS + leg]++;
        pos += SLR_LOAD_PACKET_BYTES;
    }
}

static void check_wav(struct walk *w, const uint8_t *file, size_t len_bytes)
{
    struct slr_wav_info info;
    if (slr_wav_parse(slr_slice_of(file, len_bytes), &info) != SLR_OK ||
        info.shape.format != SLR_SAMPLE_ALAW || info.shape.channels != SLR_LOAD_LEGS) {
        return;
    }
    size_t frames = (size_t)(info.data_len_bytes / SLR_LOAD_LEGS);
    uint8_t *channel = malloc(frames + 1);
    int64_t owner = -1;
    for (uint32_t c = 0; channel && c < SLR_LOAD_LEGS; c++) {
        for (size_t i = 0; i < frames; i++) {
            channel[i] = file[info.data_offset_bytes + i * SLR_LOAD_LEGS + c];
        }
        check_channel(w, channel, frames, &owner);
    }
    w->v->recordings += owner >= 0;
    free(channel);
}

static void check_file(struct walk *w, int dir_fd, const char *name)
{
    struct stat st;
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0 || st.st_size == 0) {
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    uint8_t *at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (at != MAP_FAILED) {
        check_wav(w, at, (size_t)st.st_size);
        munmap(at, (size_t)st.st_size);
    }
    close(fd);
}

static void check_day(struct walk *w, const char *path)
{
    DIR *d = opendir(path);
    for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
        size_t n = strlen(e->d_name);
        if (n > 4 && strcmp(e->d_name + n - 4, ".wav") == 0) {
            check_file(w, dirfd(d), e->d_name);
        }
    }
    if (d) {
        closedir(d);
    }
}

enum slr_err slr_load_check(const struct slr_load *l, struct slr_load_verdict *v)
{
    char path[4096];
    memset(v, 0, sizeof *v);
    struct walk w = {.l = l, .v = v};
    w.found = calloc((size_t)l->cfg->calls * SLR_LOAD_LEGS, sizeof *w.found);
    snprintf(path, sizeof path, "%s/rec", l->cfg->data);
    DIR *d = opendir(path);
    if (!d || !w.found) {
        free(w.found);
        if (d) {
            closedir(d);
        }
        return SLR_NOTFOUND;
    }
    for (struct dirent *e = readdir(d); e; e = readdir(d)) {
        if (e->d_name[0] != '.' && strcmp(e->d_name, "open") != 0) {
            snprintf(path, sizeof path, "%s/rec/%.200s", l->cfg->data, e->d_name);
            check_day(&w, path);
        }
    }
    closedir(d);
    for (uint32_t i = 0; i < l->cfg->calls * SLR_LOAD_LEGS; i++) {
        uint32_t sent = l->call[i / SLR_LOAD_LEGS].sent;
        v->expected += sent;
        v->lost += sent > w.found[i] ? sent - w.found[i] : 0;
    }
    free(w.found);
    return SLR_OK;
}

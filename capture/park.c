/*
 * park: tables of rings without requests, for which the bare system calls do. State: struct
 * slr_park, one thread; allocates at open and put.
 */
#include "capture/park.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/log.h"

#define RINGS 16u
/* Places of open files: this bit and the descriptor. */
#define IS_FILE 0x80000000u

struct slr_park {
    int ring[RINGS];
    uint32_t ring_count;
    bool no_more;        /* the kernel refused one */
    uint32_t table_size; /* of each ring, 0: there are none */
    uint32_t made;       /* places of tables that exist */
    uint32_t size;       /* all that may be */
    uint32_t *free_place;
    uint32_t free_count;
    uint8_t *parked; /* files that are open, by descriptor */
    uint32_t parked_size;
};

static int do_register(int ring, unsigned op, const void *arg, unsigned count)
{
    return (int)syscall(__NR_io_uring_register, ring, op, arg, count);
}

/* A ring with an empty table, or -1. */
static int make_ring(uint32_t places)
{
    struct io_uring_params params;
    struct io_uring_rsrc_register table;
    memset(&params, 0, sizeof params);
    memset(&table, 0, sizeof table);
    int ring = (int)syscall(__NR_io_uring_setup, 1, &params);
    table.nr = places;
    table.flags = IORING_RSRC_REGISTER_SPARSE;
    if (ring >= 0 && do_register(ring, IORING_REGISTER_FILES2, &table, sizeof table) != 0) {
        int saved = errno;
        close(ring);
        errno = saved;
        return -1;
    }
    return ring;
}

/* fd -1: makes the place empty. */
static bool set_place(const struct slr_park *p, uint32_t place, int fd)
{
    struct io_uring_files_update update;
    memset(&update, 0, sizeof update);
    update.offset = place % p->table_size;
    update.fds = (uintptr_t)&fd;
    return do_register(p->ring[place / p->table_size], IORING_REGISTER_FILES_UPDATE, &update, 1) ==
           1;
}

enum slr_err slr_park_open(uint32_t sockets, struct slr_park **out)
{
    struct rlimit limit;
    struct slr_park *p = calloc(1, sizeof *p);
    *out = NULL;
    if (!p) {
        return SLR_NOMEM;
    }
    p->size = sockets;
    p->free_place = calloc(sockets, sizeof *p->free_place);
    if (!p->free_place) {
        free(p);
        return SLR_NOMEM;
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        p->table_size = limit.rlim_cur < sockets ? (uint32_t)limit.rlim_cur : sockets;
    }
    *out = p;
    return SLR_OK;
}

void slr_park_close(struct slr_park *p)
{
    if (!p) {
        return;
    }
    for (uint32_t i = 0; i < p->ring_count; i++) {
        /* at once; the end of a ring takes a moment */
        (void)do_register(p->ring[i], IORING_UNREGISTER_FILES, NULL, 0);
        close(p->ring[i]);
    }
    for (uint32_t fd = 0; fd < p->parked_size; fd++) {
        if (p->parked[fd]) {
            close((int)fd);
        }
    }
    free(p->parked);
    free(p->free_place);
    free(p);
}

/* One table more. */
static bool grow(struct slr_park *p)
{
    if (p->no_more || p->table_size == 0 || p->ring_count == RINGS || p->made >= p->size) {
        return false;
    }
    uint32_t left = p->size - p->made;
    uint32_t count = left < p->table_size ? left : p->table_size;
    int ring = make_ring(count);
    if (ring < 0) {
        SLR_INFO("park_failed", "text=%s effect=%s", SLR_Q(strerror(errno)),
                 SLR_Q("ports count as open files"));
        p->no_more = true;
        return false;
    }
    for (uint32_t i = count; i > 0; i--) {
        p->free_place[p->free_count++] = p->made + i - 1;
    }
    p->made += count;
    p->ring[p->ring_count++] = ring;
    return true;
}

static uint32_t put_file(struct slr_park *p, int fd)
{
    uint32_t n = (uint32_t)fd;
    if (n >= p->parked_size) {
        uint32_t size = n + 1024;
        uint8_t *parked = realloc(p->parked, size);
        if (!parked) {
            return IS_FILE | n; /* open until dropped, or until the end of the process */
        }
        memset(parked + p->parked_size, 0, size - p->parked_size);
        p->parked = parked;
        p->parked_size = size;
    }
    p->parked[n] = 1;
    return IS_FILE | n;
}

uint32_t slr_park_put(struct slr_park *p, int fd)
{
    if (p->free_count == 0 && !grow(p)) {
        return put_file(p, fd);
    }
    uint32_t place = p->free_place[p->free_count - 1];
    if (!set_place(p, place, fd)) {
        return put_file(p, fd);
    }
    p->free_count--;
    close(fd);
    return place;
}

void slr_park_drop(struct slr_park *p, uint32_t place)
{
    if (place & IS_FILE) {
        uint32_t fd = place & ~IS_FILE;
        if (fd < p->parked_size) {
            p->parked[fd] = 0;
        }
        close((int)fd);
        return;
    }
    if (!set_place(p, place, -1)) {
        SLR_ERROR("park_release_failed", "text=%s", SLR_Q(strerror(errno)));
        return;
    }
    p->free_place[p->free_count++] = place;
}

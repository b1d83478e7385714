/*
 * loop: epoll with deferred frees. State belongs to the loop's thread; allocates when memory is
 * deferred.
 */
#include "engine/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/log.h"

#define ROUND_EVENTS 64

struct deferred {
    struct deferred *next;
    void *memory;
    void (*release)(void *);
};

struct slr_loop {
    int fd;
    struct deferred *deferred;
};

enum slr_err slr_loop_open(struct slr_loop **out)
{
    struct slr_loop *loop = calloc(1, sizeof *loop);
    if (!loop) {
        return SLR_NOMEM;
    }
    loop->fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->fd < 0) {
        free(loop);
        return slr_err_from_errno(errno);
    }
    *out = loop;
    return SLR_OK;
}

static void release_deferred(struct slr_loop *loop)
{
    while (loop->deferred) {
        struct deferred *d = loop->deferred;
        loop->deferred = d->next;
        d->release(d->memory);
        free(d);
    }
}

void slr_loop_close(struct slr_loop *loop)
{
    if (loop) {
        release_deferred(loop);
        close(loop->fd);
        free(loop);
    }
}

enum slr_err slr_loop_add(struct slr_loop *loop, struct slr_watch *w, int fd, uint32_t events,
                          void (*ready)(void *ctx, uint32_t epoll_events), void *ctx)
{
    struct epoll_event ev = {.events = events, .data = {.ptr = w}};
    *w = (struct slr_watch){.fd = fd, .ready = ready, .ctx = ctx, .events = events};
    if (epoll_ctl(loop->fd, EPOLL_CTL_ADD, fd, &ev) != 0) {
        w->fd = -1;
        return slr_err_from_errno(errno);
    }
    return SLR_OK;
}

void slr_loop_ask(struct slr_loop *loop, struct slr_watch *w, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data = {.ptr = w}};
    if (w->fd < 0 || w->events == events) {
        return;
    }
    if (epoll_ctl(loop->fd, EPOLL_CTL_MOD, w->fd, &ev) != 0) {
        SLR_ERROR("epoll_failed", "fd=%d errno=%d", w->fd, errno);
    }
    w->events = events;
}

void slr_loop_del(struct slr_loop *loop, struct slr_watch *w)
{
    if (w->fd >= 0) {
        (void)epoll_ctl(loop->fd, EPOLL_CTL_DEL, w->fd, NULL); /* fails only when it is not in */
        w->fd = -1;
    }
}

void slr_loop_defer(struct slr_loop *loop, void *memory, void (*release)(void *))
{
    struct deferred *d = malloc(sizeof *d);
    if (!d) {
        SLR_ERROR("memory_leaked", "reason=no_memory"); /* better than a use after free */
        return;
    }
    *d = (struct deferred){loop->deferred, memory, release};
    loop->deferred = d;
}

bool slr_loop_round(struct slr_loop *loop, int timeout_ms)
{
    struct epoll_event ev[ROUND_EVENTS];
    int n = epoll_wait(loop->fd, ev, ROUND_EVENTS, timeout_ms);

    if (n < 0 && errno != EINTR) {
        SLR_ERROR("epoll_failed", "errno=%d", errno);
        return false;
    }
    for (int i = 0; i < n; i++) {
        struct slr_watch *w = ev[i].data.ptr;
        if (w->fd >= 0) { /* it may have been dropped earlier in this round */
            w->ready(w->ctx, ev[i].events);
        }
    }
    release_deferred(loop);
    return true;
}

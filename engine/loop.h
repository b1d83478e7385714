/*
 * loop: one thread's epoll: descriptors with a function to call.
 *
 * A watch lies in its owner's memory. Owners that free themselves while events are being handed out
 * give their memory to slr_loop_defer, which frees it once the round is over. One thread.
 */
#ifndef SLR_ENGINE_LOOP_H
#define SLR_ENGINE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct slr_loop;

struct slr_watch {
    int fd; /* -1: not watched */
    void (*ready)(void *ctx, uint32_t epoll_events);
    void *ctx;
    uint32_t events; /* what is asked for now */
};

enum slr_err slr_loop_open(struct slr_loop **out) SLR_CHECKED;
void slr_loop_close(struct slr_loop *loop);

/* events: EPOLLIN, EPOLLOUT. The descriptor stays the caller's. */
enum slr_err slr_loop_add(struct slr_loop *loop, struct slr_watch *w, int fd, uint32_t events,
                          void (*ready)(void *ctx, uint32_t epoll_events), void *ctx) SLR_CHECKED;
/* Asks for other events; cheap when they are the same. */
void slr_loop_ask(struct slr_loop *loop, struct slr_watch *w, uint32_t events);
/* Must be called before the descriptor is closed; allowed when not watched. */
void slr_loop_del(struct slr_loop *loop, struct slr_watch *w);
/* Calls release(memory) after the round. */
void slr_loop_defer(struct slr_loop *loop, void *memory, void (*release)(void *));

/* Waits at most timeout_ms (-1: for ever) and serves what is ready. False: epoll failed. */
bool slr_loop_round(struct slr_loop *loop, int timeout_ms);

#endif

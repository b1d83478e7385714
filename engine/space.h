/*
 * space: takes memory of the state file from its file system when it is needed, and gives it back.
 *
 * The file is as long as all of it could ever be, and full of holes. A hole that is written to
 * takes a page then, and where the file system is full, the process is killed (SIGBUS): so what is
 * to be used is taken before. Taking what is there already changes nothing. Any thread; keeps
 * nothing but what is told in the log; allocates nothing in the process.
 */
#ifndef SLR_ENGINE_SPACE_H
#define SLR_ENGINE_SPACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the kernel maps at once where it can. */
#define SLR_HUGE_BYTES ((size_t)2 << 20)

struct slr_space {
    int fd;            /* -1: the process's own memory, which comes by itself */
    uint8_t *base;     /* where the file is mapped */
    bool wants_huge;   /* pages of 2 MB, if the kernel and the file system have them */
    _Atomic bool told; /* which ones they were */
};

/* True: [at, at + bytes) of the mapping can be written to. False: no space, nothing was taken. */
bool slr_space_take(struct slr_space *s, const void *at, size_t bytes);

/* The same; what is aligned to 2 MB becomes huge pages. Takes milliseconds. */
bool slr_space_take_huge(struct slr_space *s, const void *at, size_t bytes);

/* The same of a few bytes anywhere in a mapping that is used without asking elsewhere. */
bool slr_space_touch(const void *at, size_t bytes);

/* What was there is forgotten; it reads as zeroes, and must not be touched before it is taken. */
void slr_space_give(struct slr_space *s, const void *at, size_t bytes);

/* So much can be taken: what the file system has and the machine can spare. */
uint64_t slr_space_left(const struct slr_space *s);

#endif

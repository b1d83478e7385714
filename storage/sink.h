/*
 * sink: where a container's bytes go: a file (posix), or memory and faults (tests).
 * A sink is owned and used by one thread. Rows of sink.def.
 */
#ifndef SLR_STORAGE_SINK_H
#define SLR_STORAGE_SINK_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct slr_sink;

struct slr_sink_ops {
    const char *name;
    /* Writes all bytes at the offset (extending as needed) or fails: SLR_NOSPACE, SLR_IO. Short
     * writes are continued inside. */
    enum slr_err (*write_at)(struct slr_sink *s, uint64_t offset_bytes, const void *at,
                             size_t len_bytes);
    /* Reads exactly len_bytes or fails: SLR_EOF when the sink ends before, SLR_IO. */
    enum slr_err (*read_at)(struct slr_sink *s, uint64_t offset_bytes, void *at, size_t len_bytes);
    enum slr_err (*size)(struct slr_sink *s, uint64_t *size_bytes);
    /* Cuts, or extends with zeros. */
    enum slr_err (*truncate)(struct slr_sink *s, uint64_t size_bytes);
    enum slr_err (*sync)(struct slr_sink *s); /* fdatasync */
    /* Frees what the sink holds; its memory stays the caller's. Does not sync. */
    void (*close)(struct slr_sink *s);
};

struct slr_sink {
    const struct slr_sink_ops *ops;
};

/* The rows' verbs, each in its file. */
#define SINK(name) extern const struct slr_sink_ops slr_sink_##name##_ops;
#include "storage/sink.def"
#undef SINK

/* Caller memory; open either creates (SLR_EXISTS when there) or opens an existing file. Mode 0600,
 * close-on-exec. dir_fd as for openat(2). */
struct slr_sink_posix {
    struct slr_sink base;
    int fd;
};
enum slr_err slr_sink_posix_create(struct slr_sink_posix *s, int dir_fd,
                                   const char *path) SLR_CHECKED;
enum slr_err slr_sink_posix_open(struct slr_sink_posix *s, int dir_fd,
                                 const char *path) SLR_CHECKED;

/* Growing memory, for tests. len_bytes of content at `at`; size_bytes are allocated. */
struct slr_sink_memory {
    struct slr_sink base;
    uint8_t *at;
    size_t len_bytes, size_bytes;
};
void slr_sink_memory_init(struct slr_sink_memory *s);

#endif

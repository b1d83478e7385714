/*
 * sink_memory: a growing block of memory as a sink, for tests and small files. State is the
 * caller's struct, the block is malloc'ed and freed by close; one thread.
 */
#include <stdlib.h>
#include <string.h>

#include "storage/sink.h"

static struct slr_sink_memory *memory_of(struct slr_sink *s)
{
    return (struct slr_sink_memory *)(void *)s; /* base is the first member */
}

/* Makes room for len_bytes in all; the bytes between the old and the new length are zero. */
static enum slr_err grow_to(struct slr_sink_memory *m, size_t len_bytes)
{
    if (len_bytes > m->size_bytes) {
        size_t size_bytes = m->size_bytes > 0 ? m->size_bytes : 4096;
        while (size_bytes < len_bytes) {
            if (size_bytes > SIZE_MAX / 2) {
                return SLR_NOSPACE;
            }
            size_bytes *= 2;
        }
        uint8_t *at = realloc(m->at, size_bytes);
        if (!at) {
            return SLR_NOSPACE;
        }
        m->at = at;
        m->size_bytes = size_bytes;
    }
    if (len_bytes > m->len_bytes) {
        memset(m->at + m->len_bytes, 0, len_bytes - m->len_bytes);
        m->len_bytes = len_bytes;
    }
    return SLR_OK;
}

static enum slr_err write_at(struct slr_sink *s, uint64_t offset_bytes, const void *at,
                             size_t len_bytes)
{
    struct slr_sink_memory *m = memory_of(s);

    if (offset_bytes > SIZE_MAX / 2 || len_bytes > SIZE_MAX / 2) {
        return SLR_NOSPACE;
    }
    if (len_bytes == 0) {
        return SLR_OK;
    }
    enum slr_err err = grow_to(m, (size_t)offset_bytes + len_bytes);
    if (err == SLR_OK) {
        memcpy(m->at + offset_bytes, at, len_bytes);
    }
    return err;
}

static enum slr_err read_at(struct slr_sink *s, uint64_t offset_bytes, void *at, size_t len_bytes)
{
    const struct slr_sink_memory *m = memory_of(s);

    if (len_bytes == 0) {
        return SLR_OK;
    }
    if (offset_bytes > m->len_bytes || len_bytes > m->len_bytes - offset_bytes) {
        return SLR_EOF;
    }
    memcpy(at, m->at + offset_bytes, len_bytes);
    return SLR_OK;
}

static enum slr_err size_of(struct slr_sink *s, uint64_t *size_bytes)
{
    *size_bytes = memory_of(s)->len_bytes;
    return SLR_OK;
}

static enum slr_err truncate_to(struct slr_sink *s, uint64_t size_bytes)
{
    struct slr_sink_memory *m = memory_of(s);

    if (size_bytes > SIZE_MAX / 2) {
        return SLR_NOSPACE;
    }
    if (size_bytes > m->len_bytes) {
        return grow_to(m, (size_t)size_bytes);
    }
    m->len_bytes = (size_t)size_bytes;
    return SLR_OK;
}

static enum slr_err sync_data(struct slr_sink *s)
{
    (void)s;
    return SLR_OK;
}

static void close_memory(struct slr_sink *s)
{
    struct slr_sink_memory *m = memory_of(s);

    free(m->at);
    m->at = NULL;
    m->len_bytes = 0;
    m->size_bytes = 0;
}

const struct slr_sink_ops slr_sink_memory_ops = {
    .name = "memory",
    .write_at = write_at,
    .read_at = read_at,
    .size = size_of,
    .truncate = truncate_to,
    .sync = sync_data,
    .close = close_memory,
};

void slr_sink_memory_init(struct slr_sink_memory *s)
{
    *s = (struct slr_sink_memory){.base = {&slr_sink_memory_ops}};
}

/*
 * evring: records behind a page of header, in a shared mapping.
 *
 * Positions (head, tail) grow for ever; a record lies at position % data size and never wraps: a
 * filler takes what is too short at the end. Order of stores in a put: tail past what is
 * overwritten, the record, head. A process may die between any two of them; the reader of the next
 * process walks from tail to head and cuts at the first record that does not fit. The index of
 * positions is process memory, rebuilt at open.
 */
#include "engine/evring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/log.h"

#define RING_MAGIC 0x534c5245u /* "SLRE" */
#define RING_VERSION 1u
#define HEADER_BYTES 4096u
#define FILLER UINT32_MAX
#define RECORD_MIN_BYTES 128u /* sizes the index; shorter records only make the ring hold fewer */

struct header {
    uint32_t magic, version;
    uint64_t data_bytes;
    char owner[64];
    _Atomic uint64_t tail, head;
};

struct record {
    uint32_t len_bytes; /* FILLER: skip to the end of the data */
    uint32_t crc;       /* of n and text */
    uint64_t n;
};

struct slr_evring {
    struct header *header;
    uint8_t *data;
    size_t data_bytes;
    uint64_t first, last; /* 0: empty */
    uint64_t *position;   /* of record n at n % index_size */
    size_t index_size;
    uint32_t crc_table[256];
};

static void fill_crc_table(uint32_t table[static 256])
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++) {
            c = (c & 1) != 0 ? 0xedb88320u ^ (c >> 1) : c >> 1;
        }
        table[i] = c;
    }
}

static uint32_t crc_more(const struct slr_evring *r, uint32_t crc, const void *at, size_t len)
{
    const uint8_t *p = at;
    for (size_t i = 0; i < len; i++) {
        crc = r->crc_table[(crc ^ p[i]) & 0xff] ^ (crc >> 8);
    }
    return crc;
}

static uint32_t record_crc(const struct slr_evring *r, uint64_t n, struct slr_slice text)
{
    uint32_t crc = crc_more(r, 0xffffffffu, &n, sizeof n);
    return crc_more(r, crc, text.at, text.len_bytes) ^ 0xffffffffu;
}

static size_t record_bytes(size_t text_bytes)
{
    return sizeof(struct record) + ((text_bytes + 15u) & ~(size_t)15u);
}

/* The record at a position. Records are multiples of 16 bytes, as the data is, so a record's header
 * always fits. */
static struct record *record_at(const struct slr_evring *r, uint64_t pos)
{
    return (struct record *)(void *)(r->data + pos % r->data_bytes);
}

static uint64_t skip_filler(const struct slr_evring *r, uint64_t pos)
{
    return pos + (r->data_bytes - pos % r->data_bytes);
}

static struct slr_slice record_text(const struct record *rec)
{
    return slr_slice_of(rec + 1, rec->len_bytes);
}

/* True when a whole, sound record lies at pos and ends by head. */
static bool record_sound(const struct slr_evring *r, uint64_t pos, uint64_t head)
{
    const struct record *rec = record_at(r, pos);
    size_t room = r->data_bytes - pos % r->data_bytes;

    if (rec->len_bytes > room - sizeof *rec || head - pos < record_bytes(rec->len_bytes)) {
        return false;
    }
    return record_crc(r, rec->n, record_text(rec)) == rec->crc &&
           (r->last == 0 || rec->n == r->last + 1) && rec->n != 0;
}

/* Finds what an earlier process left. */
static void walk(struct slr_evring *r)
{
    uint64_t head = atomic_load_explicit(&r->header->head, memory_order_acquire);
    uint64_t tail = atomic_load_explicit(&r->header->tail, memory_order_acquire);
    uint64_t pos = tail, sound = tail;

    if (tail > head || head - tail > r->data_bytes || tail % 16 != 0 || head % 16 != 0) {
        SLR_WARN("event_ring_unusable", "reason=bounds");
        slr_evring_reset(r);
        return;
    }
    while (pos < head) {
        if (record_at(r, pos)->len_bytes == FILLER) {
            pos = skip_filler(r, pos);
            continue;
        }
        if (!record_sound(r, pos, head)) {
            SLR_WARN("event_ring_cut", "after=%llu", (unsigned long long)r->last);
            break;
        }
        const struct record *rec = record_at(r, pos);
        r->last = rec->n;
        r->first = r->first ? r->first : rec->n;
        r->position[rec->n % r->index_size] = pos;
        if (r->last - r->first >= r->index_size) {
            r->first = r->last - r->index_size + 1;
        }
        pos += record_bytes(rec->len_bytes);
        sound = pos;
    }
    if (sound != head) {
        atomic_store_explicit(&r->header->head, sound, memory_order_release);
    }
}

void slr_evring_reset(struct slr_evring *r)
{
    atomic_store_explicit(&r->header->tail, 0, memory_order_release);
    atomic_store_explicit(&r->header->head, 0, memory_order_release);
    r->first = r->last = 0;
}

static bool header_fits(const struct slr_evring *r, const char *owner)
{
    const struct header *h = r->header;
    return h->magic == RING_MAGIC && h->version == RING_VERSION && h->data_bytes == r->data_bytes &&
           strncmp(h->owner, owner, sizeof h->owner) == 0;
}

static void start_header(struct slr_evring *r, const char *owner)
{
    struct header *h = r->header;
    h->magic = 0;
    atomic_thread_fence(memory_order_release);
    slr_evring_reset(r);
    h->version = RING_VERSION;
    h->data_bytes = r->data_bytes;
    memset(h->owner, 0, sizeof h->owner);
    memcpy(h->owner, owner, strlen(owner));
    atomic_thread_fence(memory_order_release);
    h->magic = RING_MAGIC;
}

static enum slr_err map_file(struct slr_evring *r, const char *path)
{
    size_t bytes = HEADER_BYTES + r->data_bytes;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    enum slr_err err = SLR_OK;

    if (fd < 0) {
        return slr_err_from_errno(errno);
    }
    if (ftruncate(fd, (off_t)bytes) != 0) {
        err = slr_err_from_errno(errno);
    } else {
        void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (at == MAP_FAILED) {
            err = slr_err_from_errno(errno);
        } else {
            r->header = at;
            r->data = (uint8_t *)at + HEADER_BYTES;
        }
    }
    close(fd);
    return err;
}

enum slr_err slr_evring_open(const char *path, size_t bytes, const char *owner,
                             struct slr_evring **out)
{
    if (bytes < 65536 || bytes > (1u << 30) || strlen(owner) >= 64) {
        return SLR_INVAL;
    }
    struct slr_evring *r = calloc(1, sizeof *r);
    if (!r) {
        return SLR_NOMEM;
    }
    r->data_bytes = bytes & ~(size_t)4095u;
    r->index_size = r->data_bytes / RECORD_MIN_BYTES;
    r->position = calloc(r->index_size, sizeof *r->position);
    fill_crc_table(r->crc_table);
    enum slr_err err = r->position ? map_file(r, path) : SLR_NOMEM;
    if (err != SLR_OK) {
        SLR_ERROR("event_ring_failed", "path=%s err=%s", SLR_Q(path), slr_err_name(err));
        free(r->position);
        free(r);
        return err;
    }
    if (header_fits(r, owner)) {
        walk(r);
    } else {
        start_header(r, owner);
    }
    *out = r;
    return SLR_OK;
}

void slr_evring_close(struct slr_evring *r)
{
    if (r) {
        munmap(r->header, HEADER_BYTES + r->data_bytes);
        free(r->position);
        free(r);
    }
}

uint64_t slr_evring_first(const struct slr_evring *r)
{
    return r->first;
}

uint64_t slr_evring_last(const struct slr_evring *r)
{
    return r->last;
}

size_t slr_evring_text_max(const struct slr_evring *r)
{
    return r->data_bytes / 8;
}

/* Gives up the oldest records until the data up to `end` is free. */
static void make_room(struct slr_evring *r, uint64_t end)
{
    uint64_t tail = atomic_load_explicit(&r->header->tail, memory_order_relaxed);
    uint64_t head = atomic_load_explicit(&r->header->head, memory_order_relaxed);

    while (end - tail > r->data_bytes && tail < head) {
        const struct record *rec = record_at(r, tail);
        if (rec->len_bytes == FILLER) {
            tail = skip_filler(r, tail);
            continue;
        }
        tail += record_bytes(rec->len_bytes);
        r->first = rec->n >= r->first ? rec->n + 1 : r->first;
    }
    if (tail >= head) {
        tail = head;
        r->first = 0; /* set by the put that follows */
    }
    atomic_store_explicit(&r->header->tail, tail, memory_order_release);
}

enum slr_err slr_evring_put(struct slr_evring *r, uint64_t n, struct slr_slice text)
{
    if (n == 0 || (r->last != 0 && n != r->last + 1)) {
        return SLR_INVAL;
    }
    if (text.len_bytes > slr_evring_text_max(r)) {
        return SLR_TOOLONG;
    }
    size_t need = record_bytes(text.len_bytes);
    uint64_t head = atomic_load_explicit(&r->header->head, memory_order_relaxed);
    size_t room = r->data_bytes - head % r->data_bytes;
    uint64_t pos = room < need ? head + room : head;

    make_room(r, pos + need);
    if (pos != head) {
        record_at(r, head)->len_bytes = FILLER;
    }
    struct record *rec = record_at(r, pos);
    rec->len_bytes = (uint32_t)text.len_bytes;
    rec->n = n;
    memcpy(rec + 1, text.at, text.len_bytes);
    rec->crc = record_crc(r, n, text);
    atomic_store_explicit(&r->header->head, pos + need, memory_order_release);
    r->position[n % r->index_size] = pos;
    r->last = n;
    r->first = r->first ? r->first : n;
    if (r->last - r->first >= r->index_size) {
        r->first = r->last - r->index_size + 1;
    }
    return SLR_OK;
}

enum slr_err slr_evring_get(const struct slr_evring *r, uint64_t n, struct slr_slice *text)
{
    if (n == 0 || r->last == 0 || n < r->first || n > r->last) {
        return SLR_NOTFOUND;
    }
    *text = record_text(record_at(r, r->position[n % r->index_size]));
    return SLR_OK;
}

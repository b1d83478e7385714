/*
 * ipfrag: fragment reassembly with a fixed table.
 * State: struct slr_ipfrag, owned by one capture thread. Allocates at open only.
 *
 * Every fragment leaves in exactly one way: in a datagram (its `frames`), by the verdict of put, or
 * through `dropped`.
 */
#include "capture/ipfrag.h"

#include <stdlib.h>
#include <sys/mman.h>

#define DATAGRAM_BYTES 65536u
/* 65535 bytes in pieces of 1280 (IPv6 minimum MTU) are 53; more holes than that are an attack. */
#define RANGES_MAX 64

struct range {
    uint32_t from_bytes, to_bytes;
};

struct datagram {
    bool used;
    bool spoiled;           /* dropped; the entry stays so that later parts are dropped too */
    bool end_known;         /* the last part was seen */
    uint8_t first_protocol; /* IPv6: the type that the first fragment says */
    uint8_t protocol;
    uint16_t vlan;
    uint32_t id;
    uint32_t frames; /* held and not yet counted anywhere */
    uint32_t end_bytes;
    uint32_t range_count; /* sorted, disjoint, not touching */
    int64_t born_ns;
    struct slr_addr src, dst;
    struct range range[RANGES_MAX];
};

struct slr_ipfrag {
    struct datagram *table;
    uint8_t *bytes; /* DATAGRAM_BYTES for each table row */
    uint32_t size;
    uint32_t used_count;
    int64_t timeout_ns;
    int64_t oldest_ns; /* no entry is older; only meaningful while used_count > 0 */
    uint64_t dropped;
};

enum slr_err slr_ipfrag_open(const struct slr_ipfrag_config *cfg, struct slr_ipfrag **out)
{
    *out = NULL;
    if (cfg->datagrams_max < 1 || cfg->datagrams_max > 65536 || cfg->timeout_ns <= 0) {
        return SLR_INVAL;
    }
    struct slr_ipfrag *f = calloc(1, sizeof *f);
    if (!f) {
        return SLR_NOMEM;
    }
    f->size = cfg->datagrams_max;
    f->timeout_ns = cfg->timeout_ns;
    f->table = calloc(f->size, sizeof *f->table);
    /* mmap, so that only rows that were ever used take memory. */
    void *bytes = mmap(NULL, (size_t)f->size * DATAGRAM_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (!f->table || bytes == MAP_FAILED) {
        free(f->table);
        if (bytes != MAP_FAILED) {
            munmap(bytes, (size_t)f->size * DATAGRAM_BYTES);
        }
        free(f);
        return SLR_NOMEM;
    }
    f->bytes = bytes;
    *out = f;
    return SLR_OK;
}

void slr_ipfrag_close(struct slr_ipfrag *f)
{
    if (!f) {
        return;
    }
    munmap(f->bytes, (size_t)f->size * DATAGRAM_BYTES);
    free(f->table);
    free(f);
}

static uint8_t *bytes_of(const struct slr_ipfrag *f, const struct datagram *d)
{
    return f->bytes + (size_t)(d - f->table) * DATAGRAM_BYTES;
}

static void drop(struct slr_ipfrag *f, struct datagram *d)
{
    f->dropped += d->frames;
    d->frames = 0;
    d->used = false;
    f->used_count--;
}

/* RFC 5722: nothing of an overlapping datagram is used, neither what came nor what will come. */
static enum slr_verdict spoil(struct slr_ipfrag *f, struct datagram *d)
{
    f->dropped += d->frames;
    d->frames = 0;
    d->spoiled = true;
    return SLR_VERDICT_FRAGMENT;
}

void slr_ipfrag_expire(struct slr_ipfrag *f, slr_mono now)
{
    if (f->used_count == 0 || now.ns - f->oldest_ns <= f->timeout_ns) {
        return;
    }
    int64_t oldest_ns = now.ns;
    for (uint32_t i = 0; i < f->size; i++) {
        struct datagram *d = &f->table[i];
        if (!d->used) {
            continue;
        }
        if (now.ns - d->born_ns > f->timeout_ns) {
            drop(f, d);
        } else if (d->born_ns < oldest_ns) {
            oldest_ns = d->born_ns;
        }
    }
    f->oldest_ns = oldest_ns;
}

void slr_ipfrag_flush(struct slr_ipfrag *f)
{
    for (uint32_t i = 0; i < f->size; i++) {
        if (f->table[i].used) {
            drop(f, &f->table[i]);
        }
    }
}

uint64_t slr_ipfrag_held(const struct slr_ipfrag *f)
{
    uint64_t held = 0;
    for (uint32_t i = 0; i < f->size; i++) {
        held += f->table[i].used ? f->table[i].frames : 0;
    }
    return held;
}

uint64_t slr_ipfrag_dropped(const struct slr_ipfrag *f)
{
    return f->dropped;
}

/* IPv4 tells datagrams apart by protocol too (RFC 791); in IPv6 later parts may state another
 * type than the first (RFC 8200 4.5). */
static bool is_same(const struct datagram *d, const struct slr_ip *part, uint16_t vlan)
{
    return d->id == part->fragment_id && d->vlan == vlan &&
           (part->src.family == 6 || d->protocol == part->protocol) &&
           slr_addr_eq_ip(&d->src, &part->src) && slr_addr_eq_ip(&d->dst, &part->dst);
}

/* The datagram that part belongs to, a new one where there is none. */
static struct datagram *datagram_of(struct slr_ipfrag *f, const struct slr_ip *part, uint16_t vlan,
                                    slr_mono now)
{
    struct datagram *unused = NULL, *oldest = &f->table[0];
    for (uint32_t i = 0; i < f->size; i++) {
        struct datagram *d = &f->table[i];
        if (!d->used) {
            unused = unused ? unused : d;
        } else if (is_same(d, part, vlan)) {
            return d;
        } else if (d->born_ns < oldest->born_ns) {
            oldest = d;
        }
    }
    if (!unused) {
        drop(f, oldest);
        unused = oldest;
    }
    if (f->used_count == 0) {
        f->oldest_ns = now.ns;
    }
    f->used_count++;
    *unused = (struct datagram){.used = true,
                                .protocol = part->protocol,
                                .vlan = vlan,
                                .id = part->fragment_id,
                                .born_ns = now.ns,
                                .src = part->src,
                                .dst = part->dst};
    return unused;
}

/* Places [from, to) into the sorted ranges and joins it with what it touches. The caller made sure
 * that it overlaps nothing. False: too many holes. */
static bool add_range(struct datagram *d, uint32_t from_bytes, uint32_t to_bytes)
{
    uint32_t i = 0;
    while (i < d->range_count && d->range[i].to_bytes < from_bytes) {
        i++;
    }
    bool joins_left = i < d->range_count && d->range[i].to_bytes == from_bytes;
    uint32_t right = joins_left ? i + 1 : i;
    bool joins_right = right < d->range_count && d->range[right].from_bytes == to_bytes;
    if (joins_left && joins_right) {
        d->range[i].to_bytes = d->range[right].to_bytes;
        memmove(&d->range[right], &d->range[right + 1],
                (d->range_count - right - 1) * sizeof d->range[0]);
        d->range_count--;
    } else if (joins_left) {
        d->range[i].to_bytes = to_bytes;
    } else if (joins_right) {
        d->range[right].from_bytes = from_bytes;
    } else {
        if (d->range_count == RANGES_MAX) {
            return false;
        }
        memmove(&d->range[i + 1], &d->range[i], (d->range_count - i) * sizeof d->range[0]);
        d->range[i] = (struct range){from_bytes, to_bytes};
        d->range_count++;
    }
    return true;
}

static const struct range *overlap_of(const struct datagram *d, uint32_t from_bytes,
                                      uint32_t to_bytes)
{
    for (uint32_t i = 0; i < d->range_count; i++) {
        if (d->range[i].from_bytes < to_bytes && from_bytes < d->range[i].to_bytes) {
            return &d->range[i];
        }
    }
    return NULL;
}

/* Copies the part to its place. HELD: it is new and consistent. */
static enum slr_verdict place(struct slr_ipfrag *f, struct datagram *d, const struct slr_ip *part)
{
    uint32_t from_bytes = part->fragment_offset_bytes;
    uint32_t to_bytes = from_bytes + (uint32_t)part->payload.len_bytes;
    const struct range *over = overlap_of(d, from_bytes, to_bytes);
    if (over) {
        bool repeated =
            over->from_bytes <= from_bytes && to_bytes <= over->to_bytes &&
            memcmp(bytes_of(f, d) + from_bytes, part->payload.at, part->payload.len_bytes) == 0;
        return repeated ? SLR_VERDICT_FRAGMENT : spoil(f, d);
    }
    if (!part->more_fragments) {
        bool beyond = d->range_count > 0 && d->range[d->range_count - 1].to_bytes > to_bytes;
        if (d->end_known || beyond) {
            return spoil(f, d);
        }
        d->end_known = true;
        d->end_bytes = to_bytes;
    } else if (d->end_known && to_bytes > d->end_bytes) {
        return spoil(f, d);
    }
    if (!add_range(d, from_bytes, to_bytes)) {
        return spoil(f, d);
    }
    if (from_bytes == 0) {
        d->first_protocol = part->protocol;
    }
    memcpy(bytes_of(f, d) + from_bytes, part->payload.at, part->payload.len_bytes);
    d->frames++;
    return SLR_VERDICT_HELD;
}

enum slr_verdict slr_ipfrag_put(struct slr_ipfrag *f, const struct slr_ip *part, uint16_t vlan,
                                slr_mono now, struct slr_ip *whole, uint32_t *frames)
{
    size_t end_bytes = part->fragment_offset_bytes + part->payload.len_bytes;
    bool uneven = part->more_fragments && part->payload.len_bytes % 8 != 0;
    slr_ipfrag_expire(f, now);
    if (part->payload.len_bytes == 0 || uneven || end_bytes > SLR_IP_PAYLOAD_MAX_BYTES) {
        return SLR_VERDICT_FRAGMENT;
    }
    struct datagram *d = datagram_of(f, part, vlan, now);
    if (d->spoiled) {
        return SLR_VERDICT_FRAGMENT;
    }
    enum slr_verdict v = place(f, d, part);
    if (v != SLR_VERDICT_HELD || !d->end_known || d->range_count != 1 ||
        d->range[0].from_bytes != 0) {
        return v;
    }
    *whole = (struct slr_ip){.src = d->src,
                             .dst = d->dst,
                             .payload = slr_slice_of(bytes_of(f, d), d->end_bytes),
                             .protocol = d->first_protocol};
    *frames = d->frames;
    d->used = false;
    f->used_count--;
    if (part->src.family == 6) {
        v = slr_ip_skip_extensions(whole);
        return v == SLR_VERDICT_TAKEN && !whole->fragment ? v : SLR_VERDICT_IP;
    }
    return SLR_VERDICT_TAKEN;
}

/*
 * tcpseg: in-order delivery of captured SIP over TCP.
 * State: struct slr_tcpseg, owned by one capture thread. Allocates at open only.
 *
 * Every segment leaves in exactly one way: by the verdict of put, by take, or through `dropped`.
 */
#include "capture/tcpseg.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

#define NONE UINT32_MAX
#define HELD_BYTES 65536u
#define SIP_PORT 5060
#define SIPS_PORT 5061
/* A sequence number further off than this is another connection, or a capture with a big hole. */
#define WINDOW_BYTES (1 << 20)

struct held {
    uint32_t next; /* in the flow's list, by sequence number; or in the free list */
    uint32_t len_bytes;
    uint32_t seq;
    slr_wall wall;
};

struct flow {
    bool synced;   /* next_seq is known */
    bool syn_seen; /* ... from a SYN with sequence number syn_seq */
    bool gap;      /* what is delivered next comes after a hole */
    bool skip;     /* the hole before the first held segment is given up */
    uint16_t vlan;
    uint32_t next_seq, syn_seq;
    uint32_t held_first, held_count;
    uint32_t chain; /* next flow of the same hash bucket */
    int64_t seen_ns, hole_ns;
    struct slr_addr src, dst;
};

struct slr_tcpseg {
    struct slr_tcpseg_config cfg;
    struct flow *flow;
    uint32_t *bucket;
    uint32_t bucket_mask;
    uint32_t flow_count;
    struct held *held;
    uint8_t *bytes; /* HELD_BYTES for each held row */
    uint32_t free_first, free_count;
    uint32_t ready;      /* flow that may have something to take, NONE: none */
    uint32_t scan;       /* flush and expire: flows from here on may be ready too */
    bool flushing;       /* end of input: no hole is waited for */
    int64_t now_ns;      /* of the last call */
    int64_t deadline_ns; /* no hole times out before it */
    uint64_t dropped;
};

static enum slr_err allocate(struct slr_tcpseg *t)
{
    uint32_t buckets = 16;
    while (buckets < t->cfg.flows_max) {
        buckets *= 2;
    }
    t->bucket_mask = buckets - 1;
    t->flow = calloc(t->cfg.flows_max, sizeof *t->flow);
    t->bucket = malloc(buckets * sizeof *t->bucket);
    t->held = calloc(t->cfg.held_max, sizeof *t->held);
    void *bytes = mmap(NULL, (size_t)t->cfg.held_max * HELD_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    t->bytes = bytes == MAP_FAILED ? NULL : bytes;
    if (!t->flow || !t->bucket || !t->held || !t->bytes) {
        return SLR_NOMEM;
    }
    memset(t->bucket, 0xff, buckets * sizeof *t->bucket);
    for (uint32_t i = 0; i < t->cfg.held_max; i++) {
        t->held[i].next = i + 1 < t->cfg.held_max ? i + 1 : NONE;
    }
    t->free_count = t->cfg.held_max;
    return SLR_OK;
}

enum slr_err slr_tcpseg_open(const struct slr_tcpseg_config *cfg, struct slr_tcpseg **out)
{
    *out = NULL;
    if (cfg->flows_max < 1 || cfg->flows_max > 65536 || cfg->held_max < 2 || cfg->held_max > 4096 ||
        cfg->held_per_flow_max < 1 || cfg->held_per_flow_max > cfg->held_max ||
        cfg->hole_timeout_ns <= 0) {
        return SLR_INVAL;
    }
    struct slr_tcpseg *t = calloc(1, sizeof *t);
    if (!t) {
        return SLR_NOMEM;
    }
    t->cfg = *cfg;
    t->ready = NONE;
    t->scan = NONE;
    t->deadline_ns = INT64_MAX;
    if (allocate(t) != SLR_OK) {
        slr_tcpseg_close(t);
        return SLR_NOMEM;
    }
    *out = t;
    return SLR_OK;
}

void slr_tcpseg_close(struct slr_tcpseg *t)
{
    if (!t) {
        return;
    }
    if (t->bytes) {
        munmap(t->bytes, (size_t)t->cfg.held_max * HELD_BYTES);
    }
    free(t->held);
    free(t->bucket);
    free(t->flow);
    free(t);
}

uint64_t slr_tcpseg_held(const struct slr_tcpseg *t)
{
    return t->cfg.held_max - t->free_count;
}

uint64_t slr_tcpseg_dropped(const struct slr_tcpseg *t)
{
    return t->dropped;
}

/* What a SIP message over TCP begins with (RFC 3261 7.1, 7.2). */
static bool reads_like_sip(struct slr_slice s)
{
    static const char *const start[] = {
        "SIP/2.0 ",   "INVITE ", "ACK ",     "BYE ",  "CANCEL ", "OPTIONS ", "REGISTER ", "PRACK ",
        "SUBSCRIBE ", "NOTIFY ", "PUBLISH ", "INFO ", "REFER ",  "MESSAGE ", "UPDATE ",
    };
    static const char *const scheme[] = {"sip:", "sips:", "tel:", "urn:"};
    struct slr_slice word;
    for (size_t i = 0; i < sizeof start / sizeof start[0]; i++) {
        struct slr_slice rest = s;
        if (!slr_slice_take(&rest, strlen(start[i]), &word) || !slr_slice_eq(word, start[i])) {
            continue;
        }
        if (i == 0) {
            return true;
        }
        for (size_t k = 0; k < sizeof scheme / sizeof scheme[0]; k++) {
            struct slr_slice uri = rest;
            if (slr_slice_take(&uri, strlen(scheme[k]), &word) &&
                slr_slice_eq_nocase(word, scheme[k])) {
                return true;
            }
        }
    }
    return false;
}

static bool is_sip_port(const struct slr_tcpseg_segment *seg)
{
    return seg->src.port == SIP_PORT || seg->dst.port == SIP_PORT || seg->src.port == SIPS_PORT ||
           seg->dst.port == SIPS_PORT;
}

static uint32_t hash_of(const struct slr_tcpseg_segment *seg)
{
    uint32_t h = 2166136261u ^ ((uint32_t)seg->src.port << 16 | seg->dst.port);
    for (size_t i = 0; i < sizeof seg->src.ip; i++) {
        h = (h ^ seg->src.ip[i]) * 16777619u;
        h = (h ^ seg->dst.ip[i]) * 16777619u;
    }
    return h ^ h >> 15;
}

static struct flow *find_flow(struct slr_tcpseg *t, const struct slr_tcpseg_segment *seg,
                              uint32_t bucket)
{
    for (uint32_t i = t->bucket[bucket]; i != NONE; i = t->flow[i].chain) {
        struct flow *f = &t->flow[i];
        if (f->vlan == seg->vlan && slr_addr_eq(&f->src, &seg->src) &&
            slr_addr_eq(&f->dst, &seg->dst)) {
            return f;
        }
    }
    return NULL;
}

static void free_held(struct slr_tcpseg *t, uint32_t i)
{
    t->held[i].next = t->free_first;
    t->free_first = i;
    t->free_count++;
}

static void drop_held(struct slr_tcpseg *t, struct flow *f)
{
    while (f->held_first != NONE) {
        uint32_t i = f->held_first;
        f->held_first = t->held[i].next;
        free_held(t, i);
        t->dropped++;
    }
    f->held_count = 0;
    f->skip = false;
}

static void unlink_flow(struct slr_tcpseg *t, struct flow *f)
{
    const struct slr_tcpseg_segment key = {.src = f->src, .dst = f->dst};
    uint32_t *at = &t->bucket[hash_of(&key) & t->bucket_mask];
    uint32_t self = (uint32_t)(f - t->flow);
    while (*at != self) {
        at = &t->flow[*at].chain;
    }
    *at = f->chain;
}

/* A row for a new flow: an unused one, else that of the flow heard longest ago. */
static struct flow *new_flow(struct slr_tcpseg *t, const struct slr_tcpseg_segment *seg,
                             uint32_t bucket)
{
    struct flow *f = &t->flow[0];
    if (t->flow_count < t->cfg.flows_max) {
        f = &t->flow[t->flow_count++];
    } else {
        for (uint32_t i = 1; i < t->cfg.flows_max; i++) {
            f = t->flow[i].seen_ns < f->seen_ns ? &t->flow[i] : f;
        }
        drop_held(t, f);
        unlink_flow(t, f);
    }
    *f = (struct flow){.vlan = seg->vlan,
                       .held_first = NONE,
                       .chain = t->bucket[bucket],
                       .src = seg->src,
                       .dst = seg->dst};
    t->bucket[bucket] = (uint32_t)(f - t->flow);
    return f;
}

static void start_hole(struct slr_tcpseg *t, struct flow *f)
{
    f->hole_ns = t->now_ns;
    if (f->hole_ns + t->cfg.hole_timeout_ns < t->deadline_ns) {
        t->deadline_ns = f->hole_ns + t->cfg.hole_timeout_ns;
    }
}

/* Signed distance of sequence numbers, which wrap. */
static int32_t seq_minus(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b);
}

/* Keeps a segment that lies ahead, in order of sequence number. */
static enum slr_verdict hold(struct slr_tcpseg *t, struct flow *f,
                             const struct slr_tcpseg_segment *seg)
{
    uint32_t *at = &f->held_first;
    while (*at != NONE && seq_minus(t->held[*at].seq, seg->tcp.seq) < 0) {
        at = &t->held[*at].next;
    }
    if (*at != NONE && t->held[*at].seq == seg->tcp.seq &&
        t->held[*at].len_bytes >= seg->tcp.payload.len_bytes) {
        return SLR_VERDICT_TRANSPORT;
    }
    assert(t->free_count > 0 && seg->tcp.payload.len_bytes <= HELD_BYTES);
    uint32_t i = t->free_first;
    struct held *h = &t->held[i];
    t->free_first = h->next;
    t->free_count--;
    h->next = *at;
    h->len_bytes = (uint32_t)seg->tcp.payload.len_bytes;
    h->seq = seg->tcp.seq;
    h->wall = seg->wall;
    memcpy(t->bytes + (size_t)i * HELD_BYTES, seg->tcp.payload.at, h->len_bytes);
    *at = i;
    if (f->held_count++ == 0) {
        start_hole(t, f);
    }
    /* The last free row is never left taken: the next put may need one. */
    if (f->held_count >= t->cfg.held_per_flow_max || t->free_count == 0) {
        f->skip = true;
        t->ready = (uint32_t)(f - t->flow);
    }
    return SLR_VERDICT_HELD;
}

static void restart(struct slr_tcpseg *t, struct flow *f, uint32_t next_seq)
{
    drop_held(t, f);
    f->synced = true;
    f->gap = true;
    f->next_seq = next_seq;
}

/* A SYN begins a new stream of bytes, unless it is the repetition of one that was seen. Data that
 * comes with it follows its sequence number. */
static void take_syn(struct slr_tcpseg *t, struct flow *f, struct slr_tcpseg_segment *seg)
{
    if (!f->syn_seen || f->syn_seq != seg->tcp.seq) {
        restart(t, f, seg->tcp.seq + 1);
        f->syn_seen = true;
        f->syn_seq = seg->tcp.seq;
    }
    seg->tcp.seq++;
}

/* seg has payload and f is synced. */
static enum slr_verdict put_data(struct slr_tcpseg *t, struct flow *f,
                                 struct slr_tcpseg_segment *seg)
{
    int32_t ahead_bytes = seq_minus(seg->tcp.seq, f->next_seq);
    if (ahead_bytes > WINDOW_BYTES || ahead_bytes < -WINDOW_BYTES) {
        restart(t, f, seg->tcp.seq);
        f->syn_seen = false;
        ahead_bytes = 0;
    }
    if (ahead_bytes + (int64_t)seg->tcp.length_bytes <= 0) {
        return SLR_VERDICT_TRANSPORT;
    }
    bool cut = seg->tcp.payload.len_bytes < seg->tcp.length_bytes;
    if (ahead_bytes > 0) {
        return cut ? SLR_VERDICT_TRUNCATED : hold(t, f, seg);
    }
    f->next_seq = seg->tcp.seq + seg->tcp.length_bytes;
    t->ready = f->held_count > 0 ? (uint32_t)(f - t->flow) : t->ready;
    if (cut) {
        f->gap = true;
        return SLR_VERDICT_TRUNCATED;
    }
    size_t seen_bytes = (size_t)-ahead_bytes;
    seg->tcp.payload =
        slr_slice_of(seg->tcp.payload.at + seen_bytes, seg->tcp.payload.len_bytes - seen_bytes);
    seg->tcp.length_bytes = (uint32_t)seg->tcp.payload.len_bytes;
    seg->tcp.seq += (uint32_t)seen_bytes;
    seg->gap = f->gap;
    f->gap = false;
    return SLR_VERDICT_TAKEN;
}

enum slr_verdict slr_tcpseg_put(struct slr_tcpseg *t, struct slr_tcpseg_segment *seg, slr_mono now)
{
    uint32_t bucket = hash_of(seg) & t->bucket_mask;
    struct flow *f = find_flow(t, seg, bucket);
    t->now_ns = now.ns;
    if (!f) {
        bool begins = seg->tcp.syn || seg->tcp.length_bytes > 0;
        if (!begins || !(is_sip_port(seg) || reads_like_sip(seg->tcp.payload))) {
            return SLR_VERDICT_TRANSPORT;
        }
        f = new_flow(t, seg, bucket);
    }
    f->seen_ns = now.ns;
    if (seg->tcp.syn) {
        take_syn(t, f, seg);
    }
    if (seg->tcp.length_bytes == 0) {
        return SLR_VERDICT_TRANSPORT;
    }
    if (!f->synced) {
        restart(t, f, seg->tcp.seq);
    }
    return put_data(t, f, seg);
}

static bool take_from(struct slr_tcpseg *t, struct flow *f, struct slr_tcpseg_segment *seg)
{
    while (f->held_first != NONE) {
        uint32_t i = f->held_first;
        const struct held *h = &t->held[i];
        int32_t ahead_bytes = seq_minus(h->seq, f->next_seq);
        if (ahead_bytes > 0) {
            if (!f->skip && !t->flushing) {
                return false;
            }
            f->skip = false;
            f->gap = true;
            f->next_seq = h->seq;
            ahead_bytes = 0;
        }
        f->held_first = h->next;
        f->held_count--;
        free_held(t, i);
        if (f->held_count > 0) { /* there is progress: the next hole has its own time */
            start_hole(t, f);
        }
        if (ahead_bytes + (int64_t)h->len_bytes <= 0) {
            t->dropped++;
            continue;
        }
        size_t seen_bytes = (size_t)-ahead_bytes;
        uint32_t left_bytes = h->len_bytes - (uint32_t)seen_bytes;
        const uint8_t *at = t->bytes + (size_t)i * HELD_BYTES + seen_bytes;
        *seg = (struct slr_tcpseg_segment){
            .src = f->src, .dst = f->dst, .vlan = f->vlan, .wall = h->wall, .gap = f->gap};
        seg->tcp.payload = slr_slice_of(at, left_bytes);
        seg->tcp.length_bytes = left_bytes;
        seg->tcp.seq = f->next_seq;
        f->gap = false;
        f->next_seq += left_bytes;
        return true;
    }
    f->skip = false;
    return false;
}

bool slr_tcpseg_take(struct slr_tcpseg *t, struct slr_tcpseg_segment *seg)
{
    if (t->ready != NONE) {
        if (take_from(t, &t->flow[t->ready], seg)) {
            return true;
        }
        t->ready = NONE;
    }
    while (t->scan != NONE) {
        if (t->scan >= t->flow_count) {
            t->scan = NONE;
        } else if (take_from(t, &t->flow[t->scan], seg)) {
            return true;
        } else {
            t->scan++;
        }
    }
    return false;
}

void slr_tcpseg_expire(struct slr_tcpseg *t, slr_mono now)
{
    t->now_ns = now.ns;
    if (now.ns < t->deadline_ns) {
        return;
    }
    t->deadline_ns = INT64_MAX;
    for (uint32_t i = 0; i < t->flow_count; i++) {
        struct flow *f = &t->flow[i];
        if (f->held_count == 0) {
            continue;
        }
        int64_t due_ns = f->hole_ns + t->cfg.hole_timeout_ns;
        if (due_ns <= now.ns) {
            f->skip = true;
            t->scan = 0;
        } else if (due_ns < t->deadline_ns) {
            t->deadline_ns = due_ns;
        }
    }
}

void slr_tcpseg_flush(struct slr_tcpseg *t)
{
    t->flushing = true;
    t->scan = 0;
}

/*
 * xdp: live backend whose packets an XDP program puts into rings, one for each stream, before the
 * kernel has made anything of them (xdp_program.h, xdp_plane.h).
 *
 * The bound socket of a port goes to a second backend (uring, or else socket), which receives what
 * the program leaves to the stack: RTCP and other odd ports, long packets, what found its ring
 * full, fragments, whatever is unusual. So nothing depends on the program for being recorded.
 * Each batch takes first the rings that have something new, which the program lists, then what the
 * second backend has; a packet of that comes after what its closed ring still holds. So that a ring
 * is open only while the socket has nothing older, it is opened when the second backend was found
 * empty (or after a while, if that does not happen).
 * A slot says for which owner of the port it was written; any other's is a stray. State: struct
 * xdp, owned by one worker thread (wake, stats: any thread). Allocates at open only.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "capture/backend.h"
#include "capture/live.h"
#include "capture/xdp_plane.h"
#include "common/prefetch.h"

#define NONE UINT32_MAX
#define PASSED_ROUNDS 64u /* of a batch: then the rings are looked at again */
#define STEP_MIN_NS SLR_NS_PER_MS
#define STEP_IDLE_NS (20 * SLR_NS_PER_MS)
#define STEP_MANY_NS (40 * SLR_NS_PER_MS) /* two packets of a stream, found side by side */
#define MANY_PORTS 512u
#define IDLE_BATCHES 10u
#define LONG_CLOSED_NS (2 * SLR_NS_PER_S)
#define CLOSED_MAX_NS (3 * SLR_NS_PER_S)
#define NEW_CLOSED_MAX_NS (50 * SLR_NS_PER_MS)
#define AHEAD 8u /* rings that are asked for before they are read */

/* The reader's side of a ring. */
struct ring {
    int64_t last_ns;   /* arrival of its stream's last packet */
    int64_t closed_ns; /* when it was found closed */
    uint32_t owner;    /* 0: nobody's */
    uint32_t tail;     /* number of the last slot read */
    uint32_t tag;
    uint32_t generation;
    bool waiting; /* to be opened */
};

/* What a tag stands for. */
struct place {
    uint32_t ring; /* NONE: its socket is all it has */
    uint32_t ip;
    uint16_t port;
    bool used;
};

/* Rings, each in it once at most. */
struct queue {
    uint32_t *ring;
    uint32_t head, tail, size;
};

/* Why a ring waits to be opened. */
enum why { NEW, FULL, LONG, WHYS };

enum phase { RINGS, PASSED, DONE };

struct xdp {
    struct slr_capture base;
    struct slr_live live; /* clock, wake, counters; no sockets */
    struct slr_capture *second;
    struct slr_xdp_plane *plane;
    struct slr_xdp_view view;
    struct ring *ring;   /* its own, from number 0 */
    struct place *place; /* by tag */
    uint32_t tag_count, used;
    struct queue unused, closed[WHYS];
    enum phase phase;
    uint32_t list_at, list_end;
    uint32_t current, left; /* the ring that is being read, and how much more of it */
    struct slr_packet passed[SLR_CAPTURE_BURST];
    uint32_t passed_at, passed_count, passed_rounds, passed_empty;
    bool lent;                        /* this burst has bytes of the second backend */
    uint32_t held[SLR_CAPTURE_BURST]; /* rings whose slots this burst has */
    uint32_t held_count;
    int64_t batch_at_ns;
    uint32_t idle; /* batches without a packet */
    enum slr_err second_err;
    slr_counter by_ring, forgotten;
};

static struct xdp *xdp_of(struct slr_capture *c)
{
    return (struct xdp *)(void *)((char *)c - offsetof(struct xdp, base));
}

static void put(struct queue *q, uint32_t ring)
{
    q->ring[q->tail++ % q->size] = ring;
}

static uint32_t get(struct queue *q)
{
    return q->head == q->tail ? NONE : q->ring[q->head++ % q->size];
}

static struct slr_xdp_head *head_of(const struct xdp *x, uint32_t ring)
{
    return &x->view.heads[x->view.first_ring + ring];
}

static const struct slr_xdp_slot *slot_of(const struct xdp *x, uint32_t ring, uint32_t number)
{
    uint32_t n = x->view.slots_a_ring;
    return &x->view.slots[(size_t)(x->view.first_ring + ring) * n + (number & (n - 1))];
}

/* ---- rings ---- */

static void release(struct xdp *x, uint32_t ring)
{
    atomic_store_explicit(&head_of(x, ring)->tail, x->ring[ring].tail, memory_order_release);
}

static void fill(struct ring *r, const struct slr_xdp_slot *s, struct slr_packet *p)
{
    int64_t arrival_ns = (int64_t)s->arrival_ns;
    *p = (struct slr_packet){.at = s->payload, .len_bytes = s->len_bytes, .tag = r->tag};
    memcpy(p->src.ip, s->src_ip, sizeof p->src.ip);
    p->src.port = s->src_port;
    p->src.family = s->family;
    r->last_ns = arrival_ns > r->last_ns ? arrival_ns : r->last_ns;
    p->arrival = (slr_mono){r->last_ns};
}

/* Reads a ring as far as packets came until then, *left of them at most and as there is room.
 * False: there is no room. */
static bool take_ring(struct xdp *x, uint32_t ring, int64_t until_ns, uint32_t *left,
                      struct slr_packet *burst, uint32_t *count)
{
    struct ring *r = &x->ring[ring];
    uint32_t before = *count, tail = r->tail;
    bool room = true;
    while (*left > 0) {
        const struct slr_xdp_slot *s = slot_of(x, ring, r->tail);
        uint32_t number =
            atomic_load_explicit((_Atomic uint32_t *)(uintptr_t)&s->number, memory_order_acquire);
        if (number != r->tail + 1 || (int64_t)s->arrival_ns > until_ns) {
            break;
        }
        if (s->owner != r->owner || s->len_bytes == 0) {
            slr_count_own(&x->live.drop_stray, 1);
        } else if (*count < SLR_CAPTURE_BURST) {
            fill(r, s, &burst[(*count)++]);
        } else {
            room = false;
            break;
        }
        r->tail++;
        (*left)--;
    }
    if (*count > before) {
        slr_count_own(&x->by_ring, *count - before);
        x->held[x->held_count++] = ring;
    } else if (r->tail != tail) {
        release(x, ring);
    }
    return room;
}

/* A closed ring waits for being opened. */
static void await_opening(struct xdp *x, uint32_t ring, enum why why)
{
    if (x->ring[ring].waiting || x->ring[ring].owner == 0) {
        return;
    }
    x->ring[ring].waiting = true;
    x->ring[ring].closed_ns = x->batch_at_ns;
    put(&x->closed[why], ring);
}

/* Is the first of them to be opened? empty: no socket has anything. */
static bool is_due(const struct xdp *x, enum why why, bool empty)
{
    static const int64_t earliest_ns[] = {[NEW] = 0, [FULL] = 0, [LONG] = LONG_CLOSED_NS};
    static const int64_t latest_ns[] = {
        [NEW] = NEW_CLOSED_MAX_NS, [FULL] = CLOSED_MAX_NS, [LONG] = CLOSED_MAX_NS};
    const struct queue *q = &x->closed[why];
    if (q->head == q->tail) {
        return false;
    }
    int64_t closed_ns = x->batch_at_ns - x->ring[q->ring[q->head % q->size]].closed_ns;
    return closed_ns >= (empty ? earliest_ns[why] : latest_ns[why]);
}

static bool is_any_due(const struct xdp *x)
{
    return is_due(x, NEW, true) || is_due(x, FULL, true) || is_due(x, LONG, true);
}

/* Where the sockets are never found empty it is done in the end all the same: then a packet may
 * come before one that was sent before it. */
static void open_rings(struct xdp *x, bool empty)
{
    for (enum why why = NEW; why < WHYS; why++) {
        while (is_due(x, why, empty)) {
            uint32_t ring = get(&x->closed[why]);
            x->ring[ring].waiting = false;
            if (x->ring[ring].owner != 0) {
                atomic_store(&head_of(x, ring)->mode, SLR_XDP_OPEN);
            }
        }
    }
}

/* Memory of the rings that come after this one. */
static void fetch_ahead(const struct xdp *x)
{
    uint32_t mask = x->view.places - 1;
    uint32_t far =
        atomic_load_explicit(&x->view.place[(x->list_at + 2 * AHEAD) & mask], memory_order_relaxed);
    uint32_t near =
        atomic_load_explicit(&x->view.place[(x->list_at + AHEAD) & mask], memory_order_relaxed);
    uint32_t ring = far - 1 - x->view.first_ring;
    if (ring < x->view.rings) {
        slr_prefetch((uintptr_t)&x->ring[ring], sizeof x->ring[ring]);
        slr_prefetch((uintptr_t)head_of(x, ring), 1);
    }
    ring = near - 1 - x->view.first_ring;
    if (ring < x->view.rings) {
        slr_prefetch_read((uintptr_t)slot_of(x, ring, x->ring[ring].tail), 1);
    }
}

/* The next ring of the list, NONE: the batch has no more. */
static uint32_t next_listed(struct xdp *x)
{
    if (x->list_at == x->list_end) {
        return NONE;
    }
    _Atomic uint32_t *place = &x->view.place[x->list_at & (x->view.places - 1)];
    uint32_t ring = atomic_load_explicit(place, memory_order_acquire);
    if (ring == 0) {
        return NONE; /* it is being written */
    }
    fetch_ahead(x);
    atomic_store_explicit(place, 0, memory_order_relaxed);
    x->list_at++;
    ring -= 1 + x->view.first_ring;
    struct slr_xdp_head *head = head_of(x, ring);
    atomic_exchange(&head->listed, 0); /* from now on what comes lists it again */
    uint32_t mode = atomic_load(&head->mode);
    if (mode != SLR_XDP_OPEN) {
        await_opening(x, ring, mode == SLR_XDP_LONG ? LONG : FULL);
    }
    return ring;
}

static void take_listed(struct xdp *x, struct slr_packet *burst, uint32_t *count)
{
    do {
        if (x->current == NONE) {
            x->current = next_listed(x);
            x->left = x->view.slots_a_ring; /* what comes while it is read waits for its turn */
        }
        if (x->current == NONE) {
            x->phase = PASSED;
            return;
        }
        if (!take_ring(x, x->current, INT64_MAX, &x->left, burst, count)) {
            return;
        }
        x->current = NONE;
    } while (*count < SLR_CAPTURE_BURST);
}

/* ---- what the program left to the sockets ---- */

/* Looks at the second backend again; false: enough for this batch. */
static bool fetch_passed(struct xdp *x)
{
    const struct slr_capture_ops *ops = x->second->ops;
    if (x->passed_rounds++ == PASSED_ROUNDS) {
        x->phase = DONE;
        return false;
    }
    x->passed_at = 0;
    x->second_err = ops->next(x->second, 0, x->passed, &x->passed_count);
    if (x->passed_count > 0) {
        x->passed_empty = 0;
        return true;
    }
    if (x->second_err == SLR_OK && ops->behind(x->second)) {
        return true;
    }
    /* empty twice: the first time it may have been short of buffers */
    if (++x->passed_empty == 1 && is_any_due(x) && x->second_err == SLR_OK) {
        return true;
    }
    open_rings(x, true);
    x->phase = DONE;
    return false;
}

/* First what its ring has from before. */
static bool take_passed_one(struct xdp *x, struct slr_packet *burst, uint32_t *count)
{
    const struct slr_packet *p = &x->passed[x->passed_at];
    uint32_t ring = x->place[p->tag].ring;
    struct slr_packet *to = NULL;
    if (ring != NONE) {
        bool open = atomic_load(&head_of(x, ring)->mode) == SLR_XDP_OPEN;
        uint32_t left = x->view.slots_a_ring;
        if (!take_ring(x, ring, open ? p->arrival.ns : INT64_MAX, &left, burst, count)) {
            return false;
        }
    }
    if (*count == SLR_CAPTURE_BURST) {
        return false;
    }
    to = &burst[(*count)++];
    *to = *p;
    x->passed_at++;
    x->lent = true;
    if (ring != NONE) {
        struct ring *r = &x->ring[ring];
        r->last_ns = to->arrival.ns > r->last_ns ? to->arrival.ns : r->last_ns;
        to->arrival.ns = r->last_ns;
    }
    return true;
}

static void take_passed(struct xdp *x, struct slr_packet *burst, uint32_t *count)
{
    while (*count < SLR_CAPTURE_BURST) {
        if (x->passed_at == x->passed_count && (x->lent || !fetch_passed(x))) {
            return; /* a further look would take back what this burst lends */
        }
        if (x->passed_at < x->passed_count && !take_passed_one(x, burst, count)) {
            return;
        }
    }
}

/* ---- batches ---- */

static void begin(struct xdp *x, int64_t now_ns)
{
    x->batch_at_ns = now_ns;
    x->phase = RINGS;
    x->list_end = atomic_load_explicit(&x->view.list->head, memory_order_acquire);
    x->passed_rounds = 0;
    x->passed_empty = 0;
    open_rings(x, false);
}

static void work(struct xdp *x, struct slr_packet *burst, uint32_t *count)
{
    if (x->phase == RINGS) {
        take_listed(x, burst, count);
    }
    if (x->phase == PASSED) {
        take_passed(x, burst, count);
    }
}

/* How long to gather; nothing tells of a packet, so someone has to look. */
static int64_t step_ns(const struct xdp *x, int64_t timeout_ns)
{
    if (x->used == 0) {
        return timeout_ns;
    }
    int64_t least_ns = x->idle >= IDLE_BATCHES ? STEP_IDLE_NS : STEP_MIN_NS;
    if (x->used >= MANY_PORTS) {
        least_ns = STEP_MANY_NS;
    }
    return x->live.batch_ns > least_ns ? x->live.batch_ns : least_ns;
}

static enum slr_err xdp_next(struct slr_capture *c, uint32_t timeout_us, struct slr_packet *burst,
                             uint32_t *count)
{
    struct xdp *x = xdp_of(c);
    int64_t timeout_ns = (int64_t)timeout_us * 1000;
    *count = 0;
    for (uint32_t i = 0; i < x->held_count; i++) {
        release(x, x->held[i]);
    }
    x->held_count = 0;
    x->lent = false;
    work(x, burst, count); /* what is left of the batch */
    if (*count > 0) {
        x->idle = 0;
        return SLR_OK;
    }
    int64_t now_ns = slr_clock_mono(x->live.clock).ns;
    int64_t end_ns = now_ns + timeout_ns;
    bool woken = false;
    do {
        int64_t until_ns = timeout_us == 0 ? now_ns : x->batch_at_ns + step_ns(x, timeout_ns);
        until_ns = until_ns < end_ns ? until_ns : end_ns;
        if (until_ns > now_ns) {
            woken = slr_live_sleep(&x->live, until_ns - now_ns, NULL, 0);
            now_ns = slr_clock_mono(x->live.clock).ns;
        }
        begin(x, now_ns);
        work(x, burst, count);
        x->idle = *count > 0 ? 0 : x->idle + 1;
    } while (*count == 0 && !woken && now_ns < end_ns && x->second_err == SLR_OK);
    return *count > 0 ? SLR_OK : x->second_err;
}

static bool xdp_behind(const struct slr_capture *c)
{
    const struct xdp *x =
        (const struct xdp *)(const void *)((const char *)c - offsetof(struct xdp, base));
    return x->phase != DONE || x->passed_at < x->passed_count || x->second->ops->behind(x->second);
}

/* ---- ports ---- */

/* A ring for the port, closed at first: what came before waits in the socket. RTCP is not worth
 * one. */
static void claim(struct xdp *x, uint32_t tag, const struct slr_addr *at)
{
    struct place *p = &x->place[tag];
    *p = (struct place){.ring = NONE, .port = at->port, .used = true};
    p->ip = slr_xdp_plane_ip(x->plane, at);
    if (at->port % 2 != 0 || p->ip == SLR_XDP_NO_IP) {
        return;
    }
    p->ring = get(&x->unused);
    if (p->ring == NONE) {
        return;
    }
    struct ring *r = &x->ring[p->ring];
    r->generation++;
    r->owner = r->generation << SLR_XDP_RING_BITS | (x->view.first_ring + p->ring + 1);
    r->tag = tag;
    r->last_ns = 0;
    await_opening(x, p->ring, NEW);
    atomic_store_explicit(&x->view.table[p->ip * SLR_XDP_PORTS + p->port], r->owner,
                          memory_order_release);
}

static enum slr_err xdp_add(struct slr_capture *c, int fd, uint32_t tag)
{
    struct xdp *x = xdp_of(c);
    struct sockaddr_storage sa;
    struct slr_addr at = {.family = 0};
    socklen_t len_bytes = sizeof sa;
    if (getsockname(fd, (struct sockaddr *)&sa, &len_bytes) != 0 ||
        !slr_addr_from_sockaddr((const struct sockaddr *)&sa, &at)) {
        at.family = 0; /* the second backend says what is wrong with it */
    }
    enum slr_err err = x->second->ops->add(x->second, fd, tag);
    if (err == SLR_OK) {
        x->used++;
        claim(x, tag, &at);
    }
    return err;
}

/* Packets of the second backend that were not handed on yet. */
static void forget_passed(struct xdp *x, uint32_t tag)
{
    uint32_t to = x->passed_at;
    for (uint32_t i = x->passed_at; i < x->passed_count; i++) {
        if (x->passed[i].tag != tag) {
            x->passed[to++] = x->passed[i];
        }
    }
    slr_count_own(&x->forgotten, x->passed_count - to);
    x->passed_count = to;
}

static void xdp_remove(struct slr_capture *c, uint32_t tag)
{
    struct xdp *x = xdp_of(c);
    if (tag >= x->tag_count || !x->place[tag].used) {
        return;
    }
    struct place *p = &x->place[tag];
    if (p->ring != NONE) {
        _Atomic uint32_t *owner = &x->view.table[p->ip * SLR_XDP_PORTS + p->port];
        atomic_store_explicit(owner, 0, memory_order_release);
        x->ring[p->ring].owner = 0; /* what is in it, or on its way there, is a stray */
        atomic_store(&head_of(x, p->ring)->mode, SLR_XDP_FULL);
        put(&x->unused, p->ring);
    }
    *p = (struct place){.ring = NONE};
    x->used--;
    forget_passed(x, tag);
    x->second->ops->remove(x->second, tag);
}

/* ---- open and close ---- */

static void xdp_wake(struct slr_capture *c)
{
    slr_live_wake(&xdp_of(c)->live);
}

static void xdp_stats(const struct slr_capture *c, struct slr_capture_stats *out)
{
    const struct xdp *x =
        (const struct xdp *)(const void *)((const char *)c - offsetof(struct xdp, base));
    uint64_t by_ring = slr_count_get(&x->by_ring), forgotten = slr_count_get(&x->forgotten);
    x->second->ops->stats(x->second, out);
    out->packets += by_ring - forgotten;
    out->by_ring = by_ring;
    out->drop_stray += slr_count_get(&x->live.drop_stray) + forgotten;
}

static void xdp_close(struct slr_capture *c)
{
    struct xdp *x = xdp_of(c);
    for (uint32_t i = 0; x->second && i < x->tag_count; i++) {
        xdp_remove(c, i); /* the table goes on when there are other workers */
    }
    if (x->second) {
        x->second->ops->close(x->second);
    }
    slr_xdp_plane_leave(x->plane);
    slr_live_fini(&x->live);
    free(x->unused.ring);
    for (enum why why = NEW; why < WHYS; why++) {
        free(x->closed[why].ring);
    }
    free(x->ring);
    free(x->place);
    free(x);
}

static enum slr_err make_queue(struct queue *q, uint32_t size)
{
    q->ring = calloc(size, sizeof *q->ring);
    q->size = size;
    return q->ring ? SLR_OK : SLR_NOMEM;
}

static enum slr_err allocate(struct xdp *x)
{
    uint32_t rings = x->view.rings;
    x->ring = calloc(rings, sizeof *x->ring);
    x->place = calloc(x->tag_count, sizeof *x->place);
    if (!x->ring || !x->place || make_queue(&x->unused, rings) != SLR_OK) {
        return SLR_NOMEM;
    }
    for (enum why why = NEW; why < WHYS; why++) {
        if (make_queue(&x->closed[why], rings) != SLR_OK) {
            return SLR_NOMEM;
        }
    }
    for (uint32_t i = 0; i < rings; i++) {
        put(&x->unused, i);
    }
    return SLR_OK;
}

/* The first worker's brings the program, the others join. */
static enum slr_err open_plane(struct xdp *x, const struct slr_capture_config *cfg)
{
    uint32_t workers = cfg->workers > 1 ? cfg->workers : 1;
    uint32_t all = (cfg->max_sockets + 1) / 2; /* a stream has two ports */
    const struct xdp *first = cfg->first && cfg->first->ops == &slr_xdp_ops
                                  ? (const struct xdp *)(const void *)((const char *)cfg->first -
                                                                       offsetof(struct xdp, base))
                                  : NULL;
    const struct slr_xdp_plane_config plane = {
        .ip = cfg->media_ip,
        .ip_count = cfg->media_ip_count,
        .readers = workers,
        .rings = workers == 1 ? all : all / workers + all / workers / 2 + 1,
        .spec = cfg->arg};
    enum slr_err err = SLR_OK;
    if (first) {
        err = slr_xdp_plane_join(first->plane, &x->view);
        x->plane = err == SLR_OK ? first->plane : NULL;
    } else {
        err = slr_xdp_plane_open(&plane, &x->plane, &x->view);
    }
    x->list_at = 0;
    return err;
}

static enum slr_err open_second(struct xdp *x, const struct slr_capture_config *cfg)
{
    static const struct slr_capture_ops *const choice[] = {&slr_uring_ops, &slr_socket_ops};
    enum slr_err err = SLR_UNSUPPORTED;
    for (size_t i = 0; i < sizeof choice / sizeof *choice && err == SLR_UNSUPPORTED; i++) {
        err = choice[i]->open(cfg, &x->second);
    }
    return err;
}

static enum slr_err xdp_open(const struct slr_capture_config *cfg, struct slr_capture **out)
{
    *out = NULL;
    if (cfg->max_sockets < 1 || cfg->max_sockets > SLR_LIVE_MAX_SOCKETS) {
        return SLR_INVAL;
    }
    struct slr_capture_config own = *cfg;
    own.max_sockets = 1; /* the second backend has them */
    struct xdp *x = calloc(1, sizeof *x);
    if (!x) {
        return SLR_NOMEM;
    }
    x->base.ops = &slr_xdp_ops;
    x->tag_count = cfg->max_sockets;
    x->current = NONE;
    x->phase = DONE;
    enum slr_err err = slr_live_init(&x->live, &own);
    if (err != SLR_OK) {
        free(x);
        return err;
    }
    err = open_plane(x, cfg);
    if (err == SLR_OK) {
        err = allocate(x);
    }
    if (err == SLR_OK) {
        err = open_second(x, cfg);
    }
    if (err != SLR_OK) {
        xdp_close(&x->base);
        return err;
    }
    *out = &x->base;
    return SLR_OK;
}

const struct slr_capture_ops slr_xdp_ops = {
    .name = "xdp",
    .passive = false,
    .open = xdp_open,
    .add = xdp_add,
    .remove = xdp_remove,
    .next = xdp_next,
    .behind = xdp_behind,
    .wake = xdp_wake,
    .stats = xdp_stats,
    .close = xdp_close,
};

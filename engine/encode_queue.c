/*
 * encode_queue: see the header. A sorted array: most of what comes belongs at its end.
 */
#include "engine/encode_queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"

#define FIRST_SIZE 64u

void slr_encode_queue_fini(struct slr_encode_queue *q)
{
    free(q->at);
    *q = (struct slr_encode_queue){0};
}

/* Where the id stands, or would. */
static uint32_t place_of(const struct slr_encode_queue *q, const char *id, bool *found)
{
    uint32_t lo = 0, hi = q->count;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (strcmp(q->at[mid].id, id) < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    *found = lo < q->count && strcmp(q->at[lo].id, id) == 0;
    return lo;
}

static struct slr_encode_entry *find(struct slr_encode_queue *q, const char *id)
{
    bool found = false;
    uint32_t place = place_of(q, id, &found);
    return found ? &q->at[place] : NULL;
}

static enum slr_err make_room(struct slr_encode_queue *q)
{
    if (q->count < q->size) {
        return SLR_OK;
    }
    uint32_t size = q->size ? q->size * 2 : FIRST_SIZE;
    size = size < SLR_ENCODE_QUEUE_MAX ? size : SLR_ENCODE_QUEUE_MAX;
    if (q->count >= size) {
        return SLR_FULL;
    }
    struct slr_encode_entry *at = realloc(q->at, size * sizeof *at);
    if (!at) {
        return SLR_NOMEM;
    }
    q->at = at;
    q->size = size;
    return SLR_OK;
}

enum slr_err slr_encode_queue_put(struct slr_encode_queue *q, const char *id, int64_t len_ms,
                                  int64_t since_wall_ns)
{
    bool found = false;
    uint32_t place = place_of(q, id, &found);
    enum slr_err err = found ? SLR_EXISTS : make_room(q);
    if (err != SLR_OK) {
        return err;
    }
    memmove(q->at + place + 1, q->at + place, (q->count - place) * sizeof *q->at);
    q->at[place] = (struct slr_encode_entry){.len_ms = len_ms, .since_wall_ns = since_wall_ns};
    snprintf(q->at[place].id, sizeof q->at[place].id, "%s", id);
    q->count++;
    return SLR_OK;
}

static bool is_ready(const struct slr_encode_entry *e, int64_t now_ns)
{
    return !e->running && e->not_before_ns <= now_ns;
}

bool slr_encode_queue_take(struct slr_encode_queue *q, int64_t now_ns, char id[static SLR_ID_SIZE])
{
    for (uint32_t i = 0; i < q->count; i++) {
        if (is_ready(&q->at[i], now_ns)) {
            q->at[i].running = true;
            memcpy(id, q->at[i].id, SLR_ID_SIZE);
            return true;
        }
    }
    return false;
}

void slr_encode_queue_drop(struct slr_encode_queue *q, const char *id)
{
    bool found = false;
    uint32_t place = place_of(q, id, &found);
    if (found) {
        q->count--;
        memmove(q->at + place, q->at + place + 1, (q->count - place) * sizeof *q->at);
    }
}

void slr_encode_queue_back(struct slr_encode_queue *q, const char *id)
{
    struct slr_encode_entry *e = find(q, id);
    if (e && e->unwanted) {
        slr_encode_queue_drop(q, id);
    } else if (e) {
        e->running = false;
    }
}

uint32_t slr_encode_queue_retry(struct slr_encode_queue *q, const char *id, int64_t now_ns,
                                uint32_t *tries)
{
    struct slr_encode_entry *e = find(q, id);
    uint32_t wait_s = SLR_ENCODE_RETRY_S;
    *tries = 0;
    if (!e || e->unwanted) {
        slr_encode_queue_drop(q, id);
        return 0;
    }
    for (uint32_t i = 0; i < e->tries && wait_s < SLR_ENCODE_RETRY_MAX_S; i++) {
        wait_s *= 2;
    }
    wait_s = wait_s < SLR_ENCODE_RETRY_MAX_S ? wait_s : SLR_ENCODE_RETRY_MAX_S;
    e->running = false;
    e->not_before_ns = now_ns + (int64_t)wait_s * SLR_NS_PER_S;
    *tries = ++e->tries;
    return wait_s;
}

enum slr_err slr_encode_queue_cancel(struct slr_encode_queue *q, const char *id)
{
    struct slr_encode_entry *e = find(q, id);
    if (!e) {
        return SLR_NOTFOUND;
    }
    if (e->running) {
        e->unwanted = true;
        return SLR_BUSY;
    }
    slr_encode_queue_drop(q, id);
    return SLR_OK;
}

void slr_encode_queue_backlog(const struct slr_encode_queue *q, int64_t now_ns,
                              struct slr_encode_backlog *b)
{
    *b = (struct slr_encode_backlog){.recordings = q->count};
    for (uint32_t i = 0; i < q->count; i++) {
        const struct slr_encode_entry *e = &q->at[i];
        b->running += e->running;
        b->ready += is_ready(e, now_ns);
        b->len_ms += e->len_ms;
        if (b->oldest_wall_ns == 0 || e->since_wall_ns < b->oldest_wall_ns) {
            b->oldest_wall_ns = e->since_wall_ns;
        }
    }
}

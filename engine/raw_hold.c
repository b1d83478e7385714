/*
 * raw_hold: a ring of whole entries. See the header.
 */
#include "engine/raw_hold.h"

#include <stdlib.h>
#include <string.h>

struct entry {
    size_t bytes; /* of all of it, a multiple of 16 */
    uint32_t flow;
    bool rtcp;
    struct slr_packet pkt; /* its bytes follow */
};
#define HEAD_BYTES ((sizeof(struct entry) + 15) / 16 * 16)

enum slr_err slr_raw_hold_init(struct slr_raw_hold *h, size_t size_bytes)
{
    *h = (struct slr_raw_hold){.size_bytes = size_bytes / 16 * 16};
    h->at = calloc(1, size_bytes);
    return h->at ? SLR_OK : SLR_NOMEM;
}

void slr_raw_hold_fini(struct slr_raw_hold *h)
{
    free(h->at);
    *h = (struct slr_raw_hold){.at = NULL};
}

static struct entry *entry_at(const struct slr_raw_hold *h, size_t at)
{
    return (struct entry *)(void *)(h->at + at);
}

static size_t after(const struct slr_raw_hold *h, size_t at)
{
    size_t next = at + entry_at(h, at)->bytes;
    return h->wrap > 0 && next == h->wrap ? 0 : next;
}

static void drop_oldest(struct slr_raw_hold *h)
{
    h->first = after(h, h->first);
    h->wrap = h->first == 0 ? 0 : h->wrap;
    h->count--;
}

/* Place for so many bytes in one piece, behind the newest. */
static size_t make_room(struct slr_raw_hold *h, size_t bytes)
{
    if (h->size_bytes - h->end < bytes) { /* the rest stays empty; what is there is the oldest */
        while (h->count > 0 && h->first >= h->end) {
            drop_oldest(h);
        }
        h->wrap = h->count > 0 ? h->end : 0;
        h->end = 0;
    }
    while (h->count > 0 && h->first >= h->end && h->first - h->end < bytes) {
        drop_oldest(h);
    }
    if (h->count == 0) {
        h->first = h->end = h->wrap = 0;
    }
    return h->end;
}

bool slr_raw_hold_put(struct slr_raw_hold *h, uint32_t flow, bool rtcp,
                      const struct slr_packet *pkt)
{
    size_t bytes = HEAD_BYTES + (pkt->len_bytes + 15u) / 16 * 16;
    if (bytes > h->size_bytes) {
        return false;
    }
    size_t at = make_room(h, bytes);
    *entry_at(h, at) = (struct entry){bytes, flow, rtcp, *pkt};
    memcpy(h->at + at + HEAD_BYTES, pkt->at, pkt->len_bytes);
    h->end = at + bytes;
    h->count++;
    return true;
}

bool slr_raw_hold_next(const struct slr_raw_hold *h, struct slr_raw_walk *walk, uint32_t flow,
                       struct slr_packet *pkt, bool *rtcp)
{
    for (; walk->done < h->count; walk->done++) {
        size_t at = walk->begun ? after(h, walk->at) : h->first;
        const struct entry *e = entry_at(h, at);
        walk->at = at;
        walk->begun = true;
        if (e->flow == flow) {
            walk->done++;
            *pkt = e->pkt;
            pkt->at = h->at + at + HEAD_BYTES;
            *rtcp = e->rtcp;
            return true;
        }
    }
    return false;
}

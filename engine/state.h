/*
 * state: the engine's memory that survives the process: one MAP_SHARED file under --state.
 *
 * It holds session and leg slots, their counters, and the packet memory (chunks). Everything in it
 * is position-independent (indices, no pointers). Writers of each member are named beside it:
 * C control thread, W the session's worker, F the session's writer ("file"). Members that another
 * thread reads are atomics or published by one. A process may die between any two stores, so each
 * structure is ordered to be right after every prefix of them.
 */
#ifndef SLR_ENGINE_STATE_H
#define SLR_ENGINE_STATE_H

#include <pthread.h>

#include "engine/pool.h"
#include "engine/rare.h"
#include "engine/redo.h"
#include "engine/slots.h"
#include "engine/srtp.h"

#define SLR_STATE_VERSION 15u
#define SLR_CHUNK_BYTES 4096u
#define SLR_FATE_WORDS 2u

/* Of a record: it is in a block that was made; or it is in none, and that was told (missed.h). */
enum slr_rec_fate { SLR_FATE_RENDERED, SLR_FATE_MISSED, SLR_FATES };

struct slr_state_header {
    uint32_t magic, version;
    uint32_t session_max, leg_max, chunk_max;
    uint64_t layout_bytes; /* sizes of all structs, to notice another build */
    char boot_id[40];
    _Atomic int64_t alive_ns; /* last time the engine was seen running */
    uint64_t starts;
    _Atomic uint32_t session_top, leg_top; /* so many slots have memory */
    slr_redo_mark redo[SLR_REDOS];
};

/* A piece of packet memory: records one after the other. */
struct slr_chunk {
    _Atomic uint32_t next; /* SLR_NONE at the end */
    _Atomic uint32_t used_bytes;
    uint32_t leg;
    /* F: what became of the record that begins at a multiple of 32 or behind it; slr_rec_fate */
    _Atomic uint64_t fate[SLR_FATES][SLR_FATE_WORDS];
    _Alignas(64) uint8_t at[SLR_CHUNK_BYTES - 64]; /* records begin where lines of the cache do */
};

/* Slots of one kind, of which the first ones have memory. */
enum slr_regions { SLR_REGION_SESSION, SLR_REGION_RUN, SLR_REGION_LEG, SLR_REGIONS };
struct slr_region {
    uint8_t *at;
    size_t item_bytes, bytes, ready_bytes;
};

struct slr_state {
    struct slr_state_header *header;
    struct slr_session *session;
    struct slr_leg_run *run; /* one for each leg slot */
    struct slr_leg *leg;
    struct slr_srtp *srtp; /* one for each leg slot */
    struct slr_leg_rare *leg_rare;
    struct slr_session_rare *session_rare;
    struct slr_redo *redo; /* one for each writer */
    struct slr_chunk *chunk;
    uint32_t session_max, leg_max, chunk_max;
    /* C: no slot from there on was used by this process or left by an earlier one, nor has memory
     */
    _Atomic uint32_t session_top, leg_top;
    struct slr_region region[SLR_REGIONS];
    struct slr_space space;
    size_t map_bytes;
    int fd;
    bool restored;            /* sessions of an earlier process are in it */
    bool rebooted;            /* they are of an earlier boot: positions can't go on */
    struct slr_pool pool;     /* free chunks, in process memory, rebuilt at start */
    uint64_t chunks_taken;    /* ever; the pool's lock, as the next one */
    uint32_t *leg_chunks;     /* taken by each leg */
    _Atomic bool *leg_walked; /* its worker reads what the writer would give back */
    _Atomic bool *leg_freed;  /* its writer gives back, or waits for the worker to */
    uint32_t leg_chunk_max;   /* one sender can't take everybody's memory */
};

/*
 * Opens or makes DIR/engine.state for that many legs and that much packet memory, locks it. Memory
 * for both is taken as they are needed (space.h).
 * SLR_BUSY: another process has it. A file of another version or size: its sessions cannot be
 * taken over; it is renamed aside (`.old`) with a log event and a new one is made. Without dir it
 * is in this process's memory, which ends with it. Control thread, at start.
 */
enum slr_err slr_state_open(const char *dir, uint32_t leg_max, uint32_t chunk_max,
                            struct slr_state **out) SLR_CHECKED;
/* Takes memory for all chunks. SLR_NOMEM: there is not so much. */
enum slr_err slr_state_fill(struct slr_state *s) SLR_CHECKED;

/* Unmaps; the file stays (unlink: when no session is left). */
void slr_state_close(struct slr_state *s, bool unlink_file);

/* Any thread. SLR_NONE: no memory, or the leg has a quarter of what there may be. The chunk comes
 * with next NONE, used 0. */
uint32_t slr_state_chunk_take(struct slr_state *s, uint32_t leg);
/* The same in two steps, the first of which does not touch the chunk. */
uint32_t slr_state_chunk_reserve(struct slr_state *s, uint32_t leg);
void slr_state_chunk_begin(struct slr_state *s, uint32_t leg, uint32_t chunk);
void slr_state_chunk_put(struct slr_state *s, uint32_t chunk);
/* What can still be taken, in so far as the machine has memory for it. */
uint32_t slr_state_chunks_free(struct slr_state *s);
/* Any thread. The same in bytes; what is used; and what was taken ever, whether given back or not.
 */
void slr_state_memory(struct slr_state *s, uint64_t *free_bytes, uint64_t *used_bytes,
                      uint64_t *taken_bytes);

/* So far slots are to be looked at. Any thread. */
static inline uint32_t slr_state_sessions(const struct slr_state *s)
{
    return atomic_load_explicit(&s->session_top, memory_order_acquire);
}

static inline uint32_t slr_state_legs(const struct slr_state *s)
{
    return atomic_load_explicit(&s->leg_top, memory_order_acquire);
}

/* Control thread: memory for more slots. The first of them; SLR_NONE: all have it, or there is
 * none. */
uint32_t slr_state_more_sessions(struct slr_state *s);
uint32_t slr_state_more_legs(struct slr_state *s);

#endif

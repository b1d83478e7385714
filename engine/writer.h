/*
 * writer: turns what has left the placement window into blocks of the recordings' files.
 *
 * Each session belongs to one writer (slot number modulo writers). A step looks at each running
 * session; it blocks on the disk and nowhere else. In a passive run the only thread calls it.
 * With a second volume each writer has a twin there, which takes over the sessions of one that
 * stands still, except the one whose write does not come back. Twins share what they know of
 * sessions; a mark by session says which of them is at it.
 */
#ifndef SLR_ENGINE_WRITER_H
#define SLR_ENGINE_WRITER_H

#include <pthread.h>

#include "engine/recfile.h"
#include "engine/sound.h"

/* So far the file stays behind the wall clock for a leg whose media is; what comes later than that
 * is late, and placement gives it a new anchor. */
#define SLR_WRITER_BEHIND_TICKS (10 * SLR_TICKS_HZ)

/* What is known of a session since it was looked at last. */
struct slr_writer_look {
    int64_t watch_ns;    /* no alarm is due before */
    int64_t block_ticks; /* no block is while neither the wall nor any leg has come that far */
    int64_t block_ns;    /* when the wall has; INT64_MAX: not known */
    int64_t corr_ticks;  /* most of its legs', 0 or more */
    uint32_t legs;       /* so many it had; SLR_NONE: it must be looked at */
};

struct slr_writer {
    struct slr_state *state;
    const struct slr_leg_codecs *codecs;
    _Atomic uint8_t *active;    /* for each session slot: worth a look */
    struct slr_recfile *file;   /* for each session slot */
    struct slr_ring *to_sealer; /* session slots + 1, as pointers */
    const struct slr_clock *clock;
    int rec_fd;
    uint32_t number, count; /* this one of how many */
    int64_t window_ticks, block_ticks;
    bool comfort_noise, event_tones; /* as in struct slr_render */
    uint32_t open_max;               /* descriptors kept open between blocks */
    _Atomic uint64_t *dirty_bytes;   /* written since the last sync */
    struct slr_sound_watch watch;    /* alarm of silent legs */
    /* By worker: packets that came before are placed, 0: not known. taken_count 0: all always are.
     */
    const _Atomic int64_t *taken_ns;
    uint32_t taken_count;
    const _Atomic int64_t *budget_ns; /* packet memory lasts so long; NULL: nobody knows */
    struct slr_counters counters;
    /* With a second volume; home NULL: there is none. */
    _Atomic uint8_t *home;       /* by session slot: the volume on which its files grow */
    _Atomic uint8_t *held;       /* by session slot: a writer is at it */
    const _Atomic bool *give_up; /* the first volume takes nothing: go on on the second one */
    struct slr_writer *first;    /* this one is the second volume's, and takes over from that one */
    /* own */
    int64_t probe_ns; /* next look whether the volume that was given up is well */
    uint32_t open_count;
    uint8_t *block_at;
    uint8_t *plane_at; /* the same, one channel after the other */
    size_t block_bytes;
    struct slr_span_buffer spans;
    struct slr_track track;
    struct slr_corrections corrections;
    struct slr_render_scratch scratch;
    struct slr_leg_voices **voices; /* for each leg slot, NULL: none */
    struct slr_writer_look *look;   /* for each session slot */
    uint32_t *due;                  /* slots of this step */
    int64_t error_until_ns;         /* after a failed write: no new try before */
    _Atomic int64_t disk_ns;        /* spent at the disk, ever */
    uint32_t turn;
    bool glance; /* this step looks at the wall alone */
    /* For whoever looks after the disk; 0: not so. */
    _Atomic int64_t busy_since_ns;    /* the write that is under way has begun */
    _Atomic int64_t failing_since_ns; /* the first failure since the last success */
    pthread_t thread;
    _Atomic bool stop;
    bool running;
};

/* Buffers for blocks of up to one second. SLR_NOMEM. */
enum slr_err slr_writer_init(struct slr_writer *w) SLR_CHECKED;
void slr_writer_fini(struct slr_writer *w);

/* Writes what is due at `now`; returns the number of sessions that wait for the disk. */
uint32_t slr_writer_step(struct slr_writer *w, slr_mono now);

/* Its thread's part, once a nap: a step, or one that takes only blocks that are due by the wall:
 * what waits to be written is all the memory that a stream needs, and most blocks are of that kind.
 */
uint32_t slr_writer_turn(struct slr_writer *w, slr_mono now);

/* Between two turns of its thread: a sixteenth of a block. */
int64_t slr_writer_nap_ns(const struct slr_writer *w);

/* A thread that steps until stopped. */
enum slr_err slr_writer_start(struct slr_writer *w) SLR_CHECKED;
void slr_writer_stop(struct slr_writer *w);

#endif

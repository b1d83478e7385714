/*
 * pace: when what is sent. Time is cut into slots of half a millisecond; a stream has a phase (one
 * of the slots of a packet time) with the fewest streams so far, so that the rate is flat. A sender
 * that is behind catches up at four times the pace, not at once. Pure; the sender thread owns it.
 */
#ifndef SLR_LOAD_PACE_H
#define SLR_LOAD_PACE_H

#include <stdint.h>

#define SLR_PACE_SLOT_NS 500000LL
#define SLR_PACE_FRAME_NS 20000000LL
#define SLR_PACE_PHASES 40u

struct slr_pace {
    int64_t t0_ns;    /* monotonic time of slot 0 */
    int64_t slot;     /* to be worked at next */
    int64_t began_ns; /* when the slot before was begun */
    uint32_t load[SLR_PACE_PHASES];
};

void slr_pace_init(struct slr_pace *p, int64_t t0_ns);

/* Nominal time of a slot, and the first slot that is not before a time. */
int64_t slr_pace_time(const struct slr_pace *p, int64_t slot);
int64_t slr_pace_slot(const struct slr_pace *p, int64_t at_ns);

/* When the next slot may begin: its time, or a quarter slot after the one before began. */
int64_t slr_pace_due(const struct slr_pace *p);

/* Begins the next slot: gives its number. now_ns: as it is. */
int64_t slr_pace_next(struct slr_pace *p, int64_t now_ns);

/* The first slot, from `from` on, of the phase that has the fewest streams; it has one more then.
 */
int64_t slr_pace_join(struct slr_pace *p, int64_t from);
/* The stream that began at that slot is over. */
void slr_pace_leave(struct slr_pace *p, int64_t slot);

/* When frame n of a stream that began at start_ns is due, its clock being ppm too fast. */
int64_t slr_pace_frame(int64_t start_ns, uint32_t n, int32_t ppm);

#endif

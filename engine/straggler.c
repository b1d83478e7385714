/*
 * straggler: packets that were said under the anchor before the one in force. Worker thread;
 * allocates nothing.
 */
#include "engine/straggler.h"

#include <stdlib.h>

#include "engine/anchor_math.h"

/* Packets of before a jump of the clock are at most so much older than the newest of those, or so
 * much newer where the one that brought the word of it overtook them. */
#define STRAGGLER_S 60
#define OVERTAKEN_S 2
#define OVERTAKEN_PACKETS 64

int64_t slr_straggler_position(const struct slr_place *x, const struct slr_anchor *in_force,
                               const struct slr_anchor *before)
{
    int64_t last = in_force->before_ts_ext;
    return slr_anchor_position(before, last + (int32_t)(x->rtp->ts - (uint32_t)last));
}

/* What hinted at a new sequence may have been said before its clock jumped: does its timestamp fit
 * the clock before, and not the one that its sequence was believed with? */
static bool is_before_jump(const struct slr_place *x, const struct slr_anchor *in_force,
                           const struct slr_anchor *before)
{
    const struct slr_stream *st = x->st;
    if (!x->held || before->clock_hz == 0 || in_force->seq_ext <= st->seq_before_ext) {
        return false; /* or no anchor was set by the new sequence */
    }
    int64_t units = llabs(slr_stream_timestamp(st, x->rtp->ts) - st->ts_last_ext);
    int64_t pos =
        slr_straggler_position(x, in_force, before) + slr_place_shift(x->leg, before->segment);
    return slr_ticks_from_rtp(units, in_force->clock_hz) >= SLR_JUMP_TICKS &&
           llabs(pos - x->arrival_ticks) < SLR_JUMP_TICKS;
}

/* The clock that the packet itself counts by; 0: comfort noise and the like have none. */
static uint32_t own_clock(const struct slr_place *x, uint32_t clock_hz)
{
    if (x->rec.flags & (SLR_REC_COMFORT | SLR_REC_UNDECODED)) {
        return 0;
    }
    return x->rec.flags & SLR_REC_EVENT ? slr_leg_pt(x->leg, x->rec.pt)->clock_hz : clock_hz;
}

/* By number, unless its timestamp says that it was sent after a jump and overtaken by the packet
 * that brought the word of it. Where the clock's rate changed that alone tells. */
bool slr_straggler_is(const struct slr_place *x, const struct slr_anchor *in_force,
                      const struct slr_anchor *before, uint32_t clock_hz)
{
    if (!x->newest && is_before_jump(x, in_force, before)) {
        return true;
    }
    if (x->newest || before->clock_hz == 0 || x->rec.seq_ext >= in_force->seq_ext) {
        return false;
    }
    uint32_t own_hz = own_clock(x, clock_hz);
    if (before->clock_hz != in_force->clock_hz &&
        (own_hz == before->clock_hz || own_hz == in_force->clock_hz)) {
        return own_hz == before->clock_hz;
    }
    int64_t from_old = (int32_t)(x->rtp->ts - (uint32_t)in_force->before_ts_ext);
    int64_t from_new = (int32_t)(x->rtp->ts - (uint32_t)in_force->ts_ext);
    return llabs(from_old) <= llabs(from_new);
}

/* Does the timestamp fit the clock before? Around the newest that was heard of that one, or, where
 * it went on unheard, around where the one in force begins. */
static bool is_of_before(const struct slr_place *x, const struct slr_anchor *in_force,
                         const struct slr_anchor *before)
{
    int64_t units = (int32_t)(x->rtp->ts - (uint32_t)in_force->before_ts_ext);
    int64_t newer = slr_ticks_from_rtp(units, before->clock_hz);
    int64_t pos =
        slr_straggler_position(x, in_force, before) + slr_place_shift(x->leg, before->segment);
    int64_t after = pos - in_force->ticks - slr_place_shift(x->leg, in_force->segment);
    return (newer > -STRAGGLER_S * SLR_TICKS_HZ && newer < OVERTAKEN_S * SLR_TICKS_HZ) ||
           (after > -STRAGGLER_S * SLR_TICKS_HZ && after < OVERTAKEN_S * SLR_TICKS_HZ);
}

bool slr_straggler_fits(const struct slr_place *x)
{
    const struct slr_stream *st = x->st;
    const struct slr_anchor *a = slr_place_anchor(st);
    const struct slr_anchor *before = slr_place_anchor_before(st);
    int32_t back = (int16_t)(uint16_t)(x->rtp->seq - (uint16_t)st->seq_max_ext);
    if (back >= 0 || a->clock_hz == 0) {
        return true;
    }
    int64_t pos = slr_anchor_position(a, slr_stream_timestamp(st, x->rtp->ts));
    bool within = pos <= st->pos_last_ticks && pos > a->ticks - SLR_JUMP_TICKS;
    bool straggler =
        before->clock_hz != 0 && st->seq_max_ext + back < a->seq_ext && is_of_before(x, a, before);
    /* of what the very first one overtook nothing else is known (know_before) */
    bool overtaken = before->clock_hz == 0 && st->refine.since_ns != 0 &&
                     st->seq_max_ext + back < a->seq_ext &&
                     st->seq_max_ext + back >= a->seq_ext - OVERTAKEN_PACKETS;
    return within || straggler || overtaken || is_before_jump(x, a, before);
}

/*
 * The first packet that was heard came after a change of the clock, and had overtaken this one from
 * before it. Of the old clock nothing is known but where it ends: as many packets back as there are
 * numbers between them.
 */
void slr_straggler_know_before(struct slr_place *x, uint32_t clock_hz)
{
    struct slr_stream *st = x->st;
    struct slr_anchor *a = &st->anchor[atomic_load(&st->anchor_index) & 1];
    struct slr_anchor *before = &st->anchor[!(atomic_load(&st->anchor_index) & 1)];
    int64_t back_ticks = (a->seq_ext - x->rec.seq_ext) * x->rec.dur_ticks;
    int64_t parted = llabs(slr_anchor_position(a, x->ts_ext) + back_ticks - a->ticks);
    bool sound = slr_rec_is_audio(x->rec.flags);
    bool jumped = parted >= SLR_JUMP_TICKS || clock_hz != a->clock_hz;
    if (!sound || x->newest || before->clock_hz != 0 || back_ticks <= 0 || !jumped) {
        return;
    }
    a->before_ts_ext = x->ts_ext;
    *before = (struct slr_anchor){.ts_ext = x->ts_ext,
                                  .ticks = slr_clock_down(a->ticks - back_ticks, clock_hz),
                                  .unit_ticks = slr_clock_unit(clock_hz),
                                  .segment = a->segment};
    atomic_thread_fence(memory_order_release);
    before->clock_hz = clock_hz;
}

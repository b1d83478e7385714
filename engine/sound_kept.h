/*
 * sound_kept: how a leg sounds, as kept in its slot: plain data in the state file, position-
 * independent. Who writes what stands beside it (state.h).
 */
#ifndef SLR_ENGINE_SOUND_KEPT_H
#define SLR_ENGINE_SOUND_KEPT_H

#include <stdatomic.h>

#include "engine/meter.h"
#include "engine/quality.h"

/* W: interarrival jitter (RFC 3550 6.4.1) of one stream in units of its RTP clock. */
struct slr_jitter {
    double now, max;
    double sum; /* of count values */
    uint64_t count;
    int64_t transit_last;
    uint32_t clock_hz;
    bool valid; /* transit_last */
};

/* F, in the span cursor: it is committed with the block that it was measured on. */
struct slr_sound {
    struct slr_loss_run loss;
    struct slr_meter meter;
    int64_t last_seq_ext, last_end_ticks; /* of the newest packet; leg time */
    uint32_t last_stream_1;               /* generation << 8 | slot, plus 1; 0: none yet */
    bool heard;                           /* alive_ticks is set */
    uint16_t early;      /* bit n: packet last_seq_ext + 1 + n was counted before its turn */
    int64_t alive_ticks; /* end of what was alive last; leg time */
    int64_t dead_ticks, comfort_ticks, undecoded_ticks; /* lengths since then */
};

/* F: the alarm of a leg without sound. */
struct slr_silence {
    _Atomic uint32_t cause; /* enum slr_silence_cause while it is on */
    uint32_t alarms;
    int64_t since_ticks; /* last sign of life before it; leg time */
};

#endif

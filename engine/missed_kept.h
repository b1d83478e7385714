/*
 * missed_kept: what the writer has told of a leg's audio that came into no block (missed.h), as it
 * lies in the leg's slot of the state file. The writer writes, the sealer reads.
 */
#ifndef SLR_ENGINE_MISSED_KEPT_H
#define SLR_ENGINE_MISSED_KEPT_H

#include <stdatomic.h>
#include <stdint.h>

#include "storage/ledger.h"

#define SLR_LEG_MISSED 16u

/* One record on its way into the account: all of it as it is to be afterwards, so that it may be
 * done again. */
struct slr_missed_step {
    uint64_t packets; /* slr_stream.missed of the stream in that slot */
    uint32_t slot;
    uint32_t chunk, offset_bytes; /* where the record lies */
    uint32_t stream;              /* its packet: generation << 8 | slot, and its number */
    int32_t seq_ext;
    uint32_t at, count; /* of the list; SLR_LEG_MISSED: not listed, it is full */
    struct slr_ledger_late entry;
};

struct slr_leg_missed {
    uint32_t count;  /* of the list, which lies apart (rare.h) */
    uint32_t stream; /* the packet that was told last: a packet may be several records */
    int32_t seq_ext;
    _Atomic uint32_t under_way; /* the step is decided; it may have been done in part */
    struct slr_missed_step step;
};

#endif

/*
 * ledger_fill: from a finished session's slots and span journal to the ledger and the `sealed`
 * event. Sealer thread; allocates for the time of the call.
 */
#ifndef SLR_ENGINE_LEDGER_FILL_H
#define SLR_ENGINE_LEDGER_FILL_H

#include "engine/finish.h"
#include "engine/journal.h"
#include "engine/recfile.h"

struct slr_sealed {
    char ledger[SLR_REC_NAME_SIZE];
    struct slr_output_plan plan;
    struct slr_final_file file[SLR_MAX_CHANNELS]; /* plan.files */
    uint64_t frames;                              /* of each file */
    struct slr_ledger_cut *cut;                   /* malloc'ed */
    uint32_t cut_count;
    const char *state; /* sealed | orphan | partial */
    bool put_off;      /* as WAV in the folder "encode"; the plan's files come later */
    uint32_t opus_bps, opus_complexity; /* put off: to be coded with */
};

/* journal: as far as the session's commit says; one that is cut is told as lost-disk. *text is
 * malloc'ed. */
enum slr_err slr_ledger_fill(struct slr_state *state, const struct slr_session *s,
                             const struct slr_journal *journal, const struct slr_sealed *sealed,
                             char **text, size_t *len_bytes) SLR_CHECKED;

/* The event of docs/seam.md; NULL: out of memory. Caller owns. */
json_t *slr_ledger_event(struct slr_state *state, const struct slr_session *s,
                         const struct slr_sealed *sealed);

#endif

/*
 * journal: a finished session's span journal, read as a whole. The one place that knows how it
 * lies in the file (writing: recfile.h). Sealer thread; allocates.
 */
#ifndef SLR_ENGINE_JOURNAL_H
#define SLR_ENGINE_JOURNAL_H

#include "engine/spans.h"

struct slr_journal {
    struct slr_span_entry *at; /* malloc'ed; of all legs, in the order of their blocks */
    uint64_t count;
    bool is_cut; /* somebody removed the file, or its end: there was more */
};

/* The first `bytes` of fd, which may have been made shorter since. SLR_NOMEM, errors of the disk:
 * nothing is to be freed then. */
enum slr_err slr_journal_read(int fd, uint64_t bytes, struct slr_journal *out) SLR_CHECKED;
void slr_journal_free(struct slr_journal *j);

#endif

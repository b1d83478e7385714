/*
 * explain: what happened to a recording and why, in words, from its ledger (docs/ledger.md).
 *
 * Pure: JSON in, JSON or text out; any thread; allocates. The ledger may come from anywhere:
 * members that are missing or of another type count as empty, text is cleaned for terminals.
 */
#ifndef SLR_CTL_EXPLAIN_H
#define SLR_CTL_EXPLAIN_H

#include <jansson.h>

/*
 * {"recording","call","state","end_reason","start","len_ms","file","layout",
 *  "files":[{"file","channel","who"}] (empty: one file has all),"format","channels","sample_hz",
 *  "legs":[{"who","channel","leg","transport","verdict",
 *  "rows":[{"start_ms","len_ms","kind","what"}],
 *  "clock":[{"at_ms","what"}],"alarms":[{"at_ms","len_ms","what"}]}],"digits","conclusion":[text]}.
 * `alarms` come from member "alarms" of the ledger (alarms.h), where the caller puts those of the
 * catalogue; no len_ms: it was never heard again. NULL: out of memory.
 */
json_t *slr_explain(const json_t *ledger);

/* The same for people; malloc'ed, ended by a newline. NULL: out of memory. */
char *slr_explain_text(const json_t *explained);

#endif

/*
 * report: a run's result as JSON lines for programs and a table for people. Allocates.
 */
#ifndef SLR_LOAD_REPORT_H
#define SLR_LOAD_REPORT_H

#include <stdio.h>

#include "load/run.h"

/* One JSON object a line: the verdict first, then what was used and measured. */
void slr_report_json(const struct slr_load_config *cfg, const struct slr_result *r, FILE *out);

/* The same to be read. */
void slr_report_table(const struct slr_load_config *cfg, const struct slr_result *r, FILE *out);

/* What --find-capacity found: `good` calls went well, `bad` (0: none) did not; limit: whose it is.
 * best: the run of `good`, or the newest. One JSON line. */
void slr_report_capacity(const struct slr_result *best, const char *limit, uint32_t good,
                         uint32_t bad, FILE *out);

/* CPU ms a call-second of the first --pid; below 0: not measured. */
double slr_report_cpu(const struct slr_result *r);

#endif

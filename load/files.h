/*
 * files: finds the recordings of a run below DIR/rec, checks them, and says which are missing. A
 * thread of its own, at the lowest priority while calls run. Allocates.
 */
#ifndef SLR_LOAD_FILES_H
#define SLR_LOAD_FILES_H

#include "common/err.h"
#include "load/book.h"
#include "load/cast.h"
#include "load/config.h"
#include "load/verdict.h"

struct slr_files;

/* Starts the thread: from now on recordings of calls that have ended are looked at as they come. */
enum slr_err slr_files_open(const struct slr_load_config *cfg, const struct slr_cast *cast,
                            struct slr_book *book, struct slr_files **out) SLR_CHECKED;

/* All calls are over: waits until each has its recording, or nothing was published for
 * cfg->seal_timeout_s. */
void slr_files_finish(struct slr_files *f, struct slr_verdict *out);
void slr_files_close(struct slr_files *f);

/* Checks one published recording by its ledger, a name in the folder dir_fd. For the thread, and
 * for tests. *call: whose it is, NULL: not of this run (nothing was counted then). SLR_AGAIN: its
 * call is not over yet, or the file is not there yet. */
enum slr_err slr_files_check(const struct slr_load_config *cfg, const struct slr_cast *cast,
                             const struct slr_book *book, int dir_fd, const char *ledger_name,
                             struct slr_verdict *v, struct slr_call **call,
                             uint32_t *legs) SLR_CHECKED;

#endif

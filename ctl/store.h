/*
 * store: the core's database (SQLite in DIR/core) behind one thread of its own.
 *
 * Writers post jobs; the store thread applies all waiting jobs in one transaction (group commit,
 * WAL, synchronous=NORMAL) and then calls each job's `done` ON THE STORE THREAD (the core's `done`
 * posts into the signalling loop). Jobs of one producer are applied in order. Readers open
 * connections of their own (catalogue.h). A frozen disk makes jobs wait, never the poster.
 */
#ifndef SLR_CTL_STORE_H
#define SLR_CTL_STORE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/err.h"

struct slr_store;

typedef void (*slr_store_done)(void *ctx, enum slr_err result);

/* Opens or creates `dir`/core.db (dir is made, 0700), checks the schema version, starts the
 * thread. A damaged database is put aside (core.db.damaged-TIME) and a new one begun. SLR_IO,
 * SLR_VERSION, SLR_NOMEM; SLR_BUSY: another core has the folder. */
enum slr_err slr_store_open(const char *dir, struct slr_store **out) SLR_CHECKED;
/* Applies what waits, stops the thread, closes. */
void slr_store_close(struct slr_store *s);

/* Takes the recordings of the database in `from_dir` over into the one in `dir`, which is made when
 * it is not there and which no store may have open. What it has of the same id is replaced.
 * SLR_BUSY (a core runs there), SLR_NOTFOUND (no database to take from), SLR_IO, SLR_VERSION. */
enum slr_err slr_store_merge(const char *dir, const char *from_dir) SLR_CHECKED;

/* Jobs waiting now, and the age of the oldest in ms: metrics and overload decisions. Any thread. */
void slr_store_load(const struct slr_store *s, uint32_t *jobs, uint32_t *oldest_ms);

/*
 * Posting: any thread, never blocks; texts are copied, JSON is taken over (reference stolen).
 * SLR_FULL when 100,000 jobs wait; SLR_CLOSED where s is NULL (the core is ending).
 * done may be NULL.
 *
 * Dialogs: the stored record is the truth of a SIP dialog; `record` is a JSON object that ctl's
 * dialog.c makes and reads.
 */
enum slr_err slr_store_put_dialog(struct slr_store *s, const char *dialog_key, const char *call,
                                  json_t *record, slr_store_done done, void *ctx) SLR_CHECKED;
enum slr_err slr_store_delete_dialog(struct slr_store *s, const char *dialog_key,
                                     slr_store_done done, void *ctx) SLR_CHECKED;
/* Calls in progress (assembly state, JSON made by call.c); deleted when the call is over. */
enum slr_err slr_store_put_call(struct slr_store *s, const char *call_key, json_t *record,
                                slr_store_done done, void *ctx) SLR_CHECKED;
enum slr_err slr_store_delete_call(struct slr_store *s, const char *call_key, slr_store_done done,
                                   void *ctx) SLR_CHECKED;
/*
 * Recordings (catalogue). id is 32 hex. record: {"id","call","state" (open, sealing, sealed,
 * partial, failed, deleted),
 * "channels","start_wall_ns","end_wall_ns","len_ms","file","ledger","container","mime","format",
 * "sample_hz","frames","bytes","media_hash","end_reason","dns":[..],"meta":{..},"legs":[..],
 * "engine"}; members that are absent keep their stored value (upsert by merge).
 */
enum slr_err slr_store_put_recording(struct slr_store *s, json_t *record, slr_store_done done,
                                     void *ctx) SLR_CHECKED;
/* An alarm (alarms.h) of a recording that is in the catalogue; of any other it is dropped. The same
 * once more changes nothing. */
enum slr_err slr_store_put_alarm(struct slr_store *s, const char *recording,
                                 json_t *alarm) SLR_CHECKED;
/* Audit trail: who did what to which recording. */
enum slr_err slr_store_put_audit(struct slr_store *s, slr_wall when, const char *actor,
                                 const char *action, const char *recording,
                                 const char *detail) SLR_CHECKED;
/* Named cursors (last event number acted upon, per engine id), own epoch, and the like. */
enum slr_err slr_store_put_value(struct slr_store *s, const char *name, int64_t value,
                                 slr_store_done done, void *ctx) SLR_CHECKED;
/* Raw SIPREC metadata and other documents that belong to a recording, verbatim. */
enum slr_err slr_store_put_document(struct slr_store *s, const char *recording, const char *kind,
                                    slr_wall when, const void *at, size_t len_bytes) SLR_CHECKED;

/*
 * Start-up reads (before the loop runs): calls `row` once for each stored record; the json_t is
 * borrowed. SLR_IO.
 */
typedef void (*slr_store_row)(void *ctx, const char *key, json_t *record);
enum slr_err slr_store_each_dialog(struct slr_store *s, slr_store_row row, void *ctx) SLR_CHECKED;
enum slr_err slr_store_each_call(struct slr_store *s, slr_store_row row, void *ctx) SLR_CHECKED;
/* Stored value or `def`. */
int64_t slr_store_value(struct slr_store *s, const char *name, int64_t def);

#endif

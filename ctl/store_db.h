/*
 * store_db: the SQLite side of the store: schema, prepared statements, one job at a time.
 *
 * Owned by the store thread once it runs; opened and closed by the thread that owns the store.
 * Private to store.c and store_db.c (and the catalogue, which opens read-only connections).
 */
#ifndef SLR_CTL_STORE_DB_H
#define SLR_CTL_STORE_DB_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "ctl/store.h"

#define SLR_STORE_SCHEMA_VERSION 1
#define SLR_STORE_APPLICATION_ID 0x534c5243 /* "SLRC" */
#define SLR_STORE_FILE "core.db"

enum slr_store_job_kind {
    SLR_JOB_PUT_DIALOG,
    SLR_JOB_DELETE_DIALOG,
    SLR_JOB_PUT_CALL,
    SLR_JOB_DELETE_CALL,
    SLR_JOB_PUT_RECORDING,
    SLR_JOB_PUT_AUDIT,
    SLR_JOB_PUT_VALUE,
    SLR_JOB_PUT_DOCUMENT,
    SLR_JOB_PUT_ALARM
};

#define SLR_JOB_TEXTS 4

/* One posted change. Everything is owned by the job. */
struct slr_store_job {
    struct slr_store_job *next;
    enum slr_store_job_kind kind;
    char *text[SLR_JOB_TEXTS]; /* meaning depends on kind, see store.c's posting functions */
    void *blob;                /* PUT_DOCUMENT only */
    size_t blob_bytes;
    int64_t number; /* PUT_VALUE: the value; PUT_AUDIT, PUT_DOCUMENT: wall time in ns */
    int64_t posted_ns;
    enum slr_err result;
    slr_store_done done;
    void *ctx;
};

struct slr_store_db;

/* Opens or creates the file, sets WAL and checks or makes the schema. SLR_IO (unreadable or
 * damaged, logged), SLR_VERSION (made by another version or program, logged), SLR_NOMEM. */
enum slr_err slr_store_db_open(const char *path, struct slr_store_db **out) SLR_CHECKED;
void slr_store_db_close(struct slr_store_db *d);

/* Applies a chain of jobs in one transaction and sets each job's result. A job that is itself at
 * fault fails alone; a failing disk fails the whole chain, of which nothing is kept then. */
void slr_store_db_apply(struct slr_store_db *d, struct slr_store_job *first);

/* Moves the write-ahead log into the database when it has grown; called when nobody waits. */
void slr_store_db_checkpoint(struct slr_store_db *d);

/* Takes over recordings and their documents from another database file of this schema, in one
 * transaction; what it has replaces what is here. */
enum slr_err slr_store_db_merge(struct slr_store_db *d, const char *from_path) SLR_CHECKED;

/* A read-only connection of the caller's own, with a busy timeout; close with sqlite3_close.
 * SLR_NOTFOUND when there is no database, SLR_IO, SLR_VERSION. */
enum slr_err slr_store_db_open_reader(const char *path, sqlite3 **out) SLR_CHECKED;

/* Nearest slr_err of an SQLite result code. */
enum slr_err slr_store_db_err(int rc);

#endif

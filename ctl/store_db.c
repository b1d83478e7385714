/*
 * store_db: schema, prepared statements and the application of jobs to SQLite.
 *
 * State: one connection with its statements, used by the store thread only. Allocates (JSON and
 * SQLite) for each job. No caller of the posting functions ever runs in here, so a frozen disk
 * stops this thread alone.
 */
#include "ctl/store_db.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "ctl/alarms.h"

#define BUSY_TIMEOUT_MS 5000
#define CHECKPOINT_PAGES 1000

#define STATEMENTS(X)                                                                              \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                    \
    X(COMMIT, "COMMIT")                                                                            \
    X(ROLLBACK, "ROLLBACK")                                                                        \
    X(PUT_DIALOG, "INSERT INTO dialog(key,call,record) VALUES(?1,?2,?3) ON CONFLICT(key) DO "      \
                  "UPDATE SET call=?2,record=?3")                                                  \
    X(DELETE_DIALOG, "DELETE FROM dialog WHERE key=?1")                                            \
    X(PUT_CALL, "INSERT INTO call(key,record) VALUES(?1,?2) ON CONFLICT(key) DO UPDATE SET "       \
                "record=?2")                                                                       \
    X(DELETE_CALL, "DELETE FROM call WHERE key=?1")                                                \
    X(GET_RECORDING, "SELECT record FROM recording WHERE id=?1")                                   \
    X(PUT_RECORDING, "INSERT INTO recording(id,start_ns,call,state,record) "                       \
                     "VALUES(?1,?2,?3,?4,?5) ON CONFLICT(id) DO UPDATE SET "                       \
                     "start_ns=?2,call=?3,state=?4,record=?5")                                     \
    X(CLEAR_DN, "DELETE FROM recording_dn WHERE id=?1")                                            \
    X(PUT_DN, "INSERT OR IGNORE INTO recording_dn(dn,start_ns,id) VALUES(?1,?2,?3)")               \
    X(PUT_AUDIT, "INSERT INTO audit(when_ns,actor,action,recording,detail) "                       \
                 "VALUES(?1,?2,?3,?4,?5)")                                                         \
    X(PUT_VALUE, "INSERT INTO value(name,value) VALUES(?1,?2) ON CONFLICT(name) DO UPDATE SET "    \
                 "value=?2")                                                                       \
    X(PUT_DOCUMENT, "INSERT INTO document(recording,kind,when_ns,body) VALUES(?1,?2,?3,?4)")       \
    X(CLEAR_DOCUMENTS, "DELETE FROM document WHERE recording=?1")

enum statement {
#define X(name, sql) SQL_##name,
    STATEMENTS(X)
#undef X
        STATEMENT_COUNT
};

static const char *const statement_sql[STATEMENT_COUNT] = {
#define X(name, sql) [SQL_##name] = sql,
    STATEMENTS(X)
#undef X
};

static const char schema_sql[] =
    "CREATE TABLE dialog(key TEXT PRIMARY KEY, call TEXT NOT NULL, record TEXT NOT NULL) "
    "WITHOUT ROWID;"
    "CREATE TABLE call(key TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE recording(id TEXT PRIMARY KEY, start_ns INTEGER NOT NULL, call TEXT NOT NULL,"
    " state TEXT NOT NULL, record TEXT NOT NULL);"
    "CREATE INDEX recording_start ON recording(start_ns, id);"
    "CREATE INDEX recording_call ON recording(call, start_ns, id);"
    "CREATE INDEX recording_state ON recording(state, start_ns, id);"
    "CREATE TABLE recording_dn(dn TEXT NOT NULL, start_ns INTEGER NOT NULL, id TEXT NOT NULL,"
    " PRIMARY KEY(dn, start_ns, id)) WITHOUT ROWID;"
    "CREATE INDEX recording_dn_id ON recording_dn(id);"
    "CREATE TABLE audit(n INTEGER PRIMARY KEY AUTOINCREMENT, when_ns INTEGER NOT NULL,"
    " actor TEXT NOT NULL, action TEXT NOT NULL, recording TEXT NOT NULL, detail TEXT NOT NULL);"
    "CREATE INDEX audit_recording ON audit(recording);"
    "CREATE TABLE value(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE document(n INTEGER PRIMARY KEY, recording TEXT NOT NULL, kind TEXT NOT NULL,"
    " when_ns INTEGER NOT NULL, body BLOB NOT NULL);"
    "CREATE INDEX document_recording ON document(recording);";

struct slr_store_db {
    sqlite3 *db;
    sqlite3_stmt *stmt[STATEMENT_COUNT];
    int wal_pages; /* of the last commit, told by SQLite's hook */
};

enum slr_err slr_store_db_err(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return SLR_OK;
    case SQLITE_NOMEM:
        return SLR_NOMEM;
    case SQLITE_FULL:
        return SLR_NOSPACE;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return SLR_BUSY;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
        return SLR_DENIED;
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_RANGE:
        return SLR_INVAL;
    case SQLITE_TOOBIG:
        return SLR_TOOLONG;
    default:
        return SLR_IO;
    }
}

static void log_failure(sqlite3 *db, const char *path, const char *what, int rc)
{
    int code = rc & 0xff;
    if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB) {
        SLR_ERROR("store_corrupt", "file=%s during=%s code=%d text=%s", SLR_Q(path), what, rc,
                  SLR_Q(db ? sqlite3_errmsg(db) : sqlite3_errstr(rc)));
        return;
    }
    SLR_ERROR("store_failed", "file=%s during=%s code=%d text=%s", SLR_Q(path), what, rc,
              SLR_Q(db ? sqlite3_errmsg(db) : sqlite3_errstr(rc)));
}

/* One number of one row. */
static int query_number(sqlite3 *db, const char *sql, int64_t *out)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
    if (rc != SQLITE_OK) {
        return rc;
    }
    rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
        *out = sqlite3_column_int64(st, 0);
    } else if (rc == SQLITE_DONE) {
        rc = SQLITE_CORRUPT;
    }
    int final = sqlite3_finalize(st);
    return rc == SQLITE_ROW ? final : rc;
}

static enum slr_err check_version(sqlite3 *db, const char *path, bool *empty)
{
    int64_t version = 0;
    int64_t application = 0;
    int64_t tables = 0;
    int rc = query_number(db, "PRAGMA user_version", &version);
    if (rc == SQLITE_OK) {
        rc = query_number(db, "PRAGMA application_id", &application);
    }
    if (rc == SQLITE_OK) {
        rc = query_number(db, "SELECT count(*) FROM sqlite_master", &tables);
    }
    if (rc != SQLITE_OK) {
        log_failure(db, path, "open", rc);
        bool damaged = (rc & 0xff) == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_NOTADB;
        return damaged ? SLR_FORMAT : rc == SQLITE_NOMEM ? SLR_NOMEM : SLR_IO;
    }
    *empty = version == 0 && application == 0 && tables == 0;
    if (*empty) {
        return SLR_OK;
    }
    if (application != SLR_STORE_APPLICATION_ID || version != SLR_STORE_SCHEMA_VERSION) {
        SLR_ERROR("store_version", "file=%s application=%lld schema=%lld wanted=%d", SLR_Q(path),
                  (long long)application, (long long)version, SLR_STORE_SCHEMA_VERSION);
        return SLR_VERSION;
    }
    return SLR_OK;
}

static int make_schema(sqlite3 *db)
{
    char pragmas[128];
    sqlite3_snprintf((int)sizeof(pragmas), pragmas,
                     "PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT",
                     SLR_STORE_APPLICATION_ID, SLR_STORE_SCHEMA_VERSION);
    int rc = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_exec(db, schema_sql, NULL, NULL, NULL);
    }
    return rc == SQLITE_OK ? sqlite3_exec(db, pragmas, NULL, NULL, NULL) : rc;
}

static int on_wal(void *ctx, sqlite3 *db, const char *name, int pages)
{
    (void)db;
    (void)name;
    struct slr_store_db *d = ctx;
    d->wal_pages = pages;
    return SQLITE_OK;
}

static int prepare_all(struct slr_store_db *d)
{
    for (int i = 0; i < STATEMENT_COUNT; i++) {
        int rc = sqlite3_prepare_v3(d->db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                                    &d->stmt[i], NULL);
        if (rc != SQLITE_OK) {
            return rc;
        }
    }
    return SQLITE_OK;
}

static enum slr_err set_up(struct slr_store_db *d, const char *path)
{
    bool empty = false;
    enum slr_err err = check_version(d->db, path, &empty);
    if (err != SLR_OK) {
        return err;
    }
    int rc =
        sqlite3_exec(d->db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL", NULL, NULL, NULL);
    if (rc == SQLITE_OK && empty) {
        rc = make_schema(d->db);
    }
    if (rc == SQLITE_OK) {
        rc = prepare_all(d);
    }
    if (rc != SQLITE_OK) {
        log_failure(d->db, path, "schema", rc);
        return rc == SQLITE_NOMEM ? SLR_NOMEM : SLR_IO;
    }
    /* The hook replaces SQLite's own checkpoint in COMMIT: answers leave before it, not after. */
    sqlite3_wal_hook(d->db, on_wal, d);
    return SLR_OK;
}

enum slr_err slr_store_db_open(const char *path, struct slr_store_db **out)
{
    *out = NULL;
    struct slr_store_db *d = calloc(1, sizeof(*d));
    if (d == NULL) {
        return SLR_NOMEM;
    }
    int rc = sqlite3_open_v2(
        path, &d->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK) {
        log_failure(d->db, path, "open", rc);
        slr_store_db_close(d);
        return rc == SQLITE_NOMEM ? SLR_NOMEM : SLR_IO;
    }
    sqlite3_busy_timeout(d->db, BUSY_TIMEOUT_MS);
    enum slr_err err = set_up(d, path);
    if (err != SLR_OK) {
        slr_store_db_close(d);
        return err;
    }
    *out = d;
    return SLR_OK;
}

void slr_store_db_close(struct slr_store_db *d)
{
    if (d == NULL) {
        return;
    }
    for (int i = 0; i < STATEMENT_COUNT; i++) {
        sqlite3_finalize(d->stmt[i]);
    }
    sqlite3_close(d->db);
    free(d);
}

enum slr_err slr_store_db_open_reader(const char *path, sqlite3 **out)
{
    sqlite3 *db = NULL;
    *out = NULL;
    int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK) {
        sqlite3_close(db);
        return (rc & 0xff) == SQLITE_CANTOPEN ? SLR_NOTFOUND : slr_store_db_err(rc);
    }
    sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS);
    bool empty = false;
    enum slr_err err = check_version(db, path, &empty);
    if (err == SLR_OK && empty) {
        err = SLR_NOTFOUND;
    }
    if (err != SLR_OK) {
        sqlite3_close(db);
        return err;
    }
    *out = db;
    return SLR_OK;
}

static int bind_text(sqlite3_stmt *st, int index, const char *text)
{
    return sqlite3_bind_text(st, index, text, -1, SQLITE_STATIC);
}

static int run(struct slr_store_db *d, enum statement which)
{
    sqlite3_stmt *st = d->stmt[which];
    int rc = sqlite3_step(st);
    (void)sqlite3_reset(st); /* repeats the code of step */
    (void)sqlite3_clear_bindings(st);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int run_texts(struct slr_store_db *d, enum statement which, char *const *text, int count)
{
    for (int i = 0; i < count; i++) {
        int rc = bind_text(d->stmt[which], i + 1, text[i]);
        if (rc != SQLITE_OK) {
            return rc;
        }
    }
    return run(d, which);
}

/* The stored record or NULL. */
static int load_recording(struct slr_store_db *d, const char *id, json_t **out)
{
    *out = NULL;
    sqlite3_stmt *st = d->stmt[SQL_GET_RECORDING];
    int rc = bind_text(st, 1, id);
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(st);
    }
    if (rc == SQLITE_ROW) {
        const void *text = sqlite3_column_blob(st, 0);
        size_t len_bytes = (size_t)sqlite3_column_bytes(st, 0);
        *out = json_loadb(text, len_bytes, 0, NULL);
        if (*out == NULL) {
            /* Damaged beyond reading: what comes now replaces it. */
            SLR_ERROR("store_record_damaged", "recording=%s", id);
        }
        rc = SQLITE_DONE;
    }
    (void)sqlite3_reset(st);
    (void)sqlite3_clear_bindings(st);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int put_dn(struct slr_store_db *d, const char *id, int64_t start_ns, const char *dn)
{
    if (dn == NULL || dn[0] == '\0') {
        return SQLITE_OK;
    }
    sqlite3_stmt *st = d->stmt[SQL_PUT_DN];
    int rc = bind_text(st, 1, dn);
    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_int64(st, 2, start_ns);
    }
    if (rc == SQLITE_OK) {
        rc = bind_text(st, 3, id);
    }
    return rc == SQLITE_OK ? run(d, SQL_PUT_DN) : rc;
}

/* The index of numbers: members of "dns" and the dn of each leg. */
static int index_dns(struct slr_store_db *d, const char *id, int64_t start_ns, const json_t *record)
{
    sqlite3_stmt *st = d->stmt[SQL_CLEAR_DN];
    int rc = bind_text(st, 1, id);
    if (rc == SQLITE_OK) {
        rc = run(d, SQL_CLEAR_DN);
    }
    size_t i = 0;
    json_t *item = NULL;
    json_array_foreach(json_object_get(record, "dns"), i, item)
    {
        if (rc == SQLITE_OK) {
            rc = put_dn(d, id, start_ns, json_string_value(item));
        }
    }
    json_array_foreach(json_object_get(record, "legs"), i, item)
    {
        if (rc == SQLITE_OK) {
            rc = put_dn(d, id, start_ns, json_string_value(json_object_get(item, "dn")));
        }
    }
    return rc;
}

static const char *member_text(const json_t *record, const char *name)
{
    const char *text = json_string_value(json_object_get(record, name));
    return text != NULL ? text : "";
}

/* What is left of a deleted recording: the fact, its time and its hash; no party, no document. */
static int strip_deleted(struct slr_store_db *d, const char *id, json_t *record)
{
    static const char *const personal[] = {"meta", "legs", "dns", "file", "ledger", "alarms"};
    for (size_t i = 0; i < sizeof(personal) / sizeof(personal[0]); i++) {
        (void)json_object_del(record, personal[i]);
    }
    int rc = bind_text(d->stmt[SQL_CLEAR_DOCUMENTS], 1, id);
    return rc == SQLITE_OK ? run(d, SQL_CLEAR_DOCUMENTS) : rc;
}

static int write_recording(struct slr_store_db *d, const char *id, json_t *record)
{
    int rc = SQLITE_OK;
    if (strcmp(member_text(record, "state"), "deleted") == 0) {
        rc = strip_deleted(d, id, record);
    }
    int64_t start_ns = json_integer_value(json_object_get(record, "start_wall_ns"));
    char *text = json_dumps(record, JSON_COMPACT);
    if (text == NULL) {
        return SQLITE_NOMEM;
    }
    sqlite3_stmt *st = d->stmt[SQL_PUT_RECORDING];
    const char *field[5] = {id, NULL, member_text(record, "call"), member_text(record, "state"),
                            text};
    for (int i = 0; i < 5 && rc == SQLITE_OK; i++) {
        rc = field[i] != NULL ? bind_text(st, i + 1, field[i])
                              : sqlite3_bind_int64(st, i + 1, start_ns);
    }
    if (rc == SQLITE_OK) {
        rc = run(d, SQL_PUT_RECORDING);
    }
    free(text);
    return rc == SQLITE_OK ? index_dns(d, id, start_ns, record) : rc;
}

static int put_recording(struct slr_store_db *d, const struct slr_store_job *job)
{
    const char *id = job->text[0];
    json_t *update = json_loads(job->text[1], 0, NULL);
    if (!json_is_object(update)) {
        json_decref(update);
        return SQLITE_CONSTRAINT;
    }
    json_t *record = NULL;
    int rc = load_recording(d, id, &record);
    if (rc == SQLITE_OK) {
        if (!json_is_object(record)) {
            json_decref(record);
            record = json_object();
        }
        /* Replayed events never bring back what was deleted. */
        if (strcmp(member_text(record, "state"), "deleted") == 0) {
            (void)json_object_del(update, "state");
        }
        rc = record == NULL || json_object_update(record, update) != 0
                 ? SQLITE_NOMEM
                 : write_recording(d, id, record);
    }
    json_decref(record);
    json_decref(update);
    return rc;
}

/* What is not in the catalogue, or is no longer, has no alarms. */
static int put_alarm(struct slr_store_db *d, const struct slr_store_job *job)
{
    const char *id = job->text[0];
    json_t *alarm = json_loads(job->text[1], 0, NULL);
    json_t *record = NULL;
    int rc = load_recording(d, id, &record);
    if (rc == SQLITE_OK && json_is_object(record) &&
        strcmp(member_text(record, "state"), "deleted") != 0 && slr_alarms_take(record, alarm)) {
        rc = write_recording(d, id, record);
    }
    json_decref(record);
    json_decref(alarm);
    return rc;
}

static int put_audit(struct slr_store_db *d, const struct slr_store_job *job)
{
    sqlite3_stmt *st = d->stmt[SQL_PUT_AUDIT];
    int rc = sqlite3_bind_int64(st, 1, job->number);
    for (int i = 0; i < SLR_JOB_TEXTS && rc == SQLITE_OK; i++) {
        rc = bind_text(st, i + 2, job->text[i]);
    }
    return rc == SQLITE_OK ? run(d, SQL_PUT_AUDIT) : rc;
}

static int put_value(struct slr_store_db *d, const struct slr_store_job *job)
{
    sqlite3_stmt *st = d->stmt[SQL_PUT_VALUE];
    int rc = bind_text(st, 1, job->text[0]);
    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_int64(st, 2, job->number);
    }
    return rc == SQLITE_OK ? run(d, SQL_PUT_VALUE) : rc;
}

static int put_document(struct slr_store_db *d, const struct slr_store_job *job)
{
    sqlite3_stmt *st = d->stmt[SQL_PUT_DOCUMENT];
    int rc = bind_text(st, 1, job->text[0]);
    if (rc == SQLITE_OK) {
        rc = bind_text(st, 2, job->text[1]);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_int64(st, 3, job->number);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_blob64(st, 4, job->blob, job->blob_bytes, SQLITE_STATIC);
    }
    return rc == SQLITE_OK ? run(d, SQL_PUT_DOCUMENT) : rc;
}

static int apply_one(struct slr_store_db *d, const struct slr_store_job *job)
{
    switch (job->kind) {
    case SLR_JOB_PUT_DIALOG:
        return run_texts(d, SQL_PUT_DIALOG, job->text, 3);
    case SLR_JOB_DELETE_DIALOG:
        return run_texts(d, SQL_DELETE_DIALOG, job->text, 1);
    case SLR_JOB_PUT_CALL:
        return run_texts(d, SQL_PUT_CALL, job->text, 2);
    case SLR_JOB_DELETE_CALL:
        return run_texts(d, SQL_DELETE_CALL, job->text, 1);
    case SLR_JOB_PUT_RECORDING:
        return put_recording(d, job);
    case SLR_JOB_PUT_AUDIT:
        return put_audit(d, job);
    case SLR_JOB_PUT_VALUE:
        return put_value(d, job);
    case SLR_JOB_PUT_DOCUMENT:
        return put_document(d, job);
    case SLR_JOB_PUT_ALARM:
        return put_alarm(d, job);
    }
    return SQLITE_CONSTRAINT;
}

/* Is the job itself at fault, so that the others of its transaction can stand? */
static bool own_fault(int rc)
{
    int code = rc & 0xff;
    return code == SQLITE_CONSTRAINT || code == SQLITE_TOOBIG || code == SQLITE_MISMATCH;
}

static void fail_all(struct slr_store_db *d, struct slr_store_job *first, int rc)
{
    log_failure(d->db, sqlite3_db_filename(d->db, "main"), "commit", rc);
    if (!sqlite3_get_autocommit(d->db)) {
        (void)run(d, SQL_ROLLBACK); /* SQLite may have rolled back by itself */
    }
    for (struct slr_store_job *job = first; job != NULL; job = job->next) {
        job->result = slr_store_db_err(rc);
    }
}

void slr_store_db_apply(struct slr_store_db *d, struct slr_store_job *first)
{
    int rc = run(d, SQL_BEGIN);
    for (struct slr_store_job *job = first; job != NULL && rc == SQLITE_OK; job = job->next) {
        rc = apply_one(d, job);
        job->result = slr_store_db_err(rc);
        if (own_fault(rc)) {
            SLR_WARN("store_job_refused", "kind=%d code=%d", (int)job->kind, rc);
            rc = SQLITE_OK;
        }
    }
    if (rc == SQLITE_OK) {
        rc = run(d, SQL_COMMIT);
    }
    if (rc != SQLITE_OK) {
        fail_all(d, first, rc);
    }
}

void slr_store_db_checkpoint(struct slr_store_db *d)
{
    if (d->wal_pages < CHECKPOINT_PAGES) {
        return;
    }
    int rc = sqlite3_wal_checkpoint_v2(d->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    if (rc != SQLITE_OK && rc != SQLITE_BUSY) {
        log_failure(d->db, sqlite3_db_filename(d->db, "main"), "checkpoint", rc);
    }
    d->wal_pages = 0;
}

/* ATTACH does not check what it attaches; opening it as a reader does. */
static enum slr_err check_source(const char *path)
{
    sqlite3 *db = NULL;
    enum slr_err err = slr_store_db_open_reader(path, &db);
    sqlite3_close(db);
    return err;
}

enum slr_err slr_store_db_merge(struct slr_store_db *d, const char *from_path)
{
    static const char copy_sql[] =
        "BEGIN IMMEDIATE;"
        "DELETE FROM recording_dn WHERE id IN (SELECT id FROM other.recording);"
        "DELETE FROM document WHERE recording IN (SELECT id FROM other.recording);"
        "INSERT OR REPLACE INTO recording SELECT * FROM other.recording;"
        "INSERT OR IGNORE INTO recording_dn SELECT * FROM other.recording_dn;"
        "INSERT INTO document(recording,kind,when_ns,body) "
        "SELECT recording,kind,when_ns,body FROM other.document ORDER BY n;"
        "COMMIT";
    enum slr_err err = check_source(from_path);
    if (err != SLR_OK) {
        return err;
    }
    char *attach = sqlite3_mprintf("ATTACH DATABASE %Q AS other", from_path);
    int rc = attach != NULL ? sqlite3_exec(d->db, attach, NULL, NULL, NULL) : SQLITE_NOMEM;
    sqlite3_free(attach);
    if (rc != SQLITE_OK) {
        log_failure(d->db, from_path, "attach", rc);
        return slr_store_db_err(rc);
    }
    rc = sqlite3_exec(d->db, copy_sql, NULL, NULL, NULL);
    if (rc != SQLITE_OK) {
        log_failure(d->db, from_path, "merge", rc);
        if (!sqlite3_get_autocommit(d->db)) {
            (void)run(d, SQL_ROLLBACK);
        }
    }
    int detached = sqlite3_exec(d->db, "DETACH DATABASE other", NULL, NULL, NULL);
    return slr_store_db_err(rc != SQLITE_OK ? rc : detached);
}

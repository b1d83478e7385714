/*
 * catalogue: builds and runs the listing queries. State: one read-only SQLite connection, owned by
 * the calling thread. Allocates the result.
 */
#include "ctl/catalogue.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/slice.h"
#include "ctl/store_db.h"

#define PATH_SIZE 1024
#define SQL_SIZE 1024

struct slr_catalogue {
    sqlite3 *db;
};

enum slr_err slr_catalogue_open(const char *dir, struct slr_catalogue **out)
{
    *out = NULL;
    char path[PATH_SIZE];
    int n = snprintf(path, sizeof(path), "%s/" SLR_STORE_FILE, dir);
    if (n < 0 || (size_t)n >= sizeof(path)) {
        return SLR_TOOLONG;
    }
    struct slr_catalogue *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        return SLR_NOMEM;
    }
    enum slr_err err = slr_store_db_open_reader(path, &c->db);
    if (err != SLR_OK) {
        free(c);
        return err;
    }
    *out = c;
    return SLR_OK;
}

void slr_catalogue_close(struct slr_catalogue *c)
{
    if (c != NULL) {
        sqlite3_close(c->db);
        free(c);
    }
}

/* The text of the query: only the conditions that are asked for, so that an index fits. */
static void build_sql(const struct slr_catalogue_query *q, struct slr_put *sql)
{
    slr_put_str(sql, q->dn != NULL ? "SELECT r.start_ns,r.id,r.record FROM recording_dn d JOIN "
                                     "recording r ON r.id=d.id WHERE d.dn=:dn AND d.start_ns"
                                   : "SELECT r.start_ns,r.id,r.record FROM recording r WHERE "
                                     "r.start_ns");
    const char *table = q->dn != NULL ? "d" : "r";
    slr_put_fmt(sql, ">=:from AND %s.start_ns<:to", table);
    slr_put_str(sql, q->call != NULL ? " AND r.call=:call" : "");
    slr_put_str(sql, q->id != NULL ? " AND r.id=:id" : "");
    slr_put_str(sql, q->state != NULL ? " AND r.state=:state" : " AND r.state<>'deleted'");
    const char *order = q->oldest_first ? "ASC" : "DESC";
    if (q->has_after) {
        slr_put_fmt(sql, " AND (%s.start_ns,%s.id)%c(:after_ns,:after_id)", table, table,
                    q->oldest_first ? '>' : '<');
    }
    slr_put_fmt(sql, " ORDER BY %s.start_ns %s,%s.id %s LIMIT :limit", table, order, table, order);
    slr_put_u8(sql, 0);
}

static int bind_text(sqlite3_stmt *st, const char *name, const char *text)
{
    int index = sqlite3_bind_parameter_index(st, name);
    return text == NULL || index == 0 ? SQLITE_OK
                                      : sqlite3_bind_text(st, index, text, -1, SQLITE_STATIC);
}

static int bind_number(sqlite3_stmt *st, const char *name, int64_t number)
{
    int index = sqlite3_bind_parameter_index(st, name);
    return index == 0 ? SQLITE_OK : sqlite3_bind_int64(st, index, number);
}

static int bind_query(sqlite3_stmt *st, const struct slr_catalogue_query *q)
{
    int rc = bind_text(st, ":dn", q->dn);
    rc = rc == SQLITE_OK ? bind_text(st, ":call", q->call) : rc;
    rc = rc == SQLITE_OK ? bind_text(st, ":id", q->id) : rc;
    rc = rc == SQLITE_OK ? bind_text(st, ":state", q->state) : rc;
    rc = rc == SQLITE_OK ? bind_text(st, ":after_id", q->after.id) : rc;
    rc = rc == SQLITE_OK ? bind_number(st, ":after_ns", q->after.start_ns) : rc;
    rc = rc == SQLITE_OK ? bind_number(st, ":from", q->from_ns) : rc;
    rc = rc == SQLITE_OK ? bind_number(st, ":to", q->to_ns) : rc;
    /* One more than asked for tells whether there is more. */
    return rc == SQLITE_OK ? bind_number(st, ":limit", (int64_t)q->limit + 1) : rc;
}

static json_t *column_json(sqlite3_stmt *st, int column)
{
    const void *text = sqlite3_column_blob(st, column);
    size_t len_bytes = (size_t)sqlite3_column_bytes(st, column);
    return text != NULL ? json_loadb(text, len_bytes, 0, NULL) : NULL;
}

/* Damaged rows are left out of a listing, not the end of it. */
static enum slr_err add_row(sqlite3_stmt *st, json_t *rows, struct slr_cursor *last)
{
    const char *id = (const char *)sqlite3_column_text(st, 1);
    if (id == NULL) {
        return SLR_NOMEM;
    }
    last->start_ns = sqlite3_column_int64(st, 0);
    (void)slr_slice_to_str(slr_slice_str(id), last->id, sizeof(last->id));
    json_t *record = column_json(st, 2);
    if (record == NULL) {
        SLR_ERROR("catalogue_record_damaged", "recording=%s", last->id);
        return SLR_OK;
    }
    return json_array_append_new(rows, record) == 0 ? SLR_OK : SLR_NOMEM;
}

static enum slr_err fetch(sqlite3_stmt *st, uint32_t limit, json_t *rows, bool *more,
                          struct slr_cursor *next)
{
    int rc = SQLITE_ROW;
    for (uint32_t n = 0; (rc = sqlite3_step(st)) == SQLITE_ROW; n++) {
        if (n == limit) {
            *more = true;
            return SLR_OK;
        }
        enum slr_err err = add_row(st, rows, next);
        if (err != SLR_OK) {
            return err;
        }
    }
    return slr_store_db_err(rc);
}

enum slr_err slr_catalogue_recordings(struct slr_catalogue *c, const struct slr_catalogue_query *q,
                                      json_t **rows, bool *more, struct slr_cursor *next)
{
    char text[SQL_SIZE];
    struct slr_put sql = slr_put_of(text, sizeof(text));
    *rows = NULL;
    *more = false;
    if (q->limit < 1 || q->limit > SLR_CATALOGUE_MAX_ROWS) {
        return SLR_INVAL;
    }
    build_sql(q, &sql);
    if (sql.overflow) {
        return SLR_TOOLONG;
    }
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(c->db, text, -1, &st, NULL);
    rc = rc == SQLITE_OK ? bind_query(st, q) : rc;
    enum slr_err err = slr_store_db_err(rc);
    json_t *found = json_array();
    if (err == SLR_OK) {
        err = found != NULL ? fetch(st, q->limit, found, more, next) : SLR_NOMEM;
    }
    sqlite3_finalize(st);
    if (err != SLR_OK) {
        SLR_ERROR("catalogue_failed", "err=%s text=%s", slr_err_name(err),
                  SLR_Q(sqlite3_errmsg(c->db)));
        json_decref(found);
        return err;
    }
    *rows = found;
    return SLR_OK;
}

enum slr_err slr_catalogue_recording(struct slr_catalogue *c, const char *id, json_t **record)
{
    *record = NULL;
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(c->db, "SELECT record FROM recording WHERE id=?1", -1, &st, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_text(st, 1, id, -1, SQLITE_STATIC);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(st);
    }
    enum slr_err err = rc == SQLITE_DONE ? SLR_NOTFOUND : slr_store_db_err(rc);
    if (rc == SQLITE_ROW) {
        *record = column_json(st, 0);
        err = *record != NULL ? SLR_OK : SLR_IO;
    }
    sqlite3_finalize(st);
    return err;
}

void slr_cursor_format(const struct slr_cursor *cursor, char out[static SLR_CURSOR_SIZE])
{
    snprintf(out, SLR_CURSOR_SIZE, "%016" PRIx64 "%s", (uint64_t)cursor->start_ns, cursor->id);
}

bool slr_cursor_parse(const char *text, struct slr_cursor *out)
{
    if (strlen(text) != 16 + SLR_ID_SIZE - 1 || !slr_id_valid(text + 16)) {
        return false;
    }
    uint64_t start_ns = 0;
    for (int i = 0; i < 16; i++) {
        char ch = text[i];
        if (ch >= '0' && ch <= '9') {
            start_ns = start_ns << 4 | (uint64_t)(ch - '0');
        } else if (ch >= 'a' && ch <= 'f') {
            start_ns = start_ns << 4 | (uint64_t)(ch - 'a' + 10);
        } else {
            return false;
        }
    }
    out->start_ns = (int64_t)start_ns;
    memcpy(out->id, text + 16, SLR_ID_SIZE);
    return true;
}

/*
 * json: reading JSON text of limited shape and typed access to the members of objects (jansson).
 * No state; any thread (each json_t has one owner). slr_json_load allocates.
 */
#ifndef SLR_COMMON_JSON_H
#define SLR_COMMON_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/slice.h"

/* Parses `text`, which must be one JSON object in UTF-8 without duplicate keys, NUL characters or
 * anything after it; nesting is limited by jansson (2048). *out is the caller's (json_decref).
 * SLR_FORMAT otherwise. */
enum slr_err slr_json_load(struct slr_slice text, json_t **out) SLR_CHECKED;

/* Commands carry media keys: from now on what jansson frees is overwritten before. At start, before
 * there are threads and before anything else of JSON. */
void slr_json_forget_freed(void);

/* Members of an object; obj may be NULL or no object, which has no members. A text is borrowed
 * from obj. Absent, or of another type: NULL or `def`. */
const char *slr_json_str(const json_t *obj, const char *key);
uint64_t slr_json_u64(const json_t *obj, const char *key, uint64_t def); /* negative: def */
int64_t slr_json_i64(const json_t *obj, const char *key, int64_t def);
bool slr_json_bool(const json_t *obj, const char *key, bool def);

/* An integer that must lie in min..max: SLR_NOTFOUND absent, SLR_INVAL no integer or outside; *out
 * is then left as it was. */
enum slr_err slr_json_range(const json_t *obj, const char *key, int64_t min, int64_t max,
                            int64_t *out) SLR_CHECKED;

#endif

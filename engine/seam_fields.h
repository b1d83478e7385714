/*
 * seam_fields: strict reading of a command's JSON members. The first thing that is wrong is noted
 * with the member's name and later reads do nothing, so callers read all and look once.
 * Control thread; allocates nothing.
 */
#ifndef SLR_ENGINE_SEAM_FIELDS_H
#define SLR_ENGINE_SEAM_FIELDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "engine/engine.h"

struct slr_fields {
    const json_t *obj;
    enum slr_err err;
    char *text; /* what is wrong */
    size_t text_size;
};

enum { SLR_FIELD_OPTIONAL, SLR_FIELD_REQUIRED };

void slr_fields_fail(struct slr_fields *f, enum slr_err err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Present, and not null. */
bool slr_fields_has(const struct slr_fields *f, const char *key);
/* Borrowed text of at most max_bytes without control characters; `def` where absent. */
const char *slr_fields_text(struct slr_fields *f, const char *key, int need, size_t max_bytes,
                            const char *def);
int64_t slr_fields_int(struct slr_fields *f, const char *key, int need, int64_t min, int64_t max,
                       int64_t def);
bool slr_fields_bool(struct slr_fields *f, const char *key, int need, bool def);
json_t *slr_fields_object(struct slr_fields *f, const char *key, int need);
/* Index of the text in words[count]; def where absent. */
int slr_fields_word(struct slr_fields *f, const char *key, const char *const *words, int count,
                    int def);
/* An IP literal, "" or absent: family 0. A port only where `with_port`, and then there must be
 * one. */
void slr_fields_addr(struct slr_fields *f, const char *key, int need, bool with_port,
                     struct slr_addr *out);
/* Members codecs and ssrc of a leg. */
void slr_fields_codecs(struct slr_fields *f, struct slr_leg_params *p);
void slr_fields_ssrc(struct slr_fields *f, struct slr_leg_params *p);
/* Member srtp: master keys. Their text is overwritten in the message once it was read. */
void slr_fields_srtp(struct slr_fields *f, struct slr_leg_params *p);

#endif

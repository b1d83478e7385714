/*
 * seam_memory: a ring of answers. See seam_memory.h.
 */
#include "engine/seam_memory.h"

#include <stdio.h>
#include <string.h>

bool slr_seam_memory_key(const json_t *id, char key[static SLR_SEAM_ID_BYTES + 2])
{
    size_t size = SLR_SEAM_ID_BYTES + 2;
    if (json_is_integer(id)) {
        snprintf(key, size, "#%" JSON_INTEGER_FORMAT, json_integer_value(id));
        return true;
    }
    if (!json_is_string(id) || json_string_length(id) == 0 ||
        json_string_length(id) > SLR_SEAM_ID_BYTES) {
        return false;
    }
    snprintf(key, size, "'%s", json_string_value(id));
    return true;
}

json_t *slr_seam_memory_find(const struct slr_seam_memory *m, const char *key)
{
    for (uint32_t i = 0; i < SLR_SEAM_MEMORY; i++) {
        if (m->at[i].answer && strcmp(m->at[i].key, key) == 0) {
            return m->at[i].answer;
        }
    }
    return NULL;
}

void slr_seam_memory_keep(struct slr_seam_memory *m, const char *key, json_t *answer)
{
    struct slr_seam_answer *a = &m->at[m->next];
    m->next = (m->next + 1) % SLR_SEAM_MEMORY;
    json_decref(a->answer);
    a->answer = json_incref(answer);
    snprintf(a->key, sizeof a->key, "%s", key);
}

bool slr_seam_memory_epoch(struct slr_seam_memory *m, uint64_t epoch)
{
    if (epoch > m->epoch) {
        slr_seam_memory_clear(m);
        m->epoch = epoch;
    }
    return epoch == m->epoch;
}

void slr_seam_memory_clear(struct slr_seam_memory *m)
{
    for (uint32_t i = 0; i < SLR_SEAM_MEMORY; i++) {
        json_decref(m->at[i].answer);
        m->at[i].answer = NULL;
    }
    m->next = 0;
}

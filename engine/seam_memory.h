/*
 * seam_memory: answers that were given, so that a command sent again is not done again.
 * The last 1,024 of the newest owner epoch. Control thread; allocates nothing but references.
 */
#ifndef SLR_ENGINE_SEAM_MEMORY_H
#define SLR_ENGINE_SEAM_MEMORY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define SLR_SEAM_MEMORY 1024u
#define SLR_SEAM_ID_BYTES 64u

struct slr_seam_answer {
    char key[SLR_SEAM_ID_BYTES + 2];
    json_t *answer; /* NULL: free */
};

struct slr_seam_memory {
    uint64_t epoch;
    uint32_t next;
    struct slr_seam_answer at[SLR_SEAM_MEMORY];
};

/* Text for an id: a text of 1 to 64 bytes or a whole number, which never equal each other. False:
 * neither. */
bool slr_seam_memory_key(const json_t *id, char key[static SLR_SEAM_ID_BYTES + 2]);

/* Borrowed; NULL: none. */
json_t *slr_seam_memory_find(const struct slr_seam_memory *m, const char *key);
void slr_seam_memory_keep(struct slr_seam_memory *m, const char *key, json_t *answer);
/* False: the epoch is older than the newest seen. A newer one forgets the answers of the old. */
bool slr_seam_memory_epoch(struct slr_seam_memory *m, uint64_t epoch);
void slr_seam_memory_clear(struct slr_seam_memory *m);

#endif

/*
 * seam_cmd: commands of the seam as calls of the engine: strict reading of JSON fields, one
 * function a command, listed in seam_cmd.def. Control thread; allocates for answers.
 */
#ifndef SLR_ENGINE_SEAM_CMD_H
#define SLR_ENGINE_SEAM_CMD_H

#include <jansson.h>
#include <stdbool.h>

#include "common/err.h"
#include "engine/engine_api.h"

/* A captured SIP message as it was, while its event n waits for the ack: media keys that the event
 * does not have. */
struct slr_seam_sip {
    uint64_t n;
    char *data; /* base64; NULL: none */
};

struct slr_seam_cmd_env {
    const struct slr_engine_api *api;
    struct slr_engine *engine;
    const struct slr_engine_config *cfg;
    bool passive;
    bool live;                      /* passive: a link, and nobody is waited for */
    const struct slr_seam_sip *sip; /* NULL: none is ever held */
    /* Adds members to the counters of `stats`; NULL: none. */
    void (*add_counters)(void *ctx, json_t *counters);
    void *ctx;
};

struct slr_seam_result {
    enum slr_err err;
    char text[160]; /* what is wrong, "" where the error's own text says it */
    json_t *answer; /* new object with the answer's fields, caller owns; NULL: none. Also beside
                       an error (EXISTS) */
};

/* NULL: no such command. */
struct slr_seam_cmd;
const struct slr_seam_cmd *slr_seam_cmd_find(const char *name);
bool slr_seam_cmd_changes(const struct slr_seam_cmd *cmd);

/* Reads msg's fields, calls the engine. A field of the wrong type or out of range is SLR_INVAL with
 * the field's name in text; unknown fields are ignored. */
void slr_seam_cmd_run(const struct slr_seam_cmd *cmd, const struct slr_seam_cmd_env *env,
                      const json_t *msg, struct slr_seam_result *result);

#endif

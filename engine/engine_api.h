/*
 * engine_api: the calls of engine.h as a table, so that what drives the engine can be tried with
 * another one behind it. Same contracts, same thread (control).
 */
#ifndef SLR_ENGINE_ENGINE_API_H
#define SLR_ENGINE_ENGINE_API_H

#include "engine/engine.h"

struct slr_engine_api {
    enum slr_err (*open)(const struct slr_engine_config *cfg, const struct slr_event_sink *sink,
                         struct slr_engine **out);
    void (*close)(struct slr_engine *e, bool seal);
    enum slr_err (*session_open)(struct slr_engine *e, const struct slr_session_params *p,
                                 slr_wall *start);
    enum slr_err (*leg_open)(struct slr_engine *e, const struct slr_leg_params *p,
                             struct slr_leg_answer *answer);
    enum slr_err (*leg_update)(struct slr_engine *e, const struct slr_leg_params *p);
    enum slr_err (*leg_close)(struct slr_engine *e, const char *session, const char *leg,
                              const char *reason);
    enum slr_err (*pause)(struct slr_engine *e, const char *session, bool on, uint32_t max_ms,
                          int64_t *at_ticks);
    enum slr_err (*session_meta)(struct slr_engine *e, const char *session, json_t *meta);
    enum slr_err (*session_close)(struct slr_engine *e, const char *session, const char *reason);
    enum slr_err (*recording_delete)(struct slr_engine *e, const char *session, json_t **removed);
    json_t *(*snapshot)(struct slr_engine *e);
    json_t *(*stats)(struct slr_engine *e);
    void (*drain)(struct slr_engine *e, bool on);
    bool (*draining)(const struct slr_engine *e);
    uint32_t (*streams_used)(const struct slr_engine *e);
    uint32_t (*calls_left)(const struct slr_engine *e, const char **limit); /* NULL: unknown */
    const char *(*refusal_text)(const struct slr_engine *e); /* NULL: nothing to say */
    enum slr_err (*passive_run)(struct slr_engine *e, struct slr_passive_sip *sip);
    enum slr_err (*passive_flush)(struct slr_engine *e);
    int (*passive_fd)(const struct slr_engine *e);
    bool (*passive_busy)(const struct slr_engine *e);
};

#endif

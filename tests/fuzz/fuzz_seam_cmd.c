/* Seam commands: any JSON object, run against an engine that checks what it is given. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "engine/seam_cmd.h"
#include "engine/seam_memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void check_leg(const struct slr_leg_params *p)
{
    require(slr_id_valid(p->session));
    require(p->leg[0] != '\0' && strlen(p->leg) < SLR_LEG_ID_SIZE);
    require(!p->dn || strlen(p->dn) < SLR_DN_SIZE);
    require(p->channel < SLR_MAX_CHANNELS && p->pt_count <= SLR_MAX_PTS && p->ssrc_count <= 4);
    for (uint32_t i = 0; i < p->pt_count; i++) {
        require(p->pt[i].pt < 128 && p->pt[i].clock_hz >= 1000 && p->pt[i].channels >= 1);
        require(memchr(p->pt[i].name, 0, sizeof p->pt[i].name) != NULL);
        require(memchr(p->pt[i].fmtp, 0, sizeof p->pt[i].fmtp) != NULL);
    }
}

static enum slr_err f_session_open(struct slr_engine *e, const struct slr_session_params *p,
                                   slr_wall *start)
{
    (void)e;
    require(slr_id_valid(p->session) && strlen(p->call) < SLR_CALL_ID_SIZE);
    require(p->channels >= 1 && p->channels <= SLR_MAX_CHANNELS);
    start->ns = 1;
    return SLR_OK;
}

static enum slr_err f_leg_open(struct slr_engine *e, const struct slr_leg_params *p,
                               struct slr_leg_answer *answer)
{
    (void)e;
    check_leg(p);
    answer->rtp = p->source;
    return SLR_OK;
}

static enum slr_err f_leg_update(struct slr_engine *e, const struct slr_leg_params *p)
{
    (void)e;
    check_leg(p);
    return SLR_OK;
}

static enum slr_err f_leg_close(struct slr_engine *e, const char *session, const char *leg,
                                const char *reason)
{
    (void)e;
    require(slr_id_valid(session) && strlen(leg) < SLR_LEG_ID_SIZE && strlen(reason) < 32);
    return SLR_OK;
}

static enum slr_err f_pause(struct slr_engine *e, const char *session, bool on, uint32_t max_ms,
                            int64_t *at_ticks)
{
    (void)e;
    require(slr_id_valid(session) && max_ms <= SLR_PAUSE_MAX_MS && (on || max_ms == 0));
    *at_ticks = on;
    return SLR_OK;
}

static enum slr_err f_meta(struct slr_engine *e, const char *session, json_t *meta)
{
    (void)e;
    require(slr_id_valid(session) && json_is_object(meta));
    return SLR_OK;
}

static enum slr_err f_close(struct slr_engine *e, const char *session, const char *reason)
{
    (void)e;
    require(slr_id_valid(session) && strlen(reason) < 32);
    return SLR_OK;
}

static enum slr_err f_delete(struct slr_engine *e, const char *session, json_t **removed)
{
    (void)e;
    require(slr_id_valid(session));
    *removed = json_array();
    return SLR_OK;
}

static json_t *f_list(struct slr_engine *e)
{
    (void)e;
    return json_array();
}

static json_t *f_stats(struct slr_engine *e)
{
    (void)e;
    return json_object();
}

static void f_drain(struct slr_engine *e, bool on)
{
    (void)e;
    (void)on;
}

static const struct slr_engine_api api = {.session_open = f_session_open,
                                          .leg_open = f_leg_open,
                                          .leg_update = f_leg_update,
                                          .leg_close = f_leg_close,
                                          .pause = f_pause,
                                          .session_meta = f_meta,
                                          .session_close = f_close,
                                          .recording_delete = f_delete,
                                          .snapshot = f_list,
                                          .stats = f_stats,
                                          .drain = f_drain};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slr_engine_config cfg = {.streams = 10};
    json_t *msg = NULL;
    char key[SLR_SEAM_ID_BYTES + 2];

    if (slr_json_load(slr_slice_of(data, size), &msg) != SLR_OK) {
        return 0;
    }
    if (slr_seam_memory_key(json_object_get(msg, "id"), key)) {
        require(strlen(key) < sizeof key);
    }
    const char *name = slr_json_str(msg, "cmd");
    const struct slr_seam_cmd *cmd = name ? slr_seam_cmd_find(name) : NULL;
    for (int passive = 0; cmd && passive < 2; passive++) {
        struct slr_seam_cmd_env env = {.api = &api, .cfg = &cfg, .passive = passive != 0};
        struct slr_seam_result r;
        slr_seam_cmd_run(cmd, &env, msg, &r);
        require(memchr(r.text, 0, sizeof r.text) != NULL);
        json_decref(r.answer);
    }
    json_decref(msg);
    return 0;
}

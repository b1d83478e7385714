/*
 * calls: the calls in progress of one core, and the commands to engine and store that change them.
 * Owned by the signalling thread; nothing here waits.
 */
#ifndef SLR_CTL_CALLS_H
#define SLR_CTL_CALLS_H

#include "ctl/core_int.h"
#include "ctl/sdp.h"

/* What the seam takes for one leg. */
#define SLR_CALLS_CODECS_MAX SLR_SDP_TAKEN_MAX
#define SLR_CALLS_CODEC_NAME_SIZE 16

/* A new call under `key` ("" pairs with none) with a recording id of its own; newest of its key.
 * NULL: no memory. */
struct slr_call *slr_calls_new(struct slr_core *core, const char *key);
/* Puts a restored call into the tables. SLR_NOMEM, SLR_EXISTS. */
enum slr_err slr_calls_adopt(struct slr_core *core, struct slr_call *call) SLR_CHECKED;
/* Newest call of a key, or NULL. */
struct slr_call *slr_calls_newest(const struct slr_core *core, const char *key);
/* By recording id, or NULL. */
struct slr_call *slr_calls_get(const struct slr_core *core, const char *session);
/* Out of the tables and the store, freed. */
void slr_calls_forget(struct slr_core *core, struct slr_call *call);

/* A call whose session the engine does not have: failed in the catalogue, forgotten. */
void slr_calls_lost(struct slr_core *core, struct slr_call *call, const char *reason);

/* Writes call (assembly state) and recording (catalogue) to the store. */
void slr_calls_store(struct slr_core *core, struct slr_call *call);

/* What recordings are to be by the core's options. SLR_UNSUPPORTED: no such thing, *why says so. */
enum slr_err slr_calls_output_check(const struct slr_core_config *cfg,
                                    const char **why) SLR_CHECKED;
/* Member `output` of a session_open; nothing where no option asks for anything. */
void slr_calls_put_output(const struct slr_core_config *cfg, json_t *cmd);

/* Commands. `done` as of slr_link_send with SLR_LINK_ONCE. */
enum slr_err slr_calls_open_session(struct slr_core *core, struct slr_call *call, uint32_t reserve,
                                    slr_link_done done, void *ctx) SLR_CHECKED;
enum slr_err slr_calls_open_leg(struct slr_core *core, struct slr_call *call,
                                const struct slr_call_leg *leg, const struct slr_sdp_media *media,
                                slr_link_done done, void *ctx) SLR_CHECKED;
/* Kept until the engine has taken them. */
void slr_calls_update_leg(struct slr_core *core, struct slr_call *call,
                          const struct slr_call_leg *leg, const struct slr_sdp_media *media);
void slr_calls_close_leg(struct slr_core *core, struct slr_call *call, struct slr_call_leg *leg,
                         const char *reason);
void slr_calls_send_meta(struct slr_core *core, struct slr_call *call);
/* State SEALING, session_close, stored. Does nothing to a call that is closed already. Its SIP
 * dialogs are the caller's business. */
void slr_calls_close(struct slr_core *core, struct slr_call *call, const char *reason);

/* Sends the session_close of a call that is SEALING once more. */
void slr_calls_close_again(struct slr_core *core, struct slr_call *call);

/* {"pt","name","clock","ch","fmtp"} as the engine knows the codec; NULL: no memory. */
json_t *slr_calls_codec(const struct slr_sdp_codec *c);
/* A list of those: what is recorded out of a media line; NULL: no memory. */
json_t *slr_calls_codecs(const struct slr_sdp_media *media);

#endif

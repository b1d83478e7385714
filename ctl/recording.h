/*
 * recording: what an engine's event says about a recording, as a record for the catalogue. Pure;
 * any thread; allocates the record.
 */
#ifndef SLR_CTL_RECORDING_H
#define SLR_CTL_RECORDING_H

#include <jansson.h>

/* A new record out of one of the events session_open, sealed, failed and deleted of `engine`
 * (store.h, slr_store_put_recording). NULL: another event, a malformed one, or no memory. */
json_t *slr_recording_of_event(const json_t *event, const char *engine);

/* The same out of a session of a snapshot. */
json_t *slr_recording_of_session(const json_t *session, const char *engine);

#endif

/*
 * control: the control thread: event log, seam, sniffer, pushed HEP, signals, and the engine behind
 * them. Runs on the caller's thread.
 */
#ifndef SLR_ENGINE_CONTROL_H
#define SLR_ENGINE_CONTROL_H

#include "engine/engine_api.h"

struct slr_control_config {
    const struct slr_engine_config *engine; /* borrowed for the run */
    const struct slr_engine_api *api;
};

/* Puts a live engine to work until SIGTERM or SIGINT, which must be blocked in the calling thread;
 * then seals all sessions. Returns the exit code; what went wrong is logged. */
int slr_control_run(const struct slr_control_config *cfg);

/* Works through a capture file (config capture = pcapfile:FILE), in step with a core when one is
 * connected, or follows a live link (packet:INTERFACE) until SIGTERM or SIGINT, which must be
 * blocked then. Returns the exit code; 1 also when the capture cannot be opened. */
int slr_control_run_passive(const struct slr_control_config *cfg);

#endif

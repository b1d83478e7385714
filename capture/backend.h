/*
 * backend: declares the operation tables of all rows of capture.def; each is defined in the
 * backend's own file as slr_<name>_ops. Const data, any thread.
 */
#ifndef SLR_CAPTURE_BACKEND_H
#define SLR_CAPTURE_BACKEND_H

#include "capture/capture.h"

#define CAPTURE(name) extern const struct slr_capture_ops slr_##name##_ops;
#include "capture/capture.def"
#undef CAPTURE

#endif

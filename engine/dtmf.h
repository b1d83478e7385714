/*
 * dtmf: telephone events (RFC 4733 2.3) to digits. Pure but for the leg slot; worker thread.
 */
#ifndef SLR_ENGINE_DTMF_H
#define SLR_ENGINE_DTMF_H

#include "engine/state.h"

struct slr_dtmf {
    uint8_t event;
    bool end;
    uint16_t duration_units; /* RTP clock units */
    char digit;              /* 0: not one of 0-9 * # A-D or flash */
};

enum slr_err slr_dtmf_parse(struct slr_slice payload, struct slr_dtmf *out) SLR_CHECKED;

/* Enters the event into the leg's digits once, however often it is repeated; later packets of it
 * only lengthen it. ts_ext: its RTP timestamp, unwrapped. clock_hz: of its payload type, not 0.
 * segment: of its records; the entry's `leg` says it, for as long as it is in the leg's slot. */
void slr_dtmf_take(struct slr_leg *leg, uint8_t segment, const struct slr_dtmf *ev, uint32_t ssrc,
                   int64_t ts_ext, int64_t pos_ticks, uint32_t clock_hz);

#endif

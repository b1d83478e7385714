/*
 * verdict: what becomes of one captured frame. Every verdict but TAKEN and HELD has a counter of
 * its own in struct slr_capture_stats.
 */
#ifndef SLR_CAPTURE_VERDICT_H
#define SLR_CAPTURE_VERDICT_H

enum slr_verdict {
    SLR_VERDICT_TAKEN,     /* goes on to the next stage, or is delivered */
    SLR_VERDICT_HELD,      /* kept for later (fragment, TCP out of order): counted when it leaves */
    SLR_VERDICT_LINK,      /* unknown or malformed link layer, or not IP */
    SLR_VERDICT_IP,        /* malformed IP */
    SLR_VERDICT_FRAGMENT,  /* malformed, overlapping, duplicate or surplus fragment */
    SLR_VERDICT_TRANSPORT, /* neither UDP nor wanted TCP, or malformed */
    SLR_VERDICT_TRUNCATED  /* the snap length cut what was needed */
};

#endif

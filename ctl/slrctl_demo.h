/*
 * slrctl_demo: makes a first recording through SIP and RTP and says where it is.
 * Runs in a process of its own, started by `slrctl run --demo`.
 */
#ifndef SLR_CTL_SLRCTL_DEMO_H
#define SLR_CTL_SLRCTL_DEMO_H

#include "ctl/slrctl.h"

struct slrctl_demo {
    const struct slrctl *ctl; /* api is where the recorder answers */
    const char *sip;          /* ADDR:PORT */
    const char *data_dir;
};

enum slrctl_exit slrctl_demo(const struct slrctl_demo *d);

#endif

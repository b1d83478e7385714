/*
 * dpdk_port: what the dpdk backend asks of the module slr-dpdk.so, which alone knows DPDK.
 *
 * The program is not linked with DPDK: it loads the module when `--capture dpdk:` asks for it, and
 * runs where there is none. The module calls nothing of the program but what it is given here.
 * One thread makes all calls on a port, the one that opened it. One port a process, ever: DPDK's
 * environment cannot begin twice.
 */
#ifndef SLR_CAPTURE_DPDK_PORT_H
#define SLR_CAPTURE_DPDK_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

/* Raised when anything here changes: a module of another build is refused. */
#define SLR_DPDK_PORT_VERSION 1u
#define SLR_DPDK_PORT_FILE "slr-dpdk.so"
#define SLR_DPDK_PORT_SYMBOL "slr_dpdk_port_ops"

#define SLR_DPDK_BURST 64u

struct slr_dpdk_frame {
    const uint8_t *at;
    uint32_t len_bytes;
    uint16_t vlan; /* taken out of the frame by the device, 0: none */
    bool cut;      /* longer than what is here */
};

/* How loud a line of DPDK's log is. */
enum slr_dpdk_loud { SLR_DPDK_LOG_DEBUG, SLR_DPDK_LOG_INFO, SLR_DPDK_LOG_WARN, SLR_DPDK_LOG_ERROR };

struct slr_dpdk_port_config {
    char *const *argv; /* of the EAL (dpdk_spec.h); borrowed for ever */
    uint32_t argc;
    const char *device; /* as argv names it */
    uint32_t queues, mbufs, ring;
    /* Any thread of DPDK's; line is without its end. */
    void (*log)(enum slr_dpdk_loud loud, const char *line);
    /* What did not work, before open returns an error. */
    void (*refused)(const char *step, const char *text);
};

/* What the port is. */
struct slr_dpdk_port_about {
    char driver[64];
    uint32_t mtu_bytes, queues, ring;
    bool promiscuous;
};

/* Cumulative, of the device. */
struct slr_dpdk_port_stats {
    uint64_t missed;   /* frames that found no descriptor */
    uint64_t no_mbufs; /* times that no memory was left for a frame */
    uint64_t errors;   /* frames that came broken */
};

struct slr_dpdk_port; /* opaque */

struct slr_dpdk_port_ops {
    uint32_t version; /* SLR_DPDK_PORT_VERSION */
    /* SLR_STATE: there was one in this process. SLR_NOTFOUND: no such device. SLR_NOMEM, SLR_IO,
     * SLR_INVAL (the EAL's arguments). */
    enum slr_err (*open)(const struct slr_dpdk_port_config *cfg, struct slr_dpdk_port **out,
                         struct slr_dpdk_port_about *about);
    /* The next frames, at most SLR_DPDK_BURST. They are valid until the next call, which takes them
     * back. */
    uint32_t (*burst)(struct slr_dpdk_port *p, struct slr_dpdk_frame *frames);
    void (*stats)(struct slr_dpdk_port *p, struct slr_dpdk_port_stats *out);
    void (*close)(struct slr_dpdk_port *p);
};

#endif

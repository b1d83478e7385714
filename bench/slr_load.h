/*
 * slr_load: the traffic generator and checker. One thread: sets calls up through SIP (two
 * recording INVITEs each), sends their RTP with exact pacing, ends them, and then reads every
 * recording back, packet by packet.
 */
#ifndef SLR_BENCH_SLR_LOAD_H
#define SLR_BENCH_SLR_LOAD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/options.h"

#define SLR_LOAD_PACKET_BYTES 160u
#define SLR_LOAD_LEGS 2u

struct slr_load_config {
    const char *sip;               /* ADDR:PORT of the recorder */
    const char *data;              /* its --data directory, to check the recordings */
    uint32_t calls, seconds, ramp; /* ramp: calls set up a second */
    struct slr_option_list pid;    /* processes whose CPU time is reported */
    uint32_t run_id;               /* part of each watermark: other runs' recordings are not ours */
};

struct slr_load_leg {
    struct sockaddr_in to; /* where the recorder wants the RTP */
    uint32_t cseq;
    char to_tag[64];
    char contact[128];
    bool answered;
};

struct slr_load_call {
    struct slr_load_leg leg[SLR_LOAD_LEGS];
    int64_t start_ns;
    uint32_t sent; /* packets of each leg */
};

struct slr_load {
    const struct slr_load_config *cfg;
    struct slr_load_call *call;
    int sip_fd;
    int rtp_fd;
    struct sockaddr_in sip_to;
    char local_ip[64];
    uint16_t sip_port;
    uint64_t send_errors;
};

struct slr_load_verdict {
    uint32_t recordings;
    uint64_t expected, found, lost, misplaced, leaked, damaged;
};

/* slr_load_sip.c: INVITE to ACK of both legs; BYE of both. SLR_TIMEOUT, SLR_FORMAT (refused). */
enum slr_err slr_load_invite(struct slr_load *l, uint32_t call) SLR_CHECKED;
enum slr_err slr_load_bye(struct slr_load *l, uint32_t call) SLR_CHECKED;

/* slr_load_mark.c: the payload of packet n of a leg: 16 bytes that say whose it is, the rest from
 * a generator seeded by them. */
void slr_load_mark(uint8_t at[static SLR_LOAD_PACKET_BYTES], uint32_t run_id, uint32_t call,
                   uint32_t leg, uint32_t n);

/* slr_load_check.c: reads all sealed recordings of this run below data/rec. */
enum slr_err slr_load_check(const struct slr_load *l, struct slr_load_verdict *v) SLR_CHECKED;

#endif

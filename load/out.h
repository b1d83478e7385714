/*
 * out: the way that RTP takes out of this process, as --send has it: a UDP socket, or frames.
 * Allocates at open; then the thread that sends owns it.
 */
#ifndef SLR_LOAD_OUT_H
#define SLR_LOAD_OUT_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "load/batch.h"
#include "load/config.h"

struct slr_out {
    int udp_fd;              /* stays with frames, too, so that nobody else gets its port */
    struct sockaddr_in from; /* its address */
    struct slr_link link;
    struct slr_live live;
    struct slr_batch_way way;
};

/* local_ip: where RTP comes from; media_ip: the recorder's, whose hardware address is asked for
 * where `whose` says so. Packets of at most packet_bytes. A message goes to standard error where
 * more is to be said than the result tells. */
enum slr_err slr_out_open(struct slr_out *o, const struct slr_load_config *cfg,
                          const char *local_ip, const char *media_ip, enum slr_link_to whose,
                          size_t packet_bytes) SLR_CHECKED;
/* Also where open failed. */
void slr_out_close(struct slr_out *o);

/* Packets that were given away and that the device dropped. Any thread. */
uint64_t slr_out_dropped(const struct slr_out *o);

#endif

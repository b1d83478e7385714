/*
 * link: from a captured frame's first byte to its IP header.
 *
 * Link types (the numbers of pcap-linktype(7), as libpcap's DLT_ constants have them): Ethernet
 * with stacked 802.1Q / 802.1ad tags and LLC/SNAP, Linux cooked v1 and v2, raw IP, BSD null and
 * loop. Pure functions, any thread, allocate nothing.
 */
#ifndef SLR_CAPTURE_LINK_H
#define SLR_CAPTURE_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "capture/verdict.h"
#include "common/slice.h"

struct slr_link {
    struct slr_slice ip; /* from the IP header to the frame's end, padding included */
    uint16_t vlan;       /* innermost 802.1Q id, 0: none */
};

/* True when slr_link_parse knows this link type. */
bool slr_link_supported(int dlt);

/*
 * Finds the IP packet in `frame`. dlt: link type. cut: the snap length shortened the frame, so that
 * running out of bytes is the capture's fault and not the sender's.
 * Returns SLR_VERDICT_TAKEN with *out set (out->ip borrows from frame, may be empty),
 * SLR_VERDICT_LINK (unknown type, not IP, too short) or SLR_VERDICT_TRUNCATED (too short and cut).
 */
enum slr_verdict slr_link_parse(int dlt, struct slr_slice frame, bool cut, struct slr_link *out);

#endif

/*
 * ipfrag: reassembly of IPv4 (RFC 791) and IPv6 (RFC 8200 4.5) fragments of captured packets.
 *
 * A fixed table of datagrams in progress, each with room for a whole one, so entries and bytes are
 * bounded together. Overlapping fragments spoil the whole datagram, what comes of it later included
 * (RFC 5722); exact repetitions are ignored. The oldest datagram gives way when the table is full.
 * One thread owns an instance; it allocates at open only.
 */
#ifndef SLR_CAPTURE_IPFRAG_H
#define SLR_CAPTURE_IPFRAG_H

#include <stdint.h>

#include "capture/ip.h"
#include "capture/verdict.h"
#include "common/clock.h"
#include "common/err.h"

struct slr_ipfrag_config {
    uint32_t datagrams_max; /* in progress at once, 1..65536; 64 KiB each, touched when used */
    int64_t timeout_ns;     /* from a datagram's first fragment on */
};

struct slr_ipfrag; /* opaque */

/* SLR_INVAL, SLR_NOMEM. *out is freed with slr_ipfrag_close (NULL allowed there). */
enum slr_err slr_ipfrag_open(const struct slr_ipfrag_config *cfg,
                             struct slr_ipfrag **out) SLR_CHECKED;
void slr_ipfrag_close(struct slr_ipfrag *f);

/*
 * Takes one fragment (part->fragment set, nothing missing). vlan separates equal addresses. now:
 * capture time, not decreasing from call to call.
 * HELD: kept. TAKEN: *whole is the datagram with its extension headers skipped (borrowed until the
 * next call), *frames the number of fragments in it, this one included. FRAGMENT: this fragment is
 * dropped (not counted by slr_ipfrag_dropped, the caller counts it). IP: the datagram was complete
 * but malformed, with *frames as above.
 */
enum slr_verdict slr_ipfrag_put(struct slr_ipfrag *f, const struct slr_ip *part, uint16_t vlan,
                                slr_mono now, struct slr_ip *whole, uint32_t *frames);

/* Drops datagrams that are older than the timeout. Cheap when there are none. */
void slr_ipfrag_expire(struct slr_ipfrag *f, slr_mono now);

/* Drops all datagrams in progress (end of input). */
void slr_ipfrag_flush(struct slr_ipfrag *f);

/* Fragments kept now. */
uint64_t slr_ipfrag_held(const struct slr_ipfrag *f);

/* Fragments that were HELD and dropped later, ever. */
uint64_t slr_ipfrag_dropped(const struct slr_ipfrag *f);

#endif

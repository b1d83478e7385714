/*
 * frame: the passive way of a packet: captured frame -> link -> IP -> fragments -> tunnels, and
 * the same again in them -> UDP or ordered TCP -> struct slr_packet. Used by every backend that
 * sees frames and not sockets.
 *
 * It counts each frame put in exactly one place: at any time
 *   frames = packets + fragments_joined + all drop counters + slr_frame_pending,
 * and nothing is pending after slr_frame_flush and taking what it released.
 * One thread owns an instance; it allocates at open only.
 */
#ifndef SLR_CAPTURE_FRAME_H
#define SLR_CAPTURE_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "capture/capture.h"
#include "common/slice.h"

struct slr_frame; /* opaque */

/* dlt: link type of all frames. SLR_UNSUPPORTED: slr_link_parse does not know it; SLR_NOMEM.
 * *out is freed with slr_frame_close (NULL allowed there). */
enum slr_err slr_frame_open(int dlt, struct slr_frame **out) SLR_CHECKED;
void slr_frame_close(struct slr_frame *f);

/*
 * Takes one frame. cut: the snap length shortened it. wall: capture time; where it lies before that
 * of an earlier frame, arrival stays at the latest time seen (counted as time_clamped).
 * True: *out is a packet to deliver (its bytes are borrowed until the next call).
 * The caller then drains slr_frame_take before the next put.
 */
bool slr_frame_put(struct slr_frame *f, struct slr_slice bytes, bool cut, slr_wall wall,
                   struct slr_packet *out);

/* The same for a frame whose outermost 802.1Q tag was taken out of it: vlan, 0: none. */
bool slr_frame_put_tagged(struct slr_frame *f, struct slr_slice bytes, bool cut, uint16_t vlan,
                          slr_wall wall, struct slr_packet *out);

/* From now on TCP of other ports than lo..hi (at either end) is dropped; at open: none is. */
void slr_frame_tcp_ports(struct slr_frame *f, uint32_t lo, uint32_t hi);

/* From now on no frame goes the short way of usual ones (usual.h): nothing else comes of it. */
void slr_frame_long_way(struct slr_frame *f);

/* The next TCP segment that an earlier put, or flush, released; false: none. */
bool slr_frame_take(struct slr_frame *f, struct slr_packet *out);

/* End of input: gives up fragments, releases held TCP segments to slr_frame_take. */
void slr_frame_flush(struct slr_frame *f);

/* Frames held and in no counter yet. */
uint64_t slr_frame_pending(const struct slr_frame *f);

/* Members for live backends stay 0. */
void slr_frame_stats(const struct slr_frame *f, struct slr_capture_stats *out);

#endif

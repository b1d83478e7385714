/*
 * packet: RTP packets of a leg (RFC 3550 5.1), each a function of the leg and the frame's number.
 * Pure, any thread.
 */
#ifndef SLR_LOAD_PACKET_H
#define SLR_LOAD_PACKET_H

#include <stddef.h>
#include <stdint.h>

#include "load/impair.h"
#include "load/secure.h"
#include "load/voice.h"

#define SLR_PACKET_HEADER_BYTES 12u
#define SLR_PACKET_MAX_BYTES (SLR_PACKET_HEADER_BYTES + SLR_VOICE_MAX_BYTES + SLR_SECURE_MORE_BYTES)
#define SLR_PACKET_REPORT_BYTES (64u + SLR_SECURE_MORE_BYTES)

struct slr_packet_leg {
    const struct slr_voice *voice;
    uint32_t run_id, call, leg;
    uint32_t ssrc, ts0;
    uint16_t seq0;
    struct slr_secure *secure; /* NULL: plain; borrowed */
};

/* The SSRC of a leg. */
uint32_t slr_packet_ssrc(uint64_t seed, uint32_t run_id, uint32_t call, uint32_t leg);

/* SSRC and first numbers drawn for that leg. */
void slr_packet_begin(struct slr_packet_leg *p, const struct slr_voice *voice, uint64_t seed,
                      uint32_t run_id, uint32_t call, uint32_t leg);

/* Writes a sender report with a CNAME (RFC 3550 6.4.1, 6.5), the number-th of the leg, for a frame
 * that is due at that wall time. `at` holds SLR_PACKET_REPORT_BYTES. Gives its length; 0: it could
 * not be encrypted. */
size_t slr_packet_report(const struct slr_packet_leg *p, uint32_t frame, uint32_t packets,
                         int64_t wall_ns, uint32_t number, uint8_t *at);

/* Writes the packet of a frame, sound or comfort noise (RFC 3389, a level alone). `at` holds
 * SLR_PACKET_MAX_BYTES. Gives its length; 0: it could not be encrypted. */
size_t slr_packet_write(const struct slr_packet_leg *p, uint32_t frame, const struct slr_fate *fate,
                        uint8_t *at);

#endif

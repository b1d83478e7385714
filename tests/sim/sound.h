/*
 * sound: is the bank's sound (bank.h) where it is to be? By likeness, since decoders that have not
 * heard the same before differ for a while (struct sim_line says how long and how much).
 */
#ifndef SLR_TESTS_SIM_SOUND_H
#define SLR_TESTS_SIM_SOUND_H

#include "tests/sim/expect.h"
#include "tests/sim/undo.h"

enum sim_there { SIM_IS_THERE, SIM_IS_NOT_THERE, SIM_MAY_BE_THERE };

/* How much was sent, and came, right before each packet. */
void sim_sound_warm(const struct sim *m, struct sim_leg *leg);

/* Looks for a segment between its bounds; true: found, and at_ticks is set. */
bool sim_sound_find(const struct sim *m, const struct sim_channel *c, uint32_t channel,
                    struct sim_segment *g);

/* Must a packet of the segment be recognised, by what is sure of its packets? */
bool sim_sound_is_due(const struct sim *m, const struct sim_leg *leg, const struct sim_segment *g);

/* Is the packet's sound at its place? Its segment was found. */
enum sim_there sim_sound_there(const struct sim *m, const struct sim_channel *c, uint32_t channel,
                               const struct sim_packet *p);

/* All that was placed is there, each 10 ms of it. Ends the process where it is not. */
void sim_sound_check(struct sim *m, const struct sim_channel *c, uint32_t channel);

#endif

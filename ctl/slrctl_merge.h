/*
 * slrctl_merge: moves the files of imported recordings to where they stay. One thread; blocks on
 * the disk.
 */
#ifndef SLR_CTL_SLRCTL_MERGE_H
#define SLR_CTL_SLRCTL_MERGE_H

#include <jansson.h>
#include <stdbool.h>

/*
 * Moves media and ledger of a catalogue record from FROM/rec to TO/rec (same volume), never over a
 * file with other content; one with the same content counts as done. False after a message.
 */
bool slrctl_merge_files(const char *from, const char *to, const json_t *record);

#endif

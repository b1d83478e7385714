/*
 * encode_task: one recording that was sealed as WAV and is to get its final format: what is to be
 * made by its ledger, and what follows when it was made.
 *
 * On the disk are DIR/rec/encode/ID.wav and its ledger, which says `encoding`. The final files get
 * their names, then the ledger is written anew without it, then the WAV goes: after a death at any
 * point it begins again, or only what was left is done. Encoding manager's thread; blocks on the
 * disk, allocates.
 */
#ifndef SLR_ENGINE_ENCODE_TASK_H
#define SLR_ENGINE_ENCODE_TASK_H

#include <jansson.h>

#include "engine/finish.h"

struct slr_encode_task {
    char id[SLR_ID_SIZE];
    json_t *ledger;
    struct slr_sink_posix media;
    bool media_open;
    struct slr_output_plan plan;
    struct slr_ledger_cut *cut;
    struct slr_finish_job job; /* of all but its stop */
    struct slr_final_file file[SLR_MAX_CHANNELS];
};

/* The policy that a ledger was written for. False: it has none that could be read. */
bool slr_encode_task_output(const json_t *ledger, struct slr_output *output);

/*
 * Reads what is to be made. SLR_NOTFOUND: the recording was deleted meanwhile; SLR_EXISTS: all was
 * made before a death, only telling and removing the WAV is left (ledger is there); SLR_FORMAT: a
 * ledger that says nothing of the kind; errors of the disk. close it in any case. The task stays
 * where it is in memory.
 */
enum slr_err slr_encode_task_open(struct slr_encode_task *t, int rec_fd,
                                  const char *id) SLR_CHECKED;

/* What slr_finish_run made gets its names, and the ledger says so. */
enum slr_err slr_encode_task_publish(struct slr_encode_task *t, int rec_fd,
                                     uint64_t frames) SLR_CHECKED;

/* The event `encoded`, from the ledger; NULL: out of memory. Caller owns. */
json_t *slr_encode_task_event(const struct slr_encode_task *t);

/* The WAV, once its successors are told of. */
void slr_encode_task_remove_source(const struct slr_encode_task *t, int rec_fd);

void slr_encode_task_close(struct slr_encode_task *t);

#endif

/*
 * journal: see the header. Sealer thread.
 */
#include "engine/journal.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum slr_err slr_journal_read(int fd, uint64_t bytes, struct slr_journal *out)
{
    uint64_t done = 0;
    *out = (struct slr_journal){.at = malloc(bytes + sizeof *out->at)};
    if (!out->at) {
        return SLR_NOMEM;
    }
    while (done < bytes) {
        ssize_t n = pread(fd, (uint8_t *)out->at + done, bytes - done, (off_t)done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            enum slr_err err = slr_err_from_errno(errno);
            slr_journal_free(out);
            return err;
        }
        if (n == 0) {
            out->is_cut = true;
            break;
        }
        done += (uint64_t)n;
    }
    out->count = done / sizeof *out->at;
    return SLR_OK;
}

void slr_journal_free(struct slr_journal *j)
{
    free(j->at);
    *j = (struct slr_journal){0};
}

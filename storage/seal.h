/*
 * seal: from a finished file under its temporary name to a published recording, and the hash.
 * Called on a writer or sealing thread; blocks on the disk.
 */
#ifndef SLR_STORAGE_SEAL_H
#define SLR_STORAGE_SEAL_H

#include <stdint.h>

#include "common/err.h"
#include "storage/sink.h"

#define SLR_HASH_BLOCK_BYTES (1024u * 1024u)
#define SLR_HASH_TEXT_SIZE 65

/*
 * Media hash: SHA-256 over the concatenated SHA-256 digests of the 1 MiB blocks of the media bytes
 * [offset, offset+len) (the last block may be short; no media: SHA-256 of nothing). 64 lower-case
 * hex digits and NUL.
 */
enum slr_err slr_hash_media(struct slr_sink *sink, uint64_t offset_bytes, uint64_t len_bytes,
                            char out[static SLR_HASH_TEXT_SIZE]) SLR_CHECKED;

/* fsync(file), rename(from, to), fsync(directory). Both names below dir_fd. SLR_EXISTS when `to`
 * is there with other content (never overwrites; renameat2 RENAME_NOREPLACE). Calling it again
 * after success gives SLR_OK when `from` is gone and `to` exists. */
enum slr_err slr_seal_publish(int dir_fd, const char *from, const char *to) SLR_CHECKED;

/* Writes a small file whole: temporary name, fsync, rename over `path`, fsync(directory). */
enum slr_err slr_seal_write_file(int dir_fd, const char *path, const void *at,
                                 size_t len_bytes) SLR_CHECKED;

#endif

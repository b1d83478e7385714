/*
 * wav_file: see the header. Any thread.
 */
#include "storage/wav_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "storage/wav_read.h"

#define HEADER_BYTES 4096

enum slr_err slr_wav_file_shape(int dir_fd, const char *name, struct slr_audio_shape *shape,
                                uint64_t *frames, int64_t *modified_wall_ns)
{
    uint8_t header[HEADER_BYTES];
    struct slr_wav_info info;
    struct stat st;
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return slr_err_from_errno(errno);
    }
    ssize_t n = pread(fd, header, sizeof header, 0);
    enum slr_err err = n < 0 || fstat(fd, &st) != 0 ? slr_err_from_errno(errno) : SLR_OK;
    close(fd);
    if (err == SLR_OK) {
        err = slr_wav_parse(slr_slice_of(header, (size_t)n), &info);
    }
    if (err == SLR_OK) {
        uint64_t frame_bytes = info.shape.channels * slr_sample_bytes(info.shape.format);
        *shape = info.shape;
        *frames = ((uint64_t)st.st_size - info.data_offset_bytes) / frame_bytes;
    }
    if (err == SLR_OK && modified_wall_ns) {
        *modified_wall_ns = st.st_mtim.tv_sec * SLR_NS_PER_S + st.st_mtim.tv_nsec;
    }
    return err;
}

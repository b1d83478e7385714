/*
 * err: names and texts of the one error list, and the way from errno to it.
 * Constant tables only; any thread, allocates nothing.
 */
#include "common/err.h"

#include <errno.h>
#include <stddef.h>

static const struct {
    const char *name;
    const char *text;
} errors[SLR_ERR_COUNT] = {
#define ERR(name, text) [SLR_##name] = {#name, text},
#include "common/err.def"
#undef ERR
};

static const struct {
    int errnum;
    enum slr_err err;
} from_errno[] = {
    {0, SLR_OK},
    {EINVAL, SLR_INVAL},
    {EDOM, SLR_INVAL},
    {ERANGE, SLR_INVAL},
    {EAFNOSUPPORT, SLR_INVAL},
    {ENOMEM, SLR_NOMEM},
    {EMFILE, SLR_FULL},
    {ENFILE, SLR_FULL},
    {ENOBUFS, SLR_FULL},
    {EAGAIN, SLR_AGAIN},
#if EWOULDBLOCK != EAGAIN
    {EWOULDBLOCK, SLR_AGAIN},
#endif
    {EINTR, SLR_AGAIN},
    {EINPROGRESS, SLR_AGAIN},
    {ENOSPC, SLR_NOSPACE},
    {EDQUOT, SLR_NOSPACE},
    {ENOSYS, SLR_UNSUPPORTED},
    {EOPNOTSUPP, SLR_UNSUPPORTED},
    {EPROTONOSUPPORT, SLR_UNSUPPORTED},
    {ENOENT, SLR_NOTFOUND},
    {ENOTDIR, SLR_NOTFOUND},
    {ENODEV, SLR_NOTFOUND},
    {ENXIO, SLR_NOTFOUND},
    {EEXIST, SLR_EXISTS},
    {ENOTEMPTY, SLR_STATE},
    {EISCONN, SLR_STATE},
    {ENOTCONN, SLR_STATE},
    {EBUSY, SLR_BUSY},
    {EADDRINUSE, SLR_BUSY},
    {ETXTBSY, SLR_BUSY},
    {ETIMEDOUT, SLR_TIMEOUT},
    {EPIPE, SLR_CLOSED},
    {ECONNRESET, SLR_CLOSED},
    {ECONNREFUSED, SLR_CLOSED},
    {ECONNABORTED, SLR_CLOSED},
    {EACCES, SLR_DENIED},
    {EPERM, SLR_DENIED},
    {EROFS, SLR_DENIED},
    {ENAMETOOLONG, SLR_TOOLONG},
    {EMSGSIZE, SLR_TOOLONG},
    {EFBIG, SLR_TOOLONG},
};

const char *slr_err_name(enum slr_err err)
{
    return (unsigned)err < SLR_ERR_COUNT ? errors[err].name : "?";
}

const char *slr_err_text(enum slr_err err)
{
    return (unsigned)err < SLR_ERR_COUNT ? errors[err].text : "unknown error";
}

enum slr_err slr_err_from_errno(int errnum)
{
    for (size_t i = 0; i < sizeof from_errno / sizeof from_errno[0]; i++) {
        if (from_errno[i].errnum == errnum) {
            return from_errno[i].err;
        }
    }
    return SLR_IO;
}

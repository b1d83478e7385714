"""Starting a program where io_uring or BPF is refused, as containers' default seccomp profiles do."""
import ctypes
import errno
import struct

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
IO_URING_SETUP, IO_URING_ENTER, IO_URING_REGISTER = 425, 426, 427
BPF = 321
ALLOW, ERRNO = 0x7FFF0000, 0x00050000

_libc = ctypes.CDLL(None, use_errno=True)


def refuse_io_uring():
    """For preexec_fn: io_uring's system calls give EPERM in this process and its children."""
    _refuse(IO_URING_SETUP, IO_URING_ENTER, IO_URING_REGISTER)


def refuse_bpf():
    """The same for bpf(2)."""
    _refuse(BPF)


def _refuse(*calls):
    def ins(code, jt, jf, k):
        return struct.pack("HBBI", code, jt, jf, k)
    program = ins(0x20, 0, 0, 0)  # load the system call's number
    for i, call in enumerate(calls):
        program += ins(0x15, len(calls) - i, 0, call)
    program += ins(0x06, 0, 0, ALLOW)
    program += ins(0x06, 0, 0, ERRNO | errno.EPERM)
    buffer = ctypes.create_string_buffer(program, len(program))
    fprog = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer)))
    if _libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or _libc.prctl(
            PR_SET_SECCOMP, SECCOMP_MODE_FILTER, fprog, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "seccomp")

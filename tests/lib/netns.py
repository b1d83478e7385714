"""A network and mount namespace for the test process, so that fixed ports are free.

Call enter() once, early and before any thread exists (conftest does). Everything that the tests
start afterwards lives in the same namespace and reaches nothing but its loopback.
"""
import ctypes
import fcntl
import os
import socket
import struct

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1

_libc = ctypes.CDLL(None, use_errno=True)
_state = {"net": False, "mount": False}


def _unshare(flags):
    if _libc.unshare(flags) != 0:
        err = ctypes.get_errno()
        raise OSError(err, os.strerror(err))


def _lo_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        ifr = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack("16sH14x", fcntl.ioctl(s, SIOCGIFFLAGS, ifr))[1]
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))


def enter():
    """Moves this process into namespaces of its own. Without the right to: stays (see private())."""
    if _state["net"]:
        return
    try:
        _unshare(CLONE_NEWNET | CLONE_NEWNS)
        _state["mount"] = True
        _libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None)
    except OSError:
        uid, gid = os.getuid(), os.getgid()
        try:
            _unshare(CLONE_NEWUSER | CLONE_NEWNET)
        except OSError:
            return
        with open("/proc/self/uid_map", "w", encoding="ascii") as f:
            f.write(f"0 {uid} 1")
        with open("/proc/self/setgroups", "w", encoding="ascii") as f:
            f.write("deny")
        with open("/proc/self/gid_map", "w", encoding="ascii") as f:
            f.write(f"0 {gid} 1")
    _lo_up()
    _state["net"] = True


def private():
    """True when this process has a network namespace of its own."""
    return _state["net"]


def mounts_private():
    """True when mounts made by the tests vanish with them."""
    return _state["mount"]


def add_address(cidr):
    """Another address on loopback, e.g. 10.9.0.2/32 (needs the namespace)."""
    import subprocess
    subprocess.run(["ip", "addr", "add", cidr, "dev", "lo"], check=True)


def idle_interface(name="idle0"):
    """A link on which nothing ever happens (one end of a veth pair)."""
    import subprocess
    subprocess.run(["ip", "link", "add", name, "type", "veth", "peer", "name", name + "p"], check=True)
    for end in (name, name + "p"):
        subprocess.run(["ip", "link", "set", end, "up"], check=True)
    return name

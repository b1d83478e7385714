"""A SPAN port: a veth pair whose one end an engine listens on; frames go in at the other end.

Also the headers that switches and hypervisors put round mirrored frames.
"""
import itertools
import socket
import struct
import subprocess
import time

import pytest

from . import netns, pcap

_links = itertools.count()


class Link:
    """Two ends of a wire; `end` is where the engine listens."""

    def __init__(self):
        if not netns.private():
            pytest.skip("no network namespace of our own: no veth pair can be made")
        n = next(_links)
        self.end, self.far = f"span{n}", f"span{n}far"
        made = subprocess.run(["ip", "link", "add", self.end, "type", "veth", "peer", "name", self.far],
                              capture_output=True, text=True, check=False)
        if made.returncode:
            pytest.skip(f"no veth pair: {made.stderr.strip()}")
        for name in (self.end, self.far):
            subprocess.run(["ip", "link", "set", name, "addrgenmode", "none"], check=True)
            subprocess.run(["ip", "link", "set", name, "up"], check=True)
        try:
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            self.sock.bind((self.far, 0))
        except PermissionError:
            self.close()
            pytest.skip("no packet sockets: CAP_NET_RAW is missing")

    def send(self, frame):
        self.sock.send(frame)

    def play(self, frames):
        """Sends (time_ns, frame) at the distances that their times have."""
        begin, first = time.monotonic_ns(), None
        for at, frame in frames:
            first = at if first is None else first
            ahead = at - first - (time.monotonic_ns() - begin)
            if ahead > 0:
                time.sleep(ahead / 1e9)
            self.sock.send(frame)

    def close(self):
        if getattr(self, "sock", None):
            self.sock.close()
        subprocess.run(["ip", "link", "del", self.end], check=False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def cut(path, seconds, gap_s=0.3):
    """Frames of a capture with long quiet times made short, up to `seconds` of what is left."""
    out, last, now = [], None, 0
    for at, linktype, frame in pcap.frames(path):
        assert linktype == pcap.ETHERNET
        now += min(at - last, gap_s * 1e9) if last is not None else 0
        last = at
        if now > seconds * 1e9:
            break
        out.append((int(now), frame))
    return out


def save(path, frames, start_ns=1_700_000_000_000_000_000):
    with pcap.Writer(path, nano=True) as w:
        for at, frame in frames:
            w.frame(start_ns + at, frame)


def _outer(proto, body):
    return pcap.link(pcap.ETHERNET, pcap.ip_packets("198.51.100.1", "198.51.100.2", proto, body)[0])


def plain(frame):
    return frame


def tagged(*vlans):
    """802.1Q, or 802.1ad and 802.1Q."""
    def wrap(frame):
        tags = b""
        for i, v in enumerate(vlans):
            tags += struct.pack(">HH", 0x88A8 if i == 0 and len(vlans) > 1 else 0x8100, v)
        return frame[:12] + tags + frame[12:]
    return wrap


def gre_ip(frame):
    """GRE with key and sequence number round the IP packet."""
    return _outer(47, struct.pack(">HHII", 0x3000, 0x0800, 7, 1) + frame[14:])


def gre_bridged(frame):
    return _outer(47, struct.pack(">HH", 0, 0x6558) + frame)


def erspan_1(frame):
    return _outer(47, struct.pack(">HH", 0, 0x88BE) + frame)


def erspan_2(frame):
    return _outer(47, struct.pack(">HHI", 0x1000, 0x88BE, 1) + struct.pack(">II", 0x10000001, 1) + frame)


def erspan_3(frame):
    """With the platform's own 8 bytes (flag O)."""
    return _outer(47, struct.pack(">HHI", 0x1000, 0x22EB, 1) + struct.pack(">IIIQ", 0x20000001, 1, 1, 0) + frame)


def vxlan(frame):
    body = struct.pack(">BBHI", 8, 0, 0, 77 << 8) + frame
    return _outer(17, pcap.udp(("198.51.100.1", 50000), ("198.51.100.2", 4789), body))

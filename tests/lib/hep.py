"""HEP v3: building, parsing, and a reader of the engine's sniffer port."""
import json
import socket
import struct
import time
from dataclasses import dataclass, field


class HepError(ValueError):
    pass


@dataclass
class Hep:
    chunks: dict = field(default_factory=dict)  # (vendor, type) -> bytes

    def get(self, kind, default=b""):
        return self.chunks.get((0, kind), default)

    @property
    def payload_type(self):
        return self.get(0x0B, b"\0")[0]

    @property
    def payload(self):
        return self.get(0x0F)

    @property
    def name(self):
        return self.get(0x13).decode()

    @property
    def correlation(self):
        return self.get(0x11).decode()

    def json(self):
        return json.loads(self.payload)

    @property
    def wall_s(self):
        return struct.unpack(">I", self.get(9))[0] + struct.unpack(">I", self.get(10))[0] / 1e6


def build(chunks):
    """chunks: list of (vendor, type, bytes)."""
    body = b"".join(struct.pack(">HHH", v, t, 6 + len(b)) + b for v, t, b in chunks)
    return b"HEP3" + struct.pack(">H", 6 + len(body)) + body


def parse(raw):
    """Strict, as heplify's collector is: lengths must agree exactly."""
    if raw[:4] != b"HEP3" or struct.unpack_from(">H", raw, 4)[0] != len(raw):
        raise HepError(f"bad header {raw[:6]!r} for {len(raw)} bytes")
    out, at = Hep(), 6
    while at < len(raw):
        if at + 6 > len(raw):
            raise HepError("chunk header runs past the end")
        vendor, kind, size = struct.unpack_from(">HHH", raw, at)
        if size < 6 or at + size > len(raw):
            raise HepError(f"chunk {kind:#x} of length {size}")
        out.chunks[(vendor, kind)] = raw[at + 6 : at + size]
        at += size
    return out


class Reader:
    """A sniffer reader over TCP (design: first packet with name, key and resume position)."""

    def __init__(self, addr, name="test-reader", resume_after=0, key=None, timeout_s=5):
        self.sock = socket.create_connection(addr, timeout=timeout_s)
        self.buffer = b""
        self.got = []
        if name is not None:
            self.send_json({"resume_after": resume_after}, name, key)

    def send_json(self, value, name="test-reader", key=None):
        chunks = [(0, 1, b"\x02"), (0, 2, b"\x06"), (0, 0x0B, b"\x64"), (0, 0x13, name.encode())]
        if key is not None:
            chunks.append((0, 0x0E, key))
        self.sock.sendall(build(chunks + [(0, 0x0F, json.dumps(value).encode())]))

    def ack(self, n):
        self.send_json({"ack": n})

    def next(self, timeout_s=5.0):
        """The next packet, or None when none came in time; EOFError when the peer closed."""
        end = time.monotonic() + timeout_s
        while True:
            if len(self.buffer) >= 6:
                if self.buffer[:4] != b"HEP3":
                    raise HepError(f"stream out of step at {self.buffer[:8]!r}")
                size = struct.unpack_from(">H", self.buffer, 4)[0]
                if len(self.buffer) >= size:
                    raw, self.buffer = self.buffer[:size], self.buffer[size:]
                    packet = parse(raw)
                    self.got.append(packet)
                    return packet
            left = end - time.monotonic()
            if left <= 0:
                return None
            self.sock.settimeout(left)
            try:
                more = self.sock.recv(65536)
            except socket.timeout:
                return None
            if not more:
                raise EOFError("the sniffer port closed the connection")
            self.buffer += more

    def until(self, what, match, timeout_s=10.0):
        """Reads until match(packet); returns it."""
        end = time.monotonic() + timeout_s
        while True:
            p = self.next(max(end - time.monotonic(), 0))
            assert p is not None, f"no HEP packet came: {what}; got {[x.payload[:120] for x in self.got[-20:]]}"
            if match(p):
                return p

    def close(self):
        self.sock.close()

"""RTP with a known truth: watermarked payloads, impairments and a paced sender.

Every byte of a stream identifies the stream and the position: the payload is a keyed PRNG over the
sample index, so a few bytes anywhere tell where they came from. Nothing is avoided: all 256 codes
occur. The truth of what was sent (and in which order) is kept by the Plan.
"""
import functools
import hashlib
import random
import socket
import struct
import threading
import time
from dataclasses import dataclass, field

BLOCK = 4096
PCMU, PCMA, CN = 0, 8, 13


@functools.lru_cache(maxsize=4096)
def _block(key, number):
    return hashlib.shake_128(b"%s/%d" % (key, number)).digest(BLOCK)


def mark(stream_id, first, count):
    """`count` watermark bytes of a stream from sample `first` on."""
    key = str(stream_id).encode()
    out = bytearray()
    at = first
    while len(out) < count:
        number, off = divmod(at, BLOCK)
        piece = _block(key, number)[off : off + count - len(out)]
        out += piece
        at += len(piece)
    return bytes(out)


def packet(pt, seq, ts, ssrc, payload, marker=False, csrc=(), ext=None, padding=0):
    """One RTP packet."""
    b0 = 0x80 | (0x20 if padding else 0) | (0x10 if ext is not None else 0) | len(csrc)
    out = struct.pack(">BBHII", b0, (0x80 if marker else 0) | pt, seq & 0xFFFF, ts & 0xFFFFFFFF, ssrc)
    out += b"".join(struct.pack(">I", c) for c in csrc)
    if ext is not None:
        out += struct.pack(">HH", 0xBEDE, len(ext) // 4) + ext
    out += payload
    if padding:
        out += bytes(padding - 1) + bytes([padding])
    return out


@dataclass
class Header:
    pt: int
    seq: int
    ts: int
    ssrc: int
    marker: bool
    payload: bytes


def parse(raw):
    """RTP header of raw, or None when it is none."""
    if len(raw) < 12 or raw[0] >> 6 != 2 or 200 <= raw[1] <= 207:
        return None
    b0, b1, seq, ts, ssrc = struct.unpack_from(">BBHII", raw)
    at = 12 + 4 * (b0 & 15)
    if b0 & 0x10:
        if len(raw) < at + 4:
            return None
        at += 4 + 4 * struct.unpack_from(">H", raw, at + 2)[0]
    end = len(raw) - (raw[-1] if b0 & 0x20 else 0)
    if at > end:
        return None
    return Header(b1 & 0x7F, seq, ts, ssrc, bool(b1 & 0x80), raw[at:end])


def sender_report(ssrc, ntp_s, rtp_ts, packets, octets):
    """An RTCP SR without report blocks plus SDES CNAME."""
    sr = struct.pack(">BBHIIIIII", 0x80, 200, 6, ssrc, int(ntp_s) + 2208988800,
                     int((ntp_s % 1) * (1 << 32)) & 0xFFFFFFFF, rtp_ts & 0xFFFFFFFF, packets, octets)
    return sr + struct.pack(">BBHIBB6sB3x", 0x81, 202, 4, ssrc, 1, 6, b"t@test", 0)


@dataclass
class Sent:
    """One packet of the plan, in RTP order."""

    index: int
    seq: int  # 64 bit, not wrapped
    ts: int  # samples from the stream's first timestamp
    payload: bytes  # b"" for events
    raw: bytes
    due_s: float  # nominal time from the start
    event: tuple = ()  # (code, end, duration) of a telephone event


@dataclass
class Plan:
    """Packets in RTP order and the schedule in which they leave: (time, index) pairs."""

    stream_id: str
    ssrc: int
    rate: int
    per_packet: int
    sent: list
    schedule: list = field(default_factory=list)
    law: int = PCMA

    def received(self):
        """Indices that leave at all."""
        return sorted({i for _, i in self.schedule})

    def truth(self, indices=None):
        """(ts, payload) of what a recorder gets, for wav.compare."""
        keep = self.received() if indices is None else indices
        return [(self.sent[i].ts, self.sent[i].payload) for i in keep if self.sent[i].payload]

    def lost(self):
        got = set(self.received())
        return [s.index for s in self.sent if s.index not in got]

    def lost_inside(self):
        """Lost packets between the first and the last that was received."""
        got = self.received()
        return [i for i in self.lost() if got[0] < i < got[-1]]

    def duplicates(self):
        return len(self.schedule) - len(self.received())

    def reordered(self):
        """Packets that arrive (first) after one with a higher sequence number."""
        seen, top, n = set(), -1, 0
        for _, i in self.schedule:
            if i in seen:
                continue
            seen.add(i)
            if i < top:
                n += 1
            top = max(top, i)
        return n

    def duration_s(self):
        return self.schedule[-1][0] if self.schedule else 0.0


def plan(stream_id, seconds=None, packets=None, *, pt=PCMA, ssrc=None, per_packet=160, rate=8000,
         seq0=None, ts0=None, rng=None, loss=0.0, reorder=0.0, reorder_s=0.2, duplicate=0.0,
         jitter_s=0.0, start_s=0.0, first_sample=0, digits="", digit_pt=101, gaps=()):
    """Plans a stream. digits are sent one a second from second 1 on as RFC 4733 events, in whose
    time no audio is sent. gaps: (from, to) ranges of packet numbers that are never sent: the
    timestamp goes on, the sequence number does not (silence suppression)."""
    rng = rng or random.Random(f"plan/{stream_id}")
    ssrc = rng.getrandbits(32) if ssrc is None else ssrc
    seq0 = rng.getrandbits(16) if seq0 is None else seq0
    ts0 = rng.getrandbits(32) if ts0 is None else ts0
    count = packets if packets is not None else int(seconds * rate / per_packet)
    events = _digit_packets(digits, rate, per_packet)
    sent, seq = [], seq0
    for n in range(count):
        if any(a <= n < b for a, b in gaps):
            continue
        ts, due = n * per_packet, start_s + n * per_packet / rate
        if n in events:
            code, started, last, first = events[n]
            body = struct.pack(">BBH", code, 0x8A if last else 0x0A, (n - started + 1) * per_packet)
            raw = packet(digit_pt, seq, ts0 + started * per_packet, ssrc, body, marker=first)
            sent.append(Sent(len(sent), seq, ts, b"", raw, due, (code, last, started)))
        else:
            body = mark(stream_id, first_sample + ts, per_packet)
            raw = packet(pt, seq, ts0 + ts, ssrc, body, marker=n == 0)
            sent.append(Sent(len(sent), seq, ts, body, raw, due))
        seq += 1
    p = Plan(str(stream_id), ssrc, rate, per_packet, sent, law=pt)
    for s in sent:
        if rng.random() < loss:
            continue
        at = s.due_s + rng.random() * jitter_s
        if rng.random() < reorder:
            at += rng.random() * reorder_s
        p.schedule.append((at, s.index))
        if rng.random() < duplicate:
            p.schedule.append((at + rng.random() * 0.1, s.index))
    p.schedule.sort()
    return p


def _digit_packets(digits, rate, per_packet):
    out = {}
    per_second = rate // per_packet
    for k, d in enumerate(digits):
        start, length = per_second * (k + 1), max(per_second // 10, 3)
        code = "0123456789*#ABCD".index(d)
        for n in range(start, start + length):
            out[n] = (code, start, n == start + length - 1, n == start)
    return out


class Sender:
    """Sends plans from a thread with an absolute schedule. One socket for each source."""

    def __init__(self):
        self._jobs = []
        self._stop = threading.Event()
        self._thread = None
        self.socks = {}
        self.log = []  # (monotonic time, stream id, index) of what left
        self.error = None
        self.start_mono = None

    def socket(self, source=("127.0.0.1", 0)):
        s = self.socks.get(source)
        if s is None:
            s = socket.socket(socket.AF_INET6 if ":" in source[0] else socket.AF_INET, socket.SOCK_DGRAM)
            s.bind(source)
            self.socks[source] = s
        return s

    def bind(self, ip="127.0.0.1"):
        """A new source socket at any free port; returns its address."""
        s = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_DGRAM)
        s.bind((ip, 0))
        source = s.getsockname()[:2]
        self.socks[source] = s
        return source

    def add(self, the_plan, dest, source=("127.0.0.1", 0)):
        """dest: (ip, port), or a callable giving it at send time (None: not sent at all)."""
        self._jobs.append((the_plan, dest, self.socket(source)))
        return self

    def start(self, lead_s=0.01):
        self.start_mono = time.monotonic() + lead_s
        self._thread = threading.Thread(target=self._run, name="rtp-sender", daemon=True)
        self._thread.start()
        return self

    def _run(self):
        try:
            items = sorted((t, n, i) for n, (p, _, _) in enumerate(self._jobs) for t, i in p.schedule)
            for t, n, i in items:
                wait = self.start_mono + t - time.monotonic()
                if wait > 0 and self._stop.wait(wait):
                    return
                if self._stop.is_set():
                    return
                p, dest, sock = self._jobs[n]
                to = dest() if callable(dest) else dest
                if to is None:
                    continue
                self._send(sock, p.sent[i].raw, to)
                self.log.append((time.monotonic(), p.stream_id, i))
        except Exception as e:  # reported by join()
            self.error = e

    @staticmethod
    def _send(sock, raw, to):
        """A port that is closed for a moment (the recorder was killed) is the network's matter."""
        for _ in range(2):
            try:
                sock.sendto(raw, to)
                return
            except ConnectionRefusedError:
                continue

    def stop(self):
        self._stop.set()
        self.join()

    def join(self, timeout_s=300):
        if self._thread:
            self._thread.join(timeout_s)
            assert not self._thread.is_alive(), "RTP sender did not finish"
        if self.error:
            raise self.error

    def close(self):
        self._stop.set()
        if self._thread:
            self._thread.join(5)
        for s in self.socks.values():
            s.close()

    def sent_before(self, mono):
        """{stream id: set of indices} that left before a monotonic time."""
        out = {}
        for t, sid, i in list(self.log):
            if t < mono:
                out.setdefault(sid, set()).add(i)
        return out

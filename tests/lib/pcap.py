"""Capture files: a writer (pcap, pcapng; several link types; fragments) and a reader.

The writer makes the fixtures; the reader gives the UDP datagrams of any capture that tests need to
send again or to count.
"""
import ipaddress
import struct
from dataclasses import dataclass

NULL, ETHERNET, RAW, SLL, IPV4, IPV6, SLL2 = 0, 1, 101, 113, 228, 229, 276


@dataclass
class Datagram:
    time_ns: int
    src: tuple  # (ip, port)
    dst: tuple
    payload: bytes
    vlan: int = 0


def _checksum(data):
    if len(data) & 1:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def udp(src, dst, payload):
    """A UDP header and payload with checksum."""
    a, b = ipaddress.ip_address(src[0]).packed, ipaddress.ip_address(dst[0]).packed
    n = 8 + len(payload)
    head = struct.pack(">HHHH", src[1], dst[1], n, 0)
    pseudo = a + b + (struct.pack(">BBH", 0, 17, n) if len(a) == 4 else struct.pack(">IHBB", n, 0, 0, 17))
    return head[:6] + struct.pack(">H", _checksum(pseudo + head + payload) or 0xFFFF) + payload


def tcp(src, dst, seq, ack, payload, flags=0x18):
    """A TCP segment without options, with checksum."""
    a, b = ipaddress.ip_address(src[0]).packed, ipaddress.ip_address(dst[0]).packed
    n = 20 + len(payload)
    head = struct.pack(">HHIIBBHHH", src[1], dst[1], seq, ack, 0x50, flags, 65535, 0, 0)
    pseudo = a + b + (struct.pack(">BBH", 0, 6, n) if len(a) == 4 else struct.pack(">IHBB", n, 0, 0, 6))
    sum_ = _checksum(pseudo + head + payload)
    return head[:16] + struct.pack(">H", sum_) + head[18:] + payload


def ip_packets(src, dst, proto, body, ident=1, mtu=None):
    """IPv4 or IPv6 packets that carry body; fragments when it does not fit into mtu."""
    a, b = ipaddress.ip_address(src), ipaddress.ip_address(dst)
    head = 20 if a.version == 4 else 40
    room = len(body) if mtu is None or head + len(body) <= mtu else None
    if a.version == 4:
        step = room or (mtu - 20) & ~7
        return [_ip4(a, b, proto, body[o : o + step], ident, o, o + step < len(body))
                for o in range(0, max(len(body), 1), max(step, 1))]
    if room is not None:
        return [_ip6(a, b, proto, body)]
    step = (mtu - 48) & ~7
    out = []
    for o in range(0, len(body), step):
        more = o + step < len(body)
        ext = struct.pack(">BBHI", proto, 0, o | (1 if more else 0), ident)
        out.append(_ip6(a, b, 44, ext + body[o : o + step]))
    return out


def _ip4(a, b, proto, part, ident, offset, more):
    word = (offset // 8) | (0x2000 if more else 0)
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(part), ident & 0xFFFF, word, 64, proto, 0)
    head += a.packed + b.packed
    return head[:10] + struct.pack(">H", _checksum(head)) + head[12:] + part


def _ip6(a, b, proto, part):
    return struct.pack(">IHBB", 6 << 28, len(part), proto, 64) + a.packed + b.packed + part


def link(linktype, packet, vlan=()):
    """Puts a link layer round an IP packet. vlan: 802.1Q ids, outermost first (Ethernet only)."""
    six = packet[0] >> 4 == 6
    ether = 0x86DD if six else 0x0800
    if linktype == ETHERNET:
        out = b"\x02\0\0\0\0\1\x02\0\0\0\0\2"
        for i, v in enumerate(vlan):
            out += struct.pack(">HH", 0x88A8 if i == 0 and len(vlan) > 1 else 0x8100, v)
        return out + struct.pack(">H", ether) + packet
    if linktype == SLL:
        return struct.pack(">HHH8sH", 0, 1, 6, b"\x02\0\0\0\0\1\0\0", ether) + packet
    if linktype == SLL2:
        return struct.pack(">HHIHBB8s", ether, 0, 1, 1, 0, 6, b"\x02\0\0\0\0\1\0\0") + packet
    if linktype == NULL:
        return struct.pack("<I", 24 if six else 2) + packet
    return packet


class Writer:
    """Writes frames to a pcap or pcapng file (by the name's ending), microseconds or nanoseconds."""

    def __init__(self, path, linktype=ETHERNET, nano=False, big_endian=False):
        self.f = open(path, "wb")
        self.linktype, self.nano, self.e = linktype, nano, ">" if big_endian else "<"
        self.ng = str(path).endswith("pcapng")
        self.ident = 0
        if self.ng:
            self._block(0x0A0D0D0A, struct.pack(self.e + "IHHq", 0x1A2B3C4D, 1, 0, -1))
            options = struct.pack(self.e + "HHB3xHH", 9, 1, 9 if nano else 6, 0, 0)
            self._block(1, struct.pack(self.e + "HHI", linktype, 0, 0) + options)
        else:
            magic = 0xA1B23C4D if nano else 0xA1B2C3D4
            self.f.write(struct.pack(self.e + "IHHiIII", magic, 2, 4, 0, 0, 262144, linktype))

    def _block(self, kind, body):
        body += bytes(-len(body) % 4)
        n = len(body) + 12
        self.f.write(struct.pack(self.e + "II", kind, n) + body + struct.pack(self.e + "I", n))

    def frame(self, time_ns, data, orig=None):
        unit = time_ns if self.nano else time_ns // 1000
        if self.ng:
            head = struct.pack(self.e + "IIIII", 0, unit >> 32, unit & 0xFFFFFFFF, len(data), orig or len(data))
            self._block(6, head + data)
        else:
            per = 10**9 if self.nano else 10**6
            self.f.write(struct.pack(self.e + "IIII", unit // per, unit % per, len(data), orig or len(data)) + data)

    def udp(self, time_ns, src, dst, payload, vlan=(), mtu=None, shuffle=None):
        """One datagram; fragments when mtu is given, in the order that shuffle (a list) asks for."""
        self.ident += 1
        parts = ip_packets(src[0], dst[0], 17, udp(src, dst, payload), self.ident, mtu)
        if shuffle:
            parts = [parts[i] for i in shuffle if i < len(parts)]
        for p in parts:
            self.frame(time_ns, link(self.linktype, p, vlan))
        return len(parts)

    def tcp(self, time_ns, src, dst, seq, payload, ack=0, flags=0x18, vlan=()):
        self.ident += 1
        for p in ip_packets(src[0], dst[0], 6, tcp(src, dst, seq, ack, payload, flags), self.ident):
            self.frame(time_ns, link(self.linktype, p, vlan))

    def plan(self, plan, src, dst, start_ns, **kw):
        """All packets of an rtp.Plan at their scheduled times. Use merge() for several."""
        for t, i in plan.schedule:
            self.udp(start_ns + round(t * 1e6) * 1000, src, dst, plan.sent[i].raw, **kw)

    def close(self):
        self.f.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def write(path, items, linktype=ETHERNET, **kw):
    """Writes (time_ns, src, dst, payload[, options]) items sorted by time."""
    with Writer(path, linktype, **kw) as w:
        for item in sorted(items, key=lambda x: x[0]):
            w.udp(*item[:4], **(item[4] if len(item) > 4 else {}))


def plan_items(plan, src, dst, start_ns, **options):
    """Items for write() of an rtp.Plan."""
    return [(start_ns + round(t * 1e6) * 1000, src, dst, plan.sent[i].raw, options) for t, i in plan.schedule]


def frames(path):
    """Yields (time_ns, linktype, frame bytes) of a pcap or pcapng file."""
    with open(path, "rb") as f:
        blob = f.read()
    if blob[:4] == b"\x0a\x0d\x0d\x0a":
        yield from _frames_ng(blob)
        return
    magic = blob[:4]
    e = "<" if magic in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    nano = magic in (b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d")
    linktype = struct.unpack_from(e + "I", blob, 20)[0] & 0xFFFF
    at = 24
    while at + 16 <= len(blob):
        sec, sub, cap, _ = struct.unpack_from(e + "IIII", blob, at)
        yield sec * 10**9 + sub * (1 if nano else 1000), linktype, blob[at + 16 : at + 16 + cap]
        at += 16 + cap


def _frames_ng(blob):
    at, e, ifaces = 0, "<", []
    while at + 12 <= len(blob):
        kind, size = struct.unpack_from(e + "II", blob, at)
        if kind == 0x0A0D0D0A:
            e = "<" if blob[at + 8 : at + 12] == b"\x4d\x3c\x2b\x1a" else ">"
            size, ifaces = struct.unpack_from(e + "I", blob, at + 4)[0], []
        elif kind == 1:
            linktype = struct.unpack_from(e + "H", blob, at + 8)[0]
            resol, o, end = 6, at + 16, at + size - 4
            while o + 4 <= end:
                code, n = struct.unpack_from(e + "HH", blob, o)
                if code == 0:
                    break
                if code == 9:
                    resol = blob[o + 4]
                o += 4 + n + (-n % 4)
            per = 2 ** (resol & 0x7F) if resol & 0x80 else 10**resol
            ifaces.append((linktype, per))
        elif kind == 6:
            iface, hi, lo, cap, _ = struct.unpack_from(e + "IIIII", blob, at + 8)
            linktype, per = ifaces[iface]
            yield ((hi << 32) | lo) * 10**9 // per, linktype, blob[at + 28 : at + 28 + cap]
        elif kind == 3:
            n = struct.unpack_from(e + "I", blob, at + 8)[0]
            yield 0, ifaces[0][0], blob[at + 12 : at + 12 + min(n, size - 16)]
        at += size


def _network(linktype, frame):
    """(IP packet, vlan) of a frame or (None, 0)."""
    vlan = 0
    if linktype == ETHERNET:
        at = 12
        ether = struct.unpack_from(">H", frame, at)[0] if len(frame) >= 14 else 0
        while ether in (0x8100, 0x88A8, 0x9100) and len(frame) >= at + 6:
            vlan = struct.unpack_from(">H", frame, at + 2)[0] & 0xFFF
            at += 4
            ether = struct.unpack_from(">H", frame, at)[0]
        return (frame[at + 2 :], vlan) if ether in (0x0800, 0x86DD) else (None, 0)
    skip = {NULL: 4, SLL: 16, SLL2: 20, RAW: 0, IPV4: 0, IPV6: 0}.get(linktype)
    return (frame[skip:], 0) if skip is not None and len(frame) > skip else (None, 0)


def _fragment(packet):
    """(key, offset, more, proto, body) of an IP packet, or None."""
    if packet[0] >> 4 == 4 and len(packet) >= 20:
        ihl = (packet[0] & 15) * 4
        total, ident, word = struct.unpack_from(">HHH", packet, 2)
        src, dst = packet[12:16], packet[16:20]
        key = (src, dst, packet[9], ident)
        return key, (word & 0x1FFF) * 8, bool(word & 0x2000), packet[9], packet[ihl:total]
    if packet[0] >> 4 == 6 and len(packet) >= 40:
        size, proto = struct.unpack_from(">HB", packet, 4)
        src, dst, body = packet[8:24], packet[24:40], packet[40 : 40 + size]
        offset, more, ident = 0, False, 0
        while proto in (0, 43, 44, 60) and len(body) >= 8:
            if proto == 44:
                word, ident = struct.unpack_from(">HI", body, 2)
                offset, more = word & 0xFFF8, bool(word & 1)
                proto, body = body[0], body[8:]
            else:
                proto, body = body[0], body[8 + 8 * body[1] :]
        return (src, dst, proto, ident), offset, more, proto, body
    return None


def datagrams(path):
    """All UDP datagrams of a capture, fragments joined."""
    held = {}
    for time_ns, linktype, frame in frames(path):
        packet, vlan = _network(linktype, frame)
        part = _fragment(packet) if packet else None
        if part is None:
            continue
        key, offset, more, proto, body = part
        if offset or more:
            parts = held.setdefault(key, {})
            parts[offset] = (body, more)
            body, at = b"", 0
            while at in parts:
                piece, more = parts[at]
                body += piece
                at += len(piece)
                if not more:
                    break
            else:
                continue
            if more:
                continue
            del held[key]
        if proto != 17 or len(body) < 8:
            continue
        sport, dport, size = struct.unpack_from(">HHH", body)
        yield Datagram(time_ns, (str(ipaddress.ip_address(key[0])), sport),
                       (str(ipaddress.ip_address(key[1])), dport), body[8:size], vlan)

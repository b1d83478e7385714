"""An own reader of WAV files (PCM16, A-law, mu-law) and per-sample comparison with the truth.

Written from the RIFF description, not with the project's writer, so that it can disagree with it.
"""
import array
import struct
from dataclasses import dataclass, field

PCM, ALAW, ULAW, EXTENSIBLE = 1, 6, 7, 0xFFFE
SILENCE = {ALAW: b"\xd5", ULAW: b"\xff", PCM: b"\0\0"}


class WavError(ValueError):
    pass


@dataclass
class Wav:
    tag: int
    channels: int
    rate: int
    sample_bytes: int
    data: bytes
    chunks: dict = field(default_factory=dict)
    data_offset: int = 0

    @property
    def frames(self):
        return len(self.data) // (self.channels * self.sample_bytes)

    def channel(self, index):
        """The bytes of one channel, in file format."""
        step = self.channels * self.sample_bytes
        whole = self.data[: self.frames * step]
        if self.sample_bytes == 1:
            return whole[index :: self.channels]
        a = array.array("h")
        a.frombytes(whole)
        return a[index :: self.channels].tobytes()

    def pcm(self, index):
        """One channel as an array of signed 16 bit samples."""
        raw = self.channel(index)
        if self.tag == PCM:
            a = array.array("h")
            a.frombytes(raw)
            return a
        table = ALAW_TABLE if self.tag == ALAW else ULAW_TABLE
        return array.array("h", [table[b] for b in raw])


def parse(blob):
    """Parses a whole file; raises WavError with what is wrong."""
    if len(blob) < 12 or blob[:4] not in (b"RIFF", b"RF64") or blob[8:12] != b"WAVE":
        raise WavError("no RIFF/WAVE header")
    riff = struct.unpack_from("<I", blob, 4)[0]
    if blob[:4] == b"RIFF" and riff + 8 != len(blob):
        raise WavError(f"RIFF size {riff} + 8 is not the file's {len(blob)} bytes")
    at, chunks, fmt, data, data_at = 12, {}, None, None, 0
    while at + 8 <= len(blob):
        name, size = struct.unpack_from("<4sI", blob, at)
        if name == b"data" and size == 0xFFFFFFFF and b"ds64" in chunks:  # EBU Tech 3306
            riff, size = struct.unpack_from("<QQ", chunks[b"ds64"])
            if riff + 8 != len(blob):
                raise WavError(f"ds64 says {riff} + 8, the file has {len(blob)} bytes")
        body = blob[at + 8 : at + 8 + size]
        if len(body) != size:
            raise WavError(f"chunk {name!r} of {size} bytes runs past the end")
        chunks[name] = body
        if name == b"fmt ":
            fmt = body
        elif name == b"data":
            data, data_at = body, at + 8
        at += 8 + size + (size & 1)
    if fmt is None or data is None:
        raise WavError("fmt or data chunk is missing")
    tag, channels, rate, byte_rate, align, bits = struct.unpack_from("<HHIIHH", fmt)
    if tag == EXTENSIBLE:
        tag = struct.unpack_from("<H", fmt, 24)[0]
    if tag not in (PCM, ALAW, ULAW):
        raise WavError(f"format tag {tag:#x}")
    width = bits // 8
    if width != (2 if tag == PCM else 1) or align != width * channels or byte_rate != rate * align:
        raise WavError(f"inconsistent fmt: bits {bits} align {align} byte rate {byte_rate}")
    if tag != PCM:
        if b"fact" not in chunks:
            raise WavError("companded WAV without fact chunk")
        if struct.unpack("<I", chunks[b"fact"][:4])[0] != len(data) // align:
            raise WavError("fact chunk disagrees with the data's length")
    if len(data) % align:
        raise WavError("data is no whole number of frames")
    return Wav(tag, channels, rate, width, data, chunks, data_at)


def load(path):
    with open(path, "rb") as f:
        return parse(f.read())


def _alaw_table():
    out = []
    for code in range(256):
        a = code ^ 0x55
        seg, mant = (a >> 4) & 7, a & 15
        v = (mant << 4) + 8
        if seg:
            v = (v + 0x100) << (seg - 1)
        out.append(v if a & 0x80 else -v)
    return out


def _ulaw_table():
    out = []
    for code in range(256):
        u = ~code & 0xFF
        v = ((((u & 15) << 3) + 0x84) << ((u >> 4) & 7)) - 0x84
        out.append(-v if u & 0x80 else v)
    return out


ALAW_TABLE = _alaw_table()
ULAW_TABLE = _ulaw_table()


def to_pcm(payload, law):
    """Companded bytes as little-endian PCM16 bytes."""
    table = ALAW_TABLE if law == ALAW else ULAW_TABLE
    return struct.pack(f"<{len(payload)}h", *(table[b] for b in payload))


def in_format(wav, payload, law):
    """payload (of law) as it must stand in this file's channel."""
    if wav.tag == law:
        return payload
    if wav.tag == PCM:
        return to_pcm(payload, law)
    raise WavError(f"a stream of law {law} in a file of format {wav.tag}")


def encode(tag, samples):
    """Signed 16 bit samples in a file's format. They must be ones that its law has."""
    if tag == PCM:
        return array.array("h", samples).tobytes()
    code = {}
    for byte, value in enumerate(ALAW_TABLE if tag == ALAW else ULAW_TABLE):
        if byte != 0x7F or tag == ALAW:  # mu-law has two zeroes: the one that is sent is 0xff
            code[value] = byte
    return bytes(code[x] for x in samples)


def is_silence(wav, raw):
    """True when raw (bytes of a channel) is digital silence in the file's format."""
    if wav.tag == PCM:
        return not raw.strip(b"\0")
    if wav.tag == ALAW:
        return not raw.strip(b"\xd5\x55")
    return not raw.strip(b"\xff\x7f")


@dataclass
class Verdict:
    """What became of the truth in a channel; samples counted."""

    offset: object = None  # channel sample at which timestamp 0 lies; None: no packet was found
    good: int = 0
    wrong: list = field(default_factory=list)  # (packet index, sample in channel) of bad packets
    missing: list = field(default_factory=list)  # packet indices that lie outside the file
    stray: list = field(default_factory=list)  # (first, last) samples that are neither truth nor silence

    @property
    def ok(self):
        return self.offset is not None and not (self.wrong or self.missing or self.stray)


def locate(channel, sample_bytes, packets):
    """Sample position of the timestamp of packets[0] by the first packet that is found whole.
    packets: (rtp offset in samples from the first timestamp, bytes in file format). None: none is there."""
    for ts, raw in packets:
        if len(raw) < 16:
            continue
        at = -1
        while True:
            at = channel.find(raw, at + 1)
            if at < 0 or at % sample_bytes == 0:
                break
        if at >= 0:
            return at // sample_bytes - ts
    return None


def compare(wav, index, packets, law=ALAW, ignore=()):
    """Compares channel `index` with packets: list of (ts offset in samples, payload). Everything
    outside of the packets' places must be silence, except in `ignore` (sample ranges)."""
    channel = wav.channel(index)
    w = wav.sample_bytes
    want = [(ts, in_format(wav, p, law)) for ts, p in packets]
    v = Verdict(offset=locate(channel, w, want))
    if v.offset is None:
        v.missing = list(range(len(want)))
        return v
    free = bytearray(b"\1" * wav.frames)
    for i, (ts, raw) in enumerate(want):
        at, n = v.offset + ts, len(raw) // w
        if at < 0 or at + n > wav.frames:
            v.missing.append(i)
            continue
        if channel[at * w : (at + n) * w] == raw:
            v.good += n
        else:
            v.wrong.append((i, at))
        free[at : at + n] = bytes(n)
    for a, b in ignore:
        free[max(a, 0) : max(b, 0)] = bytes(len(free[max(a, 0) : max(b, 0)]))
    at = free.find(1)
    while at >= 0:
        end = free.find(0, at)
        end = wav.frames if end < 0 else end
        if not is_silence(wav, channel[at * w : end * w]):
            v.stray.append((at, end))
        at = free.find(1, end)
    return v


def windows(raw, n=12):
    """All n-byte windows of raw as a set: the index for leak searches."""
    return {raw[i : i + n] for i in range(len(raw) - n + 1)}


def contains(index, payload, n=12):
    """How many of payload's aligned n-byte pieces occur in an index made by windows()."""
    return sum(payload[i : i + n] in index for i in range(0, len(payload) - n + 1, n))

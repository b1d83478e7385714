"""Reading and checking a recording's ledger: every tick of every leg is accounted for, once."""
import array
import base64
import hashlib
import json
from dataclasses import dataclass, field

from lib import wav

TICKS = 14_112_000
KINDS = {"received", "concealed", "comfort", "event", "hold", "paused", "absent", "ended", "lost-network",
         "lost-kernel", "lost-queue", "lost-disk", "engine-down", "clock", "corrected"}
LOSSES = {"lost-network", "lost-kernel", "lost-queue"}


@dataclass
class Span:
    kind: str
    start: int
    length: int
    info: int = 0
    cause: str = ""
    inside: str = ""  # corrected: the kind of time in which it was done
    removed: tuple = ()  # corrected without length: samples that were taken out

    @property
    def end(self):
        return self.start + self.length


@dataclass
class Leg:
    raw: dict
    channel: int
    dn: str
    spans: list
    streams: list = field(default_factory=list)

    def total(self, *kinds):
        """Ticks of these kinds together."""
        return sum(s.length for s in self.spans if s.kind in kinds)

    def of(self, *kinds):
        return [s for s in self.spans if s.kind in kinds]

    @property
    def ssrcs(self):
        return {int(s["ssrc"], 16) for s in self.streams}

    def at(self, tick):
        for s in self.spans:
            if s.start <= tick < s.end:
                return s
        return None

    def count(self, name):
        """Sum of a counter over the leg's streams."""
        return sum(s.get(name, 0) for s in self.streams)


@dataclass
class Ledger:
    raw: dict
    length: int
    legs: list

    def leg(self, dn=None, channel=None):
        found = [x for x in self.legs if (dn is None or x.dn == dn) and (channel is None or x.channel == channel)]
        assert len(found) == 1, f"{len(found)} legs with dn {dn} channel {channel}"
        return found[0]

    @property
    def digits(self):
        return "".join(d["digit"] for d in self.raw["digits"].get("items", []))

    @property
    def packets(self):
        return sum(x.count("packets") for x in self.legs)


def _span(s):
    removed = ()
    if "removed" in s:
        removed = array.array("h", base64.b64decode(s["samples"], validate=True))
        assert len(removed) == s["removed"] > 0 and s["len_ticks"] == 0, s
    return Span(s["kind"], s["start_ticks"], s["len_ticks"], s.get("packets", 0), s.get("cause", ""), s.get("in", ""),
                tuple(removed))


def parse(raw):
    """raw: the JSON object (or its text)."""
    if isinstance(raw, (str, bytes)):
        raw = json.loads(raw)
    legs = []
    for x in raw["legs"]:
        spans = [_span(s) for s in x["spans"]]
        legs.append(Leg(x, x["channel"], x.get("dn", ""), spans, x["streams"]))
    return Ledger(raw, raw["len_ticks"], legs)


def check(ledger, frames=None, rate=8000):
    """Asserts what must hold of any ledger: spans are ordered, gapless, of known kinds, and sum to
    the session's length; stream counters agree with themselves."""
    assert ledger.length >= 0 and ledger.raw["ticks_hz"] == TICKS
    for n, leg in enumerate(ledger.legs):
        at = 0
        for s in leg.spans:
            assert s.kind in KINDS, f"leg {n}: unknown kind {s.kind}"
            assert s.length > 0 or (s.kind == "corrected" and s.removed), f"leg {n}: empty span {s}"
            assert not s.cause or (s.kind == "concealed" and s.cause in LOSSES), f"leg {n}: {s}"
            assert s.start == at, f"leg {n}: span {s} does not begin at {at}"
            at = s.end
        assert at == ledger.length, f"leg {n}: spans sum to {at}, the session has {ledger.length}"
        for stream in leg.streams:
            # A packet of an unknown payload type keeps its place in the sequence and is rejected.
            whole = stream["placed"] + stream["duplicate"] + stream["late"] + stream["suppressed"]
            assert whole <= stream["packets"] <= whole + stream["rejected"], f"leg {n}: {stream}"
    if frames is not None:
        per = TICKS // rate
        assert abs(frames * per - ledger.length) <= per, f"{frames} frames against {ledger.length} ticks"
    return ledger


def undo(leg, pcm, rate=8000):
    """Takes back every correction for clock skew: pcm is the leg's channel of the media (samples, one a frame).
    Returns what it was before, and its spans, both in the leg's own time: exactly what was received, at the
    place that its RTP time gave it."""
    per = TICKS // rate
    out, spans, taken = array.array("h"), [], 0
    for s in leg.spans:
        if s.kind == "corrected" and s.length:
            out.extend(pcm[taken : s.start // per])
            assert s.start % per == 0 and s.length % per == 0, s
            taken = s.end // per
            continue
        if s.kind == "corrected":
            out.extend(pcm[taken : s.start // per])
            taken = s.start // per
            out.extend(s.removed)
            _grow(spans, s.inside, len(s.removed) * per, 0, "")
            continue
        _grow(spans, s.kind, s.length, s.info, s.cause)
    out.extend(pcm[taken:])
    return out, spans


def undone(wav_file, leg):
    """(a file with this leg's channel alone, the leg), both as they were before any correction."""
    w = wav_file
    rate, raw, step = w.rate, w.channel(leg.channel), w.sample_bytes
    per, out, taken = TICKS // w.rate, bytearray(), 0
    for s in leg.of("corrected"):
        out += raw[taken * step : s.start // per * step] + wav.encode(w.tag, s.removed)
        taken = s.end // per
    out += raw[taken * step :]
    _, spans = undo(leg, array.array("h", bytes(2 * w.frames)), rate)
    alone = wav.Wav(w.tag, 1, rate, step, bytes(out))
    return alone, Leg(leg.raw, 0, leg.dn, spans, leg.streams)


def _grow(spans, kind, length, info, cause):
    """Appends to spans that are without gap, and joins what a correction had parted."""
    last = spans[-1] if spans else None
    if last and (last.kind, last.cause) == (kind, cause):
        last.length += length
        last.info += info
    else:
        spans.append(Span(kind, last.end if last else 0, length, info, cause))


def corrected(leg, rate=8000):
    """File time minus leg time at the end of the recording, in samples, and how many corrections there were."""
    per = TICKS // rate
    found = leg.of("corrected")
    return sum(s.length // per - len(s.removed) for s in found), len(found)


def file_ticks(leg, ticks, rate=8000):
    """Where a place in the leg's own time has come to lie in the media."""
    per, corr = TICKS // rate, 0
    for s in leg.of("corrected"):
        if s.start > ticks + corr:
            break
        corr += s.length - min(len(s.removed) * per, ticks + corr - s.start)
    return ticks + corr


def media_hash(media):
    """The hash of media bytes as docs/ledger.md defines it: SHA-256 over the SHA-256 of each MiB."""
    mib = 1 << 20
    parts = b"".join(hashlib.sha256(media[i : i + mib]).digest() for i in range(0, len(media), mib))
    return hashlib.sha256(parts).hexdigest()


def check_hash(ledger, blob):
    """The ledger's media range and hash against a file's bytes."""
    m = ledger.raw["media"]
    media = blob[m["offset"] : m["offset"] + m["len"]]
    assert len(media) == m["len"]
    if m["hash"] is not None:
        assert m["hash"].split(":")[-1] == media_hash(media), "the media's hash is wrong"


def samples(ticks, rate=8000):
    return ticks * rate // TICKS


def ticks(n_samples, rate=8000):
    return n_samples * (TICKS // rate)


def received_mask(leg, rate=8000):
    """List of (first, last) sample ranges that count as received."""
    out = []
    for s in leg.of("received"):
        a, b = samples(s.start, rate), samples(s.end, rate)
        if out and out[-1][1] == a:
            out[-1] = (out[-1][0], b)
        else:
            out.append((a, b))
    return out


def ranges_of(plan, indices, offset):
    """Merged (first, last) sample ranges of packets of an rtp.Plan at a channel offset."""
    out = []
    for i in sorted(indices):
        s = plan.sent[i]
        a = offset + s.ts
        b = a + (len(s.payload) or plan.per_packet)
        if out and out[-1][1] == a:
            out[-1] = (out[-1][0], b)
        else:
            out.append((a, b))
    return out

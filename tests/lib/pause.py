"""What must hold of a pause."""
from . import ledger, wav


def no_sample_inside(w, led, leg, p0, p1):
    """The acknowledged span [p0, p1) in ticks holds nothing but silence and is `paused`."""
    a, b = ledger.samples(p0), ledger.samples(p1)
    raw = w.channel(leg.channel)[a * w.sample_bytes : b * w.sample_bytes]
    if not wav.is_silence(w, raw):
        loud = [i for i in range(b - a) if not wav.is_silence(w, raw[i * w.sample_bytes : (i + 1) * w.sample_bytes])]
        raise AssertionError(f"samples {a + loud[0]}..{a + loud[-1]} of channel {leg.channel} lie in the paused span "
                             f"{a}..{b}; spans: "
                             f"{[(s.kind, ledger.samples(s.start), ledger.samples(s.end)) for s in leg.spans]}")
    inside = [s for s in leg.spans if s.start < p1 and s.end > p0]
    assert {s.kind for s in inside} <= {"paused", "engine-down"} and leg.of("paused"), inside

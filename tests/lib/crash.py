"""Killing the recorder's processes in a running call, and what must be there afterwards."""
import threading
import time

from . import ledger, wav

# What may be in the kernel's socket buffer or in the receive ring at the moment of SIGKILL.
IN_FLIGHT_S = 0.02
BACK_S = 2.0


class Supervisor:
    """Restarts a killed process at once, as systemd or the small supervisor does. Remembers the
    times of death and of being back."""

    def __init__(self, rig):
        self.rig = rig
        self.down = []  # (process name, killed at, back at)

    def kill_engine(self):
        sent = time.monotonic()
        self.rig.engine.kill9()
        self.rig.start_engine()
        self.down.append(("engine", sent, time.monotonic()))
        assert self.down[-1][2] - sent < BACK_S + 0.5, f"engine back only after {self.down[-1][2] - sent:.2f} s"

    def kill_core(self):
        sent = time.monotonic()
        self.rig.core.kill9()
        self.rig.start_core()
        self.down.append(("core", sent, time.monotonic()))

    def kill_both(self):
        sent = time.monotonic()
        self.rig.core.kill9()
        self.rig.engine.kill9()
        t = threading.Thread(target=self.rig.core.start)
        t.start()
        self.rig.start_engine()
        back = time.monotonic()
        t.join()
        self.rig.wait_core()
        self.down += [("engine", sent, back), ("core", sent, time.monotonic())]
        assert back - sent < BACK_S + 0.5, f"engine back only after {back - sent:.2f} s"

    def engine_downs(self):
        return [(a, b) for name, a, b in self.down if name == "engine"]


def verify_call(call, supervisor, the_wav, the_ledger, paused=()):
    """Nothing that was received is missing, at its place; holes are only where the engine was
    down (ledger: engine-down, at most 2 s a kill)."""
    downs = supervisor.engine_downs()
    for i, p in enumerate(call.plans):
        if p is None:
            continue
        must, may = [], set()
        for t, sid, n in call.sender.log:
            if sid != p.stream_id:
                continue
            if any(a < t < b for a, b in paused):
                may.add(n)
            elif any(a - IN_FLIGHT_S < t < b + 0.05 for a, b in downs):
                may.add(n)
            else:
                must.append(n)
        leg = the_ledger.leg(dn=call.dns[i])
        ignore = []
        rows = [(p.sent[n].ts - p.sent[must[0]].ts, p.sent[n].payload) for n in must if p.sent[n].payload]
        at = wav.locate(the_wav.channel(leg.channel), the_wav.sample_bytes,
                        [(ts, wav.in_format(the_wav, x, wav.ALAW)) for ts, x in rows])
        assert at is not None, f"leg {i}: no packet found in its channel"
        base = at - p.sent[must[0]].ts
        for n in may:
            ts = p.sent[n].ts
            ignore.append((base + ts, base + ts + p.per_packet))
        v = wav.compare(the_wav, leg.channel, rows, wav.ALAW, ignore)
        assert v.ok, (f"leg {i}: offset {v.offset} wrong {v.wrong[:5]} missing {v.missing[:5]} stray {v.stray[:5]}"
                      f"\ndown {[(round(b - a, 2)) for a, b in downs]} spans {leg.spans[:30]}")
        kills = len(downs)
        down_s = leg.total("engine-down") / ledger.TICKS
        assert down_s <= BACK_S * kills, f"leg {i}: {down_s:.2f} s engine-down for {kills} kills"
        channel = the_wav.channel(leg.channel)
        sent_at = {n: t for t, sid, n in call.sender.log if sid == p.stream_id}
        gone = [n for n in may if p.sent[n].payload and p.sent[n].payload not in channel
                and not any(a < sent_at[n] < b for a, b in paused)]
        for n in gone:
            span = leg.at(ledger.ticks(base + p.sent[n].ts + p.per_packet // 2))
            early = [round((a - sent_at[n]) * 1000) for a, _ in downs if 0 < a - sent_at[n] < IN_FLIGHT_S]
            print(f"leg {i}: packet {n} is missing, span {span.kind if span else None}, {early} ms before a kill")
            assert early or span is None or span.kind == "engine-down", f"packet {n} is missing, the ledger says {span}"
        if not kills:
            assert not leg.of("engine-down") and leg.count("packets") == len(p.schedule)
        assert leg.total("lost-network") <= ledger.ticks(len(p.lost()) * p.per_packet) + ledger.ticks(
            int(kills * 2 * IN_FLIGHT_S * p.rate)), leg.of("lost-network")

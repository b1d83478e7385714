"""A recorded call as the media server makes it: recording INVITEs, RTP from known plans, and the
questions about the result. Each call has DNs of its own, so that the catalogue entry is found by
them."""
import itertools
import time

from . import ledger, rtp, sip, wav

_calls = itertools.count()


class Call:
    """Two (or more) recording INVITEs, one a leg. Leg 0 is the recorded party (channel 0)."""

    def __init__(self, rig, form="user", transport="udp", legs=2, pt=rtp.PCMA, ua=None, source_ip="127.0.0.1"):
        n = next(_calls)
        self.rig, self.form, self.pt = rig, form, pt
        self.name = f"REC{n:06d}"
        self.dns = [f"{7000 + n * 10 + i}" for i in range(legs)]
        self.ua = ua or sip.Ua(rig.sip, transport)
        self.own_ua = ua is None
        self.sender = rtp.Sender()
        self.source_ip = source_ip
        self.sources = []
        for i in range(legs):
            self.sources.append(self.sender.bind(source_ip))
        self.dialogs = [None] * legs
        self.media = [None] * legs
        self.answers = [None] * legs
        self.plans = [None] * legs
        self.accepted_mono = [0.0] * legs
        self._versions = [1] * legs

    # signalling

    def offer(self, i, direction="sendonly", port=None, codecs=None, ip=None):
        codecs = codecs or {rtp.PCMA: ((8, "PCMA/8000"),), rtp.PCMU: ((0, "PCMU/8000"),)}[self.pt]
        return sip.offer([sip.M(port or self.sources[i][1], codecs=codecs, direction=direction)],
                         ip=ip or self.source_ip, version=self._versions[i], session=5000 + i)

    def uri(self, i):
        host = f"{self.rig.sip[0]}:{self.rig.sip[1]}"
        return sip.genesys(host, self.name, self.dns[i], self.dns[0], form=self.form)

    def invite(self, i, expect=200, body=None, timeout_s=5, headers=(), **kw):
        """The INVITE of leg i; remembers dialog and media address."""
        uri, own = self.uri(i)
        d, r = self.ua.invite(uri, self.offer(i) if body is None else body, headers=[*own, *headers],
                              timeout_s=timeout_s, **kw)
        assert r.status == expect, f"INVITE of leg {i}: {r.start} {r.headers}"
        if r.status == 200:
            self.accepted_mono[i] = time.monotonic()
            self.dialogs[i], self.answers[i] = d, r.sdp()
            self.media[i] = self.answers[i].address(0)
        return r

    def invite_all(self, order=None):
        for i in order or range(len(self.dns)):
            self.invite(i)
        return self

    def reinvite(self, i, direction="sendonly", **kw):
        self._versions[i] += 1
        return self.dialogs[i].reinvite(self.offer(i, direction), **kw)

    def bye(self, *legs, retransmit=False, timeout_s=5):
        for i in legs or range(len(self.dns)):
            if self.dialogs[i] is not None:
                r = self.dialogs[i].bye(timeout_s=timeout_s, retransmit=retransmit)
                assert r.status == 200, r.start

    # media

    def play(self, i, seconds=None, source=None, **kw):
        """Plans and queues a stream for leg i (start() sends)."""
        p = rtp.plan(kw.pop("stream_id", f"{self.name}/{i}"), seconds, pt=self.pt, **kw)
        self.plans[i] = p
        self.sender.add(p, lambda: self.media[i], source or self.sources[i])
        return p

    def start(self):
        self.sender.start()
        return self

    def join(self):
        self.sender.join()
        return self

    def run(self):
        return self.start().join()

    # result

    def entry(self, timeout_s=15, **kw):
        """The finished recording in the catalogue."""
        return self.rig.wait_recording(lambda r: self.dns[0] in _dns(r), timeout_s, **kw)

    def live(self):
        """This call in /v1/calls, or None."""
        for c in self.rig.api.calls():
            if any(x.get("dn") in self.dns for x in c["legs"]):
                return c
        return None

    def result(self, timeout_s=15, **kw):
        """(entry with ledger, Wav, Ledger) of the sealed recording; the ledger is checked."""
        return fetch(self.rig, self.entry(timeout_s, **kw)["id"])

    def verify(self, i, the_wav, the_ledger, indices=None, plan=None, ignore=()):
        """Every received packet of leg i at its place; returns the channel offset of ts 0."""
        p = plan or self.plans[i]
        got = p.received() if indices is None else sorted(indices)
        leg = the_ledger.leg(dn=self.dns[i])
        first = p.sent[got[0]].ts
        rows = [(ts - first, x) for ts, x in p.truth(got)]
        v = wav.compare(the_wav, leg.channel, rows, wav.ALAW if p.law == rtp.PCMA else wav.ULAW, ignore)
        assert v.ok, f"leg {i}: {summary(v)}\nspans: {leg.spans[:40]}"
        return v.offset - first

    def close(self):
        self.sender.close()
        if self.own_ua:
            self.ua.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def summary(v):
    return (f"offset {v.offset}, good {v.good} samples, wrong {len(v.wrong)} packets {v.wrong[:6]}, "
            f"missing {len(v.missing)} {v.missing[:6]}, stray {v.stray[:6]}")


def _dns(entry):
    return entry.get("dns") or [x.get("dn") for x in entry.get("legs", [])]


def fetch(rig, rid):
    """(entry, Wav, Ledger) of a sealed recording by HTTP."""
    entry = rig.api.recording(rid)
    blob = rig.api.media(rid)
    w = wav.parse(blob)
    led = ledger.check(ledger.parse(entry["ledger"]), w.frames, w.rate)
    ledger.check_hash(led, blob)
    return entry, w, led

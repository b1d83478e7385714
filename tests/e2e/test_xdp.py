"""Media taken by an XDP program on one end of a veth pair: frames put on the other end become the
recording sample by sample, whichever way each of them takes; also over the death of the engine."""
import fcntl
import itertools
import os
import secrets
import struct
import subprocess
import threading
import time

import pytest

from lib import ledger, pcap, procs, rtp, seam, span, wait, wav

SIOCGIFHWADDR = 0x8927
IDENTS = itertools.count(1)  # one sender's, as fragments of all its packets are told apart by them
OURS, PEER = "10.77.0.1", "10.77.0.2"
PCMA = [{"pt": 8, "name": "PCMA", "clock": 8000, "ch": 1, "fmtp": ""}]


@pytest.fixture
def wire():
    with span.Link() as link:
        subprocess.run(["ip", "addr", "add", OURS + "/24", "dev", link.end], check=True)
        subprocess.run(["ip", "neigh", "add", PEER, "lladdr", "02:00:00:00:00:02", "dev", link.end], check=True)
        asked = fcntl.ioctl(link.sock, SIOCGIFHWADDR, struct.pack("256s", link.end.encode()))
        link.mac = asked[18:24]
        yield link


@pytest.fixture
def recorder(request, wire):
    if procs.missing("slr"):
        pytest.skip("slr is not built")
    capture, *args = getattr(request, "param", "xdp").split()
    rig = procs.Rig(capture=capture, media_ip=OURS, ports=(40000, 40099), block_ms=200, engine_args=args)
    failed = True
    try:
        rig.start_engine()
        yield rig
        rig.engine.terminate()
        rig.check()
        failed = getattr(request.node, "report_call", None) is None or request.node.report_call.failed
    finally:
        rig.close(failed)


def by_ring(rig):
    core = seam.Seam(rig.control)
    try:
        return core.ask("stats")["capture"]["by_ring"]
    finally:
        core.close()


class Call:
    """Two legs whose packets are frames on the wire."""

    def __init__(self, core, wire, plans):
        self.core, self.wire, self.plans, self.id = core, wire, plans, secrets.token_hex(16)
        core.ask("session_open", session=self.id, call="C" + self.id[:8], channels=2, reserve=2, digits="keep", meta={})
        self.dest = []
        for n in range(2):
            a = core.ask("leg_open", session=self.id, leg=f"leg{n}", channel=n, dn=str(100 + n), codecs=PCMA,
                         source_ip=PEER, source_port=5000 + n, family=4, hold=False, ptime_ms=20)
            self.dest.append((a["ip"], a["port"]))
        self.log = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def send(self, src, dst, payload, mtu=None):
        for packet in pcap.ip_packets(src[0], dst[0], 17, pcap.udp(src, dst, payload), ident=next(IDENTS), mtu=mtu):
            self.wire.send(self.wire.mac + pcap.link(pcap.ETHERNET, packet)[6:])

    def _run(self):
        begin = time.monotonic()
        for at, n, i in sorted((t, n, i) for n, p in enumerate(self.plans) for t, i in p.schedule):
            time.sleep(max(0, begin + at - time.monotonic()))
            src, dst, raw = (PEER, 5000 + n), self.dest[n], self.plans[n].sent[i].raw
            self.send(src, dst, raw, mtu=100 if i % 10 == 3 else None)  # the stack joins them
            if i % 25 == 5:
                self.send((PEER, 5001 + n), (dst[0], dst[1] + 1), rtp.sender_report(7, time.time(), 0, 1, 160))
                self.send(("10.77.0.9", 5000 + n), dst, raw[:11] + b"\x55" + raw[12:])  # another's
            self.log.append((time.monotonic(), n, i))

    def start(self):
        self._thread.start()
        return self

    def join(self):
        self._thread.join(60)

    def close(self, rig, core=None):
        core = core or self.core
        core.ask("session_close", session=self.id, reason="bye")
        e = core.event("sealed", self.id)
        w = wav.load(os.path.join(rig.data, "rec", e["file"]))
        led = ledger.check(ledger.parse(procs.load_json(os.path.join(rig.data, "rec", e["ledger"]))), w.frames)
        return w, led


@pytest.mark.parametrize("recorder", ["xdp", "xdp:skb,slots=8"], indirect=True)
def test_every_sample_whichever_way(request, recorder, wire):
    """20 ms through the rings; fragments, RTCP and packets of 40 ms through the sockets."""
    core = seam.Seam(recorder.control)
    plans = [rtp.plan("a", 4, start_s=0.1, loss=0.02, reorder=0.02, duplicate=0.02), rtp.plan("b", 4, start_s=0.1)]
    longer = [rtp.plan("c", 2, start_s=0.1, per_packet=320), rtp.plan("d", 2, start_s=0.1)]
    calls = [Call(core, wire, p).start() for p in (plans, longer)]
    for c in calls:
        c.join()
    taken = by_ring(recorder)
    for c in calls:
        w, led = c.close(recorder)
        for n, p in enumerate(c.plans):
            assert wav.compare(w, n, p.truth()).ok
            leg = led.leg(channel=n)
            assert leg.count("placed") == len(p.received()) and leg.count("late") == 0
    mode = "skb" if "skb" in request.node.name else "native"
    assert f"capture_attached backend=xdp interface={wire.end} mode={mode}" in recorder.engine.log()
    assert 300 < taken <= sum(len(p.schedule) for c in calls for p in c.plans), "rings and sockets, both"


@pytest.mark.parametrize("recorder", ["xdp --workers 2"], indirect=True)
def test_two_workers_share_the_program(recorder, wire):
    core = seam.Seam(recorder.control)
    calls = [Call(core, wire, [rtp.plan(f"{k}{n}", 3, start_s=0.1) for n in "ab"]).start() for k in range(4)]
    for c in calls:
        c.join()
    taken = by_ring(recorder)
    for c in calls:
        w, led = c.close(recorder)
        for n, p in enumerate(c.plans):
            assert wav.compare(w, n, p.truth()).ok
            assert led.leg(channel=n).count("placed") == len(p.sent)
    assert recorder.engine.log().count("capture_attached") == 1 and "capture_fallback" not in recorder.engine.log()
    assert taken > 4 * 2 * 150 * 2 // 3, "both workers' calls"


def test_killed_and_back(recorder, wire):
    core = seam.Seam(recorder.control)
    c = Call(core, wire, [rtp.plan(n, 6, start_s=0.1) for n in "ab"]).start()
    wait.until("it runs", lambda: len(c.log) > 150, 20)
    killed = time.monotonic()
    recorder.engine.kill9()
    recorder.start_engine()
    back = time.monotonic()
    core.close()
    c.join()
    assert by_ring(recorder) > 100, "the new engine has the interface"
    again = seam.Seam(recorder.control, epoch=2)
    w, led = c.close(recorder, again)
    for n, p in enumerate(c.plans):
        surely = {i for t, k, i in c.log if k == n and not killed - 0.2 < t < back}
        assert wav.compare(w, n, p.truth(sorted(surely)), ignore=[(0, w.frames)]).ok
        assert led.leg(channel=n).of("engine-down")


def test_another_program_has_the_interface(wire):
    first = procs.Rig(capture="xdp", media_ip=OURS, ports=(40000, 40049))
    second = procs.Rig(capture=f"xdp:{wire.end}", media_ip=OURS, ports=(40050, 40099))
    failed = True
    try:
        first.start_engine()
        second.start_engine()
        assert "capture_fallback refused=xdp using=uring" in second.engine.log()
        assert "capture_fallback" not in first.engine.log()
        core = seam.Seam(second.control)
        c = Call(core, wire, [rtp.plan(n, 1, start_s=0.1) for n in "ab"]).start()
        c.join()
        w, _ = c.close(second)
        assert all(wav.compare(w, n, p.truth()).ok for n, p in enumerate(c.plans))
        failed = False
    finally:
        first.close(failed)
        second.close(failed)

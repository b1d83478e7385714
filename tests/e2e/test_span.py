"""Recording from a SPAN port: the engine on one end of a veth pair, captures sent at the other.

By the kernel's ring (packet), and by DPDK with its driver for such links (dpdk)."""
import os
import signal
import time

import pytest

from lib import passive, pcap, procs, rtp, seam, span, wait, wav


def by_streams(recordings):
    """Recordings by the SSRCs of each of their channels."""
    return {tuple(sorted((leg.channel, tuple(sorted(leg.ssrcs))) for leg in r.ledger.legs if leg.ssrcs)): r
            for r in recordings if any(leg.ssrcs for leg in r.ledger.legs)}


def stats(control):
    core = seam.Seam(control)
    try:
        return core.ask("stats")
    finally:
        core.close()


@pytest.fixture(name="via", params=["packet", "dpdk"])
def _via(request):
    if request.param == "dpdk" and not os.path.exists(procs.binary("slr-dpdk.so")):
        pytest.skip("this build is without DPDK")
    return request.param


def capture_of(link, words, via):
    if via == "packet":
        return ",".join([f"packet:{link.end}", *words])
    if "drops" in words: # DPDK's driver of packet sockets does not tell them, that of libpcap does
        return f"dpdk:mbufs=8192,net_pcap0,rx_iface={link.end}"
    return f"dpdk:mbufs=8192,net_af_packet0,iface={link.end},framecnt=4096"


class Recorder:
    """An engine on a link; with a core where asked for."""

    def __init__(self, link, *words, core=False, via="packet"):
        if procs.missing("slr", "slr-core"):
            pytest.skip(f"not built: {procs.missing('slr', 'slr-core')} in {procs.bin_dir()}")
        self.with_core = core
        self.rig = procs.Rig(capture=capture_of(link, words, via), engine_args=("-t", "600"))

    def __enter__(self):
        self.rig.start_engine()
        if self.with_core:
            self.rig.start_core()
        return self

    def stats(self):
        return stats(self.rig.control)

    def stop(self):
        """Ends the programs; what they recorded."""
        if self.with_core:
            self.rig.core.terminate()
        self.rig.engine.terminate()
        self.rig.check()
        return passive.collect(self.rig.data)

    def __exit__(self, kind, *_):
        self.rig.close(failed=kind is not None)


def same(live, filed, packets):
    """The same calls, and every packet at its place in both."""
    a, b = by_streams(live.recordings), by_streams(filed.recordings)
    assert a.keys() == b.keys() and a
    for key, r in a.items():
        other = b[key]
        assert r.ledger.raw["meta"] == other.ledger.raw["meta"]
        for channel, ssrcs in key:
            leg, twin = r.ledger.leg(channel=channel), other.ledger.leg(channel=channel)
            assert leg.raw["id"] == twin.raw["id"] and leg.dn == twin.dn
            for name in ("packets", "placed", "lost", "duplicate", "late"):
                assert leg.count(name) == twin.count(name), (key, name)
            rows = passive.unique_payload(packets, ssrcs[0], 8)
            for x in (r, other):
                v = wav.compare(x.wav, channel, rows, wav.ALAW)
                assert v.ok, (key, channel, v)


def test_as_from_the_file(tmp_path, via):
    """A SIP call with both directions (d01) and RTP without signalling (d13), sent in real time and
    imported from a file with the same frames, are recorded alike: who, what, every packet's place.
    What is still in the ring when the engine is told to end is recorded, too."""
    call = span.cut(passive.capture("d01"), 9.5)
    alone = [x for x in span.cut(passive.capture("d13"), 6)]
    frames = sorted(call + alone, key=lambda x: x[0])
    span.save(tmp_path / "both.pcap", frames)
    with span.Link() as link, Recorder(link, core=True, via=via) as recorder:
        link.play(frames)
        counted = recorder.stats()
        live = recorder.stop()
    assert counted["backend"] == via and counted["capture"]["drop_kernel"] == 0
    same(live, passive.imported(tmp_path / "both.pcap"), passive.rtp_packets(tmp_path / "both.pcap"))
    assert any(r.ledger.raw["meta"].get("sip_call_id") for r in live.recordings)


WRAPS = {"plain": span.plain, "vlan": span.tagged(100), "qinq": span.tagged(200, 300),
         "gre": span.gre_ip, "gretap": span.gre_bridged, "erspan1": span.erspan_1, "erspan2": span.erspan_2,
         "erspan3": span.erspan_3, "vxlan": span.vxlan,
         "vxlan in erspan, tagged": lambda f: span.tagged(7)(span.erspan_2(span.vxlan(f)))}


def test_what_is_wrapped_is_found(via):
    """A flow in each of the headers that mirrored frames come in: all are recorded whole."""
    frames, plans = [], {}
    for i, (name, wrap) in enumerate(WRAPS.items()):
        plans[name] = p = rtp.plan(f"span-{name}", 3)
        src, dst = (f"10.1.{i}.1", 4000), (f"10.1.{i}.2", 5000)
        for t, k in p.schedule:
            packet = pcap.ip_packets(src[0], dst[0], 17, pcap.udp(src, dst, p.sent[k].raw))[0]
            frames.append((int(t * 1e9), wrap(pcap.link(pcap.ETHERNET, packet))))
    frames.sort(key=lambda x: x[0])
    with span.Link() as link, Recorder(link, via=via) as recorder:
        link.play(frames)
        wait.until("all frames are in", lambda: recorder.stats()["capture"]["packets"] >= len(frames))
        live = recorder.stop()
    found = {ssrc: (r, leg) for r in live.recordings for leg in r.ledger.legs for ssrc in leg.ssrcs}
    for name, p in plans.items():
        assert p.ssrc in found, f"{name} is not recorded"
        r, leg = found[p.ssrc]
        v = wav.compare(r.wav, leg.channel, p.truth(), wav.ALAW)
        assert v.ok and leg.count("lost") == 0, (name, v)


def in_udp(src, dst, payload):
    return pcap.link(pcap.ETHERNET, pcap.ip_packets(src[0], dst[0], 17, pcap.udp(src, dst, payload))[0])


def test_what_the_ring_has_no_room_for_is_counted(via):
    """An engine that stands still loses frames of a small ring: each one sent is in one counter, and
    what a stream lost there was lost here, not in the network."""
    p, flow = rtp.plan("span-drops", 3), (("10.2.0.1", 4000), ("10.2.0.2", 5000))
    frames = [(int(t * 1e9), in_udp(*flow, p.sent[k].raw)) for t, k in p.schedule]
    other, others = in_udp(("10.2.0.3", 4000), ("10.2.0.4", 5000), b"something else" * 12), 30000
    with span.Link() as link, Recorder(link, "ring=2" if via == "packet" else "drops", via=via) as recorder:
        link.play(frames[:60])
        os.kill(recorder.rig.engine.pid, signal.SIGSTOP)
        try:
            for _ in range(others):
                link.send(other)
            link.play(frames[60:75])
        finally:
            os.kill(recorder.rig.engine.pid, signal.SIGCONT)
        def settled(sent):
            c = recorder.stats()["capture"]
            return c if c["frames"] + c["drop_kernel"] >= sent else None
        c = wait.until("each frame is counted", lambda: settled(others + 75))
        assert c["frames"] + c["drop_kernel"] == others + 75
        assert c["drop_kernel"] > others // 2 and c["frames"] > 1000
        assert via == "dpdk" or c["no_buffers"] > 0
        link.play(frames[75:])
        wait.until("what comes later is taken", lambda: settled(others + len(frames)))
        assert recorder.stats()["counters"]["slr_kernel_drops_total"] == c["drop_kernel"]
        live = recorder.stop()
    assert len(live.recordings) == 1
    leg = live.recordings[0].ledger.leg(channel=0)
    assert leg.total("lost-kernel") > 0 and leg.total("lost-network") == 0


def test_the_own_hosts_frames_are_left_out_unless_asked_for():
    p = rtp.plan("span-own", 1)
    packet = pcap.ip_packets("10.3.0.1", "10.3.0.2", 17, pcap.udp(("10.3.0.1", 4000), ("10.3.0.2", 5000), p.sent[0].raw))
    frame = pcap.link(pcap.ETHERNET, packet[0])
    with span.Link() as link:
        link.end, link.far = link.far, link.end # what is sent leaves by the interface that is listened on
        with Recorder(link) as deaf, Recorder(link, "own") as keen:
            for _ in range(50):
                link.send(frame)
            wait.until("the one takes them", lambda: keen.stats()["capture"]["frames"] == 50)
            assert deaf.stats()["capture"]["frames"] == 0
            deaf.stop()
            keen.stop()


def test_idle_costs_nothing(via):
    """Next to nothing: the kernel wakes a reader of its ring; at DPDK's one must look."""
    with span.Link() as link, Recorder(link, via=via) as recorder:
        recorder.stats()
        def ticks():
            with open(f"/proc/{recorder.rig.engine.pid}/stat", encoding="ascii") as f:
                return sum(int(x) for x in f.read().rsplit(")", 1)[1].split()[11:13])
        before, until = ticks(), time.monotonic() + 2
        wait.until("two seconds are over", lambda: time.monotonic() > until, 5, 0.5)
        assert ticks() - before <= (2 if via == "packet" else 20)
        recorder.stop()


def test_sessions_end_though_nothing_comes(via):
    """Silence for -t ends and seals a recording while the engine runs."""
    p = rtp.plan("span-end", 1)
    with span.Link() as link:
        recorder = Recorder(link, via=via)
        recorder.rig.engine.argv[recorder.rig.engine.argv.index("-t") + 1] = "2"
        with recorder:
            src, dst = ("10.4.0.1", 4000), ("10.4.0.2", 5000)
            core = seam.Seam(recorder.rig.control)
            link.play([(int(t * 1e9), pcap.link(pcap.ETHERNET, pcap.ip_packets(
                src[0], dst[0], 17, pcap.udp(src, dst, p.sent[k].raw))[0])) for t, k in p.schedule])
            core.event("sealed")
            core.close()
            found = passive.collect(recorder.rig.data).recordings
            assert len(found) == 1 and found[0].ledger.raw["end_reason"] == "silent"
            assert wav.compare(found[0].wav, 0, p.truth(), wav.ALAW).ok
            recorder.stop()


def test_a_call_that_is_ended_has_what_came_before(tmp_path):
    """A command ends a call while 2 s of it still lie unread in the ring: they are recorded,
    but for what came in the last 10 ms before the command."""
    p, flow = rtp.plan("span-ended", 4), (("10.3.0.1", 4000), ("10.3.0.2", 5000))
    frames = [(int(t * 1e9), in_udp(*flow, p.sent[k].raw)) for t, k in p.schedule]
    sid = f"{1:032x}"
    other = in_udp(("10.3.0.3", 4000), ("10.3.0.4", 5000), b"something else" * 12)
    with span.Link() as link, Recorder(link) as recorder:
        core = seam.Seam(recorder.rig.control)
        try:
            core.ask("session_open", session=sid, channels=1, reserve=1)
            core.ask("leg_open", session=sid, leg="leg", channel=0, dn="1", source_ip="", source_port=0, family=4,
                     hold=False, codecs=[{"pt": 8, "name": "PCMA", "clock": 8000, "ch": 1}],
                     passive={"dst": "10.3.0.2:5000", "src_ip": ""})
            link.play(frames[:100])
            os.kill(recorder.rig.engine.pid, signal.SIGSTOP)
            try:
                for _ in range(5000):  # more than is read in a turn, before commands are looked at
                    link.send(other)
                link.play(frames[100:])
                core.send({"cmd": "session_close", "id": "end", "epoch": core.epoch, "session": sid, "reason": "test"})
            finally:
                os.kill(recorder.rig.engine.pid, signal.SIGCONT)
            core.event("sealed", sid)
        finally:
            core.close()
        live = recorder.stop()
    leg = next(leg for r in live.recordings for leg in r.ledger.legs if p.ssrc in leg.ssrcs)
    # the kernel gives its open block away when it is 10 ms old: a packet may lie in that
    assert leg.count("packets") >= len(p.sent) - 1

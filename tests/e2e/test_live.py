"""Live recordings: two INVITEs, two streams, one stereo recording, with exact truth."""
import random

import pytest

from lib import ledger, passive, rtp, sip, together, wait, wav
from lib.call import Call

BACKENDS = ["socket", "uring"]


@pytest.fixture(params=BACKENDS)
def rig(request, rigs):
    return rigs(capture=request.param).start()


@pytest.fixture
def plain(rigs):
    return rigs(capture="uring").start()


def test_two_legs_either_invite_first(rig):
    together.each([(0, 1), (1, 0)], lambda order: two_legs(rig, order))


def two_legs(rig, order):
    with Call(rig) as c:
        c.invite_all(order)
        assert all(a.media[0].direction == "recvonly" for a in c.answers)
        a, b = c.play(0, 3, start_s=0.1), c.play(1, 3, start_s=0.1)
        c.run()
        c.bye()
        entry, w, led = c.result()
        assert entry["state"] == "sealed" and w.channels == 2 and w.tag == wav.ALAW and w.rate == 8000
        assert led.leg(dn=c.dns[0]).channel == 0 and led.leg(dn=c.dns[1]).channel == 1
        at0, at1 = c.verify(0, w, led), c.verify(1, w, led)
        assert abs(at0 - at1) <= 8 * 40  # both began at the same moment
        for i, p in enumerate((a, b)):
            leg = led.leg(dn=c.dns[i])
            assert leg.count("packets") == leg.count("placed") == len(p.sent)
            assert leg.count("lost") == 0 and leg.total("received") == ledger.ticks(len(p.sent) * 160)
        assert entry["media_hash"]


@pytest.mark.parametrize("form", ["user", "param", "headers"])
def test_every_uri_form_pairs(plain, form):
    with Call(plain, form=form) as c:
        c.invite_all()
        c.play(0, 1, start_s=0.1), c.play(1, 1, start_s=0.1)
        c.run()
        c.bye()
        _, w, led = c.result()
        assert w.channels == 2
        c.verify(0, w, led), c.verify(1, w, led)
        assert led.leg(dn=c.dns[0]).channel == 0


def test_cisco_near_and_far_end_pair_by_refci(plain):
    with Call(plain) as c:
        for i, side in ((1, "x-farend"), (0, "x-nearend")):
            d, r = c.ua.invite(f"sip:rec@{plain.sip[0]}:{plain.sip[1]}", c.offer(i),
                               frm=f"<sip:{c.dns[i]}@127.0.0.1;{side};x-refci=4711{c.dns[0]};"
                                   f"x-nearenddevice=SEP001>;tag={sip.token()}")
            assert r.status == 200, r.start
            c.dialogs[i], c.media[i] = d, r.sdp().address(0)
        c.play(0, 1, start_s=0.1), c.play(1, 1, start_s=0.1)
        c.run()
        c.bye()
        _, w, led = c.result()
        assert w.channels == 2 and led.leg(dn=c.dns[0]).channel == 0
        c.verify(0, w, led), c.verify(1, w, led)


@pytest.mark.parametrize("late_s", [1.0, 5.0])
def test_second_leg_comes_late(plain, late_s):
    """The second INVITE comes while the first leg talks; its place is the wall clock's."""
    with Call(plain) as c:
        c.invite(0)
        a = c.play(0, late_s + 2)
        b = c.play(1, 1, start_s=late_s + 0.5)
        c.start()
        wait.until("the first leg has talked", lambda: len(c.sender.log) > late_s * 50, late_s + 5)
        c.invite(1)
        c.join()
        c.bye()
        _, w, led = c.result()
        at0, at1 = c.verify(0, w, led), c.verify(1, w, led)
        assert abs((at1 - at0) - (late_s + 0.5) * 8000) <= 8 * 60
        leg = led.leg(dn=c.dns[1])
        assert leg.total("absent") >= ledger.ticks(int(late_s * 8000))
        assert len(a.sent) + len(b.sent) == led.packets


def test_second_leg_never_comes(plain):
    with Call(plain) as c:
        c.invite(0)
        p = c.play(0, 2)
        c.run()
        c.bye(0)
        entry, w, led = c.result()
        assert c.verify(0, w, led) >= 0 and led.packets == len(p.sent)
        assert entry["state"] == "sealed"
        if w.channels == 2:
            assert wav.is_silence(w, w.channel(1))


def test_no_packet_at_all_still_gives_a_recording_object(plain):
    with Call(plain) as c:
        c.invite_all()
        c.bye()
        entry = c.entry()
        assert entry["state"] in ("sealed", "partial")
        led = ledger.check(ledger.parse(plain.api.recording(entry["id"])["ledger"]))
        assert led.packets == 0
        for leg in led.legs:
            assert leg.total("absent", "ended") == led.length


def test_impairments_every_sample_at_its_place(rig):
    """1 % loss, 5 % reordering by up to 200 ms, duplicates, 100 ms jitter."""
    together.each([1, 2], lambda seed: impaired(rig, seed))


def impaired(rig, seed):
    with Call(rig) as c:
        c.invite_all()
        for i in (0, 1):
            c.play(i, 8, loss=0.01, reorder=0.05, reorder_s=0.2, duplicate=0.02, jitter_s=0.1, start_s=0.3,
                   rng=random.Random(seed * 10 + i))
        c.run()
        c.bye()
        _, w, led = c.result()
        for i in (0, 1):
            p, leg = c.plans[i], led.leg(dn=c.dns[i])
            at = c.verify(i, w, led)
            got = p.received()
            assert leg.count("packets") == len(p.schedule) and leg.count("placed") == len(got)
            assert leg.count("duplicate") == p.duplicates() and leg.count("late") == 0
            assert leg.count("lost") == len(p.lost_inside())
            assert leg.count("reordered") == p.reordered()
            assert ledger.received_mask(leg) == ledger.ranges_of(p, got, at)
            spans = [(ledger.samples(s.start), ledger.samples(s.end)) for s in leg.of("lost-network")]
            assert spans == ledger.ranges_of(p, p.lost_inside(), at)
            assert sum(s.info for s in leg.of("lost-network")) == len(p.lost_inside())


def test_ssrc_change_in_a_leg(plain):
    """Another SSRC from the same source goes on with the leg, at its place by arrival."""
    with Call(plain) as c:
        c.invite_all()
        a = c.play(0, 2, ssrc=1111)
        b = rtp.plan("second-ssrc", 2, ssrc=2222, start_s=2.0)
        c.sender.add(b, lambda: c.media[0], c.sources[0])
        c.run()
        c.bye()
        _, w, led = c.result()
        leg = led.leg(dn=c.dns[0])
        assert leg.ssrcs == {1111, 2222}
        chan = w.channel(leg.channel)
        at_a = chan.find(a.sent[0].payload)
        at_b = chan.find(b.sent[0].payload)
        assert at_a >= 0 and at_b >= 0 and abs(at_b - at_a - 16000) <= 8 * 40
        assert chan[at_b : at_b + 16000] == b"".join(s.payload for s in b.sent)


def test_digits_by_policy(rigs):
    made = {policy: rigs(engine_args=("--digits", policy)).start() for policy in ("keep", "mask", "drop")}
    together.each(made, lambda policy: dial(made[policy], policy))


def dial(rig, policy):
    with Call(rig) as c:
        c.invite_all()
        c.play(0, 6, digits="5*0#")
        c.run()
        c.bye()
        entry, w, led = c.result()
        c.verify(0, w, led)
        assert led.digits == {"keep": "5*0#", "mask": "xxxx", "drop": ""}[policy]
        assert led.leg(dn=c.dns[0]).total("event") > 0
        log = rig.engine.log() + rig.core.log()
        assert "5*0#" not in log


def test_mixed_laws_become_pcm16(plain):
    """One party talks A-law, the other mu-law: PCM16 with every sample exact."""
    with Call(plain) as c:
        c.invite(0)
        d, r = c.ua.invite(c.uri(1)[0], c.offer(1, codecs=((0, "PCMU/8000"),)), headers=c.uri(1)[1])
        assert r.status == 200
        c.dialogs[1], c.media[1] = d, r.sdp().address(0)
        a = c.play(0, 2)
        b = rtp.plan("ulaw", 2, pt=rtp.PCMU)
        c.plans[1] = b
        c.sender.add(b, lambda: c.media[1], c.sources[1])
        c.run()
        c.bye()
        _, w, led = c.result()
        assert w.tag == wav.PCM and w.rate == 8000
        c.verify(0, w, led), c.verify(1, w, led)
        assert len(a.sent) == len(b.sent)


def replay(c, i, packets, ssrc, rig):
    """The very packets of a capture, sent to leg i with the capture's timing."""
    rows = [(d, h) for d, h in packets if h.ssrc == ssrc]
    t0 = rows[0][0].time_ns
    sent = [rtp.Sent(n, h.seq, h.ts - rows[0][1].ts, h.payload, d.payload, (d.time_ns - t0) / 1e9)
            for n, (d, h) in enumerate(rows)]
    p = rtp.Plan(f"replay{ssrc}", ssrc, 8000, 240, sent, [(s.due_s + 0.2, s.index) for s in sent])
    c.plans[i] = p
    c.sender.add(p, lambda: c.media[i], c.sources[i])


def test_captured_d01_sent_live_gives_the_same_channels(plain):
    """Twenty seconds of both parties of d01 through SIP and RTP."""
    path = passive.capture("d01")
    packets = passive.rtp_packets(path)
    with Call(plain) as c:
        streams = passive.truth("d01")
        for i, s in enumerate(streams):
            body = c.offer(i).replace(b"101", b"96")
            uri, headers = c.uri(i)
            d, r = c.ua.invite(uri, body, headers=headers)
            assert r.status == 200
            c.dialogs[i], c.media[i] = d, r.sdp().address(0)
            replay(c, i, packets, int(s["ssrc"], 16), plain)
        c.run()
        c.bye()
        _, w, led = c.result()
        for i, s in enumerate(streams):
            rows = passive.unique_payload(packets, int(s["ssrc"], 16), 8)
            v = wav.compare(w, led.leg(dn=c.dns[i]).channel, rows)
            assert v.ok, (i, v)
        assert led.digits == "6789123"


def test_captured_d13_sent_live_gives_the_same_channel(plain):
    """The first 10 s of d13 in real time, from a live peer."""
    path = passive.capture("d13")
    packets = passive.rtp_packets(path)[:500]
    with Call(plain) as c:
        c.invite(0)
        replay(c, 0, packets, packets[0][1].ssrc, plain)
        c.run()
        c.bye(0)
        _, w, led = c.result()
        v = wav.compare(w, led.leg(dn=c.dns[0]).channel, passive.unique_payload(packets, packets[0][1].ssrc, 8))
        assert v.ok, v


def test_silent_leg_ends_the_stream_not_the_session(rigs):
    """-t ends a stream; RTP that returns continues the leg; all silent: the core sends BYE."""
    rig = rigs(engine_args=("-t", "1")).start()
    with Call(rig) as c:
        c.invite_all()
        a = c.play(0, 1)
        b = rtp.plan("back", 1, ssrc=a.ssrc, start_s=2.6, seq0=a.sent[-1].seq + 1, ts0=0, first_sample=99999)
        c.play(1, 4)
        c.sender.add(b, lambda: c.media[0], c.sources[0])
        c.run()
        wait.until("the recorder sends BYE to both", lambda: c.dialogs[0].byed() and c.dialogs[1].byed(), 8)
        _, w, led = c.result()
        chan = w.channel(led.leg(dn=c.dns[0]).channel)
        assert a.sent[0].payload in chan and b.sent[-1].payload in chan

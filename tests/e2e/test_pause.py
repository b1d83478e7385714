"""Pause, resume, hold and stop: by HTTP and by re-INVITE, and that nothing leaks into a pause."""
import random
import time

import pytest

from lib import ledger, rtp, sip, together, wait, wav
from lib.call import Call
from lib.pause import no_sample_inside


@pytest.fixture(params=["socket", "uring"])
def rig(request, rigs):
    return rigs(capture=request.param).start()


@pytest.fixture
def plain(rigs):
    return rigs(capture="uring").start()


def rid(call):
    live = wait.until("the call is listed", call.live)
    return live["id"]


def pause_at(call, at_s):
    """Waits until at_s of the senders' schedule has passed."""
    wait.until(f"{at_s} s of media", lambda: time.monotonic() >= call.sender.start_mono + at_s, at_s + 5, 0.005)


def test_pause_and_resume_by_http(rig):
    with Call(rig) as c:
        c.invite_all()
        c.play(0, 6, start_s=0.1), c.play(1, 6, start_s=0.1)
        c.start()
        ident = rid(c)
        pause_at(c, 2.0)
        before = time.monotonic()
        p = rig.api.post(f"/v1/calls/{ident}/pause").json()
        paused = time.monotonic()
        assert p["paused"] is True
        again = rig.api.post(f"/v1/calls/{ident}/pause").json()
        assert again["paused"] is True and again["at_ticks"] == p["at_ticks"]
        assert c.live()["paused"] is True
        pause_at(c, 4.0)
        resuming = time.monotonic()
        r = rig.api.post(f"/v1/calls/{ident}/resume").json()
        resumed = time.monotonic()
        assert r["paused"] is False
        c.join()
        c.bye()
        _, w, led = c.result()
        for i in (0, 1):
            leg = led.leg(dn=c.dns[i])
            no_sample_inside(w, led, leg, p["at_ticks"], r["at_ticks"])
            chan = w.channel(leg.channel)
            index = wav.windows(chan)
            for t, sid, n in c.sender.log:
                if sid != c.plans[i].stream_id:
                    continue
                payload = c.plans[i].sent[n].payload
                if t < before - 0.1 or t > resumed + 0.1:
                    assert payload in chan, f"packet {n} outside of the pause is missing"
                elif paused < t < resuming:
                    assert not wav.contains(index, payload), f"packet {n} leaked into the pause"
            assert leg.count("suppressed") > 60
            assert 1.5 * ledger.TICKS < leg.total("paused") < 2.5 * ledger.TICKS


def test_no_leak_with_reordered_and_delayed_packets_across_the_bounds(plain):
    """Jitter, reordering by up to 400 ms and duplicates over the bounds of three short pauses: no
    byte of [p0, p1) is ever there, and what arrives while paused is not there wherever it belongs."""
    together.each([3, 4, 5], lambda seed: leak(plain, seed))


def leak(plain, seed):
    rng = random.Random(seed)
    with Call(plain) as c:
        c.invite_all()
        for i in (0, 1):
            c.play(i, 7, jitter_s=0.1, reorder=0.2, reorder_s=0.4, duplicate=0.1, start_s=0.2,
                   rng=random.Random(seed * 7 + i))
        c.start()
        ident = rid(c)
        bounds, times = [], []
        at = 1.0
        for _ in range(3):
            pause_at(c, at)
            p = plain.api.post(f"/v1/calls/{ident}/pause").json()["at_ticks"]
            t_paused = time.monotonic()
            at += 0.4 + rng.random()
            pause_at(c, at)
            t_resuming = time.monotonic()
            r = plain.api.post(f"/v1/calls/{ident}/resume").json()["at_ticks"]
            bounds.append((p, r))
            times.append((t_paused, t_resuming))
            at += 0.5
        c.join()
        c.bye()
        _, w, led = c.result()
        for i in (0, 1):
            leg, plan = led.leg(dn=c.dns[i]), c.plans[i]
            for p, r in bounds:
                no_sample_inside(w, led, leg, p, r)
            index = wav.windows(w.channel(leg.channel))
            log = [(t, n) for t, sid, n in c.sender.log if sid == plan.stream_id]
            for a, b in times:
                inside = {n for t, n in log if a < t < b}
                outside = {n for t, n in log if not a < t < b}  # another copy came when it was allowed
                for n in inside - outside:
                    assert not wav.contains(index, plan.sent[n].payload), f"packet {n} came while paused"


def test_digit_dialled_in_a_pause_is_not_kept(plain):
    with Call(plain) as c:
        c.invite_all()
        c.play(0, 5, digits="147")
        c.start()
        ident = rid(c)
        pause_at(c, 1.7)
        plain.api.post(f"/v1/calls/{ident}/pause")
        pause_at(c, 2.6)
        plain.api.post(f"/v1/calls/{ident}/resume")
        c.join()
        c.bye()
        _, _, led = c.result()
        assert led.digits == "17"


def test_hold_by_reinvite(rig):
    """re-INVITE inactive (or c=0.0.0.0): answered inactive, span `hold`; sendonly brings it back."""
    together.each(["inactive", "zero-address"], lambda direction: hold(rig, direction))


def hold(rig, direction):
    with Call(rig) as c:
        c.invite_all()
        c.play(0, 2), c.play(1, 6)
        back = rtp.plan(f"back/{direction}", 2, ssrc=c.plans[0].ssrc, seq0=c.plans[0].sent[-1].seq + 1, start_s=4.0)
        c.sender.add(back, lambda: c.media[0], c.sources[0])
        c.start()
        pause_at(c, 2.2)
        if direction == "inactive":
            r = c.reinvite(0, "inactive")
        else:
            c._versions[0] += 1
            r = c.dialogs[0].reinvite(c.offer(0, ip="0.0.0.0"))
        assert r.status == 200
        assert direction != "inactive" or r.sdp().media[0].direction == "inactive"
        pause_at(c, 3.7)
        r = c.reinvite(0)
        assert r.status == 200 and r.sdp().media[0].direction == "recvonly"
        assert r.sdp().address(0) == c.media[0], "the port must not move"
        c.join()
        c.bye()
        _, w, led = c.result()
        leg = led.leg(dn=c.dns[0])
        assert 1.2 * ledger.TICKS < leg.total("hold") < 2.2 * ledger.TICKS
        chan = w.channel(leg.channel)
        at_a, at_b = chan.find(c.plans[0].sent[0].payload), chan.find(back.sent[0].payload)
        assert abs((at_b - at_a) - 4 * 8000) <= 8 * 60
        c.verify(1, w, led)


def test_o_version_and_same_offer(plain):
    """o= goes up only with a change; the same offer again gets the same answer."""
    with Call(plain) as c:
        c.invite_all()
        first = c.answers[0]
        same = c.dialogs[0].reinvite(c.offer(0)).sdp()
        assert same.version == first.version and same.address(0) == first.address(0)
        held = c.reinvite(0, "inactive").sdp()
        assert held.version == first.version + 1
        c.bye()
        c.entry()


def test_stop_by_http_seals_and_sends_bye(rig):
    with Call(rig) as c:
        c.invite_all()
        c.play(0, 3), c.play(1, 3)
        c.start()
        ident = rid(c)
        pause_at(c, 1.0)
        rig.api.post(f"/v1/calls/{ident}/stop")
        wait.until("BYE on both dialogs", lambda: c.dialogs[0].byed() and c.dialogs[1].byed(), 5)
        entry, w, led = c.result()
        assert entry["id"] == ident and entry["end_reason"] == "stop"
        assert led.length < 2.5 * ledger.TICKS
        c.join()
        index = wav.windows(w.channel(0))
        late = [n for t, sid, n in c.sender.log if sid == c.plans[0].stream_id and t > c.sender.start_mono + 2]
        assert late and not any(wav.contains(index, c.plans[0].sent[n].payload) for n in late)


def test_verbs_on_unknown_calls_are_404(plain):
    for verb in ("pause", "resume", "stop"):
        plain.api.post(f"/v1/calls/{'0' * 32}/{verb}", status=404)


def test_pause_of_two_calls_is_separate(plain):
    with Call(plain) as a, Call(plain) as b:
        a.invite_all(), b.invite_all()
        for c in (a, b):
            c.play(0, 3), c.play(1, 3)
            c.start()
        ident = rid(a)
        pause_at(a, 1.0)
        plain.api.post(f"/v1/calls/{ident}/pause")
        a.join(), b.join()
        a.bye(), b.bye()
        _, wb, lb = b.result()
        b.verify(0, wb, lb), b.verify(1, wb, lb)
        _, _, la = a.result()
        assert la.leg(dn=a.dns[0]).total("paused") > ledger.TICKS


JSON = {"Content-Type": "application/json"}
LIMIT = '{"max_s": 2}'


def test_a_pause_that_nobody_ends_ends_by_itself(plain):
    with Call(plain) as c:
        c.invite_all()
        c.play(0, 5, start_s=0.1), c.play(1, 5, start_s=0.1)
        c.start()
        ident = rid(c)
        pause_at(c, 1.0)
        p = plain.api.post(f"/v1/calls/{ident}/pause", body=LIMIT, headers=JSON).json()
        assert p["paused"] is True and p["max_ms"] == 2000
        wait.until("the pause is over", lambda: c.live()["paused"] is False, 5)
        c.join()
        c.bye()
        _, w, led = c.result()
        end = p["at_ticks"] + 2 * ledger.TICKS
        for i in (0, 1):
            leg = led.leg(dn=c.dns[i])
            (span,) = leg.of("paused")
            assert -0.05 <= (span.end - end) / ledger.TICKS <= 0.3, (span.start, span.end)
            no_sample_inside(w, led, leg, p["at_ticks"], span.end)
            assert leg.spans[-1].kind == "received" or leg.of("received")[-1].end > span.end

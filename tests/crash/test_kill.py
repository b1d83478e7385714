"""kill -9 of either process, and of both, in a running call: the same recording goes on."""
import os
import random
import time

import pytest

from lib import ledger, sip, wait, wav
from lib.call import Call
from lib.crash import Supervisor, verify_call
from lib.pause import no_sample_inside


@pytest.fixture(params=["socket", "uring", "shared"])
def rig(request, rigs):
    return rigs(capture=request.param).start()


@pytest.fixture
def plain(rigs):
    return rigs(capture="uring").start()


def at(call, s):
    wait.until(f"{s} s of media", lambda: time.monotonic() >= call.sender.start_mono + s, s + 5, 0.005)


def listed(call):
    return wait.until("the call is listed", call.live)


def test_core_dies_not_one_packet_is_missed(plain):
    """re-INVITE, pause, resume and BYE after the restart are answered; the recording seals."""
    sup = Supervisor(plain)
    with Call(plain) as c:
        c.invite_all()
        c.play(0, 7), c.play(1, 7)
        c.start()
        ident = listed(c)["id"]
        at(c, 1.0)
        sup.kill_core()
        assert c.reinvite(0, retransmit=True).status == 200
        assert c.dialogs[0].answer.sdp().address(0) == c.media[0]
        assert listed(c)["id"] == ident
        at(c, 3.0)
        p = plain.api.post(f"/v1/calls/{ident}/pause").json()
        t_paused = time.monotonic()
        at(c, 4.0)
        r = plain.api.post(f"/v1/calls/{ident}/resume").json()
        assert r["at_ticks"] > p["at_ticks"]
        t_resumed = time.monotonic()
        c.join()
        c.bye(retransmit=True)
        entry, w, led = c.result()
        assert entry["id"] == ident and entry["state"] == "sealed"
        for i in (0, 1):
            leg = led.leg(dn=c.dns[i])
            assert leg.count("packets") == len(c.plans[i].sent)
        verify_call(c, sup, w, led, paused=[(t_paused - 0.1, t_resumed + 0.1)])


@pytest.mark.parametrize("moment", ["between-legs", "before-ack", "during-reinvite"])
def test_core_dies_in_the_middle_of_signalling(plain, moment):
    sup = Supervisor(plain)
    with Call(plain) as c:
        if moment == "before-ack":
            c.invite(0, ack=False)
            sup.kill_core()
            c.dialogs[0].ack()
        else:
            c.invite(0)
        if moment == "between-legs":
            sup.kill_core()
        c.invite(1, retransmit=True)
        c.play(0, 2), c.play(1, 2)
        c.start()
        if moment == "during-reinvite":
            c._versions[0] += 1
            t = c.dialogs[0].start("INVITE", c.offer(0))
            sup.kill_core()
            final = t.final(8, retransmit=True)
            assert c.dialogs[0].invited(t, final).status == 200
        c.join()
        c.bye(retransmit=True)
        entry, w, led = c.result()
        assert len(led.legs) == 2 and w.channels == 2, "after the restart the legs were not paired"
        verify_call(c, sup, w, led)


def test_bye_while_the_core_is_down_is_answered_by_the_next(plain):
    with Call(plain) as c:
        c.invite_all()
        c.play(0, 1), c.play(1, 1)
        c.run()
        plain.core.kill9()
        ts = [d.start("BYE") for d in c.dialogs]
        plain.start_core()
        assert [t.final(10, retransmit=True).status for t in ts] == [200, 200]
        _, w, led = c.result()
        c.verify(0, w, led), c.verify(1, w, led)


def test_unknown_dialog_after_restart_is_481(plain):
    Supervisor(plain).kill_core()
    u = sip.Ua(plain.sip)
    d = u.dialog(f"sip:x@{plain.sip[0]}:{plain.sip[1]}")
    d.remote += ";tag=nobody"
    assert d.bye().status == 481
    u.close()


def test_engine_dies_same_ports_same_recording(rig):
    sup = Supervisor(rig)
    with Call(rig) as c:
        c.invite_all()
        c.play(0, 7), c.play(1, 7)
        c.start()
        before = listed(c)
        at(c, 2.5)
        sup.kill_engine()
        at(c, 5.0)
        live = wait.until("the call goes on in the core's list", lambda: c.live(), 5)
        assert live["id"] == before["id"]
        c.join()
        c.bye()
        entry, w, led = c.result()
        assert entry["id"] == before["id"] and len(rig.api.recordings()) == 1
        verify_call(c, sup, w, led)
        assert len(rig.rec_files(".wav")) == 1


def test_engine_dies_twice_within_a_block(plain):
    sup = Supervisor(plain)
    with Call(plain) as c:
        c.invite_all()
        c.play(0, 5), c.play(1, 5)
        c.start()
        at(c, 1.5)
        sup.kill_engine()
        sup.kill_engine()
        c.join()
        c.bye()
        _, w, led = c.result()
        verify_call(c, sup, w, led)


def test_engine_dies_before_the_first_packet_and_before_the_first_block(plain):
    sup = Supervisor(plain)
    with Call(plain) as c:
        c.invite_all()
        sup.kill_engine()
        c.play(0, 3), c.play(1, 3)
        c.start()
        at(c, 0.1)
        sup.kill_engine()
        c.join()
        c.bye()
        _, w, led = c.result()
        sup.down = sup.down[1:]
        verify_call(c, sup, w, led)


def test_paused_call_stays_paused_over_the_death_of_the_engine(rig):
    sup = Supervisor(rig)
    with Call(rig) as c:
        c.invite_all()
        c.play(0, 7), c.play(1, 7)
        c.start()
        ident = listed(c)["id"]
        at(c, 1.5)
        p = rig.api.post(f"/v1/calls/{ident}/pause").json()
        paused = time.monotonic()
        sup.kill_engine()
        at(c, 4.5)
        resuming = time.monotonic()
        r = rig.api.post(f"/v1/calls/{ident}/resume").json()
        c.join()
        c.bye()
        _, w, led = c.result()
        for i in (0, 1):
            leg = led.leg(dn=c.dns[i])
            no_sample_inside(w, led, leg, p["at_ticks"], r["at_ticks"])
            index = wav.windows(w.channel(leg.channel))
            for t, sid, n in c.sender.log:
                if sid == c.plans[i].stream_id and paused < t < resuming:
                    assert not wav.contains(index, c.plans[i].sent[n].payload), f"packet {n} leaked"
            last = c.plans[i].sent[-1].payload
            assert last in w.channel(leg.channel), "what came after resume is missing"


def test_both_die_at_once(rig):
    sup = Supervisor(rig)
    with Call(rig) as c:
        c.invite_all()
        c.play(0, 7), c.play(1, 7)
        c.start()
        ident = listed(c)["id"]
        at(c, 2.5)
        sup.kill_both()
        assert c.reinvite(0, retransmit=True).status == 200
        c.join()
        c.bye(retransmit=True)
        entry, w, led = c.result()
        assert entry["id"] == ident
        verify_call(c, sup, w, led)


def test_bye_while_the_engine_is_down(plain):
    """The BYE is answered at once; the recording seals when the engine is back."""
    with Call(plain) as c:
        c.invite_all()
        c.play(0, 2), c.play(1, 2)
        c.run()
        plain.engine.kill9()
        c.bye()
        plain.start_engine()
        entry, w, led = c.result(timeout_s=20)
        assert entry["state"] in ("sealed", "partial")
        for i in (0, 1):  # the last packets may have been on their way when it died
            c.verify(i, w, led, indices=range(97), ignore=[(0, w.frames)])


def test_session_unknown_to_the_core_is_sealed_as_orphan(plain):
    """The core loses its database while it is down: the recording is listed, never discarded."""
    import shutil
    with Call(plain) as c:
        c.invite_all()
        c.play(0, 2), c.play(1, 2)
        c.run()
        plain.core.kill9()
        shutil.rmtree(os.path.join(plain.data, "core"))
        plain.start_core()
        entry = plain.wait_recording(lambda r: True, 20)
        assert entry["state"] in ("orphan", "sealed", "partial")
        led = ledger.parse(plain.api.recording(entry["id"])["ledger"])
        assert led.packets == 200


def test_sigterm_seals_at_once_and_clean(plain):
    with Call(plain) as c:
        c.invite_all()
        c.play(0, 1), c.play(1, 1)
        c.run()
        plain.engine.terminate(10)
        assert len(plain.rec_files(".wav")) == 1 and len(plain.rec_files(".json")) == 1
        w = wav.load(plain.rec_files(".wav")[0])
        led = ledger.check(ledger.parse(plain.ledgers()[0]), w.frames)
        c.verify(0, w, led), c.verify(1, w, led)


def test_paused_call_stays_paused_over_the_death_of_the_core(plain):
    sup = Supervisor(plain)
    with Call(plain) as c:
        c.invite_all()
        c.play(0, 5), c.play(1, 5)
        c.start()
        ident = listed(c)["id"]
        at(c, 1.0)
        p = plain.api.post(f"/v1/calls/{ident}/pause").json()
        paused = time.monotonic()
        sup.kill_core()
        assert listed(c)["paused"] is True
        at(c, 3.0)
        resuming = time.monotonic()
        r = plain.api.post(f"/v1/calls/{ident}/resume").json()
        c.join()
        c.bye()
        _, w, led = c.result()
        for i in (0, 1):
            index = wav.windows(w.channel(led.leg(dn=c.dns[i]).channel))
            for t, sid, n in c.sender.log:
                if sid == c.plans[i].stream_id and paused < t < resuming:
                    assert not wav.contains(index, c.plans[i].sent[n].payload), f"packet {n} leaked"
            assert led.leg(dn=c.dns[i]).total("paused") >= r["at_ticks"] - p["at_ticks"]


@pytest.mark.parametrize("after_ms", [0, 5, 30])
def test_engine_dies_while_it_seals(plain, after_ms):
    """BYE, and the engine is killed at once, a little later, and later still: sealed all the same."""
    with Call(plain) as c:
        c.invite_all()
        c.play(0, 1.5), c.play(1, 1.5)
        c.run()
        c.bye()
        killing = time.monotonic() + after_ms / 1000
        wait.until("the moment", lambda: time.monotonic() >= killing, 1, 0.001)
        plain.engine.kill9()
        plain.start_engine()
        entry, w, led = c.result(timeout_s=20)
        assert entry["state"] == "sealed" and len(plain.rec_files(".wav")) == 1 and len(plain.rec_files(".json")) == 1
        for i in (0, 1):
            c.verify(i, w, led, indices=range(73), ignore=[(0, w.frames)])


def test_invites_while_the_engine_dies(plain):
    """Each INVITE gets 200 or 503; whoever got 200 is recorded; nothing stays reserved."""
    sup = Supervisor(plain)
    calls = [Call(plain) for _ in range(12)]
    t0 = time.monotonic()
    try:
        for n, c in enumerate(calls):
            uri, headers = c.uri(0)
            d = c.ua.dialog(uri)
            c.pending = (d, c.ua.start("INVITE", uri, to=d.remote, frm=d.local, call_id=d.call_id, cseq=1,
                                       headers=headers, body=c.offer(0)))
            if n in (3, 8):
                sup.kill_engine()
            wait.until("the next", lambda: time.monotonic() > t0 + 0.12 * n, 5)
        good = []
        for c in calls:
            d, t = c.pending
            r = d.invited(t, t.final(5, retransmit=True))
            assert r.status in (200, 503), r.start
            if r.status == 200:
                c.dialogs[0], c.media[0] = d, r.sdp().address(0)
                good.append(c)
        assert good
        for c in good:
            c.play(0, 0.5)
            c.start()
        for c in good:
            c.join()
            c.bye(0)
        for c in good:
            _, w, led = c.result()
            c.verify(0, w, led)
        wait.until("nothing stays reserved", lambda: plain.api.status()["engine"].get("streams_used") == 0, 8)
    finally:
        for c in calls:
            c.close()


def random_kills(rig, count, seed, seconds):
    """Kills engine, core or both at random moments of a call; everything received is there."""
    rng = random.Random(seed)
    print(f"seed {seed}")
    sup = Supervisor(rig)
    with Call(rig) as c:
        c.invite_all()
        c.play(0, seconds), c.play(1, seconds)
        c.start()
        ident = listed(c)["id"]
        for k in range(count):
            now = time.monotonic() - c.sender.start_mono
            at(c, now + rng.uniform(0.05, max((seconds - now - 1) / (count - k) - 0.3, 0.06)))
            rng.choice((sup.kill_engine, sup.kill_core, sup.kill_both))()
        c.join()
        c.bye(retransmit=True)
        entry, w, led = c.result(timeout_s=20)
        assert entry["id"] == ident
        verify_call(c, sup, w, led)


def test_ten_random_kills(plain):
    random_kills(plain, 10, int(os.environ.get("SLR_SEED") or random.randrange(10**6)), 14)

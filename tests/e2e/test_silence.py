"""All legs silent for -t: the recorder ends the call itself. Not in hold, not in a pause."""
import threading
import time

import pytest

from lib import hep, procs, wait
from lib.call import Call

SILENCE_S = 2


@pytest.fixture
def rig(rigs):
    return rigs(engine_args=("-t", str(SILENCE_S))).start()


def talk(c, seconds=0.5):
    c.invite_all()
    c.play(0, seconds), c.play(1, seconds)
    c.run()
    return time.monotonic()


def ended_by_us(c, since, timeout_s=6):
    wait.until("BYE to both dialogs", lambda: all(d.byed() for d in c.dialogs), timeout_s)
    took = time.monotonic() - since
    e = c.entry()
    assert e["state"] == "sealed" and e["end_reason"] == "silent"
    return took


def test_bye_to_all_dialogs_when_nobody_is_heard_any_more(rig):
    with Call(rig) as c:
        assert SILENCE_S - 0.2 < ended_by_us(c, talk(c)) < SILENCE_S + 2
        _, w, led = c.result()
        c.verify(0, w, led), c.verify(1, w, led)
        assert c.dialogs[0].bye().status == 481
        assert not rig.api.calls()
        wait.until("its streams are free", lambda: rig.api.status()["engine"]["streams_used"] == 0, 5)


def test_one_voice_keeps_the_call(rig):
    with Call(rig) as c:
        c.invite_all()
        c.play(0, 0.5), c.play(1, SILENCE_S + 2)
        c.run()
        assert not any(d.byed() for d in c.dialogs)
        c.bye()
        assert c.entry()["end_reason"] == "bye"


def test_hold_and_pause_are_no_silence(rig):
    with Call(rig) as held, Call(rig) as paused:
        talk(held), talk(paused)
        for i in (0, 1):
            assert held.reinvite(i, "inactive").status == 200
        since = time.monotonic()
        ident = wait.until("listed", paused.live)["id"]
        rig.api.post(f"/v1/calls/{ident}/pause")
        wait.until("longer than -t", lambda: time.monotonic() > since + SILENCE_S + 1.5, SILENCE_S + 5)
        assert not any(d.byed() for d in held.dialogs + paused.dialogs)
        for i in (0, 1):
            assert held.reinvite(i).status == 200
        rig.api.post(f"/v1/calls/{ident}/resume")
        ended_by_us(held, time.monotonic()), ended_by_us(paused, time.monotonic())


def test_a_leg_that_falls_silent_is_told(rigs):
    rig = rigs(engine_args=("--silent-alarm", "2")).start()
    reader = hep.Reader(rig.sniffer)
    told = lambda name: lambda p: p.payload_type != 1 and f'"{name}"'.encode() in p.payload
    with Call(rig) as c:
        c.invite_all()
        c.play(0, 6), c.play(1, 6, gaps=((50, 250),))
        talker = threading.Thread(target=c.run)
        talker.start()
        since = time.monotonic()
        ev = reader.until("the alarm", told("leg_silent")).json()
        assert 1 < time.monotonic() - since < 5
        assert ev["cause"] == "no-packets" and ev["since_ms"] >= 800
        wait.until("it is counted", lambda: rig.api.metrics()["slr_silent_leg_alarms_total"] == 1, 5)
        wait.until("the core counts it", lambda: rig.api.metrics().get(
            'slr_core_silent_legs_total{cause="no-packets"}') == 1, 5)
        legs = c.live()["legs"]
        silent = [x for x in legs if "silent" in x]
        assert [(x["leg"], x["silent"], x["silent_since_ms"]) for x in silent] == \
            [(ev["leg"], "no-packets", ev["since_ms"])]
        heard = reader.until("it is heard again", told("leg_audible")).json()
        assert heard["since_ms"] == ev["since_ms"] and heard["silent_ms"] > 2000
        wait.until("no leg is silent", lambda: not any("silent" in x for x in c.live()["legs"]), 5)
        talker.join()
        c.bye()
        quality = [x["quality"] for x in c.result()[2].raw["legs"]]
        entry = c.entry()
        assert entry["alarms"] == [{"leg": ev["leg"], "cause": "no-packets", "since_ms": ev["since_ms"],
                                    "silent_ms": heard["silent_ms"]}]
        said = procs.run([procs.binary("slrctl"), "explain", entry["id"], "--api",
                          f"http://{rig.http[0]}:{rig.http[1]}"], 30).stdout
        assert "where nothing was heard for long" in said and "no packets came; heard again after" in said
    assert sorted(q["silent_alarms"] for q in quality) == [0, 1]
    assert all(q["mos"] == 4.41 and q["lost"] == 0 for q in quality)
    reader.close()

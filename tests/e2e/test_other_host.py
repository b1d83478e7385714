"""A second core that follows the engine of another host: catalogue, alarm, and what it never does."""
import pytest

from lib import wait
from lib.call import Call


def pair(rigs, args=(), engine_args=()):
    """Host a records; host b has an engine of its own and follows a's."""
    a = rigs(engine_args=engine_args).start()
    b = rigs(core_args=("--sniffer", f"127.0.0.1:{a.sniffer[1]}", "--name", "b", *args)).start()
    return a, b


def record(rig):
    with Call(rig) as c:
        c.invite_all()
        c.play(0, 0.5), c.play(1, 0.5)
        c.run()
        c.bye()
        return c, c.entry()


def at_b(b, e, state="sealed"):
    return wait.until(f"host b lists it as {state}", lambda: [
        r for r in b.api.recordings(f"?id={e['id']}") if r["state"] == state], 10)[0]


def test_recordings_of_the_other_host_are_in_the_catalogue_their_media_is_not(rigs):
    a, b = pair(rigs)
    with Call(a) as c:
        c.invite_all()
        live = wait.until("it runs", c.live)
        assert at_b(b, live, "open")["remote"] == f"127.0.0.1:{a.sniffer[1]}"
        c.play(0, 0.5), c.play(1, 0.5)
        c.run()
        c.bye()
        e = c.entry()
    r = at_b(b, e)
    assert sorted(r["dns"]) == sorted(c.dns) and r["engine"] == e["engine"] and r["call"] == e["call"]
    assert "media" not in r and b.api.recording(e["id"])["ledger"] is None
    assert "another host" in b.api.get(f"/v1/recordings/{e['id']}/media", status=404).json()["detail"]
    b.api.delete(f"/v1/recordings/{e['id']}", status=409)
    assert a.api.media(e["id"]) and not b.api.calls()
    _, own = record(b)
    assert "remote" not in own and b.api.media(own["id"])
    a.api.delete(f"/v1/recordings/{e['id']}")
    wait.until("deleted there, too", lambda: not b.api.recordings(f"?id={e['id']}"))


def test_what_happened_meanwhile_is_read_afterwards_once(rigs):
    a, b = pair(rigs)
    _, first = record(a)
    at_b(b, first)
    wait.until("acted upon", lambda: b.api.metrics()["slr_core_sniffer_events_total"] > 4)
    b.core.kill9()
    _, second = record(a)
    b.start_core()
    at_b(b, second)
    at_b(b, first)
    a.engine.kill9()
    a.start_engine()
    a.wait_core()
    _, third = record(a)
    at_b(b, third)
    assert len(b.api.recordings()) == 3


def test_a_recorder_that_falls_silent_is_told(rigs):
    a, b = pair(rigs)
    with Call(a) as c:
        c.invite_all()
        at_b(b, wait.until("it runs", c.live), "open")
        a.engine.kill9()
        wait.until("recorder_silent", lambda: b.api.metrics()["slr_core_recorder_silent_total"] == 1, 15)
        assert "recorder_silent" in b.core.log()
        a.start_engine()
        wait.until("recorder_back", lambda: "recorder_back" in b.core.log(), 10)
        c.bye()
        at_b(b, c.entry())


def test_the_own_engine_is_not_read_twice(rigs):
    a = rigs()
    a.core.argv += ["--sniffer", f"127.0.0.1:{a.sniffer[1]}"]
    a.start()
    _, e = record(a)
    assert "remote" not in a.api.recording(e["id"]) and a.api.media(e["id"])
    assert "sniffer_is_own_engine" in a.core.log() or a.api.metrics()["slr_core_sniffer_events_total"] > 0
    assert len(a.api.recordings()) == 1


@pytest.mark.parametrize("key", ["right", "wrong"])
def test_key(rigs, tmp_path, key):
    good, given = tmp_path / "good", tmp_path / "given"
    good.write_text("0123456789abcdef\n")
    given.write_text("0123456789abcdef\n" if key == "right" else "fedcba9876543210\n")
    a, b = pair(rigs, args=("--sniffer-key", str(given)), engine_args=("--sniffer-key", str(good)))
    if key == "right":
        at_b(b, record(a)[1])
    else:
        wait.until("denied", lambda: "sniffer_denied" in a.engine.log())
        record(a)
        assert b.api.metrics()["slr_core_sniffer_connects_total"] == 0 and not b.api.recordings()

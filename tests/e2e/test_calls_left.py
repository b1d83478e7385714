"""How many more calls fit is told, and a call that does not fit is refused with the reason."""
import secrets

import pytest

from lib import seam, sip, wait


def open_call(core):
    session = secrets.token_hex(16)
    core.ask("session_open", session=session, call="C", channels=2, reserve=2, digits="keep", meta={})
    for n in (0, 1):
        core.ask("leg_open", session=session, leg=f"leg{n}", channel=n, dn=str(n), family=4, hold=False, ptime_ms=20,
                 codecs=[{"pt": 8, "name": "PCMA", "clock": 8000, "ch": 1, "fmtp": ""}], source_ip="127.0.0.1",
                 source_port=4000)
    return session


def left(core):
    s = core.ask("stats")
    return s["calls_left"], s["calls_limit"], s["refusing"]


def test_as_many_as_ports_and_again_when_one_ends(rigs):
    """Eight ports, four calls; an ended one makes room."""
    rig = rigs(ports=(20000, 20015)).start()
    core = seam.Seam(rig.control, epoch=100)
    ua = sip.Ua(rig.sip)
    wait.until("it is counted", lambda: left(core) == (4, "ports", "none"), 10)
    calls = [open_call(core) for _ in range(4)]
    wait.until("none is left", lambda: left(core) == (0, "ports", "ports"), 10)
    with pytest.raises(seam.SeamError) as e:
        open_call(core)
    assert e.value.err == "FULL" and e.value.answer["text"] == "no media ports are left"
    wait.until("OPTIONS are answered 503", lambda: ua.options().status == 503, 10)
    assert rig.api.metrics()["slr_calls_left"] == 0
    core.ask("session_close", session=calls.pop(), reason="bye")
    wait.until("one fits again", lambda: left(core) == (1, "ports", "none"), 10)
    wait.until("OPTIONS are answered 200", lambda: ua.options().status == 200, 10)
    calls.append(open_call(core))
    for session in calls:
        core.ask("session_close", session=session, reason="bye")


def test_by_streams_alone_where_that_is_wanted(rigs):
    rig = rigs(ports=(20000, 20007), engine_args=("--admission", "streams"))
    rig.start_engine()
    core = seam.Seam(rig.control)
    wait.until("it is counted", lambda: left(core) == (2, "ports", "none"), 10)
    for _ in range(2):
        open_call(core)
    wait.until("none is left", lambda: left(core)[0] == 0, 10)
    assert left(core)[2] == "none"
    with pytest.raises(seam.SeamError) as e:
        open_call(core)  # the session is taken; there is no port for its leg
    assert e.value.err == "FULL"
    rig.core.terminate()
    rig.engine.terminate()


def test_an_idle_engine_has_room_for_all_of_its_streams(rigs):
    rig = rigs(engine_args=("-S", "100"))
    rig.start_engine()
    core = seam.Seam(rig.control)
    assert left(core) == (50, "-S", "none")
    by = {n: v for n, v in core.ask("stats")["counters"].items() if n.startswith("slr_calls_left")}
    assert by["slr_calls_left"] == by['slr_calls_left_by{limit="-S"}'] == 50 and len(by) == 7
    rig.core.terminate()
    rig.engine.terminate()

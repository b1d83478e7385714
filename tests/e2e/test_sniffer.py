"""The virtual sniffer: HEP v3 over TCP to readers of our own, pushed HEP over UDP."""
import socket
import time

import pytest

from lib import hep, wait
from lib.call import Call


@pytest.fixture
def rig(rigs):
    return rigs(capture="uring").start()


def events(reader):
    return [p.json() for p in reader.got if p.payload_type != 1 and p.payload[:1] == b"{"]


def sip_of(reader):
    return [p for p in reader.got if p.payload_type == 1]


def short_call(rig, digits=""):
    with Call(rig) as c:
        c.invite_all()
        c.play(0, 2.5 if digits else 0.5, digits=digits), c.play(1, 0.5)
        c.run()
        c.bye()
        return c, c.entry()


def is_sealed(e):
    return lambda p: p.payload_type != 1 and b'"sealed"' in p.payload and e["id"].encode() in p.payload


def test_reader_sees_pseudo_sip_and_numbered_events(rig):
    r = hep.Reader(rig.sniffer)
    c, e = short_call(rig)
    r.until("the event sealed", is_sealed(e))
    calls = [p.payload.split(b"\r\n", 1)[0] for p in sip_of(r)]
    assert any(x.startswith(b"INVITE ") for x in calls)
    assert any(x.startswith(b"SIP/2.0 200") for x in calls)
    wait.until("BYE", lambda: any(p.payload.startswith(b"BYE ") for p in sip_of(r)) or not r.next(0.5), 5)
    assert any(p.payload.startswith(b"BYE ") for p in sip_of(r))
    assert len({p.correlation for p in sip_of(r)}) == 1 and sip_of(r)[0].correlation
    names = [x["ev"] for x in events(r) if "ev" in x]
    for want in ("session_open", "leg_open", "leg_heard", "sealed"):
        assert want in names
    numbers = [x["n"] for x in events(r) if x.get("n")]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "holes in the numbers"
    assert all(p.name for p in r.got)
    assert any(c.dns[0].encode() in p.payload for p in r.got)
    r.close()


def test_every_reader_gets_every_event_and_backlog_after_a_break(rig):
    a, b = hep.Reader(rig.sniffer, "one"), hep.Reader(rig.sniffer, "two")
    _, e1 = short_call(rig)
    for r in (a, b):
        r.until("first call", is_sealed(e1))
    last = max(x["n"] for x in events(a) if x.get("n"))
    a.ack(last)
    a.close()
    _, e2 = short_call(rig)
    b.until("second call", is_sealed(e2))
    again = hep.Reader(rig.sniffer, "one", resume_after=last)
    again.until("what happened meanwhile", is_sealed(e2))
    numbers = [x["n"] for x in events(again) if x.get("n")]
    assert numbers[0] == last + 1 and numbers == list(range(last + 1, last + 1 + len(numbers)))
    assert {x["n"]: x["ev"] for x in events(again) if x.get("n")}.items() <= {
        x["n"]: x["ev"] for x in events(b) if x.get("n")}.items()
    b.close(), again.close()


def test_events_survive_the_engine(rig):
    _, e = short_call(rig)
    rig.engine.kill9()
    rig.start_engine()
    r = hep.Reader(rig.sniffer, resume_after=0)
    r.until("the old event", is_sealed(e))
    r.until("the new start", lambda p: b'"engine_start"' in p.payload and p.payload_type != 1 and
            p.json()["n"] > 1)
    r.close()


def test_pings_while_a_recording_runs(rig):
    r = hep.Reader(rig.sniffer)
    with Call(rig) as c:
        c.invite_all()
        r.until("a ping", lambda p: b"ping" in p.payload, 12)
        c.bye()
        c.entry()
    r.close()


def test_no_digits_keys_or_passwords(rig):
    r = hep.Reader(rig.sniffer)
    _, e = short_call(rig, digits="97")
    r.until("sealed", is_sealed(e))
    for p in events(r):
        assert "digits" not in p and "digit" not in p, p
    r.close()


def test_a_slow_reader_never_disturbs(rig):
    """It connects and never reads; the recorder goes on."""
    s = socket.create_connection(rig.sniffer)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    s.sendall(hep.build([(0, 1, b"\2"), (0, 2, b"\6"), (0, 0x0B, b"\x64"), (0, 0x13, b"slow"),
                         (0, 0x0F, b'{"resume_after":0}')]))
    for _ in range(3):
        c, e = short_call(rig)
        assert e["state"] == "sealed"
    s.close()


def test_hep_send_udp_is_strict_hep(rigs):
    sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sink.bind(("127.0.0.1", 0))
    sink.settimeout(5)
    rig = rigs(engine_args=("--hep-send", f"udp:127.0.0.1:{sink.getsockname()[1]}")).start()
    _, e = short_call(rig)
    got, end = [], time.monotonic() + 8
    while time.monotonic() < end and not any(p.payload.startswith(b"BYE ") for p in got):
        p = hep.parse(sink.recv(65536))
        got.append(p)
        assert p.get(1) in (b"\2", b"\x0a") and p.get(0x0B)
        if p.payload_type == 1:
            assert len(p.get(7)) == 2 and len(p.get(8)) == 2 and (p.get(3) or p.get(5))
    kinds = {p.payload.split(b" ", 1)[0] for p in got if p.payload_type == 1}
    assert {b"INVITE", b"SIP/2.0", b"BYE"} <= kinds
    sink.close()


def test_hep_send_tcp_reconnects(rigs):
    server = socket.create_server(("127.0.0.1", 9061))
    server.settimeout(10)
    rig = rigs(engine_args=("--hep-send", "tcp:127.0.0.1:9061")).start()
    for _ in range(2):
        c, e = short_call(rig)
        conn, _ = server.accept()
        conn.settimeout(5)
        data = b""
        while b"INVITE " not in data:
            data += conn.recv(65536)
        assert data[:4] == b"HEP3"
        conn.close()
    server.close()


def test_not_beyond_loopback_without_key(rigs):
    """--sniffer-bind to another address needs TLS and a reader key, or a clear refusal."""
    from lib import procs
    rig = rigs(engine_args=("--sniffer-bind", "0.0.0.0"))
    rig.engine.start()
    wait.until("slr refuses to start", lambda: not rig.engine.alive(), 5)
    assert rig.engine.child.returncode not in (0, None)
    rig.engine.expected_exit = True
    assert "sniffer" in rig.engine.log().lower()
    assert not procs.BAD_LOG.search(rig.engine.log())

"""Which addresses and ports legs are given: several media addresses, with and without RTCP."""
import secrets
import socket

import pytest

from lib import procs, rtp, seam, wait

PCMA = [{"pt": 8, "name": "PCMA", "clock": 8000, "ch": 1, "fmtp": ""}]


def start(*args, capture="uring", ports=None):
    if procs.missing("slr"):
        pytest.skip("slr is not built")
    rig = procs.Rig(capture=capture, ports=ports, engine_args=args)
    rig.start_engine()
    return rig


def open_legs(core, count):
    """Sessions of one leg each: [(session, ip, port, rtcp_port)]."""
    out = []
    for _ in range(count):
        sid = secrets.token_hex(16)
        core.ask("session_open", session=sid, call="C" + sid[:8], channels=1, reserve=1, digits="keep", meta={})
        a = core.ask("leg_open", session=sid, leg="leg", channel=0, dn="1", codecs=PCMA, source_ip="", source_port=0,
                     family=4, hold=False, ptime_ms=20)
        out.append((sid, a["ip"], a["port"], a["rtcp_port"]))
    return out


def bindable(ip, port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.bind((ip, port))
            return True
        except OSError:
            return False


@pytest.mark.parametrize("capture", ["uring", "socket", "shared", "xdp"])
def test_addresses_take_turns_and_give_way_when_full(capture):
    """Two addresses with four pairs of ports each: eight legs, not one more; closed ports are free again."""
    rig = start("--media-ip", "127.0.0.2", capture=capture, ports=(20000, 20007))
    failed = True
    try:
        core = seam.Seam(rig.control)
        legs = open_legs(core, 8)
        assert len({(ip, port) for _, ip, port, _ in legs}) == 8
        for ip in ("127.0.0.1", "127.0.0.2"):
            assert sorted(p for _, i, p, _ in legs if i == ip) == [20000, 20002, 20004, 20006]
        assert [ip for _, ip, _, _ in legs[:2]] == ["127.0.0.1", "127.0.0.2"]
        assert all(rtcp == port + 1 and not bindable(ip, port) and not bindable(ip, rtcp) for _, ip, port, rtcp in legs)
        with pytest.raises(seam.SeamError):
            open_legs(core, 1)
        sid, ip, port, rtcp = legs[5]
        core.ask("session_close", session=sid, reason="bye")
        assert bindable(ip, port) and bindable(ip, rtcp)
        assert open_legs(core, 1)[0][1:3] == (ip, port)
        rig.engine.terminate()
        rig.engine.check()
        failed = False
    finally:
        rig.close(failed)


def test_no_rtcp_ports():
    """--rtcp never: the answer says 0, the odd port is nobody's, and RTCP on the RTP port is read as ever."""
    rig = start("--rtcp", "never")
    failed = True
    try:
        core = seam.Seam(rig.control)
        (sid, ip, port, rtcp), = open_legs(core, 1)
        assert rtcp == 0 and not bindable(ip, port) and bindable(ip, port + 1)
        sender = rtp.Sender()
        source = sender.bind()
        sender.socket(source).sendto(rtp.sender_report(0x7777, 1e9, 0, 1, 1), (ip, port))
        wait.until("the sender report is counted",
                   lambda: core.ask("stats")["counters"]['slr_packets_total{verdict="rtcp"}'] == 1)
        core.ask("session_close", session=sid, reason="bye")
        sender.close()
        rig.engine.terminate()
        rig.engine.check()
        failed = False
    finally:
        rig.close(failed)

"""Malformed, truncated and oversized input on every door while a call runs: a clear answer or a
counter, and the call is recorded to the last sample as if nothing had been."""
import json
import os
import random
import socket
import struct
import time

import pytest

from lib import hep, ledger, rtp, seam, sip, wait
from lib.call import Call

SEED = 4242


@pytest.fixture(params=["socket", "uring"])
def rig(request, rigs):
    return rigs(capture=request.param).start()


@pytest.fixture
def intact(rig):
    """A call that runs during the test and must come out whole."""
    with Call(rig) as c:
        c.invite_all()
        c.play(0, 3, start_s=0.1), c.play(1, 3, start_s=0.1)
        c.start()
        wait.until("media flows", lambda: len(c.sender.log) > 50)
        yield c
        c.join()
        assert c.ua.options().status == 200
        c.bye()
        _, w, led = c.result()
        for i in (0, 1):
            c.verify(i, w, led)
            assert led.leg(dn=c.dns[i]).count("placed") == len(c.plans[i].sent)
        rig.check()


def mutate(rng, raw):
    """A few random damages."""
    b = bytearray(raw)
    for _ in range(rng.randrange(1, 6)):
        kind = rng.randrange(5)
        at = rng.randrange(len(b) + 1)
        if kind == 0 and b:
            b[at - 1] = rng.randrange(256)
        elif kind == 1:
            del b[at:]
        elif kind == 2:
            b[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 40)))
        elif kind == 3:
            b[at:at] = b"A" * rng.randrange(1, 3000)
        else:
            end = min(len(b), at + rng.randrange(60))
            b[at:at] = b[at:end]
    return bytes(b)


def samples_of_sip(rig):
    u = sip.Ua(rig.sip)
    out = []
    u.send_raw = out.append
    host = f"{rig.sip[0]}:{rig.sip[1]}"
    body = sip.offer([sip.M(4000)])
    multi_type, multi = sip.multipart([("application/sdp", body), ("application/rs-metadata+xml", sip.metadata(),
                                                                   "Content-Disposition: recording-session")])
    common = dict(to=f"<sip:{host}>", frm="<sip:a@b>;tag=1", cseq=1)
    for n in range(40):
        u.start("INVITE", f"sip:record=M{n}@{host};dn=1;recordDN=1", call_id=f"m{n}", body=body, **common)
        u.start("INVITE", f"sip:srs@{host}", call_id=f"s{n}", body=multi, ctype=multi_type,
                headers=["Require: siprec"], **common)
        u.start("OPTIONS", f"sip:{host}", call_id=f"o{n}", **common)
        u.start("BYE", f"sip:{host}", call_id=f"b{n}", **common)
    u.close()
    return out


def test_sip_over_udp(rig, intact):
    rng = random.Random(SEED)
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setblocking(False)
    fixed = [b"", b"\0", b"\r\n\r\n", b"INVITE", b"A" * 60000, b"INVITE sip:x SIP/2.0\r\n\r\n", bytes(range(256)) * 20,
             b"SIP/2.0 200 OK\r\n\r\n", b"OPTIONS sip:a@b SIP/7.0\r\nVia: x\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"]
    for raw in fixed + [mutate(rng, m) for m in samples_of_sip(rig)]:
        s.sendto(raw[:65000], rig.sip)
        try:
            while s.recv(65536):
                pass
        except BlockingIOError:
            pass
    assert intact.ua.options().status == 200
    s.close()


def test_sip_over_tcp(rig, intact):
    rng = random.Random(SEED + 1)
    for raw in [b"\0" * 100, b"A" * 200000, b"INVITE sip:x SIP/2.0\r\nContent-Length: 99999999\r\n\r\n",
                b"\x16\x03\x01\x02\0", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                *[mutate(rng, m) for m in samples_of_sip(rig)[:40]]]:
        with socket.create_connection(rig.sip, timeout=2) as s:
            try:
                s.sendall(raw)
            except OSError:
                continue
    idle = [socket.create_connection(rig.sip, timeout=2) for _ in range(20)]
    t = time.monotonic()
    assert intact.ua.options().status == 200 and time.monotonic() - t < 0.5
    for s in idle:
        s.close()


def test_connections_that_nothing_comes_from_are_closed(rigs):
    """The stack reads no further where data was no SIP, and never hears that the peer is gone; a call
    whose connection was closed goes on."""
    rig = rigs(core_args=("--sip-tcp-idle", "1")).start()
    rig.api.status()
    files = lambda: len(os.listdir(f"/proc/{rig.core.pid}/fd"))
    before = files()
    rubbish = [b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n{", b"HEP3\xff\xff" + bytes(range(128, 256))]
    held = []
    with Call(rig, legs=1, transport="tcp") as c:
        c.invite_all()
        for i in range(30):
            s = socket.create_connection(rig.sip, timeout=5)
            s.sendall(rubbish[i % 2])
            held.append(s) if i < 15 else s.close()
        wait.until("all are closed", lambda: files() <= before, 10)
        c.ua.reconnect()
        assert c.ua.options().status == 200
        c.bye()
        c.entry()
    for s in held:
        s.close()


def test_known_killers_of_sip_libraries(rig, intact):
    """Bodies that hang or abort other parsers: one datagram each."""
    host = f"{rig.sip[0]}:{rig.sip[1]}"
    head = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    for n, m in enumerate(("m=audio 49217 RTP/AVP 0 ,8", "m=audio 49217 RTP/AVP 0 =8", "m=audio 49217 RTP//AVP 8",
                           "m=audio 4000 RTP/AVP " + "8 " * 5000, "m=audio 4000/99999 RTP/AVP 8",
                           "\r\n".join(["m=audio 4000 RTP/AVP 8"] * 500))):
        _, r = intact.ua.invite(f"sip:record=K{n}@{host};dn=9;recordDN=9", (head + m + "\r\n").encode())
        assert r.status < 600
        if r.status == 200:
            intact.ua.stray(0.05)
    for n, body in enumerate((b"--b1\r\nno colon here\r\n\r\nx\r\n--b1--", b"--b1\r\n\r\n--b1--", b"--b1--", b"",
                              b"--b1\r\nContent-Type\r\n:\r\n\r\n\r\n--b1\r\n\0\r\n--b1--")):
        _, r = intact.ua.invite(f"sip:srs@{host}", body or b"x", ctype="multipart/mixed;boundary=b1")
        # A multipart body without SDP may count as an INVITE without offer: then we offer.
        assert 400 <= r.status < 500 or r.status == 200 and r.sdp().media, (n, r.start)
    _, r = intact.ua.invite(f"sip:srs@{host}", b"x", ctype="multipart/mixed")
    assert 400 <= r.status < 500


def test_oversized_body_is_refused(rig, intact):
    u = sip.Ua(rig.sip, "tcp")
    host = f"{rig.sip[0]}:{rig.sip[1]}"
    big = sip.offer([sip.M(4000, extra=tuple(f"a=x-{i}:{'y' * 60}" for i in range(2500)))])
    try:
        _, r = u.invite(f"sip:record=BIG@{host};dn=1;recordDN=1", big)
        assert 400 <= r.status < 600
    except (sip.NoAnswer, OSError):
        pass  # closing the connection is clear enough
    assert intact.ua.options().status == 200
    u.close()


def test_rtp_and_rtcp(rig, intact):
    """Damage from strangers, and from the peer's own address between its good packets."""
    rng = random.Random(SEED + 2)
    c = intact
    own = c.sender.socks[c.sources[0]]
    stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    stranger.bind(("127.0.0.5", 0))
    good = c.plans[0].sent[0].raw
    damaged = [b"", b"\x80", good[:11], b"\0" * 200, b"\xff" * 200, good[:12], bytes([0x8F]) + good[1:20],
               bytes([0xA0]) + good[1:-1] + b"\xff", bytes([0x90]) + good[1:12] + b"\xbe\xde\xff\xff",
               good[:1] + bytes([127]) + good[2:], good + b"\0" * 40000]
    for raw in damaged:
        for port in (c.media[0][1], c.media[0][1] + 1):
            own.sendto(raw[:65000], (c.media[0][0], port))
            stranger.sendto(raw[:65000], (c.media[0][0], port))
    for n in range(300):
        foreign = rtp.packet(8, n, n * 160, 0xBAD, rtp.mark("stranger", n * 160, 160))
        stranger.sendto(foreign, c.media[n % 2])
        own.sendto(mutate(rng, b"\x80\xc8\0\6" + bytes(24))[:60000], (c.media[0][0], c.media[0][1] + 1))
    stranger.close()
    def told():
        m = rig.api.metrics()
        return all(m.get(f'slr_packets_total{{verdict="{v}"}}') for v in (
            "malformed", "unknown_payload_type", "rtcp_malformed", "foreign_source"))
    wait.until("counters tell of the damage", told, 5, 0.2)


def test_http(rig, intact):
    rng = random.Random(SEED + 3)
    base = b"GET /v1/recordings?dn=1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    fixed = [b"\0\0\0", b"GET " + b"/" * 100000 + b" HTTP/1.1\r\n\r\n", b"POST /v1/calls/x/pause HTTP/1.1\r\n"
             b"Host: 127.0.0.1\r\nContent-Length: -5\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
             b"POST /v1/calls/x/pause HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
             b"Content-Length: 100000000\r\n\r\n{", b"GET /v1/recordings/%00%ff%2e%2e%2f/media HTTP/1.1\r\n"
             b"Host: 127.0.0.1\r\n\r\n", b"GET /v1/recordings/../../../../etc/passwd HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"]
    for raw in fixed + [mutate(rng, base) for _ in range(60)]:
        with socket.create_connection(rig.http, timeout=2) as s:
            try:
                s.sendall(raw)
                s.shutdown(socket.SHUT_WR)
                answer = s.recv(65536)
                assert not answer or not answer.startswith((b"HTTP/1.1 500", b"HTTP/1.1 503")), (raw[:80], answer[:200])
                assert b"root:" not in answer
            except OSError:
                continue
    assert rig.api.status()["version"]


def test_hep_port(rig, intact):
    rng = random.Random(SEED + 4)
    base = hep.build([(0, 1, b"\2"), (0, 2, b"\6"), (0, 0x0B, b"\x64"), (0, 0x13, b"x"),
                      (0, 0x0F, b'{"resume_after":0}')])
    fixed = [b"", b"HEP3", b"HEP3\0\0", b"HEP3\xff\xff" + bytes(70000), b"HEP3\0\x0c\0\0\0\1\0\0", b"GET / HTTP/1.1\r\n",
             hep.build([(0, 0x0F, b'{"resume_after":"x"}')]), hep.build([(0, 0x0F, b"[" * 30000)])]
    for raw in fixed + [mutate(rng, base) for _ in range(60)]:
        with socket.create_connection(rig.sniffer, timeout=2) as s:
            try:
                s.sendall(raw)
            except OSError:
                continue
    r = hep.Reader(rig.sniffer)
    assert r.next(5) is not None, "a well-behaved reader is served after all that"
    r.close()


def test_seam(rig, intact):
    """Strangers (same user) on the control socket send damage; the core's connection goes on."""
    rng = random.Random(SEED + 5)
    base = json.dumps({"cmd": "hello", "id": "x", "epoch": 0, "core": "evil", "proto": 1}).encode()
    frames = [b"\0\0\0\0", b"\xff\xff\xff\xff" + b"x", struct.pack(">I", 5) + b"{bad}", struct.pack(">I", 2) + b"[]",
              struct.pack(">I", 20) + b"{}", struct.pack(">I", 60000) + b"[" * 60000,
              *[struct.pack(">I", len(m)) + m for m in (mutate(rng, base) for _ in range(60)) if m]]
    for raw in frames:
        with wait.until("a place in the queue", lambda: seam.connect(rig.control), 5) as s:
            try:
                s.sendall(raw)
            except OSError:
                continue
    assert os.stat(rig.control).st_mode & 0o777 == 0o600
    c = seam.Seam(rig.control, hello=False)
    for fields in (dict(cmd="nonsense"), dict(cmd="session_open"), dict(cmd="session_open", session="../../etc"),
                   dict(cmd="leg_open", session="0" * 32, leg="x" * 500, channel=-1, codecs="no")):
        cmd = fields.pop("cmd")
        with pytest.raises(seam.SeamError):
            c.ask(cmd, epoch=1, **fields)
    c.close()
    assert intact.live() is not None

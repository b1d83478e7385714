"""Self tests of the test library: what the other tests conclude from must itself be right."""
import random
import struct
import subprocess
import shutil

import pytest

from lib import hep, ledger, pcap, rtp, sip, wav


def wav_bytes(tag, channels, rate, data):
    width = 2 if tag == wav.PCM else 1
    fmt = struct.pack("<HHIIHH", tag, channels, rate, rate * channels * width, channels * width, 8 * width)
    fact = b""
    if tag != wav.PCM:
        fmt += b"\0\0"
        fact = b"fact" + struct.pack("<II", 4, len(data) // channels)
    body = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + fact + b"data" + struct.pack("<I", len(data)) + data
    body += b"\0" * (len(data) & 1)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def stereo(left, right):
    return bytes(x for pair in zip(left, right) for x in pair)


def test_wav_channels_and_verdicts():
    p = rtp.plan("a", packets=50)
    n = 50 * 160 + 400
    left = bytearray(b"\xd5" * n)
    for ts, payload in p.truth():
        left[200 + ts : 200 + ts + 160] = payload
    w = wav.parse(wav_bytes(wav.ALAW, 2, 8000, stereo(left, b"\xd5" * n)))
    assert w.frames == n and w.channel(0) == bytes(left)
    v = wav.compare(w, 0, p.truth())
    assert v.ok and v.offset == 200 and v.good == 8000
    left[300] ^= 1
    v = wav.compare(wav.parse(wav_bytes(wav.ALAW, 2, 8000, stereo(left, b"\xd5" * n))), 0, p.truth())
    assert not v.ok and [i for i, _ in v.wrong] == [0] and v.offset == 200


def test_wav_verdict_sees_shift_stray_and_missing():
    p = rtp.plan("b", packets=10)
    body = bytearray(b"\xd5" * 160) + b"".join(x for _, x in p.truth()) + b"\xd5" * 160
    shifted = body[:800] + b"\xd5" + body[800:]
    w = wav.parse(wav_bytes(wav.ALAW, 1, 8000, bytes(shifted)))
    assert wav.compare(w, 0, p.truth()).wrong
    noisy = bytearray(body)
    noisy[10] = 0x12
    assert wav.compare(wav.parse(wav_bytes(wav.ALAW, 1, 8000, bytes(noisy))), 0, p.truth()).stray == [(0, 160)]
    short = bytes(body[: 160 + 9 * 160])
    assert wav.compare(wav.parse(wav_bytes(wav.ALAW, 1, 8000, short)), 0, p.truth()).missing == [9]


def test_wav_pcm_conversion_agrees_with_sox(tmp_path):
    if not shutil.which("sox"):
        pytest.skip("sox is not installed")
    for tag, name in ((wav.ALAW, "al"), (wav.ULAW, "ul")):
        raw = bytes(range(256))
        (tmp_path / f"x.{name}").write_bytes(raw)
        subprocess.run(["sox", "-t", name, "-r", "8000", "-c", "1", str(tmp_path / f"x.{name}"),
                        "-t", "s16", str(tmp_path / "out")], check=True)
        assert (tmp_path / "out").read_bytes() == wav.to_pcm(raw, tag)


def test_wav_rejects_damage():
    good = wav_bytes(wav.ALAW, 2, 8000, bytes(200))
    wav.parse(good)
    for bad in (good[:-1], b"RIFX" + good[4:], good[:4] + b"\1\0\0\0" + good[8:]):
        with pytest.raises(wav.WavError):
            wav.parse(bad)


def test_marks_identify_stream_and_position():
    assert rtp.mark("s", 1000, 500) == rtp.mark("s", 0, 2000)[1000:1500]
    assert rtp.mark("s", 4090, 20) == rtp.mark("s", 4000, 200)[90:110]
    index = wav.windows(rtp.mark("s", 0, 8000))
    assert wav.contains(index, rtp.mark("s", 160, 160)) == 13
    assert wav.contains(index, rtp.mark("t", 160, 160)) == 0


def test_plan_impairments_are_counted():
    p = rtp.plan("imp", packets=2000, loss=0.01, reorder=0.05, duplicate=0.02, jitter_s=0.1,
                 rng=random.Random(7))
    assert 5 < len(p.lost()) < 50 and 15 < p.duplicates() < 80 and p.reordered() > 100
    assert [t for t, _ in p.schedule] == sorted(t for t, _ in p.schedule)
    assert len(p.truth()) == 2000 - len(p.lost())
    clean = rtp.plan("clean", packets=100)
    assert not clean.lost() and not clean.duplicates() and not clean.reordered()


def test_plan_events_and_rtp_round_trip():
    p = rtp.plan("dtmf", seconds=4, digits="1#", digit_pt=96)
    events = [rtp.parse(s.raw) for s in p.sent if s.event]
    assert {e.pt for e in events} == {96} and {e.payload[0] for e in events} == {1, 11}
    assert sum(e.marker for e in events) == 2 and len({e.ts for e in events}) == 2
    raw = rtp.packet(8, 65536 + 5, 9, 7, b"abc", csrc=(1, 2), ext=b"\x10\0\0\0", padding=4)
    h = rtp.parse(raw)
    assert (h.pt, h.seq, h.ts, h.ssrc, h.payload) == (8, 5, 9, 7, b"abc")
    assert rtp.parse(rtp.sender_report(1, 5.5, 7, 1, 1)) is None


@pytest.mark.parametrize("ext", ["pcap", "pcapng"])
@pytest.mark.parametrize("linktype", [pcap.ETHERNET, pcap.SLL, pcap.SLL2, pcap.RAW, pcap.NULL])
@pytest.mark.parametrize("ips", [("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2")])
def test_pcap_round_trip(tmp_path, ext, linktype, ips):
    path = tmp_path / f"x.{ext}"
    big = bytes(range(256)) * 10
    with pcap.Writer(path, linktype) as w:
        w.udp(1_000_000_001_000, (ips[0], 1000), (ips[1], 2000), b"one", vlan=(5,))
        assert w.udp(1_000_000_002_000, (ips[0], 1001), (ips[1], 2001), big, mtu=600, shuffle=[2, 0, 4, 1, 3, 5]) > 3
    got = list(pcap.datagrams(path))
    assert [(d.time_ns, d.src[1], d.dst, d.payload) for d in got] == [
        (1_000_000_001_000, 1000, (ips[1], 2000), b"one"), (1_000_000_002_000, 1001, (ips[1], 2001), big)]
    assert got[0].vlan == (5 if linktype == pcap.ETHERNET else 0)


def test_pcap_agrees_with_tshark(tmp_path):
    if not shutil.which("tshark"):
        pytest.skip("tshark is not installed")
    path = tmp_path / "x.pcap"
    with pcap.Writer(path, pcap.ETHERNET, nano=True) as w:
        w.udp(1, ("10.0.0.1", 1000), ("10.0.0.2", 2000), bytes(3000), vlan=(7,), mtu=1500)
        w.tcp(2, ("10.0.0.1", 1000), ("10.0.0.2", 2000), 1, b"hello")
    out = subprocess.run(["tshark", "-r", str(path), "-o", "udp.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE",
                          "-T", "fields", "-e", "udp.length", "-e", "udp.checksum.status", "-e",
                          "tcp.checksum.status"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                         check=True).stdout.splitlines()
    assert [x.strip() for x in out if x.strip()] == ["3008\t1", "1"]


def test_hep_round_trip_and_strictness():
    raw = hep.build([(0, 1, b"\2"), (0, 0x0B, b"\1"), (8, 0x28, b"x"), (0, 0x0F, b"INVITE")])
    p = hep.parse(raw)
    assert p.payload == b"INVITE" and p.payload_type == 1 and p.chunks[(8, 0x28)] == b"x"
    for bad in (raw[:-1], raw + b"x", raw[:10] + b"\0\3" + raw[12:]):
        with pytest.raises(hep.HepError):
            hep.parse(bad)


def test_sip_message_and_sdp():
    body = sip.offer([sip.M(4000, label=1), sip.M(4002, codecs=((0, "PCMU/8000"),), direction="inactive")])
    raw = (b"SIP/2.0 200 OK\r\nv: SIP/2.0/UDP a;branch=z9hG4bKx\r\nTo: <sip:a@b>\r\n ;tag=7\r\n"
           b"CSeq: 3 INVITE\r\nm: <sip:x@y;transport=tcp>;+sip.srs\r\n\r\n" + body)
    m = sip.parse(raw)
    assert (m.status, m.branch, m.to_tag, m.cseq) == (200, "z9hG4bKx", "7", (3, "INVITE"))
    assert m.contact_uri() == "sip:x@y;transport=tcp"
    s = m.sdp()
    assert [x.direction for x in s.media] == ["sendonly", "inactive"] and s.media[0].attr("label") == "1"
    assert s.address(0) == ("127.0.0.1", 4000) and s.version == 1


def test_ua_against_ua():
    server = sip.Ua(("127.0.0.1", 9), auto_answer=True)
    client = sip.Ua(server.local)
    server.remote = client.local
    d, r = client.invite("sip:record=1@x;dn=2", sip.offer([sip.M(4000)]))
    assert r.status == 200 and [m.method for m in server.requests][0] == "INVITE"
    assert d.bye().status == 200 and client.options().status == 200
    server.auto = False
    with pytest.raises(sip.NoAnswer):
        client.request("OPTIONS", timeout_s=0.7, retransmit=True)
    assert sum(m.method == "OPTIONS" for m in server.requests) == 3
    client.close()
    server.close()


def test_ledger_check_finds_holes():
    def made(spans, length=100):
        stream = dict(packets=3, placed=2, duplicate=1, late=0, suppressed=0, rejected=0)
        return ledger.parse({"len_ticks": length, "ticks_hz": ledger.TICKS, "legs": [
            {"channel": 0, "dn": "1", "streams": [stream], "spans": [
            {"kind": k, "start_ticks": a, "len_ticks": n} for k, a, n in spans]}]})
    ledger.check(made([("absent", 0, 40), ("received", 40, 60)]))
    for bad in ([("absent", 0, 40), ("received", 41, 59)], [("absent", 0, 40)], [("absent", 0, 101)],
                [("nonsense", 0, 100)], [("absent", 0, 0), ("received", 0, 100)]):
        with pytest.raises(AssertionError):
            ledger.check(made(bad))


def test_sender_keeps_the_schedule():
    import socket
    sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sink.bind(("127.0.0.1", 0))
    sink.settimeout(2)
    p = rtp.plan("pace", packets=20)
    s = rtp.Sender().add(p, sink.getsockname()).start()
    got = [rtp.parse(sink.recv(2000)).payload for _ in range(20)]
    s.join()
    assert got == [x.payload for x in p.sent] and len(s.log) == 20
    assert s.log[-1][0] - s.log[0][0] >= 0.37
    s.close()
    sink.close()

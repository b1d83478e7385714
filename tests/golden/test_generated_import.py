"""Generated captures with SIP and RTP through `slrctl import`. These always run."""
import base64

import pytest

from lib import ledger, passive, pcap, procs, rtp, sip, srtp, wav

T0 = 1_700_000_000_000_000_000
A, B, PROXY = "10.2.0.1", "10.2.0.2", "10.2.0.9"


def message(start, call_id, cseq, body=b"", to_tag="", user=("1001", "2002"), extra=()):
    lines = [start, f"Via: SIP/2.0/UDP {A}:5060;branch=z9hG4bK{call_id}{cseq.split()[0]}",
             f"From: <sip:{user[0]}@x>;tag=f1", f"To: <sip:{user[1]}@x>{';tag=' + to_tag if to_tag else ''}",
             f"Call-ID: {call_id}", f"CSeq: {cseq}", f"Contact: <sip:{user[0]}@{A}>", *extra]
    if body:
        lines.append("Content-Type: application/sdp")
    lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


class Capture:
    """Items of a capture, in seconds from the start."""

    def __init__(self):
        self.items = []

    def sip(self, at_s, src, dst, raw):
        self.items.append((T0 + int(at_s * 1e9), (src, 5060), (dst, 5060), raw))

    def call(self, at_s, call_id, media_a, media_b, seconds, hops=((A, B),), bye=True):
        offer = sip.offer([sip.M(media_a[1], ip=media_a[0], direction="sendrecv")], ip=media_a[0])
        answer = sip.offer([sip.M(media_b[1], ip=media_b[0], direction="sendrecv")], ip=media_b[0])
        for n, (x, y) in enumerate(hops):
            t = at_s + n * 0.002
            self.sip(t, x, y, message(f"INVITE sip:2002@{y} SIP/2.0", call_id, "1 INVITE", offer))
            self.sip(t + 0.5, y, x, message("SIP/2.0 180 Ringing", call_id, "1 INVITE", to_tag="t1"))
            self.sip(t + 1.0 - 2 * n * 0.002, y, x, message("SIP/2.0 200 OK", call_id, "1 INVITE", answer, "t1"))
            self.sip(t + 1.01, x, y, message(f"ACK sip:2002@{y} SIP/2.0", call_id, "1 ACK", to_tag="t1"))
            if bye:
                self.sip(t + 1.2 + seconds, x, y, message(f"BYE sip:2002@{y} SIP/2.0", call_id, "2 BYE", to_tag="t1"))
                self.sip(t + 1.21 + seconds, y, x, message("SIP/2.0 200 OK", call_id, "2 BYE", to_tag="t1"))

    def rtp(self, at_s, plan, src, dst):
        self.items += pcap.plan_items(plan, src, dst, T0 + int(at_s * 1e9))

    def write(self, path, **kw):
        pcap.write(path, self.items, **kw)
        return path


MA, MB = (A, 4000), (B, 5000)


def check(result, plans, digits=""):
    assert len(result.recordings) == 1, result.lines
    r = result.recordings[0]
    assert r.wav.channels == 2 and len(r.ledger.legs) == 2
    for n, p in enumerate(plans):
        leg = r.ledger.leg(channel=n)
        assert p.ssrc in leg.ssrcs
        assert wav.compare(r.wav, n, p.truth()).ok
    assert r.ledger.digits == digits
    return r


def test_one_call_with_digits(tmp_path):
    c, a, b = Capture(), rtp.plan("ia", 5, digits="42"), rtp.plan("ib", 5, start_s=0.3)
    c.call(0, "one", MA, MB, 6)
    c.rtp(1.05, a, MA, MB), c.rtp(1.05, b, MB, MA)
    result = passive.imported(c.write(tmp_path / "c.pcap"))
    r = check(result, (a, b), "42")
    va, vb = wav.compare(r.wav, 0, a.truth()), wav.compare(r.wav, 1, b.truth())
    assert vb.offset - va.offset == 2400
    line = result.lines[0]
    assert line["state"] == "sealed" and line["id"] == r.ledger.raw["recording"]
    assert {x.dn for x in r.ledger.legs} == {"1001", "2002"}


def test_channel_0_is_the_sender_of_the_invite_also_when_it_talks_last(tmp_path):
    c, a, b = Capture(), rtp.plan("la", 2, start_s=2), rtp.plan("lb", 4)
    c.call(0, "last", MA, MB, 6)
    c.rtp(1.05, a, MA, MB), c.rtp(1.05, b, MB, MA)
    check(passive.imported(c.write(tmp_path / "c.pcap")), (a, b))


def test_two_hops_of_one_call_id_are_one_call_and_a_refused_one_is_none(tmp_path):
    c, a, b = Capture(), rtp.plan("ha", 3), rtp.plan("hb", 3)
    c.sip(0, A, B, message(f"INVITE sip:2002@{B} SIP/2.0", "refused", "1 INVITE",
                           sip.offer([sip.M(7000, ip=A)], ip=A)))
    c.sip(0.1, B, A, message("SIP/2.0 603 Decline", "refused", "1 INVITE", to_tag="x"))
    c.call(1, "hops", MA, MB, 4, hops=((A, PROXY), (PROXY, B)))
    c.rtp(2.1, a, MA, MB), c.rtp(2.1, b, MB, MA)
    check(passive.imported(c.write(tmp_path / "c.pcap")), (a, b))


def test_early_rtp_and_no_bye(tmp_path):
    """RTP before the 200 is held and belongs to the call; the file ends without BYE."""
    c, a, b = Capture(), rtp.plan("ea", 4), rtp.plan("eb", 4)
    c.call(0, "early", MA, MB, 4, bye=False)
    c.rtp(0.4, b, MB, MA), c.rtp(1.05, a, MA, MB)
    r = check(passive.imported(c.write(tmp_path / "c.pcap")), (a, b))
    assert r.ledger.packets == len(a.sent) + len(b.sent)


def test_rtp_without_sip_beside_a_call(tmp_path):
    c, a, b, x = Capture(), rtp.plan("wa", 3), rtp.plan("wb", 3), rtp.plan("wx", 3)
    c.call(0, "with", MA, MB, 4)
    c.rtp(1.05, a, MA, MB), c.rtp(1.05, b, MB, MA), c.rtp(1.5, x, ("10.5.5.5", 9000), ("10.5.5.6", 9002))
    result = passive.imported(c.write(tmp_path / "c.pcap"))
    assert len(result.recordings) == 2
    for p in (a, b, x):
        assert any(p.ssrc in leg.ssrcs and wav.compare(r.wav, leg.channel, p.truth()).ok
                   for r in result.recordings for leg in r.ledger.legs)


def test_two_calls_one_after_the_other_on_the_same_ports(tmp_path):
    c = Capture()
    plans = [rtp.plan(f"s{n}", 2) for n in range(4)]
    c.call(0, "first", MA, MB, 2.2)
    c.rtp(1.05, plans[0], MA, MB), c.rtp(1.05, plans[1], MB, MA)
    c.call(5, "second", MA, MB, 2.2)
    c.rtp(6.05, plans[2], MA, MB), c.rtp(6.05, plans[3], MB, MA)
    result = passive.imported(c.write(tmp_path / "c.pcap"))
    assert len(result.recordings) == 2
    for n, p in enumerate(plans):
        holders = [r for r in result.recordings for leg in r.ledger.legs if p.ssrc in leg.ssrcs]
        assert len(holders) == 1
        assert wav.compare(holders[0].wav, n % 2, p.truth()).ok


def agreed(c, at_s, n, m_a, m_b):
    """INVITE number n with its answer, each with that m-line."""
    tag = "t1" if n > 1 else ""
    a, b = sip.offer([m_a], ip=A, version=n), sip.offer([m_b], ip=B, version=n)
    c.sip(at_s, A, B, message(f"INVITE sip:2002@{B} SIP/2.0", "turns", f"{n} INVITE", a, tag))
    c.sip(at_s + 0.02, B, A, message("SIP/2.0 200 OK", "turns", f"{n} INVITE", b, "t1"))
    c.sip(at_s + 0.03, A, B, message(f"ACK sip:2002@{B} SIP/2.0", "turns", f"{n} ACK", to_tag="t1"))


def test_another_codec_by_reinvite_loses_nothing(tmp_path):
    """One codec takes the place of the other; the last packets of the old one come after the answer."""
    c, a = Capture(), rtp.plan("ca", 6, pt=rtp.PCMA)
    for s in a.sent[154:]:  # PCMU from there on
        s.raw = s.raw[:1] + bytes([s.raw[1] & 0x80 | rtp.PCMU]) + s.raw[2:]
    for at_s, n, codec in ((0, 1, (8, "PCMA/8000")), (3, 2, (0, "PCMU/8000"))):
        m = [sip.M(port, ip=ip, direction="sendrecv", codecs=(codec,), events=0) for ip, port in (MA, MB)]
        agreed(c, at_s, n, *m)
    c.rtp(0.1, a, MA, MB)
    r = passive.imported(c.write(tmp_path / "c.pcap")).recordings[0]
    leg = r.ledger.leg(channel=0)
    assert leg.count("placed") == 300 and leg.total("received") == 6 * ledger.TICKS
    pcm, at = r.wav.pcm(0), leg.of("received")[0].start * 8000 // ledger.TICKS
    for s in a.sent:
        table = wav.ALAW_TABLE if s.index < 154 else wav.ULAW_TABLE
        for x, y in zip(s.payload, pcm[at + s.ts : at + s.ts + 160]):
            assert abs(table[x] - y) <= (max(16, abs(y) / 16) if s.index >= 154 else 0), s.index  # the file is A-law


def test_hold_of_one_direction(tmp_path):
    """sendonly answered by recvonly: who was put on hold says nothing, the other one plays music."""
    c, a, b = Capture(), rtp.plan("oa", 9), rtp.plan("ob", 9, gaps=((150, 300),))
    for at_s, n, da, db in ((0, 1, "sendrecv", "sendrecv"), (3.1, 2, "sendonly", "recvonly"),
                            (6.05, 3, "sendrecv", "sendrecv")):
        agreed(c, at_s, n, sip.M(MA[1], ip=A, direction=da), sip.M(MB[1], ip=B, direction=db))
    c.rtp(0.1, a, MA, MB), c.rtp(0.1, b, MB, MA)
    r = check(passive.imported(c.write(tmp_path / "c.pcap")), (a, b))
    assert not r.ledger.leg(channel=0).of("hold")
    held = r.ledger.leg(channel=1).of("hold")
    assert len(held) == 1 and 2.8 * ledger.TICKS < held[0].length < 3 * ledger.TICKS


def test_import_is_reproducible_and_prints_one_object_a_line(tmp_path):
    c, a, b = Capture(), rtp.plan("ra", 3, loss=0.02), rtp.plan("rb", 3, jitter_s=0.05)
    c.call(0, "twice", MA, MB, 4)
    c.rtp(1.05, a, MA, MB), c.rtp(1.05, b, MB, MA)
    path = c.write(tmp_path / "c.pcap")
    one, two = passive.imported(path), passive.imported(path)
    assert one.files == two.files and len(one.lines) == len(two.lines) == 1


def test_keys_and_passwords_never_leave_the_engine(tmp_path):
    """a=crypto and Authorization of captured SIP are in no file of the output and in no log."""
    key, password = "inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz", "response=\"0123456789abcdef0123456789abcdef\""
    c, a = Capture(), rtp.plan("ka", 2)
    offer = sip.offer([sip.M(4000, ip=A, proto="RTP/SAVP", extra=(f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 {key}",))], ip=A)
    c.sip(0, A, B, message(f"INVITE sip:2002@{B} SIP/2.0", "key", "1 INVITE", offer,
                           extra=[f"Authorization: Digest username=\"u\", {password}"]))
    c.rtp(0.5, a, MA, MB)
    import os
    import tempfile
    from lib import procs
    if procs.missing("slr", "slr-core", "slrctl"):
        pytest.skip("not built")
    with tempfile.TemporaryDirectory() as out:
        r = procs.run([procs.binary("slrctl"), "import", str(c.write(tmp_path / "c.pcap")), "--out", out], 60)
        blobs = [r.stdout.encode(), r.stderr.encode()]
        for root, _, names in os.walk(out):
            for n in names:
                with open(os.path.join(root, n), "rb") as f:
                    blobs.append(f.read())
        for secret in (key[7:].encode(), b"0123456789abcdef0123456789abcdef"):
            assert not any(secret in blob for blob in blobs)


def secure_call(c, at_s, offer, answer, seconds, reoffer=None):
    """One call whose descriptions carry the given a=crypto lines; reoffer: (at, caller's, callee's)."""
    def sdp(who, lines, version=1):
        return sip.offer([sip.M(who[1], ip=who[0], direction="sendrecv", proto="RTP/SAVP", extra=tuple(lines))],
                         ip=who[0], version=version)
    rows = [(at_s, 1, offer, answer)] + ([(reoffer[0], 2, reoffer[1], reoffer[2])] if reoffer else [])
    for t, n, x, y in rows:
        tag = "t1" if n > 1 else ""
        c.sip(t, A, B, message(f"INVITE sip:2002@{B} SIP/2.0", "secure", f"{n} INVITE", sdp(MA, x, n), tag))
        c.sip(t + 0.1, B, A, message("SIP/2.0 200 OK", "secure", f"{n} INVITE", sdp(MB, y, n), "t1"))
        c.sip(t + 0.11, A, B, message(f"ACK sip:2002@{B} SIP/2.0", "secure", f"{n} ACK", to_tag="t1"))
    c.sip(at_s + seconds, A, B, message(f"BYE sip:2002@{B} SIP/2.0", "secure", "9 BYE", to_tag="t1"))


def no_key_in(result, *keys):
    for k in keys:
        assert k.text not in result.log
        for r in result.recordings:
            assert k.text.encode() not in r.ledger_bytes


def test_keys_in_captured_sdp_decrypt(tmp_path):
    """The answer names the line of the offer that is in force; a re-INVITE brings new keys."""
    ka, kb, unused = srtp.Keys("AEAD_AES_128_GCM"), srtp.Keys("AEAD_AES_128_GCM"), srtp.Keys("AEAD_AES_256_GCM")
    ka2, kb2 = srtp.Keys(), srtp.Keys()
    c, a, b = Capture(), rtp.plan("sa", 6, seq0=65480), rtp.plan("sb", 6)
    secure_call(c, 0, [unused.line(1), ka.line(2)], [kb.line(2)], 7, (3.05, [ka2.line(1)], [kb2.line(1)]))
    for p, old, new in ((a, ka, ka2), (b, kb, kb2)):
        srtp.protect(p, old, 0, 150)
        srtp.protect(p, new, 150)
    c.rtp(0.2, a, MA, MB), c.rtp(0.2, b, MB, MA)
    result = passive.imported(c.write(tmp_path / "c.pcap"))
    r = check(result, (a, b))
    for leg in r.ledger.legs:
        assert leg.raw["srtp"]["packets"] == 300 and not any(leg.raw["srtp"]["failed"].values()), leg.raw["srtp"]
    no_key_in(result, ka, kb, unused, ka2, kb2)


@pytest.mark.parametrize("where", ["before the answer", "before the offer"])
def test_media_that_comes_before_its_keys_is_held_and_decrypted(tmp_path, where):
    """The description with the keys is captured 0.8 s after the first packets."""
    ka, kb, other = srtp.Keys(), srtp.Keys("AEAD_AES_256_GCM"), srtp.Keys()
    c, a, b = Capture(), rtp.plan("ea", 4, digits="5"), rtp.plan("eb", 4)
    secure_call(c, 1 if where == "before the offer" else 0.95, [ka.line()], [kb.line()], 5)
    srtp.protect(a, ka), srtp.protect(b, kb)
    if where == "before the answer":  # 0.1 s behind the INVITE
        c.rtp(0.97, a, MA, MB), c.rtp(0.99, b, MB, MA)
    else:
        c.rtp(0.2, a, MA, MB), c.rtp(0.3, b, MB, MA)
    # somebody else's packets to the same port, under a key that nobody tells
    stranger = rtp.plan("es", 1, ssrc=77)
    srtp.protect(stranger, other)
    c.rtp(0.25, stranger, (A, 4444), MB)
    result = passive.imported(c.write(tmp_path / "c.pcap"))
    r = check(result, (a, b), digits="5")
    for leg, sent in zip(sorted(r.ledger.legs, key=lambda x: x.channel), (a, b)):
        assert leg.raw["srtp"]["packets"] == len(sent.sent) and leg.count("lost") == 0
        first = leg.of("received")[0].start
        assert first < ledger.ticks(8000), "it begins with the media"
    no_key_in(result, ka, kb, other)


def test_secure_media_at_a_port_that_no_sdp_names(tmp_path):
    """The callee's media goes to another port of the caller: it is taken when its leg hears nothing, and what
    came until then is decrypted as well."""
    ka, kb = srtp.Keys(), srtp.Keys()
    c, a, b = Capture(), rtp.plan("pa", 3), rtp.plan("pb", 3)
    secure_call(c, 0, [ka.line()], [kb.line()], 5)
    srtp.protect(a, ka), srtp.protect(b, kb)
    c.rtp(0.3, a, MA, MB), c.rtp(0.31, b, MB, (A, 4002))
    r = check(passive.imported(c.write(tmp_path / "c.pcap")), (a, b))
    assert [leg.raw["srtp"]["packets"] for leg in r.ledger.legs] == [150, 150]


def test_captured_srtp_without_keys_is_never_decoded_unless_they_are_given(tmp_path):
    """DTLS, or keys that were cut from the capture: nothing of it is audio."""
    ka, kb = srtp.Keys(), srtp.Keys()
    c, a, b = Capture(), rtp.plan("na", 3), rtp.plan("nb", 3)
    secure_call(c, 0, [], [], 4)
    srtp.protect(a, ka), srtp.protect(b, kb)
    c.rtp(0.2, a, MA, MB), c.rtp(0.2, b, MB, MA)
    path = c.write(tmp_path / "c.pcap")
    for leg in passive.imported(path).recordings[0].ledger.legs:
        assert not leg.total("received") and leg.raw["srtp"]["failed"]["no_key"] == 150
    result = passive.imported(path, "--srtp-key", f"{ka.text}@{a.ssrc}", "--srtp-key", kb.text)
    check(result, (a, b))
    no_key_in(result, ka, kb)


def test_the_event_log_of_a_capture_has_no_keys(tmp_path):
    """`slr` over the file, a core beside it: what stays on disk, and what each wrote to its log."""
    ka, kb = srtp.Keys("AES_256_CM_HMAC_SHA1_32"), srtp.Keys("AES_256_CM_HMAC_SHA1_32")
    c, a, b = Capture(), rtp.plan("ka", 2), rtp.plan("kb", 2)
    secure_call(c, 0, [ka.line()], [kb.line()], 3)
    srtp.protect(a, ka), srtp.protect(b, kb)
    c.rtp(0.2, a, MA, MB), c.rtp(0.2, b, MB, MA)
    path = c.write(tmp_path / "c.pcap")
    with passive.pair(path) as run:
        assert run.wait() == (0, 0), run.log()
        found = list(run.files())
        assert any("events" in name for name, _ in found) and any("core.db" in name for name, _ in found)
        for k in (ka, kb):
            raw, text = k.secret[:16], k.text.encode()
            for name, blob in found:
                assert text not in blob and raw not in blob and base64.b64encode(text)[4:40] not in blob, name
        check(run.result(), (a, b))


def many(calls, seconds=2):
    c, plans = Capture(), []
    for n in range(calls):
        a, b = rtp.plan(f"many-{n}-a", seconds), rtp.plan(f"many-{n}-b", seconds)
        ma, mb = (A, 10000 + 4 * n), (B, 10002 + 4 * n)
        c.call(n * 0.001, f"many-{n}", ma, mb, seconds)
        c.rtp(1.05, a, ma, mb), c.rtp(1.05, b, mb, ma)
        plans.append((a, b))
    return c, plans


def test_more_calls_at_once_than_an_engine_takes_unasked(tmp_path):
    """A file may hold any number of calls at once: -S of a recorder (600 streams) is no bound for it."""
    c, plans = many(320, 1)
    result = passive.imported(c.write(tmp_path / "c.pcap"))
    assert len(result.recordings) == 320 and all(x["state"] == "sealed" for x in result.lines)
    found = {x: (r, leg.channel) for r in result.recordings for leg in r.ledger.legs for x in leg.ssrcs}
    for pair in plans[::50] + plans[-1:]:
        for p in pair:
            r, channel = found[p.ssrc]
            assert wav.compare(r.wav, channel, p.truth()).ok
    assert sum(r.ledger.packets for r in result.recordings) == sum(len(p.sent) for pair in plans for p in pair)


def test_calls_without_room_are_told(tmp_path):
    c, plans = many(20)
    run = procs.run([procs.binary("slrctl"), "import", str(c.write(tmp_path / "c.pcap")), "--out", str(tmp_path / "out"),
                     "--engine-args", "-S 10"], 60, ok=(1,))
    assert "capture_no_room" in run.stderr and "streams=10" in run.stderr

"""SRTP with keys in SDP: every suite, offers good and bad, new keys, rollovers, pauses, and what
comes under no key of the call."""
import base64
import glob
import os
import subprocess
import time

import pytest

from lib import rtp, sip, srtp, together, wait, wav
from lib.call import Call, fetch

LINE = "AES_CM_128_HMAC_SHA1_80"  # what everybody offers


@pytest.fixture
def rig(rigs):
    return rigs(capture="uring").start()


def secure_offer(call, i, crypto, proto="RTP/SAVP", direction="sendonly", version=None):
    extra = tuple(crypto) if isinstance(crypto, (list, tuple)) else (crypto.line(),)
    return sip.offer([sip.M(call.sources[i][1], proto=proto, extra=extra, direction=direction)],
                     version=version or call._versions[i], session=5000 + i)


def open_call(rig, suite=LINE, **kw):
    """A call of two secure legs and their keys."""
    c = Call(rig)
    keys = [srtp.Keys(suite, **kw) for _ in range(2)]
    for i in range(2):
        c.invite(i, body=secure_offer(c, i, keys[i]))
    return c, keys


def srtp_of(led, dn):
    return led.leg(dn=dn).raw["srtp"]


def test_every_suite_with_and_without_mki(rig):
    together.each([(suite, mki) for suite in srtp.SUITES for mki in (None, (5, 4))], lambda row: one_suite(rig, *row))


def one_suite(rig, suite, mki):
    c, keys = open_call(rig, suite, mki=mki)
    with c:
        for i in range(2):
            (tag, name, key), = srtp.lines(c.answers[i].media[0])
            assert (tag, name) == (1, suite) and key.startswith("inline:")
            assert len(base64.b64decode(key[7:])) == sum(srtp.SUITES[suite][1:3])
            assert keys[i].text not in key and c.answers[i].media[0].proto == "RTP/SAVP"
            srtp.protect(c.play(i, 1.5), keys[i])
        c.run()
        sr = rtp.sender_report(c.plans[0].ssrc, time.time(), 0, 75, 12000)
        c.sender.socket(c.sources[0]).sendto(keys[0].rtcp(sr, 1), c.media[0])
        c.bye()
        _, w, led = c.result()
        for i in range(2):
            c.verify(i, w, led)
            s = srtp_of(led, c.dns[i])
            assert s["suite"] == suite and s["packets"] == 75 and s["rtcp"] == 1 - i
            assert not any(s["failed"].values()), s


def test_the_best_line_is_chosen_and_bad_ones_are_left_out(rig):
    good, best = srtp.Keys("AES_CM_128_HMAC_SHA1_32"), srtp.Keys("AES_256_CM_HMAC_SHA1_80")
    other = srtp.Keys("AEAD_AES_256_GCM")
    with Call(rig, legs=1) as c:
        c.invite(0, body=secure_offer(c, 0, [
            "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:tooshort",
            other.line(2, more=" UNENCRYPTED_SRTP"),
            "a=crypto:3 F8_128_HMAC_SHA1_80 inline:" + good.text,
            good.line(4, lifetime="2^20"),
            best.line(7, lifetime="2^31", name="AES_CM_256_HMAC_SHA1_80", more=" WSH=128 -FUTURE=1"),
            other.line(8, more=" KDR=4"),
        ], proto="RTP/SAVPF"))
        (tag, name, _), = srtp.lines(c.answers[0].media[0])
        assert (tag, name) == (7, "AES_CM_256_HMAC_SHA1_80")
        srtp.protect(c.play(0, 1), best)
        c.run().bye()
        _, w, led = c.result()
        c.verify(0, w, led)
    assert rig.api.metrics()["slr_core_sdp_repairs_total"] > 0


def test_several_keys_of_one_line_by_mki(rig):
    keys = [srtp.Keys(LINE, mki=(n, 2)) for n in (1, 300, 2)]
    with Call(rig, legs=1) as c:
        c.invite(0, body=secure_offer(c, 0, [f"a=crypto:1 {LINE} " + ";".join(k.inline() for k in keys)]))
        p = c.play(0, 1.5, seq0=65500)
        for n, k in enumerate(keys):
            srtp.protect(p, k, n * 25, n * 25 + 25)
        c.run().bye()
        _, w, led = c.result()
        c.verify(0, w, led)


@pytest.mark.parametrize("lines", [
    [], ["a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:nonsense"],
    ["a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + "A" * 40 + " UNAUTHENTICATED_SRTP"],
    ["a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + "A" * 40 + "|1:4;inline:" + "B" * 40],
], ids=["none", "length", "unauthenticated", "two-without-mki"])
def test_savp_without_a_usable_key_is_488(rig, lines):
    with Call(rig, legs=1) as c:
        c.invite(0, expect=488, body=secure_offer(c, 0, lines))


def test_crypto_under_plain_rtp_is_plain(rig):
    with Call(rig, legs=1) as c:
        c.invite(0, body=secure_offer(c, 0, srtp.Keys(), proto="RTP/AVP"))
        assert not srtp.lines(c.answers[0].media[0]) and c.answers[0].media[0].proto == "RTP/AVP"
        c.play(0, 1)
        c.run().bye()
        _, w, led = c.result()
        c.verify(0, w, led)
        assert "srtp" not in led.leg(dn=c.dns[0]).raw


def test_new_keys_by_reinvite_lose_nothing(rig):
    """Packets under the old key are under way while the new one is in force already; the second new
    key comes with another suite and a counter that begins anew."""
    c, keys = open_call(rig)
    with c:
        second, third = srtp.Keys(LINE), srtp.Keys("AEAD_AES_128_GCM")
        p = c.play(0, 4, seq0=65530)
        srtp.protect(p, keys[0], 0, 60)
        srtp.protect(p, second, 60, 130)
        srtp.protect(p, third, 130, None, roc0=-1)  # beyond the rollover: 0 again
        # two of the old key leave after the first ones of the new
        p.schedule = [(t + (0.1 if i in (58, 59, 128) else 0), i) for t, i in p.schedule]
        p.schedule.sort()
        srtp.protect(c.play(1, 4), keys[1])
        c.start()
        answers = []
        for at, key in ((0.8, second), (2.2, third)):
            wait.until("media", lambda: time.monotonic() >= c.sender.start_mono + at, 10, 0.01)
            c._versions[0] += 1
            r = c.dialogs[0].reinvite(secure_offer(c, 0, key))
            assert r.status == 200
            answers.append(srtp.lines(r.sdp().media[0]))
        assert answers[0][0][1] == LINE and answers[1][0][1] == "AEAD_AES_128_GCM"
        c.join()
        c.bye()
        _, w, led = c.result()
        c.verify(0, w, led), c.verify(1, w, led)
        s = srtp_of(led, c.dns[0])
        assert s["packets"] == 200 and not any(s["failed"].values()), s


def test_from_plain_to_secure_and_back(rig):
    with Call(rig, legs=1) as c:
        c.invite(0)
        keys = srtp.Keys()
        p = c.play(0, 3)
        srtp.protect(p, keys, 50, 100)
        c.start()
        for at, body in ((0.8, lambda: secure_offer(c, 0, keys)), (1.8, lambda: c.offer(0))):
            wait.until("media", lambda: time.monotonic() >= c.sender.start_mono + at, 10, 0.01)
            c._versions[0] += 1
            assert c.dialogs[0].reinvite(body()).status == 200
        c.join()
        c.bye()
        _, w, led = c.result()
        c.verify(0, w, led)
        assert srtp_of(led, c.dns[0])["packets"] == 50


def test_what_does_not_authenticate_is_counted_and_changes_nothing(rig):
    """Before the peer says its first word, and in its midst: forged packets from its own address."""
    c, keys = open_call(rig)
    with c:
        wrong = srtp.Keys()
        forged = [srtp.protect(rtp.plan(f"forged{n}", 0.2, ssrc=s, per_packet=160), wrong)
                  for n, s in enumerate((1, 2, 0x7777))]
        p = srtp.protect(c.play(0, 2, seq0=100, ssrc=0x7777), keys[0])
        srtp.protect(c.play(1, 2), keys[1])
        raw = bytearray(p.sent[50].raw)
        raw[40] ^= 1
        sock = c.sender.socket(c.sources[0])
        for f in forged:
            for s in f.sent:
                sock.sendto(s.raw, c.media[0])
        plain = rtp.plan("plain", 0.2, ssrc=3)
        for s in plain.sent:
            sock.sendto(s.raw, c.media[0])
        sock.sendto(bytes(raw), c.media[0])
        sock.sendto(p.sent[0].raw[:17], c.media[0])
        bad_sr = bytearray(keys[0].rtcp(rtp.sender_report(0x7777, 1e9, 0, 1, 1), 9))
        bad_sr[-1] ^= 1
        sock.sendto(bytes(bad_sr), c.media[0])
        c.run()
        for s in p.sent[:20]:
            sock.sendto(s.raw, c.media[0])
        c.bye()
        _, w, led = c.result()
        c.verify(0, w, led), c.verify(1, w, led)
        leg = led.leg(dn=c.dns[0])
        assert leg.ssrcs == {0x7777} and leg.raw["foreign"] == 0
        s = leg.raw["srtp"]
        assert s["packets"] == 100
        assert s["failed"] == {"auth": 30 + 10 + 2, "replay": 20, "unknown_mki": 0, "short": 1, "no_key": 0}, s
        m = rig.api.metrics()
        assert any("srtp_auth" in k and v >= 42 for k, v in m.items()), [k for k in m if "srtp" in k]


def test_a_long_stream_over_three_rollovers(rig):
    """70,000 packets each time as fast as the port takes them, only the last ones of each in real
    time: the counter is right although the engine saw no time pass."""
    keys = srtp.Keys("AEAD_AES_128_GCM")
    with Call(rig, legs=1) as c:
        c.invite(0, body=secure_offer(c, 0, keys))
        p = c.play(0, 3, seq0=65400, ssrc=5)
        sock = c.sender.socket(c.sources[0])
        for s in p.sent:
            s.raw = keys.rtp(s.raw, s.seq >> 16)
        c.run()
        # three rollovers, one packet each 8,000 numbers: no clock is involved in the counter
        at = 65400 + 150
        while at < 4 * 65536:
            at += 8000
            sock.sendto(keys.rtp(rtp.packet(8, at, 0, 5, bytes(160)), at >> 16), c.media[0])
        n = len(range(65400 + 150, 4 * 65536, 8000))
        wait.until("all were taken",
                   lambda: any(v >= 150 + n for k, v in rig.api.metrics().items() if "slr_srtp_packets" in k))
        c.bye()
        _, _, led = c.result()
        assert srtp_of(led, c.dns[0])["failed"]["auth"] == 0


def test_pause_holds_for_secure_media(rig):
    c, keys = open_call(rig)
    with c:
        for i in range(2):
            srtp.protect(c.play(i, 4, seq0=65436), keys[i])
        c.start()
        ident = wait.until("the call is listed", c.live)["id"]
        wait.until("media", lambda: time.monotonic() >= c.sender.start_mono + 1, 10, 0.01)
        p = rig.api.post(f"/v1/calls/{ident}/pause").json()
        wait.until("media", lambda: time.monotonic() >= c.sender.start_mono + 3, 10, 0.01)
        r = rig.api.post(f"/v1/calls/{ident}/resume").json()
        c.join()
        c.bye()
        _, w, led = c.result()
        for i in range(2):
            leg = led.leg(dn=c.dns[i])
            assert srtp_of(led, c.dns[i])["packets"] == 200
            assert leg.count("suppressed") > 80
            a, b = (-(-x * w.rate // 14_112_000) for x in (p["at_ticks"], r["at_ticks"]))
            quiet = w.channel(leg.channel)[int(a) : int(b)]
            assert set(quiet) <= set(wav.SILENCE[w.tag]) and len(quiet) > 1.8 * w.rate


def _everything(rig):
    for path in glob.glob(f"{rig.dir}/**/*", recursive=True) + glob.glob(f"{rig.state}/*"):
        if os.path.isfile(path):
            with open(path, "rb") as f:
                yield path, f.read()


def test_keys_are_nowhere_when_the_call_is_over(rig):
    """Logs, event log, database, ledgers, the state file: neither the peer's key nor ours."""
    c, keys = open_call(rig, "AES_256_CM_HMAC_SHA1_80")
    with c:
        own = [srtp.lines(c.answers[i].media[0])[0][2][7:] for i in range(2)]
        for i in range(2):
            srtp.protect(c.play(i, 1), keys[i])
        c.run()
        secrets = [k.text for k in keys] + own
        during = [b for _, b in _everything(rig)]
        assert any(keys[0].secret[:32] in b for b in during), "the state file is not among the files"
        for path, blob in _everything(rig):
            for s in secrets:
                assert s.encode() not in blob, f"a key as text in {path}"
        live = str(rig.api.calls())
        assert live and not any(s in live for s in secrets)
        c.bye()
        c.result()
        for path, blob in _everything(rig):
            for s in secrets:
                raw = base64.b64decode(s)
                assert s.encode() not in blob and raw[:16] not in blob, f"a key in {path}"


def _memory(pid):
    """Everything a process can write to."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb") as mem:
        for line in maps:
            span, mode = line.split()[:2]
            if not mode.startswith("rw") or "[v" in line:
                continue
            a, b = (int(x, 16) for x in span.split("-"))
            try:
                mem.seek(a)
                yield line, mem.read(b - a)
            except OSError:
                continue


def test_the_engine_forgets_keys_when_the_call_is_over(rig):
    """Not in freed memory, not in buffers: the process is searched."""
    if os.environ.get("SLR_SANITIZED") == "1":
        pytest.skip("a sanitizer keeps freed memory for a while")
    c, keys = open_call(rig, "AES_256_CM_HMAC_SHA1_80")
    with c:
        for i in range(2):
            srtp.protect(c.play(i, 1), keys[i])
        c.run()
        assert any(keys[0].secret[:32] in blob for _, blob in _memory(rig.engine.pid)), "nothing is searched"
        c.bye()
        c.result()
        for k in keys:
            for what in (k.secret[:32], k.secret[32:], k.text.encode(), *k.rtp_keys[:2], *k.rtcp_keys[:2]):
                found = [line for line, blob in _memory(rig.engine.pid) if what in blob]
                assert not found, (what.hex(), found)


def test_ffmpeg_sends_srtp(rig, tmp_path):
    """A peer that is none of ours."""
    keys = srtp.Keys(LINE)
    source = tmp_path / "tone.wav"
    subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=frequency=440:duration=2:sample_rate=8000",
                    "-c:a", "pcm_alaw", str(source)], check=True, timeout=60)
    with Call(rig, legs=1) as c:
        c.invite(0, body=secure_offer(c, 0, keys))
        ip, port = c.media[0]
        subprocess.run(["ffmpeg", "-v", "error", "-re", "-i", str(source), "-c:a", "copy", "-payload_type", "8",
                        "-srtp_out_suite", LINE, "-srtp_out_params", keys.text, "-f", "rtp",
                        f"srtp://{ip}:{port}?pkt_size=172"], check=True, timeout=60)
        c.bye()
        entry, w, led = fetch(rig, c.entry()["id"])
        s = srtp_of(led, c.dns[0])
        assert s["packets"] > 90 and not any(s["failed"].values()), s
        sent = source.read_bytes()
        got = w.channel(led.leg(dn=c.dns[0]).channel).strip(wav.SILENCE[w.tag])
        assert got[800:8000] in sent, "what was recorded is not what was sent"

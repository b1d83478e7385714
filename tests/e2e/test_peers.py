"""Real peers: sipp, Kamailio's dispatcher in front, rtpengine as the media half of a SIPREC client,
sngrep on our pushed HEP, ffprobe and sox on our WAV."""
import json
import os
import re
import subprocess

import pytest

from lib import netns, peers, procs, rtp, sip, wait, wav
from lib.call import Call, fetch


@pytest.fixture
def rig(rigs):
    return rigs(capture="uring").start()


def sealed(rig, count):
    def find():
        rig.check()
        done = [r for r in rig.api.recordings() if r["state"] in ("sealed", "partial")]
        return done if len(done) >= count and not rig.api.calls() else None
    return wait.until(f"{count} sealed recordings", find, 20, 0.1)


# sipp


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_sipp_two_invites_a_call(rig, tmp_path, transport):
    """20 calls of two dialogs each; every call is one stereo recording."""
    calls = 20
    csv = tmp_path / "legs.csv"
    rows = [f"SIPP{transport}{n};{4000 + n};{4000 + n}\nSIPP{transport}{n};{5000 + n};{4000 + n}" for n in range(calls)]
    csv.write_text("SEQUENTIAL\n" + "\n".join(rows) + "\n")
    peers.sipp("recording_leg.xml", rig.sip, calls=2 * calls, rate=40, transport=transport, inf=str(csv),
               cwd=str(tmp_path))
    done = sealed(rig, calls)
    assert len(done) == calls
    for r in done:
        assert sorted(x["channel"] for x in r["legs"]) == [0, 1], r


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_sipp_both_parties_in_one_dialog(rig, tmp_path, transport):
    csv = tmp_path / "calls.csv"
    csv.write_text("SEQUENTIAL\n" + "".join(f"BOTH{n};{4000 + n};{5000 + n}\n" for n in range(20)))
    peers.sipp("both_parties.xml", rig.sip, calls=20, rate=20, transport=transport, inf=str(csv), cwd=str(tmp_path))
    done = sealed(rig, 20)
    assert len(done) == 20 and all(len(r["legs"]) == 2 for r in done)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_sipp_hold_and_resume(rig, tmp_path, transport):
    csv = tmp_path / "legs.csv"
    csv.write_text("SEQUENTIAL\n" + "".join(f"HOLD{n};{4000 + n};{4000 + n}\n" for n in range(10)))
    peers.sipp("hold.xml", rig.sip, calls=10, rate=20, transport=transport, inf=str(csv), cwd=str(tmp_path))
    assert len(sealed(rig, 10)) == 10


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_sipp_siprec(rig, tmp_path, transport):
    csv = tmp_path / "calls.csv"
    csv.write_text("SEQUENTIAL\n" + "".join(f"S{n}\n" for n in range(10)))
    peers.sipp("siprec.xml", rig.sip, calls=10, rate=20, transport=transport, inf=str(csv), cwd=str(tmp_path))
    assert len(sealed(rig, 10)) == 10


# Kamailio


class Kamailio:
    def __init__(self, folder, recorders, port=15060):
        program = peers.need("kamailio")
        self.addr = ("127.0.0.1", port)
        path = os.path.join(folder, "dispatcher.list")
        with open(path, "w", encoding="ascii") as f:
            for n, r in enumerate(recorders):
                f.write(f"1 sip:{r.sip[0]}:{r.sip[1]} 0 0 duid=r{n};maxload=500\n")
        cfg = peers.template("kamailio.cfg", folder, PORT=port, LIST=path)
        self.proc = procs.Proc("kamailio", [program, "-f", cfg, "-DD", "-E", "-m", "32", "-M", "8", "-Y", folder, "-P",
                                            os.path.join(folder, "kamailio.pid")], os.path.join(folder, "kamailio.log"))
        self.proc.start()

    def close(self):
        self.proc.expected_exit = True
        self.proc.child.terminate()
        try:
            self.proc.child.wait(10)
        except subprocess.TimeoutExpired:
            self.proc.child.kill()


@pytest.fixture
def front(rigs, tmp_path):
    one, two = rigs(capture="uring").start(), rigs(capture="socket").start()
    k = Kamailio(str(tmp_path), (one, two))
    ua = sip.Ua(k.addr)
    def through():
        try:
            c, host = sip.token("warm"), f"{one.sip[0]}:{one.sip[1]}"
            d, r = ua.invite(f"sip:record={c}@{host};dn=1;recordDN=1", sip.offer([sip.M(4000)]), timeout_s=2)
            return r.status == 200 and d.bye().status == 200
        except sip.NoAnswer:
            return False
    wait.until("a call passes through kamailio", through, 20)
    yield k, ua, one, two
    ua.close()
    k.close()
    print(k.proc.tail(40))


def share(rigs_, calls):
    """How many of these calls each recorder has; fails when the legs of one were split."""
    out = [0] * len(rigs_)
    for c in calls:
        def find(c=c):
            got = [(n, r) for n, rig in enumerate(rigs_) for r in rig.api.recordings()
                   if r["state"] in ("sealed", "partial") and set(c.dns) & {x["dn"] for x in r["legs"]}]
            return got or None
        got = wait.until(f"recording of {c.name}", find, 20, 0.1)
        assert len(got) == 1 and len(got[0][1]["legs"]) == 2, f"legs of {c.name} were split: {got}"
        out[got[0][0]] += 1
    return out


def make_calls(rig, ua, count):
    calls = [Call(rig, ua=ua) for _ in range(count)]
    for c in calls:
        c.invite_all()
        c.play(0, 0.3), c.play(1, 0.3)
        c.start()
    for c in calls:
        c.join()
        c.bye()
        c.close()
    return calls


def test_kamailio_round_robin_affinity_failover_and_return(front):
    k, ua, one, two = front
    assert share((one, two), make_calls(one, ua, 6)) == [3, 3]
    two.core.kill9()
    got = make_calls(one, ua, 4)
    two.start_core()
    assert share((one, two), got) == [4, 0]
    def back():
        a = make_calls(one, ua, 2)
        return share((one, two), a)[1] > 0
    wait.until("the recorder is back in the list", back, 20, 0.5)


def test_kamailio_takes_a_draining_recorder_out(front):
    k, ua, one, two = front
    two.api.post("/v1/drain", body='{"on":true}', headers={"Content-Type": "application/json"})
    calls = make_calls(one, ua, 4)
    assert share((one, two), calls) == [4, 0]


# rtpengine


def party_sdp(port):
    return (f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 8\r\n"
            "a=rtpmap:8 PCMA/8000\r\na=sendrecv\r\n")


def test_rtpengine_as_the_media_half_of_a_siprec_client(rig, tmp_path):
    """Two parties talk through rtpengine; it forks both directions to the recorder. Labels are in
    its own order, c= per media only, a=rtcp given."""
    engine = peers.RtpEngine(str(tmp_path))
    sender = rtp.Sender()
    try:
        a, b = sender.bind(), sender.bind()
        call = dict(call_id="rtpe1", from_tag="tagA")
        r = engine.ask(command="offer", sdp=party_sdp(a[1]), **call)
        assert r["result"] == "ok", r
        to_b = sip.Sdp.parse(r["sdp"].encode()).address(0)
        r = engine.ask(command="answer", to_tag="tagB", sdp=party_sdp(b[1]), **call)
        assert r["result"] == "ok", r
        to_a = sip.Sdp.parse(r["sdp"].encode()).address(0)
        r = engine.ask(command="subscribe request", call_id="rtpe1", flags=["all", "SIPREC"])
        assert r["result"] == "ok", r
        offer, tag = r["sdp"].encode(), r["to-tag"]
        labels = [m.attr("label") for m in sip.Sdp.parse(offer).media]
        people = [(f"P{x}", f"sip:party{x}@x", f"T{x}", x) for x in labels]
        ctype, body = sip.multipart([("application/sdp", offer), ("application/rs-metadata+xml",
                                    sip.metadata(people=people), "Content-Disposition: recording-session")])
        ua = sip.Ua(rig.sip, "tcp")
        d, answer = ua.invite(f"sip:srs@{rig.sip[0]}:{rig.sip[1]}", body, ctype=ctype, headers=["Require: siprec"],
                              contact_params=";+sip.src")
        assert answer.status == 200, answer.start
        assert [m.attr("label") for m in answer.sdp().media] == labels
        r = engine.ask(command="subscribe answer", call_id="rtpe1", to_tag=tag, sdp=answer.body.decode())
        assert r["result"] == "ok", r
        # what A sends goes to rtpengine's port towards A (in the answer given to A), and vice versa
        plans = [rtp.plan("rtpe/a", 2, start_s=0.3), rtp.plan("rtpe/b", 2, start_s=0.3)]
        sender.add(plans[0], to_a, a).add(plans[1], to_b, b)
        sender.start().join()
        r = engine.ask(command="unsubscribe", call_id="rtpe1", to_tag=tag)
        assert d.bye().status == 200
        _, w, led = fetch(rig, rig.wait_recording()["id"])
        assert w.channels == 2
        found = []
        for p in plans:
            verdicts = [wav.compare(w, n, p.truth()) for n in (0, 1)]
            found.append([v.good // 160 for v in verdicts])
        assert sorted(found) == [[0, 100], [100, 0]], (found, led.legs)
        engine.ask(command="delete", **call)
        ua.close()
    finally:
        sender.close()
        engine.close()


# sngrep


def test_sngrep_shows_a_call_from_our_hep(rigs, tmp_path):
    peers.need("sngrep")
    if not netns.private():
        pytest.skip("needs a network namespace")
    t = peers.Tmux(str(tmp_path), f"sngrep -d {netns.idle_interface()} -L udp:127.0.0.1:9070")
    try:
        wait.until("sngrep listens", lambda: "Call List" in t.screen() or "sngrep" in t.screen(), 10, 0.1)
        def listening():
            with open("/proc/net/udp", encoding="ascii") as f:
                return ":236E " in f.read()  # 9070
        wait.until("sngrep's HEP port is open", listening, 10)
        rig = rigs(engine_args=("--hep-send", "udp:127.0.0.1:9070")).start()
        with Call(rig) as c:
            c.invite_all()
            c.play(0, 0.5), c.play(1, 0.5)
            c.run()
            c.bye()
            c.entry()
            screen = wait.until("the call on sngrep's screen", lambda: _shows(t.screen(), c), 10, 0.2)
        assert "INVITE" in screen
    finally:
        t.keys("Escape")
        t.close()


def _shows(screen, call):
    """The one dialog line of our pseudo-SIP: INVITE, its party, and at least INVITE, 200 and BYE.
    (Its capture device is idle, so the test's own SIP is not on the screen.)"""
    for line in screen.splitlines():
        m = re.match(r"\s*\[.\]\s+\d+\s+INVITE\s+(\S+)\s+(\S+)\s+(\d+)\s", line)
        if m and int(m.group(3)) >= 3 and any(d in line for d in call.dns):
            return screen
    return None


# readers of our files


@pytest.fixture
def recording(rig, tmp_path):
    with Call(rig) as c:
        c.invite_all()
        c.play(0, 2, start_s=0.1), c.play(1, 2, start_s=0.1)
        c.run()
        c.bye()
        entry, w, _ = c.result()
        path = tmp_path / "x.wav"
        path.write_bytes(rig.api.media(entry["id"]))
        return path, w


def test_ffprobe_reads_our_wav(recording):
    path, w = recording
    out = procs.run([peers.need("ffprobe"), "-v", "warning", "-of", "json", "-show_streams", str(path)])
    s = json.loads(out.stdout)["streams"][0]
    assert (s["codec_name"], s["sample_rate"], s["channels"]) == ("pcm_alaw", "8000", 2)
    assert abs(float(s["duration"]) - w.frames / 8000) < 0.001 and not out.stderr.strip()


def test_sox_reads_our_wav_to_the_same_samples(recording, tmp_path):
    path, w = recording
    out = procs.run([peers.need("sox"), str(path), "-t", "s16", "-c", "1", str(tmp_path / "o.raw"), "remix", "1"])
    assert "WARN" not in out.stderr
    assert (tmp_path / "o.raw").read_bytes() == w.pcm(0).tobytes()

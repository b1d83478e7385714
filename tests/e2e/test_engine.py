"""The engine alone on its seam (docs/seam.md): a core of our own opens sessions and legs."""
import os
import secrets
import time

import pytest

from lib import ledger, procs, rtp, seam, wait, wav

PCMA = [{"pt": 8, "name": "PCMA", "clock": 8000, "ch": 1, "fmtp": ""},
        {"pt": 101, "name": "TELEPHONE-EVENT", "clock": 8000, "ch": 1, "fmtp": "0-15"}]


@pytest.fixture(params=["socket", "uring", "shared", "xdp"])
def rig(request):
    if procs.missing("slr"):
        pytest.skip("slr is not built")
    rig = procs.Rig(capture=request.param)
    failed = True
    try:
        rig.start_engine()
        yield rig
        rig.engine.terminate()
        rig.check()
        failed = getattr(request.node, "report_call", None) is None or request.node.report_call.failed
    finally:
        rig.close(failed)


class Session:
    def __init__(self, core, legs=2):
        self.core, self.id = core, secrets.token_hex(16)
        self.opened = core.ask("session_open", session=self.id, call="C" + self.id[:8], channels=legs, reserve=legs,
                               digits="keep", meta={"a": 1})
        self.sender = rtp.Sender()
        self.legs, self.plans = [], []
        for n in range(legs):
            source = self.sender.bind()
            a = core.ask("leg_open", session=self.id, leg=f"leg{n}", channel=n, dn=str(100 + n), codecs=PCMA,
                         source_ip=source[0], source_port=source[1], family=4, hold=False, ptime_ms=20)
            self.legs.append((source, (a["ip"], a["port"])))

    def play(self, seconds, **kw):
        self.plans = [rtp.plan(f"{self.id}/{n}", seconds, start_s=0.05, **kw) for n in range(len(self.legs))]
        for p, (source, dest) in zip(self.plans, self.legs):
            self.sender.add(p, dest, source)
        self.sender.start()

    def close(self, rig, reason="bye"):
        self.core.ask("session_close", session=self.id, reason=reason)
        e = self.core.event("sealed", self.id)
        w = wav.load(os.path.join(rig.data, "rec", e["file"]))
        led = ledger.check(ledger.parse(procs.load_json(os.path.join(rig.data, "rec", e["ledger"]))), w.frames)
        self.sender.close()
        return e, w, led


def test_session_from_open_to_sealed(rig):
    core = seam.Seam(rig.control)
    assert core.hello["engine"] and core.hello["streams_max"] == 600 and not core.hello["passive"]
    s = Session(core)
    s.play(2)
    s.sender.join()
    core.event("leg_heard", s.id)
    e, w, led = s.close(rig)
    assert e["channels"] == 2 and e["sample_hz"] == 8000 and e["state"] == "sealed" and e["end_reason"] == "bye"
    assert led.raw["meta"] == {"a": 1}
    for n, p in enumerate(s.plans):
        assert wav.compare(w, n, p.truth()).ok
        assert led.leg(channel=n).count("packets") == len(p.sent)
    numbers = [x["n"] for x in core.events]
    assert numbers == list(range(1, len(numbers) + 1))


def test_commands_are_idempotent_and_stale_owners_are_refused(rig):
    core = seam.Seam(rig.control, epoch=5)
    s = Session(core)
    with pytest.raises(seam.SeamError) as e:
        core.ask("session_open", session=s.id, call="C" + s.id[:8], channels=2)
    assert e.value.err == "EXISTS" and e.value.answer["start_wall_ns"] == s.opened["start_wall_ns"]
    source, dest = s.legs[0]
    a = core.ask("leg_open", session=s.id, leg="leg0", channel=0, dn="100", codecs=PCMA, source_ip=source[0])
    assert (a["ip"], a["port"]) == dest
    one = core.ask("session_pause", cmd_id="same", session=s.id)
    two = core.ask("session_pause", cmd_id="same", session=s.id)
    assert one == two
    with pytest.raises(seam.SeamError) as e:
        core.ask("session_resume", epoch=4, session=s.id)
    assert e.value.err == "STALE"
    with pytest.raises(seam.SeamError) as e:
        core.ask("session_pause", session="0" * 32)
    assert e.value.err == "NOTFOUND"
    with pytest.raises(seam.SeamError) as e:
        core.ask("recording_delete", session=s.id)
    assert e.value.err == "BUSY"
    s.close(rig)
    assert core.ask("recording_delete", session=s.id)["removed"]
    wait.until("the files are gone", lambda: not rig.rec_files())


def test_events_resume_where_a_core_left_off(rig):
    core = seam.Seam(rig.control)
    s = Session(core)
    s.play(0.5)
    s.sender.join()
    s.close(rig)
    last = core.events[-1]["n"]
    core.ask("stats")
    core.close()
    other = seam.Seam(rig.control, resume_after=2, epoch=2)
    wait.until("the kept events", lambda: other.events and other.events[-1]["n"] >= last)
    assert [x["n"] for x in other.events][0] == 3


def test_snapshot_tells_what_runs(rig):
    core = seam.Seam(rig.control)
    s = Session(core)
    s.play(1)
    core.event("leg_heard", s.id)
    snap = core.ask("snapshot")["sessions"]
    assert [x["session"] for x in snap] == [s.id] and snap[0]["state"] == "open"
    assert {(x["ip"], x["port"]) for x in snap[0]["legs"]} == {d for _, d in s.legs}
    s.sender.join()
    s.close(rig)
    # the slot is free a moment after the event has left
    wait.until("no session is left", lambda: core.ask("snapshot")["sessions"] == [])


def test_capacity_and_drain(rig):
    core = seam.Seam(rig.control)
    core.ask("drain", on=True)
    with pytest.raises(seam.SeamError) as e:
        Session(core)
    assert e.value.err == "FULL"
    core.ask("drain", on=False)
    s = Session(core)
    assert core.ask("stats")["streams_used"] == 2
    s.close(rig)
    wait.until("streams are given back", lambda: core.ask("stats")["streams_used"] == 0)


def test_kill_and_restart_same_ports_same_session(rig):
    core = seam.Seam(rig.control)
    s = Session(core)
    s.play(4)
    wait.until("two seconds", lambda: time.monotonic() > s.sender.start_mono + 2, 5)
    epoch = core.hello["engine_epoch"]
    killed = time.monotonic()
    rig.engine.kill9()
    rig.start_engine()
    back = time.monotonic()
    assert back - killed < 2
    core.close()
    core = s.core = seam.Seam(rig.control, epoch=1)
    assert core.hello["engine_epoch"] > epoch
    live = core.ask("snapshot")["sessions"]
    assert [x["session"] for x in live] == [s.id]
    assert {(x["ip"], x["port"]) for x in live[0]["legs"]} == {d for _, d in s.legs}
    s.sender.join()
    _, w, led = s.close(rig)
    for n, p in enumerate(s.plans):
        must = [i for t, sid, i in s.sender.log if sid == p.stream_id and not killed - 0.06 < t < back + 0.05]
        may = [(p.sent[i].ts, i) for i in range(len(p.sent)) if i not in set(must)]
        v = wav.compare(w, n, p.truth(must))
        v2 = wav.compare(w, n, p.truth(must), ignore=[(v.offset + ts, v.offset + ts + 160) for ts, _ in may])
        assert v2.ok, v2
        down = led.leg(channel=n).total("engine-down")
        missing = led.leg(channel=n).count("packets") < len(p.sent)  # a quick restart may miss none
        assert (down > 0) == missing and down <= 2 * ledger.TICKS


def test_a_second_engine_on_the_same_state_refuses(rig):
    r = procs.run([*rig.engine.argv, "--control", rig.control + "2"], 20, ok=None)
    assert r.returncode != 0 and r.stderr.strip()


def test_accepted_payload_types(rig):
    """The example line of flags starts an engine."""
    argv = [procs.binary("slr"), *"-S 1350 -w 30999 -t 120 -m 40 -A 0 -A 8 -A 9 -A 18 -A 13 -A 19 -l".split()]
    props = os.path.join(rig.dir, "slr.log.properties")
    with open(props, "w", encoding="ascii") as f:
        f.write("level=info\n")
    p = procs.Proc("slr2", [*argv, props, "--data", rig.dir + "/d2", "--state", rig.dir + "/s2", "--control",
                            rig.dir + "/c2"], rig.dir + "/slr2.log").start()
    try:
        wait.until("it listens", lambda: seam.connect(rig.dir + "/c2"), 10).close()
    finally:
        p.terminate()


BAD_FLAGS = {
    "slr": {
        "-S 0": "from 1 to 100000", "-w 99999": "from 0 to 65535", "--nonsense": "unknown option", "-m x": "from 1 to",
        "--capture xdp:eth0,slots=3": "slots=N",
        "--capture telepathy": "uring, shared, xdp, socket, pcapfile:FILE, packet:INTERFACE or dpdk",
        "--opus-bitrate 1": "0 or a number from 6000 to 256000",
        "--opus-bitrate 256001": "from 6000", "--opus-complexity 11": "from 0 to 10", "--rate 4000": "from 8000 to 48000",
        "--rate 9000": "8000, 11025, 12000", "--format tape": "wav, wav-pcm", "--media-ports 1-2": "LO-HI",
        "--media-ports 4000-5000x": "LO-HI", "--media-ip 300.0.0.1": "an IP address",
        "--media-source me": "host, strict or any",
        "--encoders 65": "0 or a number from 1 to 64", "--encode-load 101": "from 0 to 100", "--encode-within x": "from 0",
        "--pin-encoders 4000": "processors that are there",
        "--packet-memory 1": "0, or 19 to 65536", "--pt 100=X/8000": "e.g. 118=AMR/8000", "-A 128": "from 0 to 127"},
    "slr-core": {
        "--rate 1": "from 8000 to 48000", "--rate 9000": "8000, 11025, 12000", "--http 127.0.0.1": "ADDRESS:PORT",
        "--http 127.0.0.1:65536": "ADDRESS:PORT", "--sip-udp 127.0.0.1": "ADDRESS:PORT", "--sip-tcp 5060": "ADDRESS:PORT",
        "--sip-udp 127.0.0.1:0 --sip-allow 10.0.0.0/33": "ADDRESS/BITS"},
    "slrctl": {"recordings --limit 0": "from 1 to 1000000", "pause x --max 86401": "from 0 to 86400",
               "run --http 127.0.0.1": "ADDRESS:PORT"},
}


@pytest.mark.parametrize("program", BAD_FLAGS)
def test_bad_flags_are_told_clearly(program, tmp_path):
    if procs.missing(program):
        pytest.skip(f"{program} is not built")
    own = {"slr": ["--data", "d", "--state", "s"], "slr-core": ["--data", "d"], "slrctl": []}[program]
    for words, said in BAD_FLAGS[program].items():
        r = procs.run([procs.binary(program), *words.split(), *own], 10, ok=None, cwd=tmp_path)
        assert r.returncode in (1, 2) and said in r.stderr, (words, r.returncode, r.stderr)

"""The disk of the recordings stands still while calls run: a real file system, frozen (bench/stalling.py).
Needs root and a loop device."""
import json
import os
import secrets
import subprocess
import sys

import pytest

from lib import ledger, procs, rtp, seam, sip, wait, wav

SOURCE = os.environ.get("SLR_SOURCE_DIR", os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
sys.path.insert(0, os.path.join(SOURCE, "bench"))
import stalling  # noqa: E402


@pytest.fixture
def disk():
    one = stalling.disk(256)
    if not one:
        pytest.skip("needs root, a loop device and mkfs.ext4")
    yield one
    one.close()


@pytest.fixture
def frozen(rigs, disk):
    """A rig whose recordings lie on that disk, which thaws before anything is ended."""
    made = []

    def make(**kw):
        rig = rigs(data=os.path.join(disk.path, "data"), **kw)
        made.append(rig)
        rig.core.argv[rig.core.argv.index("--data") + 1] = os.path.join(rig.dir, "core")
        return rig.start_engine(), seam.Seam(rig.control)

    yield make
    disk.thaw()
    for rig in made:
        rig.core.terminate()
        rig.engine.terminate()


def load(rig, *args):
    """slr-load's process."""
    argv = [procs.binary("slr-load"), "--seam", rig.control, "--data", rig.data, *args]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def verdict_of(process):
    out, err = process.communicate(timeout=120)
    rows = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    found = [row for row in rows if "found" in row]
    assert found, err[-2000:]
    return found[0]


def all_found(process):
    row = verdict_of(process)
    assert process.returncode == 0 and row["ok"], row
    assert row["found"] == row["sent"] > 0
    assert row["lost"] == row["misplaced"] == row["leaked"] == row["damaged"] == 0


def counters(core):
    return core.ask("stats")["counters"]


def wait_calls(core, calls):
    wait.until("all calls run", lambda: core.ask("stats")["streams_used"] == 2 * calls, 20)
    least = counters(core)["slr_blocks_written_total"] + calls * 3
    wait.until("they are written", lambda: counters(core)["slr_blocks_written_total"] > least, 20)


def wait_stalled(core, seconds):
    wait.until(f"{seconds} s of stall", lambda: counters(core)["slr_storage_stalled_seconds"] >= seconds, seconds + 15)


def open_session(core):
    core.ask("session_open", session=secrets.token_hex(16), call="C", channels=2, reserve=2, digits="keep", meta={})


def test_calls_go_on_from_memory(frozen, disk):
    """Ten seconds, and all of it is in the recordings; what the engine has left is told all the time."""
    rig, core = frozen()
    process = load(rig, "--calls", "20", "--seconds", "15")
    wait_calls(core, 20)
    before = core.ask("stats")["stall_budget_s"]
    disk.freeze()
    wait_stalled(core, 1)
    assert core.event("alarm")["name"] == "storage-stalled"
    wait_stalled(core, 9)
    stats = core.ask("stats")
    assert 0 < stats["counters"]["slr_storage_stall_budget_seconds"] < before - 5
    assert stats["refusing"] == "none"
    disk.thaw()
    wait.until("it moves again", lambda: counters(core)["slr_storage_stalled_seconds"] == 0, 10)
    all_found(process)


LITTLE = ("-S", "60", "--packet-memory", "3")  # some five seconds of 20 calls


def test_new_calls_are_refused_while_memory_runs_out(frozen, disk):
    rig, core = frozen(engine_args=LITTLE)
    rig.start_core()
    process = load(rig, "--calls", "20", "--seconds", "8")
    wait_calls(core, 20)
    assert core.ask("stats")["refusing"] == "none"
    peer = sip.Ua(rig.sip)
    assert peer.options().status == 200
    disk.freeze()
    wait.until("it refuses", lambda: core.ask("stats")["refusing"] == "storage", 10)
    with pytest.raises(seam.SeamError) as e:
        open_session(core)
    assert e.value.err == "FULL" and "disk" in e.value.answer["text"]
    wait.until("OPTIONS are answered 503", lambda: peer.options().status == 503, 5)
    disk.thaw()
    wait.until("it takes sessions", lambda: core.ask("stats")["refusing"] == "none", 10)
    open_session(core)
    wait.until("OPTIONS are answered 200", lambda: peer.options().status == 200, 5)
    all_found(process)


def test_what_does_not_fit_is_counted_and_marked(frozen, disk):
    """What was received first is kept; the rest is a gap that the ledger explains."""
    rig, core = frozen(engine_args=LITTLE)
    process = load(rig, "--calls", "20", "--seconds", "14")
    wait_calls(core, 20)
    disk.freeze()
    wait_stalled(core, 9)
    disk.thaw()
    row = verdict_of(process)
    lost = counters(core)["slr_packets_total{verdict=\"no_packet_memory\"}"]
    assert row["lost"] > 0 and lost > 0
    assert row["lost"] == sum(row["lost_by"].values())
    assert row["misplaced"] == row["leaked"] == row["damaged"] == row["missing"] == 0


def test_recordings_go_on_on_the_second_volume(frozen, disk):
    """Far longer than memory lasts: those that run go on there, new ones begin there, and in the end
    every one is whole at home."""
    rig, core = frozen(engine_args=LITTLE)
    rig.engine.terminate()
    spill = os.path.join(rig.dir, "spill")
    rig.engine.argv += ["--spill", spill]
    rig.start_engine()
    core = seam.Seam(rig.control, epoch=2)
    process = load(rig, "--calls", "10", "--churn", "1", "--seconds", "22")
    wait_calls(core, 10)
    disk.freeze()
    wait.until("the second volume", lambda: counters(core)["slr_storage_second_in_use"] == 1, 15)
    wait_stalled(core, 15)
    stats = core.ask("stats")
    assert stats["refusing"] == "none" and stats["stall_budget_s"] > 3
    assert stats["counters"]['slr_packets_total{verdict="no_packet_memory"}'] == 0
    assert len(os.listdir(os.path.join(spill, "rec", "open"))) > 20
    disk.thaw()
    wait.until("home again", lambda: counters(core)["slr_storage_second_in_use"] == 0, 20)
    all_found(process)
    assert os.listdir(os.path.join(spill, "rec", "open")) == []
    names = [e["name"] for e in core.events if e["ev"] == "alarm"]
    assert names == ["storage-stalled", "storage-second", "storage-well", "storage-first"]


def fill(folder):
    """Not a byte is left there. The file that did it."""
    path = os.path.join(folder, "filler")
    with open(path, "wb", buffering=0) as f:
        for size in (1 << 20, 4096, 512):
            try:
                while True:
                    f.write(bytes(size))
            except OSError:
                pass
    return path


def test_a_full_disk_is_as_one_that_stands_still(frozen, disk):
    rig, core = frozen(engine_args=LITTLE)
    rig.engine.terminate()
    spill = os.path.join(rig.dir, "spill")
    rig.engine.argv += ["--spill", spill]
    rig.start_engine()
    core = seam.Seam(rig.control, epoch=2)
    process = load(rig, "--calls", "10", "--seconds", "16")
    wait_calls(core, 10)
    filler = fill(disk.path)
    wait.until("the second volume", lambda: counters(core)["slr_storage_second_in_use"] == 1, 15)
    assert counters(core)["slr_write_errors_total"] > 0
    wait_stalled(core, 8)
    os.unlink(filler)
    wait.until("home again", lambda: counters(core)["slr_storage_second_in_use"] == 0, 20)
    all_found(process)
    assert os.listdir(os.path.join(spill, "rec", "open")) == []


def one_leg(core, sender):
    """A session with one party, and its media's plan."""
    session, source = secrets.token_hex(16), sender.bind()
    core.ask("session_open", session=session, call="C", channels=1, reserve=1, digits="keep", meta={})
    leg = core.ask("leg_open", session=session, leg="leg0", channel=0, dn="100",
                   codecs=[{"pt": 8, "name": "PCMA", "clock": 8000, "ch": 1, "fmtp": ""}], source_ip=source[0],
                   source_port=source[1], family=4, hold=False, ptime_ms=20)
    sender.add(rtp.plan(f"{session}/0", 60, start_s=0.05), (leg["ip"], leg["port"]), source)
    return session


def test_killed_while_recordings_grow_elsewhere(frozen, disk):
    """kill -9, which a process takes when its write comes back; the next one brings all home."""
    rig, core = frozen(engine_args=LITTLE)
    rig.engine.terminate()
    spill = os.path.join(rig.dir, "spill", "rec", "open")
    rig.engine.argv += ["--spill", os.path.join(rig.dir, "spill")]
    rig.start_engine()
    core = seam.Seam(rig.control, epoch=2)
    sender = rtp.Sender()
    sessions = [one_leg(core, sender) for _ in range(2)]
    sender.start()
    process = load(rig, "--calls", "20", "--seconds", "60")  # the engine's owner from now on
    wait.until("they are written", lambda: counters(core)["slr_blocks_written_total"] > 200, 20)
    disk.freeze()
    # the one whose write does not come back stays
    moved = lambda: [s for s in sessions if os.path.exists(f"{spill}/{s}.from")]
    session = wait.until("one goes on there", moved, 20)[0]
    size = os.path.getsize(f"{spill}/{session}.wav")
    wait.until("it grows", lambda: os.path.getsize(f"{spill}/{session}.wav") > size + 16000, 20)
    disk.thaw()
    rig.engine.kill9()
    process.kill()
    process.communicate()
    rig.start_engine()
    core = seam.Seam(rig.control, epoch=100, resume_after=core.hello["last"])
    core.ask("session_close", session=session, reason="bye")
    e = core.event("sealed", session)
    assert e["state"] == "sealed" and e["frames"] > size + 16000
    w = wav.load(os.path.join(rig.data, "rec", e["file"]))
    led = ledger.check(ledger.parse(procs.load_json(os.path.join(rig.data, "rec", e["ledger"]))), w.frames)
    kinds = {s.kind for s in led.leg(dn="100").spans}
    assert kinds <= {"received", "absent", "engine-down", "ended", "lost-network"}, kinds
    wait.until("nothing of it is left there", lambda: not any(n.startswith(session) for n in os.listdir(spill)), 10)
    sender.close()

"""The disk of the recordings stands still while calls run: a real file system, frozen (bench/stalling.py).
Needs root and a loop device."""
import json
import os
import secrets
import subprocess
import sys

import pytest

from lib import procs, seam, sip, wait

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
